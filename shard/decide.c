/*
 * decide.c: what becomes of each event of a commit (step 1 of commit.c).
 *
 * An event needs memory from all over the place: where its id would be, its series, its slot. To
 * wait for each in turn would be most of the time. So events are taken in blocks, and what a block
 * needs is fetched in steps, some blocks ahead: what a step finds out tells the next one where to
 * look, and is nothing but a hint. A step goes through its block in a loop that does little else,
 * so that the processor waits for many fetches at once (also for the page tables: a prefetch does
 * not retire before its address is known).
 *
 * A hard failure (no memory, storage) is a status and ends the commit; what concerns one event is
 * its outcome.
 */
#include "engine/timestamp.h"
#include "shard/shard_internal.h"

#define BLOCK 32
/* So many blocks ahead. All of a part at once would be more than the caches hold: the first events
 * were gone again when they were needed. */
#define FETCH_EVENTS 4
#define FETCH_IDS    2 /* where their search begins, and where that of their series does */
#define FIND_SERIES  1
#define RING         (4 * BLOCK) /* more than FETCH_IDS blocks */

/* What was found out about the events to come: that of event i lies at i % RING. */
struct hints {
    uint64_t hash[RING];
    struct ty_series *series[RING]; /* NULL: not found then, perhaps added since */
};

/* --- Ahead --- */

/* The events of a block, which may be none. */
struct block {
    const struct ty_part *part;
    uint32_t first, end;
};

static struct block block_at(const struct ty_part *part, int64_t number)
{
    int64_t first = TY_MIN(TY_MAX(number, 0) * BLOCK, (int64_t)part->count);
    int64_t end = TY_MIN(TY_MAX(number + 1, 0) * BLOCK, (int64_t)part->count);

    return (struct block){.part = part, .first = (uint32_t)first, .end = (uint32_t)end};
}

static void fetch_events(struct block block)
{
    for (uint32_t i = block.first; i < block.end; i++)
        ty_event_prefetch(ty_part_event(block.part, i));
}

static void fetch_ids(const struct ty_shard *shard, struct block block, struct hints *hints)
{
    for (uint32_t i = block.first; i < block.end && shard->ids != NULL; i++)
        ty_id_index_prefetch(shard->ids, &ty_part_event(block.part, i)->key);
    for (uint32_t i = block.first; i < block.end; i++) {
        const struct ty_event *event = ty_part_event(block.part, i);
        uint64_t hash = ty_series_hash(&shard->series, &event->customer, &event->workflow);

        hints->hash[i % RING] = hash;
        ty_series_prefetch(&shard->series, hash);
    }
}

static void find_series(const struct ty_shard *shard, struct block block, struct hints *hints)
{
    for (uint32_t i = block.first; i < block.end && shard->ids != NULL; i++)
        ty_id_index_prefetch_near(shard->ids, &ty_part_event(block.part, i)->key);
    for (uint32_t i = block.first; i < block.end; i++) {
        const struct ty_event *event = ty_part_event(block.part, i);
        struct ty_series *series = ty_series_find_hashed(&shard->series, hints->hash[i % RING],
                                                         &event->customer, &event->workflow);

        hints->series[i % RING] = series;
        if (series != NULL)
            ty_prefetch(&series->last_slot);
    }
}

static void fetch_slots(struct block block, const struct hints *hints)
{
    for (uint32_t i = block.first; i < block.end; i++) {
        const struct ty_series *series = hints->series[i % RING];

        if (series != NULL && series->last_slot != NULL) {
            ty_prefetch(&series->last_slot->working);
            ty_prefetch(&series->last_slot->number);
        }
    }
}

/* --- An event's turn --- */

static tally_result check_time(const struct ty_shard *shard, int64_t time_ms)
{
    if (time_ms < TALLY_TIME_MS_MIN)
        return TALLY_TOO_OLD;
    /* Whatever is allowed: a later year cannot be asked for, and not be written as text. */
    if (time_ms > TY_TIMESTAMP_MS_MAX ||
        time_ms - shard->commit->received_ms > shard->options.future_ms_max)
        return TALLY_TOO_NEW;
    return TALLY_ACCEPTED;
}

static tally_status check_dedup(struct ty_shard *shard, const struct ty_event *event,
                                tally_result *result)
{
    enum ty_dedup_answer answer = TY_DEDUP_NEW;
    tally_status status = TALLY_OK;

    if (shard->ids != NULL)
        status = ty_id_index_find(shard->ids, &event->key, event->content, &answer, &shard->error);
    *result = answer == TY_DEDUP_SAME       ? TALLY_DUPLICATE
              : answer == TY_DEDUP_CONFLICT ? TALLY_ID_CONFLICT
                                            : TALLY_ACCEPTED;
    return status;
}

