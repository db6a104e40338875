/*
 * test_json_events_limits.c: bodies that are deep, large or many, of both kinds.
 */
#include "ingest/json_events.h"

#include "ingest/json_scan.h"
#include "tests/ingest/decoded.h"

#include <criterion/criterion.h>

/* Hostile nesting in an ignored field refuses a document, and rejects only its own line. */
Test(json_events_limits, nesting_is_limited_where_values_are_ignored)
{
    for (unsigned depth = TY_JSON_DEPTH_MAX; depth <= TY_JSON_DEPTH_MAX + 1; depth++) {
        bool taken = depth <= TY_JSON_DEPTH_MAX;
        char body[1024] = "{\"id\":\"e\"," IDS ",\"x\":";
        struct decoded decoded;

        for (unsigned i = 0; i < depth; i++)
            strcat(body, "[");
        for (unsigned i = 0; i < depth; i++)
            strcat(body, "]");
        strcat(body, "}");
        decoded = decode_json(body);
        cr_assert_eq(decoded.status, taken ? TY_DECODE_OK : TY_DECODE_REFUSED);
        if (!taken)
            cr_assert_str_eq(decoded.error.message, "nested deeper than 64 levels");
        finish(&decoded);
        strcat(body, "\n" GOOD("f"));
        decoded = decode_lines(body);
        cr_assert_eq(decoded.status, TY_DECODE_OK);
        cr_assert_eq(decoded.batch.record_count, 2);
        cr_assert_eq(decoded.batch.event_count, taken ? 2 : 1);
        finish(&decoded);
    }
}

#define HOSTILE_BYTES ((size_t)3 << 20)

/* `head`, then whole units up to `bytes` of them; to be freed. */
static char *repeat(const char *head, const char *unit, size_t bytes, size_t *length)
{
    size_t used = strlen(head), step = strlen(unit), count = bytes / step;
    char *text = malloc(used + count * step);

    memcpy(text, head, used);
    for (size_t i = 0; i < count; i++)
        memcpy(text + used + i * step, unit, step);
    *length = used + count * step;
    return text;
}

/* Large bodies of the worst content must end soon and cheaply. */
Test(json_events_limits, hostile_bodies_are_bounded)
{
    static const struct {
        const char *head, *unit, *error;
    } cases[] = {
        {"", "[", "nested deeper than 64 levels"},
        {"", "{\"a\":", "nested deeper than 64 levels"},
        {"[", "{},", "more than 100000 records"},
        {"[", "0,", "more than 100000 records"},
        {"{\"records\":[", "{\"id\":0},", "more than 100000 records"},
        {"", " ", "the text ends where a value should be"},
        {"[\"", "\\u0000", "the text ends inside a string"},
        {"{\"id\":\"", "\\ud83d\\ude00", "the text ends inside a string"},
        {"{\"id\":", "9", "the text ends inside an object"},
        {"[{", "\"id\":\"\\n\",", "the text ends inside an object"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_decode_error error = {0};
        struct ty_batch batch = {0};
        size_t length;
        char *body = repeat(cases[i].head, cases[i].unit, HOSTILE_BYTES, &length);

        cr_assert_eq(ty_json_events_decode(body, length, &batch, &error), TY_DECODE_REFUSED);
        cr_assert_not_null(strstr(error.message, cases[i].error), "%s%s...: %s", cases[i].head,
                           cases[i].unit, error.message);
        ty_batch_fini(&batch);
        free(body);
    }
}

/* A body of too many lines is refused as a whole, at the line that is one too many. */
Test(json_events_limits, too_many_lines_are_refused)
{
    struct ty_decode_error error = {0};
    struct ty_batch batch = {0};
    size_t length;
    char *body = repeat("", "{}\n", (size_t)TY_DECODE_RECORDS_MAX * 3, &length);

    cr_assert_eq(ty_ndjson_events_decode(body, length, &batch, &error), TY_DECODE_OK);
    cr_assert_eq(batch.record_count, TY_DECODE_RECORDS_MAX);
    ty_batch_fini(&batch);
    free(body);

    body = repeat("", "{}\n", (size_t)TY_DECODE_RECORDS_MAX * 3 + 3, &length);
    cr_assert_eq(ty_ndjson_events_decode(body, length, &batch, &error), TY_DECODE_REFUSED);
    cr_assert_eq(error.byte, (size_t)TY_DECODE_RECORDS_MAX * 3);
    cr_assert_str_eq(error.message, TY_DECODE_RECORDS_MAX_TEXT);
    ty_batch_fini(&batch);
    free(body);
}
