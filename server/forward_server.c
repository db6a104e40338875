/*
 * forward_server.c: listening sockets, accepting, waiting, the end (forward_internal.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/forward_internal.h"

#define TICK_MS         50 /* how often it is looked whether what was waited for is there */
#define ACCEPTS_MAX     64 /* at once, so that connections that are open get their turn */
#define SPARE_BYTES_MAX ((size_t)1 << 20)

#define MIB ((size_t)1 << 20)

struct ty_forward_options ty_forward_options_default(void)
{
    return (struct ty_forward_options){.message_bytes_max = 16 * MIB,
                                       .inflated_bytes_max = 64 * MIB,
                                       .pending_bytes_max = 32 * MIB,
                                       .memory_bytes_max = 128 * MIB,
                                       .connections_max = 1024};
}

const struct ty_forward_counters *ty_forward_server_counters(const struct ty_forward_server *server)
{
    return &server->counters;
}

/* --- Buffers --- */

bool ty_forward_reserve(struct ty_forward_bytes *bytes, size_t capacity)
{
    char *larger;

    if (bytes->capacity >= capacity)
        return true;
    larger = realloc(bytes->data, capacity);
    if (larger == NULL)
        return false;
    bytes->data = larger;
    bytes->capacity = capacity;
    return true;
}

struct ty_forward_bytes ty_forward_take_spare(struct ty_forward_server *server)
{
    if (server->spare_count == 0)
        return (struct ty_forward_bytes){0};
    return server->spares[--server->spare_count];
}

void ty_forward_give_spare(struct ty_forward_server *server, struct ty_forward_bytes *bytes)
{
    if (bytes->data != NULL && bytes->capacity <= SPARE_BYTES_MAX &&
        server->spare_count < TY_FORWARD_SPARES_MAX) {
        bytes->length = 0;
        server->spares[server->spare_count++] = *bytes;
    } else {
        free(bytes->data);
    }
    *bytes = (struct ty_forward_bytes){0};
}

/* --- The end: no handle is open, no connection there, no delivery in the database's hands. --- */

static void finish_if_done(struct ty_forward_server *server)
{
    ty_forward_server_done *done = server->done;
    void *context = server->done_context;

    if (!server->is_closing || server->open_handles != 0 || server->connection_count != 0 ||
        server->delivery_count != 0)
        return;
    while (server->spare_count != 0)
        free(server->spares[--server->spare_count].data);
    if (done != NULL)
        done(context); /* It may look at the counters a last time. */
    free(server);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct ty_forward_server *server = handle->data;

    server->open_handles--;
    finish_if_done(server);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct ty_forward_listener *listener = handle->data;
    struct ty_forward_server *server = listener->server;

    close(listener->fd);
    server->open_handles--;
    finish_if_done(server);
}

static void update_connections(struct ty_forward_server *server)
{
    struct ty_forward_connection *connection, *next;

    server->holds_back = false;
    for (connection = TAILQ_FIRST(&server->connections); connection != NULL; connection = next) {
        next = TAILQ_NEXT(connection, in_server);
        ty_forward_connection_update(connection);
    }
}

void ty_forward_server_check(struct ty_forward_server *server)
{
    if (server->holds_back && server->pending_bytes < server->options.memory_bytes_max)
        update_connections(server);
    if (server->is_closing)
        finish_if_done(server);
    else if (server->is_draining && server->connection_count == 0)
        ty_forward_server_close(server, NULL, NULL);
}

static void stop_accepting(struct ty_forward_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        uv_poll_stop(&server->listeners[i].poll);
}

/* Not only stopped: what the system goes on accepting would be lost without a word. */
static void close_listeners(struct ty_forward_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        uv_handle_t *handle = (uv_handle_t *)&server->listeners[i].poll;

        if (!uv_is_closing(handle))
            uv_close(handle, on_listener_closed);
    }
}

void ty_forward_server_drain(struct ty_forward_server *server, ty_forward_server_done *done,
                             void *context)
{
    struct ty_forward_connection *connection, *next;

    if (server->is_draining || server->is_closing)
        return;
    server->is_draining = true;
    server->done = done;
    server->done_context = context;
    close_listeners(server);
    for (connection = TAILQ_FIRST(&server->connections); connection != NULL; connection = next) {
        next = TAILQ_NEXT(connection, in_server);
        ty_forward_connection_end(connection);
    }
    ty_forward_server_check(server);
}

