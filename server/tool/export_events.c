/*
 * export_events.c: the journal's events, page by page, so that memory is bounded however many there
 * are. A page is written out, then its cursor is kept: whoever is cut off goes on with that page.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base.h"
#include "server/tool/answer.h"
#include "server/tool/command.h"
#include "server/tool/exact_json.h"
#include "server/tool/export.h"
#include "server/tool/export_output.h"
#include "server/tool/export_page.h"
#include "server/tool/progress.h"

#define PAGE_EVENTS 10000
#define FOLLOW_MS   1000 /* between two looks for what has arrived */
#define TRIES       30   /* a second apart, when the server takes no query now */

/* What `tally import` reads, and two that it ignores. */
static const char *const columns[] = {"id",    "source",        "customer_id", "workflow_id",
                                      "time",  "received",      "credits",     "documents",
                                      "pages", "processing_ms", "user_id"};

struct event_export {
    const struct ty_export_options *options;
    struct ty_client *client;
    struct ty_export_pages *pages;
    struct ty_export_page page;
    struct ty_export_output output;
    struct ty_progress progress;
    struct ty_progress_state state;
    char cursor[TY_EXPORT_CURSOR_BYTES];
    uint64_t sourced; /* events with a source, which POST /v1/events does not take back */
    bool csv;
    bool closed;   /* whoever read standard output has gone */
    bool has_page; /* at least one was written */
    bool damaged;  /* a value was passed over */
    bool waiting;  /* for the server, which was said */
    unsigned tries;
};

static void pause_ms(int64_t ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

/* --- Writing a page --- */

/* Where ,"source":" stands a source is: a quote inside of a text would have a backslash before. */
static bool has_source(const char *line, size_t length)
{
    static const char mark[] = ",\"source\":\"";

    return memmem(line, length, mark, sizeof(mark) - 1) != NULL;
}

static bool append_row(struct event_export *export, const char *line, size_t length)
{
    char error[TY_EXACT_JSON_ERROR_BYTES];
    json_t *event = ty_exact_json_parse(line, length, error);

    if (event == NULL) {
        fprintf(stderr, "tally export: %s did not answer as a Tally server does: %s\n",
                ty_client_name(export->client), error);
        return false;
    }
    for (size_t i = 0; i < TY_COUNT_OF(columns); i++) {
        const char *text = json_string_value(json_object_get(event, columns[i]));

        ty_export_csv_cell(&export->output.text, text == NULL ? "" : text,
                           i + 1 < TY_COUNT_OF(columns) ? ',' : '\n');
    }
    json_decref(event);
    return true;
}

/* Appends a page's events to the output, and counts them. */
static bool append_events(struct event_export *export, uint64_t *events, uint64_t *sourced)
{
    const struct ty_http_answer *answer = &export->page.answer;
    const char *at = answer->body, *end = at + answer->length;

    if (!export->csv)
        ty_buffer_append(&export->output.text, answer->body, answer->length);
    for (; at != end; ++*events) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((line_end == NULL ? end : line_end) - at);

        if (export->csv && !append_row(export, at, length))
            return false;
        *sourced += has_source(at, length);
        at += length + (line_end == NULL ? 0 : 1);
    }
    return true;
}

static bool write_events(struct event_export *export)
{
    uint64_t events = 0, sourced = 0;

    if (export->page.answer.length != 0 && !append_events(export, &events, &sourced))
        return false;
    if (!ty_export_output_flush(&export->output))
        return false;
    export->state.events += events;
    export->state.bytes += export->page.answer.length;
    export->sourced += sourced;
    return true;
}

/* The cursor may be kept only when what came before it is out of our hands: for a file that gets
 * its name at the end, at the end. */
static bool keep_cursor(const struct event_export *export)
{
    const char *path = export->options->cursor_file;

    return path == NULL || export->cursor[0] == '\0' || ty_export_text_write(path, export->cursor);
}

