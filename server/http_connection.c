#include "server/http_connection.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINGER_BYTES_MAX = 64 << 20 }; /* input thrown away after the last answer */

static struct ty_http_counters *counters(struct ty_http_connection *connection)
{
    return &connection->server->counters;
}

static bool has_room(const struct ty_http_connection *connection)
{
    const struct ty_http_options *options = &connection->server->options;

    return connection->queued < options->pipeline_max &&
           connection->unsent <= options->write_bytes_max;
}

/* ---- requests ---- */

static void mark_waiting(struct ty_http_exchange *exchange)
{
    struct ty_http_server *server = exchange->server;

    exchange->state = TY_HTTP_WAITING;
    server->waiting_count++;
    ty_http_gauge(&server->counters.requests_waiting, server->waiting_count);
}

/* Answers in the handler's stead and makes it the connection's last answer. */
static void refuse(struct ty_http_connection *connection, int status, const char *detail)
{
    struct ty_http_exchange *exchange = connection->receiving;
    struct ty_http_problem problem = {.status = status, .detail = detail};

    if (exchange == NULL)
        exchange = ty_http_exchange_acquire(connection);
    if (exchange == NULL) {
        ty_http_connection_close(connection);
        return;
    }
    connection->receiving = NULL;
    connection->is_last = true;
    ty_http_server_unpause(connection);
    ty_http_output_enqueue(connection, exchange);
    mark_waiting(exchange);
    ty_http_answer_problem(exchange, &problem, status == 503 ? "Retry-After: 1\r\n" : NULL);
}

void ty_http_connection_refuse(struct ty_http_connection *connection, enum ty_http_fault_kind kind,
                               const char *detail)
{
    ty_http_count(&counters(connection)->faults[kind], 1);
    refuse(connection, ty_http_fault_status(kind), detail);
}

static void hand_over(struct ty_http_connection *connection)
{
    struct ty_http_exchange *exchange = connection->receiving;
    struct ty_http_server *server = connection->server;

    connection->receiving = NULL;
    if (!exchange->message.request.keep_alive || server->is_draining)
        connection->is_last = true;
    ty_http_output_enqueue(connection, exchange);
    mark_waiting(exchange);
    ty_http_server_unpause(connection);
    ty_http_count(&server->counters.requests, 1);
    server->handle(server->context, exchange);
}

/* Promises to read a body that the client holds back until it is asked for. */
static void ask_for_body(struct ty_http_connection *connection)
{
    struct ty_http_exchange *exchange = connection->receiving;

    if (!exchange->message.request.expects_continue)
        return;
    exchange->interim = TY_HTTP_CONTINUE_BYTES;
    ty_http_output_enqueue(connection, exchange);
}

static bool begin_receiving(struct ty_http_connection *connection)
{
    connection->receiving = ty_http_exchange_acquire(connection);
    if (connection->receiving != NULL) {
        connection->requests++;
        return true;
    }
    ty_http_connection_close(connection);
    return false;
}

/* Parses input for as long as there is room for requests; returns how many bytes it took. */
static size_t parse(struct ty_http_connection *connection, const char *data, size_t length)
{
    struct ty_http_parser *parser = &connection->parser;
    size_t at = 0;

    while (at < length && !connection->is_last && !connection->is_closing) {
        struct ty_http_exchange *exchange = connection->receiving;
        enum ty_http_step step;
        size_t used;

        if (exchange == NULL) {
            if (!has_room(connection) || !begin_receiving(connection))
                break;
            exchange = connection->receiving;
        }
        step = ty_http_parser_feed(parser, &exchange->message, data + at, length - at, &used);
        at += used;
        ty_http_exchange_account(exchange);
        if (step == TY_HTTP_STEP_REQUEST)
            hand_over(connection);
        else if (step == TY_HTTP_STEP_FAULT)
            ty_http_connection_refuse(connection, parser->fault, parser->detail);
        else if (step == TY_HTTP_STEP_HEAD && at == length)
            ask_for_body(connection);
    }
    /* An empty line between requests begins none. */
    if (connection->receiving != NULL && !ty_http_parser_in_request(parser)) {
        ty_http_exchange_release(connection->receiving);
        connection->receiving = NULL;
    }
    return at;
}

