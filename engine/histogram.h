/*
 * histogram.h: how long things took, in buckets that double, for latency metrics.
 *
 * Threads: any number may record and read at once; a reader may see a count without its sum.
 */
#ifndef TY_ENGINE_HISTOGRAM_H
#define TY_ENGINE_HISTOGRAM_H

#include "engine/atomics.h"
#include "engine/base.h"

/* Bucket i counts what took at most 2^i microseconds, the last one everything longer. */
#define TY_HISTOGRAM_BUCKETS 26 /* up to 16.8 s, then all the rest */

struct ty_histogram {
    _Atomic uint64_t counts[TY_HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_ns;
};

/* ty_histogram_record counts one duration; a negative one counts as 0. */
void ty_histogram_record(struct ty_histogram *histogram, int64_t duration_ns);

/* ty_histogram_add_counts adds a histogram's counts to others: several read as one. */
void ty_histogram_add_counts(const struct ty_histogram *histogram,
                             uint64_t counts[TY_HISTOGRAM_BUCKETS]);

/*
 * ty_histogram_quantile_us returns what so many of a thousand durations (1..1000) took at most, in
 * microseconds: the bound of the bucket that the last of them is in, so up to twice as long as it
 * took. 0 when nothing was counted; -1 when it lies in the last bucket, which has no bound.
 */
int64_t ty_histogram_quantile_us(const uint64_t counts[TY_HISTOGRAM_BUCKETS], unsigned permille);

#endif
