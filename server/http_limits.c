#include <stdio.h>

#include "server/http_connection.h"

void ty_http_limits_set_write(struct ty_http_connection *connection)
{
    connection->write_deadline =
        uv_now(connection->server->loop) + connection->server->options.write_timeout_ms;
    connection->write_pending = uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp);
}

static void on_timer(uv_timer_t *timer);

/* The timer is only moved to earlier; when it fires too early it starts itself again. So a busy
 * connection does not touch the loop's heap with every request. */
void ty_http_limits_arm(struct ty_http_connection *connection)
{
    uint64_t now = uv_now(connection->server->loop);
    uint64_t due = connection->read_deadline;

    if (connection->write_deadline != 0 && (due == 0 || connection->write_deadline < due))
        due = connection->write_deadline;
    if (due == 0 || (connection->timer_due != 0 && connection->timer_due <= due))
        return;
    connection->timer_due = due;
    uv_timer_start(&connection->timer, on_timer, due > now ? due - now : 0, 0);
}

static enum ty_http_phase current_phase(const struct ty_http_connection *connection)
{
    if (connection->is_lingering)
        return TY_HTTP_PHASE_LINGER;
    if (!connection->is_reading)
        return TY_HTTP_PHASE_NONE;
    if (ty_http_parser_in_body(&connection->parser))
        return TY_HTTP_PHASE_BODY;
    if (ty_http_parser_in_request(&connection->parser))
        return TY_HTTP_PHASE_HEADER;
    return connection->first == NULL ? TY_HTTP_PHASE_IDLE : TY_HTTP_PHASE_NONE;
}

void ty_http_limits_set_read(struct ty_http_connection *connection)
{
    const struct ty_http_options *options = &connection->server->options;
    const uint64_t limits[] = {
        [TY_HTTP_PHASE_IDLE] = options->idle_timeout_ms,
        [TY_HTTP_PHASE_HEADER] = options->header_timeout_ms,
        [TY_HTTP_PHASE_BODY] = options->body_timeout_ms,
        [TY_HTTP_PHASE_LINGER] = options->linger_timeout_ms,
    };
    enum ty_http_phase phase = current_phase(connection);
    size_t body =
        phase == TY_HTTP_PHASE_BODY ? connection->receiving->message.request.body.length : 0;

    if (phase == connection->phase && connection->requests == connection->phase_request &&
        body - connection->phase_body < TY_HTTP_BODY_STEP)
        return;
    connection->phase = phase;
    connection->phase_request = connection->requests;
    connection->phase_body = body;
    connection->read_deadline =
        phase == TY_HTTP_PHASE_NONE ? 0 : uv_now(connection->server->loop) + limits[phase];
}

static void on_read_limit(struct ty_http_connection *connection)
{
    char detail[96];
    enum ty_http_phase phase = connection->phase;
    const struct ty_http_options *options = &connection->server->options;

    connection->read_deadline = 0;
    if (phase == TY_HTTP_PHASE_HEADER) {
        snprintf(detail, sizeof(detail), "the head of the request did not arrive within %llu ms",
                 (unsigned long long)options->header_timeout_ms);
        ty_http_connection_refuse(connection, TY_HTTP_FAULT_TIMEOUT, detail);
    } else if (phase == TY_HTTP_PHASE_BODY) {
        snprintf(detail, sizeof(detail),
                 "the next %d bytes of the body did not arrive within %llu ms", TY_HTTP_BODY_STEP,
                 (unsigned long long)options->body_timeout_ms);
        ty_http_connection_refuse(connection, TY_HTTP_FAULT_TIMEOUT, detail);
    } else {
        ty_http_connection_close(connection);
    }
}

static void on_write_limit(struct ty_http_connection *connection)
{
    uv_stream_t *stream = (uv_stream_t *)&connection->tcp;

    if (uv_stream_get_write_queue_size(stream) < connection->write_pending)
        ty_http_limits_set_write(connection);
    else
        ty_http_connection_close(connection);
}

static void on_timer(uv_timer_t *timer)
{
    struct ty_http_connection *connection =
        TY_CONTAINER_OF(timer, struct ty_http_connection, timer);
    uint64_t now = uv_now(connection->server->loop);

    connection->timer_due = 0;
    if (connection->write_deadline != 0 && connection->write_deadline <= now)
        on_write_limit(connection);
    if (!connection->is_closing && connection->read_deadline != 0 &&
        connection->read_deadline <= now)
        on_read_limit(connection);
    if (!connection->is_closing)
        ty_http_limits_arm(connection);
}
