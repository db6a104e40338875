#include "server/tool/latency.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* A p99 that is off by more than the promise would sell a slow server as a fast one. */
Test(latency, quantiles_are_those_of_the_sorted_durations_within_a_bucket)
{
    static const double shares[] = {0.001, 0.5, 0.9, 0.99, 0.999, 1};
    enum { COUNT = 20000 };
    struct ty_random random;
    static int64_t durations[COUNT];
    static struct ty_latency latency;

    ty_random_init(&random, ty_random_seed());
    for (unsigned round = 0; round < 20; round++) {
        unsigned bits = 1 + (unsigned)ty_random_below(&random, 50);

        memset(&latency, 0, sizeof(latency));
        for (size_t i = 0; i < COUNT; i++) {
            durations[i] = (int64_t)(ty_random_u64(&random) >> (64 - bits));
            ty_latency_record(&latency, durations[i]);
        }
        qsort(durations, COUNT, sizeof(*durations), compare);
        for (size_t i = 0; i < sizeof(shares) / sizeof(*shares); i++) {
            int64_t exact = durations[(size_t)(shares[i] * COUNT + 0.5) - 1];
            int64_t told = ty_latency_quantile(&latency, shares[i]);

            cr_assert(told >= exact && told <= exact + exact / 64, "share %g: %lld for %lld",
                      shares[i], (long long)told, (long long)exact);
        }
    }
}

/* The smallest and the largest value must not fall out of the table. */
Test(latency, extremes_are_counted)
{
    static struct ty_latency latency;

    cr_assert_eq(ty_latency_quantile(&latency, 0.5), 0);
    ty_latency_record(&latency, -5);
    cr_assert_eq(ty_latency_quantile(&latency, 1), 0);
    ty_latency_record(&latency, INT64_MAX);
    cr_assert_eq(ty_latency_quantile(&latency, 1), INT64_MAX);
    cr_assert_eq(ty_latency_quantile(&latency, 0.5), 0);
    cr_assert_eq(latency.count, 2);
}
