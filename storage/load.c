/*
 * load.c: a dump into new stores (dump.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/load_internal.h"
#include "storage/value_check.h"

#define MAP_MIN (UINT64_C(1) << 30)

struct ty_load *ty_load_open(const char *directory, unsigned shards)
{
    struct ty_load *load = calloc(1, sizeof(*load));

    if (load == NULL)
        return NULL;
    load->directory = strdup(directory);
    load->wanted = shards;
    if (load->directory != NULL)
        return load;
    free(load);
    return NULL;
}

unsigned ty_load_shards(const struct ty_load *load)
{
    return load->target_count;
}

static void shard_path(const struct ty_load *load, unsigned shard, char path[4096])
{
    snprintf(path, 4096, "%.3900s/shard-%03u", load->directory, shard);
}

tally_status ty_load_malformed(tally_error *error, const char *what)
{
    return ty_fail(error, TALLY_CORRUPT, "the dump is malformed: %s", what);
}

tally_status ty_load_no_memory(tally_error *error)
{
    return ty_fail(error, TALLY_NO_MEMORY, "no memory to move the database to other shards");
}

void *ty_load_grow(void *array, size_t count, size_t *capacity, size_t size)
{
    void *grown;

    if (count < *capacity)
        return array;
    grown = reallocarray(array, *capacity == 0 ? 64 : *capacity * 2, size);
    if (grown != NULL)
        *capacity = *capacity == 0 ? 64 : *capacity * 2;
    return grown;
}

/* --- The records before the entries --- */

