#include "server/metrics_text.h"

uint64_t ty_metrics_value(const struct ty_metric *metric, const void *counters)
{
    const char *bytes = counters;

    return ty_atomic_load((const _Atomic uint64_t *)(const void *)(bytes + metric->offset),
                          memory_order_relaxed);
}

void ty_metrics_head(struct ty_buffer *out, const char *name, const char *type, const char *help)
{
    ty_buffer_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void ty_metrics_sample(struct ty_buffer *out, const char *name, const char *labels, uint64_t value)
{
    ty_buffer_append_format(out, "%s%s %llu\n", name, labels, (unsigned long long)value);
}

void ty_metrics_one(struct ty_buffer *out, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    ty_metrics_head(out, name, type, help);
    ty_metrics_sample(out, name, "", value);
}

/* Bucket bounds are powers of two of a microsecond (histogram.h). */
void ty_metrics_histogram(struct ty_buffer *out, const char *name, const char *help,
                          struct ty_histogram *const *histograms, size_t count)
{
    uint64_t cumulated = 0, sum_ns = 0;

    ty_metrics_head(out, name, "histogram", help);
    for (unsigned bucket = 0; bucket < TY_HISTOGRAM_BUCKETS; bucket++) {
        for (size_t i = 0; i < count; i++)
            cumulated += ty_atomic_load(&histograms[i]->counts[bucket], memory_order_relaxed);
        if (bucket + 1 < TY_HISTOGRAM_BUCKETS)
            ty_buffer_append_format(out, "%s_bucket{le=\"%g\"} %llu\n", name,
                                    (double)(1u << bucket) / 1e6, (unsigned long long)cumulated);
    }
    for (size_t i = 0; i < count; i++)
        sum_ns += ty_atomic_load(&histograms[i]->sum_ns, memory_order_relaxed);
    ty_buffer_append_format(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.9f\n%s_count %llu\n", name,
                            (unsigned long long)cumulated, name, (double)sum_ns / 1e9, name,
                            (unsigned long long)cumulated);
}
