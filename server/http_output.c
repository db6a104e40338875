#include "server/http_connection.h"

enum { BUFFERS_MAX = 32 }; /* pieces of one gathered write */

static const char continue_answer[TY_HTTP_CONTINUE_BYTES + 1] = "HTTP/1.1 100 Continue\r\n\r\n";

void ty_http_output_enqueue(struct ty_http_connection *connection,
                            struct ty_http_exchange *exchange)
{
    if (exchange->is_queued)
        return;
    exchange->is_queued = true;
    if (connection->last == NULL)
        connection->first = exchange;
    else
        connection->last->next = exchange;
    connection->last = exchange;
    connection->queued++;
}

struct ty_http_exchange *ty_http_output_dequeue(struct ty_http_connection *connection)
{
    struct ty_http_exchange *exchange = connection->first;

    connection->first = exchange->next;
    if (connection->first == NULL)
        connection->last = NULL;
    connection->queued--;
    exchange->next = NULL;
    return exchange;
}

/* Collects what may be sent now; returns the number of pieces, and their bytes in `total`. */
static unsigned gather(const struct ty_http_connection *connection, uv_buf_t *buffers,
                       size_t *total)
{
    unsigned count = 0;

    *total = 0;
    for (const struct ty_http_exchange *exchange = connection->first; exchange != NULL;
         exchange = exchange->next) {
        size_t head = exchange->head.length, sent = exchange->sent;

        if (count + 3 > BUFFERS_MAX)
            break;
        if (exchange->interim > 0) {
            const char *from = continue_answer + TY_HTTP_CONTINUE_BYTES - exchange->interim;

            buffers[count++] = uv_buf_init((char *)(uintptr_t)from, (unsigned)exchange->interim);
        }
        if (exchange->state == TY_HTTP_ANSWERED && sent < head)
            buffers[count++] = uv_buf_init(exchange->head.data + sent, (unsigned)(head - sent));
        if (exchange->state == TY_HTTP_ANSWERED && exchange->body.length > 0) {
            size_t from = sent > head ? sent - head : 0;

            buffers[count] = uv_buf_init(exchange->body.data + from, 0);
            buffers[count++].len = exchange->body.length - from;
        }
        if (exchange->state != TY_HTTP_ANSWERED)
            break;
    }
    for (unsigned i = 0; i < count; i++)
        *total += buffers[i].len;
    return count;
}

/* Takes `bytes` that have been sent off the front of the queue. */
static void consume(struct ty_http_connection *connection, size_t bytes)
{
    ty_http_count(&connection->server->counters.bytes_out, bytes);
    while (connection->first != NULL) {
        struct ty_http_exchange *exchange = connection->first;
        size_t whole = exchange->head.length + exchange->body.length;
        size_t part = TY_MIN(bytes, exchange->interim);

        exchange->interim -= part;
        bytes -= part;
        if (exchange->interim > 0 || exchange->state != TY_HTTP_ANSWERED)
            return;
        part = TY_MIN(bytes, whole - exchange->sent);
        exchange->sent += part;
        connection->unsent -= part;
        bytes -= part;
        if (exchange->sent < whole)
            return;
        ty_http_exchange_release(ty_http_output_dequeue(connection));
    }
}

static void on_write(uv_write_t *write, int status)
{
    struct ty_http_connection *connection =
        TY_CONTAINER_OF(write, struct ty_http_connection, write);
    size_t bytes = connection->writing;

    connection->writing = 0;
    connection->write_deadline = 0;
    if (connection->is_closing)
        return;
    if (status < 0) {
        ty_http_connection_close(connection);
        return;
    }
    consume(connection, bytes);
    ty_http_connection_advance(connection);
}

/* Sends what is answered. What the socket does not take at once goes to libuv, and nothing more is
 * tried until that has left. Returns whether any answer left whole. */
bool ty_http_output_flush(struct ty_http_connection *connection)
{
    unsigned queued = connection->queued;

    while (connection->writing == 0 && !connection->is_closing) {
        uv_stream_t *stream = (uv_stream_t *)&connection->tcp;
        uv_buf_t buffers[BUFFERS_MAX];
        size_t total;
        unsigned count = gather(connection, buffers, &total);
        int sent;

        if (count == 0)
            break;
        sent = uv_try_write(stream, buffers, count);
        if (sent < 0 && sent != UV_EAGAIN) {
            ty_http_connection_close(connection);
            break;
        }
        consume(connection, sent < 0 ? 0 : (size_t)sent);
        if (sent >= 0 && (size_t)sent == total)
            continue;
        count = gather(connection, buffers, &total);
        if (uv_write(&connection->write, stream, buffers, count, on_write) != 0) {
            ty_http_connection_close(connection);
            break;
        }
        connection->writing = total;
        ty_http_limits_set_write(connection);
    }
    return connection->queued < queued;
}
