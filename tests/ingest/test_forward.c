/*
 * Messages as the programs that are out there write them: the shapes, heads, orders of options and
 * forms of time come from their sources, which each case names.
 */
#include "ingest/forward.h"

#include "ingest/msgpack_frame.h"
#include "tests/ingest/forward_message.h"

#include <criterion/criterion.h>

/* A map of the three required fields, each text with the shortest head. */
#define RECORD(id)                                                                                 \
    "\x83\xa2"                                                                                     \
    "id\xa2" id "\xab"                                                                             \
    "customer_id\xd9\x24" CUSTOMER "\xab"                                                          \
    "workflow_id\xd9\x24" WORKFLOW

/* 2023-01-31T14:02:40Z, and half a second. */
#define SECONDS       "\x63\xd9\x1f\x80"
#define NANOS         "\x1d\xcd\x65\x00"
#define TIME_MS       INT64_C(1675173760000)
#define CHUNK         "hbCjSbmSQpV0v5oNPYOxqw=="
#define BYTES(string) string, sizeof(string) - 1

/* clang-format off */
static const struct {
    const char *name;
    const char *bytes;
    size_t length;
    enum ty_forward_mode mode;
    const char *outcomes; /* "." for an event, see describe() */
    int64_t time_ms;      /* of the first event */
    const char *chunk;    /* as msgpack; NULL: no acknowledgement */
} messages[] = {
    /* fluent-logger-python, fluent/sender.py: packb((tag, int(time), data)). */
    {"python", BYTES("\x93\xa9" "app.usage\xce" SECONDS RECORD("e1")), TY_FORWARD_MESSAGE, ".",
     TIME_MS, NULL},
    /* The same with nanosecond_precision: msgpack.ExtType of 8 bytes, which packs as fixext8. */
    {"python, nanoseconds", BYTES("\x93\xa9" "app.usage\xd7\x00" SECONDS NANOS RECORD("e1")),
     TY_FORWARD_MESSAGE, ".", TIME_MS + 500, NULL},
    /* fluent-logger-ruby, lib/fluent/logger/fluent_logger.rb: [tag, time.to_i, map], or EventTime;
     * without a label the tag is the prefix alone. */
    {"ruby", BYTES("\x93\xa3" "app\xce" SECONDS RECORD("e1")), TY_FORWARD_MESSAGE, ".", TIME_MS, NULL},
    /* fluent-logger-node, lib/sender.js with requireAckResponse: [tag, time, data, {chunk}], the
     * chunk being 16 random bytes in base64; msgpack-lite packs numbers of more than 31 bits, such
     * as seconds from 2038 on, as float64. */
    {"node", BYTES("\x94\xa9" "app.usage\xce" SECONDS RECORD("e1") "\x81\xa5" "chunk\xb8" CHUNK),
     TY_FORWARD_MESSAGE, ".", TIME_MS, "\xb8" CHUNK},
    {"node, EventTime", BYTES("\x93\xa9" "app.usage\xd7\x00" SECONDS NANOS RECORD("e1")),
     TY_FORWARD_MESSAGE, ".", TIME_MS + 500, NULL},
    {"node, 2038", BYTES("\x93\xa9" "app.usage\xcb\x41\xe0\x00\x00\x00\x20\x00\x00" RECORD("e1")),
     TY_FORWARD_MESSAGE, ".", INT64_C(2147483649000), NULL},
    /* fluent-logger-golang, fluent/proto.go: a tuple with the option always there, nil where it is
     * not used; integers as int64 in the shortest form (int32 here). */
    {"golang", BYTES("\x94\xa9" "app.usage\xd2" SECONDS RECORD("e1") "\xc0"), TY_FORWARD_MESSAGE, ".",
     TIME_MS, NULL},
    {"golang, ack", BYTES("\x94\xa9" "app.usage\xd7\x00" SECONDS NANOS RECORD("e1") "\x81\xa5"
                       "chunk\xb8" CHUNK),
     TY_FORWARD_MESSAGE, ".", TIME_MS + 500, "\xb8" CHUNK},
    /* The specification's ext 8 form of EventTime, as Fluent Bit before 1.0 wrote it. */
    {"ext8", BYTES("\x93\xa9" "app.usage\xc7\x08\x00" SECONDS NANOS RECORD("e1")), TY_FORWARD_MESSAGE,
     ".", TIME_MS + 500, NULL},

    /* Fluentd, lib/fluent/plugin/out_forward.rb, send_data_actual: the entries always as str32;
     * {"size", "compressed": "text"}, then "chunk" with require_ack_response: base64 as Ruby's
     * encode64 makes it, a line feed at its end. Entries are [EventTime, record]. */
    {"fluentd", BYTES("\x93\xa9" "app.usage\xdb\x00\x00\x00\xec"
                   "\x92\xd7\x00" SECONDS NANOS RECORD("e1")
                   "\x92\xd7\x00" SECONDS NANOS RECORD("e2")
                   "\x82\xa4" "size\x02\xaa" "compressed\xa4" "text"),
     TY_FORWARD_PACKED, ". .", TIME_MS + 500, NULL},
    {"fluentd, ack, time_as_integer",
     BYTES("\x93\xa9" "app.usage\xdb\x00\x00\x00\x71"
        "\x92\xce" SECONDS RECORD("e1")
        "\x83\xa4" "size\x01\xaa" "compressed\xa4" "text\xa5" "chunk\xb9" CHUNK "\n"),
     TY_FORWARD_PACKED, ".", TIME_MS, "\xb9" CHUNK "\n"},
    /* FORWARD_TCP_HEARTBEAT_DATA of older ones, and nil, "for future TCP heartbeat requests". */
    {"fluentd, heartbeat", BYTES("\x92\xa0\x90"), TY_FORWARD_ENTRIES, "", 0, NULL},
    {"fluentd, nil", BYTES("\xc0"), TY_FORWARD_IGNORED, "", 0, NULL},

    /* Fluent Bit, plugins/out_forward, as it is set up: entries with their metadata beside the
     * time, and no options (seen from 5.1). */
    {"fluent-bit", BYTES("\x92\xa9" "app.usage\x92"
                      "\x92\x92\xd7\x00" SECONDS NANOS "\x80" RECORD("e1")
                      "\x92\x92\xd7\x00" SECONDS NANOS "\x80" RECORD("e2")),
     TY_FORWARD_ENTRIES, ". .", TIME_MS + 500, NULL},
    /* require_ack_response: its option has a map32 head, "chunk" first. */
    {"fluent-bit, ack", BYTES("\x93\xa9" "app.usage\x91"
                           "\x92\x92\xd7\x00" SECONDS NANOS "\x80" RECORD("e1")
                           "\xdf\x00\x00\x00\x03\xa5" "chunk\xb8" CHUNK "\xa4" "size\x01\xad"
                           "fluent_signal\x00"),
     TY_FORWARD_ENTRIES, ".", TIME_MS + 500, "\xb8" CHUNK},
    /* Before 2.1: [time, record]; the chunk was 32 hexadecimal digits (forward_format.c), and
     * msgpack_pack_int64 makes the size of one entry a fixint. */
    {"fluent-bit 2.0", BYTES("\x93\xa9" "app.usage\x91"
                          "\x92\xd7\x00" SECONDS NANOS RECORD("e1")
                          "\x82\xa5" "chunk\xd9\x20" "0123456789abcdef0123456789abcdef"
                          "\xa4" "size\x01"),
     TY_FORWARD_ENTRIES, ".", TIME_MS + 500, "\xd9\x20" "0123456789abcdef0123456789abcdef"},
    /* time_as_integer; msgpack-c packs a uint64 of these seconds as uint32. */
    {"fluent-bit, integers", BYTES("\x92\xa9" "app.usage\x91\x92\xce" SECONDS RECORD("e1")),
     TY_FORWARD_ENTRIES, ".", TIME_MS, NULL},
    /* A tag made of the record: Message mode, which keeps the entry's time as it is; with an
     * option of the chunk alone. */
    {"fluent-bit, dynamic tag", BYTES("\x94\xa9" "app.usage\xd7\x00" SECONDS NANOS RECORD("e1")
                                   "\x81\xa5" "chunk\xb8" CHUNK),
     TY_FORWARD_MESSAGE, ".", TIME_MS + 500, "\xb8" CHUNK},
    /* Its metrics are no usage: one record, kept as a reject. */
    {"fluent-bit, metrics", BYTES("\x93\xa9" "app.usage\xd7\x00" SECONDS NANOS "\x81\xa8"
                               "cmetrics\xc4\x02\x00\x01"),
     TY_FORWARD_MESSAGE, "missing_field()", 0, NULL},
};
/* clang-format on */

