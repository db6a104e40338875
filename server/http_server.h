/*
 * http_server.h: an HTTP/1.1 server on one libuv loop.
 *
 * The owner gives a listening socket and a handler; the handler gets each complete request as an
 * exchange and answers it, at once or later. Keep-alive, pipelining (answers leave in the order of
 * the requests), limits, time limits, back-pressure and the errors of the protocol itself are
 * handled here. Nothing here knows what is served.
 *
 * Threads: everything of one server, ty_http_answer() included, happens on the thread of its loop.
 * The counters may be read from any thread. For more loops open more servers, each with a dup() of
 * the same listening socket.
 */
#ifndef TY_SERVER_HTTP_SERVER_H
#define TY_SERVER_HTTP_SERVER_H

#include <stdatomic.h>
#include <uv.h>

#include "engine/buffer.h"
#include "server/http_parser.h"
#include "server/http_response.h"

struct ty_http_server;
struct ty_http_exchange;

/* Called once for each complete request. The exchange stays valid, and all that its request points
 * to, until it is answered; every exchange must be answered exactly once. */
typedef void ty_http_handler(void *context, struct ty_http_exchange *exchange);

/* Start from ty_http_options_default(). */
struct ty_http_options {
    struct ty_http_limits limits;
    unsigned pipeline_max;      /* requests of one connection that wait for their answers or for
                                   the client to read them; at the limit reading stops */
    unsigned connections_max;   /* above: 503 and close */
    uint64_t header_timeout_ms; /* from a request's first byte to the end of its head; then 408 */
    uint64_t body_timeout_ms;   /* for each 64 KiB of a body; then 408 */
    uint64_t idle_timeout_ms;   /* between requests; then close */
    uint64_t write_timeout_ms;  /* without the client reading anything of an answer; then close */
    uint64_t linger_timeout_ms; /* how long input is still thrown away after an error's answer, so
                                   that a client that is still sending gets to see it */
    size_t write_bytes_max;     /* unsent answer bytes of one connection; above: stop reading */
    size_t body_memory_max;     /* memory of all bodies; above: stop reading bodies. May be passed
                                   by 64 KiB a connection and one whole body */
    const char *server_name;    /* of the Server header; borrowed for the server's life */
};

struct ty_http_options ty_http_options_default(void);

/* All counters only grow, but for the gauges. Single writer (the loop), relaxed atomics. */
struct ty_http_counters {
    _Atomic uint64_t connections_open;     /* gauge */
    _Atomic uint64_t connections_accepted; /* those rejected included */
    _Atomic uint64_t connections_rejected; /* over connections_max */
    _Atomic uint64_t accept_errors;        /* out of file descriptors or memory */
    _Atomic uint64_t requests;             /* handed to the handler */
    _Atomic uint64_t requests_waiting;     /* gauge: handed over and not answered yet */
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t bytes_out;
    _Atomic uint64_t body_memory;                 /* gauge, bytes */
    _Atomic uint64_t reads_paused;                /* times that the body memory stopped reading */
    _Atomic uint64_t answers[6];                  /* by status / 100: [2] is 2xx */
    _Atomic uint64_t answers_dropped;             /* the client had gone */
    _Atomic uint64_t faults[TY_HTTP_FAULT_COUNT]; /* requests refused by this layer, by kind */
};

/*
 * ty_http_listen binds a listening socket to "host:port", "1.2.3.4:8480", "[::1]:0" (port 0: any
 * free one) with SO_REUSEADDR, non-blocking and close-on-exec. Writes the socket to `fd` and the
 * address it got as text to `bound`. On failure returns false, with a text in `error` that says
 * what was wrong with which address and what is allowed.
 */
#define TY_HTTP_ADDRESS_BYTES 72
bool ty_http_listen(const char *address, int *fd, char bound[TY_HTTP_ADDRESS_BYTES], char *error,
                    size_t error_size);

/* ty_http_address_is_valid says whether a text has the form that ty_http_listen() takes. */
bool ty_http_address_is_valid(const char *address);

/*
 * ty_http_server_open starts to accept connections from `listening_fd` on `loop`. The socket is
 * taken, also on failure. `options` is copied. Returns 0 or a libuv error code (UV_ENOMEM,
 * UV_EINVAL: a limit of zero; what uv_poll_init returns).
 */
int ty_http_server_open(uv_loop_t *loop, int listening_fd, const struct ty_http_options *options,
                        ty_http_handler *handle, void *context, struct ty_http_server **out);

/* Borrowed; lives as long as the server. Readable from any thread. */
const struct ty_http_counters *ty_http_server_counters(const struct ty_http_server *server);

typedef void ty_http_server_done(void *context);

/*
 * ty_http_server_drain stops accepting, closes idle connections, lets the requests in flight finish
 * (their answers say Connection: close), then closes the server as ty_http_server_close() does and
 * calls `done` last. It has no time limit of its own: call ty_http_server_close() when it takes too
 * long; then `done` of the drain is still what is called, and the one of the close is not.
 */
void ty_http_server_drain(struct ty_http_server *server, ty_http_server_done *done, void *context);

/*
 * ty_http_server_close closes all connections at once; `done` (may be NULL) is called from the loop
 * when every handle is closed, and the server must not be used from then on. Exchanges still
 * unanswered stay valid, and must still be answered: the answer is dropped and frees them.
 */
void ty_http_server_close(struct ty_http_server *server, ty_http_server_done *done, void *context);

/* The request of an exchange; borrowed until the exchange is answered. */
const struct ty_http_request *ty_http_exchange_request(const struct ty_http_exchange *exchange);

/* "127.0.0.1:51234": the client's address; borrowed until the exchange is answered. */
const char *ty_http_exchange_peer(const struct ty_http_exchange *exchange);

/*
 * ty_http_answer answers an exchange and frees it. `content_type` is copied and may be NULL when
 * there is no body. `body` is taken (left empty) and may be NULL; a body whose memory ran out
 * (ty_buffer_ok() is false) becomes a 503. `extra_headers` is copied: whole lines, each with its
 * CRLF ("Retry-After: 1\r\n"), or NULL. Adds Date, Server, Content-Length and Connection. A HEAD
 * request gets all but the body. If the client has gone the answer is dropped quietly.
 */
void ty_http_answer(struct ty_http_exchange *exchange, int status, const char *content_type,
                    struct ty_buffer *body, const char *extra_headers);

/* ty_http_answer_problem answers with application/problem+json: {"type":"about:blank","title":
 * the status' phrase,"status","detail"} and, if given, members and errors. All is borrowed. */
void ty_http_answer_problem(struct ty_http_exchange *exchange,
                            const struct ty_http_problem *problem, const char *extra_headers);

/* The same with no more than a status and a detail, printf-like. */
void ty_http_problem(struct ty_http_exchange *exchange, int status, const char *detail, ...)
    __attribute__((format(printf, 3, 4)));

#endif