static void parse_rest(struct ty_http_connection *connection)
{
    struct ty_buffer *rest = &connection->rest;

    if (rest->length == 0)
        return;
    connection->rest_at +=
        parse(connection, rest->data + connection->rest_at, rest->length - connection->rest_at);
    if (connection->rest_at == rest->length || connection->is_last) {
        ty_buffer_fini(rest);
        connection->rest_at = 0;
    }
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct ty_http_connection *connection =
        TY_CONTAINER_OF((uv_tcp_t *)handle, struct ty_http_connection, tcp);

    (void)suggested;
    *buffer = uv_buf_init(connection->server->read_buffer, TY_HTTP_READ_BYTES);
}

static void on_end(struct ty_http_connection *connection)
{
    connection->is_eof = true;
    if (ty_http_parser_in_request(&connection->parser) && !connection->is_last)
        ty_http_connection_refuse(connection, TY_HTTP_FAULT_TRUNCATED,
                                  "the request ended before it was whole");
    connection->is_last = true;
    if (!connection->is_closing)
        ty_http_connection_advance(connection);
}

/* Input after the last request: thrown away, but not without end. */
static void discard(struct ty_http_connection *connection, size_t length)
{
    connection->rest_at += length;
    if (connection->rest_at > LINGER_BYTES_MAX)
        ty_http_connection_close(connection);
}

static void take_input(struct ty_http_connection *connection, const char *data, size_t length)
{
    size_t taken;

    connection->is_advancing = true;
    taken = parse(connection, data, length);
    connection->is_advancing = false;
    if (connection->is_closing)
        return;
    if (taken < length && !connection->is_last) {
        ty_buffer_append(&connection->rest, data + taken, length - taken);
        if (!ty_buffer_ok(&connection->rest)) {
            ty_http_connection_close(connection);
            return;
        }
    }
    ty_http_connection_advance(connection);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct ty_http_connection *connection =
        TY_CONTAINER_OF((uv_tcp_t *)stream, struct ty_http_connection, tcp);

    if (length == 0)
        return;
    if (length < 0) {
        if (length == UV_EOF)
            on_end(connection);
        else
            ty_http_connection_close(connection);
        return;
    }
    ty_http_count(&counters(connection)->bytes_in, (uint64_t)length);
    if (connection->is_last)
        discard(connection, (size_t)length);
    else
        take_input(connection, buffer->base, (size_t)length);
}

static bool wants_input(struct ty_http_connection *connection)
{
    if (connection->is_eof)
        return false;
    if (connection->is_lingering)
        return true;
    if (connection->is_last || connection->rest.length > 0)
        return false;
    if (ty_http_parser_in_body(&connection->parser))
        return !ty_http_server_pause(connection);
    return connection->receiving != NULL || has_room(connection);
}

static void set_reading(struct ty_http_connection *connection)
{
    uv_stream_t *stream = (uv_stream_t *)&connection->tcp;
    bool wants = wants_input(connection);

    if (wants == connection->is_reading)
        return;
    connection->is_reading = wants;
    if (!wants)
        uv_read_stop(stream);
    else if (uv_read_start(stream, on_alloc, on_read) != 0)
        ty_http_connection_close(connection);
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    (void)shutdown;
    (void)status; /* a client that has gone shows as an error of the read */
}

/* The last answer has left. Closing now, with input unread, would make the kernel reset the
 * connection and could take the answer away from the client before it has read it. */
static void linger(struct ty_http_connection *connection)
{
    uv_stream_t *stream = (uv_stream_t *)&connection->tcp;

    if (connection->is_eof) {
        ty_http_connection_close(connection);
    } else if (!connection->is_lingering) {
        connection->is_lingering = true;
        connection->rest_at = 0;
        if (uv_shutdown(&connection->shutdown, stream, on_shutdown) != 0)
            ty_http_connection_close(connection);
    }
}

