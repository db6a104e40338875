/* `tally status`: how a server is, once or again and again. */
#include "server/tool/answer.h"
#include "server/tool/command.h"
#include "server/tool/status_view.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CLEAR_SCREEN "\033[H\033[2J"

struct status_options {
    struct ty_client_options client;
    int64_t watch_ms; /* 0: once */
    bool json;
};

/* What is shown, and what was before. */
struct watch {
    const struct status_options *options;
    struct ty_client *client;
    struct ty_terminal terminal;
    json_t *before;
    double before_seconds;
};

static double clock_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void wait_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&left, NULL);
}

static void print_page(const struct watch *watch, const json_t *status, double now_seconds)
{
    struct ty_status_view view = {
        .name = ty_client_name(watch->client),
        .directory = watch->options->client.data != NULL,
        .status = status,
        .before = watch->before,
        .seconds = now_seconds - watch->before_seconds,
        .terminal = watch->terminal,
    };

    ty_status_view_print(stdout, &view);
}

/* Asks once and shows what came; returns the exit code that stands for it. */
static int look(struct watch *watch)
{
    struct ty_http_answer answer;
    json_t *status;
    double now = clock_seconds();
    int code = ty_answer_get(watch->client, "/v1/status", &answer);

    if (code != TY_EXIT_OK)
        return code;
    status = ty_answer_parse(watch->client, &answer);
    if (status == NULL) {
        ty_http_fini(&answer);
        return TY_EXIT_REFUSED;
    }
    code = ty_status_view_ready(status) ? TY_EXIT_OK : TY_EXIT_REFUSED;
    if (watch->options->json)
        ty_answer_print_json(&answer);
    else
        print_page(watch, status, now);
    json_decref(watch->before);
    watch->before = status;
    watch->before_seconds = now;
    ty_http_fini(&answer);
    return code;
}

/* A terminal shows the newest page, anything else gets all of them. Neither a server that is being
 * started anew nor one that is not ready ends it: that is what is watched for. */
static int look_again_and_again(struct watch *watch)
{
    bool screen = watch->terminal.screen && !watch->options->json;
    int code = TY_EXIT_OK;

    for (bool first = true; fflush(stdout) == 0 && !ferror(stdout); first = false) {
        if (!first)
            wait_ms(watch->options->watch_ms);
        if (screen)
            fputs(CLEAR_SCREEN, stdout);
        else if (!first && !watch->options->json)
            fputc('\n', stdout);
        fflush(stdout);
        code = look(watch);
    }
    return code;
}

static int run(const struct ty_command *self, int argc, char **argv)
{
    struct status_options options = {0};
    struct watch watch = {.options = &options};
    int code = ty_flags_parse(self->flags, argc, argv, &options, NULL);

    if (code != -1)
        return code;
    code = ty_client_open(&options.client, &watch.client);
    if (code != TY_EXIT_OK)
        return code;
    watch.terminal = ty_terminal_inspect(stdout);
    code = options.watch_ms != 0 ? look_again_and_again(&watch) : look(&watch);
    json_decref(watch.before);
    ty_client_close(watch.client);
    return code;
}

#define AT(member) .offset = offsetof(struct status_options, member)

static const struct ty_flag flags[] = {
    {.name = "watch",
     .kind = TY_FLAG_DURATION,
     .value = "TIME",
     .implied = "2s",
     .min = 100,
     .max = 86400000,
     .help = "again after so long (2s), with rates, until Ctrl-C",
     AT(watch_ms)},
    {.name = "json", .kind = TY_FLAG_SWITCH, .help = "the server's answer as it came", AT(json)},
    TY_CLIENT_FLAGS,
    {0}};

const struct ty_command ty_command_status = {
    .name = "status",
    .summary = "how the server is: ready, events, rates, queue, windows, space",
    .usage = "[FLAG ...]",
    .description =
        "Shows how a server is, or a data directory. Counts are of the time since its\n"
        "start; commits' times are upper bounds, at most twice the time. Of a directory,\n"
        "what it can grow to depends on the server that holds it, and is not known here.\n",
    .flags = flags,
    .notes = "In a script:\n"
             "\n"
             "  tally status > /dev/null && echo ready\n"
             "  tally status --json | jq .dedup.effective_window_ms\n",
    .refused = "the server is not ready (and why is shown)",
    .run = run,
};
