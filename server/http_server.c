#include "server/http_server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http_connection.h"

enum {
    ACCEPTS_MAX = 32,      /* in one turn of the loop, so that open connections get theirs */
    REFUSALS_MAX = 32,     /* connections over the limit that are told 503; more are just closed */
    ACCEPT_PAUSE_MS = 100, /* after running out of file descriptors */
    DEFAULT_BODY_BYTES = 8 << 20
};

struct ty_http_options ty_http_options_default(void)
{
    return (struct ty_http_options){
        .limits =
            {
                .url_bytes_max = 8 << 10,
                .header_bytes_max = 32 << 10,
                .header_count_max = 100,
                .body_bytes_max = DEFAULT_BODY_BYTES,
            },
        .pipeline_max = 64,
        .connections_max = 4096,
        .header_timeout_ms = 10000,
        .body_timeout_ms = 30000,
        .idle_timeout_ms = 75000,
        .write_timeout_ms = 30000,
        .linger_timeout_ms = 1000,
        .write_bytes_max = 256 << 10,
        .body_memory_max = 128 << 20,
        .server_name = "tally",
    };
}

const struct ty_http_counters *ty_http_server_counters(const struct ty_http_server *server)
{
    return &server->counters;
}

/* ---- body memory ---- */

static void unlink_paused(struct ty_http_connection *connection)
{
    struct ty_http_server *server = connection->server;

    if (connection->paused_next != NULL)
        connection->paused_next->paused_previous = connection->paused_previous;
    else
        server->paused_last = connection->paused_previous;
    if (connection->paused_previous != NULL)
        connection->paused_previous->paused_next = connection->paused_next;
    else
        server->paused_first = connection->paused_next;
    connection->paused_next = connection->paused_previous = NULL;
    connection->is_paused = false;
}

static void link_paused(struct ty_http_connection *connection)
{
    struct ty_http_server *server = connection->server;

    connection->is_paused = true;
    connection->paused_previous = server->paused_last;
    if (server->paused_last != NULL)
        server->paused_last->paused_next = connection;
    else
        server->paused_first = connection;
    server->paused_last = connection;
    ty_http_count(&server->counters.reads_paused, 1);
}

/*
 * Bodies that are only half there could hold all memory and each wait for the others. So when no
 * request is at the handler, which would give memory back, one connection may receive regardless.
 */
static bool may_be_favored(const struct ty_http_server *server)
{
    return server->favored == NULL && server->waiting_count == 0;
}

bool ty_http_server_pause(struct ty_http_connection *connection)
{
    struct ty_http_server *server = connection->server;

    if (connection->is_paused)
        return true;
    if (server->body_memory <= server->options.body_memory_max || server->favored == connection)
        return false;
    if (may_be_favored(server)) {
        server->favored = connection;
        return false;
    }
    link_paused(connection);
    return true;
}

void ty_http_server_unpause(struct ty_http_connection *connection)
{
    struct ty_http_server *server = connection->server;

    if (connection->is_paused)
        unlink_paused(connection);
    if (server->favored == connection)
        server->favored = NULL;
}

void ty_http_server_balance(struct ty_http_server *server)
{
    while (server->paused_first != NULL && !server->is_closing) {
        struct ty_http_connection *connection = server->paused_first;

        if (server->body_memory > server->options.body_memory_max) {
            if (!may_be_favored(server))
                return;
            server->favored = connection;
        }
        unlink_paused(connection);
        ty_http_connection_advance(connection);
    }
}

/* ---- accepting ---- */

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void on_accept_timer(uv_timer_t *timer)
{
    struct ty_http_server *server = TY_CONTAINER_OF(timer, struct ty_http_server, accept_timer);

    uv_poll_start(&server->poll, UV_READABLE, on_acceptable);
}

static void take_socket(struct ty_http_server *server, int fd, const struct sockaddr_storage *peer)
{
    unsigned most = server->options.connections_max;

    ty_http_count(&server->counters.connections_accepted, 1);
    if (server->connection_count < most) {
        ty_http_connection_open(server, fd, peer, NULL);
        return;
    }
    ty_http_count(&server->counters.connections_rejected, 1);
    if (server->connection_count - most < REFUSALS_MAX)
        ty_http_connection_open(server, fd, peer, "too many connections; try again later");
    else
        close(fd);
}

/* Being out of descriptors leaves the socket readable: without a pause the loop would spin. */
static void pause_accepting(struct ty_http_server *server)
{
    ty_http_count(&server->counters.accept_errors, 1);
    uv_poll_stop(&server->poll);
    uv_timer_start(&server->accept_timer, on_accept_timer, ACCEPT_PAUSE_MS, 0);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct ty_http_server *server = TY_CONTAINER_OF(poll, struct ty_http_server, poll);

    (void)events;
    if (status < 0) {
        pause_accepting(server);
        return;
    }
    for (unsigned i = 0; i < ACCEPTS_MAX && !server->is_draining && !server->is_closing; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t length = sizeof(peer);
        int fd =
            accept4(server->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            take_socket(server, fd, &peer);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(server);
            return;
        } else if (errno == EAGAIN) {
            return; /* other errors are about one connection that is already gone */
        }
    }
}

