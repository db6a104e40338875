/*
 * reshard.c: the entries of a dump into another number of shards (dump.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/load_internal.h"
#include "storage/partition.h"
#include "storage/store_internal.h"

/* The stores are written and synced already; this only bounds their records. */
#define RECORDS_MAP_BYTES (UINT64_C(1) << 30)

/* --- Series --- */

static tally_status move_series(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                                tally_error *error)
{
    struct ty_load_source *from = &load->sources[source];
    MDB_val key = {entry->key_length, (void *)entry->key};
    MDB_val value = {entry->value_length, (void *)entry->value};
    struct ty_uuid customer, workflow;
    struct ty_load_target *to;
    uint8_t new_key[4], new_value[40];
    unsigned target;
    uint32_t id;
    void *grown;

    if (!ty_store_read_series(&key, &value, &id, &customer, &workflow))
        return ty_load_malformed(error, "a series");
    if (from->series_count != 0 && id <= from->series[from->series_count - 1].from)
        return ty_load_malformed(error, "series out of order");
    grown = ty_load_grow(from->series, from->series_count, &from->series_capacity,
                         sizeof(*from->series));
    if (grown == NULL)
        return ty_load_no_memory(error);
    from->series = grown;
    target = ty_partition_shard(&load->database, &customer);
    to = &load->targets[target];
    from->series[from->series_count++] =
        (struct ty_moved_series){.from = id, .to = to->next_series, .target = (uint16_t)target};
    ty_store_encode_series(to->next_series++, &customer, &workflow, new_key, new_value);
    return ty_load_put(load, target, "series",
                       &(struct ty_entry){new_key, sizeof(new_key), new_value, sizeof(new_value)},
                       true, error);
}

