/*
 * base.h: the few things that every file may use: assertions, wide integers, small helpers.
 *
 * Threads: nothing here has state.
 */
#ifndef TY_ENGINE_BASE_H
#define TY_ENGINE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A programmer error, checked in every build: a wrong invoice costs more than a stopped process. */
#define TY_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : ty_assert_failed(#condition, __FILE__, __LINE__))

/* Prints the broken condition to stderr and aborts. */
_Noreturn void ty_assert_failed(const char *condition, const char *file, int line);

#define TY_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define TY_CACHE_LINE      64
#define TY_MIN(a, b)       ((a) < (b) ? (a) : (b))
#define TY_MAX(a, b)       ((a) > (b) ? (a) : (b))

/* Starts loading memory that is needed soon; any address will do. The empty statement is an effect:
 * gcc takes a function that does nothing but prefetch for one without any, and drops calls of it.
 */
static inline void ty_prefetch(const void *memory)
{
    __builtin_prefetch(memory);
    __asm__ volatile("");
}

/* The structure that holds `member`, of which `pointer` is the address. */
#define TY_CONTAINER_OF(pointer, type, member)                                                     \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* gcc and clang have 128-bit integers on every 64-bit machine; C11 has no name for them. */
__extension__ typedef __int128 ty_int128;
__extension__ typedef unsigned __int128 ty_uint128;

/* Text that somebody else owns; not terminated by a zero. `data` may be NULL when `length` is 0. */
struct ty_text {
    const char *data;
    size_t length;
};

#endif
