#include "server/watch.h"

#include "shard/database_internal.h"
#include "shard/shard_internal.h"
#include "tests/support/capture.h"

#include <criterion/criterion.h>
#include <string.h>

/* Two shards of which nothing but the statistics is looked at, and a clock. */
static struct ty_shard shards[2];
static struct ty_shard *const shard_list[] = {&shards[0], &shards[1]};
static int64_t now_ns;

static int64_t tell_ns(void *context)
{
    (void)context;
    return now_ns;
}

static const struct ty_database database = {.clock = {.mono_ns = tell_ns},
                                            .shard_count = 2,
                                            .shards = (struct ty_shard **)(uintptr_t)shard_list};
static struct ty_watch watch;

static void set(_Atomic uint64_t *statistic, uint64_t value)
{
    ty_atomic_store(statistic, value, memory_order_relaxed);
}

/* Looks, and returns what was logged. */
static const char *look(void)
{
    static char printed[4096];
    struct ty_capture capture = ty_capture_begin(STDERR_FILENO);

    ty_watch_look(&watch, &database);
    ty_capture_end(&capture, printed, sizeof(printed));
    return printed;
}

static void assert_logged(const char *part)
{
    const char *printed = look(), *end = strchr(printed, '\n');

    cr_assert_not_null(strstr(printed, part), "'%s'", printed);
    cr_assert(end != NULL && end[1] == '\0', "one line: '%s'", printed);
}

static void assert_silent(void)
{
    cr_assert_str_eq(look(), "");
}

/* A server that is well logs nothing, however often it looks: what is there would be overlooked. */
Test(watch, a_healthy_server_is_silent)
{
    for (int n = 0; n < 5; n++, now_ns += INT64_C(100000000000))
        assert_silent();
}

/* Events are being refused: told when it begins, with what to do, and when it is over, once each.
 * It is over when it is so on every shard. */
Test(watch, space_that_runs_out_is_told_at_both_ends)
{
    for (int round = 0; round < 2; round++) {
        set(&shards[1].stats.full, 1);
        assert_logged("level=error event=space_low remedy=\"events are refused with 507");
        assert_silent();
        set(&shards[0].stats.full, 1);
        assert_silent();
        set(&shards[1].stats.full, 0);
        assert_silent();
        set(&shards[0].stats.full, 0);
        assert_logged("level=info event=space_back");
        assert_silent();
    }
}

static void set_window(unsigned shard, int64_t window_ms, uint64_t forgotten)
{
    ty_atomic_store(&shards[shard].stats.dedup_window_ms, window_ms, memory_order_relaxed);
    set(&shards[shard].stats.dedup_forgotten_early, forgotten);
}

/* Retries may count twice from now on. The window that is told is that of the worst shard; the ids
 * are those of all. */
Test(watch, a_window_that_shortens_is_told)
{
    set_window(0, INT64_C(7200000), 0);
    set_window(1, INT64_C(90000999), 0);
    assert_silent();
    set_window(0, INT64_C(7200000), 5);
    set_window(1, INT64_C(3601999), 7);
    assert_logged("level=warn event=dedup_window_shortened window_s=3601 forgotten=12 remedy=");
    assert_silent();
    now_ns += INT64_C(61000000000);
    set_window(0, INT64_C(1800000), 6);
    assert_logged("level=warn event=dedup_window_shortened window_s=1800 forgotten=13 remedy=");
}

/* It goes on for days: a line every minute says so, a line every second would fill the disk. */
Test(watch, a_window_that_stays_short_is_told_once_a_minute)
{
    set_window(0, 1000, 1);
    assert_logged("forgotten=1 ");
    for (uint64_t seconds = 1; seconds <= 180; seconds++) {
        now_ns += INT64_C(1000000000);
        set_window(0, 1000, 1 + seconds);
        if (seconds == 61 || seconds == 122)
            assert_logged(seconds == 61 ? "forgotten=62 " : "forgotten=123 ");
        else
            assert_silent();
    }
    now_ns += INT64_C(100000000000);
    assert_logged("forgotten=181 ");
    now_ns += INT64_C(100000000000);
    assert_silent();
}

/* Stored values that are damaged need a person, who need not be told again. */
Test(watch, damage_is_told_once)
{
    set(&shards[1].stats.damaged_months, 1);
    assert_logged("level=error event=stored_values_damaged remedy=\"some months cannot be written");
    assert_silent();
    set(&shards[0].stats.damaged_months, 9);
    now_ns += INT64_C(100000000000);
    assert_silent();
}

/* What happens at the same time is told each in a line of its own. */
Test(watch, nothing_hides_another)
{
    const char *printed;

    set(&shards[0].stats.full, 1);
    set(&shards[0].stats.damaged_months, 1);
    set_window(0, 1000, 1);
    printed = look();
    cr_assert_not_null(strstr(printed, "event=space_low"));
    cr_assert_not_null(strstr(printed, "event=dedup_window_shortened"));
    cr_assert_not_null(strstr(printed, "event=stored_values_damaged"));
    assert_silent();
}
