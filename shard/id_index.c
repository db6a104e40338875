#include "shard/id_index.h"

#include <stdlib.h>
#include <string.h>

#include "shard/id_index_internal.h"

/* Work is done faster than ids arrive, also for the last of a burst. */
#define SEALED_PER_ACCEPTED 5 /* with as many ids in the map as there may be, too */
#define SWEPT_PER_ACCEPTED  6 /* ids; they are deleted by values */
#define IDS_MIN             2048
#define RUNS_WANTED         128 /* that all memory is divided into, when there is much of it */

/* --- Life --- */

/* Sealing must be done with the oldest before there is no room for the newest; and there are only
 * so many slots. */
static uint64_t seal_ids(const struct ty_id_index *index)
{
    uint64_t ids = index->options.seal_ids;

    if (ids == 0)
        ids = TY_MAX(TY_SEAL_IDS,
                     (uint64_t)((double)index->options.bytes_max / TY_ID_MAP_BYTES) / RUNS_WANTED);
    return TY_MIN(ids, ty_dedup_ids_max(index->newest) / 4);
}

struct ty_id_index *ty_id_index_new(const struct ty_id_index_options *options,
                                    struct ty_store *store)
{
    struct ty_id_index *index = calloc(1, sizeof(*index));

    if (index == NULL)
        return NULL;
    index->options = *options;
    index->store = store;
    index->current.forgotten_until_ms = INT64_MIN;
    index->arrival_ms = INT64_MIN / 2;
    index->newest = ty_dedup_new(options->window_ms, options->bytes_max / 2);
    if (index->newest == NULL ||
        !ty_id_map_init(&index->map, (uint64_t)((double)options->bytes_max / TY_ID_MAP_BYTES))) {
        ty_id_index_free(index);
        return NULL;
    }
    index->options.seal_ids = seal_ids(index);
    ty_id_index_map_slots(index);
    return index;
}

void ty_id_index_free(struct ty_id_index *index)
{
    if (index == NULL)
        return;
    if (index->working) /* A commit on its way is given up. */
        ty_id_index_reverted(index);
    for (uint32_t i = 0; i < index->current.count; i++)
        free(index->current.runs[i].pages);
    ty_id_seal_fini(index);
    ty_id_map_fini(&index->map);
    ty_dedup_free(index->newest);
    free(index);
}

/* --- What there is room for --- */

uint64_t ty_sealed_ids(const struct ty_sealed_runs *all)
{
    uint64_t ids = 0;

    for (uint32_t i = 0; i < all->count; i++)
        ids += all->runs[i].record.count;
    return ids;
}

/* How many ids may be in runs: half of the memory is theirs, and what the newest leave. */
static uint64_t ids_allowed(const struct ty_id_index *index)
{
    uint64_t most = index->options.bytes_max, newest = ty_dedup_gauges(index->newest).bytes;
    uint64_t allowed = TY_MAX(most / 2, most - TY_MIN(most, newest));

    return (uint64_t)((double)allowed / TY_ID_MAP_BYTES);
}

uint64_t ty_id_index_room(const struct ty_id_index *index)
{
    uint64_t allowed = ids_allowed(index);

    return allowed - TY_MIN(allowed, ty_sealed_ids(&index->next));
}

static void drop_oldest(struct ty_sealed_runs *all)
{
    all->forgotten_until_ms = TY_MAX(all->forgotten_until_ms, all->runs[0].record.last_ms);
    all->count--;
    memmove(&all->runs[0], &all->runs[1], all->count * sizeof(all->runs[0]));
}

void ty_id_index_drop_oldest(struct ty_id_index *index)
{
    drop_oldest(&index->next);
}

/* After a start with less memory: what the map has no room for is not even read. */
static void drop_what_has_no_room(struct ty_id_index *index)
{
    struct ty_sealed_runs *all = &index->current;

    while (all->count > 0 && ids_allowed(index) < ty_sealed_ids(all)) {
        index->forgotten_early += all->runs[0].record.count;
        index->recorded = false; /* It is written again before the first value goes. */
        drop_oldest(all);
    }
}

