#include "server/tool/import.h"

#include "server/tool/command.h"
#include "server/tool/human.h"
#include "server/tool/import_rejects.h"
#include "server/tool/progress.h"
#include "server/tool/terminal.h"
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long to wait at most: progress is drawn, and signals are seen, so often. */
#define WAIT_MS 100

struct importer {
    const struct ty_import_options *options;
    struct ty_client *client; /* NULL in a dry run */
    struct ty_sender *sender;
    struct ty_input input;
    enum ty_input_status input_status;
    bool wants_input; /* there is room for records, but none came */
    struct ty_rejects rejects;
    struct ty_progress progress;
    struct ty_progress_state state;
    uint64_t accepted;
    uint64_t duplicates;
    uint64_t rejected;
    const char *last_file; /* of the newest record that is counted; NULL: none is */
    uint64_t last_line;
    const char *first_open_file; /* of the oldest record that was left undecided; NULL: none was */
    uint64_t first_open_line;
    int64_t started_ms;
    bool window_was_asked;
    int64_t window_ms; /* how long the server remembers ids; -1: not known */
};

/* The signal that asked for an end; 0: none did. */
static volatile sig_atomic_t stopped_by;

static void note_signal(int number)
{
    stopped_by = number;
    signal(number, SIG_DFL);
}

static void catch_signals(void)
{
    struct sigaction stop = {.sa_handler = note_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL); /* A connection that is cut is an error like others. */
}

static void tell(struct importer *importer, const char *text)
{
    ty_progress_clear(&importer->progress);
    fputs("tally import: ", stderr);
    ty_terminal_print_text(stderr, text);
    fputc('\n', stderr);
}

/* --- How long ids are remembered --- */

static int64_t member_ms(json_t *status, const char *name)
{
    json_t *value = json_object_get(json_object_get(status, "dedup"), name);

    return json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
}

/* Asks the server, once it has taken a batch; whoever does not know is not an error. */
static void ask_window(struct importer *importer)
{
    struct ty_http_answer answer = {0};
    json_t *status = NULL;
    int64_t effective_ms;

    importer->window_was_asked = true;
    if (ty_client_get(importer->client, "/v1/status", &answer) != TY_EXIT_OK)
        return;
    if (answer.status == 200 && answer.length > 0)
        status = json_loadb(answer.body, answer.length, 0, NULL);
    importer->window_ms = member_ms(status, "window_ms");
    effective_ms = member_ms(status, "effective_window_ms");
    if (importer->window_ms == 0)
        tell(importer, "warning: this server does not remember ids (--dedup-window 0): events that "
                       "are sent twice count twice");
    else if (effective_ms >= 0 && effective_ms < importer->window_ms)
        importer->window_ms = effective_ms;
    json_decref(status);
    ty_http_fini(&answer);
}

/* What to do after an import that did not come to its end. */
static void print_how_to_go_on(const struct importer *importer)
{
    char window[TY_HUMAN_TEXT_BYTES];

    if (importer->client == NULL)
        return;
    if (importer->window_ms == 0)
        fputs("This server does not remember ids: import what is left only.\n", stderr);
    else if (importer->window_ms > 0)
        fprintf(
            stderr,
            "Run the same command again: ids that were stored count once. This server remembers "
            "them for %s.\n",
            ty_human_duration(importer->window_ms, window));
    else
        fputs("Run the same command again: ids that were stored count once, within the server's "
              "dedup window.\n",
              stderr);
}

/* --- Counting --- */

/* Remembers the newest record that is counted. */
static void note_position(struct importer *importer, const struct ty_import_batch *batch)
{
    for (size_t i = batch->record_count; i > 0; i--)
        if (batch->records[i - 1].kind != TY_IMPORT_PIECE) {
            importer->last_file = batch->records[i - 1].file;
            importer->last_line = batch->records[i - 1].line;
            return;
        }
}

static void count(struct importer *importer, const struct ty_import_batch *batch)
{
    importer->accepted += batch->accepted;
    importer->duplicates += batch->duplicates;
    importer->rejected += batch->rejected;
    ty_rejects_take(&importer->rejects, batch, ty_input_header(&importer->input),
                    &importer->progress);
}

