#include "storage/outside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "storage/store_internal.h"

#define TREES_MAX     32 /* more than there will ever be: newer versions may have more than this */
#define TREE_NAME_MAX 63
#define ROOM_MIN      (UINT64_C(256) << 20)

struct tree {
    char name[TREE_NAME_MAX + 1];
    MDB_dbi dbi;
    struct ty_tree facts;
};

struct ty_outside {
    struct ty_store store; /* its transaction is the view */
    struct tree trees[TREES_MAX];
    size_t tree_count;
    size_t page_bytes;
    uint64_t room_min; /* of ty_outside_keep_room() */
    bool keeps_room;
    struct ty_database_record database;
    struct ty_state_record state;
    char path[4096];
};

/* --- The lock file --- */

/*
 * Who is root makes a lock file that the server's own user could not open later. So one that was
 * not there gets the owner of the data. By path: to close a descriptor of that file would drop
 * every lock that this process has on it (fcntl(2)).
 */
static void give_to_owner(const char *path, const struct stat *data)
{
    char lock[4096 + sizeof("/lock.mdb")];

    snprintf(lock, sizeof(lock), "%s/lock.mdb", path);
    if (geteuid() == 0 && lchown(lock, data->st_uid, data->st_gid) != 0)
        errno = 0; /* A server that cannot open it says so. */
}

static tally_status check_shareable(const char *path, long writer_pid, struct stat *data,
                                    bool *lock_missing, tally_error *error)
{
    char file[4096 + sizeof("/lock.mdb")];

    snprintf(file, sizeof(file), "%s/data.mdb", path);
    if (stat(file, data) != 0)
        return ty_fail(error, TALLY_IO, "cannot read %.180s: %s", file, strerror(errno));
    if (writer_pid == (long)getpid())
        return ty_fail(error, TALLY_IO,
                       "the server runs in another container, under the number of this very "
                       "process (%ld): run this command in the server's container",
                       writer_pid);
    snprintf(file, sizeof(file), "%s/lock.mdb", path);
    *lock_missing = access(file, F_OK) != 0;
    if (access(*lock_missing ? path : file, W_OK) != 0)
        return ty_fail(error, TALLY_IO,
                       "cannot write %.120s (%s): without it a server could not be told that its "
                       "data are being read",
                       *lock_missing ? path : file, strerror(errno));
    return TALLY_OK;
}

/* --- Opening --- */

static tally_status cannot_open(struct ty_outside *outside, int code, tally_error *error)
{
    char what[200];

    snprintf(what, sizeof(what), "cannot read the store in %.150s", outside->path);
    return ty_store_fail(error, code, what);
}

static int open_environment(struct ty_outside *outside, enum ty_outside_mode mode)
{
    MDB_env *env;
    unsigned flags = MDB_RDONLY | MDB_NOTLS | (mode == TY_OUTSIDE_PRIVATE ? MDB_NOLOCK : 0);
    int code = mdb_env_create(&outside->store.env);

    if (code != 0)
        return code;
    env = outside->store.env;
    if ((code = mdb_env_set_maxdbs(env, TREES_MAX)) != 0 ||
        (code = mdb_env_set_maxreaders(env, TY_READERS_MAX)) != 0)
        return code;
    return mdb_env_open(env, outside->path, flags, 0640);
}

/* What the transaction that reads the records knows of the trees. */
static void assign_tree(struct ty_store *store, const struct tree *tree)
{
    if (strcmp(tree->name, "meta") == 0)
        store->meta = tree->dbi;
    else if (strcmp(tree->name, "series") == 0)
        store->series = tree->dbi;
    else if (strcmp(tree->name, "journal") == 0)
        store->journal = tree->dbi;
    else if (strcmp(tree->name, "blocks") == 0)
        store->blocks = tree->dbi;
    else if (strcmp(tree->name, "rejects") == 0)
        store->rejects = tree->dbi;
    else if (strcmp(tree->name, "reject_ids") == 0)
        store->reject_ids = tree->dbi;
    else if (strcmp(tree->name, "voids") == 0)
        store->voids = tree->dbi;
}

