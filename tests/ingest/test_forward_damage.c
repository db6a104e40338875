/*
 * What is wrong with a message, an entry or a record, and how little of the rest it touches.
 */
#include "ingest/forward.h"

#include "tests/ingest/forward_message.h"

#include <criterion/criterion.h>

#define BYTES(string) string, sizeof(string) - 1

static void pack_raw(struct packed *packed, const char *bytes, size_t length)
{
    msgpack_sbuffer_write(&packed->buffer, bytes, length);
}

/* Packs [time, record]. */
static void pack_entry(struct packed *packed, const char *id)
{
    msgpack_pack_array(&packed->to, 2);
    msgpack_pack_int(&packed->to, 1675173760);
    pack_map(packed, id);
}

static void check_outcomes(const struct forwarded *forwarded, const char *want, const char *name)
{
    char outcomes[400];

    cr_assert_eq(forwarded->status, TY_DECODE_OK, "%s", name);
    describe(&forwarded->batch, outcomes, sizeof(outcomes));
    cr_assert_str_eq(outcomes, want, "%s: %s", name, outcomes);
    check_records(forwarded);
}

static const struct {
    const char *name;
    const char *bytes;
    size_t length;
    const char *message; /* its beginning */
} entries[] = {
    {"a number", BYTES("\x05"), "the entry is not [time, record]"},
    {"nil", BYTES("\xc0"), "the entry is not [time, record]"},
    {"a map", BYTES("\x81\x01\x02"), "the entry is not [time, record]"},
    {"nothing in it", BYTES("\x90"), "the entry is not [time, record]"},
    {"a time alone", BYTES("\x91\x01"), "the entry is not [time, record]"},
    {"a text for a time", BYTES("\x92\xa1\x31\x80"), "the entry's time is neither"},
    {"a map for a time", BYTES("\x92\x80\x80"), "the entry's time is neither"},
    {"three for a time", BYTES("\x92\x93\x01\x02\x03\x80"), "the entry's time is neither"},
    {"a map beside metadata", BYTES("\x92\x92\x80\x80\x80"), "the entry's time is neither"},
    {"a time after 9999", BYTES("\x92\xcf\x00\x00\x01\x8c\x00\x00\x00\x00\x80"),
     "the entry's time is neither"},
    {"a time in milliseconds", BYTES("\x92\xcb\x42\x78\x60\x56\x94\x64\x00\x00\x80"),
     "the entry's time is neither"},
    {"not a number", BYTES("\x92\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\x80"),
     "the entry's time is neither"},
    {"another extension", BYTES("\x92\xd7\x01\x00\x00\x00\x01\x00\x00\x00\x00\x80"),
     "the entry's time is neither"},
    {"a short EventTime", BYTES("\x92\xd6\x00\x00\x00\x00\x01\x80"), "the entry's time is neither"},
    {"nil for a record", BYTES("\x92\x01\xc0"), "the record is nil, not a map"},
    {"a text for a record", BYTES("\x92\x01\xa1\x78"), "the record is text, not a map"},
    {"an empty array", BYTES("\x92\x01\x90"), "the record is an array of 0 elements"},
    {"nine elements", BYTES("\x92\x01\x99\x01\x02\x03\x04\x05\x06\x07\x08\x09"),
     "the record is an array of 9 elements"},
    {"nil everywhere", BYTES("\x92\x01\x97\xc0\xc0\xc0\xc0\xc0\xc0\xc0"), "id: missing"},
};

/* One bad entry must not take its neighbours with it, whichever way they are sent. */
Test(forward_damage, a_bad_entry_is_a_reject_between_good_ones)
{
    for (size_t i = 0; i < TY_COUNT_OF(entries); i++)
        for (int packs = 0; packs < 2; packs++) {
            const char *name = entries[i].name;
            const struct ty_outcome *outcome;
            struct packed inner, message;
            struct forwarded forwarded;

            pack_begin(&inner);
            pack_entry(&inner, "a");
            pack_raw(&inner, entries[i].bytes, entries[i].length);
            pack_entry(&inner, "b");
            pack_begin(&message);
            msgpack_pack_array(&message.to, 2);
            pack_text(&message, "usage");
            if (packs)
                msgpack_pack_bin_with_body(&message.to, inner.buffer.data, inner.buffer.size);
            else
                msgpack_pack_array(&message.to, 3);
            if (!packs)
                pack_raw(&message, inner.buffer.data, inner.buffer.size);
            forwarded = forward(message.buffer.data, message.buffer.size);
            cr_assert_eq(forwarded.batch.record_count, 3, "%s", name);
            cr_assert_eq(forwarded.batch.event_count, 2, "%s", name);
            outcome = &forwarded.batch.outcomes[1];
            cr_assert_eq(strncmp(outcome->message, entries[i].message, strlen(entries[i].message)),
                         0, "%s: %s", name, outcome->message);
            check_records(&forwarded);
            forward_end(&forwarded);
            pack_free(&inner);
            pack_free(&message);
        }
}

