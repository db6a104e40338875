/*
 * packed.h: msgpack for tests, packed by msgpack-c: a hand that is not ours.
 */
#ifndef TY_TESTS_INGEST_PACKED_H
#define TY_TESTS_INGEST_PACKED_H

#include "tests/ingest/decoded.h"
#include "tests/support/random.h"

#include <msgpack.h>

struct packed {
    msgpack_sbuffer buffer;
    msgpack_packer to;
};

static inline void pack_begin(struct packed *packed)
{
    msgpack_sbuffer_init(&packed->buffer);
    msgpack_packer_init(&packed->to, &packed->buffer, msgpack_sbuffer_write);
}

static inline void pack_free(struct packed *packed)
{
    msgpack_sbuffer_destroy(&packed->buffer);
}

static inline void pack_text(struct packed *packed, const char *text)
{
    msgpack_pack_str_with_body(&packed->to, text, strlen(text));
}

static inline void pack_uuid_bytes(struct packed *packed, const char *text)
{
    struct ty_uuid uuid;

    ty_uuid_parse(text, strlen(text), &uuid);
    msgpack_pack_bin_with_body(&packed->to, uuid.bytes, sizeof(uuid.bytes));
}

/* The smallest good record, as a map or by position. */
static inline void pack_map(struct packed *packed, const char *id)
{
    msgpack_pack_map(&packed->to, 3);
    pack_text(packed, "id");
    pack_text(packed, id);
    pack_text(packed, "customer_id");
    pack_text(packed, CUSTOMER);
    pack_text(packed, "workflow_id");
    pack_text(packed, WORKFLOW);
}

static inline void pack_array(struct packed *packed, const char *id)
{
    msgpack_pack_array(&packed->to, 7);
    pack_text(packed, id);
    pack_uuid_bytes(packed, CUSTOMER);
    pack_uuid_bytes(packed, WORKFLOW);
    for (int i = 1; i <= 4; i++)
        msgpack_pack_int(&packed->to, i);
}

/* EventTime, as an extension of 8 bytes (msgpack-c chooses fixext8). */
static inline void pack_event_time(struct packed *packed, uint32_t seconds, uint32_t nanoseconds)
{
    uint8_t bytes[8];

    for (int i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(seconds >> 8 * (3 - i));
        bytes[4 + i] = (uint8_t)(nanoseconds >> 8 * (3 - i));
    }
    msgpack_pack_ext_with_body(&packed->to, bytes, sizeof(bytes), 0);
}

/* Any value, of every type and of lengths that need every head. */
static inline void pack_random(struct packed *packed, struct ty_random *random, unsigned depth)
{
    static const size_t lengths[] = {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536};
    static char bytes[65536];
    size_t length = lengths[ty_random_below(random, depth > 1 ? 8 : 10)];

    switch (ty_random_below(random, depth > 4 ? 8 : 10)) {
    case 0:
        msgpack_pack_nil(&packed->to);
        return;
    case 1:
        if (ty_random_one_in(random, 2))
            msgpack_pack_true(&packed->to);
        else
            msgpack_pack_false(&packed->to);
        return;
    case 2:
        msgpack_pack_uint64(&packed->to, ty_random_wide(random));
        return;
    case 3:
        msgpack_pack_int64(&packed->to, (int64_t)ty_random_wide(random));
        return;
    case 4:
        if (ty_random_one_in(random, 2))
            msgpack_pack_double(&packed->to, (double)ty_random_wide(random) / 7);
        else
            msgpack_pack_float(&packed->to, (float)ty_random_wide(random) / 7);
        return;
    case 5:
        msgpack_pack_str_with_body(&packed->to, bytes, length);
        return;
    case 6:
        msgpack_pack_bin_with_body(&packed->to, bytes, length);
        return;
    case 7:
        msgpack_pack_ext_with_body(&packed->to, bytes, length, (int8_t)ty_random_u64(random));
        return;
    case 8:
        length = ty_random_below(random, 20);
        msgpack_pack_array(&packed->to, length);
        break;
    default:
        length = ty_random_below(random, 20);
        msgpack_pack_map(&packed->to, length);
        length *= 2;
    }
    for (size_t i = 0; i < length; i++)
        pack_random(packed, random, depth + 1);
}

#endif
