/* `tally usage`: the rollups of one workflow as a table with bars, as JSON or as CSV. */
#include "engine/decimal.h"
#include "server/tool/answer.h"
#include "server/tool/exact_json.h"
#include "server/tool/table.h"
#include <stdio.h>

#define PLAIN_COLUMNS    2
#define EXTENDED_COLUMNS 5
#define BAR_COLUMN       1

static const char *const fields[EXTENDED_COLUMNS] = {
    "date", "processed_credits", "num_documents", "num_pages", "average_time_per_page",
};

static void print_csv(const struct ty_answer_rows *rows, size_t column_count)
{
    struct ty_column columns[EXTENDED_COLUMNS];
    struct ty_table table = {columns, column_count, rows->cells, rows->row_count, NULL, -1};

    for (size_t i = 0; i < EXTENDED_COLUMNS; i++)
        columns[i] = (struct ty_column){fields[i], i > 0};
    ty_table_print_csv(stdout, &table);
}

/* The exact sum of a column, or "" where it does not fit into 128 bits. */
static const char *sum_column(const struct ty_answer_rows *rows, size_t column_count, size_t column,
                              char text[TY_DECIMAL_TEXT_BYTES])
{
    ty_int128 micros = 0;

    for (size_t row = 0; row < rows->row_count; row++)
        if (!ty_exact_json_add(rows->cells[row * column_count + column], &micros))
            return "";
    ty_decimal_format(micros, text);
    return text;
}

static void print_table(const struct ty_query_options *options, const struct ty_answer_rows *rows,
                        size_t column_count)
{
    struct ty_terminal terminal = ty_terminal_inspect(stdout);
    const struct ty_column columns[EXTENDED_COLUMNS] = {
        {ty_query_period_name(options->frequency), false},
        {"credits", true},
        {"documents", true},
        {"pages", true},
        {"s/page", true},
    };
    char sums[EXTENDED_COLUMNS][TY_DECIMAL_TEXT_BYTES];
    const char *footer[EXTENDED_COLUMNS] = {"total", "", "", "", ""};
    struct ty_table table = {columns,         column_count, rows->cells,
                             rows->row_count, footer,       BAR_COLUMN};

    /* The last column of the extended form is an average, which rows cannot be added up to. */
    for (size_t i = 1; i < TY_MIN(column_count, EXTENDED_COLUMNS - 1); i++)
        footer[i] = sum_column(rows, column_count, i, sums[i]);
    printf("customer %s\nworkflow %s, %s, UTC\n\n", options->customer, options->workflow,
           options->frequency);
    ty_table_print(stdout, &table, &terminal);
}

static void print(const struct ty_query_options *options, const struct ty_http_answer *answer,
                  const struct ty_answer_rows *rows, size_t column_count)
{
    if (options->json)
        ty_answer_print_json(answer);
    else if (options->csv)
        print_csv(rows, column_count);
    else
        print_table(options, rows, column_count);
}

static int run(const struct ty_command *self, int argc, char **argv)
{
    static const struct ty_answer_view view = {fields, PLAIN_COLUMNS, EXTENDED_COLUMNS, print};
    struct ty_query_options options = {.frequency = ty_query_frequencies[0]};

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
    {.name = "workflow",
     .kind = TY_FLAG_UUID,
     .value = "UUID",
     .help = "what was run",
     .required = true,
     AT(workflow)},
    {.name = "freq",
     .kind = TY_FLAG_CHOICE,
     .value = "FREQ",
     .choices = ty_query_frequencies,
     .help = "monthly, weekly, daily or hourly (monthly)",
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
    {.name = "extended",
     .kind = TY_FLAG_SWITCH,
     .help = "documents, pages and average seconds per page too",
     AT(extended)},
    {.name = "json", .kind = TY_FLAG_SWITCH, .help = "the server's answer as it came", AT(json)},
    {.name = "csv", .kind = TY_FLAG_SWITCH, .help = "the same rows as CSV", AT(csv)},
    TY_CLIENT_FLAGS,
    {0}};

const struct ty_command ty_command_usage = {
    .name = "usage",
    .summary = "what a customer used of a workflow, per period, with a bar chart",
    .usage = "--customer UUID --workflow UUID --start DATE [FLAG ...]",
    .description =
        "Shows what a customer used of a workflow: one row for each period, exact to the\n"
        "last digit, zeros where nothing was used. Periods are in UTC.\n",
    .flags = flags,
    .notes = "Colours are for terminals only; NO_COLOR=1 switches them off there too.\n"
             "\n"
             "What was used in the first quarter, and every hour of a day as CSV:\n"
             "\n"
             "  customer=d04270a6-6316-4d4b-b2c5-bff0ff515908\n"
             "  workflow=6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c\n"
             "  tally usage --customer $customer --workflow $workflow \\\n"
             "      --start 2023-01 --end 2023-03 --extended\n"
             "  tally usage --customer $customer --workflow $workflow --freq hourly \\\n"
             "      --start 2023-01-31T00Z --end 2023-01-31T23Z --csv > day.csv\n",
    .run = run,
};
