#include "server/tool/status_view.h"

#include "server/tool/exact_json.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "{\"version\":\"0.1.0\",\"pid\":7,\"started\":\"2026-01-02T03:04:05.006Z\","
#define UP   "\"uptime_ms\":20000,\"ready\":true,\"reason\":null,\"connections\":1,"
#define EVENTS(accepted)                                                                           \
    "\"forward\":null,\"events\":{\"accepted\":" accepted                                          \
    ",\"duplicate\":0,\"too_old\":0,\"overflow\":2},"
#define REST                                                                                       \
    "\"commits\":{\"count\":3,\"failures\":0,\"p50_ms\":4.096,\"p99_ms\":null},"                   \
    "\"queue\":{\"events\":0,\"batches\":1,\"refused_batches\":0},\"series\":12,"                  \
    "\"hot\":{\"bytes\":2048,\"dirty_months\":1,\"damaged_months\":0},"                            \
    "\"dedup\":{\"entries\":18446744073709551615,\"bytes\":0,\"window_ms\":86400000,"              \
    "\"effective_window_ms\":3600000,\"forgotten_early\":9},"                                      \
    "\"journal\":{\"bytes\":1536,\"oldest_received\":null,\"problem\":null},"                      \
    "\"rejects\":{\"kept\":1,\"bytes\":100,\"dropped\":0},"                                        \
    "\"storage\":{\"file_bytes\":512,\"map_bytes\":1024,\"disk_free_bytes\":0},\"shards\":[{}]}"

static json_t *read_status(const char *text)
{
    char error[TY_EXACT_JSON_ERROR_BYTES];
    json_t *status = ty_exact_json_parse(text, strlen(text), error);

    cr_assert_not_null(status, "%s", error);
    return status;
}

static char *print(const char *text, const char *before_text, bool directory)
{
    struct ty_status_view view = {
        .name = "here",
        .directory = directory,
        .status = read_status(text),
        .before = before_text != NULL ? read_status(before_text) : NULL,
        .seconds = 2,
        .terminal = {.width = 80},
    };
    char *page = NULL;
    size_t length;
    FILE *file = open_memstream(&page, &length);

    ty_status_view_print(file, &view);
    fclose(file);
    json_decref((json_t *)view.status);
    json_decref((json_t *)view.before);
    return page;
}

/* What an operator reads at three in the morning must be there, exact, and in words. */
Test(tool_status_view, a_server_is_shown_on_a_page)
{
    char *page = print(HEAD UP EVENTS("9007199254740993") REST, NULL, false);

    cr_assert_str_eq(
        page,
        "server     here, version 0.1.0, pid 7\n"
        "state      ready\n"
        "up         20.0 s, since 2026-01-02T03:04:05.006Z\n"
        "HTTP       1 connection\n"
        "Forward    not served\n"
        "series     12\n"
        "commits    3, 0 failed, p50 at most 4.096 ms, p99 longer than 16.8 s\n"
        "queue      0 events in 1 batch, 0 batches refused\n"
        "recent     2.0 KiB of totals in memory, 1 month not yet in blocks\n"
        "dedup      window 1 h of 1 d (shortened: the ids outgrew their memory); "
        "18446744073709551615 ids in 0 B\n"
        "journal    1.5 KiB\n"
        "rejects    1 kept in 100 B, 0 dropped\n"
        "storage    [###############               ] 50.0%  512 B of 1.0 KiB; 0 B free on the "
        "disk\n"
        "\n"
        "events              records     /s since start\n"
        "accepted   9007199254740993  450359962737049.6\n"
        "duplicate                 0                0.0\n"
        "overflow                  2                0.1\n",
        "%s", page);
    free(page);
}

/* Who watches wants to know what happens now, and not what happened last night. */
Test(tool_status_view, two_answers_give_rates)
{
    char *page = print(HEAD UP EVENTS("2000") REST, HEAD UP EVENTS("1000") REST, false);

    cr_assert(strstr(page, "events     records  /s since start  /s now\n"
                           "accepted      2000           100.0   500.0\n") != NULL,
              "%s", page);
    free(page);
    /* A server that was started anew in between counts from zero. */
    page = print(HEAD UP EVENTS("20") REST, HEAD UP EVENTS("1000") REST, false);
    cr_assert(strstr(page, "accepted        20             1.0     0.0\n") != NULL, "%s", page);
    free(page);
}

/* While a database is being recovered there is little to say, and that must be said. */
Test(tool_status_view, a_server_that_recovers_says_so)
{
    char *page = print(HEAD "\"uptime_ms\":1500,\"ready\":false,\"reason\":\"it is being "
                            "recovered\",\"connections\":2,\"forward\":{\"connections\":1,"
                            "\"messages\":2,\"acks\":2,\"broken_streams\":0,"
                            "\"dropped_records\":0}}",
                       NULL, false);

    cr_assert_str_eq(page,
                     "server     here, version 0.1.0, pid 7\n"
                     "state      not ready: it is being recovered\n"
                     "up         1.5 s, since 2026-01-02T03:04:05.006Z\n"
                     "HTTP       2 connections\n"
                     "Forward    1 connection, 2 messages, 2 acknowledgements; 0 broken streams, 0 "
                     "records dropped\n",
                     "%s", page);
    free(page);
}

/* Of a directory only what is stored is of interest: nothing has happened since it was opened. */
Test(tool_status_view, a_directory_has_no_process)
{
    char *page = print(HEAD UP EVENTS("0") REST, NULL, true);

    cr_assert_str_eq(page,
                     "directory  here, version 0.1.0\n"
                     "state      ready\n"
                     "series     12\n"
                     "journal    1.5 KiB\n"
                     "rejects    1 kept in 100 B, 0 dropped\n"
                     "storage    [###############               ] 50.0%  512 B of 1.0 KiB; 0 B "
                     "free on the disk\n",
                     "%s", page);
    free(page);
}

/* An answer of any other program must neither crash the page nor reach the terminal as it is. */
Test(tool_status_view, strange_answers_do_no_harm)
{
    static const char *const answers[] = {
        "{}", "[]", "{\"events\":[1],\"storage\":7,\"shards\":{},\"version\":\"\\u001b[2J\"}",
        "{\"storage\":{\"map_bytes\":-1,\"file_bytes\":\"x\"},\"shards\":[1,null,\"a\"],"
        "\"events\":{\"accepted\":\"\\u001b[2J9999999999999999999999999999999999999999999999\"}}"};

    for (size_t i = 0; i < TY_COUNT_OF(answers); i++) {
        char *page = print(answers[i], answers[i], i % 2 == 0);

        cr_assert(strchr(page, '\033') == NULL, "%s", page);
        free(page);
    }
}