static bool finish_page(struct event_export *export)
{
    bool moved = strcmp(export->cursor, export->page.next) != 0;

    if (export->page.trimmed) {
        ty_progress_clear(&export->progress);
        fputs("tally export: warning: events behind the cursor are no longer kept; going on with "
              "the oldest that are\n",
              stderr);
    }
    if (!write_events(export))
        return false;
    export->has_page = true;
    snprintf(export->cursor, sizeof(export->cursor), "%s", export->page.next);
    return !moved || export->output.path != NULL || keep_cursor(export);
}

/* --- Asking for pages --- */

static char *page_path(const struct event_export *export)
{
    const char *customer = export->options->query.customer;
    char *after = ty_http_escape(export->cursor), *path = NULL;

    if (after == NULL ||
        asprintf(&path, "/v1/events?times=counted&status=accepted&limit=%d%s%s%s%s", PAGE_EVENTS,
                 export->cursor[0] != '\0' ? "&after=" : "", after,
                 customer != NULL ? "&customer_id=" : "", customer != NULL ? customer : "") < 0)
        path = NULL;
    free(after);
    if (path == NULL)
        fputs("tally export: out of memory\n", stderr);
    return path;
}

/* Waits before another try, and says so once; false: it has been tried for long enough. */
static bool wait_for_server(struct event_export *export, const char *why)
{
    if (!export->options->follow && export->tries++ == TRIES)
        return false;
    if (!export->waiting && !export->options->quiet) {
        ty_progress_clear(&export->progress);
        fprintf(stderr, "tally export: waiting for %s: ", ty_client_name(export->client));
        ty_terminal_print_text(stderr, why);
        putc('\n', stderr);
    }
    export->waiting = true;
    pause_ms(FOLLOW_MS);
    return true;
}

/* The cursor behind a damaged value, from the problem document: true when the export goes on. */
static bool skip_damaged(struct event_export *export)
{
    char error[TY_EXACT_JSON_ERROR_BYTES];
    json_t *problem =
        ty_exact_json_parse(export->page.answer.body == NULL ? "" : export->page.answer.body,
                            export->page.answer.length, error);
    const char *next = json_string_value(json_object_get(problem, "next"));
    bool skips = next != NULL && export->options->skip_damaged;

    if (skips) {
        snprintf(export->cursor, sizeof(export->cursor), "%s", next);
        export->damaged = true;
    } else if (next != NULL) {
        fprintf(stderr, "tally export: --skip-damaged goes on without the events of that value, or "
                        "--after ");
        ty_terminal_print_text(stderr, next);
        putc('\n', stderr);
    }
    json_decref(problem);
    return skips;
}

enum step { STEP_PAGE, STEP_AGAIN, STEP_FAILED };

/* Asks once. STEP_FAILED: *code is the exit code, and the reason has been said. */
static enum step ask(struct event_export *export, int *code)
{
    char error[CURL_ERROR_SIZE], *path = page_path(export);

    *code = TY_EXIT_REFUSED;
    if (path == NULL)
        return STEP_FAILED;
    *code = ty_export_pages_read(export->pages, path, &export->page, error);
    free(path);
    if (*code != TY_EXIT_OK) {
        /* Only who follows outlives its server's restarts. */
        if (export->options->follow && wait_for_server(export, error))
            return STEP_AGAIN;
        ty_progress_clear(&export->progress);
        *code = ty_client_explain(export->client, CURLE_OK, error);
        return STEP_FAILED;
    }
    if (export->page.answer.status == 200 && export->page.next[0] != '\0')
        return STEP_PAGE;
    *code = TY_EXIT_REFUSED;
    if (export->page.answer.status == 503 && wait_for_server(export, "it takes no query now"))
        return STEP_AGAIN;
    ty_progress_clear(&export->progress);
    ty_answer_print_problem(export->client, &export->page.answer);
    return skip_damaged(export) ? STEP_AGAIN : STEP_FAILED;
}

