/*
 * test_json_events_differential.c: the event decoders against an independent reader: Jansson parses
 * the same damaged bodies, and the rules of the fields are applied to its tree.
 */
#include "engine/decimal.h"
#include "engine/timestamp.h"
#include "ingest/json_events.h"
#include "tests/ingest/mutate.h"

#include <criterion/criterion.h>
#include <jansson.h>

#define CUSTOMER "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6071"
#define IDS      "\"customer_id\":\"" CUSTOMER "\",\"workflow_id\":\"" CUSTOMER "\""

static const char *const events[] = {
    "{\"id\":\"e\\u00e9\\n\\ud83d\\ude00\"," IDS ",\"time\":\"2023-01-31T13:45:00Z\",\"credits\":"
    "15,\"pages\":12,\"x\":[true,false,null,{\"y\":\"\xe2\x82\xac\"}]}",
    "{\"pages\":4294967295,\"documents\":0,\"processing_ms\":1099511627776," IDS ",\"id\":\"b\"}",
    "{" IDS ",\"time\":1675172700123,\"credits\":\"-0.25\",\"user_id\":\"u\",\"id\":\"c\"}",
    "{\"id\":\"d\"," IDS "}",
};

enum verdict { REJECTED, TAKEN, UNKNOWN };

static bool is_absent(const json_t *value)
{
    return value == NULL || json_is_null(value);
}

static enum verdict judge_text(const json_t *value, size_t least, size_t most)
{
    size_t length = json_string_length(value);

    if (!json_is_string(value) || length < least || length > most)
        return REJECTED;
    return memchr(json_string_value(value), 0, length) == NULL ? TAKEN : REJECTED;
}

static enum verdict judge_uuid(const json_t *value)
{
    struct ty_uuid uuid;

    return json_is_string(value) &&
                   ty_uuid_parse(json_string_value(value), json_string_length(value), &uuid)
               ? TAKEN
               : REJECTED;
}

static enum verdict judge_integer(const json_t *value, json_int_t least, json_int_t most)
{
    if (is_absent(value))
        return TAKEN;
    return json_is_integer(value) && json_integer_value(value) >= least &&
                   json_integer_value(value) <= most
               ? TAKEN
               : REJECTED;
}

static enum verdict judge_time(const json_t *value)
{
    int64_t ms;

    if (!json_is_string(value))
        return judge_integer(value, -62135596800000, 253402300799999);
    return ty_timestamp_parse(json_string_value(value), json_string_length(value), &ms) == NULL
               ? TAKEN
               : REJECTED;
}

static enum verdict judge_credits(const json_t *value)
{
    int64_t micros;

    if (json_is_real(value))
        return UNKNOWN; /* the reference has rounded it to a double */
    if (!json_is_string(value))
        return judge_integer(value, -1000000000, 1000000000);
    return ty_decimal_parse(json_string_value(value), json_string_length(value), &micros) ==
                       TY_DECIMAL_OK &&
                   micros >= -TALLY_CREDITS_MICRO_MAX && micros <= TALLY_CREDITS_MICRO_MAX
               ? TAKEN
               : REJECTED;
}

static enum verdict judge_user(const json_t *value)
{
    return is_absent(value) ? TAKEN : judge_text(value, 0, TALLY_USER_BYTES_MAX);
}

static enum verdict judge(const json_t *record)
{
    enum verdict verdicts[] = {
        judge_text(json_object_get(record, "id"), 1, TALLY_ID_BYTES_MAX),
        judge_uuid(json_object_get(record, "customer_id")),
        judge_uuid(json_object_get(record, "workflow_id")),
        judge_time(json_object_get(record, "time")),
        judge_credits(json_object_get(record, "credits")),
        judge_integer(json_object_get(record, "documents"), 0, UINT32_MAX),
        judge_integer(json_object_get(record, "pages"), 0, UINT32_MAX),
        judge_integer(json_object_get(record, "processing_ms"), 0, TALLY_PROCESSING_MS_MAX),
        judge_user(json_object_get(record, "user_id")),
    };
    enum verdict result = TAKEN;

