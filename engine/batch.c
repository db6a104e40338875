#include "engine/batch.h"

#include <string.h>

#define CAPACITY_MIN ((size_t)32)
#define KEEP_BYTES   ((size_t)4 << 20) /* by a batch that waits for its next use */

/*
 * Doubles an array that lives in the batch's arena. The old one stays behind until the batch is
 * freed: at most as much memory again, and no pointer to free one by one.
 */
static void *grow(struct ty_batch *batch, void *array, size_t *capacity, size_t wanted,
                  size_t element_bytes)
{
    void *larger = wanted > SIZE_MAX / element_bytes
                       ? NULL
                       : ty_arena_alloc(&batch->arena, wanted * element_bytes);

    if (larger == NULL) {
        batch->failed = true;
        return NULL;
    }
    if (*capacity != 0)
        memcpy(larger, array, *capacity * element_bytes);
    *capacity = wanted;
    return larger;
}

static bool grow_outcomes(struct ty_batch *batch, size_t wanted)
{
    struct ty_outcome *larger =
        grow(batch, batch->outcomes, &batch->record_capacity, wanted, sizeof(*larger));

    if (larger != NULL)
        batch->outcomes = larger;
    return larger != NULL;
}

static bool grow_events(struct ty_batch *batch, size_t wanted)
{
    struct ty_event *larger =
        grow(batch, batch->events, &batch->event_capacity, wanted, sizeof(*larger));

    if (larger != NULL)
        batch->events = larger;
    return larger != NULL;
}

void ty_batch_reserve(struct ty_batch *batch, size_t count)
{
    if (!batch->failed && count > batch->record_capacity && grow_outcomes(batch, count) &&
        count > batch->event_capacity)
        grow_events(batch, count);
}

static size_t next_capacity(size_t capacity)
{
    return TY_MAX(capacity * 2, CAPACITY_MIN);
}

static struct ty_outcome *add_record(struct ty_batch *batch)
{
    if (batch->failed)
        return NULL;
    if (batch->record_count == batch->record_capacity &&
        !grow_outcomes(batch, next_capacity(batch->record_capacity)))
        return NULL;
    return &batch->outcomes[batch->record_count++];
}

struct ty_event *ty_batch_add(struct ty_batch *batch)
{
    /* To copy one takes ten moves; gcc 12 writes zeros with an instruction that begins slowly. */
    static const struct ty_event empty = {.time_ms = TALLY_TIME_OF_ARRIVAL};
    struct ty_outcome *outcome;
    struct ty_event *event;

    if (batch->failed || (batch->event_count == batch->event_capacity &&
                          !grow_events(batch, next_capacity(batch->event_capacity))))
        return NULL;
    outcome = add_record(batch);
    if (outcome == NULL)
        return NULL;
    *outcome = (struct ty_outcome){.result = TALLY_NOT_STORED};
    event = &batch->events[batch->event_count++];
    *event = empty;
    event->record = (uint32_t)(batch->record_count - 1);
    return event;
}

void ty_batch_drop_last(struct ty_batch *batch)
{
    TY_ASSERT(batch->event_count != 0 && batch->record_count != 0);
    batch->event_count--;
    batch->record_count--;
}

void ty_batch_reject(struct ty_batch *batch, tally_result result, struct ty_text id,
                     const char *message)
{
    struct ty_outcome *outcome = add_record(batch);

    if (outcome != NULL)
        *outcome = (struct ty_outcome){.result = result, .message = message, .id = id};
}

void ty_batch_seal(struct ty_batch *batch, const struct ty_secret *secret)
{
    for (size_t i = 0; i < batch->event_count; i++) {
        struct ty_event *event = &batch->events[i];

        ty_event_hash(event, secret);
        batch->outcomes[event->record].id = event->id;
    }
}

void ty_batch_reset(struct ty_batch *batch)
{
    struct ty_arena arena = batch->arena;

    ty_arena_reset(&arena, KEEP_BYTES);
    *batch = (struct ty_batch){.arena = arena};
}

void ty_batch_fini(struct ty_batch *batch)
{
    ty_arena_fini(&batch->arena);
    *batch = (struct ty_batch){0};
}
