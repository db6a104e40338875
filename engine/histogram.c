#include "engine/histogram.h"

void ty_histogram_record(struct ty_histogram *histogram, int64_t duration_ns)
{
    uint64_t ns = duration_ns < 0 ? 0 : (uint64_t)duration_ns;
    uint64_t limit_ns = 1000;
    unsigned bucket = 0;

    for (; bucket < TY_HISTOGRAM_BUCKETS - 1 && ns > limit_ns; bucket++)
        limit_ns *= 2;
    ty_atomic_add(&histogram->counts[bucket], 1, memory_order_relaxed);
    ty_atomic_add(&histogram->sum_ns, ns, memory_order_relaxed);
}

void ty_histogram_add_counts(const struct ty_histogram *histogram,
                             uint64_t counts[TY_HISTOGRAM_BUCKETS])
{
    for (unsigned i = 0; i < TY_HISTOGRAM_BUCKETS; i++)
        counts[i] +=
            ty_atomic_load((_Atomic uint64_t *)&histogram->counts[i], memory_order_relaxed);
}

int64_t ty_histogram_quantile_us(const uint64_t counts[TY_HISTOGRAM_BUCKETS], unsigned permille)
{
    uint64_t total = 0, wanted, seen = 0;

    TY_ASSERT(permille >= 1 && permille <= 1000);
    for (unsigned i = 0; i < TY_HISTOGRAM_BUCKETS; i++)
        total += counts[i];
    if (total == 0)
        return 0;
    /* Rounded up, in two parts so that no count is too large. */
    wanted = total / 1000 * permille + (total % 1000 * permille + 999) / 1000;
    for (unsigned i = 0; i + 1 < TY_HISTOGRAM_BUCKETS; i++) {
        seen += counts[i];
        if (seen >= wanted)
            return INT64_C(1) << i;
    }
    return -1;
}
