/*
 * id_seal.c: the oldest of the newest ids become a run.
 *
 * They are collected by parts of the keys' range, which are those of the map too, and stay findable
 * in memory until the run counts; then they are forgotten there, a slice at a time as well:
 * forgetting millions at once would be a pause.
 */
#include <stdlib.h>

#include "shard/id_index_internal.h"

_Static_assert(TY_ID_MAP_PARTS == TY_DEDUP_PARTS, "a part is collected and mapped in one step");

/* What takes as long as sealing one id. */
#define MAPPED_PER_ID 64 /* ids of the map that are rewritten */
#define PARTS_PER_ID  16 /* parts that have no ids */
/* A run for each of so many parts of the window at least, so that few ids do not stay in memory,
 * and never more runs than there are slots. */
#define TICKS_MIN   (UINT32_C(1) << 17)
#define WINDOW_RUNS 100

static uint32_t ticks_kept(const struct ty_id_index *index)
{
    int64_t seconds = index->options.window_ms / 1000 / WINDOW_RUNS;

    return (uint32_t)TY_MIN(TY_MAX(seconds, (int64_t)TICKS_MIN), (int64_t)INT32_MAX);
}

static bool begin(struct ty_id_index *index)
{
    struct ty_seal *seal = &index->seal;
    struct ty_sealed_run run = {0};

    if (!index->swept || index->pass.active || !ty_id_index_free_slot(index, &run.slot) ||
        !ty_dedup_oldest(index->newest, index->options.seal_ids, ticks_kept(index), &seal->span))
        return false;
    run.record = (struct ty_id_run_record){
        .run = index->next_run, .first_ms = seal->span.first_ms, .last_ms = seal->span.last_ms};
    run.pages = malloc((seal->span.count / TY_ID_PAGE_IDS + 1) * sizeof(*run.pages));
    if (run.pages == NULL)
        return false; /* The next commit may have more memory. */
    while (index->next.count > 0 && ty_id_index_room(index) < seal->span.count)
        ty_id_index_drop_oldest(index);
    index->next_run++;
    seal->run = run;
    seal->page_count = seal->pages = seal->list_count = seal->lists = 0;
    seal->active = true;
    ty_id_map_begin(&index->map, run.slot, index->map.count + seal->span.count);
    ty_map_pass_begin(index);
    return true;
}

/* --- One part --- */

/* Room to collect a part in. */
static bool reserve(struct ty_seal *seal, uint32_t part_max)
{
    if (seal->ids != NULL && part_max <= seal->capacity)
        return true;
    free(seal->ids);
    free(seal->entries);
    seal->capacity = TY_MAX(part_max + part_max / 4, 16);
    seal->ids = malloc((2 * (size_t)seal->capacity + 1) * sizeof(*seal->ids)); /* half to sort in */
    seal->entries = malloc((size_t)seal->capacity * sizeof(*seal->entries));
    if (seal->ids == NULL || seal->entries == NULL)
        seal->capacity = 0;
    return seal->capacity != 0;
}

static tally_status put_page(struct ty_id_index *index, tally_error *error)
{
    struct ty_seal *seal = &index->seal;
    uint32_t count = seal->page_count;

    if (count == 0)
        return TALLY_OK;
    seal->page_count = 0;
    seal->run.pages[seal->pages] = (uint32_t)(seal->page[0].key.high >> 32);
    return ty_store_put_id_page(index->store, index->puts, &seal->run.record, seal->pages++,
                                seal->page, count, error);
}

static tally_status put_list(struct ty_id_index *index, tally_error *error)
{
    struct ty_seal *seal = &index->seal;
    uint32_t count = seal->list_count;

    if (count == 0)
        return TALLY_OK;
    seal->list_count = 0;
    return ty_store_put_id_list(index->store, index->puts, &seal->run.record, seal->lists++,
                                seal->list, count, error);
}

