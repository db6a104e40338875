/*
 * progress.h: how far a long command is, on stderr, for whoever watches.
 *
 * On a terminal one line with a bar is drawn again and again; elsewhere (a log) a plain line comes
 * every few seconds, none for a command that is quick.
 *
 *     [##########----------]  45%  1234567 events  412000/s  0:42 left
 *     12.3 MiB  1234567 events  412000/s                       where the end is not known
 *
 * Rates follow the last seconds: in an average what is older by t milliseconds weighs M / (M + t)
 * times as much, M being TY_PROGRESS_MEMORY_MS; it is divided by the weight gathered so far, so
 * that it is right from the start.
 *
 * Threads: one owner. Time comes from the caller, in milliseconds of any clock that does not jump.
 */
#ifndef TY_SERVER_TOOL_PROGRESS_H
#define TY_SERVER_TOOL_PROGRESS_H

#include "server/tool/terminal.h"
#include <stdint.h>

#define TY_PROGRESS_DRAW_MS   100  /* a terminal's line is drawn again after so long */
#define TY_PROGRESS_LINE_MS   5000 /* a log gets a line after so long */
#define TY_PROGRESS_MEMORY_MS 5000

enum ty_progress_style { TY_PROGRESS_SILENT, TY_PROGRESS_BAR, TY_PROGRESS_LINES };

/* What there is to show. */
struct ty_progress_state {
    uint64_t bytes;       /* of the input, done with */
    uint64_t bytes_total; /* 0: not known */
    uint64_t events;      /* done with */
    uint64_t rejected;    /* of them; shown if there are any */
    const char *note;     /* what the command waits for, a phrase; NULL: nothing */
};

struct ty_progress {
    FILE *file;
    enum ty_progress_style style;
    struct ty_terminal terminal;
    const char *unit;  /* what is counted, in the plural; "events" unless it is set after begin */
    int64_t shown_ms;  /* when a line came last; at first, when the command began */
    int64_t sample_ms; /* when the rates were taken last */
    uint64_t sample_bytes;
    uint64_t sample_events;
    double weight;     /* of the averages, 0 to 1 */
    double byte_rate;  /* a second, times the weight */
    double event_rate; /* a second, times the weight */
    int drawn;         /* columns of the line that stands there; 0: none */
};

/* ty_progress_begin starts at now_ms. `file` is borrowed. For a bar its terminal is inspected. */
void ty_progress_begin(struct ty_progress *progress, FILE *file, enum ty_progress_style style,
                       int64_t now_ms);

/* ty_progress_update takes the state in, and draws it if it is time to. Cheap if called too often.
 */
void ty_progress_update(struct ty_progress *progress, const struct ty_progress_state *state,
                        int64_t now_ms);

/* ty_progress_clear wipes the line of a terminal, so that something else can be printed there; the
 * next update draws at once. To be called at the end, too. */
void ty_progress_clear(struct ty_progress *progress);

/* Milliseconds of a clock that does not jump. */
int64_t ty_progress_clock_ms(void);

/* What suits standard error: a bar on a terminal that can take it, lines elsewhere; nothing when
 * `quiet`. */
enum ty_progress_style ty_progress_choose_style(bool quiet);

#define TY_PROGRESS_LINE_BYTES 4096

/*
 * ty_progress_format writes the line for a state, without a line end, in at most `width` columns,
 * and a zero byte; returns its columns. A bar is left out where less than 10 columns are left.
 */
int ty_progress_format(const struct ty_progress *progress, const struct ty_progress_state *state,
                       int width, bool with_bar, char line[TY_PROGRESS_LINE_BYTES]);

#endif
