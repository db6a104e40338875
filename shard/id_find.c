/*
 * id_find.c: whether an id is remembered: among the newest, or in a run (id_index.h).
 */
#include "shard/id_index_internal.h"

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