const struct ty_moved_series *ty_reshard_series(const struct ty_load *load, unsigned source,
                                                uint32_t id)
{
    const struct ty_load_source *from = &load->sources[source];
    size_t low = 0, high = from->series_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (from->series[middle].from < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < from->series_count && from->series[low].from == id ? &from->series[low] : NULL;
}

/* --- Sequences --- */

uint64_t ty_reshard_base(const struct ty_load *load)
{
    uint64_t first = 1;

    for (unsigned i = 0; i < load->source_count; i++)
        first = TY_MAX(first, load->sources[i].facts.first_sequence);
    return first - 1;
}

/* The last value on the target that came from the source, up to a sequence of that; NULL: none. */
static const struct ty_moved_value *find_moved(const struct ty_load *load, unsigned source,
                                               unsigned target, uint64_t sequence)
{
    const struct ty_moved_values *moved =
        &load->moved[(size_t)source * load->target_count + target];
    size_t low = 0, high = moved->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (moved->values[middle].from <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? NULL : &moved->values[low - 1];
}

uint64_t ty_reshard_through(const struct ty_load *load, unsigned source, unsigned target,
                            uint64_t sequence)
{
    const struct ty_moved_value *found = find_moved(load, source, target, sequence);

    return found == NULL ? ty_reshard_base(load) : found->to;
}

uint64_t ty_reshard_exactly(const struct ty_load *load, unsigned source, unsigned target,
                            uint64_t sequence)
{
    const struct ty_moved_value *found = find_moved(load, source, target, sequence);

    return found == NULL || found->from != sequence ? 0 : found->to;
}

/* --- Records --- */

static bool is_record(const struct ty_entry *entry, const char *name)
{
    return entry->key_length == strlen(name) && memcmp(entry->key, name, entry->key_length) == 0;
}

static tally_status move_record(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                                tally_error *error)
{
    struct ty_load_source *from = &load->sources[source];

    if (is_record(entry, "database"))
        return TALLY_OK; /* The new ones are made at the end. */
    if (is_record(entry, "rejects") && source == 0)
        return ty_load_put(load, 0, "meta", entry, true, error);
    if (is_record(entry, "id_runs"))
        return ty_reshard_ids_record(load, source, entry, error);
    if (!is_record(entry, "state"))
        return ty_fail(error, TALLY_INVALID,
                       "the record %.*s cannot be moved to another number of shards",
                       (int)TY_MIN(entry->key_length, (size_t)40), (const char *)entry->key);
    if (!ty_store_decode_state(entry->value, entry->value_length, &from->state))
        return ty_load_malformed(error, "a state");
    from->has_state = true;
    return TALLY_OK;
}

tally_status ty_reshard_entry(struct ty_load *load, unsigned source, const char *tree,
                              const struct ty_entry *entry, tally_error *error)
{
    if (strcmp(tree, "meta") == 0)
        return move_record(load, source, entry, error);
    if (strcmp(tree, "series") == 0)
        return move_series(load, source, entry, error);
    if (strcmp(tree, "journal") == 0)
        return ty_reshard_value(load, source, entry, error);
    if (strcmp(tree, "blocks") == 0)
        return ty_reshard_block(load, source, entry, error);
    if (strcmp(tree, "voids") == 0)
        return ty_reshard_void(load, source, entry, error);
    if (strcmp(tree, "closings") == 0)
        return ty_reshard_closing(load, source, entry, error);
    if (strcmp(tree, "revisions") == 0)
        return ty_reshard_revision(load, source, entry, error);
    if (strcmp(tree, "id_runs") == 0)
        return ty_reshard_ids(load, source, entry, error);
    if (source == 0 && (strcmp(tree, "rejects") == 0 || strcmp(tree, "reject_ids") == 0))
        return ty_load_put(load, 0, tree, entry, true, error);
    return ty_fail(error, TALLY_INVALID,
                   "what is in the tree %.60s cannot be moved to another number of shards", tree);
}

static struct ty_state_record final_state(const struct ty_load *load, unsigned target)
{
    struct ty_state_record state = load->targets[target].state;

    if (state.replay_from == 0)
        state.replay_from = state.last_sequence + 1;
    for (unsigned i = 0; i < load->source_count; i++)
        state.arrival_ms = TY_MAX(state.arrival_ms, load->sources[i].state.arrival_ms);
    return state;
}

static tally_status put_ids_record(struct ty_load *load, unsigned target, struct ty_store *store,
                                   tally_error *error)
{
    struct ty_id_runs_record record;

    if (!ty_reshard_new_ids(load, target, &record))
        return TALLY_OK;
    load->targets[target].entries++;
    return ty_store_put_id_runs(store, NULL, &record, error);
}

static tally_status put_records(struct ty_load *load, unsigned target, struct ty_store *store,
                                tally_error *error)
{
    struct ty_database_record database = load->database;
    struct ty_state_record state = final_state(load, target);
    tally_status status = ty_store_begin(store, error);

    database.shard = (uint16_t)target;
    if (status == TALLY_OK)
        status = ty_store_put_database(store, &database, error);
    if (status == TALLY_OK)
        status = ty_store_put_state(store, &state, error);
    if (status == TALLY_OK)
        status = put_ids_record(load, target, store, error);
    load->targets[target].entries += 2;
    return status == TALLY_OK ? ty_store_commit(store, error) : status;
}

tally_status ty_reshard_finish(struct ty_load *load, unsigned target, const char *path,
                               tally_error *error)
{
    struct ty_store_options options = {.path = path, .map_bytes = RECORDS_MAP_BYTES, .sync = true};
    struct ty_store *store;
    char lock[4096 + sizeof("/lock.mdb")];
    tally_status status = ty_store_open(&options, &store, error);

    if (status != TALLY_OK)
        return status;
    status = put_records(load, target, store, error);
    ty_store_close(store);
    snprintf(lock, sizeof(lock), "%s/lock.mdb", path);
    unlink(lock); /* As in a copy: the next who opens it makes its own. */
    return status;
}