/* What a client has always sent must be taken as it is: nobody changes his client for us. */
Test(forward, messages_of_the_known_clients_are_taken)
{
    for (size_t i = 0; i < TY_COUNT_OF(messages); i++) {
        struct forwarded forwarded = forward(messages[i].bytes, messages[i].length);
        const struct ty_forward_message *message = &forwarded.message;
        const char *name = messages[i].name;
        char outcomes[200];

        describe(&forwarded.batch, outcomes, sizeof(outcomes));
        cr_assert_eq(forwarded.status, TY_DECODE_OK, "%s", name);
        cr_assert_eq(message->mode, messages[i].mode, "%s: %d", name, (int)message->mode);
        cr_assert_str_eq(outcomes, messages[i].outcomes, "%s: %s", name, outcomes);
        if (forwarded.batch.event_count != 0)
            cr_assert_eq(forwarded.batch.events[0].time_ms, messages[i].time_ms, "%s: %lld", name,
                         (long long)forwarded.batch.events[0].time_ms);
        cr_assert_eq(message->chunk.data == NULL, messages[i].chunk == NULL, "%s", name);
        if (messages[i].chunk != NULL)
            cr_assert(text_is(message->chunk, messages[i].chunk), "%s", name);
        check_records(&forwarded);
        forward_end(&forwarded);
    }
}

