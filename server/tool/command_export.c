/* `tally export`: rollups and events, for spreadsheets and other systems. */
#include "server/tool/command.h"
#include "server/tool/export.h"

#include <string.h>

static const char *const formats[] = {"csv", "ndjson", NULL};

static int refuse(const char *what, const char *why)
{
    fprintf(stderr, "tally export: %s: %s\nTry 'tally help export'.\n", what, why);
    return TY_EXIT_USAGE;
}

static int export_usage(struct ty_export_options *options)
{
    const struct ty_query_options *query = &options->query;

    if (query->customer == NULL || query->start == NULL)
        return refuse(query->customer == NULL ? "--customer" : "--start", "usage needs it");
    if (options->after != NULL || options->cursor_file != NULL || options->follow ||
        options->skip_damaged)
        return refuse("usage",
                      "--after, --cursor-file, --follow and --skip-damaged are for events");
    if (query->frequency == NULL)
        options->query.frequency = ty_query_frequencies[0];
    if (options->format == NULL)
        options->format = "csv";
    return ty_export_usage(options);
}

static int export_events(struct ty_export_options *options)
{
    const struct ty_query_options *query = &options->query;
    bool has_file = options->output != NULL && strcmp(options->output, "-") != 0;

    if (query->workflow != NULL || query->frequency != NULL || query->start != NULL ||
        query->end != NULL || query->extended)
        return refuse("events", "--workflow, --freq, --start, --end and --extended are for usage");
    if (options->after != NULL && options->cursor_file != NULL)
        return refuse("--after", "--cursor-file says already where to begin");
    if (options->follow && has_file)
        return refuse("--follow", "never completes a file; leave --output away");
    if (options->format == NULL)
        options->format = "ndjson";
    return ty_export_events(options);
}

static int run(const struct ty_command *self, int argc, char **argv)
{
    struct ty_export_options options = {0};
    struct ty_arguments words;
    int code = ty_flags_parse(self->flags, argc, argv, &options, &words);

    if (code != -1)
        return code;
    if (words.count == 1 && strcmp(words.words[0], "usage") == 0)
        return export_usage(&options);
    if (words.count == 1 && strcmp(words.words[0], "events") == 0)
        return export_events(&options);
    return refuse(words.count == 0 ? "nothing was named" : words.words[words.count > 1 ? 1 : 0],
                  "one word says what to export: usage or events");
}

#define AT(member) .offset = offsetof(struct ty_export_options, member)

static const struct ty_flag flags[] = {
    {.name = "format",
     .kind = TY_FLAG_CHOICE,
     .value = "FORMAT",
     .choices = formats,
     .help = "csv or ndjson (csv for usage, ndjson for events)",
     AT(format)},
    {.name = "output",
     .kind = TY_FLAG_TEXT,
     .value = "FILE",
     .help = "write to FILE, which is there only once it is complete (standard output)",
     AT(output)},
    {.name = "customer",
     .kind = TY_FLAG_UUID,
     .value = "UUID",
     .help = "who is billed; usage needs it (events: everybody's)",
     AT(query.customer)},
    {.name = "workflow",
     .kind = TY_FLAG_UUID,
     .value = "UUID",
     .help = "usage: of this workflow only (all that were used)",
     AT(query.workflow)},
    {.name = "freq",
     .kind = TY_FLAG_CHOICE,
     .value = "FREQ",
     .choices = ty_query_frequencies,
     .help = "usage: monthly, weekly, daily or hourly (monthly)",
     AT(query.frequency)},
    {.name = "start",
     .kind = TY_FLAG_TEXT,
     .value = "DATE",
     .help = "usage: the first period, as for 'tally usage'",
     AT(query.start)},
    {.name = "end",
     .kind = TY_FLAG_TEXT,
     .value = "DATE",
     .help = "usage: the last period, itself included (the current one)",
     AT(query.end)},
    {.name = "extended",
     .kind = TY_FLAG_SWITCH,
     .help = "usage: documents, pages and average seconds per page too",
     AT(query.extended)},
    {.name = "after",
     .kind = TY_FLAG_TEXT,
     .value = "CURSOR",
     .help = "events: go on where an earlier export ended (the oldest event)",
     AT(after)},
    {.name = "cursor-file",
     .kind = TY_FLAG_TEXT,
     .value = "FILE",
     .help = "events: go on at the cursor in FILE, if there is one, and keep the new one there",
     AT(cursor_file)},
    {.name = "follow",
     .kind = TY_FLAG_SWITCH,
     .help = "events: do not end, but go on with what arrives",
     AT(follow)},
    {.name = "skip-damaged",
     .kind = TY_FLAG_SWITCH,
     .help = "events: go on behind a value of the journal that is damaged; the exit code is 1",
     AT(skip_damaged)},
    {.name = "quiet", .kind = TY_FLAG_SWITCH, .help = "no progress and no summary", AT(quiet)},
    TY_CLIENT_FLAGS,
    {0}};

const struct ty_command ty_command_export = {
    .name = "export",
    .summary = "usage of a customer, or the single events, as CSV or NDJSON",
    .usage = "usage --customer UUID --start DATE [FLAG ...], or events [FLAG ...]",
    .words = "= usage events",
    .description =
        "usage: the rollups of a customer, a row for each workflow that was used and each\n"
        "period, exact to the last digit. Columns are customer_id, workflow_id, date,\n"
        "processed_credits and, with --extended, num_documents, num_pages and\n"
        "average_time_per_page.\n"
        "\n"
        "events: the single events that the server keeps, those that were voided left out,\n"
        "in order of arrival, which 'tally import' takes back. The time of an event that\n"
        "was sent without one is filled in: when it was received, which is what it counts\n"
        "at. Memory does not grow with their number. At the end stderr tells the cursor to\n"
        "go on with.\n",
    .flags = flags,
    .notes = "With --cursor-file every run exports what has arrived since the one before. The\n"
             "cursor is kept after the events were written; if a run is cut off in between,\n"
             "the last page (10,000 events at most) comes again: ids tell. CSV to standard\n"
             "output has its header in the first run only. If events were deleted before they\n"
             "were exported, a warning says so.\n"
             "\n"
             "  tally export usage --customer $customer --freq daily --start 2023-01-01 \\\n"
             "      --end 2023-01-31 --extended --output january.csv\n"
             "  tally export events > events.ndjson\n"
             "  tally export events --cursor-file cursor --output events-$(date +%F).ndjson\n"
             "  tally export events --follow --cursor-file cursor | other-program\n"
             "  tally export events --format csv --customer $customer > events.csv\n",
    .refused = "the server refused, or an output cannot be written",
    .run = run,
};
