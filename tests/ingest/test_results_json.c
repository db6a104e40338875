#include "ingest/results_json.h"

#include "ingest/json_scan.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const tally_options defaults = TALLY_OPTIONS_INIT;

static struct ty_text text_of(const char *text)
{
    return (struct ty_text){.data = text, .length = strlen(text)};
}

/* A batch of one record a result, without ids or messages. */
static void add_all(struct ty_batch *batch, const tally_result *results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ty_batch_reject(batch, results[i], (struct ty_text){0}, NULL);
}

static void assert_answer(const struct ty_batch *batch, bool all, const char *want)
{
    struct ty_buffer buffer = {0};

    ty_results_json_write(&buffer, batch, all, &defaults);
    cr_assert(ty_buffer_ok(&buffer));
    cr_assert_eq(buffer.length, strlen(want), "%.*s", (int)buffer.length, buffer.data);
    cr_assert_eq(memcmp(buffer.data, want, buffer.length), 0, "%.*s", (int)buffer.length,
                 buffer.data);
    ty_buffer_fini(&buffer);
}

/* The shape that every client parses. */
Test(results_json, answer_has_the_documented_shape)
{
    struct ty_batch batch = {0};

    assert_answer(&batch, false, "{\"accepted\":0,\"duplicates\":0,\"rejected\":[]}");
    assert_answer(&batch, true, "{\"accepted\":0,\"duplicates\":0,\"rejected\":[],\"results\":[]}");

    ty_batch_reject(&batch, TALLY_ACCEPTED, text_of("a"), NULL);
    ty_batch_reject(&batch, TALLY_DUPLICATE, text_of("b"), NULL);
    ty_batch_reject(&batch, TALLY_ACCEPTED, text_of("c"), NULL);
    ty_batch_reject(&batch, TALLY_OUT_OF_RANGE, text_of("d\"\n\xc3\xa9"), "pages: \"x\"");
    ty_batch_reject(&batch, TALLY_MISSING_FIELD, (struct ty_text){0}, "id: missing");
    assert_answer(&batch, false,
                  "{\"accepted\":2,\"duplicates\":1,\"rejected\":["
                  "{\"index\":3,\"id\":\"d\\\"\\n\xc3\xa9\",\"code\":\"out_of_range\","
                  "\"message\":\"pages: \\\"x\\\"\"},"
                  "{\"index\":4,\"id\":null,\"code\":\"missing_field\",\"message\":\"id: missing\"}"
                  "]}");
    assert_answer(&batch, true,
                  "{\"accepted\":2,\"duplicates\":1,\"rejected\":["
                  "{\"index\":3,\"id\":\"d\\\"\\n\xc3\xa9\",\"code\":\"out_of_range\","
                  "\"message\":\"pages: \\\"x\\\"\"},"
                  "{\"index\":4,\"id\":null,\"code\":\"missing_field\",\"message\":\"id: missing\"}"
                  "],\"results\":[\"accepted\",\"duplicate\",\"accepted\",\"out_of_range\","
                  "\"missing_field\"]}");
    ty_batch_fini(&batch);
}

