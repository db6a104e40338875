#include "storage/journal_codec.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS 400
#define NOW_MS  INT64_C(1700000000000)

/* What was put, to be compared with what comes back. */
struct put {
    enum ty_journal_kind kind;
    uint32_t series;
    struct ty_uuid customer, workflow;
    struct ty_event event;
    char id[TALLY_ID_BYTES_MAX], source[TALLY_SOURCE_BYTES_MAX], user[TALLY_USER_BYTES_MAX];
};

static void make_text(struct ty_random *random, char *text, size_t most, struct ty_text *out)
{
    size_t length = ty_random_one_in(random, 20) ? most : (size_t)ty_random_below(random, 30);

    for (size_t i = 0; i < length; i++)
        text[i] = (char)ty_random_u64(random);
    *out = (struct ty_text){text, length};
}

/* UUIDs in lower case, in upper case, in both: ids are kept letter by letter. */
static void make_uuid_id(struct ty_random *random, struct put *put)
{
    struct ty_uuid uuid;
    uint64_t style = ty_random_below(random, 4);

    ty_random_fill(random, uuid.bytes, sizeof(uuid.bytes));
    ty_uuid_format(&uuid, put->id);
    for (size_t i = 0; i < TY_UUID_TEXT_LENGTH; i++)
        if (style == 1 || (style == 2 && ty_random_one_in(random, 9)))
            put->id[i] = (char)toupper(put->id[i]);
    if (style == 3) /* nearly one */
        put->id[ty_random_below(random, TY_UUID_TEXT_LENGTH)] = 'g';
    put->event.id = (struct ty_text){put->id, TY_UUID_TEXT_LENGTH};
}

static void make_event(struct ty_random *random, struct put *put)
{
    struct ty_event *event = &put->event;

    put->kind = TY_JOURNAL_EVENT;
    *event = (struct ty_event){.time_ms = TALLY_TIME_OF_ARRIVAL};
    if (ty_random_one_in(random, 2))
        make_uuid_id(random, put);
    else
        make_text(random, put->id, sizeof(put->id), &event->id);
    if (ty_random_one_in(random, 3))
        make_text(random, put->source, sizeof(put->source), &event->source);
    if (ty_random_one_in(random, 3))
        make_text(random, put->user, sizeof(put->user), &event->user);
    if (ty_random_one_in(random, 2))
        event->time_ms = ty_random_one_in(random, 5)
                             ? TALLY_TIME_MS_MIN
                             : NOW_MS + (int64_t)ty_random_below(random, 100000000) - 50000000;
    if (ty_random_one_in(random, 2))
        event->credits = (int64_t)ty_random_below(random, 2 * TALLY_CREDITS_MICRO_MAX + 1) -
                         TALLY_CREDITS_MICRO_MAX;
    if (ty_random_one_in(random, 2))
        event->documents = (uint32_t)ty_random_wide(random);
    if (ty_random_one_in(random, 2))
        event->pages = (uint32_t)ty_random_wide(random);
    if (ty_random_one_in(random, 2))
        event->processing_ms = ty_random_below(random, TALLY_PROCESSING_MS_MAX + 1);
}

/* A value of random series and groups; returns how many records it has. */
static size_t make_value(struct ty_random *random, struct ty_buffer *value, struct put *puts,
                         const struct ty_journal_header *header, uint64_t sequence)
{
    size_t count = 0;

    ty_journal_begin(value, header);
    while (count < RECORDS && !ty_random_one_in(random, 50)) {
        uint32_t series = (uint32_t)ty_random_wide(random);

        if (ty_random_one_in(random, 3)) {
            struct put *put = &puts[count++];

            put->kind = TY_JOURNAL_SERIES;
            put->series = series;
            ty_random_fill(random, put->customer.bytes, 16);
            ty_random_fill(random, put->workflow.bytes, 16);
            ty_journal_put_series(value, series, &put->customer, &put->workflow);
            continue;
        }
        size_t group = ty_journal_begin_group(value, series);

        for (uint64_t n = ty_random_below(random, 30); n > 0 && count < RECORDS; n--) {
            make_event(random, &puts[count]);
            puts[count].series = series;
            ty_journal_put_event(value, &puts[count].event, header->received_ms);
            count++;
        }
        ty_journal_end_group(value, group);
    }
    ty_journal_finish(value, sequence);
    return count;
}

