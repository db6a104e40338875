/*
 * stream.h: one connection of the soak test's producer, and what became of its messages.
 *
 * Every message is sent until it is acknowledged, over broken connections and restarts of the
 * server, and what it adds is counted then, once. Some are sent again afterwards. What the answers
 * must say is checked: a message that was never sent before is accepted wholly, one that was
 * acknowledged before is a duplicate wholly, one whose fate is not known is one of the two, event
 * by event.
 *
 * Ids are remembered for a bounded number of events only, so nothing is sent again when more than
 * `reach` events were begun since it was first: the producer waits instead, or leaves it.
 *
 * Threads: one owner at a time.
 */
#ifndef TY_TESTS_SOAK_STREAM_H
#define TY_TESTS_SOAK_STREAM_H

#include "engine/clock.h"
#include "server/tool/latency.h"
#include "server/tool/load_connection.h"
#include "tests/soak/message.h"

#define SOAK_OUTSTANDING_MAX 4
#define SOAK_KNOWN_MAX       64
#define SOAK_AGAIN_ONE_IN    20 /* messages that are sent again after their acknowledgement */

enum soak_fate {
    SOAK_FRESH,  /* never sent before */
    SOAK_UNSURE, /* sent before, without an answer */
    SOAK_KNOWN   /* acknowledged before */
};

struct soak_sent {
    uint64_t number;
    int64_t made_ms; /* what soak_message_stamp() is told, each time */
    int64_t due_ns;  /* when it was due to be sent, for latency */
    uint64_t mark;   /* fresh events of all streams begun before it first was */
    enum soak_fate fate;
    bool is_disturbed; /* a restart was under way at some time while it waited */
};

/* Counted since the start of the program, for all streams. */
struct soak_counts {
    uint64_t fresh_events; /* acknowledged at their first sending */
    uint64_t unsure_events;
    uint64_t known_events;
    uint64_t messages;
    uint64_t refusals; /* 429 or 503: sent again later */
    uint64_t drops;    /* connections that broke */
    uint64_t problems; /* what must not happen; each was printed */
};

/* What all streams share. */
struct soak_load {
    struct ty_clock clock;
    struct soak_counts counts;
    uint64_t begun; /* fresh events */
    uint64_t reach;
    uint64_t dice;
    bool is_disturbed; /* from before a restart until its backlog is worked off */
    /* Documents acknowledged, each once. */
    uint64_t totals[SOAK_CUSTOMERS][SOAK_WORKFLOWS][SOAK_MONTHS];
    struct ty_latency calm[2], all[2]; /* of HTTP, of Forward: from due to acknowledged */
};

struct soak_stream {
    struct soak_plan plan;
    struct ty_load_connection connection;
    struct soak_sent sent[SOAK_OUTSTANDING_MAX]; /* as the connection's ring */
    struct soak_sent lost[SOAK_OUTSTANDING_MAX]; /* to be sent again, the oldest first */
    unsigned lost_count;
    struct soak_sent known[SOAK_KNOWN_MAX]; /* a ring of those acknowledged last */
    uint64_t known_count;
    uint64_t next_number;
    uint64_t events;      /* acknowledged, of any fate */
    double rate;          /* events a second; 0: as many as are taken */
    int64_t start_ns;     /* of the schedule */
    uint64_t paced;       /* events begun since */
    int64_t retry_at_ns;  /* nothing is sent before: it was refused */
    int64_t answer_at_ns; /* of the last answer, or when it began to wait for one */
};

/* soak_stream_init: at most `outstanding` messages wait for their answers at once,
 * 1 to SOAK_OUTSTANDING_MAX. False: no memory. */
bool soak_stream_init(struct soak_stream *stream, const struct soak_plan *plan,
                      unsigned outstanding);
void soak_stream_fini(struct soak_stream *stream);

/* soak_stream_pace begins a new schedule. */
void soak_stream_pace(struct soak_stream *stream, double rate, int64_t now_ns);

/* When its next message is due. */
int64_t soak_stream_due(const struct soak_stream *stream, int64_t now_ns);

/* Messages without an acknowledgement. */
unsigned soak_stream_open_count(const struct soak_stream *stream);

/* The least mark of them, or `most`. */
uint64_t soak_stream_oldest_mark(const struct soak_stream *stream, uint64_t most);

/* soak_stream_send begins and writes what is due; `oldest` is the least mark of all streams.
 * Nothing but lost messages when `only_lost`. */
void soak_stream_send(struct soak_stream *stream, struct soak_load *load, uint64_t oldest,
                      bool only_lost);

/* soak_stream_write goes on writing, soak_stream_receive takes answers. */
void soak_stream_write(struct soak_stream *stream, struct soak_load *load);
void soak_stream_receive(struct soak_stream *stream, struct soak_load *load);

/* soak_problem prints what must not happen, and counts it. */
void soak_problem(struct soak_load *load, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
