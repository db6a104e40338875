#include "server/tool/import_batch.h"

#include <criterion/criterion.h>
#include <string.h>

#define IDS                                                                                        \
    "\"customer_id\":\"6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c\","                                    \
    "\"workflow_id\":\"0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10\""

static void add_line(struct ty_import_batch *batch, uint64_t line, const char *text)
{
    ty_buffer_append_text(&batch->body, text);
    ty_import_batch_add_sent(batch, "f", line, (struct ty_text){"", 0}, strlen(text));
}

/* Two lines that are sent, and one between them that is not. */
static struct ty_import_batch make(void)
{
    struct ty_import_batch batch = {0};
    char message[] = "no good";

    add_line(&batch, 1, "{\"id\":\"a\"," IDS "}\n");
    ty_import_batch_add_rejected(&batch, "f", 2, (struct ty_text){"raw\n", 4}, message);
    memset(message, 'x', sizeof(message) - 1);
    add_line(&batch, 3, "{\"id\":\"b\"}\n");
    return batch;
}

static bool raw_is(const struct ty_import_batch *batch, size_t i, const char *want)
{
    struct ty_text raw = ty_import_batch_raw(batch, &batch->records[i]);

    return raw.length == strlen(want) && memcmp(raw.data, want, raw.length) == 0;
}

/* The server counts the lines it got; the user counts those of the file. */
Test(tool_import_batch, an_index_of_the_answer_finds_its_line)
{
    static const char answer[] = "{\"accepted\":1,\"duplicates\":0,\"rejected\":[{\"index\":1,"
                                 "\"id\":\"b\",\"code\":\"missing_field\",\"message\":\"m\"}]}";
    struct ty_import_batch batch = make();

    cr_assert(ty_import_batch_decide(&batch, answer, strlen(answer)));
    cr_assert_eq(batch.accepted, 1);
    cr_assert_eq(batch.rejected, 2);
    cr_assert_null(batch.records[0].code);
    cr_assert_str_eq(batch.records[1].code, "invalid_field");
    cr_assert_str_eq(batch.records[1].message, "no good");
    cr_assert_str_eq(batch.records[2].code, "missing_field");
    cr_assert_str_eq(batch.records[2].id, "b");
    cr_assert_eq(batch.records[2].line, 3);
    cr_assert(raw_is(&batch, 0, "{\"id\":\"a\"," IDS "}\n"));
    cr_assert(raw_is(&batch, 1, "raw\n"));
    cr_assert(raw_is(&batch, 2, "{\"id\":\"b\"}\n"));
    ty_import_batch_fini(&batch);
}

/* Something else than Tally at that address must not pass for success. */
Test(tool_import_batch, an_answer_about_something_else_decides_nothing)
{
    static const char *const answers[] = {
        "",
        "ok",
        "[]",
        "{}",
        "{\"accepted\":2,\"duplicates\":0}",
        "{\"accepted\":2,\"duplicates\":0,\"rejected\":{}}",
        "{\"accepted\":1,\"duplicates\":0,\"rejected\":[]}",
        "{\"accepted\":3,\"duplicates\":0,\"rejected\":[]}",
        "{\"accepted\":2,\"duplicates\":1,\"rejected\":[]}",
        "{\"accepted\":-1,\"duplicates\":3,\"rejected\":[]}",
        "{\"accepted\":\"2\",\"duplicates\":0,\"rejected\":[]}",
        "{\"accepted\":2.0,\"duplicates\":0,\"rejected\":[]}",
        "{\"accepted\":1,\"duplicates\":0,\"rejected\":[1]}",
        "{\"accepted\":1,\"duplicates\":0,\"rejected\":[{\"index\":2,\"id\":null,\"code\":\"c\","
        "\"message\":\"m\"}]}",
        "{\"accepted\":1,\"duplicates\":0,\"rejected\":[{\"index\":-1,\"id\":null,\"code\":\"c\","
        "\"message\":\"m\"}]}",
        "{\"accepted\":1,\"duplicates\":0,\"rejected\":[{\"index\":0,\"id\":null,"
        "\"message\":\"m\"}]}",
        "{\"accepted\":0,\"duplicates\":0,\"rejected\":[{\"index\":0,\"id\":null,\"code\":\"c\","
        "\"message\":\"m\"},{\"index\":0,\"id\":null,\"code\":\"c\",\"message\":\"m\"}]}",
    };
    struct ty_import_batch batch = make();

    for (size_t i = 0; i < TY_COUNT_OF(answers); i++) {
        cr_assert(!ty_import_batch_decide(&batch, answers[i], strlen(answers[i])), "%s",
                  answers[i]);
        cr_assert_null(batch.records[0].code);
        cr_assert_null(batch.records[2].code);
        cr_assert_eq(batch.accepted + batch.duplicates, 0);
        cr_assert_eq(batch.rejected, 1);
    }
    ty_import_batch_fini(&batch);
}

