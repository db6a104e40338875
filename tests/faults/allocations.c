#include "tests/faults/allocations.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
void __real_free(void *memory);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
void *__wrap_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
void __wrap_free(void *memory);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);

static _Atomic int64_t countdown; /* allocations until one fails; 0: none will */
static atomic_bool armed, stays_broken, has_hit;
static _Atomic int64_t live;

void ty_allocations_fail(uint64_t n, bool stays)
{
    atomic_store(&has_hit, false);
    atomic_store(&stays_broken, stays);
    atomic_store(&countdown, (int64_t)n);
    atomic_store(&armed, true);
}

bool ty_allocations_stop(void)
{
    atomic_store(&armed, false);
    return atomic_load(&has_hit);
}

int64_t ty_allocations_live(void)
{
    return atomic_load(&live);
}

static bool hits(void)
{
    int64_t left;

    if (!atomic_load(&armed))
        return false;
    left = atomic_fetch_sub(&countdown, 1) - 1;
    if (left > 0 || (left < 0 && !atomic_load(&stays_broken)))
        return false;
    atomic_store(&has_hit, true);
    errno = ENOMEM;
    return true;
}

static void *count(void *memory)
{
    if (memory != NULL)
        atomic_fetch_add(&live, 1);
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return hits() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t number, size_t size)
{
    return hits() ? NULL : count(__real_calloc(number, size));
}

void *ty_allocations_realloc(void *memory, size_t size)
{
    void *larger = __real_realloc(memory, size);

    return memory == NULL ? count(larger) : larger;
}

void *__wrap_realloc(void *memory, size_t size)
{
    return hits() ? NULL : ty_allocations_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return hits() ? NULL : count(__real_aligned_alloc(alignment, size));
}

char *__wrap_strdup(const char *text)
{
    char *copy = __wrap_malloc(strlen(text) + 1);

    return copy == NULL ? NULL : strcpy(copy, text);
}

void *__wrap_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return hits() ? MAP_FAILED : __real_mmap(address, length, protection, flags, fd, offset);
}

void __wrap_free(void *memory)
{
    if (memory != NULL)
        atomic_fetch_sub(&live, 1);
    __real_free(memory);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    return hits() ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
}
