/*
 * forward_connection.c: bytes in, acknowledgements out, the end (forward_internal.h).
 */
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/forward_internal.h"

#define READ_BYTES_MIN   ((size_t)65536)   /* room that a read gets at least */
#define UNSENT_BYTES_MAX ((size_t)1 << 20) /* of acknowledgements that the peer does not read */

/* Acknowledgements on their way out. */
struct outgoing {
    uv_write_t write;
    struct ty_buffer bytes;
};

/* What is left was not stored: the beginning of a message, or, when a stop took too long, more. */
static void forget_bytes(struct ty_forward_connection *connection)
{
    struct ty_forward_server *server = connection->server;

    if (connection->bytes.length != 0 && !connection->is_broken)
        ty_forward_count(&server->counters.cut_messages, 1);
    server->partial_bytes -= connection->bytes.length;
    ty_forward_give_spare(server, &connection->bytes);
}

/* --- The end --- */

static void free_if_done(struct ty_forward_connection *connection)
{
    struct ty_forward_server *server = connection->server;

    if (!connection->is_closed || !TAILQ_EMPTY(&connection->deliveries) ||
        (connection->has_more && !server->is_closing))
        return;
    TAILQ_REMOVE(&server->connections, connection, in_server);
    server->connection_count--;
    ty_atomic_sub(&server->counters.connections_open, 1, memory_order_relaxed);
    forget_bytes(connection);
    free(connection);
}

static void on_closed(uv_handle_t *handle)
{
    struct ty_forward_connection *connection = handle->data;
    struct ty_forward_server *server = connection->server;

    connection->is_closed = true;
    ty_forward_connection_update(connection);
    ty_forward_server_check(server);
}

void ty_forward_connection_close(struct ty_forward_connection *connection)
{
    connection->is_ended = true;
    connection->is_reading = false;
    if (connection->is_closing)
        return;
    connection->is_closing = true;
    uv_close(&connection->uv.handle, on_closed);
}

/* Whether everything that was read is answered and sent. */
static bool is_settled(const struct ty_forward_connection *connection)
{
    return TAILQ_EMPTY(&connection->deliveries) && !connection->has_more &&
           uv_stream_get_write_queue_size(&connection->uv.stream) == 0;
}

void ty_forward_connection_end(struct ty_forward_connection *connection)
{
    connection->is_ended = true;
    ty_forward_connection_update(connection);
}

/* --- Acknowledgements --- */

static void on_sent(uv_write_t *write, int status)
{
    struct outgoing *outgoing = TY_CONTAINER_OF(write, struct outgoing, write);
    struct ty_forward_connection *connection = write->data;

    ty_buffer_fini(&outgoing->bytes);
    free(outgoing);
    if (status < 0)
        ty_forward_connection_close(connection);
    else
        ty_forward_connection_update(connection);
}

/* Sends bytes, which are taken. What cannot be sent closes the connection: the peer sends again. */
static void send_bytes(struct ty_forward_connection *connection, struct ty_buffer *bytes)
{
    struct outgoing *outgoing = ty_buffer_ok(bytes) ? malloc(sizeof(*outgoing)) : NULL;
    uv_buf_t buffer;

    if (outgoing == NULL) {
        ty_buffer_fini(bytes);
        ty_forward_connection_close(connection);
        return;
    }
    outgoing->bytes = *bytes;
    outgoing->write.data = connection;
    buffer = uv_buf_init(outgoing->bytes.data, (unsigned)outgoing->bytes.length);
    if (uv_write(&outgoing->write, &connection->uv.stream, &buffer, 1, on_sent) == 0)
        return;
    ty_buffer_fini(&outgoing->bytes);
    free(outgoing);
    ty_forward_connection_close(connection);
}

static void append_acks(const struct ty_forward_delivery *delivery, struct ty_buffer *out)
{
    uint64_t count = 0;

    for (size_t i = 0; i < delivery->message_count; i++)
        if (delivery->messages[i].chunk.data != NULL) {
            ty_forward_append_ack(&delivery->messages[i], out);
            count++;
        }
    ty_forward_count(&delivery->server->counters.acks, count);
}

static void remove_delivery(struct ty_forward_connection *connection,
                            struct ty_forward_delivery *delivery)
{
    struct ty_forward_server *server = connection->server;

    TAILQ_REMOVE(&connection->deliveries, delivery, in_connection);
    connection->pending_bytes -= delivery->pending_bytes;
    server->pending_bytes -= delivery->pending_bytes;
    ty_atomic_store(&server->counters.pending_bytes, server->pending_bytes, memory_order_relaxed);
    ty_forward_delivery_free(delivery);
}

void ty_forward_connection_decided(struct ty_forward_connection *connection)
{
    struct ty_forward_server *server = connection->server;
    struct ty_forward_delivery *delivery;
    struct ty_buffer acks = {0};

    while ((delivery = TAILQ_FIRST(&connection->deliveries)) != NULL && delivery->is_done) {
        if (!delivery->is_stored)
            ty_forward_connection_close(connection); /* Not acknowledged: to be sent again. */
        else if (!connection->is_closing)
            append_acks(delivery, &acks);
        remove_delivery(connection, delivery);
    }
    if (!connection->is_closing && (acks.length != 0 || !ty_buffer_ok(&acks)))
        send_bytes(connection, &acks);
    else
        ty_buffer_fini(&acks);
    ty_forward_connection_update(connection);
    ty_forward_server_check(server);
}

/* --- Reading --- */

