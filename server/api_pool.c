/*
 * api_pool.c: requests that may wait for the disk, on libuv's pool of threads, so that they do not
 * hold up other connections.
 */
#include "server/api.h"

/* Each holds some megabytes of answer at most, and its client waits for all that came before. */
#define POOL_JOBS_MAX 256

static void run_job(uv_work_t *work)
{
    struct ty_pool_job *job = TY_CONTAINER_OF(work, struct ty_pool_job, work);

    job->run(job);
}

static void leave_pool(struct ty_app *app)
{
    ty_atomic_sub(&app->pool_queries, 1, memory_order_relaxed);
}

static void after_job(uv_work_t *work, int status)
{
    struct ty_pool_job *job = TY_CONTAINER_OF(work, struct ty_pool_job, work);

    (void)status; /* Work is never cancelled. */
    leave_pool(ty_io_loop_app(job->loop));
    job->done(job);
}

static bool enter_pool(struct ty_app *app, struct ty_http_exchange *exchange)
{
    struct ty_http_problem problem = {
        .status = 503,
        .detail = "too many large queries are being answered; try again in a moment"};

    if (ty_atomic_add(&app->pool_queries, 1, memory_order_relaxed) < POOL_JOBS_MAX)
        return true;
    leave_pool(app);
    ty_http_answer_problem(exchange, &problem, "Retry-After: 1\r\n");
    return false;
}

bool ty_api_run_on_pool(struct ty_io_loop *loop, struct ty_http_exchange *exchange,
                        struct ty_pool_job *job)
{
    if (!enter_pool(ty_io_loop_app(loop), exchange))
        return false;
    job->loop = loop;
    if (uv_queue_work(ty_io_loop_uv(loop), &job->work, run_job, after_job) == 0)
        return true;
    leave_pool(ty_io_loop_app(loop));
    ty_api_failure(exchange, TALLY_NO_MEMORY, NULL);
    return false;
}
