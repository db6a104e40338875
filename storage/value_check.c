#include "storage/value_check.h"

#include <stdio.h>
#include <string.h>

#include "storage/block_codec.h"
#include "storage/id_page_codec.h"
#include "storage/reject_codec.h"
#include "storage/store_internal.h"

/* --- One tree each --- */

static const char *check_meta(const struct ty_entry *entry)
{
    struct ty_reader reader = ty_reader_of(entry->value, entry->value_length);

    if (ty_get_bytes(&reader, 4) == NULL || entry->value_length < TY_RECORD_HEADER_BYTES)
        return "shorter than its header";
    if (ty_get_u64(&reader) !=
        ty_record_checksum(entry->key, entry->key_length, entry->value, entry->value_length))
        return "checksum mismatch";
    return NULL;
}

static const char *check_series(const struct ty_entry *entry)
{
    MDB_val key = {entry->key_length, (void *)entry->key};
    MDB_val value = {entry->value_length, (void *)entry->value};
    struct ty_uuid customer, workflow;
    uint32_t id;

    return ty_store_read_series(&key, &value, &id, &customer, &workflow) ? NULL
                                                                         : "checksum mismatch";
}

static const char *check_journal(const struct ty_entry *entry)
{
    struct ty_journal_cursor cursor;
    struct ty_journal_record record;

    if (entry->key_length != 8)
        return "malformed key";
    if (ty_journal_open(&cursor, ty_get_u64_be(entry->key), entry->value, entry->value_length))
        while (ty_journal_next(&cursor, &record))
            ;
    return cursor.problem;
}

static const char *check_block(const struct ty_entry *entry)
{
    const uint8_t *key = entry->key;
    struct ty_day_block day;
    struct ty_total total;
    uint64_t stamp;

    if (entry->key_length != TY_BLOCK_KEY_BYTES)
        return "malformed key";
    if (key[4] == TY_LEVEL_DAY)
        return ty_day_block_decode(key, entry->value, entry->value_length, &day);
    return ty_block_decode_total(key, entry->value, entry->value_length, &stamp, &total);
}

static const char *check_void(const struct ty_entry *entry)
{
    MDB_val key = {entry->key_length, (void *)entry->key};
    MDB_val value = {entry->value_length, (void *)entry->value};
    struct ty_journal_place place;
    struct ty_void_note note;

    return ty_store_read_void(&key, &value, &place, &note) ? NULL : "checksum mismatch";
}

static const char *check_closing(const struct ty_entry *entry)
{
    MDB_val key = {entry->key_length, (void *)entry->key};
    MDB_val value = {entry->value_length, (void *)entry->value};
    struct ty_uuid customer;
    struct ty_closed closed;

    return ty_store_read_closing(&key, &value, &customer, &closed) ? NULL : "checksum mismatch";
}

static const char *check_revision(const struct ty_entry *entry)
{
    MDB_val key = {entry->key_length, (void *)entry->key};
    MDB_val value = {entry->value_length, (void *)entry->value};
    struct ty_revision revision;
    struct ty_uuid customer;

    return ty_store_read_revision(&key, &value, &customer, &revision) ? NULL : "checksum mismatch";
}

static const char *check_ids(const struct ty_entry *entry)
{
    if (entry->key_length != TY_ID_KEY_BYTES)
        return "malformed key";
    return ty_id_value_check(entry->key, entry->value, entry->value_length);
}

static const char *check_reject(const struct ty_entry *entry)
{
    struct ty_kept_reject kept;

    if (entry->key_length != 8)
        return "malformed key";
    return ty_reject_decode(ty_get_u64_be(entry->key), entry->value, entry->value_length, &kept);
}

/* --- Names --- */

static void name_number(const char *what, const struct ty_entry *entry, char *name)
{
    if (entry->key_length == 8)
        snprintf(name, TY_VALUE_NAME_BYTES, "%s %llu", what,
                 (unsigned long long)ty_get_u64_be(entry->key));
    else
        snprintf(name, TY_VALUE_NAME_BYTES, "%s with a key of %zu bytes", what, entry->key_length);
}

static void name_meta(const struct ty_entry *entry, char *name)
{
    snprintf(name, TY_VALUE_NAME_BYTES, "the record %.*s", (int)TY_MIN(entry->key_length, 40u),
             (const char *)entry->key);
}

