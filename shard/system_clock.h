/*
 * system_clock.h: the operating system's clocks. Threads: any.
 */
#ifndef TY_SHARD_SYSTEM_CLOCK_H
#define TY_SHARD_SYSTEM_CLOCK_H

#include "engine/clock.h"

/* CLOCK_REALTIME and CLOCK_MONOTONIC. */
struct ty_clock ty_system_clock(void);

#endif
