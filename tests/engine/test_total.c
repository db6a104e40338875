#include "engine/total.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <string.h>

static struct ty_slot_sum random_sum(struct ty_random *random)
{
    return (struct ty_slot_sum){.events = ty_random_below(random, 1u << 30),
                                .credits = (int64_t)ty_random_u64(random),
                                .documents = ty_random_wide(random),
                                .pages = ty_random_wide(random),
                                .processing_ms = ty_random_wide(random)};
}

/* Every measure of an event has to arrive in its own sum. */
Test(total, counts_each_measure_of_an_event)
{
    struct ty_event event = {.credits = -7, .documents = 2, .pages = 3, .processing_ms = 4};
    struct ty_slot_sum sum = {0};

    cr_assert(ty_slot_sum_add(&sum, &event));
    cr_assert(ty_slot_sum_add(&sum, &event));
    cr_assert_eq(sum.events, 2u);
    cr_assert_eq(sum.credits, -14);
    cr_assert_eq(sum.documents, 4u);
    cr_assert_eq(sum.pages, 6u);
    cr_assert_eq(sum.processing_ms, 8u);
}

/* A slot that would overflow refuses the event before anything of it is counted. */
Test(total, refuses_an_overflow_and_stays_as_it_was)
{
    static const struct {
        struct ty_slot_sum sum;
        struct ty_event event;
        bool fits;
    } cases[] = {
        {{.events = UINT64_MAX}, {.pages = 1}, false},
        {{.events = UINT64_MAX - 1}, {.pages = 1}, true},
        {{.credits = INT64_MAX}, {.credits = 1}, false},
        {{.credits = INT64_MAX - 1}, {.credits = 1}, true},
        {{.credits = INT64_MIN}, {.credits = -1}, false},
        {{.credits = INT64_MAX}, {.credits = -1}, true},
        {{.documents = UINT64_MAX}, {.documents = 1, .credits = 5}, false},
        {{.documents = UINT64_MAX - 1}, {.documents = 1}, true},
        {{.pages = UINT64_MAX}, {.pages = 1, .credits = 5}, false},
        {{.pages = UINT64_MAX}, {.pages = 0}, true},
        {{.processing_ms = UINT64_MAX - 4}, {.processing_ms = 5, .credits = 5}, false},
        {{.processing_ms = UINT64_MAX - 5}, {.processing_ms = 5}, true},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_slot_sum sum = cases[i].sum;

        cr_assert_eq(ty_slot_sum_add(&sum, &cases[i].event), cases[i].fits, "case %zu", i);
        cr_assert_eq(memcmp(&sum, &cases[i].sum, sizeof(sum)) == 0, !cases[i].fits, "case %zu", i);
    }
}

/* A void takes out what its event had put in, all of it or, where that cannot be, nothing. */
Test(total, an_event_is_taken_out_whole_or_not_at_all)
{
    static const struct {
        struct ty_slot_sum sum;
        struct ty_event event;
        bool fits;
    } cases[] = {
        {{.events = 1, .credits = -3, .pages = 1}, {.credits = -3, .pages = 1}, true},
        {{.events = 2, .credits = INT64_MIN + 1}, {.credits = 1}, true},
        {{.events = 2, .credits = INT64_MIN}, {.credits = 1}, false},
        {{.events = 2, .credits = INT64_MAX}, {.credits = -1}, false},
        {{.credits = 1}, {.credits = 1}, false},
        {{.events = 1, .documents = 1}, {.documents = 2}, false},
        {{.events = 1, .pages = 1}, {.pages = 2}, false},
        {{.events = 1, .processing_ms = 1}, {.processing_ms = 2}, false},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_slot_sum sum = cases[i].sum;

        cr_assert_eq(ty_slot_sum_subtract(&sum, &cases[i].event), cases[i].fits, "case %zu", i);
        if (cases[i].fits)
            cr_assert(ty_slot_sum_add(&sum, &cases[i].event));
        cr_assert_eq(memcmp(&sum, &cases[i].sum, sizeof(sum)), 0, "case %zu", i);
    }
}

/* Slots at their limits add up beyond 64 bits; the bill of a year must not wrap around. */
Test(total, sums_of_slots_are_exact_beyond_64_bits)
{
    const struct ty_slot_sum most = {.events = 1,
                                     .credits = INT64_MAX,
                                     .documents = UINT64_MAX,
                                     .pages = UINT64_MAX,
                                     .processing_ms = UINT64_MAX};
    struct ty_total total = {0}, twice = {0};

    for (int i = 0; i < 1000; i++)
        ty_total_add_slot(&total, &most);
    cr_assert_eq(total.events, 1000u);
    cr_assert(total.credits == (ty_int128)INT64_MAX * 1000);
    cr_assert(total.documents == (ty_int128)UINT64_MAX * 1000);
    cr_assert(total.pages == (ty_int128)UINT64_MAX * 1000);
    cr_assert(total.processing_ms == (ty_int128)UINT64_MAX * 1000);
    ty_total_add(&twice, &total);
    ty_total_add(&twice, &total);
    cr_assert(twice.credits == (ty_int128)INT64_MAX * 2000);
    cr_assert(twice.pages == (ty_int128)UINT64_MAX * 2000);
    cr_assert(!ty_total_equal(&total, &twice));
}

/* A month stays right while its slots change: replacing is taking out and adding. */
Test(total, replacing_slots_equals_summing_them_anew)
{
    struct ty_slot_sum slots[50] = {{0}};
    struct ty_total total = {0}, expected;
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 20000; n++) {
        size_t i = (size_t)ty_random_below(&random, TY_COUNT_OF(slots));
        struct ty_slot_sum next = random_sum(&random);

        ty_total_replace_slot(&total, &slots[i], &next);
        slots[i] = next;
        if (n % 100 != 0)
            continue;
        expected = (struct ty_total){0};
        for (size_t j = 0; j < TY_COUNT_OF(slots); j++)
            ty_total_add_slot(&expected, &slots[j]);
        cr_assert(ty_total_equal(&total, &expected));
    }
}

/* Totals that differ in one measure only are different ones. */
Test(total, equality_looks_at_every_measure)
{
    const struct ty_total zero = {0};
    const struct ty_total others[] = {{.events = 1},
                                      {.credits = (ty_int128)1 << 100},
                                      {.documents = 1},
                                      {.pages = (ty_int128)1 << 64},
                                      {.processing_ms = 1}};

    cr_assert(ty_total_equal(&zero, &zero));
    for (size_t i = 0; i < TY_COUNT_OF(others); i++)
        cr_assert(!ty_total_equal(&zero, &others[i]), "measure %zu", i);
}

/* Readers get totals as words; each bit has to come back. */
Test(total, survives_being_words)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 20000; n++) {
        uint64_t words[TY_TOTAL_WORDS];
        struct ty_slot_sum sum = random_sum(&random), sum_back;
        struct ty_total total, back;

        ty_random_fill(&random, words, sizeof(words));
        ty_total_from_words(&total, words);
        memset(words, 0, sizeof(words));
        ty_total_to_words(&total, words);
        ty_total_from_words(&back, words);
        cr_assert(ty_total_equal(&total, &back));
        ty_slot_sum_to_words(&sum, words);
        ty_slot_sum_from_words(&sum_back, words);
        cr_assert_eq(memcmp(&sum, &sum_back, sizeof(sum)), 0);
    }
}