static int export_pages(struct event_export *export)
{
    int code;

    for (;;) {
        enum step step = ask(export, &code);

        if (step == STEP_FAILED)
            return code;
        if (step == STEP_AGAIN)
            continue;
        export->waiting = false;
        export->tries = 0;
        if (!finish_page(export))
            return TY_EXIT_REFUSED;
        ty_progress_update(&export->progress, &export->state, ty_progress_clock_ms());
        if (export->page.end && !export->options->follow)
            return TY_EXIT_OK;
        if (export->page.end)
            pause_ms(FOLLOW_MS);
    }
}

/* --- From beginning to end --- */

/* Where to begin: at --after, or where the cursor's file says. */
static bool find_start(struct event_export *export)
{
    const char *after = export->options->after;

    if (after == NULL)
        return export->options->cursor_file == NULL ||
               ty_export_text_read(export->options->cursor_file, export->cursor,
                                   sizeof(export->cursor));
    if (strlen(after) < sizeof(export->cursor)) {
        strcpy(export->cursor, after);
        return true;
    }
    fputs("tally export: --after: too long for a cursor\n", stderr);
    return false;
}

static void append_csv_head(struct event_export *export)
{
    for (size_t i = 0; i < TY_COUNT_OF(columns); i++)
        ty_export_csv_cell(&export->output.text, columns[i],
                           i + 1 < TY_COUNT_OF(columns) ? ',' : '\n');
}

static enum ty_progress_style choose_style(const struct ty_export_options *options)
{
    if (options->quiet || options->follow || !isatty(STDERR_FILENO))
        return TY_PROGRESS_SILENT;
    /* Two that draw on one terminal would spoil each other's lines. */
    return options->output == NULL && isatty(STDOUT_FILENO) ? TY_PROGRESS_SILENT : TY_PROGRESS_BAR;
}

static void print_summary(const struct event_export *export)
{
    if (export->sourced > 0)
        fprintf(stderr,
                "tally export: warning: %llu events have a source (they were CloudEvents); an "
                "import counts them by their ids alone\n",
                (unsigned long long)export->sourced);
    if (export->damaged)
        fputs("tally export: warning: events of damaged values are missing\n", stderr);
    if (!export->options->quiet)
        fprintf(stderr, "tally export: %llu events; cursor %s\n",
                (unsigned long long)export->state.events, export->cursor);
}

static int export_to_output(struct event_export *export)
{
    bool named;
    int code;

    /* A file that is continued has its header already. */
    if (export->csv && (export->output.path != NULL || export->cursor[0] == '\0'))
        append_csv_head(export);
    ty_progress_begin(&export->progress, stderr, choose_style(export->options),
                      ty_progress_clock_ms());
    code = export_pages(export);
    ty_progress_clear(&export->progress);
    named = export->output.path != NULL;
    if (code == TY_EXIT_OK && (!ty_export_output_commit(&export->output) || !keep_cursor(export)))
        code = TY_EXIT_REFUSED;
    ty_export_output_abort(&export->output);
    if (code == TY_EXIT_OK ||
        (!named && export->has_page)) /* Otherwise what was read is gone with the file. */
        print_summary(export);
    return code == TY_EXIT_OK && export->damaged ? TY_EXIT_REFUSED : code;
}

int ty_export_events(const struct ty_export_options *options)
{
    struct event_export *export = calloc(1, sizeof(*export));
    int code = TY_EXIT_REFUSED;
    bool closed;

    if (export == NULL) {
        fputs("tally export: out of memory\n", stderr);
        return code;
    }
    export->options = options;
    export->csv = strcmp(options->format, "csv") == 0;
    if (find_start(export)) {
        code = ty_client_open(&options->query.client, &export->client);
        if (code == TY_EXIT_OK) {
            export->pages = ty_export_pages_open(export->client);
            code = TY_EXIT_REFUSED;
            if (export->pages != NULL && ty_export_output_open(&export->output, options->output))
                code = export_to_output(export);
        }
    }
    ty_http_fini(&export->page.answer);
    ty_export_pages_close(export->pages);
    ty_client_close(export->client);
    closed = export->output.closed;
    free(export);
    if (closed)
        ty_export_end_by_closed_pipe();
    return code;
}