tally_status ty_id_index_load(struct ty_id_index *index, tally_error *error)
{
    struct ty_id_runs_record record;
    tally_status status = ty_store_get_id_runs(index->store, &record, &index->recorded, error);

    if (status != TALLY_OK)
        return status;
    index->current.sealed_sequence = record.sealed_sequence;
    index->current.forgotten_until_ms = record.forgotten_until_ms;
    index->current.count = record.count;
    for (uint32_t i = 0; i < record.count; i++) {
        index->current.runs[i].record = record.runs[i];
        index->next_run = TY_MAX(index->next_run, record.runs[i].run + 1);
    }
    drop_what_has_no_room(index);
    index->sweeping = true; /* What a crash left. */
    status = ty_id_load(index, error);
    ty_id_index_map_slots(index);
    return status;
}

uint64_t ty_id_index_sealed_sequence(const struct ty_id_index *index)
{
    return index->current.sealed_sequence;
}

void ty_id_index_expect(struct ty_id_index *index, uint64_t ids)
{
    ty_dedup_expect(index->newest, ids);
}

void ty_id_index_advance(struct ty_id_index *index, int64_t arrival_ms, uint64_t sequence)
{
    index->arrival_ms = arrival_ms;
    ty_dedup_advance(index->newest, arrival_ms, sequence);
}

void ty_id_index_go_on(struct ty_id_index *index, int64_t arrival_ms)
{
    index->arrival_ms = arrival_ms;
    ty_dedup_go_on(index->newest, arrival_ms);
}

/* --- Ids --- */

bool ty_id_index_add(struct ty_id_index *index, const struct ty_key *key, uint64_t content)
{
    return ty_dedup_add(index->newest, key, content);
}

void ty_id_index_remove(struct ty_id_index *index, const struct ty_key *key)
{
    ty_dedup_remove(index->newest, key);
}

void ty_id_index_prefetch(const struct ty_id_index *index, const struct ty_key *key)
{
    ty_dedup_prefetch(index->newest, key);
    ty_id_map_prefetch(&index->map, key);
}

void ty_id_index_prefetch_near(const struct ty_id_index *index, const struct ty_key *key)
{
    ty_id_map_prefetch_near(&index->map, key);
}

/* --- Gauges --- */

struct ty_id_gauges ty_id_index_gauges(const struct ty_id_index *index)
{
    struct ty_dedup_gauges newest = ty_dedup_gauges(index->newest);
    uint64_t sealed = ty_sealed_ids(&index->current);
    int64_t until_ms = index->current.forgotten_until_ms;
    struct ty_id_gauges gauges = {
        .entries = newest.entries + sealed,
        .bytes = newest.bytes + index->map.bytes + sealed / TY_ID_PAGE_IDS * sizeof(uint32_t),
        .window_ms = newest.window_ms,
        .forgotten_early = newest.forgotten_early + index->forgotten_early,
        .runs = index->current.count,
        .seals = index->seals};

    if (until_ms > index->arrival_ms - gauges.window_ms)
        gauges.window_ms = TY_MAX(index->arrival_ms - until_ms, 0);
    return gauges;
}

/* --- Work --- */

static void sweep_again(struct ty_id_index *index)
{
    index->sweeping = true;
    index->sweep_from = 0;
}

void ty_id_index_let_go(struct ty_id_index *index, const struct ty_sealed_run *run)
{
    free(run->pages);
    index->dead[run->slot] = true;
    index->dead_ids += run->record.count;
    sweep_again(index);
}

/* Runs whose ids have all left the window go: an arrival may have been rounded up by a second. So
 * do those for which there is no memory any more, since the newest take more of it. */
static void drop_runs(struct ty_id_index *index)
{
    while (index->next.count > 0 &&
           (!ty_is_remembered(index, index->next.runs[0].record.last_ms + 1000) ||
            ids_allowed(index) < ty_sealed_ids(&index->next)))
        ty_id_index_drop_oldest(index);
}

static bool has_run(const struct ty_sealed_runs *all, uint32_t run)
{
    for (uint32_t i = 0; i < all->count; i++)
        if (all->runs[i].record.run == run)
            return true;
    return false;
}

static bool is_in_use(const struct ty_id_index *index, uint32_t run)
{
    if (index->seal.active && index->seal.run.record.run == run)
        return true;
    return has_run(&index->next, run);
}

/* Deletes leftovers, at most so many values. A damaged key may be out of order: what is found once
 * and then not, or before what was looked for, stays. */
