/*
 * arrival.h: the clock that the dedup window goes by.
 *
 * It never goes back and never moves faster than time passes, whatever the wall clock does: an id
 * is remembered for the window or longer, never shorter. While the wall clock is behind it, it
 * moves on at half speed until they meet. After a restart it continues from the last commit's
 * value: an outage does not use up the window. It makes up for nothing: after an outage, or a jump
 * ahead, it stays behind the wall clock by that much, for if it ran after it, what arrives
 * meanwhile would grow old too fast.
 *
 * Threads: one owner.
 */
#ifndef TY_ENGINE_ARRIVAL_H
#define TY_ENGINE_ARRIVAL_H

#include "engine/base.h"

struct ty_arrival {
    int64_t now_ms;
    int64_t mono_ns; /* when it was last moved */
};

/* ty_arrival_start begins at what the last commit stored, or at the wall clock (stored_ms 0). */
void ty_arrival_start(struct ty_arrival *arrival, int64_t stored_ms, int64_t wall_ms,
                      int64_t mono_ns);

/* ty_arrival_advance moves the clock on and returns its time. */
int64_t ty_arrival_advance(struct ty_arrival *arrival, int64_t wall_ms, int64_t mono_ns);

#endif
