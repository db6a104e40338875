#include "server/metrics_text.h"

#include <criterion/criterion.h>
#include <string.h>

static struct ty_buffer out;

static void fini(void)
{
    ty_buffer_fini(&out);
}

TestSuite(metrics_text, .fini = fini);

static const char *text(void)
{
    ty_buffer_append_char(&out, '\0');
    cr_assert(ty_buffer_ok(&out));
    out.length--;
    return out.data;
}

/* Prometheus drops a whole scrape for one line that is out of form. */
Test(metrics_text, samples_have_the_documented_form)
{
    ty_metrics_one(&out, "tally_full", "gauge", "1: events are refused.", 0);
    ty_metrics_head(&out, "tally_events_total", "counter", "Records.");
    ty_metrics_sample(&out, "tally_events_total", "{shard=\"0\",result=\"accepted\"}", UINT64_MAX);
    ty_metrics_sample(&out, "tally_events_total", "{shard=\"1\",result=\"accepted\"}", 7);
    cr_assert_str_eq(text(), "# HELP tally_full 1: events are refused.\n"
                             "# TYPE tally_full gauge\n"
                             "tally_full 0\n"
                             "# HELP tally_events_total Records.\n"
                             "# TYPE tally_events_total counter\n"
                             "tally_events_total{shard=\"0\",result=\"accepted\"} "
                             "18446744073709551615\n"
                             "tally_events_total{shard=\"1\",result=\"accepted\"} 7\n");
}

/* A metric that reads its neighbour's number shows a lie for as long as nobody compares. */
Test(metrics_text, a_value_is_that_of_its_member)
{
    struct counters {
        uint64_t before;
        _Atomic uint64_t first, second;
    } counters = {.before = 1, .first = UINT64_MAX, .second = 3};
    static const struct ty_metric metrics[] = {
        TY_METRIC(counters, "a", "counter", second, "A."),
        TY_METRIC(counters, "b", "counter", first, "B."),
    };

    cr_assert_eq(ty_metrics_value(&metrics[0], &counters), 3u);
    cr_assert_eq(ty_metrics_value(&metrics[1], &counters), UINT64_MAX);
    cr_assert_str_eq(metrics[1].name, "b");
    cr_assert_str_eq(metrics[1].help, "B.");
}

/* The number of a bucket; cr_asserts that it is there. */
static unsigned long long bucket(const char *le)
{
    char line[64];
    const char *at;

    snprintf(line, sizeof(line), "t_bucket{le=\"%s\"} ", le);
    at = strstr(text(), line);
    cr_assert_not_null(at, "%s in:\n%s", line, text());
    return strtoull(at + strlen(line), NULL, 10);
}

/* Quantiles are computed from the buckets: each counts what all before it do, and the last one,
 * which has no bound, everything. */
Test(metrics_text, buckets_of_a_histogram_cumulate)
{
    struct ty_histogram a = {0}, b = {0};
    struct ty_histogram *const both[] = {&a, &b};

    ty_histogram_record(&a, 900);                       /* under 1 us */
    ty_histogram_record(&a, 1500);                      /* 2 us */
    ty_histogram_record(&b, INT64_C(1000000));          /* 1 ms */
    ty_histogram_record(&b, INT64_C(100000000000));     /* beyond all bounds */
    ty_metrics_histogram(&out, "t", "Times.", both, 2); /* in all: 100.0010024 s */
    cr_assert_eq(strncmp(text(), "# HELP t Times.\n# TYPE t histogram\nt_bucket{le=\"1e-06\"} 1\n",
                         strlen("# HELP t Times.\n# TYPE t histogram\nt_bucket{le=\"1e-06\"} 1\n")),
                 0, "%s", text());
    cr_assert_eq(bucket("2e-06"), 2u);
    cr_assert_eq(bucket("0.000512"), 2u);
    cr_assert_eq(bucket("0.001024"), 3u);
    cr_assert_eq(bucket("16.7772"), 3u);
    cr_assert_eq(bucket("+Inf"), 4u);
    cr_assert_not_null(strstr(text(), "\nt_sum 100.001002400\nt_count 4\n"), "%s", text());
}

/* Every bound is more than the one before, or Prometheus refuses the histogram; and they are always
 * the same ones, also when nothing was counted, or rates over a restart are of nothing. */
Test(metrics_text, an_empty_histogram_has_all_buckets)
{
    struct ty_histogram none = {0};
    struct ty_histogram *one = &none;
    double last = 0;
    unsigned buckets = 0;

    ty_metrics_histogram(&out, "t", "Times.", &one, 1);
    for (const char *at = text(); (at = strstr(at, "le=\"")) != NULL; buckets++) {
        double bound = strtod(at += 4, NULL);

        cr_assert_gt(bound, last);
        last = bound;
        at = strchr(at, '}');
        cr_assert_eq(strncmp(at, "} 0\n", 4), 0, "%s", text());
    }
    cr_assert_eq(buckets, (unsigned)TY_HISTOGRAM_BUCKETS);
    cr_assert_not_null(strstr(text(), "t_sum 0.000000000\nt_count 0\n"), "%s", text());
}
