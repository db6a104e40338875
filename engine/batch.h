/*
 * batch.h: a request's worth of records on the way from a decoder to the shards and back.
 *
 * A decoder fills it (ty_batch_add, ty_batch_reject, one call a record, in order), the database
 * decides every event, and whoever made it reads the outcomes and frees it. Memory comes from the
 * batch's own arena. Threads: one owner at a time; while submitted it belongs to the database.
 */
#ifndef TY_ENGINE_BATCH_H
#define TY_ENGINE_BATCH_H

#include "engine/arena.h"
#include "engine/event.h"

/* What became of one record. */
struct ty_outcome {
    tally_result result;
    const char *message; /* for the client; NULL when the result's name says all */
    struct ty_text id;   /* the record's id, empty where it had none that could be read */
};

struct ty_batch {
    struct ty_arena arena;
    struct ty_event *events; /* the records that could be decoded */
    size_t event_count;
    size_t event_capacity;
    struct ty_outcome *outcomes; /* one a record, rejected ones too */
    size_t record_count;
    size_t record_capacity;
    bool failed; /* an allocation failed: the batch is incomplete and must not be submitted */
};

/* ty_batch_reserve makes room for `count` records at once: better than growing, where it is known.
 * The batch has failed when memory is out. */
void ty_batch_reserve(struct ty_batch *batch, size_t count);

/*
 * ty_batch_add returns a zeroed event for the next record, to be filled in place, or NULL when
 * memory is out (and the batch has failed). event->record is set; the outcome starts as
 * TALLY_NOT_STORED. The pointer is good until the next call. The outcome's id is set by
 * ty_batch_seal().
 */
struct ty_event *ty_batch_add(struct ty_batch *batch);

/* ty_batch_drop_last takes the event of the last ty_batch_add() back, its record included. */
void ty_batch_drop_last(struct ty_batch *batch);

/* ty_batch_reject adds a record that cannot be counted. `id` and `message` are borrowed for the
 * life of the batch (constant text, or text in its arena). */
void ty_batch_reject(struct ty_batch *batch, tally_result result, struct ty_text id,
                     const char *message);

/* ty_batch_seal hashes every event and copies the ids to the outcomes. Call once, when full. */
void ty_batch_seal(struct ty_batch *batch, const struct ty_secret *secret);

/* ty_batch_reset empties the batch and keeps memory for the next use (see ty_arena_reset). */
void ty_batch_reset(struct ty_batch *batch);

/* ty_batch_fini frees everything; a zeroed batch is fine. */
void ty_batch_fini(struct ty_batch *batch);

#endif
