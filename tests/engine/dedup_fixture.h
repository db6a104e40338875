/*
 * dedup_fixture.h: ids by number, whose content is the number.
 */
#ifndef TY_TESTS_ENGINE_DEDUP_FIXTURE_H
#define TY_TESTS_ENGINE_DEDUP_FIXTURE_H

#include "engine/dedup.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <inttypes.h>

#define PLENTY   (UINT64_C(1) << 30)
#define START_MS INT64_C(1700000000000)

static inline struct ty_key numbered_key(uint64_t number)
{
    struct ty_random mixer;
    struct ty_key key;

    ty_random_init(&mixer, number * 2654435761u);
    key.high = ty_random_u64(&mixer);
    key.low = ty_random_u64(&mixer);
    return key;
}

static inline void add_numbers(struct ty_dedup *dedup, uint64_t first, uint64_t count)
{
    for (uint64_t n = first; n < first + count; n++) {
        struct ty_key key = numbered_key(n);

        if (!ty_dedup_add(dedup, &key, n))
            cr_assert(false, "no memory");
    }
}

/* Which of the ids from 0 to `count` are known: all from some point on, none before. Returns that
 * point. */
static inline uint64_t first_known(struct ty_dedup *dedup, uint64_t count)
{
    uint64_t first = count;

    for (uint64_t i = 0; i < count; i++) {
        struct ty_key key = numbered_key(i);
        bool known = ty_dedup_find(dedup, &key, i) == TY_DEDUP_SAME;

        if (known && first == count)
            first = i;
        if (known != (i >= first))
            cr_assert(false, "id %" PRIu64 " of %" PRIu64 " is out of order", i, first);
    }
    return first;
}

#endif