static void count_decided(struct importer *importer)
{
    struct ty_import_batch *batch;
    bool is_decided;

    while ((batch = ty_sender_oldest(importer->sender, &is_decided)) != NULL && is_decided) {
        count(importer, batch);
        note_position(importer, batch);
        importer->state.bytes = batch->position;
        ty_sender_release(importer->sender);
        if (importer->client != NULL && !importer->window_was_asked)
            ask_window(importer);
    }
}

/* Remembers the oldest record that is not decided. */
static void note_open(struct importer *importer, const struct ty_import_batch *batch)
{
    for (size_t i = 0; importer->first_open_file == NULL && i < batch->record_count; i++)
        if (batch->records[i].kind != TY_IMPORT_PIECE) {
            importer->first_open_file = batch->records[i].file;
            importer->first_open_line = batch->records[i].line;
        }
}

/* At the end of a failed or interrupted import: what was decided behind a batch that was not counts
 * too. */
static void count_rest(struct importer *importer)
{
    struct ty_import_batch *batch;
    bool is_decided;

    while ((batch = ty_sender_oldest(importer->sender, &is_decided)) != NULL) {
        if (is_decided)
            count(importer, batch);
        else
            note_open(importer, batch);
        ty_sender_release(importer->sender);
    }
}

/* --- The loop --- */

static bool has_failed(const struct importer *importer)
{
    const char *text;

    return ty_sender_failure(importer->sender, &text) != TY_EXIT_OK ||
           !ty_rejects_ok(&importer->rejects);
}

static bool may_read(const struct importer *importer)
{
    return stopped_by == 0 && !has_failed(importer) && importer->input_status != TY_INPUT_END &&
           importer->input_status != TY_INPUT_FAILED;
}

/* Fills and submits one batch. Returns whether it makes sense to go on at once. */
static bool fill(struct importer *importer, int64_t now_ms)
{
    struct ty_import_batch *batch;

    importer->wants_input = false;
    if (!may_read(importer) || (batch = ty_sender_room(importer->sender)) == NULL)
        return false;
    importer->input_status = ty_input_fill(&importer->input, batch);
    importer->wants_input = importer->input_status == TY_INPUT_IDLE;
    /* A producer that pauses shall not wait for a full batch, unless others are on their way: then
     * this one may as well grow until they are back. */
    if (importer->input_status == TY_INPUT_IDLE &&
        (batch->record_count == 0 || ty_sender_pending(importer->sender) > 0))
        return false;
    ty_sender_submit(importer->sender, now_ms);
    return true;
}

static bool is_over(const struct importer *importer)
{
    return !may_read(importer) && ty_sender_pending(importer->sender) == 0;
}

static void update_progress(struct importer *importer, int64_t now_ms)
{
    importer->state.events = importer->accepted + importer->duplicates + importer->rejected;
    importer->state.rejected = importer->rejected;
    importer->state.note = ty_sender_is_waiting(importer->sender) ? "waiting for the server" : NULL;
    ty_progress_update(&importer->progress, &importer->state, now_ms);
}

static void work(struct importer *importer)
{
    while (!is_over(importer)) {
        int64_t now_ms = ty_progress_clock_ms();
        bool goes_on = fill(importer, now_ms);
        const char *news;

        if (stopped_by != 0)
            ty_sender_stop(importer->sender);
        ty_sender_run(importer->sender, now_ms);
        count_decided(importer);
        if ((news = ty_sender_news(importer->sender)) != NULL)
            tell(importer, news);
        update_progress(importer, now_ms);
        if (!goes_on && !is_over(importer))
            ty_sender_wait(importer->sender,
                           importer->wants_input ? ty_input_fd(&importer->input) : -1, now_ms,
                           WAIT_MS);
    }
    count_decided(importer);
}

/* --- The end --- */

static void print_summary(const struct importer *importer)
{
    uint64_t events = importer->accepted + importer->duplicates + importer->rejected;
    double seconds = (double)(ty_progress_clock_ms() - importer->started_ms) / 1000;

    printf("events      %" PRIu64 "\n", events);
    printf("%s  %" PRIu64 "\n", importer->client != NULL ? "accepted  " : "good      ",
           importer->accepted);
    if (importer->client != NULL)
        printf("duplicates  %" PRIu64 "\n", importer->duplicates);
    printf("rejected    %" PRIu64 "\n", importer->rejected);
    printf("seconds     %.3f\n", seconds);
    printf("rate        %.0f events/s\n", seconds > 0 ? (double)events / seconds : 0);
    fflush(stdout);
}

