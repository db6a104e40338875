#include "ingest/event_fields.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define UUID_TEXT "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6071"

static struct ty_value text_value(const char *text)
{
    return (struct ty_value){.kind = TY_VALUE_TEXT, .text = {text, strlen(text)}};
}

static struct ty_value integer_value(bool negative, uint64_t magnitude)
{
    return (struct ty_value){
        .kind = TY_VALUE_INTEGER, .negative = negative, .magnitude = magnitude};
}

static void set(struct ty_record *record, enum ty_field field, struct ty_value value)
{
    ty_event_fields_set(record, field, &value);
}

static void set_required(struct ty_record *record)
{
    set(record, TY_FIELD_ID, text_value("e1"));
    set(record, TY_FIELD_CUSTOMER_ID, text_value(UUID_TEXT));
    set(record, TY_FIELD_WORKFLOW_ID, text_value(UUID_TEXT));
}

/* A field that is not found by its name is silently not counted. */
Test(event_fields, every_name_is_found_and_nothing_else)
{
    static const char *const strangers[] = {
        "",
        "i",
        "iD",
        "ID",
        "Id",
        "di",
        "Time",
        "tim",
        "timee",
        "Pages",
        "page",
        "credit",
        "creditS",
        "user_ID",
        "userid",
        "usera_id",
        "document",
        "documentz",
        "source",
        "customerid",
        "customer-id",
        "Customer_id",
        "workflow_iD",
        "processing_m",
        "processing_mS",
        "processing_ms ",
        "records",
    };

    for (unsigned field = 0; field < TY_FIELD_COUNT; field++) {
        const char *name = ty_event_fields_name(field);

        cr_assert_eq(ty_event_fields_find(name, strlen(name)), field, "%s", name);
        cr_assert_leq(strlen(name), TY_FIELD_NAME_BYTES_MAX, "%s", name);
        for (size_t length = 0; length < strlen(name); length++)
            cr_assert_eq(ty_event_fields_find(name, length), TY_FIELD_UNKNOWN, "%s", name);
    }
    for (size_t i = 0; i < TY_COUNT_OF(strangers); i++)
        cr_assert_eq(ty_event_fields_find(strangers[i], strlen(strangers[i])), TY_FIELD_UNKNOWN,
                     "%s", strangers[i]);
    cr_assert_eq(ty_event_fields_find("id\0x", 4), TY_FIELD_UNKNOWN);
}

/* What a decoder hands over must reach the event unchanged, from either form of every type. */
Test(event_fields, typed_values_reach_the_event)
{
    static const char raw[16] = "\x01\x90\xa5\xb2\x7c\x3d\x7e\x4f\x8a\x1b\x2c\x3d\x4e\x5f\x60\x71";
    struct ty_batch batch = {0};
    struct ty_record record;
    struct ty_event *event;

    cr_assert(ty_event_fields_begin(&record, &batch));
    event = record.event;
    set(&record, TY_FIELD_ID, text_value("\xc3\xa9vent"));
    set(&record, TY_FIELD_CUSTOMER_ID, text_value("0190A5B2-7C3D-7E4F-8A1B-2C3D4E5F6071"));
    set(&record, TY_FIELD_WORKFLOW_ID,
        (struct ty_value){.kind = TY_VALUE_BYTES, .text = {raw, sizeof(raw)}});
    set(&record, TY_FIELD_TIME, text_value("2023-01-31T13:45:00.5+02:00"));
    set(&record, TY_FIELD_CREDITS, text_value("-1.25e1"));
    set(&record, TY_FIELD_DOCUMENTS, integer_value(false, UINT32_MAX));
    set(&record, TY_FIELD_PAGES, integer_value(true, 0));
    set(&record, TY_FIELD_PROCESSING_MS, integer_value(false, TALLY_PROCESSING_MS_MAX));
    set(&record, TY_FIELD_USER_ID, text_value("u"));
    set(&record, TY_FIELD_UNKNOWN, text_value("ignored"));
    ty_event_fields_end(&record);

    cr_assert_eq(batch.event_count, 1);
    cr_assert_eq(batch.record_count, 1);
    cr_assert_eq(batch.outcomes[0].result, TALLY_NOT_STORED);
    cr_assert_eq(event->id.length, 6);
    cr_assert_eq(memcmp(event->customer.bytes, raw, 16), 0);
    cr_assert_eq(memcmp(event->workflow.bytes, raw, 16), 0);
    cr_assert_eq(event->time_ms, INT64_C(1675165500500));
    cr_assert_eq(event->credits, -12500000);
    cr_assert_eq(event->documents, UINT32_MAX);
    cr_assert_eq(event->pages, 0);
    cr_assert_eq(event->processing_ms, TALLY_PROCESSING_MS_MAX);
    cr_assert_eq(event->user.length, 1);
    cr_assert_eq(event->source.length, 0);
    ty_batch_fini(&batch);
}

