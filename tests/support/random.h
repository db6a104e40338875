/*
 * random.h: repeatable random numbers for tests.
 *
 * Every run takes a new seed, and a Criterion program that fails prints it (seed_report.c):
 * set TALLY_TEST_SEED to run it again with the same numbers. A program with a main() of its own
 * prints ty_random_seed() itself.
 *
 * Threads: one owner a generator.
 */
#ifndef TY_TESTS_SUPPORT_RANDOM_H
#define TY_TESTS_SUPPORT_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct ty_random {
    uint64_t state;
};

/* ty_random_seed returns TALLY_TEST_SEED. If it is not set, it is set to a new number first, so
 * that this process and those that it starts all use the same. */
static inline uint64_t ty_random_seed(void)
{
    const char *text = getenv("TALLY_TEST_SEED");

    if (text == NULL) {
        char fresh[24];
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        snprintf(fresh, sizeof(fresh), "%lld",
                 (long long)now.tv_sec % 1000000 * 1000 + now.tv_nsec / 1000000);
        setenv("TALLY_TEST_SEED", fresh, 1);
        text = getenv("TALLY_TEST_SEED");
    }
    return strtoull(text, NULL, 10);
}

/* Equal seeds give equal numbers, on every machine. */
static inline void ty_random_init(struct ty_random *random, uint64_t seed)
{
    random->state = seed;
}

/* SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014): a
 * counter in steps of the golden ratio, and a mixer. */
static inline uint64_t ty_random_u64(struct ty_random *random)
{
    uint64_t mixed = random->state += UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

/* A number in 0..n-1, n > 0; the bias of the remainder is of no weight in tests. */
static inline uint64_t ty_random_below(struct ty_random *random, uint64_t n)
{
    return ty_random_u64(random) % n;
}

/* True once in n calls, on average. */
static inline bool ty_random_one_in(struct ty_random *random, uint64_t n)
{
    return ty_random_below(random, n) == 0;
}

/* Fills memory with random bytes. */
static inline void ty_random_fill(struct ty_random *random, void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)data)[i] = (uint8_t)ty_random_u64(random);
}

/* A number of 0 to 64 significant bits, each width as likely as any other, so that small ones and
 * extremes come up alike. */
static inline uint64_t ty_random_wide(struct ty_random *random)
{
    uint64_t bits = ty_random_below(random, 65);

    return bits == 0 ? 0 : ty_random_u64(random) >> (64 - bits);
}

#endif