/* Up to where an import that did not come to its end is counted; what was decided behind that may
 * be counted too. */
static void print_position(const struct importer *importer)
{
    if (importer->accepted + importer->duplicates + importer->rejected == 0)
        fputs("Nothing was counted.\n", stderr);
    else if (importer->first_open_file != NULL)
        fprintf(stderr, "Everything before line %" PRIu64 " of %s is counted.\n",
                importer->first_open_line, importer->first_open_file);
    else
        fprintf(stderr, "Everything up to line %" PRIu64 " of %s is counted.\n",
                importer->last_line, importer->last_file);
}

/* Tells why an import that did not come to its end did not. Returns a ty_exit. */
static int explain(struct importer *importer)
{
    const char *text;
    int code = ty_sender_failure(importer->sender, &text);

    if (code != TY_EXIT_OK)
        tell(importer, text);
    else if (stopped_by != 0)
        tell(importer, "interrupted");
    else if (importer->input_status == TY_INPUT_FAILED)
        tell(importer, importer->input.error);
    else if (ty_rejects_ok(&importer->rejects))
        return TY_EXIT_OK;
    print_position(importer);
    print_how_to_go_on(importer);
    return code != TY_EXIT_OK ? code : TY_EXIT_REFUSED;
}

static int finish(struct importer *importer)
{
    int code;

    count_rest(importer);
    code = explain(importer);
    ty_progress_clear(&importer->progress);
    if (!ty_rejects_close(&importer->rejects) && code == TY_EXIT_OK)
        code = TY_EXIT_REFUSED;
    /* Whatever was read has become one of the three. */
    TY_ASSERT(code != TY_EXIT_OK || importer->input.read == importer->accepted +
                                                                importer->duplicates +
                                                                importer->rejected);
    if (!importer->options->quiet)
        print_summary(importer);
    return code == TY_EXIT_OK && importer->rejected > 0 ? TY_EXIT_REFUSED : code;
}

static int start(struct importer *importer)
{
    const struct ty_import_options *options = importer->options;
    int code = ty_input_open(&importer->input, &options->input);

    if (code == TY_EXIT_OK)
        code = ty_rejects_open(&importer->rejects, options->rejects, options->input.files,
                               options->input.file_count);
    if (code == TY_EXIT_OK && !options->dry_run)
        code = ty_client_open(&options->client, &importer->client);
    if (code != TY_EXIT_OK)
        return code;
    importer->sender = ty_sender_open(&(struct ty_sender_options){
        .client = importer->client,
        .parallel = options->parallel,
        .retry_for_ms = options->retry_for_ms,
    });
    if (importer->sender == NULL) {
        fputs("tally import: out of memory\n", stderr);
        return TY_EXIT_REFUSED;
    }
    importer->started_ms = ty_progress_clock_ms();
    importer->state.bytes_total = importer->input.bytes_total;
    ty_progress_begin(&importer->progress, stderr, ty_progress_choose_style(options->quiet),
                      importer->started_ms);
    return TY_EXIT_OK;
}

/* Ends as whoever was not interested in the signal: a shell that runs us in a loop stops, too. */
static void die_of_signal(void)
{
    if (stopped_by == 0)
        return;
    signal(stopped_by, SIG_DFL);
    raise(stopped_by);
}

int ty_import(struct ty_import_options *options)
{
    struct importer *importer = calloc(1, sizeof(*importer));
    int code;

    if (importer == NULL) {
        fputs("tally import: out of memory\n", stderr);
        return TY_EXIT_REFUSED;
    }
    options->input.format = options->format;
    options->input.columns = options->columns;
    options->input.batch_events = options->batch;
    options->input.keep_raw = options->rejects != NULL;
    options->client.sends_events = true;
    importer->options = options;
    importer->window_ms = -1;
    code = start(importer);
    if (code == TY_EXIT_OK) {
        catch_signals();
        work(importer);
        code = finish(importer);
    }
    ty_sender_close(importer->sender);
    ty_client_close(importer->client);
    ty_rejects_close(&importer->rejects);
    ty_input_close(&importer->input);
    free(importer);
    die_of_signal();
    return code;
}
