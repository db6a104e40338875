/*
 * forward_message.h: a Forward message and what became of it, for tests.
 */
#ifndef TY_TESTS_INGEST_FORWARD_MESSAGE_H
#define TY_TESTS_INGEST_FORWARD_MESSAGE_H

#include "ingest/forward.h"
#include "ingest/msgpack_events.h"
#include "tests/ingest/packed.h"

#include <criterion/criterion.h>
#include <zlib.h>

#define INFLATED_MAX ((size_t)1 << 20)

struct forwarded {
    char *bytes; /* of exactly the message's length, so that a read past the end is seen */
    struct ty_batch batch;
    struct ty_forward_message message;
    struct ty_decode_error error;
    enum ty_decode_status status;
};

static inline struct forwarded forward(const char *bytes, size_t length)
{
    struct forwarded forwarded = {.bytes = malloc(length == 0 ? 1 : length)};

    memcpy(forwarded.bytes, bytes, length);
    forwarded.status = ty_forward_decode(forwarded.bytes, length, INFLATED_MAX, &forwarded.batch,
                                         &forwarded.message, &forwarded.error);
    return forwarded;
}

static inline void forward_end(struct forwarded *forwarded)
{
    ty_batch_fini(&forwarded->batch);
    free(forwarded->bytes);
}

/* What ty_forward_each_record() is compared with. */
struct seen {
    const struct forwarded *forwarded;
    size_t count;
    size_t event; /* the next one of the batch */
};

/* Decodes a record by itself: it must come to the same end as it did in its message. */
static inline bool check_record(void *context, size_t index, int64_t time_ms, struct ty_text record)
{
    struct seen *seen = context;
    const struct ty_batch *whole = &seen->forwarded->batch;
    const struct ty_outcome *outcome = &whole->outcomes[index];
    struct ty_batch batch = {0};
    struct ty_msgpack msgpack;

    cr_assert_eq(index, seen->count);
    seen->count++;
    ty_msgpack_init(&msgpack, record.data, record.length);
    if (outcome->result != TALLY_NOT_STORED)
        return true;
    cr_assert(ty_msgpack_events_record(&msgpack, time_ms, &batch));
    cr_assert(msgpack.at == msgpack.end);
    cr_assert_eq(batch.event_count, 1);
    cr_assert_eq(batch.events[0].time_ms, whole->events[seen->event].time_ms);
    cr_assert_eq(batch.events[0].id.length, whole->events[seen->event].id.length);
    seen->event++;
    ty_batch_fini(&batch);
    return true;
}

/* Checks that ty_forward_each_record() finds the records that the batch has. */
static inline void check_records(const struct forwarded *forwarded)
{
    struct seen seen = {.forwarded = forwarded};

    ty_forward_each_record(&forwarded->message, check_record, &seen);
    cr_assert_eq(seen.count, forwarded->batch.record_count, "%zu of %zu records", seen.count,
                 forwarded->batch.record_count);
    cr_assert_eq(seen.event, forwarded->batch.event_count);
    cr_assert_eq(forwarded->message.record_count, forwarded->batch.record_count);
}

/* Appends data as a gzip member. */
static inline void append_gzip(msgpack_sbuffer *out, const char *data, size_t length)
{
    z_stream stream = {.next_in = (z_const Bytef *)data, .avail_in = (uInt)length};
    Bytef room[65536];

    cr_assert_eq(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 16 + MAX_WBITS, 8,
                              Z_DEFAULT_STRATEGY),
                 Z_OK);
    stream.next_out = room;
    stream.avail_out = sizeof(room);
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    msgpack_sbuffer_write(out, (const char *)room, sizeof(room) - stream.avail_out);
    deflateEnd(&stream);
}

/* Packs ["usage", gzip, {"size", "chunk": "c 1", "compressed": "gzip"}]. */
static inline void pack_gzip_message(struct packed *packed, const char *gzip, size_t length,
                                     bool bin)
{
    pack_begin(packed);
    msgpack_pack_array(&packed->to, 3);
    pack_text(packed, "usage");
    if (bin)
        msgpack_pack_bin_with_body(&packed->to, gzip, length);
    else
        msgpack_pack_str_with_body(&packed->to, gzip, length);
    msgpack_pack_map(&packed->to, 3);
    pack_text(packed, "size");
    msgpack_pack_int(&packed->to, 1);
    pack_text(packed, "chunk");
    pack_text(packed, "c 1");
    pack_text(packed, "compressed");
    pack_text(packed, "gzip");
}

/* The same with `entries` in so many members, again and again. */
static inline void pack_compressed(struct packed *packed, const char *entries, size_t length,
                                   size_t members, bool bin)
{
    msgpack_sbuffer gzip;

    msgpack_sbuffer_init(&gzip);
    for (size_t i = 0; i < members; i++)
        append_gzip(&gzip, entries, length);
    pack_gzip_message(packed, gzip.data, gzip.size, bin);
    msgpack_sbuffer_destroy(&gzip);
}

#endif
