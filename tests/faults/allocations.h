/*
 * allocations.h: makes a chosen allocation of the program fail, and counts what is not freed.
 *
 * Links with ld's --wrap (tests/faults/CMakeLists.txt), so that it stands before the sanitizers'
 * allocator and works in every build. It is called for every malloc, calloc, realloc,
 * aligned_alloc, strdup, mmap and pthread_create of Tally's own objects and of what is linked
 * statically beside them: LMDB and zlib, where the system has them as archives.
 *
 * Threads: any; the count goes over all of them.
 */
#ifndef TY_TESTS_FAULTS_ALLOCATIONS_H
#define TY_TESTS_FAULTS_ALLOCATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The n-th allocation from now, counted from 1, fails; with `stays` all after it fail, too. */
void ty_allocations_fail(uint64_t n, bool stays);

/* No allocation fails any more. Returns whether one did. */
bool ty_allocations_stop(void);

/* Pieces of memory that are allocated and not freed. */
int64_t ty_allocations_live(void);

/* realloc() that never fails so: for what cannot bear it. */
void *ty_allocations_realloc(void *memory, size_t size);

#endif
