#include "server/tool/export_page.h"

#include "server/tool/command.h"
#include "tests/server/canned_server.h"

static struct canned_server server;
static struct ty_client *client;
static struct ty_export_pages *pages;
static struct ty_export_page page;
static char error[CURL_ERROR_SIZE];

static void start(const struct canned_answer *answers)
{
    canned_start(&server, answers);
    cr_assert_eq(ty_client_open(&(struct ty_client_options){.server = server.address}, &client),
                 TY_EXIT_OK);
    pages = ty_export_pages_open(client);
    cr_assert_not_null(pages);
}

static void stop(void)
{
    ty_http_fini(&page.answer);
    ty_export_pages_close(pages);
    ty_client_close(client);
    canned_stop(&server);
}

static void read_good(const char *path)
{
    cr_assert_eq(ty_export_pages_read(pages, path, &page, error), TY_EXIT_OK, "%s", error);
}

/* An export goes on from the cursor: a wrong one would leave events out, or give them twice. */
Test(tool_export_page, a_page_has_its_lines_and_its_cursor)
{
    static const struct canned_answer answers[] = {
        {"200 OK", "Tally-Next: abc-123\r\nTally-End: false\r\n", "{\"id\":\"a\"}\n"},
        {"200 OK", "tally-next:   d e \t\r\nTALLY-END: true\r\nTally-Trimmed: true\r\n", ""},
        {"200 OK", "Tally-Nexts: x\r\nX-Tally-End: true\r\nTally-End: truely-so-it-is\r\n", "x"},
        {"400 Bad Request", "", "{}"},
        {0}};

    start(answers);
    read_good("/v1/events?limit=2");
    cr_assert_eq(page.answer.status, 200);
    cr_assert_str_eq(page.answer.body, "{\"id\":\"a\"}\n");
    cr_assert_str_eq(page.next, "abc-123");
    cr_assert(!page.end && !page.trimmed);
    read_good("/v1/events?cursor=abc-123");
    cr_assert_eq(page.answer.length, 0u);
    cr_assert_eq(strncmp(page.next, "d e", 3), 0);
    cr_assert(page.end && page.trimmed);
    read_good("/v1/events");
    cr_assert_str_eq(page.next, "", "what the page before said is over");
    cr_assert(!page.end && !page.trimmed);
    read_good("/v1/events");
    cr_assert_eq(page.answer.status, 400);
    cr_assert_str_eq(page.answer.body, "{}");
    stop();
    cr_assert(canned_was_asked(&server, 0, "/v1/events?limit=2"));
    cr_assert(canned_was_asked(&server, 1, "/v1/events?cursor=abc-123"));
    cr_assert_not_null(strstr(server.requests[0], "Accept: application/x-ndjson\r\n"));
    cr_assert_eq(server.connections, 1u, "a page would wait for a connection each");
}

/* A cursor of 256 shards fits; a longer one is no cursor, rather than the beginning of one. */
Test(tool_export_page, a_cursor_is_whole_or_not_there)
{
    static char headers[2][TY_EXPORT_CURSOR_BYTES + 40];
    struct canned_answer answers[] = {{"200 OK", headers[0], ""}, {"200 OK", headers[1], ""}, {0}};

    for (size_t i = 0; i < 2; i++) {
        size_t length = TY_EXPORT_CURSOR_BYTES - 1 + i;

        memcpy(headers[i], "Tally-Next: ", 12);
        memset(headers[i] + 12, 'c', length);
        memcpy(headers[i] + 12 + length, "\r\n", 3);
    }
    start(answers);
    read_good("/a");
    cr_assert_eq(strlen(page.next), (size_t)TY_EXPORT_CURSOR_BYTES - 1);
    read_good("/b");
    cr_assert_str_eq(page.next, "");
    stop();
}

/* A connection that breaks is no end of the events: the page is not there, and why. */
Test(tool_export_page, a_broken_connection_is_no_end)
{
    static const struct canned_answer answers[] = {
        {"200 OK", "Tally-Next: a\r\nTally-End: true\r\n", "x"}, {0}};

    start(answers);
    read_good("/a");
    cr_assert_eq(ty_export_pages_read(pages, "/b", &page, error), TY_EXIT_UNREACHABLE);
    cr_assert_neq(error[0], '\0');
    cr_assert(page.answer.body == NULL && page.next[0] == '\0' && !page.end);
    ty_export_pages_close(NULL);
    stop();
}
