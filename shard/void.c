/*
 * void.c: events out of the totals again (engine/void.h).
 *
 * A void is an entry of the journal as an event is: the slot loses what it had gained, memory and
 * blocks follow, and a restart replays both in their order. The store marks the event as void in
 * the same transaction, so that it is taken out once however often it is asked for.
 */
#include <stdlib.h>

#include "shard/shard_internal.h"

static bool reserve(struct ty_commit *commit, const struct ty_part *parts)
{
    const struct ty_void **voids;
    size_t count = 0;

    for (; parts != NULL; parts = parts->next)
        count += parts->void_count;
    TY_ASSERT(count <= UINT32_MAX);
    if (count <= commit->void_capacity)
        return true;
    voids = realloc((void *)commit->voids, count * sizeof(*voids));
    if (voids == NULL)
        return false;
    commit->voids = voids;
    commit->void_capacity = (uint32_t)count;
    return true;
}

/* Takes the event out of its slot. What is wrong with one void is its result. */
static tally_status subtract(struct ty_shard *shard, struct ty_series *series, struct ty_void *what)
{
    struct ty_slot_node *slot;
    tally_status status = ty_hot_slot(
        &shard->hot, series, ty_slot_of_ms(ty_event_counts_at_ms(&what->event, what->received_ms)),
        ty_shard_mono_ms(shard), &slot);

    if (status != TALLY_OK)
        return status;
    what->result =
        ty_hot_subtract(&shard->hot, slot, &what->event) ? TY_VOID_DONE : TY_VOID_OVERFLOW;
    return TALLY_OK;
}

/* The mark of a void goes with the journal value that has the event: without one it would stay for
 * good. */
static tally_status is_trimmed(struct ty_shard *shard, const struct ty_void *what, bool *trimmed)
{
    struct ty_journal_header header;
    uint64_t first = 0;
    size_t length;
    tally_status status =
        ty_store_first_journal(shard->store, &first, &length, &header, &shard->error);

    *trimmed = first == 0 || what->place.sequence < first;
    return status;
}

static tally_status decide(struct ty_shard *shard, struct ty_void *what, uint64_t sequence)
{
    struct ty_commit *commit = shard->commit;
    struct ty_series *series = ty_series_get(&shard->series, what->place.series);
    struct ty_void_note note = {
        .sequence = sequence, .voided_ms = commit->received_ms, .reason = what->reason};
    struct ty_void_note before;
    bool found = false, trimmed = false;
    tally_status status = is_trimmed(shard, what, &trimmed);

    TY_ASSERT(series != NULL && what->place.sequence < sequence);
    if (status == TALLY_OK && !trimmed)
        status = ty_store_get_void(shard->store, &what->place, &found, &before, &shard->error);
    if (status != TALLY_OK)
        return status;
    what->result = trimmed ? TY_VOID_TRIMMED : TY_VOID_ALREADY;
    if (!found && !trimmed)
        status = subtract(shard, series, what);
    if (status != TALLY_OK || what->result != TY_VOID_DONE)
        return status;
    commit->voids[commit->void_count++] = what;
    return ty_store_put_void(shard->store, &what->place, &note, &shard->error);
}

/* Damage to one stored value concerns the voids that need it, not what is decided beside. */
static tally_status decide_part(struct ty_shard *shard, struct ty_part *part, uint64_t sequence)
{
    for (size_t i = 0; i < part->void_count; i++) {
        tally_status status = decide(shard, &part->voids[i], sequence);

        if (status == TALLY_CORRUPT) {
            part->voids[i].result = TY_VOID_NOT_STORED;
            part->status = TALLY_CORRUPT;
            ty_part_set_problem(part, &shard->error);
        } else if (status != TALLY_OK) {
            return status;
        }
    }
    return TALLY_OK;
}

tally_status ty_shard_decide_voids(struct ty_shard *shard, struct ty_part *parts, uint64_t sequence)
{
    tally_status status = TALLY_OK;

    if (!reserve(shard->commit, parts))
        return ty_fail(&shard->error, TALLY_NO_MEMORY, "no memory for the commit");
    for (struct ty_part *part = parts; part != NULL && status == TALLY_OK; part = part->next)
        status = decide_part(shard, part, sequence);
    return status;
}