/* ---- life ---- */

static bool options_are_valid(const struct ty_http_options *options)
{
    return options->limits.url_bytes_max > 0 && options->limits.header_bytes_max > 0 &&
           options->limits.header_count_max > 0 && options->limits.body_bytes_max > 0 &&
           options->limits.body_bytes_max < SIZE_MAX / 64 && options->pipeline_max > 0 &&
           options->connections_max > 0 && options->header_timeout_ms > 0 &&
           options->body_timeout_ms > 0 && options->idle_timeout_ms > 0 &&
           options->write_timeout_ms > 0 && options->linger_timeout_ms > 0 &&
           options->write_bytes_max > 0 && options->body_memory_max > 0;
}

static void free_server(struct ty_http_server *server)
{
    while (server->free_exchanges != NULL) {
        struct ty_http_exchange *exchange = server->free_exchanges;

        server->free_exchanges = exchange->next;
        ty_http_message_fini(&exchange->message);
        ty_buffer_fini(&exchange->head);
        free(exchange);
    }
    free(server->read_buffer);
    free(server);
}

int ty_http_server_open(uv_loop_t *loop, int listening_fd, const struct ty_http_options *options,
                        ty_http_handler *handle, void *context, struct ty_http_server **out)
{
    struct ty_http_server *server = calloc(1, sizeof(*server));
    int error = UV_ENOMEM;

    if (server == NULL)
        goto fail_server;
    server->read_buffer = malloc(TY_HTTP_READ_BYTES);
    if (server->read_buffer == NULL)
        goto fail_buffer;
    error =
        options_are_valid(options) ? uv_poll_init(loop, &server->poll, listening_fd) : UV_EINVAL;
    if (error != 0)
        goto fail_buffer;
    uv_timer_init(loop, &server->accept_timer);
    server->loop = loop;
    server->fd = listening_fd;
    server->options = *options;
    server->handle = handle;
    server->context = context;
    server->handles = 2;
    uv_poll_start(&server->poll, UV_READABLE, on_acceptable);
    *out = server;
    return 0;

fail_buffer:
    free(server->read_buffer);
    free(server);
fail_server:
    close(listening_fd);
    return error;
}

void ty_http_server_check(struct ty_http_server *server)
{
    if (server->is_closed && server->exchange_count == 0)
        free_server(server);
    else if (server->is_draining && !server->is_closing && server->connections == NULL &&
             server->waiting_count == 0)
        ty_http_server_close(server, NULL, NULL);
}

void ty_http_server_handle_closed(struct ty_http_server *server)
{
    ty_http_server_done *done = server->done;
    void *context = server->done_context;

    if (--server->handles > 0)
        return;
    server->is_closed = true;
    /* Before the memory goes: whoever reads the counters elsewhere must hear of the end first. */
    if (done != NULL)
        done(context);
    ty_http_server_check(server);
}

static void on_handle_closed(uv_handle_t *handle)
{
    ty_http_server_handle_closed(handle->data);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct ty_http_server *server = handle->data;

    close(server->fd);
    server->fd = -1;
    ty_http_server_handle_closed(server);
}

static void stop_listening(struct ty_http_server *server)
{
    if (uv_is_closing((uv_handle_t *)&server->poll))
        return;
    server->poll.data = server;
    uv_close((uv_handle_t *)&server->poll, on_poll_closed);
    uv_timer_stop(&server->accept_timer);
}

void ty_http_server_close(struct ty_http_server *server, ty_http_server_done *done, void *context)
{
    if (server->is_closing)
        return;
    server->is_closing = true;
    if (server->done == NULL) {
        server->done = done;
        server->done_context = context;
    }
    while (server->connections != NULL)
        ty_http_connection_close(server->connections);
    stop_listening(server);
    server->accept_timer.data = server;
    uv_close((uv_handle_t *)&server->accept_timer, on_handle_closed);
}

void ty_http_server_drain(struct ty_http_server *server, ty_http_server_done *done, void *context)
{
    struct ty_http_connection *connection = server->connections;

    if (server->is_draining || server->is_closing)
        return;
    server->is_draining = true;
    server->done = done;
    server->done_context = context;
    stop_listening(server);
    while (connection != NULL) {
        struct ty_http_connection *next = connection->next;

        ty_http_connection_drain(connection);
        connection = next;
    }
    ty_http_server_check(server);
}
