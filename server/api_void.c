/*
 * api_void.c: POST /v1/events/void: the events are looked for on the pool, voided by the customer's
 * shard, and answered on the loop.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/timestamp.h"
#include "ingest/media_type.h"
#include "ingest/void_request.h"
#include "query/void_find.h"
#include "server/api.h"

struct request {
    struct ty_pool_job job;
    struct ty_voiding voiding;
    struct ty_completion completion;
    struct ty_http_exchange *exchange;
    struct ty_database *database;
    struct ty_arena arena;
    struct ty_void_request body; /* its texts lie in the exchange's body and in the arena */
    struct ty_void_wanted *wanted;
    int64_t oldest_ms;
    tally_status status; /* of looking for the events */
    tally_error error;
};

static void end(struct request *request)
{
    ty_arena_fini(&request->arena);
    free(request);
}

/* --- The answer --- */

static void append_unknown(struct ty_buffer *out, int64_t oldest_ms)
{
    char time[TY_TIMESTAMP_TEXT_BYTES];

    ty_buffer_append_text(out,
                          "\"unknown_id\",\"message\":\"no event of this customer with this id "
                          "is kept; ");
    if (oldest_ms < TY_TIMESTAMP_MS_MIN || oldest_ms > TY_TIMESTAMP_MS_MAX || oldest_ms == 0) {
        ty_buffer_append_text(out, "the journal is empty");
        return;
    }
    ty_timestamp_format(oldest_ms, time);
    ty_buffer_append_format(out, "the journal has what was received since %s", time);
}

static void append_rejected(struct ty_buffer *out, const struct request *request, size_t index)
{
    const struct ty_void_wanted *wanted = &request->wanted[index];

    ty_buffer_append_format(out, "{\"index\":%zu,\"id\":", index);
    ty_buffer_append_json(out, wanted->id);
    ty_buffer_append_text(out, ",\"code\":");
    if (wanted->found && wanted->what.result == TY_VOID_OVERFLOW)
        ty_buffer_append_text(out, "\"overflow\",\"message\":\"a sum of its slot would leave 64 "
                                   "bits without it");
    else
        append_unknown(out, request->oldest_ms);
    ty_buffer_append_text(out, "\"}");
}

static void answer_results(struct request *request)
{
    struct ty_buffer out = {0};
    size_t counts[TY_VOID_OVERFLOW + 1] = {0}, rejected = 0;

    for (size_t i = 0; i < request->body.count; i++)
        if (request->wanted[i].found)
            counts[request->wanted[i].what.result]++;
    ty_buffer_append_format(&out, "{\"voided\":%zu,\"already_voided\":%zu,\"rejected\":[",
                            counts[TY_VOID_DONE], counts[TY_VOID_ALREADY]);
    for (size_t i = 0; i < request->body.count; i++) {
        const struct ty_void_wanted *wanted = &request->wanted[i];

        if (wanted->found &&
            (wanted->what.result == TY_VOID_DONE || wanted->what.result == TY_VOID_ALREADY))
            continue;
        if (rejected++ != 0)
            ty_buffer_append_char(&out, ',');
        append_rejected(&out, request, i);
    }
    ty_buffer_append_text(&out, "]}");
    ty_http_answer(request->exchange, 200, "application/json", &out, NULL);
}

/* --- Voiding --- */

static void answer(struct ty_completion *completion)
{
    struct request *request = TY_CONTAINER_OF(completion, struct request, completion);

    if (request->voiding.status != TALLY_OK) {
        ty_api_failure(request->exchange, request->voiding.status, request->voiding.problem);
    } else {
        ty_void_take_results(request->wanted, request->body.count, &request->voiding);
        answer_results(request);
    }
    end(request);
}

/* On a writer's thread, or on the loop's own when nothing was found. */
static void voided(struct ty_voiding *voiding)
{
    struct request *request = TY_CONTAINER_OF(voiding, struct request, voiding);

    ty_io_loop_complete(request->job.loop, &request->completion);
}

/* On the loop, when the events were looked for. */
static void found(struct ty_pool_job *job)
{
    struct request *request = TY_CONTAINER_OF(job, struct request, job);

    if (request->status == TALLY_OK &&
        ty_void_list(request->wanted, request->body.count, request->body.reason, &request->arena,
                     &request->voiding)) {
        request->voiding.done = voided;
        request->completion.run = answer;
        ty_io_loop_expect(job->loop);
        ty_database_void(request->database, &request->body.customer, &request->voiding);
        return;
    }
    ty_api_query_failed(request->exchange,
                        request->status == TALLY_OK ? TALLY_NO_MEMORY : request->status,
                        &request->error, NULL);
    end(request);
}

static void look(struct ty_pool_job *job)
{
    struct request *request = TY_CONTAINER_OF(job, struct request, job);
    struct ty_shard_view view =
        ty_shard_view(ty_database_shard_of(request->database, &request->body.customer));

    request->status = ty_void_find(&view, ty_database_secret(request->database),
                                   &request->body.customer, request->wanted, request->body.count,
                                   &request->arena, &request->oldest_ms, &request->error);
}

/* --- The request --- */

static void refuse(struct ty_http_exchange *exchange, const struct ty_void_problem *problem)
{
    if (problem->member == NULL)
        ty_http_problem(exchange, 400, "the body is no such document: %s; nothing was voided",
                        problem->message);
    else
        ty_api_wrong_parameter(exchange, "body", problem->member, problem->message);
}

/* False: it has been answered. */
static bool read_body(struct request *request)
{
    const struct ty_text *body = &ty_http_exchange_request(request->exchange)->body;
    struct ty_void_problem problem;
    enum ty_void_parse result =
        ty_void_request_parse(body->data, body->length, &request->arena, &request->body, &problem);

    if (result == TY_VOID_PARSED)
        request->wanted =
            ty_arena_alloc(&request->arena, (request->body.count + 1) * sizeof(*request->wanted));
    if (result == TY_VOID_WRONG)
        refuse(request->exchange, &problem);
    else if (request->wanted == NULL)
        ty_api_failure(request->exchange, TALLY_NO_MEMORY, NULL);
    if (request->wanted == NULL)
        return false;
    for (size_t i = 0; i < request->body.count; i++)
        request->wanted[i] = (struct ty_void_wanted){.id = request->body.ids[i].id,
                                                     .source = request->body.ids[i].source};
    return true;
}

void ty_api_void(struct ty_io_loop *loop, struct ty_http_exchange *exchange)
{
    struct ty_database *database = ty_app_database(ty_io_loop_app(loop));
    struct ty_text type =
        ty_http_request_header(ty_http_exchange_request(exchange), "content-type");
    struct request *request;

    if (!ty_media_type_is(type, "application/json")) {
        ty_http_problem(exchange, 415, "Content-Type must be application/json");
        return;
    }
    if (database == NULL) {
        ty_api_unavailable(exchange);
        return;
    }
    request = calloc(1, sizeof(*request));
    if (request == NULL) {
        ty_api_failure(exchange, TALLY_NO_MEMORY, NULL);
        return;
    }
    request->job.run = look;
    request->job.done = found;
    request->exchange = exchange;
    request->database = database;
    if (!read_body(request) || !ty_api_run_on_pool(loop, exchange, &request->job))
        end(request);
}
