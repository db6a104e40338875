#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/http_connection.h"

enum {
    FREE_EXCHANGES_MAX = 64,
    KEEP_BODY_BYTES = 16 << 10, /* body memory that a free exchange keeps */
    KEEP_HEAD_BYTES = 8 << 10,
    SMALL_BODY_BYTES = 4 << 10 /* copied behind its head, so that both leave as one piece */
};

struct ty_http_exchange *ty_http_exchange_acquire(struct ty_http_connection *connection)
{
    struct ty_http_server *server = connection->server;
    struct ty_http_exchange *exchange = server->free_exchanges;

    if (exchange != NULL) {
        server->free_exchanges = exchange->next;
        server->free_count--;
    } else {
        exchange = calloc(1, sizeof(*exchange));
        if (exchange == NULL)
            return NULL;
    }
    server->exchange_count++;
    exchange->server = server;
    exchange->connection = connection;
    exchange->next = NULL;
    exchange->state = TY_HTTP_RECEIVING;
    exchange->is_queued = false;
    exchange->interim = 0;
    exchange->sent = 0;
    memcpy(exchange->peer, connection->peer, sizeof(exchange->peer));
    return exchange;
}

static void free_exchange(struct ty_http_exchange *exchange)
{
    ty_http_message_fini(&exchange->message);
    ty_buffer_fini(&exchange->head);
    free(exchange);
}

void ty_http_exchange_account(struct ty_http_exchange *exchange)
{
    struct ty_http_server *server = exchange->server;
    size_t now = ty_http_message_body_capacity(&exchange->message);

    if (now == exchange->accounted)
        return;
    server->body_memory += now - exchange->accounted;
    exchange->accounted = now;
    ty_http_gauge(&server->counters.body_memory, server->body_memory);
}

/* Empties the request; it was borrowed by the handler only until its answer. */
static void forget_request(struct ty_http_exchange *exchange)
{
    ty_http_message_reset(&exchange->message, KEEP_BODY_BYTES);
    ty_http_exchange_account(exchange);
}

void ty_http_exchange_release(struct ty_http_exchange *exchange)
{
    struct ty_http_server *server = exchange->server;

    forget_request(exchange);
    server->body_memory -= exchange->accounted;
    exchange->accounted = 0;
    ty_http_gauge(&server->counters.body_memory, server->body_memory);
    ty_buffer_fini(&exchange->body);
    if (exchange->head.failed || exchange->head.capacity > KEEP_HEAD_BYTES)
        ty_buffer_fini(&exchange->head);
    exchange->head.length = 0;
    server->exchange_count--;
    if (!server->is_closing && server->free_count < FREE_EXCHANGES_MAX) {
        exchange->next = server->free_exchanges;
        server->free_exchanges = exchange;
        server->free_count++;
    } else {
        free_exchange(exchange);
    }
    ty_http_server_balance(server);
    ty_http_server_check(server);
}

const struct ty_http_request *ty_http_exchange_request(const struct ty_http_exchange *exchange)
{
    return &exchange->message.request;
}

const char *ty_http_exchange_peer(const struct ty_http_exchange *exchange)
{
    return exchange->peer;
}

/* What the Connection header of an answer says; NULL: nothing, the connection goes on. */
static const char *connection_word(const struct ty_http_exchange *exchange)
{
    const struct ty_http_connection *connection = exchange->connection;
    const struct ty_http_request *request = &exchange->message.request;

    if (connection->is_last && exchange == connection->last)
        return "close";
    return request->is_http10 ? "keep-alive" : NULL;
}

static void put_answer(struct ty_http_exchange *exchange, int status, const char *content_type,
                       struct ty_buffer *body, const char *extra_headers)
{
    struct ty_http_server *server = exchange->server;
    struct ty_http_head head = {
        .status = status,
        .content_length = body == NULL ? 0 : body->length,
        .content_type = content_type,
        .connection = connection_word(exchange),
        .server_name = server->options.server_name,
        .date = ty_http_date_text(&server->date, time(NULL)),
        .extra = extra_headers,
    };
    bool has_body =
        exchange->message.request.method != TY_HTTP_HEAD && status != 204 && status != 304;

    ty_http_response_head(&exchange->head, &head);
    if (body == NULL || !has_body)
        return;
    if (body->length <= SMALL_BODY_BYTES) {
        ty_buffer_append(&exchange->head, body->data, body->length);
    } else {
        exchange->body = *body;
        *body = (struct ty_buffer){0};
    }
}

/* The handler has had its turn. */
static void leave_handler(struct ty_http_exchange *exchange)
{
    struct ty_http_server *server = exchange->server;

    TY_ASSERT(exchange->state == TY_HTTP_WAITING);
    exchange->state = TY_HTTP_ANSWERED;
    server->waiting_count--;
    ty_http_gauge(&server->counters.requests_waiting, server->waiting_count);
}

void ty_http_answer(struct ty_http_exchange *exchange, int status, const char *content_type,
                    struct ty_buffer *body, const char *extra_headers)
{
    struct ty_http_connection *connection = exchange->connection;
    struct ty_http_server *server = exchange->server;

    TY_ASSERT(status >= 200 && status <= 599);
    if (body != NULL && !ty_buffer_ok(body)) {
        ty_buffer_fini(body);
        status = 503;
        content_type = NULL;
        extra_headers = "Retry-After: 1\r\n";
    }
    leave_handler(exchange);
    if (connection == NULL) {
        ty_http_count(&server->counters.answers_dropped, 1);
        if (body != NULL)
            ty_buffer_fini(body);
        ty_http_exchange_release(exchange);
        return;
    }
    put_answer(exchange, status, content_type, body, extra_headers);
    if (body != NULL)
        ty_buffer_fini(body);
    ty_http_count(&server->counters.answers[status / 100], 1);
    forget_request(exchange);
    connection->unsent += exchange->head.length + exchange->body.length;
    if (!ty_buffer_ok(&exchange->head))
        ty_http_connection_close(connection);
    else
        ty_http_connection_advance(connection);
    ty_http_server_balance(server);
}

void ty_http_answer_problem(struct ty_http_exchange *exchange,
                            const struct ty_http_problem *problem, const char *extra_headers)
{
    struct ty_buffer body = {0};

    ty_http_problem_body(&body, problem);
    ty_http_answer(exchange, problem->status, "application/problem+json", &body, extra_headers);
}

void ty_http_problem(struct ty_http_exchange *exchange, int status, const char *detail, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, detail);
    vsnprintf(text, sizeof(text), detail, arguments);
    va_end(arguments);
    ty_http_answer_problem(exchange, &(struct ty_http_problem){.status = status, .detail = text},
                           NULL);
}
