/*
 * filling.c: a new store, filled entry by entry (backup.h).
 *
 * Without LMDB's lock file, which a copy must not have, and without syncing on the way: nothing
 * counts before ty_filling_finish().
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "storage/backup.h"
#include "storage/directory.h"
#include "storage/store_internal.h"

#define COMMIT_BYTES   (UINT64_C(32) << 20)
#define COMMIT_ENTRIES 100000

struct filled_tree {
    char name[64];
    MDB_dbi dbi;
};

struct ty_filling {
    MDB_env *env;
    MDB_txn *txn;
    struct filled_tree trees[TY_COPY_TREES_MAX];
    size_t tree_count;
    uint64_t commit_bytes; /* it commits after so many */
    uint64_t bytes;        /* since the last commit */
    uint64_t entries;
    char path[4096];
};

/* LMDB takes a write that was cut short for an I/O error; most often the disk is full. */
static bool is_full(const struct ty_filling *filling)
{
    struct statvfs disk;

    return statvfs(filling->path, &disk) == 0 &&
           (uint64_t)disk.f_bavail * disk.f_frsize < COMMIT_BYTES / 32;
}

static tally_status fail(struct ty_filling *filling, int code, tally_error *error)
{
    char what[200];

    if (code == EIO && is_full(filling))
        code = ENOSPC;
    snprintf(what, sizeof(what), "cannot write the store in %.150s", filling->path);
    return ty_store_fail(error, code, what);
}

static int open_environment(struct ty_filling *filling, uint64_t map_bytes)
{
    int code = mdb_env_create(&filling->env);

    if (code != 0)
        return code;
    if ((code = mdb_env_set_mapsize(filling->env, (size_t)map_bytes)) != 0 ||
        (code = mdb_env_set_maxdbs(filling->env, TY_COPY_TREES_MAX)) != 0)
        return code;
    return mdb_env_open(filling->env, filling->path, MDB_NOLOCK | MDB_NOSYNC, TY_STORE_FILE_MODE);
}

tally_status ty_filling_open(const char *path, uint64_t map_bytes, unsigned stores,
                             struct ty_filling **out, tally_error *error)
{
    struct ty_filling *filling = calloc(1, sizeof(*filling));
    tally_status status;
    int code;

    if (filling == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory to write %.150s", path);
    filling->commit_bytes = TY_MAX(COMMIT_BYTES / stores, COMMIT_BYTES / 32);
    snprintf(filling->path, sizeof(filling->path), "%s", path);
    code = mkdir(path, TY_DIRECTORY_MODE) != 0 ? errno : open_environment(filling, map_bytes);
    if (code != 0) {
        status = fail(filling, code, error);
        ty_filling_abandon(filling);
        return status;
    }
    *out = filling;
    return TALLY_OK;
}

static int find_tree(struct ty_filling *filling, const char *name, MDB_dbi *dbi)
{
    struct filled_tree *tree;
    int code;

    for (size_t i = 0; i < filling->tree_count; i++)
        if (strcmp(filling->trees[i].name, name) == 0) {
            *dbi = filling->trees[i].dbi;
            return 0;
        }
    if (filling->tree_count == TY_COPY_TREES_MAX || strlen(name) >= sizeof(tree->name))
        return MDB_DBS_FULL;
    tree = &filling->trees[filling->tree_count];
    code = mdb_dbi_open(filling->txn, name, MDB_CREATE, &tree->dbi);
    if (code != 0)
        return code;
    snprintf(tree->name, sizeof(tree->name), "%s", name);
    filling->tree_count++;
    *dbi = tree->dbi;
    return 0;
}

static int commit(struct ty_filling *filling)
{
    MDB_txn *txn = filling->txn;

    filling->txn = NULL;
    filling->bytes = filling->entries = 0;
    return txn == NULL ? 0 : mdb_txn_commit(txn);
}

static int begin(struct ty_filling *filling)
{
    return filling->txn != NULL ? 0 : mdb_txn_begin(filling->env, NULL, 0, &filling->txn);
}

tally_status ty_filling_tree(struct ty_filling *filling, const char *tree, tally_error *error)
{
    MDB_dbi dbi;
    int code = begin(filling);

    return fail(filling, code != 0 ? code : find_tree(filling, tree, &dbi), error);
}

static int put(struct ty_filling *filling, const char *tree, const struct ty_entry *entry,
               unsigned flags)
{
    MDB_val key = {entry->key_length, (void *)entry->key};
    MDB_val value = {entry->value_length, (void *)entry->value};
    MDB_dbi dbi;
    int code = begin(filling);

    if (code == 0)
        code = find_tree(filling, tree, &dbi);
    if (code == 0)
        code = mdb_put(filling->txn, dbi, &key, &value, flags);
    filling->bytes += entry->key_length + entry->value_length;
    if (code == 0 &&
        (filling->bytes >= filling->commit_bytes || ++filling->entries == COMMIT_ENTRIES))
        code = commit(filling);
    return code;
}

tally_status ty_filling_put(struct ty_filling *filling, const char *tree,
                            const struct ty_entry *entry, bool in_order, tally_error *error)
{
    int code = put(filling, tree, entry, in_order ? MDB_APPEND : MDB_NOOVERWRITE);

    if (code == MDB_KEYEXIST)
        return ty_fail(error, TALLY_CORRUPT,
                       "the tree %.40s has a key that is not in its place, or is there twice",
                       tree);
    return fail(filling, code, error);
}

tally_status ty_filling_finish(struct ty_filling *filling, tally_error *error)
{
    tally_status status;
    int code = commit(filling);

    if (code == 0)
        code = mdb_env_sync(filling->env, 1);
    status = fail(filling, code, error);
    if (status == TALLY_OK)
        status = ty_directory_sync(filling->path, error);
    ty_filling_abandon(filling);
    return status;
}

void ty_filling_abandon(struct ty_filling *filling)
{
    if (filling == NULL)
        return;
    if (filling->txn != NULL)
        mdb_txn_abort(filling->txn);
    if (filling->env != NULL)
        mdb_env_close(filling->env);
    free(filling);
}
