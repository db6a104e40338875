#include "storage/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "storage/directory.h"
#include "storage/snapshot.h"

#define TREES 10

tally_status ty_store_fail(tally_error *error, int code, const char *what)
{
    tally_status status = TALLY_IO;

    if (code == 0)
        return TALLY_OK;
    if (code == MDB_MAP_FULL || code == ENOSPC || code == EDQUOT)
        status = TALLY_FULL;
    else if (code == ENOMEM)
        status = TALLY_NO_MEMORY;
    else if (code == MDB_READERS_FULL)
        status = TALLY_BUSY;
    else if (code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND || code == MDB_INVALID)
        status = TALLY_CORRUPT;
    else if (code == MDB_VERSION_MISMATCH)
        status = TALLY_NEWER;
    else if (code == MDB_PANIC)
        status = TALLY_FAILED;
    return ty_fail(error, status, "%s: %s", what, mdb_strerror(code));
}

int ty_store_fault(const struct ty_store *store, enum ty_fault_point point)
{
    return store->faults.hit == NULL ? 0 : store->faults.hit(store->faults.context, point);
}

/* Those that were there from the first version on. */
#define FIRST_TREES 4

static tally_status cannot_open(tally_error *error, int code, const char *path)
{
    char what[160];

    snprintf(what, sizeof(what), "cannot open the store in %s", path);
    return ty_store_fail(error, code, what);
}

/* Finds the trees that there are; *missing is the first that is not. *others: there are some of
 * which this version knows nothing. */
static int find_trees(MDB_txn *txn, const char *const *names, MDB_dbi *const *trees, size_t *found,
                      const char **missing, bool *others)
{
    MDB_stat all;
    MDB_dbi names_tree;
    int code = mdb_dbi_open(txn, NULL, 0, &names_tree);

    *found = 0;
    *missing = NULL;
    if (code == 0)
        code = mdb_stat(txn, names_tree, &all);
    for (size_t i = 0; i < TREES && code == 0; i++) {
        code = mdb_dbi_open(txn, names[i], 0, trees[i]);
        *found += code == 0;
        if (code == MDB_NOTFOUND && *missing == NULL)
            *missing = names[i];
        code = code == MDB_NOTFOUND ? 0 : code;
    }
    *others = code == 0 && all.ms_entries > *found;
    return code;
}

/* A tree that cannot be found must not be made anew, empty, if it may be there under a name that is
 * damaged: of what was in it nothing would be left. */
static bool is_lost(const char *missing, size_t found, bool others, const char *const *names)
{
    for (size_t i = 0; i < FIRST_TREES; i++)
        if (missing == names[i])
            return found != 0 || others;
    return missing != NULL && others;
}

static int make_trees(MDB_txn *txn, const char *const *names, MDB_dbi *const *trees)
{
    int code = 0;

    for (size_t i = 0; i < TREES && code == 0; i++)
        code = mdb_dbi_open(txn, names[i], MDB_CREATE, trees[i]);
    return code;
}

static tally_status open_trees(struct ty_store *store, const char *path, tally_error *error)
{
    static const char *const names[TREES] = {"meta",      "series",     "journal", "blocks",
                                             "rejects",   "reject_ids", "voids",   "closings",
                                             "revisions", "id_runs"};
    MDB_dbi *const trees[TREES] = {
        &store->meta,       &store->series, &store->journal,  &store->blocks,    &store->rejects,
        &store->reject_ids, &store->voids,  &store->closings, &store->revisions, &store->id_runs};
    const char *missing;
    size_t found;
    bool others;
    MDB_txn *txn;
    int code = mdb_txn_begin(store->env, NULL, store->read_only ? MDB_RDONLY : 0, &txn);

    if (code != 0)
        return cannot_open(error, code, path);
    code = find_trees(txn, names, trees, &found, &missing, &others);
    if (code == 0 && is_lost(missing, found, others, names)) {
        mdb_txn_abort(txn);
        return ty_fail(error, TALLY_CORRUPT,
                       "the store in %.120s has lost its tree \"%s\": the name is damaged, or what "
                       "leads to it",
                       path, missing);
    }
    if (code == 0 && missing != NULL && store->read_only) {
        mdb_txn_abort(txn);
        return ty_fail(error, TALLY_INVALID,
                       "the store in %.120s has no tree \"%s\": an older version wrote it; start "
                       "tallyd on it once",
                       path, missing);
    }
    if (code == 0 && missing != NULL) /* Those that an older version did not know are made. */
        code = make_trees(txn, names, trees);
    if (code != 0) {
        mdb_txn_abort(txn);
        return cannot_open(error, code, path);
    }
    return cannot_open(error, mdb_txn_commit(txn), path);
}

