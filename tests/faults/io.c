#include "tests/faults/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

ssize_t __real_write(int fd, const void *data, size_t length);
ssize_t __real_writev(int fd, const struct iovec *pieces, int count);
ssize_t __real_pwrite(int fd, const void *data, size_t length, off_t offset);
ssize_t __real_pread(int fd, void *data, size_t length, off_t offset);
int __real_open(const char *path, int flags, ...);
int __real_ftruncate(int fd, off_t length);
int __real_fsync(int fd);
int __real_fdatasync(int fd);

ssize_t __wrap_write(int fd, const void *data, size_t length);
ssize_t __wrap_writev(int fd, const struct iovec *pieces, int count);
ssize_t __wrap_pwrite(int fd, const void *data, size_t length, off_t offset);
ssize_t __wrap_pread(int fd, void *data, size_t length, off_t offset);
int __wrap_open(const char *path, int flags, ...);
int __wrap_ftruncate(int fd, off_t length);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);

static atomic_bool armed, stays_broken, awaits_root;
static _Atomic int64_t countdown;
static _Atomic int how;
static _Atomic(const char *) first_hit;

void ty_io_fail(uint64_t n, enum ty_io_failure failure, bool stays)
{
    atomic_store(&first_hit, NULL);
    atomic_store(&countdown, (int64_t)n);
    atomic_store(&awaits_root, n == TY_IO_ROOT);
    atomic_store(&how, (int)failure);
    atomic_store(&stays_broken, stays);
    atomic_store(&armed, true);
}

const char *ty_io_stop(void)
{
    atomic_store(&armed, false);
    return atomic_load(&first_hit);
}

/* Whether this call fails. */
static bool hits_if(const char *name, bool is_root)
{
    const char *none = NULL;
    int64_t left;

    if (!atomic_load(&armed))
        return false;
    if (atomic_load(&awaits_root)) {
        if (!is_root)
            return false;
        atomic_store(&awaits_root, false);
        atomic_store(&countdown, 1);
    }
    left = atomic_fetch_sub(&countdown, 1) - 1;
    if (left > 0 || (left < 0 && !atomic_load(&stays_broken)))
        return false;
    atomic_compare_exchange_strong(&first_hit, &none, name);
    return true;
}

static bool hits(const char *name)
{
    return hits_if(name, false);
}

/* Whether the call is to be done before it fails: the first one only. */
static bool is_done_first(void)
{
    return atomic_load(&how) == TY_IO_DONE_EIO && atomic_load(&countdown) == 0;
}

static int fail(void)
{
    errno = atomic_load(&how) == TY_IO_ENOSPC ? ENOSPC : EIO;
    return -1;
}

ssize_t __wrap_write(int fd, const void *data, size_t length)
{
    if (!hits("write"))
        return __real_write(fd, data, length);
    if (atomic_load(&how) == TY_IO_SHORT)
        return __real_write(fd, data, length / 2);
    if (is_done_first())
        (void)!__real_write(fd, data, length);
    return fail();
}

ssize_t __wrap_writev(int fd, const struct iovec *pieces, int count)
{
    if (!hits("writev"))
        return __real_writev(fd, pieces, count);
    if (atomic_load(&how) == TY_IO_SHORT && count > 1)
        return __real_writev(fd, pieces, count / 2);
    if (is_done_first())
        (void)!__real_writev(fd, pieces, count);
    return fail();
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t length, off_t offset)
{
    /* A root is a part of one of the first two pages. */
    if (!hits_if("pwrite", length < 4096 && offset < 2 * 4096))
        return __real_pwrite(fd, data, length, offset);
    if (atomic_load(&how) == TY_IO_SHORT)
        return __real_pwrite(fd, data, length / 2, offset);
    if (is_done_first())
        (void)!__real_pwrite(fd, data, length, offset);
    return fail();
}

ssize_t __wrap_pread(int fd, void *data, size_t length, off_t offset)
{
    return hits("pread") ? fail() : __real_pread(fd, data, length, offset);
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    int mode = 0;

    va_start(arguments, flags);
    if ((flags & O_CREAT) != 0)
        mode = va_arg(arguments, int);
    va_end(arguments);
    return hits("open") ? fail() : __real_open(path, flags, mode);
}

int __wrap_ftruncate(int fd, off_t length)
{
    return hits("ftruncate") ? fail() : __real_ftruncate(fd, length);
}

int __wrap_fsync(int fd)
{
    if (!hits("fsync"))
        return __real_fsync(fd);
    return is_done_first() && __real_fsync(fd) != 0 ? -1 : fail();
}

int __wrap_fdatasync(int fd)
{
    if (!hits("fdatasync"))
        return __real_fdatasync(fd);
    return is_done_first() && __real_fdatasync(fd) != 0 ? -1 : fail();
}