static tally_status put_id(struct ty_id_index *index, const struct ty_id *id, tally_error *error)
{
    struct ty_seal *seal = &index->seal;
    tally_status status = TALLY_OK;

    seal->run.record.count++;
    seal->page[seal->page_count++] = *id;
    seal->list[seal->list_count++] = id->key.high >> TY_ID_PREFIX_SHIFT;
    if (seal->page_count == TY_ID_PAGE_IDS)
        status = put_page(index, error);
    if (status == TALLY_OK && seal->list_count == TY_ID_LIST_IDS)
        status = put_list(index, error);
    return status;
}

static tally_status seal_part(struct ty_id_index *index, uint64_t *spent, tally_error *error)
{
    struct ty_seal *seal = &index->seal;
    unsigned part = index->pass.part;
    tally_status status = TALLY_OK;
    uint32_t count;

    if (!reserve(seal, ty_dedup_part_max(index->newest, part))) {
        ty_id_seal_abort(index);
        return TALLY_OK;
    }
    count = ty_dedup_collect(index->newest, &seal->span, part, seal->ids);
    for (uint32_t i = 0; i < count && status == TALLY_OK; i++) {
        seal->entries[i] = (struct ty_id_map_entry){.rest = ty_id_map_rest_of(&seal->ids[i].key),
                                                    .slot = seal->run.slot};
        status = put_id(index, &seal->ids[i], error);
    }
    if (status == TALLY_OK &&
        !ty_id_map_rewrite(&index->map, part, seal->entries, count, index->pass.dead)) {
        ty_id_seal_abort(index);
        return TALLY_OK;
    }
    index->pass.part++;
    *spent +=
        count * PARTS_PER_ID + index->map.parts[part].count * PARTS_PER_ID / MAPPED_PER_ID + 1;
    return status;
}

/* --- All of it --- */

/* What the newest have forgotten by now will be behind the sealed sequence, and in no run: a start
 * with a longer window, or more memory, does not find it in the journal. */
static void note_forgotten(struct ty_id_index *index)
{
    int64_t until_ms = index->arrival_ms - ty_dedup_gauges(index->newest).window_ms;

    index->next.forgotten_until_ms = TY_MAX(index->next.forgotten_until_ms, until_ms);
}

/* In its place by age: mostly the last, but where shards were put together. */
static void add_run(struct ty_sealed_runs *all, const struct ty_sealed_run *run)
{
    uint32_t at = all->count++;

    for (; at > 0 && all->runs[at - 1].record.last_ms > run->record.last_ms; at--)
        all->runs[at] = all->runs[at - 1];
    all->runs[at] = *run;
}

static tally_status finish(struct ty_id_index *index, tally_error *error)
{
    struct ty_seal *seal = &index->seal;
    tally_status status = put_page(index, error);

    if (status == TALLY_OK)
        status = put_list(index, error);
    if (status != TALLY_OK)
        return status;
    seal->active = false;
    seal->finished = true;
    note_forgotten(index);
    index->next.sealed_sequence = seal->span.sequence;
    add_run(&index->next, &seal->run);
    ty_map_pass_end(index);
    return TALLY_OK;
}

tally_status ty_id_seal_step(struct ty_id_index *index, uint64_t ids, uint64_t *done,
                             tally_error *error)
{
    struct ty_seal *seal = &index->seal;
    uint64_t spent = 0;
    tally_status status = TALLY_OK;

    if (seal->forgetting)
        seal->forgetting = !ty_dedup_forget(index->newest, &seal->span, ids);
    if (seal->forgetting || (!seal->active && !begin(index)))
        return TALLY_OK;
    while (status == TALLY_OK && seal->active && spent < ids * PARTS_PER_ID &&
           index->pass.part < TY_ID_MAP_PARTS)
        status = seal_part(index, &spent, error);
    *done += spent;
    if (status == TALLY_OK && seal->active && index->pass.part == TY_ID_MAP_PARTS)
        status = finish(index, error);
    return status;
}

void ty_id_seal_abort(struct ty_id_index *index)
{
    if (!index->seal.active)
        return;
    index->seal.active = index->pass.active = false;
    ty_id_index_let_go(index, &index->seal.run);
}

void ty_id_seal_fini(struct ty_id_index *index)
{
    ty_id_seal_abort(index);
    free(index->seal.ids);
    free(index->seal.entries);
}
