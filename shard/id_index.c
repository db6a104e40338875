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
    memset(index->run_of_slot, TY_ID_RUNS_MAX, sizeof(index->run_of_slot));
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

/* After `current` has changed. */
static void map_slots(struct ty_id_index *index)
{
    memset(index->run_of_slot, TY_ID_RUNS_MAX, sizeof(index->run_of_slot));
    for (uint32_t i = 0; i < index->current.count; i++)
        index->run_of_slot[index->current.runs[i].slot] = (uint8_t)i;
}

/* --- What there is room for --- */

static uint64_t sealed_ids(const struct ty_sealed_runs *all)
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

    return allowed - TY_MIN(allowed, sealed_ids(&index->next));
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

    while (all->count > 0 && ids_allowed(index) < sealed_ids(all)) {
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
    map_slots(index);
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

/* The first page whose first key begins with these bits or larger ones. */
static uint32_t first_page(const struct ty_sealed_run *run, uint32_t bits)
{
    uint32_t low = 0, high = ty_id_run_pages(&run->record);

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (run->pages[middle] < bits)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Looks at the pages of a run that can have the id: one, but when keys begin alike. */
static tally_status find_in_run(const struct ty_id_index *index, const struct ty_sealed_run *run,
                                const struct ty_key *key, bool *known, struct ty_id *latest,
                                tally_error *error)
{
    uint32_t bits = (uint32_t)(key->high >> 32), count = ty_id_run_pages(&run->record);
    uint32_t page = first_page(run, bits);
    tally_status status = TALLY_OK;
    bool found = false;

    for (page -= page > 0; page < count && run->pages[page] <= bits && !found; page++) {
        struct ty_id id;

        status = ty_store_find_id(index->store, &run->record, page, key, &found, &id, error);
        if (status != TALLY_OK)
            return status;
        if (found && ty_is_remembered(index, id.arrived_ms) &&
            (!*known || id.arrived_ms > latest->arrived_ms)) {
            *latest = id;
            *known = true;
        }
    }
    return status;
}

tally_status ty_id_index_find(const struct ty_id_index *index, const struct ty_key *key,
                              uint64_t content, enum ty_dedup_answer *answer, tally_error *error)
{
    tally_status status = TALLY_OK;
    struct ty_id latest = {.content = 0};
    bool known = false;
    uint32_t at = 0;
    uint8_t slot;

    *answer = ty_dedup_find(index->newest, key, content);
    if (*answer != TY_DEDUP_NEW)
        return TALLY_OK;
    /* More than one run may have it: it came again when the window was shorter, or off. */
    while (status == TALLY_OK && ty_id_map_find(&index->map, key, &at, &slot)) {
        uint8_t run = index->run_of_slot[slot];

        if (run != TY_ID_RUNS_MAX)
            status = find_in_run(index, &index->current.runs[run], key, &known, &latest, error);
    }
    if (known)
        *answer = latest.content == content ? TY_DEDUP_SAME : TY_DEDUP_CONFLICT;
    return status;
}

/* --- Gauges --- */

struct ty_id_gauges ty_id_index_gauges(const struct ty_id_index *index)
{
    struct ty_dedup_gauges newest = ty_dedup_gauges(index->newest);
    uint64_t sealed = sealed_ids(&index->current);
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

/* --- The map's slots --- */

static void sweep_again(struct ty_id_index *index)
{
    index->sweeping = true;
    index->sweep_from = 0;
}

bool ty_id_index_free_slot(const struct ty_id_index *index, uint8_t *slot)
{
    for (unsigned i = 0; i < TY_ID_MAP_SLOTS; i++)
        if (index->run_of_slot[i] == TY_ID_RUNS_MAX && !index->dead[i]) {
            *slot = (uint8_t)i;
            return true;
        }
    return false;
}

void ty_id_index_let_go(struct ty_id_index *index, const struct ty_sealed_run *run)
{
    free(run->pages);
    index->dead[run->slot] = true;
    index->dead_ids += run->record.count;
    sweep_again(index);
}

void ty_map_pass_begin(struct ty_id_index *index)
{
    index->pass.active = true;
    index->pass.part = 0;
    memcpy(index->pass.dead, index->dead, sizeof(index->dead));
}

void ty_map_pass_end(struct ty_id_index *index)
{
    index->pass.active = false;
    ty_id_map_trim(&index->map);
    for (unsigned i = 0; i < TY_ID_MAP_SLOTS; i++)
        index->dead[i] &= !index->pass.dead[i];
    index->dead_ids = index->map.count - TY_MIN(index->map.count, sealed_ids(&index->next));
}

static bool has_dead(const struct ty_id_index *index)
{
    for (unsigned i = 0; i < TY_ID_MAP_SLOTS; i++)
        if (index->dead[i])
            return true;
    return false;
}

/* A pass without a run, where the next one with a run may be far, or cannot begin. It changes
 * nothing that is stored. */
static void purge_map(struct ty_id_index *index, uint64_t ids)
{
    uint8_t slot;

    if (index->seal.active || (!index->pass.active && !has_dead(index)))
        return;
    if (!index->pass.active && index->dead_ids * 4 <= index->map.count &&
        ty_id_index_free_slot(index, &slot))
        return;
    if (!index->pass.active)
        ty_map_pass_begin(index);
    for (uint64_t spent = 0; spent < ids && index->pass.part < TY_ID_MAP_PARTS;) {
        spent += index->map.parts[index->pass.part].count / 8 + 1;
        if (!ty_id_map_rewrite(&index->map, index->pass.part, NULL, 0, index->pass.dead))
            return; /* The next commit may have more memory. */
        index->pass.part++;
    }
    if (index->pass.part == TY_ID_MAP_PARTS)
        ty_map_pass_end(index);
}

/* --- Work --- */

/* Runs whose ids have all left the window go: an arrival may have been rounded up by a second. So
 * do those for which there is no memory any more, since the newest take more of it. */
static void drop_runs(struct ty_id_index *index)
{
    while (index->next.count > 0 &&
           (!ty_is_remembered(index, index->next.runs[0].record.last_ms + 1000) ||
            ids_allowed(index) < sealed_ids(&index->next)))
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
    purge_map(index, sealed);
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
    map_slots(index);
}

void ty_id_index_reverted(struct ty_id_index *index)
{
    index->working = index->recording = index->seal.finished = false;
    ty_id_seal_abort(index);
    let_go(index, &index->next, &index->current);
    index->next = index->current;
    sweep_again(index);
}
