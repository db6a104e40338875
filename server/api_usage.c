/*
 * api_usage.c: the reseller's usage endpoints: check the parameters, ask the database, answer.
 *
 * A query that touches little runs on the loop that received it; one that may have to read much
 * runs on libuv's work pool, so that it does not hold up other connections.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/period.h"
#include "query/rollup.h"
#include "query/usage.h"
#include "server/api.h"
#include "server/usage_json.h"

#define INLINE_COST_MAX 400 /* stored values: some 100 µs when they are in memory */

struct query {
    struct ty_pool_job job;
    struct ty_io_loop *loop;
    struct ty_http_exchange *exchange;
    struct ty_database *database;
    enum ty_usage_kind kind;
    struct ty_uuid customer;
    struct ty_uuid workflow;
    struct ty_range range;
    bool end_given;
    bool extended;
    const char *extended_text; /* as it was given, a constant; or NULL */
    int64_t start_ns;
    /* The answer. */
    tally_status status;
    tally_error error;
    struct ty_buffer body;
};

/* --- Parameters --- */

static bool read_range(struct query *query)
{
    char start_buffer[TY_API_PARAMETER_BYTES], end_buffer[TY_API_PARAMETER_BYTES], message[160];
    struct ty_clock clock = ty_database_clock(query->database);
    struct ty_range_problem problem;
    struct ty_text start, end;

    if (!ty_api_read_parameter(query->exchange, "start", start_buffer, &start) ||
        !ty_api_read_parameter(query->exchange, "end", end_buffer, &end))
        return false;
    if (start.data == NULL) {
        snprintf(message, sizeof(message), "required: the first period, as %s",
                 ty_frequency_form(query->range.frequency));
        ty_api_wrong_parameter(query->exchange, "query", "start", message);
        return false;
    }
    query->end_given = end.data != NULL;
    if (ty_range_parse(query->range.frequency, start, end, ty_clock_wall_ms(&clock), &query->range,
                       &problem))
        return true;
    ty_api_wrong_parameter(query->exchange, "query", problem.parameter, problem.message);
    return false;
}

static bool read_extended(struct query *query)
{
    static const struct {
        const char *text;
        bool value;
    } values[] = {{"true", true}, {"false", false}, {"1", true}, {"0", false}};
    char buffer[TY_API_PARAMETER_BYTES];
    struct ty_text text;

    if (!ty_api_read_parameter(query->exchange, "extended", buffer, &text))
        return false;
    if (text.data == NULL)
        return true;
    for (size_t i = 0; i < TY_COUNT_OF(values); i++)
        if (strlen(values[i].text) == text.length &&
            memcmp(values[i].text, text.data, text.length) == 0) {
            query->extended_text = values[i].text;
            query->extended = values[i].value;
            return true;
        }
    ty_api_wrong_parameter(query->exchange, "query", "extended",
                           "one of true, false, 1 and 0 is allowed");
    return false;
}

static bool check_row_count(struct query *query)
{
    char message[120];

    if (query->kind == TY_USAGE_LIST || ty_range_count(&query->range) <= TALLY_ROWS_MAX)
        return true;
    snprintf(message, sizeof(message),
             "the range has %lld periods; at most %d rows are answered: ask for less at once",
             (long long)ty_range_count(&query->range), TALLY_ROWS_MAX);
    ty_api_wrong_parameter(query->exchange, "query", query->end_given ? "end" : "start", message);
    return false;
}

/* Fills the query from path and query string. False: answered. */
static bool read_query(struct query *query, const struct ty_match *match)
{
    struct ty_text frequency = match->parameters[match->parameter_count - 1];

    if (!ty_frequency_parse(frequency.data, frequency.length, &query->range.frequency)) {
        ty_http_problem(query->exchange, 404,
                        "there is nothing at this path; it ends with monthly, weekly, daily or "
                        "hourly");
        return false;
    }
    return ty_api_read_uuid(query->exchange, "customer_id", match->parameters[0],
                            &query->customer) &&
           (query->kind == TY_USAGE_LIST ||
            ty_api_read_uuid(query->exchange, "workflow_id", match->parameters[1],
                             &query->workflow)) &&
           read_range(query) && read_extended(query) && check_row_count(query);
}

/* --- Running --- */

static void run_rows(struct query *query)
{
    size_t count = (size_t)ty_range_count(&query->range);
    tally_row few[32], *rows = count <= TY_COUNT_OF(few) ? few : calloc(count, sizeof(*rows));

    if (rows == NULL) {
        query->status = TALLY_NO_MEMORY;
        return;
    }
    query->status = ty_rollup_rows(query->database, &query->customer, &query->workflow,
                                   &query->range, rows, &query->error);
    if (query->status == TALLY_OK)
        ty_usage_json_rows(&query->body, rows, count, query->extended);
    if (rows != few)
        free(rows);
}

static void run_list(struct query *query)
{
    struct ty_uuid *ids = NULL;
    size_t count = 0;

    query->status = ty_rollup_workflows(query->database, &query->customer, &query->range, &ids,
                                        &count, &query->error);
    if (query->status == TALLY_OK)
        ty_usage_json_list(&query->body, &query->customer, ids, count, &query->range,
                           query->end_given, query->extended_text);
    free(ids);
}

static void run(struct query *query)
{
    if (query->kind == TY_USAGE_ROWS)
        run_rows(query);
    else
        run_list(query);
}

static void answer(struct query *query)
{
    struct ty_clock clock = ty_database_clock(query->database);

    ty_histogram_record(&ty_io_loop_app(query->loop)->query_time,
                        ty_clock_mono_ns(&clock) - query->start_ns);
    if (query->status == TALLY_OK) {
        ty_http_answer(query->exchange, 200, "application/json", &query->body, NULL);
        return;
    }
    ty_buffer_fini(&query->body);
    ty_api_query_failed(query->exchange, query->status, &query->error, NULL);
}

static void run_on_pool(struct ty_pool_job *job)
{
    run(TY_CONTAINER_OF(job, struct query, job));
}

static void after_pool(struct ty_pool_job *job)
{
    struct query *query = TY_CONTAINER_OF(job, struct query, job);

    answer(query);
    free(query);
}

static bool is_small(const struct query *query)
{
    int64_t series = 1;

    if (query->kind == TY_USAGE_LIST)
        series = (int64_t)ty_rollup_series_count(query->database, &query->customer);
    return ty_usage_cost(&query->range) * series <= INLINE_COST_MAX;
}

/* A copy of the query that outlives the handler. */
static void send_to_pool(const struct query *query)
{
    struct query *copy = malloc(sizeof(*copy));

    if (copy == NULL) {
        ty_api_failure(query->exchange, TALLY_NO_MEMORY, NULL);
        return;
    }
    *copy = *query;
    copy->job.run = run_on_pool;
    copy->job.done = after_pool;
    if (!ty_api_run_on_pool(query->loop, query->exchange, &copy->job))
        free(copy);
}

void ty_api_usage(struct ty_io_loop *loop, struct ty_http_exchange *exchange,
                  const struct ty_match *match, enum ty_usage_kind kind)
{
    struct query query = {.loop = loop, .exchange = exchange, .kind = kind};
    struct ty_clock clock;

    query.database = ty_app_database(ty_io_loop_app(loop));
    if (query.database == NULL) {
        ty_api_unavailable(exchange);
        return;
    }
    clock = ty_database_clock(query.database);
    query.start_ns = ty_clock_mono_ns(&clock);
    if (!read_query(&query, match))
        return;
    if (!is_small(&query)) {
        send_to_pool(&query);
        return;
    }
    run(&query);
    answer(&query);
}
