/*
 * api_health.c: is the process alive (/healthz), does it take events (/readyz)?
 */
#include "server/api.h"

static void answer_status(struct ty_http_exchange *exchange, const char *status)
{
    struct ty_buffer body = {0};

    ty_buffer_append_format(&body, "{\"status\":\"%s\"}", status);
    ty_http_answer(exchange, 200, "application/json", &body, NULL);
}

void ty_api_healthz(struct ty_io_loop *loop, struct ty_http_exchange *exchange)
{
    (void)loop;
    answer_status(exchange, "alive");
}

static bool is_full(const struct ty_database *database)
{
    for (unsigned i = 0; i < ty_database_shard_count(database); i++)
        if (ty_atomic_load(&ty_shard_stats(ty_database_shard(database, i))->full,
                           memory_order_relaxed) != 0)
            return true;
    return false;
}

const char *ty_api_unready_reason(struct ty_app *app)
{
    struct ty_database *database = ty_app_database(app);

    if (database == NULL)
        return "the database is being recovered";
    if (ty_atomic_load(&app->draining, memory_order_relaxed))
        return "the server is stopping";
    if (ty_database_failed(database))
        return "a commit failed halfway; the process must be restarted";
    if (is_full(database))
        return "the disk or the map is nearly full: events are refused, queries work";
    return NULL;
}

void ty_api_readyz(struct ty_io_loop *loop, struct ty_http_exchange *exchange)
{
    struct ty_http_problem problem = {.status = 503,
                                      .detail = ty_api_unready_reason(ty_io_loop_app(loop))};

    if (problem.detail == NULL)
        answer_status(exchange, "ready");
    else
        ty_http_answer_problem(exchange, &problem, "Retry-After: 1\r\n");
}
