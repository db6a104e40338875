/*
 * clock.h: time as an argument, so that tests and simulations bring their own.
 */
#ifndef TY_ENGINE_CLOCK_H
#define TY_ENGINE_CLOCK_H

#include "engine/base.h"

struct ty_clock {
    int64_t (*wall_ms)(void *context); /* milliseconds since the Unix epoch; may jump either way */
    int64_t (*mono_ns)(void *context); /* nanoseconds from any start; never goes back */
    void *context;
};

static inline int64_t ty_clock_wall_ms(const struct ty_clock *clock)
{
    return clock->wall_ms(clock->context);
}

static inline int64_t ty_clock_mono_ns(const struct ty_clock *clock)
{
    return clock->mono_ns(clock->context);
}

#endif