/* More than [time, record] is ignored: a later version of the protocol may have it. */
Test(forward_damage, a_longer_entry_is_taken)
{
    struct packed packed;
    struct forwarded forwarded;

    pack_begin(&packed);
    msgpack_pack_array(&packed.to, 2);
    pack_text(&packed, "usage");
    msgpack_pack_array(&packed.to, 2);
    msgpack_pack_array(&packed.to, 3);
    msgpack_pack_int(&packed.to, 5);
    pack_map(&packed, "a");
    pack_map(&packed, "more");
    pack_entry(&packed, "b");
    forwarded = forward(packed.buffer.data, packed.buffer.size);
    cr_assert_eq(forwarded.batch.event_count, 2);
    check_records(&forwarded);
    forward_end(&forwarded);
    pack_free(&packed);
}

/* Packed entries that break off: what is whole counts, the rest is one reject that shows it. */
Test(forward_damage, the_tail_of_packed_entries_is_one_reject)
{
    static const struct {
        const char *bytes;
        size_t length;
    } tails[] = {
        {BYTES("\xc1")},
        {BYTES("\x92\x01")},
        {BYTES("\xdb\xff\xff\xff\xff")},
        {BYTES("\x92\x01\xc1 and more")},
    };

    for (size_t i = 0; i < TY_COUNT_OF(tails); i++) {
        struct packed inner, message;
        struct forwarded forwarded;
        struct ty_text tail;

        pack_begin(&inner);
        pack_entry(&inner, "a");
        pack_raw(&inner, tails[i].bytes, tails[i].length);
        pack_begin(&message);
        msgpack_pack_array(&message.to, 2);
        pack_text(&message, "usage");
        msgpack_pack_str_with_body(&message.to, inner.buffer.data, inner.buffer.size);
        forwarded = forward(message.buffer.data, message.buffer.size);
        check_outcomes(&forwarded, ". invalid_field()", "tail");
        tail = forwarded.message.tail;
        cr_assert(tail.length == tails[i].length &&
                      memcmp(tail.data, tails[i].bytes, tail.length) == 0,
                  "tail %zu", i);
        forward_end(&forwarded);
        pack_free(&inner);
        pack_free(&message);
    }
}

/* Gzip that is damaged or cut off: members before the damage count, and nothing that a wrong
 * checksum casts doubt on, or a flipped bit would be billed. */
Test(forward_damage, gzip_counts_up_to_the_damaged_member)
{
    struct ty_random random;
    struct packed inner;
    msgpack_sbuffer gzip;
    size_t member;

    ty_random_init(&random, ty_random_seed());
    pack_begin(&inner);
    for (int i = 0; i < 100; i++)
        pack_entry(&inner, "a");
    msgpack_sbuffer_init(&gzip);
    append_gzip(&gzip, inner.buffer.data, inner.buffer.size);
    member = gzip.size;
    append_gzip(&gzip, inner.buffer.data, inner.buffer.size);
    for (int round = 0; round < 1000; round++) {
        size_t at = ty_random_below(&random, gzip.size), length = gzip.size;
        size_t good;
        char *bytes = memcpy(malloc(length), gzip.data, length);
        struct packed message;
        struct forwarded forwarded;

        /* Nothing hangs on flags and a date, and on the bits that fill up the last byte of data. */
        if ((at % member >= 3 && at % member < 10) || at % member == member - 9)
            at = gzip.size - 1;
        if (ty_random_one_in(&random, 2))
            length = at;
        else
            bytes[at] = (char)(bytes[at] ^ 1 << ty_random_below(&random, 8));
        pack_gzip_message(&message, bytes, length, true);
        forwarded = forward(message.buffer.data, message.buffer.size);
        cr_assert_eq(forwarded.status, TY_DECODE_OK);
        if (length == 0 || length == member) {
            cr_assert_eq(forwarded.batch.record_count, length == 0 ? 0 : 100);
        } else {
            good = at < member ? 0 : 1;
            cr_assert_eq(forwarded.batch.event_count, 100 * good, "damaged at %zu of %zu", at,
                         gzip.size);
            cr_assert_eq(forwarded.batch.record_count, 100 * good + 1);
            cr_assert_eq(forwarded.message.tail.length, length - good * member);
        }
        check_records(&forwarded);
        forward_end(&forwarded);
        pack_free(&message);
        free(bytes);
    }
    msgpack_sbuffer_destroy(&gzip);
    pack_free(&inner);
}

