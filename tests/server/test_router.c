#include "server/router.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { EVENTS, LIST, ROWS, ROWS_BY_ID, HEALTHZ };

static const struct ty_route routes[] = {
    {"/v1/events", TY_HTTP_POST, EVENTS},
    {"/reseller/customers/{}/usage/workflows/{}", TY_HTTP_GET, LIST},
    {"/reseller/customers/{}/usage/workflows/{}/{}", TY_HTTP_GET, ROWS},
    {"/reseller/customers/{}/usage/workflows/workflow_id/{}/{}", TY_HTTP_GET, ROWS_BY_ID},
    {"/healthz", TY_HTTP_GET, HEALTHZ},
    {"/both", TY_HTTP_POST, EVENTS},
    {"/both", TY_HTTP_GET, LIST},
};

static struct ty_text text_of(const char *text)
{
    return (struct ty_text){text, strlen(text)};
}

static bool is_text(struct ty_text text, const char *wanted)
{
    return text.length == strlen(wanted) && memcmp(text.data, wanted, text.length) == 0;
}

static void match_path(enum ty_http_method method, const char *path, struct ty_match *match)
{
    struct ty_http_request request = {.method = method, .path = text_of(path)};

    memset(match, 0xa5, sizeof(*match));
    ty_router_match(routes, TY_COUNT_OF(routes), &request, match);
}

/* A request that reaches the wrong handler, or none. */
Test(router, finds_the_route_and_its_parameters)
{
    static const struct {
        enum ty_http_method method;
        const char *path;
        int id;
        const char *parameters[3]; /* up to NULL */
    } cases[] = {
        {TY_HTTP_POST, "/v1/events", EVENTS, {NULL}},
        {TY_HTTP_GET, "/healthz", HEALTHZ, {NULL}},
        {TY_HTTP_HEAD, "/healthz", HEALTHZ, {NULL}},
        {TY_HTTP_GET, "/reseller/customers/c/usage/workflows/monthly", LIST, {"c", "monthly"}},
        {TY_HTTP_GET, "/reseller/customers/c/usage/workflows/w/daily", ROWS, {"c", "w", "daily"}},
        {TY_HTTP_GET,
         "/reseller/customers/c/usage/workflows/workflow_id/w/hourly",
         ROWS_BY_ID,
         {"c", "w", "hourly"}},
        {TY_HTTP_GET, "/reseller/customers//usage/workflows/", LIST, {"", ""}},
        /* Percent-encoding: in literal segments, too; an encoded slash does not part segments. */
        {TY_HTTP_POST, "/v1/%65v%65nts", EVENTS, {NULL}},
        {TY_HTTP_GET,
         "/reseller/customers/%41%2f%c3%a4/usage/workflows/a+b",
         LIST,
         {"A/\xc3\xa4", "a+b"}},
        {TY_HTTP_GET, "/reseller/customers/%7B%7d/usage/workflows/%25", LIST, {"{}", "%"}},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_match match;
        size_t count = 0;

        match_path(cases[i].method, cases[i].path, &match);
        cr_assert_not_null(match.route, "%s", cases[i].path);
        cr_assert_eq(match.route->id, cases[i].id, "%s", cases[i].path);
        for (; count < 3 && cases[i].parameters[count] != NULL; count++)
            cr_assert(is_text(match.parameters[count], cases[i].parameters[count]),
                      "%s: parameter %zu is '%.*s'", cases[i].path, count,
                      (int)match.parameters[count].length, match.parameters[count].data);
        cr_assert_eq(match.parameter_count, count, "%s", cases[i].path);
    }
}

/* 404, and nothing that looks like it may pass for something else. */
Test(router, what_is_not_there_matches_nothing)
{
    static const char *const paths[] = {
        "/",
        "*",
        "",
        "/v1",
        "/v1/",
        "/v1/events/",
        "/v1/events/x",
        "//v1/events",
        "/v1//events",
        "/V1/events",
        "/v1/event",
        "/v1/eventss",
        "/v1%2fevents",
        "/healthz%00",
        "/healthz%",
        "/healthz%6",
        "/health%7g",
        "/reseller/customers/c/usage/workflows",
        "/reseller/customers/c/usage/workflows/w/monthly/x",
        "/reseller/customers/c%00/usage/workflows/monthly",
        "/v1/events/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17",
    };

    for (size_t i = 0; i < TY_COUNT_OF(paths); i++) {
        struct ty_match match;

        match_path(TY_HTTP_GET, paths[i], &match);
        cr_assert_null(match.route, "%s", paths[i]);
        cr_assert_null(match.allow, "%s", paths[i]);
    }
}

/* 405 must say what is allowed. */
Test(router, a_wrong_method_is_told_the_right_one)
{
    static const struct {
        enum ty_http_method method;
        const char *path;
        const char *allow;
    } cases[] = {
        {TY_HTTP_GET, "/v1/events", "POST"},
        {TY_HTTP_HEAD, "/v1/events", "POST"},
        {TY_HTTP_PUT, "/v1/events", "POST"},
        {TY_HTTP_POST, "/healthz", "GET, HEAD"},
        {TY_HTTP_OPTIONS, "/healthz", "GET, HEAD"},
        {TY_HTTP_PUT, "/both", "GET, HEAD, POST"},
        {TY_HTTP_OTHER, "/reseller/customers/c/usage/workflows/w/daily", "GET, HEAD"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_match match;

        match_path(cases[i].method, cases[i].path, &match);
        cr_assert_null(match.route, "%s", cases[i].path);
        cr_assert_not_null(match.allow, "%s", cases[i].path);
        cr_assert_str_eq(match.allow, cases[i].allow);
    }
}

/* Sending and listing share a path: each method must reach its own handler. */
Test(router, a_path_may_take_several_methods)
{
    static const struct {
        enum ty_http_method method;
        int id;
    } cases[] = {{TY_HTTP_POST, EVENTS}, {TY_HTTP_GET, LIST}, {TY_HTTP_HEAD, LIST}};

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_match match;

        match_path(cases[i].method, "/both", &match);
        cr_assert_not_null(match.route);
        cr_assert_eq(match.route->id, cases[i].id);
    }
}