static tally_status sweep(struct ty_id_index *index, uint32_t most, uint64_t *done,
                          tally_error *error)
{
    tally_status status = TALLY_OK;

    while (index->sweeping && most > 0 && status == TALLY_OK) {
        uint32_t run, deleted = 0;

        status = ty_store_next_id_run(index->store, index->sweep_from, &run, error);
        if (status != TALLY_OK)
            return status;
        if (run == TY_ID_RUN_NONE || run < index->sweep_from) {
            index->sweeping = false;
        } else if (is_in_use(index, run)) {
            index->sweep_from = run + 1;
        } else {
            status = ty_store_delete_id_run(index->store, run, most, &deleted, error);
            most -= deleted;
            *done += deleted;
            if (deleted == 0)
                index->sweep_from = run + 1;
        }
    }
    return status;
}

static tally_status put_record(struct ty_id_index *index, tally_error *error)
{
    const struct ty_sealed_runs *next = &index->next;
    struct ty_id_runs_record record = {.sealed_sequence = next->sealed_sequence,
                                       .forgotten_until_ms = next->forgotten_until_ms,
                                       .count = next->count};

    for (uint32_t i = 0; i < next->count; i++)
        record.runs[i] = next->runs[i].record;
    return ty_store_put_id_runs(index->store, index->puts, &record, error);
}

/* Whether the transaction changes which runs there are. */
static bool has_changed(const struct ty_id_index *index)
{
    return index->seal.finished || index->next.count != index->current.count;
}

tally_status ty_id_index_work(struct ty_id_index *index, uint64_t accepted, bool may_seal,
                              struct ty_puts *puts, uint64_t *done, tally_error *error)
{
    uint64_t sealed = accepted * SEALED_PER_ACCEPTED + IDS_MIN;
    uint64_t swept = (accepted * SWEPT_PER_ACCEPTED + IDS_MIN) / TY_ID_PAGE_IDS;
    tally_status status = TALLY_OK;

    TY_ASSERT(!index->working);
    *done = 0;
    index->next = index->current;
    index->puts = puts;
    drop_runs(index);
    if (may_seal)
        status = ty_id_seal_step(index, sealed, done, error);
    ty_id_index_purge_map(index, sealed);
    if (status == TALLY_OK && puts == NULL)
        status = sweep(index, (uint32_t)swept, done, error);
    /* The record is there before the first value is, so that its loss is seen. */
    if (status == TALLY_OK && (has_changed(index) || (*done > 0 && !index->recorded))) {
        ++*done;
        index->recording = true;
        status = put_record(index, error);
    }
    index->working = puts == NULL || index->recording;
    return status;
}

bool ty_id_index_is_settled(const struct ty_id_index *index)
{
    return !index->working;
}

bool ty_id_index_must_sweep(const struct ty_id_index *index)
{
    return index->sweeping;
}

/* What `all` has and `kept` has not is gone. */
static void let_go(struct ty_id_index *index, const struct ty_sealed_runs *all,
                   const struct ty_sealed_runs *kept)
{
    for (uint32_t i = 0; i < all->count; i++)
        if (!has_run(kept, all->runs[i].record.run))
            ty_id_index_let_go(index, &all->runs[i]);
}

static void count_forgotten(struct ty_id_index *index)
{
    for (uint32_t i = 0; i < index->current.count; i++) {
        const struct ty_id_run_record *run = &index->current.runs[i].record;

        if (!has_run(&index->next, run->run) && ty_is_remembered(index, run->last_ms + 1000))
            index->forgotten_early += run->count;
    }
}

void ty_id_index_committed(struct ty_id_index *index)
{
    if (!index->working)
        return;
    index->working = false;
    index->recorded |= index->recording;
    index->recording = false;
    index->swept |= !index->sweeping;
    if (!has_changed(index))
        return;
    index->seals += index->seal.finished;
    index->seal.forgetting |= index->seal.finished;
    index->seal.finished = false;
    count_forgotten(index);
    let_go(index, &index->current, &index->next);
    index->current = index->next;
    ty_id_index_map_slots(index);
}

void ty_id_index_reverted(struct ty_id_index *index)
{
    index->working = index->recording = index->seal.finished = false;
    ty_id_seal_abort(index);
    let_go(index, &index->next, &index->current);
    index->next = index->current;
    sweep_again(index);
}
