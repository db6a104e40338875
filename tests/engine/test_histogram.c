#include "engine/histogram.h"

#include <criterion/criterion.h>

/* Latency alerts go by these buckets: a duration on a boundary belongs to the bucket it names. */
Test(histogram, counts_each_duration_in_the_smallest_bucket_that_holds_it)
{
    int64_t limit_ns = 1000;

    for (unsigned bucket = 0; bucket < TY_HISTOGRAM_BUCKETS; bucket++, limit_ns *= 2) {
        struct ty_histogram histogram = {0};
        bool last = bucket == TY_HISTOGRAM_BUCKETS - 1;

        ty_histogram_record(&histogram, limit_ns);
        ty_histogram_record(&histogram, limit_ns / 2 + 1);
        ty_histogram_record(&histogram, limit_ns + 1);
        cr_assert_eq(atomic_load(&histogram.counts[bucket]), last ? 3u : 2u, "bucket %u", bucket);
        if (!last)
            cr_assert_eq(atomic_load(&histogram.counts[bucket + 1]), 1u);
        cr_assert_eq(atomic_load(&histogram.sum_ns), (uint64_t)(2 * limit_ns + limit_ns / 2 + 2));
    }
}

/* Odd clocks must neither crash nor be lost. */
Test(histogram, takes_negative_and_huge_durations)
{
    struct ty_histogram histogram = {0};

    ty_histogram_record(&histogram, -5);
    ty_histogram_record(&histogram, INT64_MIN);
    ty_histogram_record(&histogram, 0);
    cr_assert_eq(atomic_load(&histogram.counts[0]), 3u);
    cr_assert_eq(atomic_load(&histogram.sum_ns), 0u);
    ty_histogram_record(&histogram, INT64_MAX);
    cr_assert_eq(atomic_load(&histogram.counts[TY_HISTOGRAM_BUCKETS - 1]), 1u);
}

/* Operators read latencies off these: a quantile must never promise less than what was measured. */
Test(histogram, a_quantile_is_the_bound_of_the_bucket_that_holds_it)
{
    struct ty_histogram histogram = {0}, other = {0};
    uint64_t counts[TY_HISTOGRAM_BUCKETS] = {0};

    cr_assert_eq(ty_histogram_quantile_us(counts, 500), 0, "nothing was counted");
    for (int i = 0; i < 98; i++)
        ty_histogram_record(i % 2 == 0 ? &histogram : &other, 3000); /* 3 us, so at most 4 */
    ty_histogram_record(&histogram, 900 * 1000);
    ty_histogram_record(&other, INT64_C(3000) * 1000 * 1000);
    ty_histogram_add_counts(&histogram, counts);
    ty_histogram_add_counts(&other, counts);

    cr_assert_eq(ty_histogram_quantile_us(counts, 1), 4);
    cr_assert_eq(ty_histogram_quantile_us(counts, 500), 4);
    cr_assert_eq(ty_histogram_quantile_us(counts, 980), 4);
    cr_assert_eq(ty_histogram_quantile_us(counts, 981), 1024);
    cr_assert_eq(ty_histogram_quantile_us(counts, 990), 1024);
    cr_assert_eq(ty_histogram_quantile_us(counts, 1000), 4194304);
}

/* What took longer than the last bound must not look like 16.8 s, nor a huge count like none. */
Test(histogram, a_quantile_beyond_the_last_bound_says_so)
{
    uint64_t counts[TY_HISTOGRAM_BUCKETS] = {0};

    counts[0] = UINT64_MAX / 2;
    counts[TY_HISTOGRAM_BUCKETS - 1] = 1;
    cr_assert_eq(ty_histogram_quantile_us(counts, 999), 1);
    cr_assert_eq(ty_histogram_quantile_us(counts, 1000), -1);
}