/* A path longer than the room for it must not be cut to one that fits. */
Test(router, a_path_that_is_too_long_matches_nothing)
{
    char path[TY_ROUTE_PATH_MAX + 200];
    struct ty_match match;

    for (size_t filler = 900; filler < 1100; filler++) {
        int length = snprintf(path, sizeof(path), "/reseller/customers/");
        size_t segments = strlen("resellercustomersusageworkflowsmonthly") + filler;

        memset(path + length, 'c', filler);
        snprintf(path + (size_t)length + filler, sizeof(path) - (size_t)length - filler,
                 "/usage/workflows/monthly");
        match_path(TY_HTTP_GET, path, &match);
        cr_assert_eq(match.route != NULL, segments <= TY_ROUTE_PATH_MAX, "%zu bytes", segments);
        if (match.route != NULL)
            cr_assert_eq(match.parameters[0].length, filler);
    }
}

/* --- The query string --- */

/* A parameter that is overlooked answers another question than was asked. */
Test(query_find, finds_a_parameter_wherever_it_stands)
{
    static const struct {
        const char *query;
        enum ty_query_result result;
        const char *value; /* when it was found */
    } cases[] = {
        {"", TY_QUERY_ABSENT, NULL},
        {"start=2023-01", TY_QUERY_FOUND, "2023-01"},
        {"end=2023-02&start=2023-01", TY_QUERY_FOUND, "2023-01"},
        {"start=2023-01&end=2023-02", TY_QUERY_FOUND, "2023-01"},
        {"&&start=x&&", TY_QUERY_FOUND, "x"},
        {"start=", TY_QUERY_FOUND, ""},
        {"start", TY_QUERY_FOUND, ""},
        {"start&end", TY_QUERY_FOUND, ""},
        {"start=a=b", TY_QUERY_FOUND, "a=b"},
        {"st%61rt=x", TY_QUERY_FOUND, "x"},
        {"start=2023-01-01T00:00:00%2B02:00", TY_QUERY_FOUND, "2023-01-01T00:00:00+02:00"},
        {"start=2023-01-01T00:00:00+02:00", TY_QUERY_FOUND, "2023-01-01T00:00:00+02:00"},
        {"start=a%26b%3dc", TY_QUERY_FOUND, "a&b=c"},
        {"start=a?b/c;d", TY_QUERY_FOUND, "a?b/c;d"},
        {"Start=x", TY_QUERY_ABSENT, NULL},
        {"start%20=x", TY_QUERY_ABSENT, NULL},
        {"starts=x&star=y&=start&astart=z", TY_QUERY_ABSENT, NULL},
        {"s%zzart=x", TY_QUERY_ABSENT, NULL},
        {"start=x&start=x", TY_QUERY_REPEATED, NULL},
        {"start&start", TY_QUERY_REPEATED, NULL},
        {"start=x&st%61rt=y", TY_QUERY_REPEATED, NULL},
        {"start=%", TY_QUERY_MALFORMED, NULL},
        {"start=%4", TY_QUERY_MALFORMED, NULL},
        {"start=%4x", TY_QUERY_MALFORMED, NULL},
        {"start=a%00b", TY_QUERY_MALFORMED, NULL},
        {"end=%zz&start=x", TY_QUERY_FOUND, "x"}, /* somebody else's fault */
        {"start=0123456789abcdef0123456789abcdef0123", TY_QUERY_FOUND,
         "0123456789abcdef0123456789abcdef0123"},
        {"start=0123456789abcdef0123456789abcdef0123g", TY_QUERY_MALFORMED,
         NULL}, /* longer than the buffer */
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_text value = {NULL, 0};
        char buffer[36];
        enum ty_query_result result =
            ty_query_find(text_of(cases[i].query), "start", buffer, sizeof(buffer), &value);

        cr_assert_eq(result, cases[i].result, "'%s': %d", cases[i].query, (int)result);
        if (result == TY_QUERY_FOUND)
            cr_assert(is_text(value, cases[i].value), "'%s': '%.*s'", cases[i].query,
                      (int)value.length, value.data);
    }
}

/* A request without a query has no data at all. */
Test(query_find, an_absent_query_has_no_parameters)
{
    struct ty_text value, nothing = {NULL, 0};
    char buffer[16];

    cr_assert_eq(ty_query_find(nothing, "start", buffer, sizeof(buffer), &value), TY_QUERY_ABSENT);
}

/* A name longer than any that is known must not be compared in part. */
Test(query_find, a_very_long_name_is_nobodys)
{
    struct ty_text value;
    char query[400], buffer[16];

    memset(query, 's', sizeof(query));
    memcpy(query + sizeof(query) - 2, "=x", 2);
    cr_assert_eq(ty_query_find((struct ty_text){query, sizeof(query)}, "start", buffer,
                               sizeof(buffer), &value),
                 TY_QUERY_ABSENT);
}