/* Several messages in one read: each must end where the next begins. */
Test(forward, each_of_them_is_one_value)
{
    for (size_t i = 0; i < TY_COUNT_OF(messages); i++) {
        struct ty_msgpack_frame frame = {0};

        cr_assert_eq(ty_msgpack_frame_advance(&frame, messages[i].bytes, messages[i].length),
                     TY_FRAME_COMPLETE, "%s", messages[i].name);
        cr_assert_eq(frame.at, messages[i].length, "%s", messages[i].name);
    }
}

/* Fluentd compresses each append to a buffer by itself, so that members follow one another; Fluent
 * Bit sends one, as bin, and says so in {"size", "compressed"} or behind a chunk. */
Test(forward, gzip_is_inflated_whoever_made_it)
{
    static const char entry[] = "\x92\xd7\x00" SECONDS NANOS RECORD("e1");

    for (size_t members = 1; members <= 3; members++)
        for (int bin = 0; bin < 2; bin++) {
            struct packed packed;
            struct forwarded forwarded;

            pack_compressed(&packed, entry, sizeof(entry) - 1, members, bin);
            forwarded = forward(packed.buffer.data, packed.buffer.size);
            cr_assert_eq(forwarded.status, TY_DECODE_OK);
            cr_assert_eq(forwarded.message.mode, TY_FORWARD_COMPRESSED);
            cr_assert_eq(forwarded.batch.event_count, members);
            cr_assert_eq(forwarded.batch.events[members - 1].time_ms, TIME_MS + 500);
            cr_assert(text_is(forwarded.message.chunk, "\xa3"
                                                       "c 1"));
            check_records(&forwarded);
            forward_end(&forwarded);
            pack_free(&packed);
        }
}

