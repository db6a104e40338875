/*
 * latency.h: a histogram of durations whose quantiles are true within 1.6 %.
 *
 * Log-linear buckets, 64 for each doubling, as in Gil Tene's HDR Histogram (hdrhistogram.org), from
 * a nanosecond up to centuries, in a fixed amount of memory.
 * Threads: one owner at a time.
 */
#ifndef TY_SERVER_TOOL_LATENCY_H
#define TY_SERVER_TOOL_LATENCY_H

#include <stdint.h>

#define TY_LATENCY_SUB_BITS 6
#define TY_LATENCY_BUCKETS  ((64 - TY_LATENCY_SUB_BITS) << TY_LATENCY_SUB_BITS)

/* All zero is empty. */
struct ty_latency {
    uint64_t counts[TY_LATENCY_BUCKETS];
    uint64_t count;
    int64_t max_ns;
};

/* ty_latency_record counts one duration; a negative one counts as 0. */
void ty_latency_record(struct ty_latency *latency, int64_t duration_ns);

/*
 * ty_latency_quantile returns the duration that a share of the recorded ones (0 < share <= 1) did
 * not exceed: the upper end of its bucket, but never more than the longest one. 0 when empty.
 */
int64_t ty_latency_quantile(const struct ty_latency *latency, double share);

#endif
