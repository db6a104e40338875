/*
 * sample_plan.h: an invented company's customers: who runs what, how much of it, and when.
 *
 * Everything is integer arithmetic, so that a seed gives the same events on every machine.
 * Threads: pure functions.
 */
#ifndef TY_BENCH_SAMPLE_PLAN_H
#define TY_BENCH_SAMPLE_PLAN_H

#include "engine/base.h"

/* How a customer's software writes the time of an event. */
enum ty_sample_time_style { TY_SAMPLE_TIME_UTC, TY_SAMPLE_TIME_OFFSET, TY_SAMPLE_TIME_MS };

struct ty_sample_customer {
    const char *name;
    enum ty_sample_time_style time_style;
    bool credits_as_text;
    int32_t weekend_percent; /* of a working day's events */
    int32_t growth_percent;  /* the rate at the end of the range, of that at its start */
    uint32_t user_count;     /* 0: no user_id is sent */
};

struct ty_sample_workflow {
    uint32_t customer; /* an index of ty_sample_customers */
    const char *name;
    int32_t from_percent;  /* of the range: created then */
    int32_t until_percent; /* deleted then; 100 is still there */
    int32_t events_per_day;
    uint32_t documents_max; /* in one event */
    uint32_t pages_max;     /* in one document */
    int64_t micros_per_document;
    int64_t micros_per_page;
    uint32_t ms_per_page;
};

extern const struct ty_sample_customer ty_sample_customers[];
extern const size_t ty_sample_customer_count;
extern const struct ty_sample_workflow ty_sample_workflows[];
extern const size_t ty_sample_workflow_count;

/*
 * ty_sample_rate is how many thousandths of an event a workflow has on average in the hour that
 * begins at `hour_ms`, a time in the range start_ms..end_ms: office hours, weekends, quiet weeks
 * in summer and at the end of the year, busy first days of a month, and growth over the range.
 * 0 before it is created and after it is deleted.
 */
int64_t ty_sample_rate(const struct ty_sample_workflow *workflow, int64_t hour_ms, int64_t start_ms,
                       int64_t end_ms);

#endif