/* A code alone leaves the client guessing: every one comes with a sentence, whoever gave it. */
Test(results_json, every_code_has_a_message_of_its_own)
{
    static const struct {
        tally_result result;
        const char *code, *part;
    } cases[] = {
        {TALLY_MISSING_FIELD, "missing_field", "are required"},
        {TALLY_INVALID_FIELD, "invalid_field", "wrong type or form"},
        {TALLY_OUT_OF_RANGE, "out_of_range", "out of range"},
        {TALLY_TOO_NEW, "too_new", "at most 24 h ahead"},
        {TALLY_TOO_OLD, "too_old", "before 2000-01-01T00:00:00Z"},
        {TALLY_ID_CONFLICT, "id_conflict", "only the same content"},
        {TALLY_OVERFLOW, "overflow", "64 bits"},
        {TALLY_SERIES_LIMIT, "series_limit", "all 10000000 series"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_batch batch = {0};
        struct ty_buffer buffer = {0};
        struct ty_json json;
        char code[64];

        add_all(&batch, &cases[i].result, 1);
        ty_results_json_write(&buffer, &batch, true, &defaults);
        ty_json_init(&json, buffer.data, buffer.length);
        cr_assert(ty_json_skip(&json) && ty_json_end(&json));
        ty_buffer_append_char(&buffer, '\0');
        snprintf(code, sizeof(code), "\"code\":\"%s\"", cases[i].code);
        cr_assert_not_null(strstr(buffer.data, code), "%s", buffer.data);
        cr_assert_not_null(strstr(buffer.data, cases[i].part), "%s", buffer.data);
        ty_buffer_fini(&buffer);
        ty_batch_fini(&batch);
    }
}

/* The limits in messages are the ones that this server was started with. */
Test(results_json, messages_name_the_configured_limits)
{
    static const struct {
        int64_t future_ms_max;
        const char *part;
    } cases[] = {{-1, "at most 24 h ahead"},
                 {0, "at most 0 h ahead"},
                 {INT64_C(7200000), "at most 2 h ahead"},
                 {1500, "at most 1500 ms ahead"}};
    static const tally_result results[] = {TALLY_TOO_NEW, TALLY_SERIES_LIMIT};

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        tally_options options = TALLY_OPTIONS_INIT;
        struct ty_batch batch = {0};
        struct ty_buffer buffer = {0};

        options.future_ms_max = cases[i].future_ms_max;
        options.series_max = 77;
        add_all(&batch, results, TY_COUNT_OF(results));
        ty_results_json_write(&buffer, &batch, false, &options);
        ty_buffer_append_char(&buffer, '\0');
        cr_assert_not_null(strstr(buffer.data, cases[i].part), "%s", buffer.data);
        cr_assert_not_null(strstr(buffer.data, "all 77 series"), "%s", buffer.data);
        ty_buffer_fini(&buffer);
        ty_batch_fini(&batch);
    }
}

/* Answers for large batches must stay well-formed and count every record once. */
Test(results_json, large_answers_are_well_formed)
{
    struct ty_batch batch = {0};
    struct ty_buffer buffer = {0};
    struct ty_json json;
    char head[64];

    for (unsigned i = 0; i < 30000; i++)
        ty_batch_reject(&batch, (tally_result)(i % 10), text_of(i % 2 ? "\x7f\\" : ""), NULL);
    ty_results_json_write(&buffer, &batch, true, &defaults);

    cr_assert(ty_buffer_ok(&buffer));
    ty_json_init(&json, buffer.data, buffer.length);
    cr_assert(ty_json_skip(&json) && ty_json_end(&json));
    snprintf(head, sizeof(head), "{\"accepted\":3000,\"duplicates\":3000,\"rejected\":[");
    cr_assert_eq(memcmp(buffer.data, head, strlen(head)), 0);
    ty_buffer_fini(&buffer);
    ty_batch_fini(&batch);
}

/* An error that lists rejects holds the same members, and decides by their number. */
Test(results_json, members_and_counts_stand_alone)
{
    static const tally_result results[] = {TALLY_ACCEPTED, TALLY_TOO_OLD, TALLY_DUPLICATE,
                                           TALLY_ACCEPTED};
    static const char want[] =
        "\"accepted\":2,\"duplicates\":1,\"rejected\":[{\"index\":1,\"id\":null,";
    struct ty_buffer buffer = {0};
    struct ty_batch batch = {0};
    struct ty_results_count count = ty_results_json_count(&batch);

    cr_assert_eq(count.accepted + count.duplicates + count.rejected, 0);
    add_all(&batch, results, TY_COUNT_OF(results));
    count = ty_results_json_count(&batch);
    cr_assert_eq(count.accepted, 2);
    cr_assert_eq(count.duplicates, 1);
    cr_assert_eq(count.rejected, 1);
    ty_results_json_write_members(&buffer, &batch, &defaults);
    cr_assert_gt(buffer.length, strlen(want));
    cr_assert_eq(memcmp(buffer.data, want, strlen(want)), 0);
    cr_assert_eq(memcmp(buffer.data + buffer.length - 2, "}]", 2), 0);
    ty_buffer_fini(&buffer);
    ty_batch_fini(&batch);
}
