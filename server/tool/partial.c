#include "server/tool/partial.h"

#include "storage/directory.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool complain(const char *command, const char *what, const char *path)
{
    fprintf(stderr, "tally %s: %s %s: %s\n", command, what, path, strerror(errno));
    return false;
}

/* --- Clearing --- */

static bool is_shard(const char *name)
{
    return strlen(name) == 9 && strncmp(name, "shard-", 6) == 0 &&
           strspn(name + 6, "0123456789") == 3;
}

/* Removes a shard's directory with its file; links are not followed: they may lead to a database.
 */
static bool clear_shard(int fd, const char *name)
{
    int shard = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool cleared;

    if (shard < 0)
        return false;
    cleared = unlinkat(shard, "data.mdb", 0) == 0 || errno == ENOENT;
    close(shard);
    return cleared && unlinkat(fd, name, AT_REMOVEDIR) == 0;
}

/* Removes what a command puts there, and nothing else: a name that is not of those stays, and then
 * so does the directory. */
static bool clear(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;
    bool cleared = true;

    if (directory == NULL) {
        if (copy >= 0)
            close(copy);
        return false;
    }
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!is_shard(entry->d_name) || !clear_shard(fd, entry->d_name))
            cleared = false;
    }
    closedir(directory);
    if (!cleared)
        errno = ENOTEMPTY;
    return cleared;
}

/* --- Making --- */

static bool is_free(const char *command, const char *name)
{
    struct stat status;

    if (lstat(name, &status) != 0)
        return errno == ENOENT || complain(command, "cannot look at", name);
    if (S_ISDIR(status.st_mode)) {
        DIR *directory = opendir(name);
        struct dirent *entry;
        int entries = 0;

        if (directory == NULL)
            return complain(command, "cannot look into", name);
        while ((entry = readdir(directory)) != NULL)
            entries += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
        closedir(directory);
        if (entries == 0)
            return true;
    }
    fprintf(stderr, "tally %s: %s is there already: nothing is ever overwritten\n", command, name);
    return false;
}

static bool make(struct ty_partial *partial, const char *command)
{
    if (mkdir(partial->path, TY_DIRECTORY_MODE) != 0 && errno != EEXIST)
        return complain(command, "cannot create", partial->path);
    partial->fd = open(partial->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (partial->fd < 0)
        return complain(command, "cannot open", partial->path);
    if (flock(partial->fd, LOCK_EX | LOCK_NB) != 0) {
        fprintf(stderr, "tally %s: %s is being filled by another process\n", command,
                partial->path);
        close(partial->fd); /* It is the other one's, and must not be removed. */
        partial->fd = -1;
        return false;
    }
    if (!clear(partial->fd)) {
        complain(command, "cannot clear what an earlier run left in", partial->path);
        close(partial->fd);
        partial->fd = -1;
        return false;
    }
    return true;
}

bool ty_partial_open(struct ty_partial *partial, const char *command, const char *name)
{
    size_t length = strlen(name);

    *partial = (struct ty_partial){.fd = -1};
    while (length > 1 && name[length - 1] == '/')
        length--;
    partial->final = strndup(name, length);
    if (partial->final == NULL || asprintf(&partial->path, "%s.partial", partial->final) < 0) {
        partial->path = NULL;
        fprintf(stderr, "tally %s: out of memory\n", command);
    } else if (length == 0 || length > TY_PARTIAL_PATH_BYTES - 64) {
        fprintf(stderr, "tally %s: a directory needs a name, of at most %d bytes\n", command,
                TY_PARTIAL_PATH_BYTES - 64);
    } else if (is_free(command, partial->final) && make(partial, command)) {
        return true;
    }
    ty_partial_remove(partial);
    return false;
}

void ty_partial_shard(const struct ty_partial *partial, unsigned shard,
                      char path[TY_PARTIAL_PATH_BYTES])
{
    snprintf(path, TY_PARTIAL_PATH_BYTES, "%s/shard-%03u", partial->path, shard);
}

/* --- The end --- */

static void release(struct ty_partial *partial)
{
    if (partial->fd >= 0)
        close(partial->fd);
    free(partial->path);
    free(partial->final);
    *partial = (struct ty_partial){.fd = -1};
}

bool ty_partial_commit(struct ty_partial *partial, const char *command)
{
    tally_error error;

    if (fsync(partial->fd) != 0 || rename(partial->path, partial->final) != 0) {
        complain(command, "cannot complete", partial->final);
        ty_partial_remove(partial);
        return false;
    }
    if (ty_directory_sync_parent(partial->final, &error) !=
        TALLY_OK) /* It is there, and complete. */
        fprintf(stderr, "tally %s: warning: %s\n", command, error.message);
    release(partial);
    return true;
}

void ty_partial_remove(struct ty_partial *partial)
{
    if (partial->fd >= 0) {
        clear(partial->fd);
        rmdir(partial->path);
    }
    release(partial);
}
