#include "shard/directory_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base.h"
#include "storage/directory.h"

#define FILE_MODE 0640

static tally_status report_holder(const char *directory, int fd, tally_error *error)
{
    char holder[32] = "";
    ssize_t length = read(fd, holder, sizeof(holder) - 1);

    holder[length < 0 ? 0 : length] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    return ty_fail(error, TALLY_LOCKED,
                   "the directory %.100s is in use by process %s; stop it first, or use another",
                   directory, holder[0] == '\0' ? "(unknown)" : holder);
}

tally_status ty_directory_lock(const char *directory, int *out, tally_error *error)
{
    char path[4096], holder[32];
    int fd, length;

    if (mkdir(directory, TY_DIRECTORY_MODE) != 0 && errno != EEXIST)
        return ty_fail(error, TALLY_IO, "cannot create the directory %.100s: %s", directory,
                       strerror(errno));
    snprintf(path, sizeof(path), "%s/tally.lock", directory);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return ty_fail(error, TALLY_IO, "cannot open %.150s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        tally_status status = report_holder(directory, fd, error);

        close(fd);
        return status;
    }
    /* For the message above only; the lock does not depend on it. */
    length = snprintf(holder, sizeof(holder), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, holder, (size_t)length, 0) < 0)
        errno = 0;
    *out = fd;
    return TALLY_OK;
}
