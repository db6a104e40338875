/*
 * reshard.c: the entries of a dump into another number of shards (dump.h).
 */
#define XXH_INLINE_ALL
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "storage/block_codec.h"
#include "storage/load_internal.h"
#include "storage/store_internal.h"

/* The stores are written and synced already; this only bounds their two records. */
#define RECORDS_MAP_BYTES (UINT64_C(1) << 30)

static tally_status malformed(tally_error *error, const char *what)
{
    return ty_fail(error, TALLY_CORRUPT, "the dump is malformed: %s", what);
}

static tally_status no_memory(tally_error *error)
{
    return ty_fail(error, TALLY_NO_MEMORY, "no memory to move the database to other shards");
}

/* Room for one more; NULL: no memory. */
static void *grow(void *array, size_t count, size_t *capacity, size_t size)
{
    void *grown;

    if (count < *capacity)
        return array;
    grown = reallocarray(array, *capacity == 0 ? 64 : *capacity * 2, size);
    if (grown != NULL)
        *capacity = *capacity == 0 ? 64 : *capacity * 2;
    return grown;
}

/* --- Series --- */

static unsigned target_of(const struct ty_load *load, const struct ty_uuid *customer)
{
    uint64_t hash =
        XXH3_64bits_withSeed(customer->bytes, sizeof(customer->bytes), load->partition_seed);

    return load->database.partition_shard[hash % TY_PARTITIONS];
}

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
        return malformed(error, "a series");
    if (from->series_count != 0 && id <= from->series[from->series_count - 1].from)
        return malformed(error, "series out of order");
    grown = grow(from->series, from->series_count, &from->series_capacity, sizeof(*from->series));
    if (grown == NULL)
        return no_memory(error);
    from->series = grown;
    target = target_of(load, &customer);
    to = &load->targets[target];
    from->series[from->series_count++] =
        (struct ty_moved_series){.from = id, .to = to->next_series, .target = (uint16_t)target};
    ty_store_encode_series(to->next_series++, &customer, &workflow, new_key, new_value);
    return ty_load_put(load, target, "series",
                       &(struct ty_entry){new_key, sizeof(new_key), new_value, sizeof(new_value)},
                       true, error);
}

