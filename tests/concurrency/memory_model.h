/*
 * memory_model.h: a machine that does everything the C11 memory model allows, for small programs.
 *
 * Compile code that uses engine/atomics.h with
 * -DTY_ATOMICS_MODEL="tests/concurrency/memory_model.h" and its atomic operations, and its memory,
 * come here. The threads of a program are coroutines; at every atomic operation a seeded or
 * exhaustive scheduler picks who goes on, and which value a load returns of all those that C11 lets
 * it return. x86 shows hardly any of these executions, and ThreadSanitizer only those that x86
 * shows.
 *
 * The model is RC11 (Lahav and others, "Repairing Sequential Consistency in C/C++11", PLDI 2017)
 * without fences, as a machine with views (Kang and others, "A Promising Semantics for
 * Relaxed-Memory Concurrency", POPL 2017, without promises):
 *
 *   A location keeps every value ever stored in it, in order: its messages.
 *   A thread has a view: for every location, the oldest message that it may still read.
 *   A load returns any message that is not older than the view, and moves the view there.
 *   A release store puts the thread's view into the message; an acquire load joins it to its own.
 *   A read-modify-write reads the newest message and hands on the view in it (release sequence).
 *   A seq_cst load reads nothing older than the last seq_cst store to the same location; the order
 *     of execution is the total order S.
 *
 * Stores to one location are ordered as they are executed. That loses no execution where a location
 * has one writer, or is changed by read-modify-writes only, as here. A relaxed store after a
 * release store of the same thread ends the release sequence, as since C++20: the weaker reading.
 *
 * Besides, the machine finds races on plain memory that the program declares (ty_model_plain_*),
 * and memory that is touched after it was freed, or freed while another thread's touch of it is not
 * ordered before: it counts every thread's operations, and views carry these counts (vector
 * clocks).
 *
 * Threads: one machine a process, used by one real thread.
 */
#ifndef TY_TESTS_CONCURRENCY_MEMORY_MODEL_H
#define TY_TESTS_CONCURRENCY_MEMORY_MODEL_H

#include <stdatomic.h> /* for memory_order, and for atomic_init, which is a plain store here */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define TY_MODEL_THREADS 4

/* A program: run[i] is thread i's; `start` runs before all of them, and is seen by all. */
struct ty_model_program {
    const char *name;
    unsigned threads; /* 1..TY_MODEL_THREADS */
    void (*start)(void);
    void (*run[TY_MODEL_THREADS])(void);
    void (*finish)(void); /* after all of them, and sees all; may be NULL */
};

struct ty_model_result {
    uint64_t executions;
    bool failed;   /* the last execution called ty_model_fail(), or the machine did */
    bool complete; /* ty_model_run_all() has seen every execution within its bounds */
    char reason[256];
};

/* ty_model_run_random runs a program with random choices until one execution fails, at most
 * `executions` times. Equal seeds make equal choices. */
struct ty_model_result ty_model_run_random(const struct ty_model_program *program, uint64_t seed,
                                           uint64_t executions);

/*
 * ty_model_run_all runs every execution in which the scheduler interrupts a thread that could go on
 * at most `interruptions` times (which values loads return is not bounded), one after the other,
 * until one fails; at most `executions` of them.
 */
struct ty_model_result ty_model_run_all(const struct ty_model_program *program,
                                        unsigned interruptions, uint64_t executions);

/* --- For the program's threads --- */

/* Ends the execution: a promise is broken. Does not return. */
_Noreturn void ty_model_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define ty_model_check(condition)                                                                  \
    ((condition) ? (void)0 : ty_model_fail("%s:%d: not %s", __FILE__, __LINE__, #condition))

/* A number below `count`, any: the machine tries them as it tries schedules. */
unsigned ty_model_choose(unsigned count);

/* Plain memory: the caller is about to read or write what is there. Fails on a race. */
void ty_model_plain_read(const volatile void *memory);
void ty_model_plain_write(const volatile void *memory);

/* --- What engine/atomics.h and code that allocates become --- */

uint64_t ty_model_load(const volatile void *location, size_t bytes, memory_order order);
void ty_model_store(volatile void *location, size_t bytes, uint64_t value, memory_order order);
uint64_t ty_model_add(volatile void *location, size_t bytes, uint64_t value, memory_order order);

/* The comma drops the _Atomic from the type. */
#define ty_model_type(object) __typeof__((void)0, *(object))
#define ty_atomic_load(object, order)                                                              \
    ((ty_model_type(object))ty_model_load(object, sizeof(*(object)), order))
#define ty_atomic_store(object, value, order)                                                      \
    ty_model_store(object, sizeof(*(object)), (uint64_t)(value), order)
#define ty_atomic_add(object, value, order)                                                        \
    ((ty_model_type(object))ty_model_add(object, sizeof(*(object)), (uint64_t)(value), order))
#define ty_atomic_sub(object, value, order) ty_atomic_add(object, -(uint64_t)(value), order)

/* Freed memory stays until the end of the execution, so that touching it is noticed. */
void *ty_model_calloc(size_t count, size_t bytes);
void ty_model_free(void *memory);

#ifndef TY_MODEL_OWN_MEMORY
#define calloc(count, bytes) ty_model_calloc(count, bytes)
#define free(memory)         ty_model_free(memory)
#endif

#endif