/* The reject of a text that is no gzip at all carries it, so that nothing is lost. */
Test(forward_damage, what_is_no_gzip_is_kept_whole)
{
    struct packed message;
    struct forwarded forwarded;

    pack_gzip_message(&message, "no gzip", 7, false);
    forwarded = forward(message.buffer.data, message.buffer.size);
    check_outcomes(&forwarded, "invalid_field()", "no gzip");
    cr_assert(text_is(forwarded.message.tail, "no gzip"));
    cr_assert(text_is(forwarded.message.chunk, "\xa3"
                                               "c 1"));
    forward_end(&forwarded);
    pack_free(&message);
    pack_gzip_message(&message, "", 0, false);
    forwarded = forward(message.buffer.data, message.buffer.size);
    check_outcomes(&forwarded, "", "no bytes");
    forward_end(&forwarded);
    pack_free(&message);
}

/* A small message may inflate to gigabytes: it is refused at the limit, and exactly there. */
Test(forward_damage, entries_are_inflated_up_to_the_limit)
{
    for (int over = 0; over < 2; over++) {
        size_t length = INFLATED_MAX + (size_t)over;
        char *entries_of_one = memset(malloc(length), 0x05, length);
        struct packed message;
        struct forwarded forwarded;

        pack_compressed(&message, entries_of_one, length, 1, true);
        forwarded = forward(message.buffer.data, message.buffer.size);
        cr_assert_eq(forwarded.status, over ? TY_DECODE_REFUSED : TY_DECODE_OK);
        cr_assert_eq(forwarded.batch.record_count, over ? 0 : INFLATED_MAX);
        cr_assert_eq(forwarded.message.record_count, forwarded.batch.record_count);
        forward_end(&forwarded);
        pack_free(&message);
        free(entries_of_one);
    }
}

/* What cannot be read is refused as a whole, so that its producer keeps it; what was decoded before
 * it into the same batch stays. */
Test(forward_damage, a_refused_message_leaves_the_batch_as_it_was)
{
    struct ty_forward_message message;
    struct ty_decode_error error;
    struct ty_batch batch = {0};
    struct packed first, second;

    pack_begin(&first);
    msgpack_pack_array(&first.to, 3);
    pack_text(&first, "usage");
    msgpack_pack_int(&first.to, 5);
    pack_map(&first, "a");
    pack_begin(&second);
    msgpack_pack_array(&second.to, 3);
    pack_text(&second, "usage");
    msgpack_pack_bin_with_body(&second.to, "\x28\xb5\x2f\xfd", 4);
    msgpack_pack_map(&second.to, 1);
    pack_text(&second, "compressed");
    pack_text(&second, "zstd");

    cr_assert_eq(ty_forward_decode(first.buffer.data, first.buffer.size, INFLATED_MAX, &batch,
                                   &message, &error),
                 TY_DECODE_OK);
    cr_assert_eq(ty_forward_decode(second.buffer.data, second.buffer.size, INFLATED_MAX, &batch,
                                   &message, &error),
                 TY_DECODE_REFUSED);
    cr_assert_str_eq(error.message, "the entries are compressed, but not with gzip");
    cr_assert_eq(batch.record_count, 1);
    cr_assert_eq(message.record_count, 0);
    cr_assert_eq(ty_forward_decode(first.buffer.data, first.buffer.size, INFLATED_MAX, &batch,
                                   &message, &error),
                 TY_DECODE_OK);
    cr_assert_eq(message.first_record, 1);
    cr_assert_eq(message.record_count, 1);
    cr_assert_eq(batch.event_count, 2);
    ty_batch_fini(&batch);
    pack_free(&first);
    pack_free(&second);
}

/* An array that is no Forward message is kept, with all its bytes, and acknowledged if it asks. */
Test(forward_damage, a_message_of_no_known_form_is_one_reject)
{
    static const struct {
        const char *bytes;
        size_t length;
        bool ack;
    } messages[] = {
        {BYTES("\x90"), false},
        {BYTES("\x91\xa1\x74"), false},
        {BYTES("\x92\x01\x90"), false},
        {BYTES("\x93\xc0\x90\x80"), false},
        {BYTES("\x92\xa1\x74\x80"), false},
        {BYTES("\x93\xa1\x74\xc3\x80"), false},
        {BYTES("\x92\xa1\x74\x05"), false},
        {BYTES("\x93\x01\x02\x81\xa5\x63\x68\x75\x6e\x6b\x07"), true},
    };

    for (size_t i = 0; i < TY_COUNT_OF(messages); i++) {
        struct forwarded forwarded = forward(messages[i].bytes, messages[i].length);

        check_outcomes(&forwarded, "invalid_field()", "message");
        cr_assert_eq(forwarded.message.mode, TY_FORWARD_UNKNOWN, "message %zu", i);
        cr_assert_eq(forwarded.message.tail.length, messages[i].length, "message %zu", i);
        cr_assert_eq(forwarded.message.chunk.data != NULL, messages[i].ack, "message %zu", i);
        forward_end(&forwarded);
    }
}

