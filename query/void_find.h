/*
 * void_find.h: from the ids of a customer's events to where the journal has those, newest first.
 *
 * The remembered ids only say that an id was used, so that the journal has to be looked through.
 * What was used more than once (after the dedup window, or without one) is the newest that is kept.
 *
 * Threads: any; reads wait for the disk, at the worst for the whole journal.
 */
#ifndef TY_QUERY_VOID_FIND_H
#define TY_QUERY_VOID_FIND_H

#include "engine/arena.h"
#include "shard/database.h"

/* An event that is looked for. */
struct ty_void_wanted {
    struct ty_text id;
    struct ty_text source;
    /* Filled: */
    bool found;
    struct ty_void what; /* of a found one all but reason and result; texts in the arena */
};

/*
 * ty_void_find fills `wanted`, whose order it keeps. *oldest_ms tells how far the journal was
 * looked through: when its oldest value was stored; 0 for an empty one.
 *
 *   TALLY_NO_MEMORY, TALLY_BUSY, TALLY_FAILED, TALLY_IO   with the reason.
 *   TALLY_CORRUPT   a value is damaged, so that not all that was looked for could be found; what
 *                   was found in newer values is filled.
 */
tally_status ty_void_find(const struct ty_shard_view *view, const struct ty_secret *secret,
                          const struct ty_uuid *customer, struct ty_void_wanted *wanted,
                          size_t count, struct ty_arena *arena, int64_t *oldest_ms,
                          tally_error *error);

/* ty_void_list makes the voids of what was found, in the arena; the reason is borrowed. False: no
 * memory. ty_void_take_results puts back what the shard decided of each. */
bool ty_void_list(const struct ty_void_wanted *wanted, size_t count, struct ty_text reason,
                  struct ty_arena *arena, struct ty_voiding *voiding);
void ty_void_take_results(struct ty_void_wanted *wanted, size_t count,
                          const struct ty_voiding *voiding);

#endif
