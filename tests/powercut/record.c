/*
 * record.c: the calls that change files, defined in the program itself: those of shared libraries
 * (LMDB) come here too, since the program's symbols come first. Each does the system call, and
 * records it when it was about a file below the recorded directory. What does not come through here
 * (a mapping that is written to, say) is found by disk_is_complete().
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/base.h"
#include "tests/powercut/disk.h"

#define FDS_MAX 1024
#define EXPORT  __attribute__((visibility("default")))

/* Descriptors of recorded files and directories. */
static struct {
    bool is_used, is_synced;
    uint32_t file;
    char path[DISK_PATH_BYTES];
} fds[FDS_MAX];

static struct disk *disk; /* NULL: nothing is recorded */
static char root[1024];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void disk_record(struct disk *to, const char *directory)
{
    pthread_mutex_lock(&lock);
    TY_ASSERT(disk == NULL && strlen(directory) < sizeof(root));
    snprintf(root, sizeof(root), "%s", directory);
    disk = to;
    pthread_mutex_unlock(&lock);
}

void disk_stop(void)
{
    pthread_mutex_lock(&lock);
    disk = NULL;
    pthread_mutex_unlock(&lock);
}

void disk_record_mark(uint32_t mark, uint32_t value)
{
    pthread_mutex_lock(&lock);
    disk_mark(disk, mark, value);
    pthread_mutex_unlock(&lock);
}

/* The part of a path below the recorded directory; false when it is elsewhere. */
static bool is_recorded(const char *path, char below[DISK_PATH_BYTES])
{
    size_t length = strlen(root);

    if (disk == NULL || strncmp(path, root, length) != 0 ||
        (path[length] != '/' && path[length] != '\0'))
        return false;
    path += length + (path[length] == '/');
    TY_ASSERT(strlen(path) < DISK_PATH_BYTES);
    snprintf(below, DISK_PATH_BYTES, "%s", path);
    return true;
}

static bool is_recorded_fd(int fd)
{
    return disk != NULL && fd >= 0 && fd < FDS_MAX && fds[fd].is_used;
}

static void note_names(enum disk_kind kind, uint32_t file, const char *path, const char *to)
{
    struct disk_step step = {.kind = kind, .file = file};

    snprintf(step.path, sizeof(step.path), "%s", path);
    snprintf(step.to, sizeof(step.to), "%s", to);
    disk_add(disk, &step);
}

static void note_truncation(uint32_t file, uint64_t length)
{
    struct disk_step step = {.kind = DISK_TRUNCATE, .file = file, .offset = length};

    disk_add(disk, &step);
}

static void note_write(int fd, const struct iovec *pieces, int count, uint64_t offset,
                       size_t written)
{
    struct disk_step step = {.kind = DISK_WRITE,
                             .file = fds[fd].file,
                             .is_synced = fds[fd].is_synced,
                             .offset = offset,
                             .length = written};
    size_t at = 0;

    step.data = malloc(written + 1);
    TY_ASSERT(step.data != NULL);
    for (int i = 0; i < count && at < written; i++) {
        size_t length = TY_MIN(pieces[i].iov_len, written - at);

        memcpy(step.data + at, pieces[i].iov_base, length);
        at += length;
    }
    disk_add(disk, &step);
}

static void note_open(int fd, const char *below, int flags)
{
    uint32_t file = DISK_IS_DIRECTORY;

    TY_ASSERT(fd < FDS_MAX);
    if (below[0] != '\0' && !disk_find(disk, below, &file)) {
        TY_ASSERT((flags & O_CREAT) != 0);
        file = disk->files;
        note_names(DISK_CREATE, file, below, "");
    } else if ((flags & O_TRUNC) != 0 && file != DISK_IS_DIRECTORY) {
        note_truncation(file, 0);
    }
    fds[fd].is_used = true;
    fds[fd].is_synced = (flags & O_DSYNC) != 0;
    fds[fd].file = file;
    snprintf(fds[fd].path, sizeof(fds[fd].path), "%s", below);
}

static int open_file(int directory, const char *path, int flags, mode_t mode)
{
    char below[DISK_PATH_BYTES];
    int fd;

    pthread_mutex_lock(&lock);
    fd = (int)syscall(SYS_openat, directory, path, flags & ~O_DSYNC, mode);
    if (fd >= 0 && is_recorded(path, below))
        note_open(fd, below, flags);
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t)
                                                                      : 0;
}

EXPORT int open(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_file(AT_FDCWD, path, flags, mode);
}

EXPORT int openat(int directory, const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_file(directory, path, flags, mode);
}

EXPORT int close(int fd)
{
    int result;

    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FDS_MAX)
        fds[fd].is_used = false;
    result = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    struct iovec piece = {(void *)data, length};
    ssize_t written;

    pthread_mutex_lock(&lock);
    written = syscall(SYS_pwrite64, fd, data, length, offset);
    if (written > 0 && is_recorded_fd(fd))
        note_write(fd, &piece, 1, (uint64_t)offset, (size_t)written);
    pthread_mutex_unlock(&lock);
    return written;
}

EXPORT ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    ssize_t written;

    pthread_mutex_lock(&lock);
    if (is_recorded_fd(fd)) {
        off_t offset = lseek(fd, 0, SEEK_CUR);

        written = syscall(SYS_writev, fd, pieces, count);
        if (written > 0)
            note_write(fd, pieces, count, (uint64_t)offset, (size_t)written);
    } else {
        written = syscall(SYS_writev, fd, pieces, count);
    }
    pthread_mutex_unlock(&lock);
    return written;
}

EXPORT ssize_t write(int fd, const void *data, size_t length)
{
    struct iovec piece = {(void *)data, length};

    return writev(fd, &piece, 1);
}

EXPORT int ftruncate(int fd, off_t length)
{
    int result;

    pthread_mutex_lock(&lock);
    result = (int)syscall(SYS_ftruncate, fd, length);
    if (result == 0 && is_recorded_fd(fd))
        note_truncation(fds[fd].file, (uint64_t)length);
    pthread_mutex_unlock(&lock);
    return result;
}

static int sync_file(int fd)
{
    pthread_mutex_lock(&lock);
    if (is_recorded_fd(fd))
        note_names(fds[fd].file == DISK_IS_DIRECTORY ? DISK_SYNC_DIRECTORY : DISK_SYNC,
                   fds[fd].file, fds[fd].path, "");
    pthread_mutex_unlock(&lock);
    return 0;
}

EXPORT int fsync(int fd)
{
    return sync_file(fd);
}

EXPORT int fdatasync(int fd)
{
    return sync_file(fd);
}

static int change_name(enum disk_kind kind, const char *path, const char *to, long result)
{
    char below[DISK_PATH_BYTES], below_to[DISK_PATH_BYTES] = "";

    if (result == 0 && is_recorded(path, below)) {
        TY_ASSERT(to[0] == '\0' || is_recorded(to, below_to));
        note_names(kind, DISK_IS_DIRECTORY, below, below_to);
    }
    return (int)result;
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    int result;

    pthread_mutex_lock(&lock);
    result = change_name(DISK_MAKE_DIRECTORY, path, "", syscall(SYS_mkdirat, AT_FDCWD, path, mode));
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT int rename(const char *from, const char *to)
{
    int result;

    pthread_mutex_lock(&lock);
    result =
        change_name(DISK_RENAME, from, to, syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT int unlink(const char *path)
{
    int result;

    pthread_mutex_lock(&lock);
    result = change_name(DISK_REMOVE, path, "", syscall(SYS_unlinkat, AT_FDCWD, path, 0));
    pthread_mutex_unlock(&lock);
    return result;
}
