#include "server/tool/answer.h"

#include "tests/server/canned_server.h"
#include "tests/support/capture.h"

#include <stdlib.h>

static const char *const fields[] = {"date", "credits", "pages"};

static struct ty_client *client;
static struct canned_server server;
static char said[8192], address[1200];

static void start(const struct canned_answer *answers)
{
    canned_start(&server, answers);
    snprintf(address, sizeof(address), "%s", server.address);
    cr_assert_eq(ty_client_open(&(struct ty_client_options){.server = address}, &client),
                 TY_EXIT_OK);
}

static void stop(void)
{
    ty_client_close(client);
    canned_stop(&server);
}

static int fetch(struct ty_http_answer *answer, struct ty_answer_rows *rows)
{
    struct ty_capture capture = ty_capture_begin(STDERR_FILENO);
    int code = ty_answer_fetch(client, "/x", fields, TY_COUNT_OF(fields), answer, rows);

    ty_capture_end(&capture, said, sizeof(said));
    return code;
}

/* Sums go on invoices: each digit that the server wrote must arrive in its place, whatever the
 * order of the members, and nothing as nothing. */
Test(tool_answer, rows_are_the_servers_own_digits)
{
    static const struct canned_answer answers[] = {
        {"200 OK", "",
         "[{\"date\":\"2023-01\",\"credits\":170141183460469231731.687303,\"pages\":0},"
         "{\"pages\":null,\"other\":[1],\"credits\":-0.000001,\"date\":\"2023-02\"}]"},
        {"200 OK", "", "[]"},
        {0}};
    static const char *const want[] = {
        "2023-01", "170141183460469231731.687303", "0", "2023-02", "-0.000001", ""};
    struct ty_http_answer answer;
    struct ty_answer_rows rows;

    start(answers);
    cr_assert_eq(fetch(&answer, &rows), TY_EXIT_OK, "%s", said);
    cr_assert_eq(rows.row_count, 2u);
    for (size_t i = 0; i < TY_COUNT_OF(want); i++)
        cr_assert_str_eq(rows.cells[i], want[i]);
    cr_assert_eq(answer.length, strlen(answers[0].body));
    ty_answer_fini(&rows);
    ty_answer_fini(&rows);
    ty_http_fini(&answer);
    cr_assert_eq(fetch(&answer, &rows), TY_EXIT_OK, "%s", said);
    cr_assert_eq(rows.row_count, 0u);
    cr_assert_str_eq(said, "");
    ty_answer_fini(&rows);
    ty_http_fini(&answer);
    stop();
}

/* What is no list of such rows is told, and not printed as a table of zeros. */
Test(tool_answer, what_is_no_tally_is_told)
{
    static const struct canned_answer answers[] = {
        {"200 OK", "", "<html>hello</html>"},
        {"200 OK", "", ""},
        {"200 OK", "", "{\"date\":\"2023-01\"}"},
        {"200 OK", "", "[{\"date\":\"2023-01\",\"credits\":1}]"},
        {"200 OK", "", "[{\"date\":\"2023-01\",\"credits\":[],\"pages\":1}]"},
        {"200 OK", "", "[3]"},
        {0}};
    static const char *const parts[] = {"",
                                        "",
                                        "not an array",
                                        "a row without a fit \"pages\"",
                                        "a row without a fit \"credits\"",
                                        "a row without a fit \"date\""};

    start(answers);
    for (size_t i = 0; i < TY_COUNT_OF(parts); i++) {
        struct ty_http_answer answer;
        struct ty_answer_rows rows;

        cr_assert_eq(fetch(&answer, &rows), TY_EXIT_REFUSED, "%s", answers[i].body);
        cr_assert_not_null(strstr(said, "did not answer as a Tally server does: "), "%s", said);
        cr_assert_not_null(strstr(said, parts[i]), "%s", said);
        cr_assert(rows.cells == NULL && rows.document == NULL && answer.body == NULL);
    }
    stop();
}

/* A refusal says what was wrong and where, in the server's words; what came from elsewhere must not
 * reach the terminal as it is. */
Test(tool_answer, a_refusal_says_why)
{
    static const struct canned_answer answers[] = {
        {"422 Unprocessable Entity", "",
         "{\"title\":\"wrong parameters\",\"detail\":\"2 of them\",\"errors\":["
         "{\"loc\":[\"query\",\"start\"],\"msg\":\"no \\u001b[31mdate\"},"
         "{\"loc\":[\"path\",3],\"msg\":7}]}"},
        {"503 Busy", "", "{\"detail\":\"later\"}"},
        {"404 Not Found", "", "<html>"},
        {"500 Error", "", ""},
        {"204 No Content", "", ""},
        {0}};
    static const char *const parts[] = {
        " answered 422 wrong parameters: 2 of them\n"
        "  query.start: no ?[31mdate\n"
        "  path.3: 7\n",
        " answered 503: later\n",
        " answered 404 (is this a Tally server?)\n",
        " answered 500 (is this a Tally server?)\n",
        " answered 204 (is this a Tally server?)\n",
    };

    start(answers);
    for (size_t i = 0; i < TY_COUNT_OF(parts); i++) {
        struct ty_http_answer answer;
        struct ty_answer_rows rows;

        cr_assert_eq(fetch(&answer, &rows), TY_EXIT_REFUSED);
        cr_assert_eq(strncmp(said, "tally: unix:", 12), 0, "%s", said);
        cr_assert_not_null(strstr(said, parts[i]), "%s", said);
        cr_assert(rows.cells == NULL && answer.body == NULL);
    }
    stop();
}

/* No answer is another exit code than a refusal: a script tries again, or does not. */
Test(tool_answer, no_answer_is_not_a_refusal)
{
    static const struct canned_answer answers[] = {{0}};
    struct ty_http_answer answer;
    struct ty_answer_rows rows;

    start(answers);
    cr_assert_eq(fetch(&answer, &rows), TY_EXIT_UNREACHABLE);
    cr_assert_not_null(strstr(said, address), "%s", said);
    cr_assert(rows.cells == NULL && answer.body == NULL);
    stop();
}

/* --json is for programs: the bytes as they came, and one newline at the end. */
Test(tool_answer, json_is_printed_as_it_came)
{
    static const struct {
        const char *body, *printed;
    } cases[] = {{"[1.50]", "[1.50]\n"}, {"[\033]\n", "[\033]\n"}, {"", ""}};

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_capture capture = ty_capture_begin(STDOUT_FILENO);
        char body[32];
        struct ty_http_answer answer = {200, body, strlen(cases[i].body)};

        snprintf(body, sizeof(body), "%s", cases[i].body);
        ty_answer_print_json(&answer);
        ty_capture_end(&capture, said, sizeof(said));
        cr_assert_str_eq(said, cases[i].printed);
    }
}
