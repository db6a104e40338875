#include "server/tool/origin.h"

#include "server/tool/command.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096

static bool shard_path(const struct ty_origin *origin, unsigned shard, char path[PATH_BYTES])
{
    int length = snprintf(path, PATH_BYTES, "%s/shard-%03u", origin->directory, shard);

    if (length < PATH_BYTES - (int)sizeof("/data.mdb"))
        return true;
    fprintf(stderr, "tally %s: the path of the data directory is too long\n", origin->command);
    return false;
}

/* Who holds the directory says so in tally.lock; what is written there means nothing when nobody
 * holds the lock. */
static long read_writer(const char *directory)
{
    char path[PATH_BYTES], text[32] = "";
    long pid = 0;
    int fd;

    snprintf(path, sizeof(path), "%s/tally.lock", directory);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0 && read(fd, text, sizeof(text) - 1) > 0)
        pid = strtol(text, NULL, 10);
    close(fd);
    return pid;
}

uint64_t ty_origin_file_bytes(const struct ty_origin *origin, unsigned shard)
{
    char path[PATH_BYTES], file[PATH_BYTES + sizeof("/data.mdb")];
    struct stat status;

    if (!shard_path(origin, shard, path))
        return 0;
    snprintf(file, sizeof(file), "%s/data.mdb", path);
    return stat(file, &status) == 0 ? (uint64_t)status.st_size : 0;
}

int ty_origin_shard(const struct ty_origin *origin, unsigned shard, struct ty_outside **outside)
{
    char path[PATH_BYTES];
    const struct ty_database_record *database;
    tally_error error;

    if (!shard_path(origin, shard, path))
        return TY_EXIT_UNREACHABLE;
    if (ty_outside_open(path, TY_OUTSIDE_SHARED, origin->writer_pid, outside, &error) != TALLY_OK) {
        fprintf(stderr, "tally %s: %s\n", origin->command, error.message);
        return TY_EXIT_UNREACHABLE;
    }
    database = ty_outside_database(*outside);
    if (origin->shard_count == 0 || /* not known yet: this is shard 0 */
        (database->shard == shard &&
         memcmp(database->id, origin->database.id, sizeof(database->id)) == 0))
        return TY_EXIT_OK;
    fprintf(stderr, "tally %s: %s belongs to another database or is another shard of it\n",
            origin->command, path);
    ty_outside_close(*outside);
    return TY_EXIT_UNREACHABLE;
}

int ty_origin_open(struct ty_origin *origin, const char *command, const char *directory)
{
    char file[PATH_BYTES + sizeof("/data.mdb")];
    struct ty_outside *outside;
    int code;

    *origin = (struct ty_origin){.command = command, .directory = directory};
    snprintf(file, sizeof(file), "%s/shard-000/data.mdb", directory);
    if (access(file, F_OK) != 0) {
        fprintf(stderr, "tally %s: %s holds no database (%s: %s)\n", command, directory, file,
                strerror(errno));
        return TY_EXIT_UNREACHABLE;
    }
    origin->writer_pid = read_writer(directory);
    code = ty_origin_shard(origin, 0, &outside);
    if (code != TY_EXIT_OK)
        return code;
    origin->database = *ty_outside_database(outside);
    origin->shard_count = origin->database.shard_count;
    ty_outside_close(outside);
    for (unsigned i = 0; i < origin->shard_count; i++)
        origin->file_bytes += ty_origin_file_bytes(origin, i);
    return TY_EXIT_OK;
}
