/*
 * closing.h: months of a customer that were billed, and what still changed in them.
 *
 * A customer's months are closed up to one of them, for all its series, those that come later
 * included. Nothing is refused because of that: what changes the total of a closed month counts as
 * ever, and leaves a revision, so that an invoice can be corrected on the next.
 *
 * Threads: plain values; the owner's business. The list of changes is the shard's writer's.
 */
#ifndef TY_ENGINE_CLOSING_H
#define TY_ENGINE_CLOSING_H

#include "engine/total.h"
#include "engine/uuid.h"

#define TY_NOT_CLOSED ((int32_t)-1) /* before every month that can be closed: 1970-01 is 0 */

/* How far a customer's months are closed. */
struct ty_closed {
    int32_t through;    /* the last closed month, since January 1970; TY_NOT_CLOSED */
    int64_t closed_ms;  /* the wall clock of the commit that closed that month */
    uint64_t sequence;  /* of the last journal value that counted before; 0: of none */
    uint64_t revisions; /* of all closed months so far; they have the numbers from 1 on */
};

/* What one commit changed in one closed month of one series. */
struct ty_revision {
    uint64_t number;     /* of the customer, counted from 1 */
    uint64_t sequence;   /* of the journal value that changed it; 0: on another shard than now, in
                            a value that was dropped before the move */
    int64_t received_ms; /* the wall clock of its commit */
    uint32_t series;     /* its number in the shard */
    int32_t month;       /* since January 1970 */
    uint64_t events;     /* that came */
    uint64_t voided;     /* that were taken out */
    struct ty_total before; /* the month's total, */
    struct ty_total after;  /* and what it was then */
};

/* What became of a request to close. */
enum ty_close_result {
    TY_CLOSE_NOT_STORED, /* the commit failed */
    TY_CLOSE_DONE,       /* the months are closed */
    TY_CLOSE_ALREADY,    /* they were closed through the same month before: a success */
    TY_CLOSE_EARLIER,    /* they are closed through a later month, and cannot be opened again */
    TY_CLOSE_NOT_ENDED,  /* the month has not ended by the wall clock */
    TY_CLOSE_UNKNOWN     /* the customer has no series */
};

struct ty_close {
    struct ty_uuid customer;
    int32_t through;             /* the last month that is to be closed */
    enum ty_close_result result; /* filled by the shard, */
    struct ty_closed closed;     /* with how far the months are closed now, */
    int32_t latest;              /* and the last month that has ended */
};

/* --- In a shard's memory: what is stored, and what the commit being built makes of it --- */

struct ty_closed_customer {
    struct ty_uuid customer;
    struct ty_closed stored;
    struct ty_closed working;
    struct ty_closed_customer *next_changed; /* by the commit being built */
    bool changed;                            /* on that list */
};

struct ty_closings {
    struct ty_closed_customer *changed; /* by the commit being built */
};

/* ty_closings_change returns what the commit being built may change; it is taken back, or kept,
 * with the commit. */
struct ty_closed *ty_closings_change(struct ty_closings *closings,
                                     struct ty_closed_customer *customer);

/* ty_closings_take takes one off the list of changes, which are kept (the commit is durable) or
 * taken back; NULL: there are no more. */
struct ty_closed_customer *ty_closings_take(struct ty_closings *closings, bool keep);

#endif
