/*
 * submit.c: a batch to its shards and back, rejects, voids and closings to theirs (database.h).
 */
#include <string.h>

#include "shard/database_internal.h"

#define PART_EVENTS_MAX                                                                            \
    ((uint32_t)8192) /* so that a large batch does not make one large commit                       \
                      */

/* The last part to be decided completes the batch. Acquire and release: the decrements hand every
 * part's outcomes on to the thread that counts to zero. */
static void finish_part(struct ty_part *part)
{
    struct ty_submission *submission = part->submission;

    if (ty_atomic_sub(&submission->pending, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < submission->part_count; i++)
        if (submission->parts[i].status != TALLY_OK) {
            submission->status = submission->parts[i].status;
            submission->problem = submission->parts[i].problem;
        }
    submission->done(submission);
}

static void finish_at_once(struct ty_submission *submission, tally_status status)
{
    submission->status = status;
    submission->done(submission);
}

/* Where each shard's events begin in an array of indexes sorted by shard; filled by counting. */
static void sort_by_shard(const struct ty_database *database, const struct ty_batch *batch,
                          uint16_t *shard_of, uint32_t *begin, uint32_t *indexes)
{
    uint32_t sum = 0;

    memset(begin, 0, (database->shard_count + 1) * sizeof(*begin));
    for (size_t i = 0; i < batch->event_count; i++) {
        shard_of[i] = (uint16_t)ty_database_shard_index(database, &batch->events[i].customer);
        begin[shard_of[i]]++;
    }
    for (unsigned shard = 0; shard <= database->shard_count; shard++) {
        uint32_t count = begin[shard];

        begin[shard] = sum;
        sum += count;
    }
    for (uint32_t i = 0; i < batch->event_count; i++)
        indexes[begin[shard_of[i]]++] = i;
    memmove(begin + 1, begin, database->shard_count * sizeof(*begin));
    begin[0] = 0;
}

/* Cuts events [first, end) of one shard into parts, linked in order; returns how many. */
static uint32_t cut_parts(struct ty_submission *submission, struct ty_part *parts,
                          const uint32_t *indexes, uint32_t first, uint32_t end)
{
    uint32_t count = 0;

    for (uint32_t at = first; at < end; at += parts[count++].count)
        parts[count] = (struct ty_part){.next = &parts[count + 1],
                                        .batch = submission->batch,
                                        .submission = submission,
                                        .indexes = indexes == NULL ? NULL : indexes + at,
                                        .first = indexes == NULL ? at : 0,
                                        .count = TY_MIN(end - at, PART_EVENTS_MAX),
                                        .done = finish_part};
    if (count != 0)
        parts[count - 1].next = NULL;
    return count;
}

static void push_parts(struct ty_writer *writer, struct ty_part *first, uint32_t count)
{
    if (count == 0 || ty_writer_push(writer, first))
        return;
    for (uint32_t i = 0; i < count; i++)
        first[i].status = TALLY_BUSY;
    for (uint32_t i = 0; i < count; i++)
        finish_part(&first[i]);
}

/* The parts of every shard, one after the other in submission->parts; part_begin has where. */
static bool make_parts(const struct ty_database *database, struct ty_submission *submission,
                       uint32_t *part_begin)
{
    struct ty_batch *batch = submission->batch;
    unsigned shards = database->shard_count;
    uint32_t count = (uint32_t)batch->event_count;
    uint32_t *begin = ty_arena_alloc(&batch->arena, (shards + 1) * sizeof(*begin));
    uint32_t *indexes = NULL;
    uint16_t *shard_of = NULL;

    submission->parts = ty_arena_alloc(&batch->arena, (count / PART_EVENTS_MAX + shards) *
                                                          sizeof(*submission->parts));
    if (shards > 1) {
        indexes = ty_arena_alloc(&batch->arena, count * sizeof(*indexes));
        shard_of = ty_arena_alloc(&batch->arena, count * sizeof(*shard_of));
    }
    if (begin == NULL || submission->parts == NULL ||
        (shards > 1 && (indexes == NULL || shard_of == NULL)))
        return false;
    if (shards > 1)
        sort_by_shard(database, batch, shard_of, begin, indexes);
    else
        begin[0] = 0, begin[1] = count;
    part_begin[0] = 0;
    for (unsigned i = 0; i < shards; i++)
        part_begin[i + 1] = part_begin[i] + cut_parts(submission, submission->parts + part_begin[i],
                                                      indexes, begin[i], begin[i + 1]);
    submission->part_count = part_begin[shards];
    return true;
}

void ty_database_submit(struct ty_database *database, struct ty_submission *submission)
{
    uint32_t *part_begin = ty_arena_alloc(&submission->batch->arena,
                                          (database->shard_count + 1) * sizeof(*part_begin));
    struct ty_part *parts;

    TY_ASSERT(!submission->batch->failed && submission->batch->event_count < UINT32_MAX);
    submission->status = TALLY_OK;
    submission->problem = NULL;
    if (submission->batch->event_count == 0) {
        finish_at_once(submission, TALLY_OK);
        return;
    }
    if (part_begin == NULL || !make_parts(database, submission, part_begin)) {
        finish_at_once(submission, TALLY_NO_MEMORY);
        return;
    }
    atomic_init(&submission->pending, submission->part_count);
    parts = submission->parts;
    /* The batch, with part_begin in it, may be freed as soon as its last part is pushed. */
    for (unsigned i = 0; i < database->shard_count; i++) {
        uint32_t first = part_begin[i], end = part_begin[i + 1];
        bool is_last = end == part_begin[database->shard_count];

        push_parts(database->writers[i], parts + first, end - first);
        if (is_last)
            return;
    }
}

/* --- Rejects --- */

static void finish_keeping(struct ty_part *part)
{
    struct ty_keeping *keeping = TY_CONTAINER_OF(part, struct ty_keeping, part);

    keeping->status = part->status;
    keeping->problem = part->problem;
    keeping->done(keeping);
}

void ty_database_keep_rejects(struct ty_database *database, struct ty_keeping *keeping)
{
    keeping->part = (struct ty_part){.rejects = keeping->rejects,
                                     .reject_count = keeping->count,
                                     .status = TALLY_OK,
                                     .done = finish_keeping};
    if (keeping->count == 0) {
        finish_keeping(&keeping->part);
    } else if (!ty_writer_push(database->writers[0], &keeping->part)) {
        keeping->part.status = TALLY_BUSY;
        finish_keeping(&keeping->part);
    }
}

/* --- Voids --- */

static void finish_voiding(struct ty_part *part)
{
    struct ty_voiding *voiding = TY_CONTAINER_OF(part, struct ty_voiding, part);

    voiding->status = part->status;
    voiding->problem = part->problem;
    voiding->done(voiding);
}

void ty_database_void(struct ty_database *database, const struct ty_uuid *customer,
                      struct ty_voiding *voiding)
{
    voiding->part = (struct ty_part){.voids = voiding->voids,
                                     .void_count = voiding->count,
                                     .status = TALLY_OK,
                                     .done = finish_voiding};
    if (voiding->count == 0) {
        finish_voiding(&voiding->part);
    } else if (!ty_writer_push(database->writers[ty_database_shard_index(database, customer)],
                               &voiding->part)) {
        voiding->part.status = TALLY_BUSY;
        finish_voiding(&voiding->part);
    }
}

/* --- Closings --- */

static void finish_closing(struct ty_part *part)
{
    struct ty_closing *closing = TY_CONTAINER_OF(part, struct ty_closing, part);

    closing->status = part->status;
    closing->problem = part->problem;
    closing->done(closing);
}

void ty_database_close_months(struct ty_database *database, struct ty_closing *closing)
{
    unsigned shard = ty_database_shard_index(database, &closing->close.customer);

    closing->part =
        (struct ty_part){.close = &closing->close, .status = TALLY_OK, .done = finish_closing};
    if (!ty_writer_push(database->writers[shard], &closing->part)) {
        closing->part.status = TALLY_BUSY;
        finish_closing(&closing->part);
    }
}
