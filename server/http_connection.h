/*
 * http_connection.h: the insides of the HTTP server: one connection, its exchanges, and what both
 * share through their server. Private to http_connection.c, http_exchange.c,
 * http_limits.c, http_output.c and http_server.c.
 *
 * A connection reads into the parser and keeps its requests in a queue in the order of arrival.
 * Answers are put into the queue's members whenever they come; what leaves is always the answered
 * run at the queue's front, in one gathered write.
 *
 *     read -> parser -> receiving -> [ answered | answered | waiting | ... ] queue
 *                                     \________ written ________/
 *
 * Lifetime. A connection is freed when its two handles are closed. An exchange belongs to its
 * connection, but one that the handler still works on when the connection closes is let go
 * (connection = NULL) and freed by its answer. The server is freed after the last of both.
 *
 * Threads: all on the loop's thread, but for the counters.
 */
#ifndef TY_SERVER_HTTP_CONNECTION_H
#define TY_SERVER_HTTP_CONNECTION_H

#include "server/http_server.h"

enum {
    TY_HTTP_READ_BYTES = 64 << 10, /* of the read buffer that the connections of a server share */
    TY_HTTP_BODY_STEP = 64 << 10,  /* body bytes that renew the body's time limit */
    TY_HTTP_CONTINUE_BYTES = 25    /* of the 100 (Continue) answer */
};

enum ty_http_exchange_state { TY_HTTP_RECEIVING, TY_HTTP_WAITING, TY_HTTP_ANSWERED };

struct ty_http_exchange {
    struct ty_http_message message;
    struct ty_http_server *server;
    struct ty_http_connection *connection; /* NULL: the client has gone */
    struct ty_http_exchange *next;         /* in the queue, or in the server's free list */
    enum ty_http_exchange_state state;
    bool is_queued;
    size_t accounted;            /* body memory that the server counts for this exchange */
    size_t interim;              /* bytes of the 100 (Continue) answer that are still to be sent */
    struct ty_buffer head, body; /* of the answer */
    size_t sent;                 /* bytes of head and body that have been sent */
    char peer[TY_HTTP_ADDRESS_BYTES];
};

/* What the time limit of a connection's reading side is about. */
enum ty_http_phase {
    TY_HTTP_PHASE_NONE, /* no limit: the handler's turn, or reading is stopped */
    TY_HTTP_PHASE_IDLE,
    TY_HTTP_PHASE_HEADER,
    TY_HTTP_PHASE_BODY,
    TY_HTTP_PHASE_LINGER
};

struct ty_http_connection {
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct ty_http_server *server;
    struct ty_http_connection *next, *previous; /* in the server's list */
    struct ty_http_connection *paused_next, *paused_previous;
    struct ty_http_parser parser;
    struct ty_http_exchange *receiving; /* what the parser fills; may already be in the queue */
    struct ty_http_exchange *first, *last;
    unsigned queued;
    struct ty_buffer rest; /* input that waits for room in the queue */
    size_t rest_at;
    size_t unsent;        /* bytes of answers in the queue that have not been sent */
    size_t writing;       /* bytes of the uv_write under way; 0: none */
    size_t write_pending; /* of those, how many libuv still had when the write limit was set */
    unsigned handles;     /* not closed yet */

    enum ty_http_phase phase;
    uint64_t requests; /* begun on this connection; tells one header phase from the next */
    uint64_t phase_request;
    size_t phase_body;       /* body bytes when the body's time limit was last renewed */
    uint64_t read_deadline;  /* ms on the loop's clock; 0: none */
    uint64_t write_deadline; /* the same */
    uint64_t timer_due;      /* when the timer fires; 0: it is not running */

    bool is_reading;
    bool is_advancing; /* ty_http_connection_advance() is on the stack: its loop sees to the rest */
    bool is_last;      /* no further request is taken: the connection closes after the queue */
    bool is_eof;       /* the client has closed its side */
    bool is_lingering;
    bool is_closing;
    bool is_paused; /* in the server's list of those that wait for body memory */
    char peer[TY_HTTP_ADDRESS_BYTES];
};

