/*
 * forward_server.h: the Fluentd Forward protocol on one libuv loop, over TCP and Unix sockets.
 *
 * Messages are decoded as they are complete, several into one batch, and go to the shards; once a
 * batch is decided its rejects are kept, and then its chunks are acknowledged, in the order in
 * which they came. A connection whose data is in flight up to a bound is not read from: that is how
 * a fast producer is held back. What the database cannot take now (busy, full, no memory) is tried
 * again until it can; producers without chunks would not send it again.
 *
 * Threads: everything on the loop's thread; the counters may be read from any.
 */
#ifndef TY_SERVER_FORWARD_SERVER_H
#define TY_SERVER_FORWARD_SERVER_H

#include <uv.h>

#include "engine/histogram.h"
#include "ingest/forward.h"

struct ty_io_loop;
struct ty_forward_server;

/* Start from ty_forward_options_default(). */
struct ty_forward_options {
    size_t message_bytes_max;  /* a longer one closes its connection */
    size_t inflated_bytes_max; /* what a compressed message may become */
    size_t pending_bytes_max;  /* of one connection, read and not yet decided, and what became of
                                  it: inflated entries, events; then reading stops. May be passed
                                  by one message */
    size_t memory_bytes_max;   /* the same of all connections of the loop */
    unsigned connections_max;  /* above: closed at once */
};

struct ty_forward_options ty_forward_options_default(void);

/* All only grow, but for the gauges. Single writer (the loop), relaxed atomics. */
struct ty_forward_counters {
    _Atomic uint64_t connections_open; /* gauge */
    _Atomic uint64_t connections_accepted;
    _Atomic uint64_t connections_rejected; /* over connections_max */
    _Atomic uint64_t accept_errors;
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t messages[TY_FORWARD_MODES];
    _Atomic uint64_t acks;
    _Atomic uint64_t broken_streams;  /* closed: no msgpack, or over a limit */
    _Atomic uint64_t cut_messages;    /* connections that ended in the middle of a message */
    _Atomic uint64_t retries;         /* batches that the database could not take at once */
    _Atomic uint64_t records_dropped; /* that were never stored, and have no chunk: outcome unknown,
                                         or the stop came while the database could take nothing */
    _Atomic uint64_t pending_bytes;   /* gauge */
    _Atomic uint64_t reads_paused;    /* times that reading stopped for a bound */
    struct ty_histogram ack_time;     /* from a batch's last byte read to its decision */
};

/*
 * ty_forward_server_open accepts connections from `fds` (listening, non-blocking; all taken, also
 * on failure) on the loop. `options` is copied. Returns 0 or a libuv error code.
 */
int ty_forward_server_open(struct ty_io_loop *loop, const int *fds, size_t count,
                           const struct ty_forward_options *options,
                           struct ty_forward_server **out);

const struct ty_forward_counters *
ty_forward_server_counters(const struct ty_forward_server *server);

typedef void ty_forward_server_done(void *context);

/*
 * ty_forward_server_drain closes the listening sockets, stops reading, lets what was read wholly be
 * decided and acknowledged, then closes every connection and calls `done` last. Half a message is
 * dropped: its producer sends it again. No time limit of its own, see close.
 */
void ty_forward_server_drain(struct ty_forward_server *server, ty_forward_server_done *done,
                             void *context);

/* ty_forward_server_close closes every connection at once; `done` (may be NULL, and is not called
 * when a drain has one of its own, which then is) comes when every handle is closed and no batch is
 * in the database's hands; the server must not be used from then on. */
void ty_forward_server_close(struct ty_forward_server *server, ty_forward_server_done *done,
                             void *context);

#endif
