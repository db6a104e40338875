#include "server/tool/human.h"

#include <inttypes.h>
#include <stdio.h>

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)

const char *ty_human_bytes(uint64_t bytes, char text[TY_HUMAN_TEXT_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    uint64_t tenths = bytes & 1023;

    for (; bytes >= 1024; unit++) {
        tenths = bytes & 1023;
        bytes >>= 10;
    }
    if (unit == 0)
        snprintf(text, TY_HUMAN_TEXT_BYTES, "%" PRIu64 " B", bytes);
    else
        snprintf(text, TY_HUMAN_TEXT_BYTES, "%" PRIu64 ".%" PRIu64 " %s", bytes, tenths * 10 / 1024,
                 units[unit]);
    return text;
}

static const char *print_units(char *text, int64_t large, const char *large_unit, int64_t small,
                               const char *small_unit)
{
    if (small == 0)
        snprintf(text, TY_HUMAN_TEXT_BYTES, "%" PRId64 " %s", large, large_unit);
    else
        snprintf(text, TY_HUMAN_TEXT_BYTES, "%" PRId64 " %s %" PRId64 " %s", large, large_unit,
                 small, small_unit);
    return text;
}

const char *ty_human_duration(int64_t ms, char text[TY_HUMAN_TEXT_BYTES])
{
    if (ms >= DAY_MS)
        return print_units(text, ms / DAY_MS, "d", ms % DAY_MS / HOUR_MS, "h");
    if (ms >= HOUR_MS)
        return print_units(text, ms / HOUR_MS, "h", ms % HOUR_MS / MINUTE_MS, "m");
    if (ms >= MINUTE_MS)
        return print_units(text, ms / MINUTE_MS, "m", ms % MINUTE_MS / SECOND_MS, "s");
    if (ms >= SECOND_MS)
        snprintf(text, TY_HUMAN_TEXT_BYTES, "%" PRId64 ".%" PRId64 " s", ms / SECOND_MS,
                 ms % SECOND_MS / 100);
    else
        snprintf(text, TY_HUMAN_TEXT_BYTES, "%" PRId64 " ms", ms > 0 ? ms : 0);
    return text;
}
