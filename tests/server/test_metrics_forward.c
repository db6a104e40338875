/*
 * test_metrics_forward.c: counters of three loops, which are not there: what shows them to the
 * metrics is replaced by the linker (CMakeLists.txt).
 */
#include "server/io_loop.h"
#include "server/metrics_text.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define LOOPS 3

static struct ty_forward_counters counters[LOOPS];
static size_t next_loop;

void __wrap_ty_io_loop_with_forward_counters(
    struct ty_io_loop *loop, void (*use)(void *context, const struct ty_forward_counters *counters),
    void *context);

void __wrap_ty_io_loop_with_forward_counters(
    struct ty_io_loop *loop, void (*use)(void *context, const struct ty_forward_counters *counters),
    void *context)
{
    (void)loop;
    use(context, &counters[next_loop++]);
}

/* The text of the metrics, to be freed. */
static char *write_metrics(unsigned loops)
{
    static struct ty_io_loop *none[LOOPS];
    struct ty_app *app = calloc(1, sizeof(*app));
    struct ty_buffer out = {0};

    app->options.io_threads = loops;
    app->loops = none;
    next_loop = 0;
    ty_metrics_forward(&out, app);
    ty_buffer_append_char(&out, '\0');
    cr_assert(ty_buffer_ok(&out));
    cr_assert_eq(next_loop, loops);
    free(app);
    return out.data;
}

static unsigned long long sample(const char *text, const char *name)
{
    char line[100];
    const char *at;

    snprintf(line, sizeof(line), "\n%s ", name);
    at = strstr(text, line);
    cr_assert_not_null(at, "%s in:\n%s", name, text);
    return strtoull(at + strlen(line), NULL, 10);
}

/* Each name shows its own counter, and that of every loop: an alert on the dropped records must not
 * look at another number, nor at a third of it. */
Test(metrics_forward, every_counter_is_summed_under_its_name)
{
    static const struct {
        const char *name;
        size_t offset;
    } cases[] = {
#define CASE(name, member) {"tally_forward_" name, offsetof(struct ty_forward_counters, member)}
        CASE("connections", connections_open),
        CASE("connections_total", connections_accepted),
        CASE("connections_rejected_total", connections_rejected),
        CASE("accept_errors_total", accept_errors),
        CASE("received_bytes_total", bytes_in),
        CASE("acks_total", acks),
        CASE("broken_streams_total", broken_streams),
        CASE("cut_messages_total", cut_messages),
        CASE("retries_total", retries),
        CASE("dropped_records_total", records_dropped),
        CASE("pending_bytes", pending_bytes),
        CASE("reads_paused_total", reads_paused),
        CASE("messages_total{mode=\"ignored\"}", messages[TY_FORWARD_IGNORED]),
        CASE("messages_total{mode=\"message\"}", messages[TY_FORWARD_MESSAGE]),
        CASE("messages_total{mode=\"forward\"}", messages[TY_FORWARD_ENTRIES]),
        CASE("messages_total{mode=\"packed\"}", messages[TY_FORWARD_PACKED]),
        CASE("messages_total{mode=\"compressed\"}", messages[TY_FORWARD_COMPRESSED]),
        CASE("messages_total{mode=\"unknown\"}", messages[TY_FORWARD_UNKNOWN]),
        CASE("ack_seconds_bucket{le=\"1e-06\"}", ack_time.counts[0]),
    };
    char *text;

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        for (size_t loop = 0; loop < LOOPS; loop++)
            ty_atomic_store((_Atomic uint64_t *)(void *)((char *)&counters[loop] + cases[i].offset),
                            (i + 1) * 100 + loop, memory_order_relaxed);
    text = write_metrics(LOOPS);
    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        cr_assert_eq(sample(text, cases[i].name), (i + 1) * 300 + 3, "%s: %llu", cases[i].name,
                     sample(text, cases[i].name));
    free(text);
}

/* Each name is described once, before its samples: a second description makes Prometheus drop all
 * of the answer. */
Test(metrics_forward, every_name_is_described_once)
{
    char *text = write_metrics(LOOPS), *none = write_metrics(0), *rest = text;
    char name[80] = "";

    cr_assert_str_eq(none, text);
    free(none);
    for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            size_t length = strcspn(line + 7, " ");

            snprintf(name, sizeof(name), "%.*s", (int)length, line + 7);
            cr_assert(rest != NULL && strncmp(rest, "# TYPE ", 7) == 0 &&
                          strncmp(rest + 7, name, length) == 0 && rest[7 + length] == ' ',
                      "%s", line);
            cr_assert(strstr(rest, line) == NULL, "%s", line);
        } else if (line[0] != '#') {
            cr_assert_eq(strncmp(line, name, strlen(name)), 0, "%s is not of %s", line, name);
        }
    }
    free(text);
}
