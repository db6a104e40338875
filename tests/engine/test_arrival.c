#include "engine/arrival.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <inttypes.h>

#define MS_PER_HOUR INT64_C(3600000)
#define START_MS    INT64_C(1700000000000)
#define NS(ms)      ((ms)*INT64_C(1000000))

/* A steady wall clock is simply followed. */
Test(arrival, follows_the_wall_clock)
{
    struct ty_arrival arrival;

    ty_arrival_start(&arrival, 0, START_MS, 0);
    for (int64_t ms = 0; ms < 100000; ms += 7)
        cr_assert_eq(ty_arrival_advance(&arrival, START_MS + ms, NS(ms)), START_MS + ms);
}

/* Calls that come faster than milliseconds pass must not make the clock stand still. */
Test(arrival, frequent_calls_lose_no_time)
{
    struct ty_arrival arrival;

    ty_arrival_start(&arrival, 0, START_MS, 0);
    for (int64_t ns = 0; ns <= NS(2000); ns += 3333)
        ty_arrival_advance(&arrival, START_MS + ns / 1000000, ns);
    cr_assert(ty_arrival_advance(&arrival, START_MS + 2000, NS(2000)) >= START_MS + 1999);
}

/* After a restart the window goes on where it stopped: an outage does not forget ids at once. */
Test(arrival, continues_from_what_was_stored)
{
    struct ty_arrival arrival;

    ty_arrival_start(&arrival, START_MS, START_MS + 48 * MS_PER_HOUR, NS(5));
    cr_assert_eq(arrival.now_ms, START_MS);
    cr_assert_eq(ty_arrival_advance(&arrival, START_MS + 48 * MS_PER_HOUR, NS(6)), START_MS + 1);
}

/*
 * The promise: ids are remembered for the window or longer, whatever the wall clock does. So the
 * clock never goes back and never runs faster than time; it runs at half speed while the wall clock
 * is behind, and meets one that is right again.
 */
static void jump(int64_t by_ms)
{
    struct ty_arrival arrival;
    int64_t mono_ms = 0, before = START_MS;

    ty_arrival_start(&arrival, 0, START_MS, 0);
    for (int step = 0; step < 200000; step++) {
        int64_t passed_ms = step % 3 == 0 ? 500 : MS_PER_HOUR / 2;
        int64_t now, wall;

        mono_ms += passed_ms;
        wall = START_MS + mono_ms + by_ms;
        now = ty_arrival_advance(&arrival, wall, NS(mono_ms));
        cr_assert(now - before <= passed_ms, "too fast");
        cr_assert(now - before >= passed_ms / 2 || (now == wall && now >= before), "too slow");
        before = now;
    }
    cr_assert_eq(before, START_MS + mono_ms + TY_MIN(by_ms, 0),
                 "a clock set back is met in the end, one set ahead is not run after");
}

Test(arrival, is_never_hurried_by_a_jump_of_an_hour)
{
    jump(MS_PER_HOUR);
    jump(-MS_PER_HOUR);
}

Test(arrival, is_never_hurried_by_a_jump_of_a_day)
{
    jump(24 * MS_PER_HOUR);
    jump(-24 * MS_PER_HOUR);
}

Test(arrival, is_never_hurried_by_a_jump_of_a_year)
{
    jump(365 * 24 * MS_PER_HOUR);
    jump(-365 * 24 * MS_PER_HOUR);
}

/* What arrives right after an outage longer than the window must be known for a window from then
 * on: its retries come in the minutes after. */
Test(arrival, grows_no_older_after_an_outage_than_time_passes)
{
    struct ty_arrival arrival;
    int64_t wall = START_MS + 48 * MS_PER_HOUR, arrived;

    ty_arrival_start(&arrival, START_MS, wall, NS(5));
    arrived = ty_arrival_advance(&arrival, wall, NS(5));
    for (int64_t ms = 0; ms <= 24 * MS_PER_HOUR; ms += 60000)
        cr_assert_eq(ty_arrival_advance(&arrival, wall + ms, NS(5 + ms)) - arrived, ms);
}

/* A wall clock that jumps about at random, and a monotonic one that stands still at times. */
Test(arrival, never_goes_back)
{
    struct ty_arrival arrival;
    struct ty_random random;
    int64_t mono_ms = 0, before = START_MS;

    ty_random_init(&random, ty_random_seed());
    ty_arrival_start(&arrival, 0, START_MS, 0);
    for (int n = 0; n < 100000; n++) {
        int64_t passed_ms = (int64_t)ty_random_below(&random, 3) * 1000;
        int64_t wall =
            START_MS + (int64_t)ty_random_below(&random, UINT64_C(1) << 40) - (INT64_C(1) << 39);
        int64_t now;

        mono_ms += passed_ms;
        now = ty_arrival_advance(&arrival, wall, NS(mono_ms));
        cr_assert(now >= before + passed_ms / 2 || (now == wall && now >= before));
        cr_assert(now <= before + passed_ms);
        before = now;
    }
}