/* Messages that never become whole must not hold all memory: the largest of them gives way. */
static bool may_grow(const struct ty_forward_connection *connection, size_t capacity)
{
    const struct ty_forward_server *server = connection->server;

    return capacity <= TY_FORWARD_CAPACITY_MIN ||
           server->partial_bytes < server->options.memory_bytes_max;
}

static void on_room_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct ty_forward_connection *connection = handle->data;
    struct ty_forward_bytes *bytes = &connection->bytes;

    (void)suggested;
    *buffer = uv_buf_init(NULL, 0); /* UV_ENOBUFS ends the connection. */
    if (bytes->data == NULL)
        *bytes = ty_forward_take_spare(connection->server);
    if (bytes->capacity - bytes->length < READ_BYTES_MIN) {
        size_t capacity = TY_MAX(2 * bytes->capacity, TY_FORWARD_CAPACITY_MIN);

        if (!may_grow(connection, capacity) || !ty_forward_reserve(bytes, capacity))
            return;
    }
    *buffer = uv_buf_init(bytes->data + bytes->length, (unsigned)(bytes->capacity - bytes->length));
}

/* A producer that has closed its side perhaps still reads acknowledgements; one that has reset the
 * connection does not, but what was read of it is stored all the same. */
static void on_end(struct ty_forward_connection *connection, ssize_t status)
{
    if (status == UV_ENOBUFS)
        ty_forward_messages_break(connection,
                                  "no memory for a message of this length beside those of others",
                                  connection->stream_offset + connection->message_at);
    if (status == UV_EOF || status == UV_ENOBUFS)
        ty_forward_connection_end(connection);
    else
        ty_forward_connection_close(connection);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct ty_forward_connection *connection = stream->data;

    (void)buffer;
    if (got < 0) {
        on_end(connection, got);
        return;
    }
    connection->bytes.length += (size_t)got;
    connection->server->partial_bytes += (size_t)got;
    ty_forward_count(&connection->server->counters.bytes_in, (uint64_t)got);
    connection->has_more |= got != 0;
    if (connection->bytes.length == 0)
        ty_forward_give_spare(connection->server, &connection->bytes);
    ty_forward_connection_update(connection);
}

static bool may_read(const struct ty_forward_connection *connection)
{
    return !connection->is_ended && !connection->has_more &&
           ty_forward_messages_may_be_taken(connection) &&
           ty_app_database(ty_io_loop_app(connection->server->loop)) != NULL &&
           uv_stream_get_write_queue_size(&connection->uv.stream) < UNSENT_BYTES_MAX;
}

static void set_reading(struct ty_forward_connection *connection, bool wanted)
{
    if (wanted == connection->is_reading)
        return;
    connection->is_reading = wanted;
    if (!wanted) {
        ty_forward_count(&connection->server->counters.reads_paused, !connection->is_ended);
        uv_read_stop(&connection->uv.stream);
    } else if (uv_read_start(&connection->uv.stream, on_room_wanted, on_read) != 0) {
        ty_forward_connection_close(connection);
    }
}

void ty_forward_connection_update(struct ty_forward_connection *connection)
{
    struct ty_forward_server *server = connection->server;

    ty_forward_messages_take(connection);
    server->holds_back |= server->pending_bytes >= server->options.memory_bytes_max;
    if (connection->is_closing) {
        free_if_done(connection);
        return;
    }
    set_reading(connection, may_read(connection));
    if (connection->is_ended && is_settled(connection))
        ty_forward_connection_close(connection);
}

/* --- The beginning --- */

static void name_peer(int fd, char peer[TY_FORWARD_PEER_BYTES])
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);

    if (getpeername(fd, (struct sockaddr *)&address, &length) != 0 ||
        getnameinfo((struct sockaddr *)&address, length, peer, TY_FORWARD_PEER_BYTES, NULL, 0,
                    NI_NUMERICHOST) != 0)
        memcpy(peer, "unknown", sizeof("unknown"));
}

/* Half a day without a byte is normal for a log shipper; one that has vanished is found. */
static void set_socket_options(int fd)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

static int open_stream(struct ty_forward_connection *connection, int fd, bool is_unix)
{
    uv_loop_t *loop = ty_io_loop_uv(connection->server->loop);
    int error = is_unix ? uv_pipe_init(loop, &connection->uv.pipe, 0)
                        : uv_tcp_init(loop, &connection->uv.tcp);

    if (error != 0)
        return error;
    return is_unix ? uv_pipe_open(&connection->uv.pipe, fd) : uv_tcp_open(&connection->uv.tcp, fd);
}

void ty_forward_connection_open(struct ty_forward_server *server, int fd, bool is_unix)
{
    struct ty_forward_connection *connection = calloc(1, sizeof(*connection));

    if (connection == NULL) {
        ty_forward_count(&server->counters.accept_errors, 1);
        close(fd);
        return;
    }
    connection->server = server;
    TAILQ_INIT(&connection->deliveries);
    if (is_unix) {
        memcpy(connection->peer, "unix", sizeof("unix"));
    } else {
        name_peer(fd, connection->peer);
        set_socket_options(fd);
    }
    TAILQ_INSERT_TAIL(&server->connections, connection, in_server);
    server->connection_count++;
    ty_forward_count(&server->counters.connections_open, 1);
    if (open_stream(connection, fd, is_unix) != 0) {
        close(fd);
        connection->uv.handle.data = connection;
        ty_forward_connection_close(connection);
        return;
    }
    connection->uv.handle.data = connection;
    ty_forward_connection_update(connection);
    if (!connection->is_reading)
        ty_forward_server_wake(server); /* The database is being opened. */
}