    for (size_t i = 0; i < TY_COUNT_OF(verdicts); i++)
        if (verdicts[i] == REJECTED)
            return REJECTED;
        else if (verdicts[i] == UNKNOWN)
            result = UNKNOWN;
    return result;
}

static void compare_text(struct ty_text text, const json_t *value)
{
    cr_assert_eq(text.length, json_string_length(value));
    cr_assert(text.length == 0 || memcmp(text.data, json_string_value(value), text.length) == 0);
}

/* An event must hold what the reference read; an absent value reads as 0 or "" there too. */
static void compare_event(const struct ty_event *event, const json_t *record)
{
    const json_t *credits = json_object_get(record, "credits");

    compare_text(event->id, json_object_get(record, "id"));
    compare_text(event->user, json_object_get(record, "user_id"));
    cr_assert_eq(event->documents, json_integer_value(json_object_get(record, "documents")));
    cr_assert_eq(event->pages, json_integer_value(json_object_get(record, "pages")));
    cr_assert_eq((json_int_t)event->processing_ms,
                 json_integer_value(json_object_get(record, "processing_ms")));
    if (is_absent(credits) || json_is_integer(credits))
        cr_assert_eq(event->credits, json_integer_value(credits) * TY_MICROS);
}

/* Compares what became of one record. `sure`: no name of the body was given twice. */
static void compare_record(const struct ty_batch *batch, size_t index, size_t *event_index,
                           const json_t *record, bool sure)
{
    bool taken = batch->outcomes[index].result == TALLY_NOT_STORED;
    enum verdict want = json_is_object(record) ? judge(record) : REJECTED;

    if (taken) {
        const struct ty_event *event = &batch->events[(*event_index)++];

        cr_assert_eq(event->record, index);
        cr_assert_neq(want, REJECTED, "record %zu was taken", index);
        if (sure)
            compare_event(event, record);
    } else if (sure) {
        cr_assert_neq(want, TAKEN, "record %zu was rejected: %s", index,
                      batch->outcomes[index].message);
    }
}

/* Limits of the reference's own, not of the grammar. */
static bool is_limit_of_jansson(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);

    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key;
}

static bool has_duplicates(const char *body, size_t length)
{
    json_error_t error;
    json_t *value =
        json_loadb(body, length, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);

    json_decref(value);
    return value == NULL;
}

/* What the document's shape makes of it: its records, or NULL when it is refused. */
static json_t *records_of(json_t *document)
{
    json_t *records = json_object_get(document, "records"), *array;

    if (json_is_array(document))
        return json_incref(document);
    if (records != NULL)
        return json_is_array(records) ? json_incref(records) : NULL;
    if (!json_is_object(document))
        return NULL;
    array = json_array();
    json_array_append(array, document);
    return array;
}

static void compare_document(const char *body, size_t length, bool *taken)
{
    struct ty_decode_error error = {0};
    struct ty_batch batch = {0};
    bool decoded = ty_json_events_decode(body, length, &batch, &error) == TY_DECODE_OK;
    json_error_t reason;
    json_t *document = json_loadb(body, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &reason);
    json_t *records = records_of(document);
    bool sure = document != NULL && !has_duplicates(body, length);
    size_t event_index = 0;

    *taken = decoded;
    if (document == NULL)
        cr_assert(!decoded || is_limit_of_jansson(&reason), "taken, but %s: %.*s", reason.text,
                  (int)length, body);
    else if (sure)
        cr_assert_eq(decoded, records != NULL, "%s at %zu: %.*s", error.message, error.byte,
                     (int)length, body);
    if (decoded && records != NULL && sure) {
        cr_assert_eq(batch.record_count, json_array_size(records));
        for (size_t i = 0; i < batch.record_count; i++)
            compare_record(&batch, i, &event_index, json_array_get(records, i), true);
        cr_assert_eq(event_index, batch.event_count);
    }
    json_decref(records);
    json_decref(document);
    ty_batch_fini(&batch);
}

