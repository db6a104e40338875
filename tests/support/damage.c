#include "tests/support/damage.h"

#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/block_codec.h"
#include "storage/bytes.h"

#define MAP_BYTES ((size_t)1 << 30)

struct opened {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi tree;
    MDB_val key;
    MDB_val value; /* size 0: none */
};

static struct opened open_value(const struct ty_damage *damage)
{
    struct opened opened = {.key = {damage->key_length, (void *)damage->key}};
    int code;

    TY_ASSERT(mdb_env_create(&opened.env) == 0);
    TY_ASSERT(mdb_env_set_maxdbs(opened.env, 4) == 0);
    TY_ASSERT(mdb_env_set_mapsize(opened.env, MAP_BYTES) == 0);
    TY_ASSERT(mdb_env_open(opened.env, damage->path, MDB_NOSYNC, 0640) == 0);
    TY_ASSERT(mdb_txn_begin(opened.env, NULL, 0, &opened.txn) == 0);
    TY_ASSERT(mdb_dbi_open(opened.txn, damage->tree, 0, &opened.tree) == 0);
    code = mdb_get(opened.txn, opened.tree, &opened.key, &opened.value);
    TY_ASSERT(code == 0 || code == MDB_NOTFOUND);
    return opened;
}

static void close_value(struct opened *opened)
{
    TY_ASSERT(mdb_txn_commit(opened->txn) == 0);
    mdb_env_close(opened->env);
}

size_t ty_damage_length(const struct ty_damage *damage)
{
    struct opened opened = open_value(damage);
    size_t length = opened.value.mv_size;

    close_value(&opened);
    return length;
}

void ty_damage_flip(const struct ty_damage *damage, long offset, uint8_t bits)
{
    struct opened opened = open_value(damage);
    size_t length = opened.value.mv_size;
    uint8_t *copy = malloc(length + 1);

    if (offset < 0)
        offset += (long)length;
    TY_ASSERT(copy != NULL && offset >= 0 && (size_t)offset < length);
    memcpy(copy, opened.value.mv_data, length);
    copy[offset] ^= bits;
    opened.value.mv_data = copy;
    TY_ASSERT(mdb_put(opened.txn, opened.tree, &opened.key, &opened.value, 0) == 0);
    close_value(&opened);
    free(copy);
}

void ty_damage_replace(const struct ty_damage *damage, const void *value, size_t length)
{
    struct opened opened = open_value(damage);

    opened.value = (MDB_val){length, (void *)value};
    TY_ASSERT(mdb_put(opened.txn, opened.tree, &opened.key, &opened.value, 0) == 0);
    close_value(&opened);
}

size_t ty_damage_read(const struct ty_damage *damage, void *out, size_t most)
{
    struct opened opened = open_value(damage);
    size_t length = opened.value.mv_size;

    memcpy(out, opened.value.mv_data, length < most ? length : most);
    close_value(&opened);
    return length;
}

void ty_damage_delete(const struct ty_damage *damage)
{
    struct opened opened = open_value(damage);

    TY_ASSERT(mdb_del(opened.txn, opened.tree, &opened.key, NULL) == 0);
    close_value(&opened);
}

/* --- Offsets in the file --- */

#define TREES_MAX  64
#define PAGE_BYTES ((size_t)4096)

struct listing {
    struct ty_stored *entries;
    size_t count, capacity;
};

/* Where in the file a byte of the map lies: every page begins with its own number. */
static size_t offset_of(const void *at)
{
    size_t within = (uintptr_t)at % PAGE_BYTES;
    size_t page;

    memcpy(&page, (const char *)at - within, sizeof(page));
    return page * PAGE_BYTES + within;
}

static void list_entry(struct listing *listing, const char *tree, const MDB_val *key,
                       const MDB_val *value)
{
    struct ty_stored *entry;

    if (listing->count == listing->capacity) {
        listing->capacity = 2 * listing->capacity + 64;
        listing->entries = realloc(listing->entries, listing->capacity * sizeof(*listing->entries));
        TY_ASSERT(listing->entries != NULL);
    }
    entry = &listing->entries[listing->count++];
    *entry = (struct ty_stored){.key_length = key->mv_size,
                                .key_at = offset_of(key->mv_data),
                                .length = value->mv_size,
                                .value_at = offset_of(value->mv_data)};
    TY_ASSERT(key->mv_size <= sizeof(entry->key));
    snprintf(entry->tree, sizeof(entry->tree), "%s", tree);
    memcpy(entry->key, key->mv_data, key->mv_size);
}

