/*
 * api_closing.c: POST /v1/customers/{}/close: months that were billed, closed by the customer's
 * shard; and GET /v1/customers/{}/revisions: what changed in them since, page by page. Reads wait
 * for the disk, so they run on the pool.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/closing.h"
#include "server/api.h"
#include "server/revisions_json.h"

/* --- Closing --- */

struct request {
    struct ty_closing closing;
    struct ty_completion completion;
    struct ty_io_loop *loop;
    struct ty_http_exchange *exchange;
};

static void answer_closed(struct ty_http_exchange *exchange, const struct ty_close *close)
{
    struct ty_buffer out = {0};
    tally_closed closed;

    ty_closing_fill(&close->closed, &closed);
    ty_revisions_json_closed(&out, &close->customer, &closed, false);
    ty_http_answer(exchange, 200, "application/json", &out, NULL);
}

static void refuse(struct ty_http_exchange *exchange, const struct ty_close *close)
{
    char text[TY_CLOSING_TEXT_BYTES];

    ty_closing_explain(close, text);
    if (close->result == TY_CLOSE_UNKNOWN)
        ty_http_problem(exchange, 404, "%s", text);
    else if (close->result == TY_CLOSE_EARLIER)
        ty_http_problem(exchange, 409, "%s", text);
    else
        ty_api_wrong_parameter(exchange, "query", "through", text);
}

static void answer(struct ty_completion *completion)
{
    struct request *request = TY_CONTAINER_OF(completion, struct request, completion);
    const struct ty_close *close = &request->closing.close;

    if (request->closing.status != TALLY_OK)
        ty_api_failure(request->exchange, request->closing.status, request->closing.problem);
    else if (close->result == TY_CLOSE_DONE || close->result == TY_CLOSE_ALREADY)
        answer_closed(request->exchange, close);
    else
        refuse(request->exchange, close);
    free(request);
}

/* On a writer's thread, or on the loop's own when too much waits. */
static void decided(struct ty_closing *closing)
{
    struct request *request = TY_CONTAINER_OF(closing, struct request, closing);

    ty_io_loop_complete(request->loop, &request->completion);
}

static bool read_month(struct ty_http_exchange *exchange, int32_t *month)
{
    char buffer[TY_API_PARAMETER_BYTES];
    const char *problem = "required: the last month that is to be closed, like 2023-01";
    struct ty_text text;

    if (!ty_api_read_parameter(exchange, "through", buffer, &text))
        return false;
    if (text.data != NULL)
        problem = ty_closing_parse(text.data, text.length, month);
    if (problem != NULL)
        ty_api_wrong_parameter(exchange, "query", "through", problem);
    return problem == NULL;
}

void ty_api_close(struct ty_io_loop *loop, struct ty_http_exchange *exchange,
                  const struct ty_match *match)
{
    struct ty_database *database = ty_app_database(ty_io_loop_app(loop));
    struct ty_close close = {0};
    struct request *request;

    if (database == NULL) {
        ty_api_unavailable(exchange);
        return;
    }
    if (!ty_api_read_uuid(exchange, "customer_id", match->parameters[0], &close.customer) ||
        !read_month(exchange, &close.through))
        return;
    request = calloc(1, sizeof(*request));
    if (request == NULL) {
        ty_api_failure(exchange, TALLY_NO_MEMORY, NULL);
        return;
    }
    request->closing = (struct ty_closing){.close = close, .done = decided};
    request->completion.run = answer;
    request->loop = loop;
    request->exchange = exchange;
    ty_io_loop_expect(loop);
    ty_database_close_months(database, &request->closing);
}

/* --- Revisions --- */

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     1000

struct listing {
    struct ty_pool_job job;
    struct ty_http_exchange *exchange;
    struct ty_database *database;
    struct ty_uuid customer;
    uint64_t limit;
    uint64_t after;
    /* The answer. */
    struct ty_buffer list;
    bool more;
    tally_closed closed;
    tally_status status;
    tally_error error;
};

static bool read_parameters(struct listing *listing, const struct ty_match *match)
{
    listing->limit = LIMIT_DEFAULT;
    return ty_api_read_uuid(listing->exchange, "customer_id", match->parameters[0],
                            &listing->customer) &&
           ty_api_read_number(listing->exchange, "limit", 1, LIMIT_MAX,
                              "a whole number from 1 to 1000 is allowed", &listing->limit) &&
           ty_api_read_number(listing->exchange, "after", 0, UINT64_MAX,
                              "the number of a revision is allowed, like next of the page before, "
                              "or 0",
                              &listing->after);
}

static bool append(void *context, const tally_revision *revision)
{
    struct listing *listing = context;

    ty_revisions_json_append(&listing->list, revision, listing->list.length == 0);
    return ty_buffer_ok(&listing->list);
}

static void run(struct ty_pool_job *job)
{
    struct listing *listing = TY_CONTAINER_OF(job, struct listing, job);

    listing->status = ty_revisions_list(listing->database, &listing->customer, &listing->after,
                                        (size_t)listing->limit, append, listing, &listing->closed,
                                        &listing->more, &listing->error);
    if (listing->status == TALLY_OK && !ty_buffer_ok(&listing->list))
        listing->status = TALLY_NO_MEMORY;
}

/* What is closed is known when the list has been read, and stands before it. */
static void answer_list(struct listing *listing)
{
    struct ty_buffer out = {0};

    ty_revisions_json_closed(&out, &listing->customer, &listing->closed, true);
    ty_buffer_append_text(&out, ",\"revisions\":[");
    ty_buffer_append(&out, listing->list.data, listing->list.length);
    ty_revisions_json_end(&out, listing->more, listing->after);
    ty_http_answer(listing->exchange, 200, "application/json", &out, NULL);
}

static void listed(struct ty_pool_job *job)
{
    struct listing *listing = TY_CONTAINER_OF(job, struct listing, job);
    char members[40];

    /* Behind a damaged one the list goes on: it is lost, the others are not. */
    snprintf(members, sizeof(members), "\"next\":%" PRIu64, listing->after);
    if (listing->status == TALLY_OK)
        answer_list(listing);
    else
        ty_api_query_failed(listing->exchange, listing->status, &listing->error, members);
    ty_buffer_fini(&listing->list);
    free(listing);
}

void ty_api_revisions(struct ty_io_loop *loop, struct ty_http_exchange *exchange,
                      const struct ty_match *match)
{
    struct ty_database *database = ty_app_database(ty_io_loop_app(loop));
    struct listing *listing;

    if (database == NULL) {
        ty_api_unavailable(exchange);
        return;
    }
    listing = calloc(1, sizeof(*listing));
    if (listing == NULL) {
        ty_api_failure(exchange, TALLY_NO_MEMORY, NULL);
        return;
    }
    listing->job.run = run;
    listing->job.done = listed;
    listing->exchange = exchange;
    listing->database = database;
    if (!read_parameters(listing, match) || !ty_api_run_on_pool(loop, exchange, &listing->job))
        free(listing);
}
