/*
 * api_events.c: POST /v1/events, and OpenMeter's POST /api/v1/events: decode on the loop, decide in
 * the shards, answer on the loop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ingest/results_json.h"
#include "server/api.h"

/* A request while its events are with the shards. The texts of the batch lie in the body, which
 * lives until the exchange is answered. */
struct request {
    struct ty_submission submission;
    struct ty_completion completion;
    struct ty_io_loop *loop;
    struct ty_database *database;
    struct ty_http_exchange *exchange;
    enum ty_event_door door;
    bool all; /* results=all */
};

static bool has_coding(const struct ty_http_request *request)
{
    struct ty_text coding = ty_http_request_header(request, "content-encoding");

    return coding.data != NULL && coding.length != 0 &&
           !(coding.length == strlen("identity") &&
             strncasecmp(coding.data, "identity", coding.length) == 0);
}

static bool find_results(struct ty_http_exchange *exchange, bool *all)
{
    const struct ty_http_request *request = ty_http_exchange_request(exchange);
    char buffer[16];
    struct ty_text value;
    enum ty_query_result result =
        ty_query_find(request->query, "results", buffer, sizeof(buffer), &value);

    *all = result == TY_QUERY_FOUND && value.length == 3 && memcmp(value.data, "all", 3) == 0;
    if (*all || result == TY_QUERY_ABSENT)
        return true;
    ty_api_wrong_parameter(exchange, "query", "results", "the only value is 'all', given once");
    return false;
}

static void answer_results(struct request *request)
{
    struct ty_app *app = ty_io_loop_app(request->loop);
    struct ty_buffer body = {0};

    ty_results_json_write(&body, request->submission.batch, request->all, &app->options.database);
    ty_http_answer(request->exchange, 200, "application/json", &body, NULL);
}

/*
 * OpenMeter answers 204, and its clients know no answer that lists what became of each event: what
 * was rejected has to be an error to be seen at all. The rest is stored, and is told to be.
 */
static void answer_openmeter(struct request *request)
{
    struct ty_app *app = ty_io_loop_app(request->loop);
    const struct ty_batch *batch = request->submission.batch;
    struct ty_results_count count = ty_results_json_count(batch);
    struct ty_http_problem problem = {.status = 400};
    struct ty_buffer members = {0};
    char detail[128];

    if (count.rejected == 0) {
        ty_http_answer(request->exchange, 204, NULL, NULL, NULL);
        return;
    }
    snprintf(detail, sizeof(detail), "%zu of %zu events were rejected, see rejected; %s",
             count.rejected, batch->record_count,
             count.rejected == batch->record_count ? "nothing was stored"
                                                   : "the others are stored");
    ty_results_json_write_members(&members, batch, &app->options.database);
    ty_buffer_append_char(&members, '\0');
    problem.detail = detail;
    problem.members = members.data;
    if (ty_buffer_ok(&members))
        ty_http_answer_problem(request->exchange, &problem, NULL);
    else
        ty_api_failure(request->exchange, TALLY_NO_MEMORY, NULL);
    ty_buffer_fini(&members);
}

static void answer(struct ty_completion *completion)
{
    struct request *request = TY_CONTAINER_OF(completion, struct request, completion);

    if (request->submission.status != TALLY_OK)
        ty_api_failure(request->exchange, request->submission.status, request->submission.problem);
    else if (request->door == TY_EVENT_DOOR_OPENMETER)
        answer_openmeter(request);
    else
        answer_results(request);
    ty_database_give_batch(request->database, request->submission.batch);
    free(request);
}

/* On a writer's thread, or on the loop's own when there was nothing to store. */
static void decided(struct ty_submission *submission)
{
    struct request *request = TY_CONTAINER_OF(submission, struct request, submission);

    ty_io_loop_complete(request->loop, &request->completion);
}

static void refuse_body(struct ty_http_exchange *exchange, const struct ty_decode_error *error)
{
    ty_http_problem(exchange, 400,
                    "the body is no such document: %s (at byte %zu); nothing of it "
                    "was stored",
                    error->message, error->byte);
}

static bool decode(struct ty_app *app, struct ty_http_exchange *exchange,
                   const struct ty_event_format *format, struct ty_batch *batch)
{
    struct ty_decode_error error = {0};
    enum ty_decode_status status =
        ty_event_format_decode(format, ty_http_exchange_request(exchange), batch, &error);

    if (status == TY_DECODE_OK && !batch->failed) {
        ty_app_count_rejects(app, batch);
        return true;
    }
    if (status == TY_DECODE_REFUSED) {
        ty_atomic_add(&app->refused_bodies, 1, memory_order_relaxed);
        refuse_body(exchange, &error);
    } else {
        ty_api_failure(exchange, TALLY_NO_MEMORY, NULL);
    }
    return false;
}

static void submit(const struct request *as, struct ty_batch *batch)
{
    struct request *request = malloc(sizeof(*request));

    if (request == NULL) {
        ty_api_failure(as->exchange, TALLY_NO_MEMORY, NULL);
        ty_database_give_batch(as->database, batch);
        return;
    }
    *request = *as;
    request->submission.batch = batch;
    request->submission.done = decided;
    request->completion.run = answer;
    ty_batch_seal(batch, ty_database_secret(request->database));
    ty_io_loop_expect(request->loop);
    ty_database_submit(request->database, &request->submission);
}

static void take(const struct request *request, const struct ty_event_format *format)
{
    struct ty_batch *batch = ty_database_take_batch(request->database);

    if (batch == NULL)
        ty_api_failure(request->exchange, TALLY_NO_MEMORY, NULL);
    else if (decode(ty_io_loop_app(request->loop), request->exchange, format, batch))
        submit(request, batch);
    else
        ty_database_give_batch(request->database, batch);
}

void ty_api_events(struct ty_io_loop *loop, struct ty_http_exchange *exchange,
                   enum ty_event_door door)
{
    const struct ty_http_request *http = ty_http_exchange_request(exchange);
    const struct ty_event_format *format = ty_event_format_find(http, door);
    struct request request = {.loop = loop,
                              .database = ty_app_database(ty_io_loop_app(loop)),
                              .exchange = exchange,
                              .door = door};

    if (format == NULL)
        ty_http_problem(exchange, 415, "%s", ty_event_format_allowed(door));
    else if (has_coding(http))
        ty_http_problem(exchange, 415, "Content-Encoding is not supported; send the body as it is");
    else if (door == TY_EVENT_DOOR_TALLY && !find_results(exchange, &request.all))
        return;
    else if (request.database == NULL)
        ty_api_unavailable(exchange);
    else
        take(&request, format);
}
