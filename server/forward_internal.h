/*
 * forward_internal.h: what the files of the Forward server share (forward_server.h). Not for
 * others.
 *
 *   forward_server.c      listening sockets, accepting, the timer, the end
 *   forward_connection.c  bytes in, acknowledgements out
 *   forward_messages.c    whole messages found and handed on
 *   forward_delivery.c    whole messages to the database and back
 *
 * Threads: everything on the loop's thread.
 */
#ifndef TY_SERVER_FORWARD_INTERNAL_H
#define TY_SERVER_FORWARD_INTERNAL_H

#include <sys/queue.h>

#include "ingest/msgpack_frame.h"
#include "server/forward_server.h"
#include "server/io_loop.h"
#include "shard/database.h"

#define TY_FORWARD_PEER_BYTES   64
#define TY_FORWARD_SPARES_MAX   32
#define TY_FORWARD_MESSAGES_MAX ((size_t)8192) /* of one delivery */

/* Bytes of a connection. Memory fresh from the kernel is dear, so they are used again. */
struct ty_forward_bytes {
    char *data;
    size_t length;
    size_t capacity;
};

/* Whole messages on their way to the database and back. */
struct ty_forward_delivery {
    TAILQ_ENTRY(ty_forward_delivery) in_connection; /* in the order of the messages */
    TAILQ_ENTRY(ty_forward_delivery) in_waiting;
    struct ty_forward_server *server;
    struct ty_forward_connection *connection;
    struct ty_forward_bytes bytes; /* what batch and messages borrow from */
    struct ty_forward_message *messages;
    size_t message_count;
    size_t pending_bytes; /* what it holds: the messages and what was made of them */
    struct ty_batch *batch;
    struct ty_arena_mark decoded; /* of the batch's arena; what is beyond is one try's */
    struct ty_submission submission;
    struct ty_reject *rejects;
    struct ty_keeping keeping;
    bool keeps;           /* the events are decided, the rejects are being kept */
    bool is_done;         /* decided: stored, or given up */
    bool is_stored;       /* may be acknowledged */
    uint64_t read_ns;     /* when the last byte had been read */
    uint64_t retry_at_ms; /* while it waits; of uv_now() */
    uint64_t retry_pause_ms;
    struct ty_completion completion;
};

TAILQ_HEAD(ty_forward_delivery_list, ty_forward_delivery);

struct ty_forward_connection {
    TAILQ_ENTRY(ty_forward_connection) in_server;
    struct ty_forward_server *server;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    char peer[TY_FORWARD_PEER_BYTES]; /* the host without its port, or "unix" */
    struct ty_forward_bytes bytes;    /* read, and not yet handed on */
    struct ty_msgpack_frame frame;    /* of the message that begins at message_at */
    size_t message_at;
    uint64_t stream_offset; /* of bytes.data[0] in all that was received */
    struct ty_forward_delivery_list deliveries;
    size_t pending_bytes; /* of the deliveries */
    bool is_reading;
    bool has_more;   /* there may be whole messages in `bytes`; none is read while they wait */
    bool is_broken;  /* what is left in `bytes` is no message and never will be */
    bool is_ended;   /* nothing more is read; closed once all is acknowledged */
    bool is_closing; /* uv_close() was called */
    bool is_closed;  /* its handle is gone; freed once no delivery refers to it */
    bool told_ignored;
};

struct ty_forward_listener {
    uv_poll_t poll;
    struct ty_forward_server *server;
    int fd;
};