/* null for an optional field is its default; omitting the field must give the same event, or a
 * retry by another library would be a conflict. */
Test(event_fields, null_and_absent_optional_fields_are_the_same_event)
{
    struct ty_batch batch = {0};
    struct ty_record record;

    cr_assert(ty_event_fields_begin(&record, &batch));
    set_required(&record);
    ty_event_fields_end(&record);
    cr_assert(ty_event_fields_begin(&record, &batch));
    set_required(&record);
    for (unsigned field = TY_FIELD_TIME; field < TY_FIELD_COUNT; field++)
        set(&record, field, (struct ty_value){.kind = TY_VALUE_NULL});
    ty_event_fields_end(&record);

    cr_assert_eq(batch.event_count, 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct ty_event *event = &batch.events[i];

        cr_assert_eq(event->time_ms, TALLY_TIME_OF_ARRIVAL);
        cr_assert_eq(event->credits, 0);
        cr_assert_eq(event->documents, 0);
        cr_assert_eq(event->pages, 0);
        cr_assert_eq(event->processing_ms, 0);
        cr_assert_eq(event->user.length, 0);
    }
    ty_batch_fini(&batch);
}

/* A producer is told which field is missing; null does not stand for a required one. */
Test(event_fields, required_fields_must_be_there)
{
    for (unsigned left_out = TY_FIELD_ID; left_out <= TY_FIELD_WORKFLOW_ID; left_out++)
        for (unsigned null = 0; null < 2; null++) {
            struct ty_batch batch = {0};
            struct ty_record record;
            const char *name = ty_event_fields_name(left_out);

            cr_assert(ty_event_fields_begin(&record, &batch));
            for (unsigned field = TY_FIELD_ID; field <= TY_FIELD_WORKFLOW_ID; field++)
                if (field != left_out)
                    set(&record, field, text_value(UUID_TEXT));
                else if (null)
                    set(&record, field, (struct ty_value){.kind = TY_VALUE_NULL});
            ty_event_fields_end(&record);

            cr_assert_eq(batch.event_count, 0);
            cr_assert_eq(batch.record_count, 1);
            cr_assert_eq(batch.outcomes[0].result, TALLY_MISSING_FIELD);
            cr_assert_eq(strncmp(batch.outcomes[0].message, name, strlen(name)), 0, "%s",
                         batch.outcomes[0].message);
            cr_assert_eq(batch.outcomes[0].id.length, left_out == TY_FIELD_ID ? 0 : 36);
            ty_batch_fini(&batch);
        }
}

/* "A field given twice" is rejected for every field and every mix with null. */
Test(event_fields, a_field_may_be_given_once)
{
    for (unsigned field = 0; field < TY_FIELD_COUNT; field++)
        for (unsigned nulls = 0; nulls < 4; nulls++) {
            struct ty_value null = {.kind = TY_VALUE_NULL};
            struct ty_value value =
                field <= TY_FIELD_TIME || field == TY_FIELD_USER_ID
                    ? text_value(field == TY_FIELD_TIME ? "2023-01-31T13:45:00Z" : UUID_TEXT)
                    : integer_value(false, 1);
            struct ty_batch batch = {0};
            struct ty_record record;
            char want[64];

            cr_assert(ty_event_fields_begin(&record, &batch));
            ty_event_fields_set(&record, field, nulls & 1 ? &null : &value);
            ty_event_fields_set(&record, field, nulls & 2 ? &null : &value);
            ty_event_fields_end(&record);

            snprintf(want, sizeof(want), "%s: given twice (a field may be given once)",
                     ty_event_fields_name(field));
            cr_assert_eq(batch.outcomes[0].result, TALLY_INVALID_FIELD);
            cr_assert_str_eq(batch.outcomes[0].message, want);
            ty_batch_fini(&batch);
        }
}