static void name_series(const struct ty_entry *entry, char *name)
{
    if (entry->key_length == 4)
        snprintf(name, TY_VALUE_NAME_BYTES, "series %u", ty_get_u32_be(entry->key));
    else
        snprintf(name, TY_VALUE_NAME_BYTES, "a series with a key of %zu bytes", entry->key_length);
}

static void name_journal(const struct ty_entry *entry, char *name)
{
    name_number("journal value", entry, name);
}

static void name_block(const struct ty_entry *entry, char *name)
{
    const uint8_t *key = entry->key;

    if (entry->key_length == TY_BLOCK_KEY_BYTES)
        snprintf(name, TY_VALUE_NAME_BYTES, "the stored %s %u of series %u",
                 key[4] == TY_LEVEL_DAY ? "day" : "month", ty_get_u32_be(key + 5),
                 ty_get_u32_be(key));
    else
        snprintf(name, TY_VALUE_NAME_BYTES, "a block with a key of %zu bytes", entry->key_length);
}

static void name_reject(const struct ty_entry *entry, char *name)
{
    name_number("reject", entry, name);
}

static void name_void(const struct ty_entry *entry, char *name)
{
    if (entry->key_length == TY_VOID_KEY_BYTES)
        snprintf(name, TY_VALUE_NAME_BYTES, "a void of journal value %llu",
                 (unsigned long long)ty_get_u64_be(entry->key));
    else
        snprintf(name, TY_VALUE_NAME_BYTES, "a void with a key of %zu bytes", entry->key_length);
}

static void name_closing(const struct ty_entry *entry, char *name)
{
    const uint8_t *key = entry->key;
    char customer[TY_UUID_TEXT_LENGTH];
    struct ty_uuid uuid = {{0}};

    memcpy(uuid.bytes, key, TY_MIN(entry->key_length, sizeof(uuid.bytes)));
    ty_uuid_format(&uuid, customer);
    if (entry->key_length == TY_REVISION_KEY_BYTES)
        snprintf(name, TY_VALUE_NAME_BYTES, "revision %llu of customer %.36s",
                 (unsigned long long)ty_get_u64_be(key + sizeof(uuid.bytes)), customer);
    else
        snprintf(name, TY_VALUE_NAME_BYTES, "the closing of customer %.36s", customer);
}

static void name_ids(const struct ty_entry *entry, char *name)
{
    const uint8_t *key = entry->key;

    if (entry->key_length == TY_ID_KEY_BYTES)
        snprintf(name, TY_VALUE_NAME_BYTES, "%s %u of run %u of the remembered ids",
                 key[4] == TY_ID_PAGE ? "page" : "list", ty_get_u32_be(key + 5),
                 ty_get_u32_be(key));
    else
        snprintf(name, TY_VALUE_NAME_BYTES, "remembered ids with a key of %zu bytes",
                 entry->key_length);
}

static const struct {
    const char *tree;
    const char *(*check)(const struct ty_entry *entry);
    void (*name)(const struct ty_entry *entry, char *name);
} trees[] = {
    {"meta", check_meta, name_meta},           {"series", check_series, name_series},
    {"journal", check_journal, name_journal},  {"blocks", check_block, name_block},
    {"rejects", check_reject, name_reject},    {"voids", check_void, name_void},
    {"closings", check_closing, name_closing}, {"revisions", check_revision, name_closing},
    {"id_runs", check_ids, name_ids},
};

const char *ty_value_check(const char *tree, const struct ty_entry *entry)
{
    for (size_t i = 0; i < TY_COUNT_OF(trees); i++)
        if (strcmp(trees[i].tree, tree) == 0)
            return trees[i].check(entry);
    return NULL;
}

void ty_value_name(const char *tree, const struct ty_entry *entry, char name[TY_VALUE_NAME_BYTES])
{
    for (size_t i = 0; i < TY_COUNT_OF(trees); i++)
        if (strcmp(trees[i].tree, tree) == 0) {
            trees[i].name(entry, name);
            return;
        }
    snprintf(name, TY_VALUE_NAME_BYTES, "an entry of the tree %.60s", tree);
}