/* clang-format off */
static const char two_members[] =
    "\x93\xa9" "app.usage\xdb\x00\x00\x00\xc8"
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x9b\x74\x9d\x21\xf9\xa6"
    "\x7c\x83\xec\xd9\x54\x86\xe6\x45\x99\x29\x8b\x52\x0d\x57\x27\x97"
    "\x16\x97\xe4\xe7\xa6\x16\xc5\x67\xa6\xdc\x54\x31\x30\xb4\x34\x48"
    "\x34\x4d\x32\xd2\x35\x4f\x36\x4e\xd1\x35\x4f\x35\x49\xd3\xb5\x48"
    "\x34\x4c\xd2\x35\x02\x72\x4d\x52\x4d\xd3\xcc\x0c\xcc\x0d\x57\x97"
    "\xe7\x17\x65\xa7\xe5\xe4\x97\x13\xab\xc3\x08\x00\x10\xd1\x0c\xd9"
    "\x76\x00\x00\x00\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x9b\x74"
    "\x9d\x21\xf9\xa6\x7c\x83\xec\xd9\x54\x86\xe6\x45\x99\x29\x8b\x52"
    "\x8d\x56\x27\x97\x16\x97\xe4\xe7\xa6\x16\xc5\x67\xa6\xdc\x54\x31"
    "\x30\xb4\x34\x48\x34\x4d\x32\xd2\x35\x4f\x36\x4e\xd1\x35\x4f\x35"
    "\x49\xd3\xb5\x48\x34\x4c\xd2\x35\x02\x72\x4d\x52\x4d\xd3\xcc\x0c"
    "\xcc\x0d\x57\x97\xe7\x17\x65\xa7\xe5\xe4\x97\x13\xab\xc3\x08\x00"
    "\x10\x47\x20\x91\x76\x00\x00\x00"
    "\x82\xa4" "size\x02\xaa" "compressed\xa4" "gzip";
/* clang-format on */

/* Gzip as Ruby's GzipWriter and Python's gzip write it, from outside of the library that reads it:
 * two members of one entry each. */
Test(forward, gzip_of_another_hand)
{
    struct forwarded forwarded = forward(two_members, sizeof(two_members) - 1);

    cr_assert_eq(forwarded.status, TY_DECODE_OK);
    cr_assert_eq(forwarded.batch.event_count, 2);
    cr_assert(text_is(forwarded.batch.events[1].id, "e2"));
    forward_end(&forwarded);
}

/* The fast form, with which the heavy producers send: UUIDs of 16 bytes, fields by position. */
Test(forward, records_by_position)
{
    struct packed packed;
    struct forwarded forwarded;

    pack_begin(&packed);
    msgpack_pack_array(&packed.to, 2);
    pack_text(&packed, "usage");
    msgpack_pack_array(&packed.to, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        msgpack_pack_array(&packed.to, 2);
        pack_event_time(&packed, 1675173760 + i, 0);
        msgpack_pack_array(&packed.to, 7);
        pack_uuid_bytes(&packed, CUSTOMER);
        pack_uuid_bytes(&packed, CUSTOMER);
        pack_uuid_bytes(&packed, WORKFLOW);
        for (unsigned field = 0; field < 4; field++)
            msgpack_pack_uint64(&packed.to, i * field);
    }
    forwarded = forward(packed.buffer.data, packed.buffer.size);
    cr_assert_eq(forwarded.batch.event_count, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        const struct ty_event *event = &forwarded.batch.events[i];

        cr_assert(text_is(event->id, CUSTOMER));
        cr_assert_eq(event->time_ms, TIME_MS + 1000 * (int64_t)i);
        cr_assert_eq(event->credits, 0);
        cr_assert_eq(event->documents, i);
        cr_assert_eq(event->pages, 2 * i);
        cr_assert_eq(event->processing_ms, 3 * i);
    }
    check_records(&forwarded);
    forward_end(&forwarded);
    pack_free(&packed);
}

/* A connection's messages share a batch: if each made room for just its own entries, all that came
 * before would be copied for every one. */
Test(forward, many_small_messages_share_a_batch)
{
    struct ty_batch batch = {0};
    struct packed packed;
    size_t grown = 0;

    pack_begin(&packed);
    msgpack_pack_array(&packed.to, 2);
    pack_text(&packed, "usage");
    msgpack_pack_array(&packed.to, 3);
    for (int i = 0; i < 3; i++) {
        msgpack_pack_array(&packed.to, 2);
        msgpack_pack_nil(&packed.to);
        pack_array(&packed, "e");
    }
    for (size_t i = 0; i < 10000; i++) {
        size_t capacity = batch.record_capacity;
        struct ty_forward_message message;
        struct ty_decode_error error;

        cr_assert_eq(ty_forward_decode(packed.buffer.data, packed.buffer.size, INFLATED_MAX, &batch,
                                       &message, &error),
                     TY_DECODE_OK);
        cr_assert_eq(message.first_record, 3 * i);
        grown += batch.record_capacity != capacity;
    }
    cr_assert_eq(batch.event_count, 30000);
    cr_assert_leq(grown, 20, "%zu times", grown);
    ty_batch_fini(&batch);
    pack_free(&packed);
}

