/*
 * id_load.c: the map of the sealed runs at a start, out of their lists.
 *
 * All runs are read side by side, part by part, so that each part is put together once.
 */
#include <stdlib.h>

#include "shard/id_index_internal.h"

/* A run that is being read. */
struct reader {
    struct ty_sealed_run *run;
    uint64_t prefixes[TY_ID_LIST_IDS];
    uint32_t count, at; /* in the list */
    uint32_t lists;     /* that were read */
    uint32_t ids;       /* that were taken */
};

struct loading {
    struct ty_id_index *index;
    struct reader *readers;
    struct ty_id_map_entry *entries;
    uint32_t count, capacity;
};

static tally_status damaged(const struct reader *reader, const char *problem, tally_error *error)
{
    return ty_fail(error, TALLY_CORRUPT, "list %u of run %u of the remembered ids: %s",
                   reader->lists - 1, reader->run->record.run, problem);
}

/* Makes the next prefix present, if there is one; lists are as long as the record says. */
static tally_status turn(const struct loading *loading, struct reader *reader, tally_error *error)
{
    const struct ty_id_run_record *record = &reader->run->record;
    uint64_t before = reader->count == 0 ? 0 : reader->prefixes[reader->count - 1];
    uint32_t left = record->count - reader->ids;
    tally_status status;

    if (reader->at < reader->count || left == 0)
        return TALLY_OK;
    status = ty_store_get_id_list(loading->index->store, record, reader->lists++, reader->prefixes,
                                  &reader->count, error);
    if (status != TALLY_OK)
        return status;
    reader->at = 0;
    if (reader->count != TY_MIN(left, TY_ID_LIST_IDS))
        return damaged(reader, "another number of ids than there are", error);
    if (reader->prefixes[0] < before)
        return damaged(reader, "out of order", error);
    return TALLY_OK;
}

static bool reserve(struct loading *loading)
{
    uint32_t capacity = TY_MAX(1024u, loading->capacity * 2);
    struct ty_id_map_entry *larger;

    if (loading->count < loading->capacity)
        return true;
    larger = realloc(loading->entries, capacity * sizeof(*larger));
    if (larger == NULL)
        return false;
    loading->entries = larger;
    loading->capacity = capacity;
    return true;
}

/* Takes a run's ids of a part. */
static tally_status take(struct loading *loading, struct reader *reader, unsigned part,
                         tally_error *error)
{
    tally_status status = turn(loading, reader, error);

    while (status == TALLY_OK && reader->at < reader->count &&
           reader->prefixes[reader->at] >> 32 == part) {
        uint64_t prefix = reader->prefixes[reader->at++];

        if (!reserve(loading))
            return ty_fail(error, TALLY_NO_MEMORY, "no memory for the remembered ids");
        loading->entries[loading->count++] =
            (struct ty_id_map_entry){.rest = (uint32_t)prefix, .slot = reader->run->slot};
        if (reader->ids % TY_ID_PAGE_IDS == 0)
            reader->run->pages[reader->ids / TY_ID_PAGE_IDS] = (uint32_t)(prefix >> 12);
        reader->ids++;
        status = turn(loading, reader, error);
    }
    return status;
}

static tally_status load_part(struct loading *loading, unsigned part, tally_error *error)
{
    struct ty_id_index *index = loading->index;
    tally_status status = TALLY_OK;

    loading->count = 0;
    for (uint32_t i = 0; i < index->current.count && status == TALLY_OK; i++)
        status = take(loading, &loading->readers[i], part, error);
    if (status == TALLY_OK &&
        !ty_id_map_rewrite(&index->map, part, loading->entries, loading->count, index->dead))
        status = ty_fail(error, TALLY_NO_MEMORY, "no memory for the remembered ids");
    return status;
}

/* Slots, and room for what is read. */
static bool prepare(struct loading *loading)
{
    struct ty_sealed_runs *all = &loading->index->current;
    uint64_t ids = 0;

    for (uint32_t i = 0; i < all->count; i++)
        ids += all->runs[i].record.count;
    loading->readers = calloc(all->count, sizeof(*loading->readers));
    for (uint32_t i = 0; i < all->count; i++) {
        struct ty_sealed_run *run = &all->runs[i];

        run->slot = (uint8_t)i;
        run->pages = malloc((ty_id_run_pages(&run->record) + 1) * sizeof(*run->pages));
        if (run->pages == NULL || loading->readers == NULL)
            return false;
        loading->readers[i].run = run;
        ty_id_map_begin(&loading->index->map, run->slot, ids);
    }
    return true;
}

tally_status ty_id_load(struct ty_id_index *index, tally_error *error)
{
    struct loading loading = {.index = index};
    tally_status status = TALLY_OK;

    if (index->current.count == 0)
        return TALLY_OK;
    if (!prepare(&loading))
        status = ty_fail(error, TALLY_NO_MEMORY, "no memory for the remembered ids");
    for (unsigned part = 0; part < TY_ID_MAP_PARTS && status == TALLY_OK; part++)
        status = load_part(&loading, part, error);
    for (uint32_t i = 0; i < index->current.count && status == TALLY_OK; i++)
        if (loading.readers[i].ids != loading.readers[i].run->record.count)
            status = damaged(&loading.readers[i], "beyond the range of keys", error);
    free(loading.readers);
    free(loading.entries);
    return status;
}