void ty_http_connection_advance(struct ty_http_connection *connection)
{
    if (connection->is_advancing || connection->is_closing)
        return;
    connection->is_advancing = true;
    do
        parse_rest(connection);
    while (!connection->is_closing && ty_http_output_flush(connection) &&
           connection->rest.length > 0);
    connection->is_advancing = false;
    if (connection->is_closing)
        return;
    if (connection->is_last && connection->first == NULL && connection->receiving == NULL)
        linger(connection);
    if (!connection->is_closing)
        set_reading(connection);
    if (!connection->is_closing) {
        ty_http_limits_set_read(connection);
        ty_http_limits_arm(connection);
    }
}

/* ---- life ---- */

static void on_closed(uv_handle_t *handle)
{
    struct ty_http_connection *connection = handle->data;
    struct ty_http_server *server = connection->server;

    if (--connection->handles == 0) {
        ty_buffer_fini(&connection->rest);
        free(connection);
    }
    ty_http_server_handle_closed(server);
}

static void let_go_of_exchanges(struct ty_http_connection *connection)
{
    struct ty_http_exchange *receiving = connection->receiving;

    connection->receiving = NULL;
    if (receiving != NULL && !receiving->is_queued)
        ty_http_exchange_release(receiving);
    while (connection->first != NULL) {
        struct ty_http_exchange *exchange = ty_http_output_dequeue(connection);

        if (exchange->state == TY_HTTP_WAITING)
            exchange->connection = NULL;
        else
            ty_http_exchange_release(exchange);
    }
}

void ty_http_connection_close(struct ty_http_connection *connection)
{
    struct ty_http_server *server = connection->server;

    if (connection->is_closing)
        return;
    connection->is_closing = true;
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
    uv_close((uv_handle_t *)&connection->timer, on_closed);
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        server->connections = connection->next;
    server->connection_count--;
    ty_http_gauge(&server->counters.connections_open, server->connection_count);
    ty_http_server_unpause(connection);
    let_go_of_exchanges(connection);
    ty_http_server_check(server);
}

void ty_http_connection_drain(struct ty_http_connection *connection)
{
    if (connection->receiving == NULL)
        connection->is_last = true;
    if (connection->first == NULL && connection->receiving == NULL && !connection->is_lingering)
        ty_http_connection_close(connection);
    else
        ty_http_connection_advance(connection);
}

static void write_peer(char *text, const struct sockaddr_storage *peer)
{
    char host[INET6_ADDRSTRLEN] = "";

    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)peer;

        uv_ip4_name(v4, host, sizeof(host));
        snprintf(text, TY_HTTP_ADDRESS_BYTES, "%s:%u", host, (unsigned)ntohs(v4->sin_port));
    } else if (peer->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)peer;

        uv_ip6_name(v6, host, sizeof(host));
        snprintf(text, TY_HTTP_ADDRESS_BYTES, "[%s]:%u", host, (unsigned)ntohs(v6->sin6_port));
    }
}

static void join_server(struct ty_http_connection *connection, struct ty_http_server *server)
{
    connection->server = server;
    connection->next = server->connections;
    if (connection->next != NULL)
        connection->next->previous = connection;
    server->connections = connection;
    server->connection_count++;
    ty_http_gauge(&server->counters.connections_open, server->connection_count);
    connection->handles = 2;
    server->handles += 2;
    uv_tcp_init(server->loop, &connection->tcp);
    uv_timer_init(server->loop, &connection->timer);
    connection->tcp.data = connection;
    connection->timer.data = connection;
    ty_http_parser_init(&connection->parser, &server->options.limits);
}

void ty_http_connection_open(struct ty_http_server *server, int fd,
                             const struct sockaddr_storage *peer, const char *refusal)
{
    struct ty_http_connection *connection = calloc(1, sizeof(*connection));

    if (connection == NULL) {
        close(fd);
        return;
    }
    join_server(connection, server);
    write_peer(connection->peer, peer);
    if (uv_tcp_open(&connection->tcp, fd) != 0) {
        close(fd);
        ty_http_connection_close(connection);
        return;
    }
    uv_tcp_nodelay(&connection->tcp, 1);
    if (refusal != NULL)
        refuse(connection, 503, refusal);
    else
        ty_http_connection_advance(connection);
}
