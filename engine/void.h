/*
 * void.h: a void: an event that was accepted by mistake, on its way out of the totals again.
 *
 * The event itself stays where it is, in the journal; the void is an entry of its own, with a
 * reason and a time. What is void cannot become valid again, and its id stays known.
 *
 * Threads: plain values; the owner's business.
 */
#ifndef TY_ENGINE_VOID_H
#define TY_ENGINE_VOID_H

#include "engine/event.h"

#define TY_VOID_REASON_BYTES_MAX ((size_t)256)

/* Where the journal has an event: the value, and within it the place among those of its series. */
struct ty_journal_place {
    uint64_t sequence;
    uint32_t series;
    uint32_t index;
};

/* What became of a void. */
enum ty_void_result {
    TY_VOID_NOT_STORED, /* the commit failed, or a stored value that it needs is damaged */
    TY_VOID_DONE,       /* the event counts no more */
    TY_VOID_ALREADY,    /* it was void before: a success */
    TY_VOID_TRIMMED,    /* the journal has dropped the event meanwhile: it can only stay */
    TY_VOID_OVERFLOW    /* what its slot would be without it does not fit 64 bits */
};

/* Texts are borrowed. */
struct ty_void {
    struct ty_event event;         /* as it was accepted; record and hashes mean nothing */
    struct ty_journal_place place; /* where it was accepted */
    int64_t received_ms;           /* the wall clock then: what it counts at without a time */
    struct ty_text reason;         /* 1..TY_VOID_REASON_BYTES_MAX bytes, valid UTF-8 */
    enum ty_void_result result;    /* filled by the shard */
};

#endif