void ty_forward_server_close(struct ty_forward_server *server, ty_forward_server_done *done,
                             void *context)
{
    struct ty_forward_connection *connection;

    if (server->is_closing)
        return;
    server->is_closing = true;
    if (server->done == NULL) {
        server->done = done;
        server->done_context = context;
    }
    close_listeners(server);
    uv_close((uv_handle_t *)&server->timer, on_handle_closed);
    for (connection = TAILQ_FIRST(&server->connections); connection != NULL;
         connection = TAILQ_NEXT(connection, in_server))
        ty_forward_connection_close(connection);
    ty_forward_delivery_give_up(server);
}

/* --- Waiting --- */

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void start_accepting(struct ty_forward_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        uv_poll_start(&server->listeners[i].poll, UV_READABLE, on_acceptable);
}

static bool is_recovering(const struct ty_forward_server *server)
{
    return ty_app_database(ty_io_loop_app(server->loop)) == NULL;
}

static void on_tick(uv_timer_t *timer)
{
    struct ty_forward_server *server = timer->data;

    if (server->accepting_paused && !server->is_draining)
        start_accepting(server);
    server->accepting_paused = false;
    server->is_starved = false;
    ty_forward_delivery_retry(server);
    if (!is_recovering(server))
        update_connections(server);
    if (!server->is_starved && TAILQ_EMPTY(&server->waiting) && !is_recovering(server))
        uv_timer_stop(timer);
    ty_forward_server_check(server);
}

void ty_forward_server_wake(struct ty_forward_server *server)
{
    if (!server->is_closing && !uv_is_active((uv_handle_t *)&server->timer))
        uv_timer_start(&server->timer, on_tick, TICK_MS, TICK_MS);
}

/* --- Accepting --- */

/* Being out of descriptors leaves the socket readable: without a pause the loop would spin. */
static void pause_accepting(struct ty_forward_server *server)
{
    ty_forward_count(&server->counters.accept_errors, 1);
    stop_accepting(server);
    server->accepting_paused = true;
    ty_forward_server_wake(server);
}

static void take_socket(struct ty_forward_server *server, int fd)
{
    struct sockaddr_storage own = {0};
    socklen_t length = sizeof(own);

    ty_forward_count(&server->counters.connections_accepted, 1);
    if (server->connection_count >= server->options.connections_max) {
        ty_forward_count(&server->counters.connections_rejected, 1);
        close(fd);
        return;
    }
    getsockname(fd, (struct sockaddr *)&own, &length);
    ty_forward_connection_open(server, fd, own.ss_family == AF_UNIX);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct ty_forward_listener *listener = poll->data;
    struct ty_forward_server *server = listener->server;

    (void)events;
    if (status < 0) {
        pause_accepting(server);
        return;
    }
    for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            take_socket(server, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(server);
            return;
        } else if (errno == EAGAIN) {
            return; /* other errors are about one connection that is already gone */
        }
    }
}

/* --- The beginning --- */

static int open_listener(struct ty_forward_server *server, int fd)
{
    struct ty_forward_listener *listener = &server->listeners[server->listener_count];
    int error = uv_poll_init(ty_io_loop_uv(server->loop), &listener->poll, fd);

    if (error != 0)
        return error;
    listener->server = server;
    listener->fd = fd;
    listener->poll.data = listener;
    server->listener_count++;
    server->open_handles++;
    return 0;
}

int ty_forward_server_open(struct ty_io_loop *loop, const int *fds, size_t count,
                           const struct ty_forward_options *options, struct ty_forward_server **out)
{
    struct ty_forward_server *server = calloc(1, sizeof(*server));
    int error = server == NULL ? UV_ENOMEM : 0;

    TY_ASSERT(count <= TY_COUNT_OF(server->listeners));
    for (size_t i = 0; server == NULL && i < count; i++)
        close(fds[i]);
    if (server == NULL)
        return error;
    server->loop = loop;
    server->options = *options;
    TAILQ_INIT(&server->connections);
    TAILQ_INIT(&server->waiting);
    uv_timer_init(ty_io_loop_uv(loop), &server->timer);
    server->timer.data = server;
    server->open_handles = 1;
    for (size_t i = 0; i < count; i++) {
        error = error != 0 ? error : open_listener(server, fds[i]);
        if (server->listener_count <= i)
            close(fds[i]);
    }
    if (error != 0) {
        ty_forward_server_close(server, NULL, NULL); /* Freed when the loop runs once more. */
        return error;
    }
    start_accepting(server);
    *out = server;
    return 0;
}
