#include "server/tool/progress.h"

#include "engine/base.h"
#include "server/tool/bar.h"
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define BAR_CELLS_MIN 8
#define BAR_CELLS_MAX 40
#define FACTS_BYTES   300

/* Rates are taken over at least so long: over less, one batch more or less is all they show. */
#define SAMPLE_MS 50

int64_t ty_progress_clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum ty_progress_style ty_progress_choose_style(bool quiet)
{
    if (quiet)
        return TY_PROGRESS_SILENT;
    return ty_terminal_inspect(stderr).screen ? TY_PROGRESS_BAR : TY_PROGRESS_LINES;
}

void ty_progress_begin(struct ty_progress *progress, FILE *file, enum ty_progress_style style,
                       int64_t now_ms)
{
    *progress = (struct ty_progress){
        .file = file,
        .style = style,
        .unit = "events",
        .shown_ms = now_ms,
        .sample_ms = now_ms,
    };
    if (style == TY_PROGRESS_BAR)
        progress->terminal = ty_terminal_inspect(file);
}

static void take_sample(struct ty_progress *progress, const struct ty_progress_state *state,
                        int64_t now_ms)
{
    double elapsed_ms = (double)(now_ms - progress->sample_ms);
    double keep, seconds;

    if (elapsed_ms < SAMPLE_MS)
        return;
    keep = TY_PROGRESS_MEMORY_MS / (TY_PROGRESS_MEMORY_MS + elapsed_ms);
    seconds = elapsed_ms / 1000;
    progress->weight = progress->weight * keep + (1 - keep);
    progress->byte_rate = progress->byte_rate * keep +
                          (1 - keep) * (double)(state->bytes - progress->sample_bytes) / seconds;
    progress->event_rate = progress->event_rate * keep +
                           (1 - keep) * (double)(state->events - progress->sample_events) / seconds;
    progress->sample_ms = now_ms;
    progress->sample_bytes = state->bytes;
    progress->sample_events = state->events;
}

static double rate(const struct ty_progress *progress, double weighted)
{
    return progress->weight > 0 ? weighted / progress->weight : 0;
}

static void append(char facts[FACTS_BYTES], const char *text)
{
    size_t length = strlen(facts);

    snprintf(facts + length, FACTS_BYTES - length, "%s%s", length > 0 ? "  " : "", text);
}

static void append_bytes(char facts[FACTS_BYTES], uint64_t bytes)
{
    char text[40];

    if (bytes < UINT64_C(1) << 30)
        snprintf(text, sizeof(text), "%.1f MiB", (double)bytes / (1 << 20));
    else
        snprintf(text, sizeof(text), "%.2f GiB", (double)bytes / (1 << 30));
    append(facts, text);
}

/* "0:42 left", "1:02:03 left"; nothing before there is a rate, or where it would be days. */
static void append_time_left(char facts[FACTS_BYTES], const struct ty_progress *progress,
                             const struct ty_progress_state *state)
{
    double bytes_a_second = rate(progress, progress->byte_rate);
    double exact;
    int seconds;
    char text[40];

    if (bytes_a_second <= 0 || state->bytes >= state->bytes_total)
        return;
    exact = (double)(state->bytes_total - state->bytes) / bytes_a_second;
    if (exact >= 100 * 3600)
        return;
    seconds = (int)exact + 1;
    if (seconds < 3600)
        snprintf(text, sizeof(text), "%d:%02d left", seconds / 60, seconds % 60);
    else
        snprintf(text, sizeof(text), "%d:%02d:%02d left", seconds / 3600, seconds / 60 % 60,
                 seconds % 60);
    append(facts, text);
}

/* Never 100% before the end, and never more. */
static int percent(const struct ty_progress_state *state)
{
    if (state->bytes >= state->bytes_total)
        return 100;
    return (int)TY_MIN((double)state->bytes / (double)state->bytes_total * 100, 99.0);
}

