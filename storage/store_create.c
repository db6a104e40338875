/*
 * store_create.c: a store's file comes into being whole.
 *
 * LMDB writes the first pages of a new file and syncs them only with its first transaction. A power
 * cut in between may leave a file that has its length and lacks its bytes, which LMDB refuses for
 * good. So the file is made under another name, synced, and then given its own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/directory.h"
#include "storage/store_internal.h"

static int write_environment(const struct ty_store_options *options, const char *path)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOLOCK | (options->sync ? 0 : MDB_NOSYNC);
    MDB_env *env;
    int code = mdb_env_create(&env);

    if (code != 0)
        return code;
    if ((code = mdb_env_set_mapsize(env, (size_t)options->map_bytes)) == 0 &&
        (code = mdb_env_open(env, path, flags, TY_STORE_FILE_MODE)) == 0 && options->sync)
        code = mdb_env_sync(env, 1);
    mdb_env_close(env);
    return code;
}

static int create_file(const struct ty_store_options *options, const char *path)
{
    char fresh[4200];
    int code;

    snprintf(fresh, sizeof(fresh), "%s/new.mdb", options->path);
    if (unlink(fresh) != 0 && errno != ENOENT) /* what an interrupted creation left */
        return errno;
    code = write_environment(options, fresh);
    if (code == 0 && rename(fresh, path) != 0)
        code = errno;
    if (code != 0)
        unlink(fresh);
    return code;
}

tally_status ty_store_create(const struct ty_store_options *options, tally_error *error)
{
    char path[4200], what[160];
    tally_status status = TALLY_OK;
    int code = 0;

    if (mkdir(options->path, TY_DIRECTORY_MODE) != 0 && errno != EEXIST)
        return ty_fail(error, TALLY_IO, "cannot create the directory %s: %s", options->path,
                       strerror(errno));
    snprintf(path, sizeof(path), "%s/data.mdb", options->path);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        code = create_file(options, path);
    if (code != 0) {
        snprintf(what, sizeof(what), "cannot open the store in %s", options->path);
        return ty_store_fail(error, code, what);
    }
    /* At every opening: whoever made the names may have been killed before it came to this. */
    if (options->sync)
        status = ty_directory_sync(options->path, error);
    if (options->sync && status == TALLY_OK)
        status = ty_directory_sync_parent(options->path, error);
    return status;
}