/* *series may be known; it is NULL where it must be looked for. */
static tally_status find_or_add_series(struct ty_shard *shard, const struct ty_event *event,
                                       struct ty_series **series, tally_result *result)
{
    if (*series == NULL)
        *series = ty_series_find(&shard->series, &event->customer, &event->workflow);
    if (*series != NULL)
        return TALLY_OK;
    if (ty_series_full(&shard->series)) {
        *result = TALLY_SERIES_LIMIT;
        return TALLY_OK;
    }
    *series = ty_series_add(&shard->series, &event->customer, &event->workflow,
                            ty_series_next_id(&shard->series));
    return *series == NULL ? TALLY_NO_MEMORY : TALLY_OK;
}

static void add_candidate(struct ty_commit *commit, const struct ty_event *event,
                          struct ty_series *series)
{
    if (series->group_commit != commit->number) {
        series->group_commit = commit->number;
        series->group = commit->group_count;
        commit->groups[commit->group_count++] = (struct ty_group){.series = series};
    }
    commit->groups[series->group].count++;
    commit->candidates[commit->candidate_count++] =
        (struct ty_candidate){.event = event, .group = series->group};
}

/* Counts an event that passed all checks which need no memory. */
static tally_status accept(struct ty_shard *shard, const struct ty_event *event,
                           struct ty_series *series, int64_t time_ms, tally_result *result)
{
    struct ty_slot_node *slot;
    tally_status status = find_or_add_series(shard, event, &series, result);

    if (status != TALLY_OK || *result != TALLY_ACCEPTED)
        return status;
    status =
        ty_hot_slot(&shard->hot, series, ty_slot_of_ms(time_ms), shard->commit->mono_ms, &slot);
    if (status != TALLY_OK)
        return status;
    if (!ty_hot_add(&shard->hot, slot, event)) {
        *result = TALLY_OVERFLOW;
        return TALLY_OK;
    }
    if (shard->ids != NULL && !ty_id_index_add(shard->ids, &event->key, event->content))
        return TALLY_NO_MEMORY; /* The event is in the slot, but the whole commit is reverted. */
    add_candidate(shard->commit, event, series);
    return TALLY_OK;
}

static tally_status decide(struct ty_shard *shard, const struct ty_event *event,
                           struct ty_series *series, tally_result *result)
{
    int64_t time_ms = ty_event_counts_at_ms(event, shard->commit->received_ms);

    /* A retry of what was stored is a success whatever the clock says today, so ids come first. */
    tally_status status = check_dedup(shard, event, result);

    if (status != TALLY_OK)
        return status;
    if (*result == TALLY_ACCEPTED)
        *result = check_time(shard, time_ms);
    return *result == TALLY_ACCEPTED ? accept(shard, event, series, time_ms, result) : TALLY_OK;
}

/* Damage to one stored value concerns the events that need it, not the batches beside. */
static tally_status decide_block(struct ty_shard *shard, struct ty_part *part, struct block block,
                                 const struct hints *hints)
{
    for (uint32_t i = block.first; i < block.end; i++) {
        const struct ty_event *event = ty_part_event(part, i);
        tally_result result;
        tally_status status = decide(shard, event, hints->series[i % RING], &result);

        if (status == TALLY_CORRUPT) {
            result = TALLY_NOT_STORED;
            part->status = TALLY_CORRUPT;
            ty_part_set_problem(part, &shard->error);
        } else if (status != TALLY_OK) {
            return status;
        }
        part->batch->outcomes[event->record].result = result;
        shard->commit->results[result]++;
    }
    return TALLY_OK;
}

static tally_status decide_part(struct ty_shard *shard, struct ty_part *part)
{
    struct hints hints;
    tally_status status = TALLY_OK;

    part->status = TALLY_OK;
    for (int64_t at = -FETCH_IDS; at * BLOCK < part->count && status == TALLY_OK; at++) {
        fetch_events(block_at(part, at + FETCH_EVENTS));
        fetch_ids(shard, block_at(part, at + FETCH_IDS), &hints);
        find_series(shard, block_at(part, at + FIND_SERIES), &hints);
        fetch_slots(block_at(part, at), &hints);
        status = decide_block(shard, part, block_at(part, at), &hints);
    }
    return status;
}

tally_status ty_shard_decide_events(struct ty_shard *shard, struct ty_part *parts)
{
    tally_status status = TALLY_OK;

    for (struct ty_part *part = parts; part != NULL && status == TALLY_OK; part = part->next)
        status = decide_part(shard, part);
    return status;
}
