#include "server/tool/query_path.h"

#include "server/tool/command.h"
#include "tests/support/capture.h"

#include <criterion/criterion.h>
#include <string.h>

#define CUSTOMER "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
#define WORKFLOW "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"
#define USAGE    "/reseller/customers/" CUSTOMER "/usage/workflows/"

static void assert_path(const struct ty_query_options *options, const char *want)
{
    char *path = ty_query_path(options);

    cr_assert_not_null(path);
    cr_assert_str_eq(path, want, "%s", path);
    free(path);
}

/* Another path is another customer's usage, or another period's, or none. */
Test(tool_query_path, paths_are_the_documented_ones)
{
    struct ty_query_options options = {
        .customer = CUSTOMER, .frequency = "monthly", .start = "2023-01"};

    assert_path(&options, USAGE "monthly?start=2023-01");
    options.end = "2023-03";
    assert_path(&options, USAGE "monthly?start=2023-01&end=2023-03");
    options.workflow = WORKFLOW;
    options.frequency = "hourly";
    assert_path(&options, USAGE "workflow_id/" WORKFLOW "/hourly?start=2023-01&end=2023-03");
    options.extended = true;
    assert_path(&options,
                USAGE "workflow_id/" WORKFLOW "/hourly?start=2023-01&end=2023-03&extended=true");
    options.end = NULL;
    options.workflow = NULL;
    assert_path(&options, USAGE "hourly?start=2023-01&extended=true");
}

/* Dates are the server's to judge: whatever is typed must arrive there as one parameter, and must
 * not become another one. */
Test(tool_query_path, dates_are_escaped)
{
    struct ty_query_options options = {.customer = CUSTOMER,
                                       .frequency = "daily",
                                       .start = "2023-01-31T23:00+01",
                                       .end = "x&extended=true#?%"};

    assert_path(&options,
                USAGE "daily?start=2023-01-31T23%3A00%2B01&end=x%26extended%3Dtrue%23%3F%25");
    options.start = "";
    options.end = "\xc3\xa9 ";
    assert_path(&options, USAGE "daily?start=&end=%C3%A9%20");
}

/* The head of a table says what a row is. */
Test(tool_query_path, every_frequency_has_a_period)
{
    static const char *const periods[] = {"month", "week", "day", "hour"};
    size_t count = 0;

    for (; ty_query_frequencies[count] != NULL; count++)
        cr_assert_str_eq(ty_query_period_name(ty_query_frequencies[count]), periods[count]);
    cr_assert_eq(count, 4u);
    cr_assert_str_eq(ty_query_period_name("yearly"), "period");
}

static const struct ty_flag flags[] = {{.name = "json",
                                        .kind = TY_FLAG_SWITCH,
                                        .help = "json",
                                        .offset = offsetof(struct ty_query_options, json)},
                                       {.name = "csv",
                                        .kind = TY_FLAG_SWITCH,
                                        .help = "csv",
                                        .offset = offsetof(struct ty_query_options, csv)},
                                       {0}};

static int parse(struct ty_query_options *options, int argc, const char *const *words, char *said,
                 size_t size)
{
    struct ty_capture capture = ty_capture_begin(STDERR_FILENO);
    char *argv[4] = {NULL};
    int code;

    for (int i = 0; i < argc; i++)
        argv[i] = (char *)(uintptr_t)words[i];
    *options = (struct ty_query_options){0};
    code = ty_query_parse(flags, argc, argv, options);
    ty_capture_end(&capture, said, size);
    return code;
}

/* One of two forms would be printed, and a script that reads the other one breaks later. */
Test(tool_query_path, one_form_of_output_is_chosen)
{
    static const char *const words[] = {"usage", "--json", "--csv"};
    static const char *const csv[] = {"usage", "--csv"};
    static const char *const wrong[] = {"usage", "--cvs"};
    struct ty_query_options options;
    char said[1000];

    cr_assert_eq(parse(&options, 1, words, said, sizeof(said)), -1);
    cr_assert(!options.json && !options.csv);
    cr_assert_eq(parse(&options, 2, words, said, sizeof(said)), -1);
    cr_assert(options.json && !options.csv);
    cr_assert_eq(parse(&options, 2, csv, said, sizeof(said)), -1);
    cr_assert(!options.json && options.csv);
    cr_assert_str_eq(said, "");
    cr_assert_eq(parse(&options, 3, words, said, sizeof(said)), TY_EXIT_USAGE);
    cr_assert_str_eq(said, "tally usage: --json and --csv exclude each other\n"
                           "Try 'tally help usage'.\n");
    cr_assert_eq(parse(&options, 2, wrong, said, sizeof(said)), TY_EXIT_USAGE);
    cr_assert_not_null(strstr(said, "--cvs"), "%s", said);
}
