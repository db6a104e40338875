#include "server/api.h"

#include <stdio.h>
#include <string.h>

#include "server/log.h"

enum route_id {
    ROUTE_EVENTS,
    ROUTE_OPENMETER_EVENTS,
    ROUTE_FEED,
    ROUTE_VOID,
    ROUTE_LIST,
    ROUTE_ROWS,
    ROUTE_HEALTHZ,
    ROUTE_READYZ,
    ROUTE_METRICS,
    ROUTE_REJECTS,
    ROUTE_CLOSE,
    ROUTE_REVISIONS,
    ROUTE_STATUS
};

/* Both forms of the rollups stand in the document that the API comes from. */
static const struct ty_route routes[] = {
    {"/v1/events", TY_HTTP_POST, ROUTE_EVENTS},
    {"/v1/events", TY_HTTP_GET, ROUTE_FEED},
    {"/v1/events/void", TY_HTTP_POST, ROUTE_VOID},
    {"/api/v1/events", TY_HTTP_POST, ROUTE_OPENMETER_EVENTS},
    {"/reseller/customers/{}/usage/workflows/{}", TY_HTTP_GET, ROUTE_LIST},
    {"/reseller/customers/{}/usage/workflows/{}/{}", TY_HTTP_GET, ROUTE_ROWS},
    {"/reseller/customers/{}/usage/workflows/workflow_id/{}/{}", TY_HTTP_GET, ROUTE_ROWS},
    {"/v1/customers/{}/close", TY_HTTP_POST, ROUTE_CLOSE},
    {"/v1/customers/{}/revisions", TY_HTTP_GET, ROUTE_REVISIONS},
    {"/v1/rejects", TY_HTTP_GET, ROUTE_REJECTS},
    {"/v1/status", TY_HTTP_GET, ROUTE_STATUS},
    {"/healthz", TY_HTTP_GET, ROUTE_HEALTHZ},
    {"/readyz", TY_HTTP_GET, ROUTE_READYZ},
    {"/metrics", TY_HTTP_GET, ROUTE_METRICS},
};

static void answer_no_route(struct ty_http_exchange *exchange, const struct ty_match *match)
{
    char allow[64];
    struct ty_http_problem problem = {.status = 405};

    if (match->allow == NULL) {
        ty_http_problem(exchange, 404,
                        "there is nothing at this path; the API is under /v1/events, "
                        "/v1/customers/{customer_id}/... and "
                        "/reseller/customers/{customer_id}/usage/workflows/...");
        return;
    }
    snprintf(allow, sizeof(allow), "Allow: %s\r\n", match->allow);
    problem.detail = "this path does not take that method; see the Allow header";
    ty_http_answer_problem(exchange, &problem, allow);
}

void ty_api_handle(struct ty_io_loop *loop, struct ty_http_exchange *exchange)
{
    struct ty_match match;

    ty_router_match(routes, TY_COUNT_OF(routes), ty_http_exchange_request(exchange), &match);
    if (match.route == NULL) {
        answer_no_route(exchange, &match);
        return;
    }
    switch ((enum route_id)match.route->id) {
    case ROUTE_EVENTS:
        ty_api_events(loop, exchange, TY_EVENT_DOOR_TALLY);
        return;
    case ROUTE_OPENMETER_EVENTS:
        ty_api_events(loop, exchange, TY_EVENT_DOOR_OPENMETER);
        return;
    case ROUTE_FEED:
        ty_api_feed(loop, exchange);
        return;
    case ROUTE_VOID:
        ty_api_void(loop, exchange);
        return;
    case ROUTE_LIST:
        ty_api_usage(loop, exchange, &match, TY_USAGE_LIST);
        return;
    case ROUTE_ROWS:
        ty_api_usage(loop, exchange, &match, TY_USAGE_ROWS);
        return;
    case ROUTE_HEALTHZ:
        ty_api_healthz(loop, exchange);
        return;
    case ROUTE_READYZ:
        ty_api_readyz(loop, exchange);
        return;
    case ROUTE_METRICS:
        ty_api_metrics(loop, exchange);
        return;
    case ROUTE_REJECTS:
        ty_api_rejects(loop, exchange);
        return;
    case ROUTE_CLOSE:
        ty_api_close(loop, exchange, &match);
        return;
    case ROUTE_REVISIONS:
        ty_api_revisions(loop, exchange, &match);
        return;
    case ROUTE_STATUS:
        ty_api_status(loop, exchange);
        return;
    }
}

