#include "server/tool/bar.h"

#include "engine/base.h"
#include <string.h>

/* Left blocks of one to eight eighths. There are right blocks of one half and of a whole only. */
static const char *const left_blocks[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
static const char right_half[] = "▐";

struct ty_bar_scale ty_bar_fit(double lowest, double highest, int cells, bool unicode)
{
    struct ty_bar_scale scale = {TY_MIN(lowest, 0.0), TY_MAX(highest, 0.0), 0, 0, unicode};
    double range = scale.highest - scale.lowest;

    cells = TY_MIN(TY_MAX(cells, 0), TY_BAR_CELLS_MAX);
    if (scale.lowest < 0 && cells >= 3) {
        int both = cells - 1; /* The axis takes one. */

        scale.left = (int)(-scale.lowest / range * both + 0.5);
        scale.left = TY_MIN(TY_MAX(scale.left, 1), scale.highest > 0 ? both - 1 : both);
        scale.right = both - scale.left;
    } else {
        scale.right = cells;
    }
    return scale;
}

static char *put(char *to, const char *text)
{
    size_t length = strlen(text);

    memcpy(to, text, length);
    return to + length;
}

static char *put_times(char *to, const char *text, int times)
{
    for (int i = 0; i < times; i++)
        to = put(to, text);
    return to;
}

/* How many steps of a part are filled: rounded, but never none, and never more than all. */
static int count_steps(double part, int steps)
{
    int count = (int)(part * steps + 0.5);

    return TY_MIN(TY_MAX(count, 1), steps);
}

static char *draw_right(const struct ty_bar_scale *scale, double value, char *to)
{
    int per_cell = scale->unicode ? 8 : 1;
    int steps;

    if (value <= 0 || scale->right == 0)
        return to;
    steps = count_steps(value / scale->highest, scale->right * per_cell);
    to = put_times(to, scale->unicode ? left_blocks[8] : "#", steps / per_cell);
    return put(to, left_blocks[steps % per_cell]);
}

static char *draw_left(const struct ty_bar_scale *scale, double value, char *to)
{
    int per_cell = scale->unicode ? 2 : 1;
    int steps = 0;

    if (scale->left == 0)
        return to;
    if (value < 0)
        steps = count_steps(value / scale->lowest, scale->left * per_cell);
    to = put_times(to, " ", scale->left - (steps + per_cell - 1) / per_cell);
    to = put(to, steps % per_cell != 0 ? right_half : "");
    to = put_times(to, scale->unicode ? left_blocks[8] : "#", steps / per_cell);
    return put(to, scale->unicode ? "│" : "|");
}

size_t ty_bar_draw(const struct ty_bar_scale *scale, double value, char text[TY_BAR_TEXT_BYTES])
{
    char *end = draw_right(scale, value, draw_left(scale, value, text));

    *end = '\0';
    return (size_t)(end - text);
}
