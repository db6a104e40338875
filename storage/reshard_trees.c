/*
 * reshard_trees.c: blocks, voids and closed months of a dump into another number of shards
 * (dump.h).
 */
#include "storage/block_codec.h"
#include "storage/load_internal.h"
#include "storage/partition.h"
#include "storage/store_internal.h"

/* --- Blocks --- */

tally_status ty_reshard_block(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                              tally_error *error)
{
    const uint8_t *key = entry->key;
    const struct ty_moved_series *series = ty_reshard_series(load, source, ty_get_u32_be(key));
    enum ty_level level = key[4] == TY_LEVEL_DAY ? TY_LEVEL_DAY : TY_LEVEL_MONTH;
    uint8_t new_key[TY_BLOCK_KEY_BYTES], value[TY_DAY_BLOCK_BYTES_MAX];
    struct ty_month_block month = {0};
    struct ty_day_block day;
    size_t length;

    if (series == NULL || (key[4] != TY_LEVEL_DAY && key[4] != TY_LEVEL_MONTH))
        return ty_load_malformed(error, "a block of an unknown series");
    ty_block_key(series->to, level, (int32_t)ty_get_u32_be(key + 5), new_key);
    if (level == TY_LEVEL_DAY) {
        if (ty_day_block_decode(key, entry->value, entry->value_length, &day) != NULL)
            return ty_load_malformed(error, "a stored day");
        day.stamp = ty_reshard_through(load, source, series->target, day.stamp);
        length = ty_day_block_encode(new_key, &day, value);
    } else {
        if (ty_block_decode_total(key, entry->value, entry->value_length, &month.stamp,
                                  &month.total) != NULL)
            return ty_load_malformed(error, "a stored month");
        month.stamp = ty_reshard_through(load, source, series->target, month.stamp);
        length = ty_month_block_encode(new_key, &month, value);
    }
    return ty_load_put(load, series->target, "blocks",
                       &(struct ty_entry){new_key, sizeof(new_key), value, length}, true, error);
}

/* --- Voids --- */

tally_status ty_reshard_void(struct ty_load *load, unsigned source, const struct ty_entry *entry,
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
        return ty_load_malformed(error, "a void");
    series = ty_reshard_series(load, source, place.series);
    if (series == NULL)
        return ty_load_malformed(error, "a void of an unknown series");
    place.series = series->to;
    place.sequence = ty_reshard_exactly(load, source, series->target, place.sequence);
    note.sequence = ty_reshard_exactly(load, source, series->target, note.sequence);
    if (place.sequence == 0 || note.sequence == 0)
        return ty_load_malformed(error, "a void of an event that the journal has not");
    length = ty_store_encode_void(&place, &note, new_key, new_value);
    return ty_load_put(load, series->target, "voids",
                       &(struct ty_entry){new_key, sizeof(new_key), new_value, length}, false,
                       error);
}

/* --- Closed months. A customer moves as one, so that its revisions keep their numbers. --- */

tally_status ty_reshard_closing(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                                tally_error *error)
{
    MDB_val key = {entry->key_length, (void *)entry->key};
    MDB_val value = {entry->value_length, (void *)entry->value};
    uint8_t new_key[TY_CLOSING_KEY_BYTES], new_value[TY_CLOSING_VALUE_BYTES];
    struct ty_closed closed;
    struct ty_uuid customer;
    unsigned target;

    if (!ty_store_read_closing(&key, &value, &customer, &closed))
        return ty_load_malformed(error, "a closing");
    target = ty_partition_shard(&load->database, &customer);
    closed.sequence = ty_reshard_through(load, source, target, closed.sequence);
    ty_store_encode_closing(&customer, &closed, new_key, new_value);
    return ty_load_put(load, target, "closings",
                       &(struct ty_entry){new_key, sizeof(new_key), new_value, sizeof(new_value)},
                       false, error);
}

tally_status ty_reshard_revision(struct ty_load *load, unsigned source,
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
        return ty_load_malformed(error, "a revision");
    series = ty_reshard_series(load, source, revision.series);
    if (series == NULL || series->target != ty_partition_shard(&load->database, &customer))
        return ty_load_malformed(error, "a revision of an unknown series");
    revision.series = series->to;
    revision.sequence = ty_reshard_exactly(load, source, series->target, revision.sequence);
    length = ty_store_encode_revision(&customer, &revision, new_key, new_value);
    return ty_load_put(load, series->target, "revisions",
                       &(struct ty_entry){new_key, sizeof(new_key), new_value, length}, false,
                       error);
}