static tally_status open_environment(struct ty_store *store, const struct ty_store_options *options,
                                     tally_error *error)
{
    unsigned flags = MDB_NOTLS | (options->sync ? 0 : MDB_NOSYNC) |
                     (options->read_only ? MDB_RDONLY | MDB_NOLOCK : 0);
    int code, dead;

    if ((code = mdb_env_create(&store->env)) != 0 ||
        (code = mdb_env_set_mapsize(store->env, (size_t)options->map_bytes)) != 0 ||
        (code = mdb_env_set_maxdbs(store->env, TREES)) != 0 ||
        (code = mdb_env_set_maxreaders(store->env, TY_READERS_MAX)) != 0 ||
        (code = mdb_env_open(store->env, options->path, flags, TY_STORE_FILE_MODE)) != 0 ||
        /* A process that was killed in the middle of a commit may have left it in the page cache
         * only. What is answered from here on builds on it, so it has to be on the disk. */
        (options->sync && (code = mdb_env_sync(store->env, 1)) != 0) ||
        (code = mdb_reader_check(store->env, &dead)) != 0)
        return cannot_open(error, code, options->path);
    return open_trees(store, options->path, error);
}

tally_status ty_store_open(const struct ty_store_options *options, struct ty_store **out,
                           tally_error *error)
{
    tally_status status = ty_store_create(options, error);
    struct ty_store *store;

    if (status != TALLY_OK)
        return status;
    store = calloc(1, sizeof(*store));
    if (store == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory to open %s", options->path);
    store->sync = options->sync;
    store->read_only = options->read_only;
    if (options->faults != NULL)
        store->faults = *options->faults;
    status = open_environment(store, options, error);
    if (status != TALLY_OK) { /* An environment must be closed after a failed open, too. */
        if (store->env != NULL)
            mdb_env_close(store->env);
        free(store);
        return status;
    }
    *out = store;
    return TALLY_OK;
}

void ty_store_close(struct ty_store *store)
{
    const char *path = NULL;
    char copy[4096] = "";

    if (store == NULL)
        return;
    ty_store_abort(store);
    ty_snapshot_drain(store);
    if (mdb_env_get_path(store->env, &path) == 0)
        snprintf(copy, sizeof(copy), "%s", path);
    mdb_env_close(store->env);
    if (atomic_load_explicit(&store->failed, memory_order_relaxed))
        ty_directory_drop_cache(copy); /* It may hold what the disk does not. */
    free(store);
}

tally_status ty_store_begin(struct ty_store *store, tally_error *error)
{
    int code = ty_store_fault(store, TY_FAULT_BEGIN);

    TY_ASSERT(store->txn == NULL);
    if (atomic_load_explicit(&store->failed, memory_order_relaxed))
        return ty_fail(error, TALLY_FAILED,
                       "an earlier commit failed halfway; reopen the database");
    if (code == 0)
        code = mdb_txn_begin(store->env, NULL, store->read_only ? MDB_RDONLY : 0, &store->txn);
    return ty_store_fail(error, code, "cannot begin a transaction");
}

void ty_store_abort(struct ty_store *store)
{
    if (store->txn != NULL)
        mdb_txn_abort(store->txn);
    store->txn = NULL;
}

/* Whether a commit that ran out of space left the environment as it was: the meta page not written,
 * and a new transaction possible. */
static bool is_clean(struct ty_store *store, size_t txnid_before)
{
    MDB_envinfo info;
    MDB_txn *probe;

    if (mdb_env_info(store->env, &info) != 0 || info.me_last_txnid != txnid_before)
        return false;
    if (mdb_txn_begin(store->env, NULL, 0, &probe) != 0)
        return false;
    mdb_txn_abort(probe);
    return true;
}

tally_status ty_store_commit(struct ty_store *store, tally_error *error)
{
    MDB_envinfo info;
    int code = ty_store_fault(store, TY_FAULT_COMMIT);
    tally_status status;

    mdb_env_info(store->env, &info);
    ty_store_fence(memory_order_release); /* pairs with the one in ty_snapshot_begin() */
    if (code != 0)
        mdb_txn_abort(store->txn);
    else if ((code = mdb_txn_commit(store->txn)) == 0)
        code = ty_store_fault(store, TY_FAULT_COMMITTED);
    store->txn = NULL; /* Freed by LMDB, also when the commit failed. */
    status = ty_store_fail(error, code, "cannot commit");
    if (status == TALLY_OK || ((status == TALLY_FULL || status == TALLY_NO_MEMORY) &&
                               is_clean(store, info.me_last_txnid)))
        return status;
    atomic_store_explicit(&store->failed, true, memory_order_relaxed);
    return TALLY_UNKNOWN;
}

tally_status ty_store_look(struct ty_store *store, tally_error *error)
{
    TY_ASSERT(store->look == NULL);
    return ty_snapshot_begin(store, &store->look, error);
}

void ty_store_look_away(struct ty_store *store)
{
    ty_snapshot_end(store, store->look);
    store->look = NULL;
}

int ty_store_put(struct ty_store *store, MDB_dbi tree, const void *key, size_t key_length,
                 const void *value, size_t length, unsigned flags)
{
    MDB_val k = {.mv_size = key_length, .mv_data = (void *)key};
    MDB_val v = {.mv_size = length, .mv_data = (void *)value};
    int code = ty_store_fault(store, TY_FAULT_PUT);

    return code != 0 ? code : mdb_put(store->txn, tree, &k, &v, flags);
}

int ty_store_get(struct ty_store *store, MDB_dbi tree, const void *key, size_t key_length,
                 MDB_val *value)
{
    MDB_val k = {.mv_size = key_length, .mv_data = (void *)key};

    return mdb_get(ty_store_reading(store), tree, &k, value);
}

/* --- Space --- */

/* The free list is LMDB's tree 0: each value is a count of pages, then the page numbers. LMDB shows
 * it to read transactions only. */
static int count_free_pages(MDB_env *env, uint64_t *pages)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    MDB_txn *txn;
    int code = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

    *pages = 0;
    if (code != 0)
        return code;
    code = mdb_cursor_open(txn, 0, &cursor);
    if (code == 0) {
        while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
            size_t count;

            memcpy(&count, value.mv_data, sizeof(count));
            *pages += count;
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return code == MDB_NOTFOUND ? 0 : code;
}

void ty_store_size(struct ty_store *store, struct ty_space *space)
{
    MDB_envinfo info;
    MDB_stat stat;

    *space = (struct ty_space){0};
    if (mdb_env_stat(store->env, &stat) != 0 || mdb_env_info(store->env, &info) != 0)
        return; /* Only without an environment. */
    space->map_bytes = info.me_mapsize;
    space->file_bytes = (info.me_last_pgno + 1) * (uint64_t)stat.ms_psize;
}

tally_status ty_store_space(struct ty_store *store, bool count_free, struct ty_space *space,
                            tally_error *error)
{
    const char *path = NULL;
    struct statvfs disk;
    MDB_stat stat;
    uint64_t pages = 0;
    int dead, code = mdb_reader_check(store->env, &dead);

    if (code == 0 && count_free)
        code = count_free_pages(store->env, &pages);
    if (code == 0)
        code = mdb_env_stat(store->env, &stat);
    if (code == 0)
        code = mdb_env_get_path(store->env, &path);
    if (code == 0 && statvfs(path, &disk) != 0)
        code = errno;
    if (code != 0)
        return ty_store_fail(error, code, "cannot tell what space is left");
    ty_store_size(store, space);
    space->free_bytes = pages * (uint64_t)stat.ms_psize;
    space->disk_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    return TALLY_OK;
}
