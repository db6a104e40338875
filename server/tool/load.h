/*
 * load.h: sends events to a server at a given pace and measures how long it takes to answer.
 *
 * Closed loop (no rate): every connection keeps `outstanding` messages under way and sends the next
 * when one is answered. It finds the throughput; its latencies say little about a server under a
 * given load, since a slow answer also holds back what would have come next.
 *
 * Open loop (a rate): messages are due at fixed times whatever the server does, and the latency of
 * each counts from the time at which it was due, also when it could not be sent then. So a stall of
 * the server costs every message that it delayed, and there is no coordinated omission (Gil Tene,
 * "How NOT to Measure Latency").
 *
 * Threads: everything happens in one, the caller's.
 */
#ifndef TY_SERVER_TOOL_LOAD_H
#define TY_SERVER_TOOL_LOAD_H

#include <signal.h>

#include "server/tool/latency.h"
#include "server/tool/load_message.h"

#define TY_LOAD_CONNECTIONS_MAX 1024
#define TY_LOAD_OUTSTANDING_MAX 4096

struct ty_load_options {
    const char *address; /* "host:port", "[v6]:port" or "unix:PATH" */
    struct ty_load_plan plan;
    unsigned connections;
    unsigned outstanding; /* messages of a connection that wait for their answer at once */
    double rate;          /* events a second; 0: closed loop */
    int64_t warm_up_ms;   /* before anything is counted */
    int64_t duration_ms;  /* then; 0: no bound */
    uint64_t events;      /* how many to send, those of the warm-up included; 0: no bound */
};

struct ty_load_result {
    uint64_t messages; /* answered while it was measured */
    uint64_t accepted; /* events; over Forward, those acknowledged */
    uint64_t duplicates;
    uint64_t rejected;
    uint64_t bytes;            /* sent, of the messages counted */
    uint64_t refusals;         /* answers other than 200 */
    int refusal_status;        /* of the last one */
    uint64_t lost;             /* messages never answered: the connection broke, or the end came */
    uint64_t reconnects;       /* after a connection broke */
    double seconds;            /* measured */
    struct ty_latency latency; /* of a message */
};

/*
 * ty_load_run sends until a bound is reached or *stop is set (by a signal handler, say), then waits
 * at most 10 seconds for the last answers. False, with a sentence in `problem`: nothing could be
 * sent (no connection, no memory, an answer that no Tally server gives).
 */
bool ty_load_run(const struct ty_load_options *options, const volatile sig_atomic_t *stop,
                 struct ty_load_result *result, char problem[256]);

#endif
