#include "server/tool/progress.h"

#include "engine/base.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1024 * 1024)

static int count_columns(const char *text)
{
    int columns = 0;

    for (; *text != '\0'; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

/* A progress at second 10 of an input whose bytes and events came evenly. */
static struct ty_progress make(uint64_t bytes, uint64_t events, bool unicode)
{
    struct ty_progress_state state = {.bytes_total = 100 * MIB};
    struct ty_progress progress;
    FILE *file = fopen("/dev/null", "w");

    ty_progress_begin(&progress, file, TY_PROGRESS_LINES, 0);
    for (unsigned i = 1; i <= 100; i++) {
        state.bytes = bytes * i / 100;
        state.events = events * i / 100;
        ty_progress_update(&progress, &state, i * 100);
    }
    fclose(file);
    progress.terminal.unicode = unicode;
    return progress;
}

/* Someone who waits reads how far it is, how fast, and how long it takes. */
Test(tool_progress, lines_say_how_far_and_how_long)
{
    static const struct {
        struct ty_progress_state state;
        int width;
        bool unicode;
        const char *want;
    } cases[] = {
        {{26 * MIB, 100 * MIB, 5000000, 0, NULL},
         79,
         true,
         "▕█████████▏                         ▏  26%  5000000 events  500000/s  0:29 left"},
        {{26 * MIB, 100 * MIB, 5000000, 0, NULL},
         79,
         false,
         "[#########                          ]  26%  5000000 events  500000/s  0:29 left"},
        {{26 * MIB, 100 * MIB, 5000000, 0, NULL},
         50,
         false,
         " 26%  5000000 events  500000/s  0:29 left"},
        {{26 * MIB, 100 * MIB, 5000000, 0, NULL}, 12, false, " 26%  500000"},
        {{26 * MIB, 100 * MIB, 5000000, 0, NULL}, 0, false, ""},
        {{26 * MIB, 0, 5000000, 0, NULL}, 79, false, "26.0 MiB  5000000 events  500000/s"},
        {{26 * MIB, 0, 5000000, 3, "waiting for the server"},
         79,
         false,
         "26.0 MiB  5000000 events  500000/s  3 rejected  waiting for the server"},
        {{100 * MIB, 100 * MIB, 5000000, 0, NULL}, 40, false, "100%  5000000 events  500000/s"},
        {{100 * MIB - 1, 100 * MIB, 1, 0, NULL}, 31, false, " 99%  1 events  500000/s  0:01 "},
        {{101 * MIB, 100 * MIB, 5000000, 0, NULL}, 40, false, "100%  5000000 events  500000/s"},
    };
    struct ty_progress progress;

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char line[TY_PROGRESS_LINE_BYTES];
        int columns;

        progress = make(26 * MIB, 5000000, cases[i].unicode);
        columns = ty_progress_format(&progress, &cases[i].state, cases[i].width, true, line);
        cr_expect_str_eq(line, cases[i].want, "case %zu: '%s'", i, line);
        cr_expect_eq(columns, count_columns(line), "case %zu: %d", i, columns);
    }
}

/* A line one column too long wraps, and the terminal fills with bars. */
Test(tool_progress, no_line_is_wider_than_it_may_be)
{
    for (int width = 0; width < 200; width++)
        for (int part = 0; part <= 10; part++) {
            struct ty_progress_state state = {.bytes = (uint64_t)part * 10 * MIB,
                                              .bytes_total = 100 * MIB,
                                              .events = UINT64_MAX,
                                              .rejected = (uint64_t)part};
            struct ty_progress progress = make(state.bytes, 1000, width % 2 == 0);
            char line[TY_PROGRESS_LINE_BYTES];
            int columns = ty_progress_format(&progress, &state, width, true, line);

            cr_assert(columns <= width && columns == count_columns(line), "%d of %d: '%s'", columns,
                      width, line);
        }
}

/* The rate is what happens now, not an average that a pause an hour ago still pulls down. */
Test(tool_progress, rates_follow_the_last_seconds)
{
    struct ty_progress_state state = {.bytes_total = 1000 * MIB};
    char line[TY_PROGRESS_LINE_BYTES];
    struct ty_progress progress;
    FILE *file = fopen("/dev/null", "w");
    int64_t now_ms;

    ty_progress_begin(&progress, file, TY_PROGRESS_LINES, 0);
    /* One sample is enough for a rate. */
    state.events = 100;
    ty_progress_update(&progress, &state, 1000);
    ty_progress_format(&progress, &state, 100, false, line);
    cr_assert_not_null(strstr(line, " 100/s"), "%s", line);
    for (now_ms = 2000; now_ms <= 600000; now_ms += 1000)
        ty_progress_update(&progress, &state, now_ms);
    ty_progress_format(&progress, &state, 100, false, line);
    cr_assert_not_null(strstr(line, " 0/s"), "%s", line);
    for (; now_ms <= 660000; now_ms += 1000) {
        state.events += 5000;
        ty_progress_update(&progress, &state, now_ms);
    }
    ty_progress_format(&progress, &state, 100, false, line);
    cr_assert(strstr(line, " 5000/s") != NULL || strstr(line, " 4999/s") != NULL, "%s", line);
    fclose(file);
}

/* Runs a progress with an update every 10 ms for 12 seconds and returns what it wrote. */
static char *run(enum ty_progress_style style)
{
    struct ty_progress_state state = {.bytes_total = 1200};
    struct ty_progress progress;
    char *text = NULL;
    size_t length;
    FILE *file = open_memstream(&text, &length);

    ty_progress_begin(&progress, file, style, 5);
    for (int i = 1; i <= 1200; i++) {
        state.bytes = state.events = (uint64_t)i;
        ty_progress_update(&progress, &state, 5 + 10 * i);
    }
    ty_progress_clear(&progress);
    fclose(file);
    return text;
}

static int count_bytes(const char *text, char byte)
{
    int count = 0;

    for (; *text != '\0'; text++)
        count += *text == byte;
    return count;
}

/* A log file must not fill with lines, and must not get the terminal's tricks. */
Test(tool_progress, a_log_gets_a_plain_line_every_few_seconds)
{
    char *text = run(TY_PROGRESS_LINES);

    cr_assert_eq(count_bytes(text, '\n'), 2, "%s", text);
    cr_assert_eq(count_bytes(text, '\r'), 0);
    cr_assert_eq(strncmp(text, "41%  500 events  100/s", 22), 0, "%s", text);
    free(text);
}

/* A terminal over a slow line must not be flooded, and nothing may be left on it at the end. */
Test(tool_progress, a_terminal_is_drawn_ten_times_a_second_and_left_clean)
{
    char *text = run(TY_PROGRESS_BAR);
    size_t length = strlen(text);
    char *wiped, *last;

    cr_assert_eq(count_bytes(text, '\n'), 0);
    cr_assert_eq(count_bytes(text, '\r'), 120 + 2, "%d", count_bytes(text, '\r'));
    cr_assert_eq(text[length - 1], '\r');
    text[length - 1] = '\0';
    wiped = strrchr(text, '\r') + 1;
    cr_assert_eq(strspn(wiped, " "), strlen(wiped), "'%s'", wiped);
    text[wiped - text - 1] = '\0';
    /* The line before may itself end with spaces, over a longer one. */
    for (last = strrchr(text, '\r') + 1; last[strlen(last) - 1] == ' ';)
        last[strlen(last) - 1] = '\0';
    cr_assert_eq(strlen(wiped), strlen(last), "'%s'", last);
    free(text);
}

/* --quiet means quiet. */
Test(tool_progress, a_silent_one_writes_nothing)
{
    char *text = run(TY_PROGRESS_SILENT);

    cr_assert_str_eq(text, "");
    free(text);
}

/* A backup seems to count usage events. */
Test(tool_progress, what_is_counted_may_be_something_else_than_events)
{
    struct ty_progress_state state = {.bytes = 1, .events = 3};
    struct ty_progress progress;
    char line[TY_PROGRESS_LINE_BYTES];

    ty_progress_begin(&progress, stderr, TY_PROGRESS_SILENT, 0);
    progress.unit = "values";
    ty_progress_format(&progress, &state, 80, false, line);
    cr_assert(strstr(line, "3 values  ") != NULL, "%s", line);
}