static tally_status open_tree(struct ty_outside *outside, const MDB_val *name, tally_error *error)
{
    struct tree *tree = &outside->trees[outside->tree_count];
    MDB_stat stat;
    unsigned flags = 0;
    int code;

    if (outside->tree_count == TREES_MAX || name->mv_size == 0 || name->mv_size > TREE_NAME_MAX ||
        memchr(name->mv_data, '\0', name->mv_size) != NULL)
        return ty_fail(error, TALLY_CORRUPT, "the store in %.150s has trees that no version has",
                       outside->path);
    memcpy(tree->name, name->mv_data, name->mv_size);
    if ((code = mdb_dbi_open(outside->store.txn, tree->name, 0, &tree->dbi)) != 0 ||
        (code = mdb_dbi_flags(outside->store.txn, tree->dbi, &flags)) != 0 ||
        (code = mdb_stat(outside->store.txn, tree->dbi, &stat)) != 0)
        return cannot_open(outside, code, error);
    if (flags != 0)
        return ty_fail(error, TALLY_NEWER,
                       "the tree %s is of a kind that this program does not know: use a newer "
                       "version of Tally",
                       tree->name);
    tree->facts = (struct ty_tree){
        .name = tree->name,
        .entries = stat.ms_entries,
        .bytes = (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) *
                 (uint64_t)stat.ms_psize};
    outside->page_bytes = stat.ms_psize;
    assign_tree(&outside->store, tree);
    outside->tree_count++;
    return TALLY_OK;
}

/* The names of the trees are the keys of LMDB's main tree. */
static tally_status open_trees(struct ty_outside *outside, tally_error *error)
{
    MDB_cursor *cursor;
    MDB_val name, value;
    MDB_dbi names;
    tally_status status = TALLY_OK;
    int code = mdb_dbi_open(outside->store.txn, NULL, 0, &names);

    if (code == 0)
        code = mdb_cursor_open(outside->store.txn, names, &cursor);
    if (code != 0)
        return cannot_open(outside, code, error);
    while (status == TALLY_OK && (code = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) == 0)
        status = open_tree(outside, &name, error);
    mdb_cursor_close(cursor);
    if (status != TALLY_OK || code == MDB_NOTFOUND)
        return status;
    return cannot_open(outside, code, error);
}

static tally_status read_records(struct ty_outside *outside, tally_error *error)
{
    bool found = false;
    tally_status status = TALLY_OK;

    if (outside->store.meta != 0)
        status = ty_store_get_database(&outside->store, &outside->database, &found, error);
    if (status == TALLY_OK && !found)
        return ty_fail(error, TALLY_IO, "%.150s holds no shard of a database", outside->path);
    return status == TALLY_OK ? ty_store_get_state(&outside->store, &outside->state, error)
                              : status;
}

static tally_status begin(struct ty_outside *outside, enum ty_outside_mode mode, long writer_pid,
                          tally_error *error)
{
    struct stat data;
    bool lock_missing = false;
    tally_status status = TALLY_OK;
    int code;

    if (mode == TY_OUTSIDE_SHARED)
        status = check_shareable(outside->path, writer_pid, &data, &lock_missing, error);
    if (status != TALLY_OK)
        return status;
    code = open_environment(outside, mode);
    if (lock_missing)
        give_to_owner(outside->path, &data);
    if (code == 0)
        code = mdb_txn_begin(outside->store.env, NULL, MDB_RDONLY, &outside->store.txn);
    if (code != 0)
        return cannot_open(outside, code, error);
    status = open_trees(outside, error);
    return status == TALLY_OK ? read_records(outside, error) : status;
}

tally_status ty_outside_open(const char *path, enum ty_outside_mode mode, long writer_pid,
                             struct ty_outside **out, tally_error *error)
{
    struct ty_outside *outside = calloc(1, sizeof(*outside));
    tally_status status;

