/*
 * io_loop.h: a thread that serves connections: a libuv loop, an HTTP server on it, and the way back
 * for batches that the shards have decided.
 *
 * Threads: start, drain and join the owner (main); ty_io_loop_complete() any; the rest on the loop.
 */
#ifndef TY_SERVER_IO_LOOP_H
#define TY_SERVER_IO_LOOP_H

#include <uv.h>

#include "server/app.h"
#include "server/forward_server.h"

struct ty_io_loop;

/* Listening sockets, non-blocking. */
struct ty_io_sockets {
    int http;
    int forward[2]; /* TCP, Unix */
    size_t forward_count;
};

/* ty_io_loop_start serves the sockets (all taken, also on failure) on a new thread. NULL with
 * *problem (constant): nothing is left behind. */
struct ty_io_loop *ty_io_loop_start(struct ty_app *app, const struct ty_io_sockets *sockets,
                                    const char **problem);

/* ty_io_loop_drain asks the loop to finish what is in flight and end; any thread. */
void ty_io_loop_drain(struct ty_io_loop *loop);

/* ty_io_loop_join waits for the thread's end and frees the loop. */
void ty_io_loop_join(struct ty_io_loop *loop);

/* Something to be done on the loop by another thread's wish; embedded in what it is about. */
struct ty_completion {
    struct ty_completion *next;
    void (*run)(struct ty_completion *completion);
};

/* ty_io_loop_expect announces a completion, on the loop: the loop does not end before it has run.
 */
void ty_io_loop_expect(struct ty_io_loop *loop);

/* ty_io_loop_complete has completion->run() called on the loop; any thread. */
void ty_io_loop_complete(struct ty_io_loop *loop, struct ty_completion *completion);

struct ty_app *ty_io_loop_app(struct ty_io_loop *loop);
uv_loop_t *ty_io_loop_uv(struct ty_io_loop *loop);

/* ty_io_loop_with_counters shows the HTTP counters to `use`, unless the server has closed; any
 * thread, until the loop is joined. */
void ty_io_loop_with_counters(struct ty_io_loop *loop,
                              void (*use)(void *context, const struct ty_http_counters *counters),
                              void *context);

/* ty_io_loop_with_forward_counters does so with those of the Forward protocol, where it is served.
 */
void ty_io_loop_with_forward_counters(struct ty_io_loop *loop,
                                      void (*use)(void *context,
                                                  const struct ty_forward_counters *counters),
                                      void *context);

#endif