/* The client reads these: which field, what was given, what is allowed. */
Test(event_fields, messages_say_what_was_given_and_what_is_allowed)
{
    static const struct {
        enum ty_field field;
        struct ty_value value;
        tally_result result;
        const char *message;
    } cases[] = {
        {TY_FIELD_PAGES,
         {TY_VALUE_INTEGER, false, UINT64_C(4294967296), {NULL, 0}, 0},
         TALLY_OUT_OF_RANGE,
         "pages: 4294967296 is out of range (0 to 4294967295)"},
        {TY_FIELD_PAGES,
         {TY_VALUE_INTEGER, true, 1, {NULL, 0}, 0},
         TALLY_OUT_OF_RANGE,
         "pages: -1 is out of range (0 to 4294967295)"},
        {TY_FIELD_PAGES,
         {TY_VALUE_TEXT, false, 0, {"12", 2}, 0},
         TALLY_INVALID_FIELD,
         "pages: \"12\" is text, not an integer (0 to 4294967295)"},
        {TY_FIELD_PAGES,
         {TY_VALUE_NUMBER, false, 1, {"1.0", 3}, 0},
         TALLY_INVALID_FIELD,
         "pages: 1.0 has a fraction or an exponent (0 to 4294967295)"},
        {TY_FIELD_PAGES,
         {TY_VALUE_BYTES, false, 0, {"\xff\x00", 2}, 0},
         TALLY_INVALID_FIELD,
         "pages: 2 bytes of binary is not an integer (0 to 4294967295)"},
        {TY_FIELD_PAGES,
         {TY_VALUE_OTHER, false, 0, {"an array", 8}, 0},
         TALLY_INVALID_FIELD,
         "pages: an array is not an integer (0 to 4294967295)"},
        {TY_FIELD_PROCESSING_MS,
         {TY_VALUE_INTEGER, false, UINT64_C(1099511627777), {NULL, 0}, 0},
         TALLY_OUT_OF_RANGE,
         "processing_ms: 1099511627777 is out of range (0 to 1099511627776)"},
        {TY_FIELD_CUSTOMER_ID,
         {TY_VALUE_TEXT, false, 0, {"a\"\n\\\x7f", 5}, 0},
         TALLY_INVALID_FIELD,
         "customer_id: \"a\\\"\\u000a\\\\\\u007f\" is not a UUID (36 characters: 8-4-4-4-12 "
         "hexadecimal digits)"},
        {TY_FIELD_CUSTOMER_ID,
         {TY_VALUE_BYTES, false, 0, {"0123456789abcde", 15}, 0},
         TALLY_INVALID_FIELD,
         "customer_id: 15 bytes of binary is not a UUID (36 characters: 8-4-4-4-12 "
         "hexadecimal digits)"},
        {TY_FIELD_ID,
         {TY_VALUE_TEXT, false, 0, {"", 0}, 0},
         TALLY_OUT_OF_RANGE,
         "id: \"\" is empty (text of 1 to 128 bytes of UTF-8, without U+0000)"},
        {TY_FIELD_ID,
         {TY_VALUE_TEXT, false, 0, {"a\0b", 3}, 0},
         TALLY_INVALID_FIELD,
         "id: \"a\\u0000b\" holds U+0000 (text of 1 to 128 bytes of UTF-8, without U+0000)"},
        {TY_FIELD_USER_ID,
         {TY_VALUE_INTEGER, false, 7, {"7", 1}, 0},
         TALLY_INVALID_FIELD,
         "user_id: 7 is not text (text of at most 128 bytes of UTF-8, without U+0000)"},
        {TY_FIELD_TIME,
         {TY_VALUE_TEXT, false, 0, {"2023-02-30T00:00:00Z", 20}, 0},
         TALLY_INVALID_FIELD,
         "time: \"2023-02-30T00:00:00Z\" is not a date-time: the day does not exist in that month "
         "(a date-time as in RFC 3339 with its zone, or integer milliseconds since 1970, "
         "946684800000 to 253402300799999)"},
        {TY_FIELD_CREDITS,
         {TY_VALUE_TEXT, false, 0, {"0.1234567", 9}, 0},
         TALLY_INVALID_FIELD,
         "credits: \"0.1234567\" has more than 6 fractional digits (a number, or text that holds "
         "one, -1000000000 to 1000000000, with at most 6 fractional digits)"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_batch batch = {0};
        struct ty_record record;

        cr_assert(ty_event_fields_begin(&record, &batch));
        ty_event_fields_set(&record, cases[i].field, &cases[i].value);
        ty_event_fields_end(&record);
        cr_assert_eq(batch.outcomes[0].result, cases[i].result, "case %zu", i);
        cr_assert_str_eq(batch.outcomes[0].message, cases[i].message);
        cr_assert_eq(batch.outcomes[0].id.length, 0);
        ty_batch_fini(&batch);
    }
}

/* A megabyte in a field must not come back as a megabyte of message, nor end in half a character.
 */
Test(event_fields, long_values_are_shortened_in_messages)
{
    struct ty_batch batch = {0};
    struct ty_record record;
    char text[1001];

    for (size_t i = 0; i < 1000; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[0] = text[1] = 'x';
    text[2] = 'y'; /* shifts the characters against the limit */
    memmove(text + 3, text + 4, 996);
    text[999] = '\0';
    cr_assert(ty_event_fields_begin(&record, &batch));
    set(&record, TY_FIELD_ID, text_value(text));
    ty_event_fields_end(&record);

    cr_assert_eq(batch.outcomes[0].result, TALLY_OUT_OF_RANGE);
    cr_assert_not_null(strstr(batch.outcomes[0].message, "\xc3\xa9...\" (999 bytes) is too long"),
                       "%s", batch.outcomes[0].message);
    cr_assert_lt(strlen(batch.outcomes[0].message), 160);
    ty_batch_fini(&batch);
}

/* The client finds its own record by the id, so it must be there even if it came after the fault;
 * and the first fault is the one that is told. */
Test(event_fields, a_reject_carries_the_id_and_the_first_fault)
{
    struct ty_batch batch = {0};
    struct ty_record record;

    cr_assert(ty_event_fields_begin(&record, &batch));
    set(&record, TY_FIELD_PAGES, integer_value(true, 3));
    set(&record, TY_FIELD_CUSTOMER_ID, text_value("nonsense"));
    set(&record, TY_FIELD_ID, text_value("late"));
    set(&record, TY_FIELD_ID, text_value("second"));
    ty_event_fields_end(&record);

    cr_assert_eq(batch.outcomes[0].result, TALLY_OUT_OF_RANGE);
    cr_assert_eq(strncmp(batch.outcomes[0].message, "pages: -3", 9), 0);
    cr_assert_eq(batch.outcomes[0].id.length, 4);
    cr_assert_eq(memcmp(batch.outcomes[0].id.data, "late", 4), 0);
    ty_batch_fini(&batch);
}

/* What a format has beyond the fields must be told in the same words, and only as the first fault.
 */
Test(event_fields, other_values_are_told_in_the_same_words)
{
    struct ty_value value = text_value("a\"b");
    struct ty_batch batch = {0};
    struct ty_record record;

    cr_assert(ty_event_fields_begin(&record, &batch));
    set(&record, TY_FIELD_ID, text_value("e1"));
    ty_event_fields_fail_value(&record, "source", &value, TALLY_OUT_OF_RANGE, "is odd", "even");
    ty_event_fields_fail_value(&record, "type", &value, TALLY_INVALID_FIELD, "is odd", "even");
    ty_event_fields_end(&record);

    cr_assert_eq(batch.event_count, 0);
    cr_assert_eq(batch.outcomes[0].result, TALLY_OUT_OF_RANGE);
    cr_assert_str_eq(batch.outcomes[0].message, "source: \"a\\\"b\" is odd (even)");
    ty_batch_fini(&batch);
}