    if (outside == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory to read %.150s", path);
    snprintf(outside->path, sizeof(outside->path), "%s", path);
    status = begin(outside, mode, writer_pid, error);
    if (status != TALLY_OK) {
        ty_outside_close(outside);
        return status;
    }
    *out = outside;
    return TALLY_OK;
}

void ty_outside_close(struct ty_outside *outside)
{
    if (outside == NULL)
        return;
    if (outside->store.txn != NULL)
        mdb_txn_abort(outside->store.txn);
    if (outside->store.env != NULL)
        mdb_env_close(outside->store.env);
    free(outside);
}

const struct ty_database_record *ty_outside_database(const struct ty_outside *outside)
{
    return &outside->database;
}

const struct ty_state_record *ty_outside_state(const struct ty_outside *outside)
{
    return &outside->state;
}

size_t ty_outside_tree_count(const struct ty_outside *outside)
{
    return outside->tree_count;
}

struct ty_tree ty_outside_tree(const struct ty_outside *outside, size_t index)
{
    TY_ASSERT(index < outside->tree_count);
    return outside->trees[index].facts;
}

void ty_outside_size(struct ty_outside *outside, struct ty_space *space)
{
    ty_store_size(&outside->store, space);
}

/* --- Room --- */

/* Free pages that a transaction older than the view freed: those the writer may use. The list is
 * LMDB's tree 0, by transaction; each value is a count, then the page numbers. */
static int count_usable_pages(MDB_txn *now, size_t view, uint64_t *pages)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int code = mdb_cursor_open(now, 0, &cursor);

    *pages = 0;
    if (code != 0)
        return code;
    while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t freed_by, count;

        memcpy(&freed_by, key.mv_data, sizeof(freed_by));
        memcpy(&count, value.mv_data, sizeof(count));
        if (freed_by >= view)
            break;
        *pages += count;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

tally_status ty_outside_room(struct ty_outside *outside, uint64_t *bytes, tally_error *error)
{
    MDB_env *env = outside->store.env;
    struct ty_space space;
    struct statvfs disk;
    uint64_t pages = 0;
    MDB_txn *now;
    int code = mdb_txn_begin(env, NULL, MDB_RDONLY, &now);

    if (code != 0)
        return cannot_open(outside, code, error);
    code = count_usable_pages(now, mdb_txn_id(outside->store.txn), &pages);
    mdb_txn_abort(now);
    if (code == 0 && statvfs(outside->path, &disk) != 0)
        code = errno;
    if (code != 0)
        return cannot_open(outside, code, error);
    ty_outside_size(outside, &space);
    *bytes = pages * outside->page_bytes +
             TY_MIN(space.map_bytes - TY_MIN(space.file_bytes, space.map_bytes),
                    (uint64_t)disk.f_bavail * disk.f_frsize);
    return TALLY_OK;
}

tally_status ty_outside_keep_room(struct ty_outside *outside, tally_error *error)
{
    uint64_t room;
    tally_status status = ty_outside_room(outside, &room, error);

    if (status != TALLY_OK)
        return status;
    if (!outside->keeps_room)
        outside->room_min = TY_MIN(ROOM_MIN, room / 2);
    outside->keeps_room = true;
    if (room >= outside->room_min)
        return TALLY_OK;
    return ty_fail(error, TALLY_BUSY,
                   "the server has only %llu MiB left to write to while it is being copied: copy "
                   "when it writes less, to a faster disk, or give it more room (--map-size)",
                   (unsigned long long)(room >> 20));
}

/* --- Walks --- */

tally_status ty_outside_next(struct ty_outside *outside, struct ty_outside_walk *walk,
                             struct ty_entry *entry, bool *found, tally_error *error)
{
    const struct tree *tree = &outside->trees[walk->tree];
    MDB_cursor *cursor = walk->cursor;
    MDB_val key, value;
    char what[TREE_NAME_MAX + 32];
    int code = 0;

    *found = false;
    if (cursor == NULL)
        code = mdb_cursor_open(outside->store.txn, tree->dbi, &cursor);
    walk->cursor = cursor;
    if (code == 0)
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    if (code == MDB_NOTFOUND)
        return TALLY_OK;
    snprintf(what, sizeof(what), "cannot read the tree %s", tree->name);
    if (code != 0)
        return ty_store_fail(error, code, what);
    *entry = (struct ty_entry){key.mv_data, key.mv_size, value.mv_data, value.mv_size};
    *found = true;
    return TALLY_OK;
}

void ty_outside_end(struct ty_outside_walk *walk)
{
    if (walk->cursor != NULL)
        mdb_cursor_close(walk->cursor);
    walk->cursor = NULL;
}