/* Jansson knows no byte order mark, and takes a NUL behind a value for the end of the text. */
static bool confuses_jansson(const char *body, size_t length)
{
    return (length >= 3 && memcmp(body, "\xef\xbb\xbf", 3) == 0) || memchr(body, 0, length) != NULL;
}

/* Nothing that is no JSON may be counted, no good event may be lost, and what is counted must be
 * what was sent: all three against an independent reader, over damaged bodies. */
Test(json_events_differential, agrees_with_jansson_about_mutated_documents)
{
    struct ty_random random;
    unsigned taken_count = 0;

    ty_random_init(&random, ty_random_seed());
    for (unsigned round = 0; round < 8000; round++) {
        size_t length, first = ty_random_below(&random, TY_COUNT_OF(events));
        size_t second = ty_random_below(&random, TY_COUNT_OF(events));
        char body[2048], *damaged;
        bool taken;

        if (round % 4 == 0)
            snprintf(body, sizeof(body), "%s", events[first]);
        else if (round % 4 == 1)
            snprintf(body, sizeof(body), "{\"a\":1,\"records\":[%s]}", events[first]);
        else
            snprintf(body, sizeof(body), "[%s, %s]", events[first], events[second]);
        damaged = mutate(&random, body, &length);
        if (!confuses_jansson(damaged, length)) {
            compare_document(damaged, length, &taken);
            taken_count += taken;
        }
        free(damaged);
    }
    cr_assert_gt(taken_count, 500, "%u", taken_count); /* both sides were tried */
    cr_assert_lt(taken_count, 7500, "%u", taken_count);
}

static bool is_blank(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    return true;
}

static void compare_line(const struct ty_batch *batch, size_t index, size_t *event_index,
                         const char *line, size_t length)
{
    json_error_t reason;
    json_t *record = json_loadb(line, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &reason);

    cr_assert_lt(index, batch->record_count);
    if (record != NULL)
        compare_record(batch, index, event_index, record, !has_duplicates(line, length));
    else if (!is_limit_of_jansson(&reason))
        cr_assert_neq(batch->outcomes[index].result, TALLY_NOT_STORED, "taken, but %s: %.*s",
                      reason.text, (int)length, line);
    else if (batch->outcomes[index].result == TALLY_NOT_STORED)
        ++*event_index;
    json_decref(record);
}

/* The same for lines: every line on its own, and the index counts those that are not blank. */
Test(json_events_differential, agrees_with_jansson_about_mutated_lines)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (unsigned round = 0; round < 5000; round++) {
        struct ty_decode_error error;
        struct ty_batch batch = {0};
        size_t length, index = 0, event_index = 0;
        char body[2048], *damaged, *line, *end;

        snprintf(body, sizeof(body), "%s\r\n\n%s\n%s",
                 events[ty_random_below(&random, TY_COUNT_OF(events))],
                 events[ty_random_below(&random, TY_COUNT_OF(events))],
                 events[ty_random_below(&random, TY_COUNT_OF(events))]);
        damaged = mutate(&random, body, &length);
        cr_assert_eq(ty_ndjson_events_decode(damaged, length, &batch, &error), TY_DECODE_OK);
        end = damaged + length;
        for (line = damaged; line < end && !confuses_jansson(damaged, length);) {
            char *feed = memchr(line, '\n', (size_t)(end - line));
            size_t line_length = (size_t)((feed == NULL ? end : feed) - line);

            if (!is_blank(line, line_length))
                compare_line(&batch, index++, &event_index, line, line_length);
            line += line_length + 1;
        }
        if (!confuses_jansson(damaged, length)) {
            cr_assert_eq(index, batch.record_count);
            cr_assert_eq(event_index, batch.event_count);
        }
        ty_batch_fini(&batch);
        free(damaged);
    }
}
