/* `tally workflows`: which workflows a customer used, as a list, as JSON or as CSV. */
#include "server/tool/answer.h"
#include "server/tool/table.h"
#include <stdio.h>

#define COLUMN_COUNT 2

static const char *const fields[COLUMN_COUNT] = {"workflow_id", "usage_url"};
static const struct ty_column columns[COLUMN_COUNT] = {
    {"workflow_id", false},
    {"usage_url", false},
};

/* Identifiers only: the URLs are wider than most terminals, and --json and --csv have them. */
static void print_list(const struct ty_query_options *options, const struct ty_answer_rows *rows)
{
    if (rows->row_count == 0) {
        printf("customer %s used no workflow in this range\n", options->customer);
        return;
    }
    for (size_t row = 0; row < rows->row_count; row++) {
        ty_terminal_print_text(stdout, rows->cells[row * COLUMN_COUNT]);
        putchar('\n');
    }
}

static void print(const struct ty_query_options *options, const struct ty_http_answer *answer,
                  const struct ty_answer_rows *rows, size_t column_count)
{
    if (options->json)
        ty_answer_print_json(answer);
    else if (options->csv)
        ty_table_print_csv(stdout, &(struct ty_table){columns, column_count, rows->cells,
                                                      rows->row_count, NULL, -1});
    else
        print_list(options, rows);
}

static int run(const struct ty_command *self, int argc, char **argv)
{
    static const struct ty_answer_view view = {fields, COLUMN_COUNT, COLUMN_COUNT, print};
    struct ty_query_options options = {0};

    return ty_answer_run(self, argc, argv, &options, &view);
}

#define AT(member) .offset = offsetof(struct ty_query_options, member)

static const struct ty_flag flags[] = {
    {.name = "customer",
     .kind = TY_FLAG_UUID,
     .value = "UUID",
     .help = "who is billed",
     .required = true,
     AT(customer)},
    {.name = "freq",
     .kind = TY_FLAG_CHOICE,
     .value = "FREQ",
     .choices = ty_query_frequencies,
     .help = "monthly, weekly, daily or hourly: the form of the dates",
     .required = true,
     AT(frequency)},
    {.name = "start",
     .kind = TY_FLAG_TEXT,
     .value = "DATE",
     .help = "the first period: 2023-01, 2023-W05, 2023-01-31 or 2023-01-31T13Z; a longer date is "
             "cut to its period",
     .required = true,
     AT(start)},
    {.name = "end",
     .kind = TY_FLAG_TEXT,
     .value = "DATE",
     .help = "the last period, itself included (the current one)",
     AT(end)},
    {.name = "json",
     .kind = TY_FLAG_SWITCH,
     .help = "the server's answer as it came, with the URL of each one's usage",
     AT(json)},
    {.name = "csv", .kind = TY_FLAG_SWITCH, .help = "the same as CSV", AT(csv)},
    TY_CLIENT_FLAGS,
    {0}};

const struct ty_command ty_command_workflows = {
    .name = "workflows",
    .summary = "which workflows a customer used in a range of time",
    .usage = "--customer UUID --freq FREQ --start DATE [FLAG ...]",
    .description =
        "Lists the workflows that a customer used in a range of time, one a line, those\n"
        "deleted since included.\n",
    .flags = flags,
    .run = run,
};
