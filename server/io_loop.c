#include "server/io_loop.h"

#include <stdlib.h>
#include <unistd.h>

#include "server/api.h"
#include "server/forward_server.h"

struct ty_io_loop {
    struct ty_app *app;
    uv_loop_t uv;
    uv_thread_t thread;
    uv_async_t wake;
    uv_timer_t drain_timer;
    struct ty_http_server *server;     /* changed by the loop under the lock; NULL once closed */
    struct ty_forward_server *forward; /* the same; NULL too when nothing listens for it */
    uint64_t expected;                 /* completions announced and not run; the loop's own */
    bool is_draining;
    uv_mutex_t lock; /* guards the members below */
    struct ty_completion *first;
    struct ty_completion **last;
    bool drain_wanted;
};

struct ty_app *ty_io_loop_app(struct ty_io_loop *loop)
{
    return loop->app;
}

uv_loop_t *ty_io_loop_uv(struct ty_io_loop *loop)
{
    return &loop->uv;
}

void ty_io_loop_with_counters(struct ty_io_loop *loop,
                              void (*use)(void *context, const struct ty_http_counters *counters),
                              void *context)
{
    uv_mutex_lock(&loop->lock);
    if (loop->server != NULL)
        use(context, ty_http_server_counters(loop->server));
    uv_mutex_unlock(&loop->lock);
}

void ty_io_loop_with_forward_counters(struct ty_io_loop *loop,
                                      void (*use)(void *context,
                                                  const struct ty_forward_counters *counters),
                                      void *context)
{
    uv_mutex_lock(&loop->lock);
    if (loop->forward != NULL)
        use(context, ty_forward_server_counters(loop->forward));
    uv_mutex_unlock(&loop->lock);
}

/* --- The end: the servers have closed and nothing is expected any more. --- */

static void end_if_done(struct ty_io_loop *loop)
{
    if (loop->server != NULL || loop->forward != NULL || loop->expected != 0 ||
        uv_is_closing((uv_handle_t *)&loop->wake))
        return;
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->drain_timer, NULL);
}

static void on_server_closed(void *context)
{
    struct ty_io_loop *loop = context;

    uv_mutex_lock(&loop->lock);
    loop->server = NULL;
    uv_mutex_unlock(&loop->lock);
    end_if_done(loop);
}

static void on_forward_closed(void *context)
{
    struct ty_io_loop *loop = context;

    uv_mutex_lock(&loop->lock);
    loop->forward = NULL;
    uv_mutex_unlock(&loop->lock);
    end_if_done(loop);
}

static void close_servers(struct ty_io_loop *loop)
{
    if (loop->server != NULL)
        ty_http_server_close(loop->server, on_server_closed, loop);
    if (loop->forward != NULL)
        ty_forward_server_close(loop->forward, on_forward_closed, loop);
}

static void on_drain_timeout(uv_timer_t *timer)
{
    struct ty_io_loop *loop = timer->data;

    close_servers(loop);
}

static void start_drain(struct ty_io_loop *loop)
{
    loop->is_draining = true;
    uv_timer_start(&loop->drain_timer, on_drain_timeout, loop->app->options.drain_ms, 0);
    ty_http_server_drain(loop->server, on_server_closed, loop);
    if (loop->forward != NULL)
        ty_forward_server_drain(loop->forward, on_forward_closed, loop);
}

/* --- Completions --- */

static struct ty_completion *take_completions(struct ty_io_loop *loop, bool *drain_wanted)
{
    struct ty_completion *first;

    uv_mutex_lock(&loop->lock);
    first = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    *drain_wanted = loop->drain_wanted;
    uv_mutex_unlock(&loop->lock);
    return first;
}

/* Wake-ups are coalesced by libuv, so everything that waits is taken each time. */
static void on_wake(uv_async_t *async)
{
    struct ty_io_loop *loop = async->data;
    bool drain_wanted;
    struct ty_completion *completion = take_completions(loop, &drain_wanted);

    while (completion != NULL) {
        struct ty_completion *next = completion->next; /* run() may free it */

        loop->expected--;
        completion->run(completion);
        completion = next;
    }
    if (drain_wanted && !loop->is_draining)
        start_drain(loop);
    end_if_done(loop);
}