static bool same_text(struct ty_text a, struct ty_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static void assert_same(const struct ty_journal_record *record, const struct put *put)
{
    const struct ty_event *a = &record->event, *b = &put->event;

    cr_assert_eq(record->kind, put->kind);
    cr_assert_eq(record->series, put->series);
    if (put->kind == TY_JOURNAL_SERIES) {
        cr_assert_eq(ty_uuid_compare(&record->customer, &put->customer), 0);
        cr_assert_eq(ty_uuid_compare(&record->workflow, &put->workflow), 0);
        return;
    }
    cr_assert(same_text(a->id, b->id), "%.*s", (int)b->id.length, b->id.data);
    cr_assert(same_text(a->source, b->source));
    cr_assert(same_text(a->user, b->user));
    cr_assert_eq(a->time_ms, b->time_ms);
    cr_assert_eq(a->credits, b->credits);
    cr_assert_eq(a->documents, b->documents);
    cr_assert_eq(a->pages, b->pages);
    cr_assert_eq(a->processing_ms, b->processing_ms);
}

/* The journal is what a restart rebuilds everything from: each event comes back as it was, ids
 * letter by letter, or its retry would count twice. */
Test(journal_codec, every_record_comes_back_verbatim)
{
    static struct put puts[RECORDS + 30];
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 200; n++) {
        struct ty_journal_header header = {NOW_MS + n, NOW_MS - n * INT64_C(1000)}, read;
        struct ty_journal_cursor cursor;
        struct ty_journal_record record;
        struct ty_buffer value = {0};
        size_t count = make_value(&random, &value, puts, &header, (uint64_t)n + 1);
        char *exact;

        cr_assert(ty_buffer_ok(&value));
        exact = malloc(value.length);
        memcpy(exact, value.data, value.length);
        cr_assert(ty_journal_read_header(exact, value.length, &read));
        cr_assert_eq(read.received_ms, header.received_ms);
        cr_assert_eq(read.arrival_ms, header.arrival_ms);
        cr_assert(ty_journal_open(&cursor, (uint64_t)n + 1, exact, value.length), "%s",
                  cursor.problem);
        cr_assert_eq(cursor.header.received_ms, header.received_ms);
        cr_assert_eq(cursor.header.arrival_ms, header.arrival_ms);
        for (size_t i = 0; i < count; i++) {
            cr_assert(ty_journal_next(&cursor, &record), "record %zu: %s", i, cursor.problem);
            assert_same(&record, &puts[i]);
        }
        cr_assert(!ty_journal_next(&cursor, &record), "the end");
        cr_assert_null(cursor.problem);
        cr_assert(!ty_journal_next(&cursor, &record), "still the end");
        ty_buffer_fini(&value);
        free(exact);
    }
}

/* A void must take out exactly what its event had put in, whenever it is replayed. */
Test(journal_codec, a_void_comes_back_with_all_of_its_event)
{
    static struct put put;
    char reason[TY_VOID_REASON_BYTES_MAX];
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (uint64_t n = 1; n < 300; n++) {
        struct ty_journal_header header = {NOW_MS, NOW_MS};
        struct ty_journal_cursor cursor;
        struct ty_journal_record record;
        struct ty_buffer value = {0};
        struct ty_void what = {.place = {ty_random_wide(&random), (uint32_t)n, (uint32_t)(2 * n)}};

        make_event(&random, &put);
        put.kind = TY_JOURNAL_VOID;
        put.series = what.place.series;
        what.event = put.event;
        what.received_ms = NOW_MS + (int64_t)ty_random_below(&random, 1000000000000) - 500000000000;
        make_text(&random, reason, sizeof(reason), &what.reason);
        ty_journal_begin(&value, &header);
        ty_journal_put_void(&value, &what, header.received_ms);
        ty_journal_put_void(&value, &what, header.received_ms);
        ty_journal_finish(&value, n);
        cr_assert(ty_buffer_ok(&value));
        cr_assert(ty_journal_open(&cursor, n, value.data, value.length), "%s", cursor.problem);
        for (int i = 0; i < 2; i++) {
            cr_assert(ty_journal_next(&cursor, &record), "%s", cursor.problem);
            assert_same(&record, &put);
            cr_assert_eq(record.index, what.place.index);
            cr_assert_eq(record.voided_sequence, what.place.sequence);
            cr_assert_eq(record.voided_received_ms, what.received_ms);
            cr_assert(same_text(record.reason, what.reason));
        }
        cr_assert(!ty_journal_next(&cursor, &record));
        cr_assert_null(cursor.problem);
        ty_buffer_fini(&value);
    }
}

/* The place of an event is how its void is found: it must be counted in each group alone. */
Test(journal_codec, events_are_numbered_within_their_group_and_groups_can_be_skipped)
{
    struct ty_journal_header header = {NOW_MS, NOW_MS};
    struct ty_event event = {.time_ms = NOW_MS, .id = {"a", 1}};
    struct ty_journal_cursor cursor;
    struct ty_journal_record record;
    struct ty_buffer value = {0};

    ty_journal_begin(&value, &header);
    for (uint32_t series = 0; series < 3; series++) {
        size_t group = ty_journal_begin_group(&value, series);

        for (int i = 0; i < 4; i++)
            ty_journal_put_event(&value, &event, NOW_MS);
        ty_journal_end_group(&value, group);
    }
    ty_journal_finish(&value, 1);
    cr_assert(ty_journal_open(&cursor, 1, value.data, value.length));
    for (uint32_t series = 0; series < 3; series++)
        for (uint32_t i = 0; i < (series == 1 ? 2u : 4u); i++) {
            cr_assert(ty_journal_next(&cursor, &record));
            cr_assert_eq(record.series, series);
            cr_assert_eq(record.index, i);
            if (series == 1 && i == 1)
                ty_journal_skip_group(&cursor);
        }
    cr_assert(!ty_journal_next(&cursor, &record));
    cr_assert_null(cursor.problem);
    ty_buffer_fini(&value);
}