struct ty_forward_server {
    struct ty_io_loop *loop;
    struct ty_forward_options options;
    struct ty_forward_counters counters;
    struct ty_forward_listener listeners[2];
    size_t listener_count;
    uv_timer_t timer; /* while something waits: for the database, for room, for descriptors */
    TAILQ_HEAD(, ty_forward_connection) connections;
    size_t connection_count;
    struct ty_forward_delivery_list waiting; /* to be tried again */
    size_t delivery_count;
    size_t ends[TY_FORWARD_MESSAGES_MAX]; /* of the messages that are being taken */
    size_t pending_bytes;                 /* of all deliveries */
    size_t partial_bytes; /* of connections: read, of messages that are not whole yet */
    struct ty_forward_bytes spares[TY_FORWARD_SPARES_MAX]; /* buffers for the next who needs one */
    size_t spare_count;
    unsigned open_handles;
    uint64_t last_wait_log_ms; /* of uv_now() */
    uint64_t last_failure_log_ms;
    bool holds_back; /* some connection is not read from for the bound over all */
    bool is_starved; /* some connection's messages wait for memory */
    bool accepting_paused;
    bool is_draining;
    bool is_closing;
    ty_forward_server_done *done;
    void *done_context;
};

/* --- forward_server.c --- */

static inline void ty_forward_count(_Atomic uint64_t *counter, uint64_t count)
{
    ty_atomic_add(counter, count, memory_order_relaxed);
}

#define TY_FORWARD_CAPACITY_MIN ((size_t)524288) /* of a buffer */

/* Makes room for so many bytes in all; false: no memory. */
bool ty_forward_reserve(struct ty_forward_bytes *bytes, size_t capacity);
struct ty_forward_bytes ty_forward_take_spare(struct ty_forward_server *server);
void ty_forward_give_spare(struct ty_forward_server *server, struct ty_forward_bytes *bytes);

/* Something waits: the timer must run. */
void ty_forward_server_wake(struct ty_forward_server *server);
/* A delivery or connection is gone: whoever was held back may go on, and the end may be near. The
 * server may be freed. */
void ty_forward_server_check(struct ty_forward_server *server);

/* --- forward_connection.c --- */

/* Takes an accepted socket (closed on failure). */
void ty_forward_connection_open(struct ty_forward_server *server, int fd, bool is_unix);
/* Goes on as bounds and states say: takes messages, reads or stops reading, closes. The connection
 * may be freed; call ty_forward_server_check() then. */
void ty_forward_connection_update(struct ty_forward_connection *connection);
/* No more reading; closes once what was read is acknowledged. */
void ty_forward_connection_end(struct ty_forward_connection *connection);
/* Closes now; deliveries go on. */
void ty_forward_connection_close(struct ty_forward_connection *connection);
/* A delivery was decided: acknowledges what is first in line. */
void ty_forward_connection_decided(struct ty_forward_connection *connection);

/* --- forward_messages.c --- */

/* Takes the messages that are whole, as far as there is room; connection->has_more then tells
 * whether some may be left. */
void ty_forward_messages_take(struct ty_forward_connection *connection);

/* Whether more may be in the database's hands. */
bool ty_forward_messages_may_be_taken(const struct ty_forward_connection *connection);

/* The stream is broken: what comes from here on is not taken and not read any more. */
void ty_forward_messages_break(struct ty_forward_connection *connection, const char *why,
                               uint64_t byte);

/* --- forward_delivery.c --- */

/*
 * ty_forward_delivery_make decodes messages that begin at data[0] and end at ends[0..count), as
 * many as the bounds allow, at least one. How many it took is delivery->message_count; *error has
 * a message when the one behind them was refused. They borrow from `data`. NULL: no memory.
 */
struct ty_forward_delivery *ty_forward_delivery_make(struct ty_forward_connection *connection,
                                                     const char *data, const size_t *ends,
                                                     size_t count, struct ty_decode_error *error);

/* ty_forward_delivery_start hands a delivery to the database, and to its connection, which hears of
 * it by ty_forward_connection_decided(), later. `bytes`, which it borrows from, is taken. */
void ty_forward_delivery_start(struct ty_forward_delivery *delivery,
                               struct ty_forward_bytes *bytes);

/* Tries again what waits and is due. */
void ty_forward_delivery_retry(struct ty_forward_server *server);

/* Drops all that waits, with a word in the log. */
void ty_forward_delivery_give_up(struct ty_forward_server *server);

/* Of one that was not started, or that its connection has removed from its list. */
void ty_forward_delivery_free(struct ty_forward_delivery *delivery);

#endif