static const struct ty_moved_series *find_series(const struct ty_load *load, unsigned source,
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

static uint64_t moved_through(const struct ty_load *load, unsigned source, unsigned target,
                              uint64_t sequence)
{
    const struct ty_moved_value *found = find_moved(load, source, target, sequence);

    return found == NULL ? ty_reshard_base(load) : found->to;
}

/* The very value; 0, which none has, where the journal has it no more. */
static uint64_t moved_exactly(const struct ty_load *load, unsigned source, unsigned target,
                              uint64_t sequence)
{
    const struct ty_moved_value *found = find_moved(load, source, target, sequence);

    return found == NULL || found->from != sequence ? 0 : found->to;
}

/* --- The journal --- */

static void end_group(struct ty_load_target *to)
{
    if (to->in_group)
        ty_journal_end_group(&to->value, to->group);
    to->in_group = false;
}

static struct ty_load_target *enter_value(struct ty_load *load, unsigned target,
                                          const struct ty_journal_header *header)
{
    struct ty_load_target *to = &load->targets[target];

    if (to->in_value)
        return to;
    to->value.length = 0;
    ty_journal_begin(&to->value, header);
    to->in_value = true;
    return to;
}

static void split_event(struct ty_load_target *to, uint32_t series,
                        const struct ty_journal_cursor *cursor,
                        const struct ty_journal_record *record)
{
    if (!to->in_group || to->group_series != series) {
        end_group(to);
        to->group = ty_journal_begin_group(&to->value, series);
        to->group_series = series;
        to->in_group = true;
    }
    ty_journal_put_event(&to->value, &record->event, cursor->header.received_ms);
}

static void split_void(struct ty_load *load, unsigned source, const struct ty_moved_series *series,
                       const struct ty_journal_cursor *cursor,
                       const struct ty_journal_record *record)
{
    struct ty_load_target *to = &load->targets[series->target];
    const struct ty_void what = {
        .event = record->event,
        .place = {.sequence = moved_exactly(load, source, series->target, record->voided_sequence),
                  .series = series->to,
                  .index = record->index},
        .received_ms = record->voided_received_ms,
        .reason = record->reason,
    };

    end_group(to);
    ty_journal_put_void(&to->value, &what, cursor->header.received_ms);
}

static tally_status split_value(struct ty_load *load, unsigned source,
                                struct ty_journal_cursor *cursor, tally_error *error)
{
    struct ty_journal_record record;

    while (ty_journal_next(cursor, &record)) {
        const struct ty_moved_series *series = find_series(load, source, record.series);
        struct ty_load_target *to;

        if (series == NULL)
            return malformed(error, "an event of an unknown series");
        to = enter_value(load, series->target, &cursor->header);
        if (record.kind == TY_JOURNAL_SERIES) {
            end_group(to);
            ty_journal_put_series(&to->value, series->to, &record.customer, &record.workflow);
        } else if (record.kind == TY_JOURNAL_EVENT) {
            split_event(to, series->to, cursor, &record);
        } else if (record.kind == TY_JOURNAL_VOID) {
            split_void(load, source, series, cursor, &record);
        } else {
            return ty_fail(error, TALLY_NEWER, "the journal has records that cannot be moved");
        }
    }
    return cursor->problem == NULL ? TALLY_OK : malformed(error, cursor->problem);
}

static tally_status put_value(struct ty_load *load, unsigned source, unsigned target,
                              uint64_t sequence, tally_error *error)
{
    struct ty_moved_values *moved = &load->moved[(size_t)source * load->target_count + target];
    struct ty_load_target *to = &load->targets[target];
    uint64_t placed = ++to->state.last_sequence;
    uint8_t key[8];
    void *grown;

    end_group(to);
    to->in_value = false;
    ty_journal_finish(&to->value, placed);
    grown = grow(moved->values, moved->count, &moved->capacity, sizeof(*moved->values));
    if (grown == NULL || !ty_buffer_ok(&to->value))
        return no_memory(error);
    moved->values = grown;
    moved->values[moved->count++] = (struct ty_moved_value){.from = sequence, .to = placed};
    to->state.journal_bytes += to->value.length;
    if (sequence >= load->sources[source].state.replay_from && to->state.replay_from == 0)
        to->state.replay_from = placed;
    ty_put_u64_be(key, placed);
    return ty_load_put(load, target, "journal",
                       &(struct ty_entry){key, sizeof(key), to->value.data, to->value.length}, true,
                       error);
}

static tally_status move_value(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                               tally_error *error)
{
    struct ty_load_source *from = &load->sources[source];
    uint64_t sequence = ty_get_u64_be(entry->key);
    struct ty_journal_cursor cursor;
    tally_status status;

    if (!from->has_state || (from->last_sequence != 0 && sequence != from->last_sequence + 1))
        return malformed(error, "journal values are missing, or come before the state");
    from->last_sequence = sequence;
    if (!ty_journal_open(&cursor, sequence, entry->value, entry->value_length))
        return malformed(error, cursor.problem);
    status = split_value(load, source, &cursor, error);
    for (unsigned i = 0; i < load->target_count && status == TALLY_OK; i++)
        if (load->targets[i].in_value)
            status = put_value(load, source, i, sequence, error);
    return status;
}

/* --- Blocks --- */

static tally_status move_block(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                               tally_error *error)
{
    const uint8_t *key = entry->key;
    const struct ty_moved_series *series = find_series(load, source, ty_get_u32_be(key));
    enum ty_level level = key[4] == TY_LEVEL_DAY ? TY_LEVEL_DAY : TY_LEVEL_MONTH;
    uint8_t new_key[TY_BLOCK_KEY_BYTES], value[TY_DAY_BLOCK_BYTES_MAX];
    struct ty_month_block month = {0};
    struct ty_day_block day;
    size_t length;

    if (series == NULL || (key[4] != TY_LEVEL_DAY && key[4] != TY_LEVEL_MONTH))
        return malformed(error, "a block of an unknown series");
    ty_block_key(series->to, level, (int32_t)ty_get_u32_be(key + 5), new_key);
    if (level == TY_LEVEL_DAY) {
        if (ty_day_block_decode(key, entry->value, entry->value_length, &day) != NULL)
            return malformed(error, "a stored day");
        day.stamp = moved_through(load, source, series->target, day.stamp);
        length = ty_day_block_encode(new_key, &day, value);
    } else {
        if (ty_block_decode_total(key, entry->value, entry->value_length, &month.stamp,
                                  &month.total) != NULL)
            return malformed(error, "a stored month");
        month.stamp = moved_through(load, source, series->target, month.stamp);
        length = ty_month_block_encode(new_key, &month, value);
    }
    return ty_load_put(load, series->target, "blocks",
                       &(struct ty_entry){new_key, sizeof(new_key), value, length}, true, error);
}

/* --- Voids --- */

static tally_status move_void(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                              tally_error *error)
{
    MDB_val key = {entry->key_length, (void *)entry->key};
    MDB_val value = {entry->value_length, (void *)entry->value};
    uint8_t new_key[TY_VOID_KEY_BYTES], new_value[TY_VOID_VALUE_BYTES_MAX];
    const struct ty_moved_series *series;
    struct ty_journal_place place;
    struct ty_void_note note;
    size_t length;

    if (!ty_store_read_void(&key, &value, &place, &note))
        return malformed(error, "a void");
    series = find_series(load, source, place.series);
    if (series == NULL)
        return malformed(error, "a void of an unknown series");
    place.series = series->to;
    place.sequence = moved_exactly(load, source, series->target, place.sequence);
    note.sequence = moved_exactly(load, source, series->target, note.sequence);
    if (place.sequence == 0 || note.sequence == 0)
        return malformed(error, "a void of an event that the journal has not");
    length = ty_store_encode_void(&place, &note, new_key, new_value);
    return ty_load_put(load, series->target, "voids",
                       &(struct ty_entry){new_key, sizeof(new_key), new_value, length}, false,
                       error);
}

/* --- Closed months. A customer moves as one, so that its revisions keep their numbers. --- */

static tally_status move_closing(struct ty_load *load, unsigned source,
                                 const struct ty_entry *entry, tally_error *error)
{
    MDB_val key = {entry->key_length, (void *)entry->key};
    MDB_val value = {entry->value_length, (void *)entry->value};
    uint8_t new_key[TY_CLOSING_KEY_BYTES], new_value[TY_CLOSING_VALUE_BYTES];
    struct ty_closed closed;
    struct ty_uuid customer;
    unsigned target;

    if (!ty_store_read_closing(&key, &value, &customer, &closed))
        return malformed(error, "a closing");
    target = target_of(load, &customer);
    closed.sequence = moved_through(load, source, target, closed.sequence);
    ty_store_encode_closing(&customer, &closed, new_key, new_value);
    return ty_load_put(load, target, "closings",
                       &(struct ty_entry){new_key, sizeof(new_key), new_value, sizeof(new_value)},
                       false, error);
}

static tally_status move_revision(struct ty_load *load, unsigned source,
                                  const struct ty_entry *entry, tally_error *error)
{
    MDB_val key = {entry->key_length, (void *)entry->key};
    MDB_val value = {entry->value_length, (void *)entry->value};
    uint8_t new_key[TY_REVISION_KEY_BYTES], new_value[TY_REVISION_VALUE_BYTES_MAX];
    const struct ty_moved_series *series;
    struct ty_revision revision;
    struct ty_uuid customer;
    size_t length;

    if (!ty_store_read_revision(&key, &value, &customer, &revision))
        return malformed(error, "a revision");
    series = find_series(load, source, revision.series);
    if (series == NULL || series->target != target_of(load, &customer))
        return malformed(error, "a revision of an unknown series");
    revision.series = series->to;
    revision.sequence = moved_exactly(load, source, series->target, revision.sequence);
    length = ty_store_encode_revision(&customer, &revision, new_key, new_value);
    return ty_load_put(load, series->target, "revisions",
                       &(struct ty_entry){new_key, sizeof(new_key), new_value, length}, false,
                       error);
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
    if (!is_record(entry, "state"))
        return ty_fail(error, TALLY_INVALID,
                       "the record %.*s cannot be moved to another number of shards",
                       (int)TY_MIN(entry->key_length, (size_t)40), (const char *)entry->key);
    if (!ty_store_decode_state(entry->value, entry->value_length, &from->state))
        return malformed(error, "a state");
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
        return move_value(load, source, entry, error);
    if (strcmp(tree, "blocks") == 0)
        return move_block(load, source, entry, error);
    if (strcmp(tree, "voids") == 0)
        return move_void(load, source, entry, error);
    if (strcmp(tree, "closings") == 0)
        return move_closing(load, source, entry, error);
    if (strcmp(tree, "revisions") == 0)
        return move_revision(load, source, entry, error);
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
    load->targets[target].entries += 2;
    return status;
}
