#include "shard/system_clock.h"

#include <time.h>

static int64_t wall_ms(void *context)
{
    struct timespec now;

    (void)context;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t mono_ns(void *context)
{
    struct timespec now;

    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct ty_clock ty_system_clock(void)
{
    return (struct ty_clock){.wall_ms = wall_ms, .mono_ns = mono_ns};
}
