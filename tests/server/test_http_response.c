#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "server/http_response.h"

/* If this fails, caches and clients misread when an answer was made. */
Test(http_response, dates_are_written_as_the_standard_asks)
{
    static const struct {
        time_t time;
        const char *text;
    } cases[] = {
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"}, /* the example of RFC 9110 */
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {951827696, "Tue, 29 Feb 2000 12:34:56 GMT"},
        {4102444799, "Thu, 31 Dec 2099 23:59:59 GMT"},
    };
    struct ty_http_date date = {0};

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        for (int again = 0; again < 2; again++)
            cr_assert_str_eq(ty_http_date_text(&date, cases[i].time), cases[i].text);
}

/* If this fails, clients cannot find the end of an answer. */
Test(http_response, heads_have_what_they_need_and_no_more)
{
    struct ty_buffer out = {0};

    ty_http_response_head(&out, &(struct ty_http_head){.status = 200,
                                                       .content_length = 1234567890,
                                                       .content_type = "a/b",
                                                       .connection = "close",
                                                       .server_name = "s",
                                                       .date = "d",
                                                       .extra = "X: y\r\n"});
    ty_http_response_head(&out, &(struct ty_http_head){.status = 204});
    ty_http_response_head(&out, &(struct ty_http_head){.status = 599});
    ty_buffer_append_char(&out, '\0');
    cr_assert_str_eq(out.data, "HTTP/1.1 200 OK\r\nServer: s\r\nDate: d\r\nContent-Type: a/b\r\n"
                               "Content-Length: 1234567890\r\nConnection: close\r\nX: y\r\n\r\n"
                               "HTTP/1.1 204 No Content\r\n\r\n"
                               "HTTP/1.1 599 Unknown\r\nContent-Length: 0\r\n\r\n");
    ty_buffer_fini(&out);
}

static void assert_problem(const struct ty_http_problem *problem, const char *expected)
{
    struct ty_buffer out = {0};

    ty_http_problem_body(&out, problem);
    ty_buffer_append_char(&out, '\0');
    cr_assert_str_eq(out.data, expected);
    ty_buffer_fini(&out);
}

/* If this fails, clients cannot read why a request was refused. */
Test(http_response, problems_say_what_and_where)
{
    const struct ty_http_problem_error errors[] = {
        {"query", {"start", 5}, "must be a \"month\""},
        {"body", {"", 0}, "is no JSON"},
    };

    assert_problem(&(struct ty_http_problem){.status = 404, .detail = "no such path"},
                   "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
                   "\"detail\":\"no such path\"}\n");
    assert_problem(&(struct ty_http_problem){.status = 422,
                                             .detail = "2 errors",
                                             .errors = errors,
                                             .error_count = 2,
                                             .members = "\"outcome\":\"unknown\""},
                   "{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,"
                   "\"detail\":\"2 errors\",\"outcome\":\"unknown\",\"errors\":["
                   "{\"loc\":[\"query\",\"start\"],\"msg\":\"must be a \\\"month\\\"\"},"
                   "{\"loc\":[\"body\"],\"msg\":\"is no JSON\"}]}\n");
}

#define BAD "\xef\xbf\xbd"

/* If this fails, a client that sends rubbish gets an answer that is no JSON. */
Test(http_response, problems_are_utf8_whatever_they_quote)
{
    static const char *const texts[][2] = {
        {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xff", BAD},
        {"a\xc3", "a" BAD},
        {"\xc0\xaf", BAD BAD},                 /* too long for what it says */
        {"\xed\xa0\x80", BAD BAD BAD},         /* a surrogate */
        {"\xf4\x90\x80\x80", BAD BAD BAD BAD}, /* past the last character */
        {"\xe2\x82z", BAD BAD "z"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(texts); i++) {
        char expected[160];

        snprintf(expected, sizeof(expected),
                 "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,"
                 "\"detail\":\"%s\"}\n",
                 texts[i][1]);
        assert_problem(&(struct ty_http_problem){.status = 400, .detail = texts[i][0]}, expected);
    }
}