/* Lists a tree; NULL is the tree of trees, whose names are kept in `names`. */
static size_t list_tree(struct listing *listing, MDB_txn *txn, const char *tree,
                        char names[TREES_MAX][32])
{
    MDB_cursor *cursor;
    MDB_val key, value;
    MDB_dbi dbi;
    size_t count = 0;

    TY_ASSERT(mdb_dbi_open(txn, tree, 0, &dbi) == 0);
    TY_ASSERT(mdb_cursor_open(txn, dbi, &cursor) == 0);
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        list_entry(listing, tree == NULL ? "" : tree, &key, &value);
        if (tree == NULL && count < TREES_MAX)
            snprintf(names[count], sizeof(names[count]), "%.*s", (int)key.mv_size,
                     (const char *)key.mv_data);
        count++;
    }
    mdb_cursor_close(cursor);
    return count;
}

size_t ty_damage_list(const char *path, struct ty_stored **entries)
{
    struct listing listing = {0};
    char names[TREES_MAX][32];
    MDB_env *env;
    MDB_txn *txn;
    size_t trees;

    TY_ASSERT(mdb_env_create(&env) == 0);
    TY_ASSERT(mdb_env_set_maxdbs(env, TREES_MAX) == 0);
    TY_ASSERT(mdb_env_set_mapsize(env, MAP_BYTES) == 0);
    TY_ASSERT(mdb_env_open(env, path, MDB_RDONLY, 0640) == 0);
    TY_ASSERT(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0);
    trees = list_tree(&listing, txn, NULL, names);
    for (size_t i = 0; i < trees; i++)
        list_tree(&listing, txn, names[i], names);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    *entries = listing.entries;
    return listing.count;
}

const char *ty_damage_name(const struct ty_stored *entry, char text[128])
{
    bool is_text = entry->tree[0] == '\0' || strcmp(entry->tree, "meta") == 0;
    int length = snprintf(text, 128, "%s ", entry->tree[0] == '\0' ? "tree" : entry->tree);

    for (size_t i = 0; i < entry->key_length && length < 120; i++)
        length +=
            snprintf(text + length, 128 - (size_t)length, is_text ? "%c" : "%02x", entry->key[i]);
    return text;
}

static void file_path(const char *path, char file[4096])
{
    TY_ASSERT(snprintf(file, 4096, "%s/data.mdb", path) < 4096);
}

uint8_t *ty_damage_read_file(const char *path, size_t *length)
{
    char file[4096];
    struct stat status;
    uint8_t *bytes;
    int fd;

    file_path(path, file);
    fd = open(file, O_RDONLY | O_CLOEXEC);
    TY_ASSERT(fd >= 0 && fstat(fd, &status) == 0);
    *length = (size_t)status.st_size;
    bytes = malloc(*length);
    TY_ASSERT(bytes != NULL && read(fd, bytes, *length) == (ssize_t)*length);
    close(fd);
    return bytes;
}

void ty_damage_write_file(const char *path, const uint8_t *bytes, size_t length)
{
    char file[4096];
    int fd;

    file_path(path, file);
    fd = open(file, O_WRONLY | O_CLOEXEC);
    TY_ASSERT(fd >= 0 && pwrite(fd, bytes, length, 0) == (ssize_t)length &&
              ftruncate(fd, (off_t)length) == 0);
    close(fd);
}

/* --- By what they spoil --- */

static size_t offset_in(const struct ty_stored *entry, size_t byte)
{
    return byte < entry->key_length ? entry->key_at + byte
                                    : entry->value_at + byte - entry->key_length;
}

size_t ty_damage_each_byte(const char *path, const char *tree, uint8_t (*bits)(void *context),
                           void (*look)(void *context, size_t entry, size_t byte), void *context)
{
    struct ty_stored *entries;
    size_t count = ty_damage_list(path, &entries), length, bytes = 0;
    uint8_t *file = ty_damage_read_file(path, &length);

    for (size_t i = 0; i < count; i++)
        for (size_t byte = 0;
             strcmp(entries[i].tree, tree) == 0 && byte < entries[i].key_length + entries[i].length;
             byte++, bytes++) {
            uint8_t change = bits(context);

            file[offset_in(&entries[i], byte)] ^= change;
            ty_damage_write_file(path, file, length);
            look(context, i, byte);
            file[offset_in(&entries[i], byte)] ^= change;
        }
    free(entries);
    free(file);
    return bytes;
}

void ty_damage_journal_flip(const char *path, uint64_t sequence, long offset)
{
    uint8_t key[8];
    struct ty_damage damage = {path, "journal", key, sizeof(key)};

    ty_put_u64_be(key, sequence);
    ty_damage_flip(&damage, offset, 0x10);
}

void ty_damage_journal_delete(const char *path, uint64_t sequence)
{
    uint8_t key[8];
    struct ty_damage damage = {path, "journal", key, sizeof(key)};

    ty_put_u64_be(key, sequence);
    ty_damage_delete(&damage);
}

void ty_damage_block_flip(const char *path, uint32_t series, int level, int32_t period, long offset)
{
    uint8_t key[TY_BLOCK_KEY_BYTES];
    struct ty_damage damage = {path, "blocks", key, sizeof(key)};

    ty_block_key(series, (enum ty_level)level, period, key);
    ty_damage_flip(&damage, offset, 0x10);
}
