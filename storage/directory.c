#include "storage/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = 0;

    if (fd < 0)
        return errno;
    if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        code = errno;
    close(fd);
    return code;
}

static tally_status report(int code, const char *path, tally_error *error)
{
    if (code == 0)
        return TALLY_OK;
    return ty_fail(error, TALLY_IO, "cannot sync the directory %.150s: %s", path, strerror(code));
}

tally_status ty_directory_sync(const char *path, tally_error *error)
{
    return report(sync_directory(path), path, error);
}

tally_status ty_directory_sync_parent(const char *path, tally_error *error)
{
    char parent[4096];
    size_t length = strlen(path);
    int code;

    while (length > 1 && path[length - 1] == '/') /* "a/b//" is "a/b" */
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    snprintf(parent, sizeof(parent), "%.*s", length == 0 ? 1 : (int)length,
             length == 0 ? "." : path);
    code = sync_directory(parent);
    return report(code == EACCES ? 0 : code, parent, error);
}

void ty_directory_drop_cache(const char *path)
{
    char file[4096 + sizeof("/data.mdb")];
    int fd;

    snprintf(file, sizeof(file), "%s/data.mdb", path);
    fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}
