/*
 * threads.h: what the tests with real threads share.
 */
#ifndef TY_TESTS_CONCURRENCY_THREADS_H
#define TY_TESTS_CONCURRENCY_THREADS_H

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Says which promise is broken, with both values, and ends the test. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            check_failed(__FILE__, __LINE__, #condition);                                          \
    } while (0)

#define CHECK_EQ(want, got)                                                                        \
    do {                                                                                           \
        int64_t want_ = (int64_t)(want), got_ = (int64_t)(got);                                    \
                                                                                                   \
        if (want_ != got_) {                                                                       \
            fprintf(stderr, "want %" PRId64 ", got %" PRId64 "\n", want_, got_);                   \
            check_failed(__FILE__, __LINE__, #want " == " #got);                                   \
        }                                                                                          \
    } while (0)

static inline void check_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: not %s\n", file, line, condition);
    exit(1);
}

static inline pthread_t start_thread(void *(*run)(void *), void *argument)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, run, argument) == 0);
    return thread;
}

static inline void join_thread(pthread_t thread)
{
    CHECK(pthread_join(thread, NULL) == 0);
}

#endif
