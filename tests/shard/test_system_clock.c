#include "shard/system_clock.h"

#include <criterion/criterion.h>
#include <time.h>

/* Events without a time would count in 1970, and windows would never move. */
Test(system_clock, tells_the_time_of_the_system)
{
    struct ty_clock clock = ty_system_clock();
    int64_t before_ms = (int64_t)time(NULL) * 1000, wall_ms = ty_clock_wall_ms(&clock);
    int64_t after_ms = ((int64_t)time(NULL) + 1) * 1000;

    /* time() may lag by a tick of the kernel. */
    cr_assert(wall_ms >= before_ms && wall_ms <= after_ms + 1000, "%lld", (long long)wall_ms);
}

/* A monotonic clock that went back would stop checkpoints. */
Test(system_clock, the_monotonic_clock_never_goes_back)
{
    struct ty_clock clock = ty_system_clock();
    int64_t last_ns = ty_clock_mono_ns(&clock);

    cr_assert(last_ns > 0);
    for (int i = 0; i < 100000; i++) {
        int64_t now_ns = ty_clock_mono_ns(&clock);

        cr_assert(now_ns >= last_ns);
        last_ns = now_ns;
    }
}