static tally_status take_database(struct ty_load *load, const struct ty_database_record *database,
                                  tally_error *error)
{
    load->database = *database;
    load->source_count = database->shard_count;
    load->target_count = load->wanted == 0 ? load->source_count : load->wanted;
    load->as_is = load->target_count == load->source_count;
    load->targets = calloc(load->target_count, sizeof(*load->targets));
    load->moved = calloc((size_t)load->target_count * load->source_count, sizeof(*load->moved));
    if (load->targets == NULL || load->moved == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for %u shards", load->target_count);
    if (load->as_is)
        return TALLY_OK;
    load->database.shard_count = (uint16_t)load->target_count;
    for (unsigned i = 0; i < TY_PARTITIONS; i++)
        load->database.partition_shard[i] = (uint16_t)(i % load->target_count);
    return TALLY_OK;
}

static tally_status take_shard(struct ty_load *load, const struct ty_dump_shard *shard,
                               tally_error *error)
{
    if (shard->shard >= load->source_count || load->sources[shard->shard].known)
        return ty_load_malformed(error, "a shard that there is not, or twice");
    load->sources[shard->shard].known = true;
    load->sources[shard->shard].facts = *shard;
    return TALLY_OK;
}

/* Makes the stores, once all is known about what goes into them. */
static tally_status make_stores(struct ty_load *load, tally_error *error)
{
    uint64_t map_bytes = MAP_MIN;
    tally_status status = TALLY_OK;

    for (unsigned i = 0; i < load->source_count; i++) {
        if (!load->sources[i].known || load->sources[i].facts.bytes > UINT64_MAX / 1024)
            return ty_load_malformed(error, "a shard is missing");
        map_bytes += 4 * load->sources[i].facts.bytes;
    }
    for (unsigned i = 0; i < load->target_count && status == TALLY_OK; i++) {
        char path[4096];

        shard_path(load, i, path);
        load->targets[i].state.last_sequence = ty_reshard_base(load);
        status =
            ty_filling_open(path, map_bytes, load->target_count, &load->targets[i].filling, error);
    }
    return status;
}

static tally_status take_tree(struct ty_load *load, unsigned tree, const char *name,
                              tally_error *error)
{
    tally_status status = TALLY_OK;

    for (size_t i = 0; i < TY_DUMP_TREES_MAX; i++)
        if (i == tree ? load->names[i][0] != '\0' : strcmp(load->names[i], name) == 0)
            return ty_load_malformed(error, "a tree comes twice");
    if (load->targets[0].filling == NULL)
        status = make_stores(load, error);
    snprintf(load->names[tree], sizeof(load->names[tree]), "%s", name);
    for (unsigned i = 0; i < load->target_count && status == TALLY_OK; i++)
        status = ty_filling_tree(load->targets[i].filling, name, error);
    return status;
}

/* --- Entries --- */

tally_status ty_load_put(struct ty_load *load, unsigned target, const char *tree,
                         const struct ty_entry *entry, bool in_order, tally_error *error)
{
    load->targets[target].entries++;
    return ty_filling_put(load->targets[target].filling, tree, entry, in_order, error);
}

static tally_status take_entry(struct ty_load *load, const struct ty_dump_record *record,
                               tally_error *error)
{
    unsigned shard = record->shard.shard;
    const char *tree = load->names[record->tree], *problem;

    if (shard >= load->source_count || tree[0] == '\0')
        return ty_load_malformed(error, "an entry of a shard or tree that there is not");
    problem = ty_value_check(tree, &record->entry);
    if (problem != NULL) {
        char which[TY_VALUE_NAME_BYTES];

        ty_value_name(tree, &record->entry, which);
        return ty_fail(error, TALLY_CORRUPT, "shard %u: %s: %s", shard, which, problem);
    }
    return load->as_is ? ty_load_put(load, shard, tree, &record->entry, true, error)
                       : ty_reshard_entry(load, shard, tree, &record->entry, error);
}

tally_status ty_load_record(struct ty_load *load, const struct ty_dump_record *record,
                            tally_error *error)
{
    bool begun = load->targets != NULL;

    if (load->ended || begun == (record->tag == TY_DUMP_DATABASE))
        return ty_load_malformed(error, "a record is not in its place");
    switch (record->tag) {
    case TY_DUMP_DATABASE:
        return take_database(load, &record->database, error);
    case TY_DUMP_SHARD:
        return load->targets[0].filling != NULL ? ty_load_malformed(error, "a shard comes too late")
                                                : take_shard(load, &record->shard, error);
    case TY_DUMP_TREE:
        return take_tree(load, record->tree, record->name, error);
    case TY_DUMP_ENTRY:
        return take_entry(load, record, error);
    case TY_DUMP_END:
        load->ended = true;
        return TALLY_OK;
    }
    return ty_load_malformed(error, "a record of no kind");
}

/* --- The end --- */

/* Reads a store back. What a new shard's records are is not counted among what was put. */
static tally_status verify(const struct ty_load *load, unsigned target, const char *path,
                           const struct ty_copy_watch *watch, uint64_t *entries, tally_error *error)
{
    struct ty_outside *outside;
    struct ty_content content;
    tally_error problem;
    tally_status status = ty_outside_open(path, TY_OUTSIDE_PRIVATE, 0, &outside, error);

    if (status != TALLY_OK)
        return status;
    if (ty_outside_database(outside)->shard != target ||
        ty_outside_database(outside)->shard_count != load->target_count)
        status = ty_fail(error, TALLY_CORRUPT, "the dump lacks the record of shard %u", target);
    if (status == TALLY_OK)
        status = ty_content_read(outside, watch, NULL, NULL, &content, &problem);
    else
        problem = *error;
    ty_outside_close(outside);
    if (status != TALLY_OK)
        return ty_fail(error, status, "shard %u: %.200s", target, problem.message);
    *entries += content.entries;
    if (content.entries == load->targets[target].entries)
        return TALLY_OK;
    return ty_fail(error, TALLY_CORRUPT, "shard %u has %llu entries instead of %llu", target,
                   (unsigned long long)content.entries,
                   (unsigned long long)load->targets[target].entries);
}

tally_status ty_load_finish(struct ty_load *load, const struct ty_copy_watch *watch,
                            uint64_t *entries, tally_error *error)
{
    tally_status status = TALLY_OK;

    *entries = 0;
    if (!load->ended || load->targets[0].filling == NULL)
        return ty_load_malformed(error, "it has no entries, or no end");
    for (unsigned i = 0; i < load->target_count && status == TALLY_OK; i++) {
        struct ty_filling *filling = load->targets[i].filling;
        char path[4096];

        shard_path(load, i, path);
        load->targets[i].filling = NULL;
        status = ty_filling_finish(filling, error);
        if (status == TALLY_OK && !load->as_is)
            status = ty_reshard_finish(load, i, path, error);
        if (status == TALLY_OK)
            status = verify(load, i, path, watch, entries, error);
    }
    return status;
}

void ty_load_close(struct ty_load *load)
{
    if (load == NULL)
        return;
    for (unsigned i = 0; load->targets != NULL && i < load->target_count; i++) {
        ty_filling_abandon(load->targets[i].filling);
        ty_buffer_fini(&load->targets[i].value);
    }
    for (size_t i = 0; load->moved != NULL && i < (size_t)load->target_count * load->source_count;
         i++)
        free(load->moved[i].values);
    for (unsigned i = 0; i < load->source_count; i++) {
        free(load->sources[i].series);
        free(load->sources[i].ids);
    }
    free(load->moved);
    free(load->targets);
    free(load->directory);
    free(load);
}