/* A dry run must find what the server would, in the server's words. */
Test(tool_import_batch, a_dry_run_checks_as_the_server_does)
{
    const int64_t now_ms = INT64_C(1675209600000); /* 2023-02-01 */
    struct ty_import_batch batch = make();

    add_line(&batch, 4, "not JSON\n");
    add_line(&batch, 5, "{\"id\":\"c\"," IDS ",\"time\":\"1999-12-31T23:59:59Z\"}\n");
    add_line(&batch, 6, "{\"id\":\"d\"," IDS ",\"time\":\"2023-02-02T00:00:00Z\"}\n");
    add_line(&batch, 7, "{\"id\":\"e\"," IDS ",\"time\":\"2023-02-02T00:00:00.001Z\"}\n");
    cr_assert(ty_import_batch_check(&batch, now_ms));
    cr_assert_eq(batch.accepted, 2);
    cr_assert_eq(batch.rejected, 5);
    cr_assert_str_eq(batch.records[2].code, "missing_field");
    cr_assert_str_eq(batch.records[3].code, "invalid_field");
    cr_assert_str_eq(batch.records[4].code, "too_old");
    cr_assert_str_eq(batch.records[4].id, "c");
    cr_assert_null(batch.records[5].code);
    cr_assert_str_eq(batch.records[6].code, "too_new");
    ty_import_batch_fini(&batch);
}

/* Batches are used again and again: nothing of the last one may show in the next. */
Test(tool_import_batch, a_reset_batch_is_empty)
{
    struct ty_import_batch batch = make();

    cr_assert(ty_import_batch_check(&batch, 0));
    ty_import_batch_reset(&batch);
    cr_assert_eq(batch.rejected + batch.accepted + batch.record_count + batch.sent_count, 0);
    add_line(&batch, 1, "{\"id\":\"a\"," IDS "}\n");
    cr_assert(ty_import_batch_decide(&batch, "{\"accepted\":0,\"duplicates\":1,\"rejected\":[]}",
                                     strlen("{\"accepted\":0,\"duplicates\":1,\"rejected\":[]}")));
    cr_assert_eq(batch.duplicates, 1);
    ty_import_batch_fini(&batch);
}

/* A request must fit into what a server takes, however long the lines are. */
Test(tool_import_batch, a_batch_is_full_by_events_or_by_bytes)
{
    struct ty_import_batch batch = {0};
    char *text = malloc(TY_IMPORT_BATCH_BYTES / 2 + 1);

    cr_assert(!ty_import_batch_is_full(&batch, 2));
    add_line(&batch, 1, "{}\n");
    cr_assert(!ty_import_batch_is_full(&batch, 2));
    add_line(&batch, 2, "{}\n");
    cr_assert(ty_import_batch_is_full(&batch, 2));
    memset(text, ' ', TY_IMPORT_BATCH_BYTES / 2);
    text[TY_IMPORT_BATCH_BYTES / 2] = '\0';
    add_line(&batch, 3, text);
    cr_assert(!ty_import_batch_is_full(&batch, 10));
    add_line(&batch, 4, text);
    cr_assert(ty_import_batch_is_full(&batch, 10));
    free(text);
    ty_import_batch_fini(&batch);
}