static void format_facts(const struct ty_progress *progress, const struct ty_progress_state *state,
                         char facts[FACTS_BYTES])
{
    char text[80];

    facts[0] = '\0';
    if (state->bytes_total > 0) {
        snprintf(text, sizeof(text), "%3d%%", percent(state));
        append(facts, text);
    } else {
        append_bytes(facts, state->bytes);
    }
    snprintf(text, sizeof(text), "%" PRIu64 " %s", state->events, progress->unit);
    append(facts, text);
    snprintf(text, sizeof(text), "%.0f/s", rate(progress, progress->event_rate));
    append(facts, text);
    if (state->rejected > 0) {
        snprintf(text, sizeof(text), "%" PRIu64 " rejected", state->rejected);
        append(facts, text);
    }
    if (state->note != NULL)
        append(facts, state->note);
    else if (state->bytes_total > 0)
        append_time_left(facts, progress, state);
}

/* Writes "[####----]" of `cells` and two for the brackets; returns the bytes. */
static size_t format_bar(const struct ty_progress *progress, const struct ty_progress_state *state,
                         int cells, char *line)
{
    const bool unicode = progress->terminal.unicode;
    double part = TY_MIN((double)state->bytes / (double)state->bytes_total, 1.0);
    struct ty_bar_scale scale = ty_bar_fit(0, 1, cells, unicode);
    char bar[TY_BAR_TEXT_BYTES];
    size_t bytes = ty_bar_draw(&scale, part, bar);
    int drawn = 0;

    for (size_t i = 0; i < bytes; i++)
        drawn += ((unsigned char)bar[i] & 0xc0) != 0x80;
    return (size_t)sprintf(line, "%s%s%*s%s", unicode ? "▕" : "[", bar, cells - drawn, "",
                           unicode ? "▏" : "]");
}

int ty_progress_format(const struct ty_progress *progress, const struct ty_progress_state *state,
                       int width, bool with_bar, char line[TY_PROGRESS_LINE_BYTES])
{
    char facts[FACTS_BYTES];
    int columns, cells;
    size_t bytes = 0;

    format_facts(progress, state, facts);
    columns = TY_MIN((int)strlen(facts), TY_MAX(width, 0));
    /* The brackets take two, the space between one. */
    cells = TY_MIN(width - columns - 3, BAR_CELLS_MAX);
    if (with_bar && state->bytes_total > 0 && cells >= BAR_CELLS_MIN) {
        bytes = format_bar(progress, state, cells, line);
        line[bytes++] = ' ';
    } else {
        cells = -3;
    }
    memcpy(line + bytes, facts, (size_t)columns);
    line[bytes + (size_t)columns] = '\0';
    return cells + 3 + columns;
}

static void draw(struct ty_progress *progress, const struct ty_progress_state *state)
{
    char line[TY_PROGRESS_LINE_BYTES];
    int columns;

    progress->terminal = ty_terminal_inspect(progress->file); /* It may have been resized. */
    /* The last column stays free: some terminals wrap once it is written. */
    columns = ty_progress_format(progress, state, progress->terminal.width - 1, true, line);
    fprintf(progress->file, "\r%s%*s", line, TY_MAX(progress->drawn - columns, 0), "");
    fflush(progress->file);
    progress->drawn = columns;
}

void ty_progress_update(struct ty_progress *progress, const struct ty_progress_state *state,
                        int64_t now_ms)
{
    char line[TY_PROGRESS_LINE_BYTES];

    if (progress->style == TY_PROGRESS_SILENT)
        return;
    take_sample(progress, state, now_ms);
    if (progress->style == TY_PROGRESS_BAR) {
        if (now_ms - progress->shown_ms < TY_PROGRESS_DRAW_MS)
            return;
        draw(progress, state);
    } else {
        if (now_ms - progress->shown_ms < TY_PROGRESS_LINE_MS)
            return;
        ty_progress_format(progress, state, TY_PROGRESS_LINE_BYTES - 1, false, line);
        fprintf(progress->file, "%s\n", line + strspn(line, " "));
        fflush(progress->file);
    }
    progress->shown_ms = now_ms;
}

void ty_progress_clear(struct ty_progress *progress)
{
    if (progress->drawn == 0)
        return;
    fprintf(progress->file, "\r%*s\r", progress->drawn, "");
    fflush(progress->file);
    progress->drawn = 0;
    progress->shown_ms -= TY_PROGRESS_DRAW_MS;
}
