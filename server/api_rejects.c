/*
 * api_rejects.c: GET /v1/rejects: the records of streams that could not be counted, page by page.
 * Reads wait for the disk, so they run on the pool.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/rejects.h"
#include "server/api.h"
#include "server/rejects_json.h"

#define LIMIT_DEFAULT  100
#define LIMIT_MAX      1000
#define BODY_BYTES_MAX ((size_t)8 << 20) /* a page of long records ends here */

struct listing {
    struct ty_pool_job job;
    struct ty_http_exchange *exchange;
    struct ty_database *database;
    uint64_t limit;
    uint64_t before;
    /* The answer. */
    struct ty_buffer body;
    size_t count;
    bool more;
    tally_status status;
    tally_error error;
};

static bool read_parameters(struct listing *listing)
{
    listing->limit = LIMIT_DEFAULT;
    listing->before = UINT64_MAX;
    return ty_api_read_number(listing->exchange, "limit", 1, LIMIT_MAX,
                              "a whole number from 1 to 1000 is allowed", &listing->limit) &&
           ty_api_read_number(
               listing->exchange, "after", 1, UINT64_MAX,
               "the seq of a reject is allowed: a whole number from 1 on, like next of "
               "the page before",
               &listing->before);
}

static bool append_reject(void *context, const struct ty_kept_reject *kept)
{
    struct listing *listing = context;

    if (listing->count++ != 0)
        ty_buffer_append_char(&listing->body, ',');
    ty_rejects_json_append(&listing->body, kept);
    return listing->body.length < BODY_BYTES_MAX && ty_buffer_ok(&listing->body);
}

static void run(struct ty_pool_job *job)
{
    struct listing *listing = TY_CONTAINER_OF(job, struct listing, job);

    ty_rejects_json_begin(&listing->body);
    listing->status = ty_rejects_list(listing->database, &listing->before, (size_t)listing->limit,
                                      append_reject, listing, &listing->more, &listing->error);
    ty_rejects_json_end(&listing->body, listing->more, listing->before);
}

static void done(struct ty_pool_job *job)
{
    struct listing *listing = TY_CONTAINER_OF(job, struct listing, job);
    char members[40];

    /* Behind a damaged one the list goes on: it is lost, the others are not. */
    snprintf(members, sizeof(members), "\"next\":%" PRIu64, listing->before);
    if (listing->status == TALLY_OK)
        ty_http_answer(listing->exchange, 200, "application/json", &listing->body, NULL);
    else
        ty_api_query_failed(listing->exchange, listing->status, &listing->error, members);
    ty_buffer_fini(&listing->body);
    free(listing);
}

void ty_api_rejects(struct ty_io_loop *loop, struct ty_http_exchange *exchange)
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
    listing->job.done = done;
    listing->exchange = exchange;
    listing->database = database;
    if (!read_parameters(listing) || !ty_api_run_on_pool(loop, exchange, &listing->job))
        free(listing);
}
