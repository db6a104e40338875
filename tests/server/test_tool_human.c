#include "server/tool/human.h"

#include "engine/base.h"
#include <criterion/criterion.h>

/* An operator who reads a size off by its unit buys the wrong disk. */
Test(tool_human, bytes_have_the_right_unit)
{
    static const struct {
        uint64_t bytes;
        const char *want;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1024 * 1024 - 1, "1023.9 KiB"},
        {UINT64_C(3) << 19, "1.5 MiB"},
        {UINT64_C(64) << 30, "64.0 GiB"},
        {UINT64_MAX, "15.9 EiB"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char text[TY_HUMAN_TEXT_BYTES];

        cr_assert_str_eq(ty_human_bytes(cases[i].bytes, text), cases[i].want, "case %zu: %s", i,
                         text);
    }
}

/* A dedup window that looks longer than it is invites a retry that counts twice. */
Test(tool_human, durations_are_never_longer_than_they_are)
{
    static const struct {
        int64_t ms;
        const char *want;
    } cases[] = {
        {-5, "0 ms"},
        {0, "0 ms"},
        {999, "999 ms"},
        {1000, "1.0 s"},
        {59999, "59.9 s"},
        {60000, "1 m"},
        {303000, "5 m 3 s"},
        {3599999, "59 m 59 s"},
        {86399999, "23 h 59 m"},
        {86400000, "1 d"},
        {INT64_C(86400000) * 35 + 3600000, "35 d 1 h"},
        {INT64_MAX, "106751991167 d 7 h"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char text[TY_HUMAN_TEXT_BYTES];

        cr_assert_str_eq(ty_human_duration(cases[i].ms, text), cases[i].want, "case %zu: %s", i,
                         text);
    }
}
