#include "tests/engine/dedup_fixture.h"

#include <stdlib.h>

/* All parts of a span in order; every id's content is its number. */
static struct ty_id *collect_all(const struct ty_dedup *dedup, const struct ty_dedup_span *span,
                                 uint32_t *count)
{
    uint32_t most = 0;
    struct ty_id *all;

    *count = 0;
    for (uint32_t part = 0; part < TY_DEDUP_PARTS; part++)
        most += 2 * ty_dedup_part_max(dedup, part) + 1;
    all = calloc(most, sizeof(*all));
    for (uint32_t part = 0; part < TY_DEDUP_PARTS; part++)
        *count += ty_dedup_collect(dedup, span, part, all + *count);
    return all;
}

/* What is sealed must be just the ids up to a journal value, sorted, each with a time that is not
 * before it arrived: or ids are lost, or a restart finds them twice. */
Test(dedup_collect, collects_the_oldest_up_to_a_journal_value)
{
    struct ty_dedup *dedup = ty_dedup_new(1000000, PLENTY);
    struct ty_dedup_span span;
    struct ty_key gone;
    struct ty_id *ids;
    uint32_t count;

    for (uint64_t second = 0; second < 20; second++) { /* a value a second, with 1,000 ids */
        ty_dedup_advance(dedup, START_MS + (int64_t)second * 1000, 100 + second);
        add_numbers(dedup, second * 1000, 1000);
        gone = numbered_key(second * 1000 + 7);
        ty_dedup_remove(dedup, &gone); /* its commit failed */
    }
    cr_assert(!ty_dedup_oldest(dedup, 20000, 100, &span),
              "the newest second is not for collecting");
    cr_assert(ty_dedup_oldest(dedup, 4500, 100, &span));
    cr_assert_eq(span.sequence, 104u);
    cr_assert_eq(span.count, 5000u);
    cr_assert_eq(span.first_ms, START_MS);
    cr_assert_eq(span.last_ms, START_MS + 4000);
    ids = collect_all(dedup, &span, &count);
    cr_assert_eq(count, 5000u - 5);
    for (uint32_t i = 0; i < count; i++) {
        struct ty_key key = numbered_key(ids[i].content);

        cr_assert_eq(ty_key_compare(&ids[i].key, &key), 0);
        cr_assert_lt(ids[i].content, 5000u);
        cr_assert_eq(ids[i].arrived_ms, START_MS + (int64_t)(ids[i].content / 1000) * 1000);
        cr_assert(i == 0 || ty_key_compare(&ids[i - 1].key, &ids[i].key) < 0);
    }
    cr_assert(!ty_dedup_forget(dedup, &span, 3000));
    cr_assert(ty_dedup_forget(dedup, &span, 3000));
    cr_assert_eq(first_known(dedup, 5000), 5000u);
    cr_assert_eq(ty_dedup_gauges(dedup).entries, 15u * 999);
    cr_assert_eq(ty_dedup_gauges(dedup).forgotten_early, 0u);
    free(ids);
    ty_dedup_free(dedup);
}

/* A value that takes in more for a while ends where it ends, and arrived when it ended: or what is
 * sealed of it differs from what a restart reads in the journal. */
Test(dedup_collect, a_journal_value_that_goes_on_stays_one)
{
    struct ty_dedup *dedup = ty_dedup_new(1000000, PLENTY);
    struct ty_dedup_span span;
    struct ty_id *ids;
    uint32_t count;

    ty_dedup_advance(dedup, START_MS, 1);
    add_numbers(dedup, 0, 10);
    ty_dedup_advance(dedup, START_MS + 900, 2);
    add_numbers(dedup, 10, 10);
    ty_dedup_go_on(dedup, START_MS + 1700);
    add_numbers(dedup, 20, 10);
    ty_dedup_advance(dedup, START_MS + 3000, 3);
    add_numbers(dedup, 30, 10);
    cr_assert(ty_dedup_oldest(dedup, 1, 100, &span));
    cr_assert_eq(span.count, 30u);
    cr_assert_eq(span.sequence, 2u);
    cr_assert_eq(span.last_ms, START_MS + 1700);
    ids = collect_all(dedup, &span, &count);
    cr_assert_eq(count, 30u);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(ids[i].arrived_ms, START_MS + 1700);
    free(ids);
    ty_dedup_go_on(dedup, START_MS + 1700 + 1000000);
    cr_assert_eq(first_known(dedup, 40), 0u, "to the end of the window");
    ty_dedup_go_on(dedup, START_MS + 1700 + 1000001);
    cr_assert_eq(first_known(dedup, 40), 30u);
    ty_dedup_free(dedup);
}

/* A commit that fails gives its journal value back, and so does one that was decided on top of it.
 * Ids that come later with that value must not pass for older ones, or a restart misses them. */
Test(dedup_collect, a_journal_value_given_back_is_not_sealed)
{
    struct ty_dedup *dedup = ty_dedup_new(1000000, PLENTY);
    struct ty_dedup_span span;
    struct ty_key gone[2] = {numbered_key(10), numbered_key(11)};

    ty_dedup_advance(dedup, START_MS, 1);
    add_numbers(dedup, 0, 10);
    ty_dedup_advance(dedup, START_MS + 2000, 2);
    add_numbers(dedup, 10, 1);
    ty_dedup_advance(dedup, START_MS + 4000, 3);
    add_numbers(dedup, 11, 1);
    for (size_t i = 0; i < 2; i++)
        ty_dedup_remove(dedup, &gone[i]); /* both failed */
    ty_dedup_advance(dedup, START_MS + 4500, 2);
    add_numbers(dedup, 20, 10);
    ty_dedup_advance(dedup, START_MS + 6000, 3);
    add_numbers(dedup, 30, 10);
    for (uint64_t count = 1; ty_dedup_oldest(dedup, count, 100, &span); count++)
        cr_assert_eq(span.sequence, span.count <= 12 ? 1u : 2u, "%llu ids",
                     (unsigned long long)span.count);
    ty_dedup_free(dedup);
}

/* One id a second for a day: the seconds would take more memory than the ids. */
Test(dedup_collect, few_ids_over_a_long_time_are_collected_too)
{
    struct ty_dedup *dedup = ty_dedup_new(INT64_C(35) * 86400000, PLENTY);
    struct ty_dedup_span span;
    uint64_t second = 0;

    while (!ty_dedup_oldest(dedup, 1000000, 50000, &span)) {
        ty_dedup_advance(dedup, START_MS + (int64_t)second * 1000, second + 1);
        add_numbers(dedup, second++, 1);
        cr_assert_lt(second, UINT64_C(60000));
    }
    cr_assert_gt(second, 49000u);
    cr_assert_eq(span.count, span.sequence);
    ty_dedup_free(dedup);
}
