#include "engine/arrival.h"

#define NS_PER_MS 1000000

void ty_arrival_start(struct ty_arrival *arrival, int64_t stored_ms, int64_t wall_ms,
                      int64_t mono_ns)
{
    arrival->now_ms = stored_ms == 0 ? wall_ms : stored_ms;
    arrival->mono_ns = mono_ns;
}

int64_t ty_arrival_advance(struct ty_arrival *arrival, int64_t wall_ms, int64_t mono_ns)
{
    int64_t passed_ms = (mono_ns - arrival->mono_ns) / NS_PER_MS;

    if (passed_ms <= 0)
        return arrival->now_ms;
    /* Only whole milliseconds are taken, so that frequent calls lose no time. */
    arrival->mono_ns += passed_ms * NS_PER_MS;
    if (wall_ms >= arrival->now_ms)
        arrival->now_ms += TY_MIN(wall_ms - arrival->now_ms, passed_ms);
    else
        arrival->now_ms += TY_MIN(passed_ms / 2, INT64_MAX - arrival->now_ms);
    return arrival->now_ms;
}
