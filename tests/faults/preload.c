/*
 * preload.c: a library for LD_PRELOAD that lets calls of a real program on files fail.
 *
 * TALLY_FAULT_FILE names a file of one struct control, which the test writes and the program maps:
 * the test chooses at any time which call fails, and reads whether it did. Only descriptors of
 * files whose name ends in data.mdb count. tests/system/test_faults.py knows the layout.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* Little-endian numbers of 32 bits, as Python's struct writes "<5i". */
struct control {
    _Atomic int32_t countdown; /* calls until one fails; 0 or less: see `stays` */
    _Atomic int32_t code;      /* errno; 0: half of it is written */
    _Atomic int32_t stays;     /* 1: every call after that one fails, too */
    _Atomic int32_t armed;
    _Atomic int32_t hits;
};

static struct control nothing, *control;

static struct control *find_control(void)
{
    const char *path = getenv("TALLY_FAULT_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *mapped =
        fd < 0 ? MAP_FAILED
               : mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd >= 0)
        close(fd);
    return mapped == MAP_FAILED ? &nothing : mapped;
}

__attribute__((constructor)) static void begin(void)
{
    control = find_control();
}

static int is_data(int fd)
{
    static const char name[] = "data.mdb";
    char link[64], path[4096];
    ssize_t length;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof(path));
    return length >= (ssize_t)sizeof(name) - 1 &&
           memcmp(path + length - (sizeof(name) - 1), name, sizeof(name) - 1) == 0;
}

/* Whether this call must fail. */
static int hits(int fd)
{
    int32_t left;

    if (control == NULL || !atomic_load(&control->armed) || !is_data(fd))
        return 0;
    left = atomic_fetch_sub(&control->countdown, 1) - 1;
    if (left > 0 || (left < 0 && !atomic_load(&control->stays)))
        return 0;
    atomic_fetch_add(&control->hits, 1);
    return 1;
}

static int is_short(void)
{
    return atomic_load(&control->code) == 0;
}

static int fail(void)
{
    errno = is_short() ? EIO : atomic_load(&control->code);
    return -1;
}

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

ssize_t write(int fd, const void *data, size_t length)
{
    if (!hits(fd))
        return REAL(write)(fd, data, length);
    return is_short() ? REAL(write)(fd, data, length / 2) : fail();
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    if (!hits(fd))
        return REAL(pwrite)(fd, data, length, offset);
    return is_short() ? REAL(pwrite)(fd, data, length / 2, offset) : fail();
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    if (!hits(fd))
        return REAL(writev)(fd, pieces, count);
    return is_short() && count > 1 ? REAL(writev)(fd, pieces, count / 2) : fail();
}

int fdatasync(int fd)
{
    return hits(fd) ? fail() : REAL(fdatasync)(fd);
}

int fsync(int fd)
{
    return hits(fd) ? fail() : REAL(fsync)(fd);
}
