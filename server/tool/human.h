/*
 * human.h: sizes and times for people, who compare magnitudes. Counts are never rounded.
 *
 * Threads: pure functions.
 */
#ifndef TY_SERVER_TOOL_HUMAN_H
#define TY_SERVER_TOOL_HUMAN_H

#include <stddef.h>
#include <stdint.h>

#define TY_HUMAN_TEXT_BYTES 32

/* "0 B", "1023 B", "1.0 KiB", "15.9 MiB": powers of 1024, cut off, so that what is not full never
 * looks full. Returns `text`. */
const char *ty_human_bytes(uint64_t bytes, char text[TY_HUMAN_TEXT_BYTES]);

/* "0 ms", "999 ms", "59.9 s", "5 m 3 s", "24 h", "1 d 3 h": the two largest units, cut off. A
 * negative one is 0. Returns `text`. */
const char *ty_human_duration(int64_t ms, char text[TY_HUMAN_TEXT_BYTES]);

#endif
