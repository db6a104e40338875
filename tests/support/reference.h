/*
 * reference.h: what a database should say, in the plainest way: a list of the events that were
 * stored.
 *
 * No slots, no blocks, no dedup index: every answer is a walk over the list, or over those of its
 * events that have the same id or are of the same series.
 */
#ifndef TY_TESTS_SUPPORT_REFERENCE_H
#define TY_TESTS_SUPPORT_REFERENCE_H

#include "engine/batch.h"
#include "engine/total.h"
#include "query/range.h"

struct reference_event {
    struct ty_event event; /* its texts point into `id` and `user` */
    char id[TALLY_ID_BYTES_MAX];
    char user[TALLY_USER_BYTES_MAX];
    int64_t time_ms;     /* what it counts at */
    int64_t received_ms; /* the wall clock of its commit */
    int64_t arrival_ms;  /* and the arrival clock */
    unsigned shard;
    uint64_t sequence;      /* of the journal value that has it */
    bool voided;            /* it counts no more, */
    uint64_t void_sequence; /* since the journal value that has the void */
    bool lapsed;   /* was older than a window once, so that its id may have been forgotten */
    unsigned seen; /* bit n: reader n of the feed was given it */
    struct reference_event *older_of_id;     /* chains, newest first; several ids or series may */
    struct reference_event *older_of_series; /* share one */
};

#define REFERENCE_CHAINS 1024

struct reference {
    struct reference_event **events; /* in the order of arrival */
    size_t count, capacity;
    struct reference_event *by_id[REFERENCE_CHAINS];
    struct reference_event *by_series[REFERENCE_CHAINS];
    int64_t window_ms; /* 0: no deduplication */
    int64_t slack_ms;  /* ids older than the window may be remembered this much longer */
    int64_t future_ms_max;
};

void reference_fini(struct reference *reference);

/* When and where a commit took place. */
struct reference_commit {
    unsigned shard;
    uint64_t sequence;
    int64_t received_ms;
    int64_t arrival_ms;
    int64_t remembered_ms; /* how far back the shard says that it remembers ids */
    int64_t mono_ns;       /* when it began, on the clock that never jumps */
};

/* What an event may come to: bit n stands for tally_result n. It is more than one where age leaves
 * open whether an id is still remembered. */
unsigned reference_decide(const struct reference *reference, const struct ty_event *event,
                          const struct reference_commit *commit);

/* The event was stored. */
void reference_add(struct reference *reference, const struct ty_event *event,
                   const struct reference_commit *commit);

/* Ids of a shard that are older than remembered_ms now may be forgotten from here on, even if a
 * later start has a longer window. */
void reference_lapse(struct reference *reference, unsigned shard, int64_t arrival_ms,
                     int64_t remembered_ms);

/* The newest event of an id, of which older_of_id leads to more; the caller compares the ids. */
struct reference_event *reference_newest_of_id(const struct reference *reference,
                                               struct ty_text id);

/* Whether two events say the same; the places that they came from do not matter. */
bool reference_same_event(const struct ty_event *a, const struct ty_event *b);

/* The total of a series in [start_ms, end_ms). */
struct ty_total reference_total(const struct reference *reference, const struct ty_uuid *customer,
                                const struct ty_uuid *workflow, int64_t start_ms, int64_t end_ms);

#endif
