/*
 * metrics_text.h: the parts of Prometheus' text format, version 0.0.4
 * (github.com/prometheus/docs, "Exposition formats").
 *
 * Threads: any; atomics are read relaxed.
 */
#ifndef TY_SERVER_METRICS_TEXT_H
#define TY_SERVER_METRICS_TEXT_H

#include "engine/buffer.h"
#include "server/app.h"

/* A metric whose value is an _Atomic uint64_t of some struct. */
struct ty_metric {
    const char *name;
    const char *type; /* "counter" or "gauge" */
    const char *help;
    size_t offset; /* of the value in the struct */
};

#define TY_METRIC(of, name, type, member, help)                                                    \
    {                                                                                              \
        name, type, help, offsetof(struct of, member)                                              \
    }

/* ty_metrics_value reads a metric's value out of its struct. */
uint64_t ty_metrics_value(const struct ty_metric *metric, const void *counters);

/* ty_metrics_head appends the two lines before a metric's samples. */
void ty_metrics_head(struct ty_buffer *out, const char *name, const char *type, const char *help);

/* ty_metrics_sample appends a sample; `labels` with their braces, or "". */
void ty_metrics_sample(struct ty_buffer *out, const char *name, const char *labels, uint64_t value);

/* ty_metrics_one appends a metric of one sample without labels. */
void ty_metrics_one(struct ty_buffer *out, const char *name, const char *type, const char *help,
                    uint64_t value);

/* ty_metrics_histogram appends the sum of `count` histograms, in seconds. */
void ty_metrics_histogram(struct ty_buffer *out, const char *name, const char *help,
                          struct ty_histogram *const *histograms, size_t count);

/* ty_metrics_forward appends those of the Forward protocol, summed over the loops (a file of its
 * own: metrics_forward.c). */
void ty_metrics_forward(struct ty_buffer *out, struct ty_app *app);

#endif