void ty_io_loop_expect(struct ty_io_loop *loop)
{
    loop->expected++;
}

void ty_io_loop_complete(struct ty_io_loop *loop, struct ty_completion *completion)
{
    completion->next = NULL;
    /* The wake-up is sent under the lock: the loop may end, and be freed, once it has run the last
     * completion, which it can only take after the lock is free. */
    uv_mutex_lock(&loop->lock);
    *loop->last = completion;
    loop->last = &completion->next;
    uv_async_send(&loop->wake);
    uv_mutex_unlock(&loop->lock);
}

void ty_io_loop_drain(struct ty_io_loop *loop)
{
    uv_mutex_lock(&loop->lock);
    loop->drain_wanted = true;
    uv_async_send(&loop->wake);
    uv_mutex_unlock(&loop->lock);
}

/* --- The thread --- */

static void run(void *argument)
{
    struct ty_io_loop *loop = argument;

    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static void handle(void *context, struct ty_http_exchange *exchange)
{
    ty_api_handle(context, exchange);
}

static void close_forward(const struct ty_io_sockets *sockets)
{
    for (size_t i = 0; i < sockets->forward_count; i++)
        close(sockets->forward[i]);
}

static bool open_forward(struct ty_io_loop *loop, const struct ty_io_sockets *sockets)
{
    return sockets->forward_count == 0 ||
           ty_forward_server_open(loop, sockets->forward, sockets->forward_count,
                                  &loop->app->options.forward, &loop->forward) == 0;
}

static bool open_handles(struct ty_io_loop *loop, const struct ty_io_sockets *sockets)
{
    uv_timer_init(&loop->uv, &loop->drain_timer);
    loop->drain_timer.data = loop;
    if (uv_async_init(&loop->uv, &loop->wake, on_wake) != 0) {
        close(sockets->http);
        close_forward(sockets);
        return false;
    }
    loop->wake.data = loop;
    if (ty_http_server_open(&loop->uv, sockets->http, &loop->app->options.http, handle, loop,
                            &loop->server) == 0)
        return open_forward(loop, sockets);
    close_forward(sockets);
    return false;
}

/* Takes apart what open_handles() opened, wholly or in part; closing needs turns of the loop. */
static void close_handles(struct ty_io_loop *loop)
{
    close_servers(loop);
    if (loop->wake.data != NULL)
        end_if_done(loop);
    else
        uv_close((uv_handle_t *)&loop->drain_timer, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static void free_loop(struct ty_io_loop *loop)
{
    uv_loop_close(&loop->uv);
    uv_mutex_destroy(&loop->lock);
    free(loop);
}

static struct ty_io_loop *new_loop(struct ty_app *app)
{
    struct ty_io_loop *loop = calloc(1, sizeof(*loop));

    if (loop == NULL)
        goto fail_loop;
    if (uv_loop_init(&loop->uv) != 0)
        goto fail_uv;
    if (uv_mutex_init(&loop->lock) != 0)
        goto fail_lock;
    loop->app = app;
    loop->last = &loop->first;
    return loop;

fail_lock:
    uv_loop_close(&loop->uv);
fail_uv:
    free(loop);
fail_loop:
    return NULL;
}

struct ty_io_loop *ty_io_loop_start(struct ty_app *app, const struct ty_io_sockets *sockets,
                                    const char **problem)
{
    struct ty_io_loop *loop = new_loop(app);

    *problem = "no memory or file descriptors for a connection thread";
    if (loop == NULL) {
        close(sockets->http);
        close_forward(sockets);
        return NULL;
    }
    if (open_handles(loop, sockets) && uv_thread_create(&loop->thread, run, loop) == 0)
        return loop;
    close_handles(loop);
    free_loop(loop);
    return NULL;
}

void ty_io_loop_join(struct ty_io_loop *loop)
{
    uv_thread_join(&loop->thread);
    free_loop(loop);
}
