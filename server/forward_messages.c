/*
 * forward_messages.c: whole messages of a stream become deliveries (forward_internal.h).
 */
#include <string.h>

#include "server/forward_internal.h"
#include "server/log.h"

void ty_forward_messages_break(struct ty_forward_connection *connection, const char *why,
                               uint64_t byte)
{
    connection->is_broken = true;
    connection->is_ended = true;
    ty_forward_count(&connection->server->counters.broken_streams, 1);
    ty_log("warn", "forward_closed", "peer=%s byte=%llu problem=\"%s\"", connection->peer,
           (unsigned long long)byte, why);
}

static void tell_ignored(struct ty_forward_connection *connection,
                         const struct ty_forward_delivery *delivery)
{
    for (size_t i = 0; !connection->told_ignored && i < delivery->message_count; i++) {
        if (delivery->messages[i].mode != TY_FORWARD_IGNORED)
            continue;
        connection->told_ignored = true;
        ty_log("warn", "forward_ignored",
               "peer=%s problem=\"a message that is no array; this and further ones are ignored\"",
               connection->peer);
    }
}

/* Moves the first `length` bytes out, and what follows them to another buffer. */
static bool split_bytes(struct ty_forward_connection *connection, size_t length,
                        struct ty_forward_bytes *first)
{
    struct ty_forward_bytes *bytes = &connection->bytes, rest = {0};
    size_t rest_length = bytes->length - length;

    if (rest_length != 0) {
        rest = ty_forward_take_spare(connection->server);
        if (!ty_forward_reserve(&rest, TY_MAX(rest_length, TY_FORWARD_CAPACITY_MIN))) {
            ty_forward_give_spare(connection->server, &rest);
            return false;
        }
        memcpy(rest.data, bytes->data + length, rest_length);
        rest.length = rest_length;
    }
    *first = *bytes;
    first->length = length;
    *bytes = rest;
    connection->server->partial_bytes -= length;
    connection->stream_offset += length;
    return true;
}

/* The bounds count a delivery from here to its removal. */
static void add_delivery(struct ty_forward_connection *connection,
                         struct ty_forward_delivery *delivery)
{
    struct ty_forward_server *server = connection->server;

    TAILQ_INSERT_TAIL(&connection->deliveries, delivery, in_connection);
    connection->pending_bytes += delivery->pending_bytes;
    server->pending_bytes += delivery->pending_bytes;
    ty_atomic_store(&server->counters.pending_bytes, server->pending_bytes, memory_order_relaxed);
}

/* The messages from the buffer's first byte on are looked for once more. */
static void rescan(struct ty_forward_connection *connection)
{
    connection->message_at = 0;
    connection->frame = (struct ty_msgpack_frame){0};
}

/* Without memory messages stay where they are, and are taken when the timer looks again. */
static void starve(struct ty_forward_connection *connection)
{
    struct ty_forward_server *server = connection->server;

    rescan(connection);
    connection->has_more = true;
    server->is_starved = true;
    ty_forward_count(&server->counters.retries, 1);
    ty_forward_server_wake(server);
}

/* Gives whole messages to the database. False when not all were taken, for the bounds, for lack of
 * memory, or since one was refused; the others stay where they are. */
static bool deliver(struct ty_forward_connection *connection, const size_t *ends, size_t count)
{
    struct ty_decode_error error = {0};
    struct ty_forward_bytes whole = {0};
    struct ty_forward_delivery *delivery =
        ty_forward_delivery_make(connection, connection->bytes.data, ends, count, &error);
    size_t taken = delivery == NULL ? 0 : delivery->message_count;

    if (delivery == NULL || (taken != 0 && !split_bytes(connection, ends[taken - 1], &whole))) {
        if (delivery != NULL)
            ty_forward_delivery_free(delivery);
        starve(connection);
        return false;
    }
    if (error.message != NULL)
        ty_forward_messages_break(connection, error.message, connection->stream_offset);
    if (taken == 0) {
        ty_forward_delivery_free(delivery);
        return false;
    }
    tell_ignored(connection, delivery);
    add_delivery(connection, delivery);
    ty_forward_delivery_start(delivery, &whole);
    connection->message_at = 0;
    if (taken < count)
        rescan(connection);
    connection->has_more |= taken < count;
    return taken == count;
}

/* Passes the next message. NULL when it is whole, or (*is_whole is false) has not arrived wholly;
 * else why it will never be one: at frame.at. */
static const char *pass_message(struct ty_forward_connection *connection, bool *is_whole)
{
    struct ty_msgpack_frame *frame = &connection->frame;
    enum ty_frame_status status =
        ty_msgpack_frame_advance(frame, connection->bytes.data + connection->message_at,
                                 connection->bytes.length - connection->message_at);

    *is_whole = false;
    if (status == TY_FRAME_BROKEN)
        return "no msgpack";
    if (frame->at > connection->server->options.message_bytes_max) {
        *frame = (struct ty_msgpack_frame){0};
        return "the message that begins here is longer than --forward-message-max";
    }
    *is_whole = status == TY_FRAME_COMPLETE;
    return NULL;
}

/* Finds whole messages, going on where it was left. Returns why what is behind them will never be
 * one, or NULL. */
static const char *find_messages(struct ty_forward_connection *connection, size_t *ends,
                                 size_t *count)
{
    *count = 0;
    while (*count < TY_FORWARD_MESSAGES_MAX && connection->message_at < connection->bytes.length) {
        bool is_whole;
        const char *problem = pass_message(connection, &is_whole);

        if (!is_whole)
            return problem;
        connection->message_at += connection->frame.at;
        connection->frame = (struct ty_msgpack_frame){0};
        ends[(*count)++] = connection->message_at;
    }
    return NULL;
}

bool ty_forward_messages_may_be_taken(const struct ty_forward_connection *connection)
{
    const struct ty_forward_server *server = connection->server;

    return connection->pending_bytes < server->options.pending_bytes_max &&
           server->pending_bytes < server->options.memory_bytes_max && !server->is_starved &&
           !server->is_closing;
}

/* A problem behind messages that have to wait is found again when their turn has come. */
void ty_forward_messages_take(struct ty_forward_connection *connection)
{
    size_t *ends = connection->server->ends, count;

    while (connection->has_more && !connection->is_broken &&
           ty_forward_messages_may_be_taken(connection)) {
        const char *problem = find_messages(connection, ends, &count);

        connection->has_more = count == TY_FORWARD_MESSAGES_MAX;
        if (count != 0 && !deliver(connection, ends, count))
            continue;
        if (problem != NULL)
            ty_forward_messages_break(connection, problem,
                                      connection->stream_offset + connection->message_at +
                                          connection->frame.at);
    }
    if (connection->is_broken)
        connection->has_more = false;
}