/* Disk space and recovery time go by the size of an event. */
Test(journal_codec, a_typical_event_with_a_uuid_takes_at_most_40_bytes)
{
    struct ty_journal_header header = {NOW_MS, NOW_MS};
    struct ty_buffer value = {0};
    const char *id = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    struct ty_event event = {.id = {id, 36},
                             .time_ms = NOW_MS - 1234,
                             .credits = 5000000,
                             .documents = 1,
                             .pages = 12,
                             .processing_ms = 1800};
    size_t before;

    ty_journal_begin(&value, &header);
    ty_journal_begin_group(&value, 7);
    before = value.length;
    ty_journal_put_event(&value, &event, NOW_MS);
    cr_assert_leq(value.length - before, 40u);
    ty_buffer_fini(&value);
}

static size_t small_value(struct ty_random *random, struct ty_buffer *value)
{
    static struct put puts[RECORDS + 30];
    struct ty_journal_header header = {NOW_MS, NOW_MS};
    size_t count = 0;

    while (count < 5 || value->length > 3000) {
        ty_buffer_fini(value);
        count = make_value(random, value, puts, &header, 42);
    }
    return count;
}

/* A flipped bit has to stop a restart with an error, never to become another event. */
Test(journal_codec, every_flipped_bit_is_detected)
{
    struct ty_journal_cursor cursor;
    struct ty_buffer value = {0};
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    small_value(&random, &value);
    for (size_t bit = 0; bit < value.length * 8; bit++) {
        char mask = (char)(1 << bit % 8);

        value.data[bit / 8] = (char)(value.data[bit / 8] ^ mask);
        cr_assert(!ty_journal_open(&cursor, 42, value.data, value.length), "bit %zu", bit);
        cr_assert_not_null(cursor.problem);
        value.data[bit / 8] = (char)(value.data[bit / 8] ^ mask);
    }
    cr_assert(ty_journal_open(&cursor, 42, value.data, value.length), "whole again");
    cr_assert(!ty_journal_open(&cursor, 43, value.data, value.length), "another place");
    cr_assert_str_eq(cursor.problem, "checksum mismatch");
    ty_buffer_fini(&value);
}

/* A value that lost its end is an error, and is not read beyond it. */
Test(journal_codec, a_truncated_value_is_detected)
{
    struct ty_journal_cursor cursor;
    struct ty_journal_header header;
    struct ty_journal_record record;
    struct ty_buffer value = {0};
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    small_value(&random, &value);
    for (size_t cut = 0; cut < value.length; cut++) {
        char *bytes = malloc(cut + 1);

        memcpy(bytes, value.data, cut);
        cr_assert(!ty_journal_open(&cursor, 42, bytes, cut), "%zu bytes", cut);
        cr_assert(!ty_journal_next(&cursor, &record), "nothing is read from it");
        cr_assert_eq(ty_journal_read_header(bytes, cut, &header), cut >= TY_JOURNAL_HEADER_BYTES);
        free(bytes);
    }
    ty_buffer_fini(&value);
}

/* A checksum that is right does not make the bytes right: a writer with a bug, or an unknown kind
 * of record, has to be refused with a reason and without a crash. */
Test(journal_codec, malformed_records_under_a_right_checksum_are_refused)
{
    struct ty_random random;
    struct ty_buffer value = {0};
    unsigned refused = 0;

    ty_random_init(&random, ty_random_seed());
    small_value(&random, &value);
    for (size_t at = TY_JOURNAL_HEADER_BYTES; at < value.length; at++) {
        char before = value.data[at], *exact = malloc(value.length);
        struct ty_journal_cursor cursor;
        struct ty_journal_record record;

        value.data[at] = (char)ty_random_u64(&random);
        ty_journal_finish(&value, 42);
        memcpy(exact, value.data, value.length);
        cr_assert(ty_journal_open(&cursor, 42, exact, value.length));
        for (size_t n = 0; ty_journal_next(&cursor, &record); n++)
            cr_assert_lt(n, value.length, "it comes to an end");
        if (cursor.problem != NULL) {
            cr_assert_str_eq(cursor.problem, "malformed record");
            refused++;
        }
        value.data[at] = before;
        free(exact);
    }
    cr_assert_gt(refused, 0u);
    ty_buffer_fini(&value);
}

/* An idle commit (a checkpoint) has no events. */
Test(journal_codec, a_value_may_be_empty)
{
    struct ty_journal_header header = {NOW_MS, NOW_MS};
    struct ty_journal_cursor cursor;
    struct ty_journal_record record;
    struct ty_buffer value = {0};

    ty_journal_begin(&value, &header);
    ty_journal_finish(&value, 1);
    cr_assert_eq(value.length, (size_t)TY_JOURNAL_HEADER_BYTES);
    cr_assert(ty_journal_open(&cursor, 1, value.data, value.length));
    cr_assert(!ty_journal_next(&cursor, &record));
    cr_assert_null(cursor.problem);
    ty_buffer_fini(&value);
}