struct ty_http_server {
    uv_loop_t *loop;
    struct ty_http_options options;
    ty_http_handler *handle;
    void *context;
    struct ty_http_counters counters;
    uv_poll_t poll;
    uv_timer_t accept_timer; /* pauses accepting when file descriptors have run out */
    int fd;
    struct ty_http_connection *connections;
    unsigned connection_count;
    struct ty_http_connection *paused_first, *paused_last;
    struct ty_http_connection *favored; /* the one that may receive over the body memory limit */
    struct ty_http_exchange *free_exchanges;
    unsigned free_count;
    unsigned exchange_count; /* in use */
    unsigned waiting_count;  /* in use, at the handler */
    size_t body_memory;
    unsigned handles; /* own and the connections', not closed yet */
    struct ty_http_date date;
    char *read_buffer;
    bool is_draining;
    bool is_closing;
    bool is_closed; /* only unanswered exchanges keep the memory */
    ty_http_server_done *done;
    void *done_context;
};

/* Adds to a counter that only this thread writes. */
static inline void ty_http_count(_Atomic uint64_t *counter, uint64_t more)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, now + more, memory_order_relaxed);
}

/* Sets a gauge that only this thread writes. */
static inline void ty_http_gauge(_Atomic uint64_t *gauge, uint64_t value)
{
    atomic_store_explicit(gauge, value, memory_order_relaxed);
}

/* ---- http_exchange.c ---- */

/* ty_http_exchange_acquire returns an empty exchange of a connection, or NULL: no memory. */
struct ty_http_exchange *ty_http_exchange_acquire(struct ty_http_connection *connection);

/* ty_http_exchange_release gives an exchange back, after which the server may be gone. */
void ty_http_exchange_release(struct ty_http_exchange *exchange);

/* ty_http_exchange_account tells the server how much body memory the exchange holds now. */
void ty_http_exchange_account(struct ty_http_exchange *exchange);

/* ---- http_connection.c ---- */

/* ty_http_connection_open takes over an accepted socket. `refusal` (may be NULL) is why it is only
 * to be told 503. On failure the socket is closed. */
void ty_http_connection_open(struct ty_http_server *server, int fd,
                             const struct sockaddr_storage *peer, const char *refusal);

/* ty_http_connection_advance does whatever can be done now: parses what waits, writes what is
 * answered, starts or stops reading, sets time limits, closes. Call it after every change. */
void ty_http_connection_advance(struct ty_http_connection *connection);

/* ty_http_connection_drain makes the request in flight (if any) the last, and closes if none is. */
void ty_http_connection_drain(struct ty_http_connection *connection);

/* ty_http_connection_close closes at once. Exchanges at the handler are let go. */
void ty_http_connection_close(struct ty_http_connection *connection);

/* ty_http_connection_refuse answers what is being received in the handler's stead, with the fault's
 * status and `detail`, and makes it the last. The connection may be closing afterwards. */
void ty_http_connection_refuse(struct ty_http_connection *connection, enum ty_http_fault_kind kind,
                               const char *detail);

/* ---- http_output.c ---- */

/* ty_http_output_enqueue puts an exchange at the queue's end, unless it is there already. */
void ty_http_output_enqueue(struct ty_http_connection *connection,
                            struct ty_http_exchange *exchange);

/* ty_http_output_dequeue takes the queue's first exchange off; there must be one. */
struct ty_http_exchange *ty_http_output_dequeue(struct ty_http_connection *connection);

/* ty_http_output_flush sends what is answered. What the socket does not take at once goes to libuv,
 * and nothing more is tried until that has left. Returns whether any answer left whole. */
bool ty_http_output_flush(struct ty_http_connection *connection);

/* ---- http_limits.c ---- */

/* ty_http_limits_set_read sets the time limit of what is read now, if that has changed. */
void ty_http_limits_set_read(struct ty_http_connection *connection);

/* ty_http_limits_set_write begins the time limit of a write. */
void ty_http_limits_set_write(struct ty_http_connection *connection);

/* ty_http_limits_arm makes the timer fire no later than the earliest limit. */
void ty_http_limits_arm(struct ty_http_connection *connection);

/* ---- http_server.c ---- */

/* ty_http_server_pause is called while a body is being received; true: stop reading until resumed,
 * because bodies hold all the memory they may. */
bool ty_http_server_pause(struct ty_http_connection *connection);

/* ty_http_server_unpause forgets that a connection waits for, or was favored with, body memory. */
void ty_http_server_unpause(struct ty_http_connection *connection);

/* ty_http_server_balance resumes reading where body memory allows it again. */
void ty_http_server_balance(struct ty_http_server *server);

/* ty_http_server_handle_closed is called when one of the server's or its connections' handles has
 * closed. The server may be gone afterwards. */
void ty_http_server_handle_closed(struct ty_http_server *server);

/* ty_http_server_check ends a drain that has nothing left to wait for, and frees a closed server
 * that no exchange holds any more. */
void ty_http_server_check(struct ty_http_server *server);

#endif
