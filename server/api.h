/*
 * api.h: Tally's HTTP API: requests in, answers out (docs/PROTOCOL.md).
 *
 * Threads: handlers run on the loop that received the request.
 */
#ifndef TY_SERVER_API_H
#define TY_SERVER_API_H

#include "server/event_format.h"
#include "server/io_loop.h"
#include "server/router.h"

/* ty_api_handle answers a request, at once or later. */
void ty_api_handle(struct ty_io_loop *loop, struct ty_http_exchange *exchange);

/* --- The handlers, a file each --- */

/* POST /v1/events, /api/v1/events */
void ty_api_events(struct ty_io_loop *loop, struct ty_http_exchange *exchange,
                   enum ty_event_door door);

/* The rollups of one workflow, and the list of workflows used. */
enum ty_usage_kind { TY_USAGE_LIST, TY_USAGE_ROWS };
void ty_api_usage(struct ty_io_loop *loop, struct ty_http_exchange *exchange,
                  const struct ty_match *match, enum ty_usage_kind kind);

/* GET /v1/events */
void ty_api_feed(struct ty_io_loop *loop, struct ty_http_exchange *exchange);

/* POST /v1/events/void */
void ty_api_void(struct ty_io_loop *loop, struct ty_http_exchange *exchange);

/* GET /v1/rejects: the records of streams that could not be counted */
void ty_api_rejects(struct ty_io_loop *loop, struct ty_http_exchange *exchange);

/* POST /v1/customers/{}/close, GET /v1/customers/{}/revisions: months that were billed */
void ty_api_close(struct ty_io_loop *loop, struct ty_http_exchange *exchange,
                  const struct ty_match *match);
void ty_api_revisions(struct ty_io_loop *loop, struct ty_http_exchange *exchange,
                      const struct ty_match *match);

/* GET /v1/status */
void ty_api_status(struct ty_io_loop *loop, struct ty_http_exchange *exchange);

/* GET /healthz, /readyz, /metrics */
void ty_api_healthz(struct ty_io_loop *loop, struct ty_http_exchange *exchange);
void ty_api_readyz(struct ty_io_loop *loop, struct ty_http_exchange *exchange);
void ty_api_metrics(struct ty_io_loop *loop, struct ty_http_exchange *exchange);

/* --- What they share --- */

/* The longest value of a parameter of the query string, unless its route says otherwise. */
#define TY_API_PARAMETER_BYTES 128

/* ty_api_read_parameter finds a parameter of the query string; *value borrows `buffer`, and has
 * NULL data when the parameter is absent. False: it is wrong, and 422 has been answered. */
bool ty_api_read_parameter(struct ty_http_exchange *exchange, const char *name,
                           char buffer[TY_API_PARAMETER_BYTES], struct ty_text *value);

/* The same with a buffer of another size. */
bool ty_api_read_long_parameter(struct ty_http_exchange *exchange, const char *name, char *buffer,
                                size_t size, struct ty_text *value);

/* ty_api_read_number reads a parameter, a whole number from `min` to `max`; *value stays as it is
 * when it is absent. False: it is none (`allowed` says what is), and 422 has been answered. */
bool ty_api_read_number(struct ty_http_exchange *exchange, const char *name, uint64_t min,
                        uint64_t max, const char *allowed, uint64_t *value);

/* ty_api_read_uuid reads one of the path; false: it is none, and 422 has been answered. */
bool ty_api_read_uuid(struct ty_http_exchange *exchange, const char *name, struct ty_text text,
                      struct ty_uuid *uuid);

/* ty_api_wrong_parameter answers 422 with the parameter named in "errors". Texts are borrowed. */
void ty_api_wrong_parameter(struct ty_http_exchange *exchange, const char *where, const char *name,
                            const char *message);

/* What a request leaves to libuv's pool of threads; embedded in what it is about. */
struct ty_pool_job {
    uv_work_t work;
    struct ty_io_loop *loop;
    void (*run)(struct ty_pool_job *job);  /* on a thread of the pool; may wait for the disk */
    void (*done)(struct ty_pool_job *job); /* on the loop, after `run` */
};

/*
 * ty_api_run_on_pool has a job run whose `run` and `done` are set. False: too many are with the
 * pool, or there is no memory; then 503 has been answered, and the job is still the caller's.
 */
bool ty_api_run_on_pool(struct ty_io_loop *loop, struct ty_http_exchange *exchange,
                        struct ty_pool_job *job);

/* Why the server takes no events, as a constant sentence; NULL: it does. */
const char *ty_api_unready_reason(struct ty_app *app);

/* ty_api_unavailable answers 503 with Retry-After: the database is not open (yet). */
void ty_api_unavailable(struct ty_http_exchange *exchange);

/* ty_api_failure answers what went wrong in the database; `problem` is a sentence or NULL. */
void ty_api_failure(struct ty_http_exchange *exchange, tally_status status, const char *problem);

/* ty_api_query_failed answers why a query failed, and logs it when the disk is to blame. `members`
 * (NULL: none) are further members of the answer where something is damaged: how to go on behind
 * it, since it is lost and the others are not. */
void ty_api_query_failed(struct ty_http_exchange *exchange, tally_status status,
                         const tally_error *error, const char *members);

#endif