/* Other values are ignored, as Fluentd does with its heartbeats. */
Test(forward_damage, values_that_are_no_array_are_ignored)
{
    static const struct {
        const char *bytes;
        size_t length;
    } values[] = {{BYTES("\xc0")}, {BYTES("\x05")}, {BYTES("\x81\x01\x02")}, {BYTES("\xa1\x78")}};

    for (size_t i = 0; i < TY_COUNT_OF(values); i++) {
        struct forwarded forwarded = forward(values[i].bytes, values[i].length);

        check_outcomes(&forwarded, "", "value");
        cr_assert_eq(forwarded.message.mode, TY_FORWARD_IGNORED, "value %zu", i);
        cr_assert(forwarded.message.chunk.data == NULL, "value %zu", i);
        forward_end(&forwarded);
    }
}

/* Options of every kind: only what is understood has a meaning, and no form of it does harm. */
Test(forward_damage, options_are_taken_as_far_as_they_are_understood)
{
    static const struct {
        const char *option;
        size_t length;
        const char *chunk; /* NULL: none */
    } cases[] = {
        {BYTES("\x80"), NULL},
        {BYTES("\xc0"), NULL},
        {BYTES("\x05"), NULL},
        {BYTES("\x81\xa5\x63\x68\x75\x6e\x6b\xc0"), NULL},           /* chunk: nil */
        {BYTES("\x81\xa5\x63\x68\x75\x6e\x6b\x07"), "\x07"},         /* chunk: 7 */
        {BYTES("\x81\xa5\x63\x68\x75\x6e\x6b\x91\x01"), "\x91\x01"}, /* chunk: [1] */
        {BYTES("\x81\x01\x02"), NULL},
        {BYTES("\x81\x91\x01\x91\x02"), NULL},
        {BYTES("\x82\xa4\x73\x69\x7a\x65\xc0\xa5\x63\x68\x75\x6e\x6b\x07"), "\x07"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        for (int mode = 0; mode < 3; mode++) {
            struct packed message, inner;
            struct forwarded forwarded;

            pack_begin(&inner);
            pack_entry(&inner, "a");
            pack_begin(&message);
            msgpack_pack_array(&message.to, mode == 0 ? 4 : 3);
            pack_text(&message, "usage");
            if (mode == 0) {
                msgpack_pack_nil(&message.to);
                pack_map(&message, "a");
            } else if (mode == 1) {
                msgpack_pack_array(&message.to, 1);
                pack_entry(&message, "a");
            } else {
                msgpack_pack_str_with_body(&message.to, inner.buffer.data, inner.buffer.size);
            }
            pack_raw(&message, cases[i].option, cases[i].length);
            forwarded = forward(message.buffer.data, message.buffer.size);
            check_outcomes(&forwarded, ".", "option");
            cr_assert_eq(forwarded.message.chunk.data == NULL, cases[i].chunk == NULL, "case %zu",
                         i);
            if (cases[i].chunk != NULL)
                cr_assert(text_is(forwarded.message.chunk, cases[i].chunk), "case %zu", i);
            forward_end(&forwarded);
            pack_free(&message);
            pack_free(&inner);
        }
}

static bool stop_at_second(void *context, size_t index, int64_t time_ms, struct ty_text record)
{
    size_t *calls = context;

    (void)time_ms;
    (void)record;
    ++*calls;
    return index < 1;
}

/* Looking for one reject must not cost a walk over all that follows. */
Test(forward_damage, each_record_stops_when_told)
{
    struct packed message;
    struct forwarded forwarded;
    size_t calls = 0;

    pack_begin(&message);
    msgpack_pack_array(&message.to, 2);
    pack_text(&message, "usage");
    msgpack_pack_array(&message.to, 5);
    for (int i = 0; i < 5; i++)
        pack_entry(&message, "a");
    forwarded = forward(message.buffer.data, message.buffer.size);
    ty_forward_each_record(&forwarded.message, stop_at_second, &calls);
    cr_assert_eq(calls, 2);
    forward_end(&forwarded);
    pack_free(&message);
}
