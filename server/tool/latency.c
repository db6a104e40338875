#include "server/tool/latency.h"

#include <math.h>

#define SUB_BUCKETS (UINT64_C(1) << TY_LATENCY_SUB_BITS)

/* Below 64 every value has a bucket of its own; above, the leading 7 bits choose. */
static unsigned bucket_of(uint64_t value)
{
    unsigned shift;

    if (value < SUB_BUCKETS)
        return (unsigned)value;
    shift = 63 - (unsigned)__builtin_clzll(value) - TY_LATENCY_SUB_BITS;
    return (unsigned)((shift << TY_LATENCY_SUB_BITS) + (value >> shift));
}

static uint64_t upper_end(unsigned bucket)
{
    unsigned shift = bucket >> TY_LATENCY_SUB_BITS;

    if (shift <= 1)
        return bucket;
    shift--;
    return ((bucket - ((uint64_t)shift << TY_LATENCY_SUB_BITS) + 1) << shift) - 1;
}

void ty_latency_record(struct ty_latency *latency, int64_t duration_ns)
{
    int64_t duration = duration_ns < 0 ? 0 : duration_ns;

    latency->counts[bucket_of((uint64_t)duration)]++;
    latency->count++;
    if (duration > latency->max_ns)
        latency->max_ns = duration;
}

int64_t ty_latency_quantile(const struct ty_latency *latency, double share)
{
    uint64_t wanted = (uint64_t)ceil(share * (double)latency->count), seen = 0;

    for (unsigned bucket = 0; bucket < TY_LATENCY_BUCKETS && latency->count != 0; bucket++) {
        seen += latency->counts[bucket];
        if (seen >= wanted && seen != 0) {
            uint64_t end = upper_end(bucket);

            return end < (uint64_t)latency->max_ns ? (int64_t)end : latency->max_ns;
        }
    }
    return latency->max_ns;
}
