#include "server/tool/bar.h"

#include "engine/base.h"
#include <criterion/criterion.h>
#include <string.h>

/* Columns of a terminal, which every character drawn here takes one of. */
static int count_columns(const char *text)
{
    int columns = 0;

    for (; *text != '\0'; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

/* Someone who compares two bars must see the proportion of the two numbers. */
Test(tool_bar, lengths_follow_values)
{
    static const struct {
        double lowest, highest;
        int cells;
        bool unicode;
        double value;
        const char *want;
    } cases[] = {
        {0, 10, 10, true, 10, "██████████"},
        {0, 10, 10, true, 5, "█████"},
        {0, 10, 10, true, 5.5, "█████▌"},
        {0, 10, 10, true, 0, ""},
        {0, 10, 10, true, 0.000001, "▏"},
        {0, 10, 10, false, 5.4, "#####"},
        {0, 10, 10, false, 0.01, "#"},
        {2, 10, 10, true, 2, "██"},
        {-10, 10, 11, true, 10, "     │█████"},
        {-10, 10, 11, true, -10, "█████│"},
        {-10, 10, 11, true, -3, "   ▐█│"},
        {-10, 10, 11, true, 0, "     │"},
        {-10, 10, 11, false, -4, "   ##|"},
        {-10, -1, 11, true, -10, "██████████│"},
        {-0.001, 10, 11, true, -0.001, "█│"},
        {-10, 0.001, 11, true, 0.001, "         │█"},
        {0, 0, 10, true, 0, ""},
        {0, 1e300, 10, true, 5e299, "█████"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_bar_scale scale =
            ty_bar_fit(cases[i].lowest, cases[i].highest, cases[i].cells, cases[i].unicode);
        char text[TY_BAR_TEXT_BYTES];

        cr_assert_eq(ty_bar_draw(&scale, cases[i].value, text), strlen(text));
        cr_assert_str_eq(text, cases[i].want, "case %zu: '%s', not '%s'", i, text, cases[i].want);
    }
}

/* A bar one column too long wraps the line and tears the whole table. */
Test(tool_bar, no_bar_is_wider_than_its_cells)
{
    static const double values[] = {-1e18, -7, -0.1, 0, 0.1, 3, 1e18};

    for (int cells = 0; cells <= TY_BAR_CELLS_MAX + 1; cells += 1 + cells / 8)
        for (size_t low = 0; low < TY_COUNT_OF(values); low++)
            for (size_t high = low; high < TY_COUNT_OF(values); high++)
                for (size_t i = low; i <= high; i++) {
                    struct ty_bar_scale scale =
                        ty_bar_fit(values[low], values[high], cells, i % 2 == 0);
                    char text[TY_BAR_TEXT_BYTES];

                    ty_bar_draw(&scale, values[i], text);
                    cr_assert(count_columns(text) <= cells, "%f of %f..%f in %d cells: '%s'",
                              values[i], values[low], values[high], cells, text);
                }
}