void ty_api_wrong_parameter(struct ty_http_exchange *exchange, const char *where, const char *name,
                            const char *message)
{
    struct ty_http_problem_error error = {
        .where = where, .name = {.data = name, .length = strlen(name)}, .message = message};
    struct ty_http_problem problem = {.status = 422,
                                      .detail = "a parameter is wrong; see errors",
                                      .errors = &error,
                                      .error_count = 1};

    ty_http_answer_problem(exchange, &problem, NULL);
}

bool ty_api_read_long_parameter(struct ty_http_exchange *exchange, const char *name, char *buffer,
                                size_t size, struct ty_text *value)
{
    struct ty_text query = ty_http_exchange_request(exchange)->query;
    char message[80];

    *value = (struct ty_text){0};
    switch (ty_query_find(query, name, buffer, size, value)) {
    case TY_QUERY_REPEATED:
        ty_api_wrong_parameter(exchange, "query", name, "given more than once");
        return false;
    case TY_QUERY_MALFORMED:
        snprintf(message, sizeof(message), "malformed percent-encoding, or longer than %zu bytes",
                 size);
        ty_api_wrong_parameter(exchange, "query", name, message);
        return false;
    default:
        return true;
    }
}

bool ty_api_read_parameter(struct ty_http_exchange *exchange, const char *name,
                           char buffer[TY_API_PARAMETER_BYTES], struct ty_text *value)
{
    return ty_api_read_long_parameter(exchange, name, buffer, TY_API_PARAMETER_BYTES, value);
}

bool ty_api_read_number(struct ty_http_exchange *exchange, const char *name, uint64_t min,
                        uint64_t max, const char *allowed, uint64_t *value)
{
    char buffer[TY_API_PARAMETER_BYTES];
    uint64_t number = 0;
    struct ty_text text;
    bool valid = true;

    if (!ty_api_read_parameter(exchange, name, buffer, &text))
        return false;
    if (text.data == NULL)
        return true;
    for (size_t i = 0; i < text.length && valid; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text.data[i] - '0';

        valid = digit <= 9 && number <= (max - digit) / 10;
        number = number * 10 + digit;
    }
    if (!valid || text.length == 0 || number < min) {
        ty_api_wrong_parameter(exchange, "query", name, allowed);
        return false;
    }
    *value = number;
    return true;
}

bool ty_api_read_uuid(struct ty_http_exchange *exchange, const char *name, struct ty_text text,
                      struct ty_uuid *uuid)
{
    if (ty_uuid_parse(text.data, text.length, uuid))
        return true;
    ty_api_wrong_parameter(exchange, "path", name,
                           "not a UUID (36 characters, like "
                           "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c)");
    return false;
}

void ty_api_unavailable(struct ty_http_exchange *exchange)
{
    struct ty_http_problem problem = {
        .status = 503, .detail = "the database is being recovered; try again in a moment"};

    ty_http_answer_problem(exchange, &problem, "Retry-After: 1\r\n");
}

/* What nobody described better: it may be about a query or about events. */
#define NO_MEMORY                                                                                  \
    "the server has no memory for this request at the moment; send it again, events with the "     \
    "same ids"

void ty_api_failure(struct ty_http_exchange *exchange, tally_status status, const char *text)
{
    struct ty_http_problem problem = {.status = 500, .detail = text};
    const char *retry = NULL;

    if (problem.detail == NULL || problem.detail[0] == '\0')
        problem.detail = status == TALLY_NO_MEMORY ? NO_MEMORY : tally_strerror(status);
    if (status == TALLY_FULL) {
        problem.status = 507;
    } else if (status == TALLY_BUSY || status == TALLY_NO_MEMORY || status == TALLY_FAILED) {
        problem.status = 503;
        retry = "Retry-After: 1\r\n";
    } else if (status == TALLY_UNKNOWN) {
        problem.members = "\"outcome\":\"unknown\"";
    }
    ty_http_answer_problem(exchange, &problem, retry);
}

void ty_api_query_failed(struct ty_http_exchange *exchange, tally_status status,
                         const tally_error *error, const char *members)
{
    const struct ty_http_problem problem = {
        .status = 500, .detail = error->message, .members = members};

    if (status == TALLY_CORRUPT || status == TALLY_IO)
        ty_log_text("error", "query_failed", "problem", error->message);
    if (status == TALLY_CORRUPT && members != NULL)
        ty_http_answer_problem(exchange, &problem, NULL);
    else
        ty_api_failure(exchange, status, error->message);
}
