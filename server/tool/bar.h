/*
 * bar.h: horizontal bars in text, scaled to a width; values below zero grow to the left.
 *
 *         │██████▍           12.75
 *      ▐██│                  -5
 *
 * Bars are pictures: they are drawn from doubles, while the exact number stands beside them.
 * Threads: pure functions.
 */
#ifndef TY_SERVER_TOOL_BAR_H
#define TY_SERVER_TOOL_BAR_H

#include <stdbool.h>
#include <stddef.h>

#define TY_BAR_CELLS_MAX  1000
#define TY_BAR_TEXT_BYTES (3 * (TY_BAR_CELLS_MAX + 1) + 1) /* a block is three bytes of UTF-8 */

/* How values map to cells: `left` cells for values below zero, `right` for those above. */
struct ty_bar_scale {
    double lowest;  /* at most 0 */
    double highest; /* at least 0 */
    int left;
    int right;
    bool unicode; /* blocks in eighths of a cell; otherwise whole '#' */
};

/*
 * ty_bar_fit chooses a scale, so that bars for values from `lowest` to `highest` take at most
 * `cells` columns (0..TY_BAR_CELLS_MAX), an axis included where there are values below zero.
 * Zero is always part of the range, so that lengths can be compared.
 */
struct ty_bar_scale ty_bar_fit(double lowest, double highest, int cells, bool unicode);

/*
 * ty_bar_draw writes one bar, without spaces at its end, and a zero byte. A value that is not zero
 * always shows at least the smallest mark. Returns the length in bytes without the zero byte.
 */
size_t ty_bar_draw(const struct ty_bar_scale *scale, double value, char text[TY_BAR_TEXT_BYTES]);

#endif