/* "Now" is what Fluentd makes of no time and of zero; a float is seconds. */
Test(forward, times_of_every_form)
{
    static const struct {
        const char *bytes;
        size_t length;
        int64_t time_ms;
    } cases[] = {
        {BYTES("\xc0"), TALLY_TIME_OF_ARRIVAL},
        {BYTES("\x00"), TALLY_TIME_OF_ARRIVAL},
        {BYTES("\xd7\x00\x00\x00\x00\x00\x00\x00\x00\x00"), TALLY_TIME_OF_ARRIVAL},
        {BYTES("\x01"), 1000},
        {BYTES("\xff"), -1000},
        {BYTES("\xcf\x00\x00\x00\x3a\xff\xf4\x41\x7f"), INT64_C(253402300799000)},
        {BYTES("\xcb\x3f\xf0\x04\x18\x93\x74\xbc\x6a"), 1001}, /* 1.001 */
        {BYTES("\xcb\x41\xd8\xf6\x47\xe0\x20\x00\x00"), TIME_MS + 500},
        {BYTES("\xca\x3f\x00\x00\x00"), 500},
        {BYTES("\x92\xcd\x01\x00\x80"), 256000}, /* with metadata */
        {BYTES("\x92\xc0\xc0"), TALLY_TIME_OF_ARRIVAL},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct packed packed;
        struct forwarded forwarded;

        pack_begin(&packed);
        msgpack_pack_array(&packed.to, 2);
        pack_text(&packed, "usage");
        msgpack_pack_array(&packed.to, 1);
        msgpack_pack_array(&packed.to, 2);
        msgpack_sbuffer_write(&packed.buffer, cases[i].bytes, cases[i].length);
        pack_map(&packed, "e1");
        forwarded = forward(packed.buffer.data, packed.buffer.size);
        cr_assert_eq(forwarded.batch.event_count, 1, "case %zu", i);
        cr_assert_eq(forwarded.batch.events[0].time_ms, cases[i].time_ms, "case %zu: %lld", i,
                     (long long)forwarded.batch.events[0].time_ms);
        check_records(&forwarded);
        forward_end(&forwarded);
        pack_free(&packed);
    }
}

/* A record that knows its own time knows it better than the collector that read it later. */
Test(forward, the_time_of_the_record_wins)
{
    /* clang-format off */
    static const char message[] = "\x93\xa3" "app\xce" SECONDS "\x84\xa2" "id\xa2" "e1\xab"
                                  "customer_id\xd9\x24" CUSTOMER "\xab"
                                  "workflow_id\xd9\x24" WORKFLOW "\xa4"
                                  "time\xb4" "2023-01-31T13:00:00Z";
    /* clang-format on */
    struct forwarded forwarded = forward(message, sizeof(message) - 1);

    cr_assert_eq(forwarded.batch.event_count, 1);
    cr_assert_eq(forwarded.batch.events[0].time_ms, INT64_C(1675170000000));
    forward_end(&forwarded);
}

/* The acknowledgement carries the chunk as it came, byte for byte: that is what the client compares
 * it with. */
Test(forward, acknowledgements_return_the_chunk)
{
    static const char message[] = "\x94\xa3\x61\x70\x70\x01" RECORD("e1") "\x81\xa5"
                                                                          "chunk\xd9\x02\x63\x31";
    struct forwarded forwarded = forward(message, sizeof(message) - 1);
    struct ty_buffer out = {0};

    ty_forward_append_ack(&forwarded.message, &out);
    cr_assert(
        text_is((struct ty_text){out.data, out.length}, "\x81\xa3\x61\x63\x6b\xd9\x02\x63\x31"));
    ty_buffer_fini(&out);
    forward_end(&forwarded);
}
