#include "server/tool/table.h"

#include "engine/base.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct ty_column columns[] = {{"month", false}, {"credits", true}};
static const char *const cells[] = {"2023-01", "21", "2023-02", "0.125", "2023-03", "-1000"};
static const struct ty_table table = {columns, 2, cells, 3, NULL, 1};

static char *print(const struct ty_table *what, struct ty_terminal terminal)
{
    char *text = NULL;
    size_t length;
    FILE *file = open_memstream(&text, &length);

    cr_assert_not_null(file);
    ty_table_print(file, what, &terminal);
    fclose(file);
    return text;
}

/* Numbers under each other can be compared only if their points stand under each other. */
Test(tool_table, numbers_are_aligned_at_the_point)
{
    char *text = print(&table, (struct ty_terminal){.width = 20});

    cr_assert_str_eq(text, "month      credits\n"
                           "2023-01     21\n"
                           "2023-02      0.125\n"
                           "2023-03  -1000\n");
    free(text);
}

/* The chart takes what the terminal has left, and marks where zero is. */
Test(tool_table, bars_fill_the_terminal)
{
    char *text = print(&table, (struct ty_terminal){.width = 31, .unicode = true});

    cr_assert_str_eq(text, "month      credits\n"
                           "2023-01     21               │█\n"
                           "2023-02      0.125           │▏\n"
                           "2023-03  -1000      █████████│\n");
    free(text);
}

/* Escape sequences belong on a terminal only, and must be closed on the same line. */
Test(tool_table, colours_are_switched_off_again)
{
    char *text = print(&table, (struct ty_terminal){.width = 40, .colour = true});

    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        cr_assert_not_null(strstr(line, "\033["));
        cr_assert_str_eq(line + strlen(line) - 4, "\033[0m");
    }
    free(text);
}

/* A total must stand under its column, even if it is the widest number there. */
Test(tool_table, the_footer_counts_for_the_width)
{
    static const char *const footer[] = {"total", "123456789012.5"};
    struct ty_table with_footer = table;
    char *text;

    with_footer.footer = footer;
    with_footer.bar_column = -1;
    text = print(&with_footer, (struct ty_terminal){.width = 80});

    cr_assert_str_eq(text, "month             credits\n"
                           "2023-01            21\n"
                           "2023-02             0.125\n"
                           "2023-03         -1000\n"
                           "-------------------------\n"
                           "total    123456789012.5\n");
    free(text);
}

/* A year of hours is nearly ten thousand rows: each must be there, and in order. */
Test(tool_table, long_tables_have_every_row)
{
    enum { ROWS = 10000 };
    const char **many = calloc(2 * ROWS, sizeof(*many));
    struct ty_table long_table = {columns, 2, many, ROWS, NULL, 1};
    size_t lines = 0;
    char *text;

    for (size_t i = 0; i < ROWS; i++) {
        many[2 * i] = "2023-01-01T00Z";
        many[2 * i + 1] = i % 2 == 0 ? "0" : "3.5";
    }
    text = print(&long_table, (struct ty_terminal){.width = 80, .unicode = true});
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;

    cr_assert_eq(lines, ROWS + 1);
    free(text);
    free(many);
}

/* Spreadsheets split at commas and quotes: a cell with them must come back whole. */
Test(tool_table, csv_quotes_what_needs_it)
{
    static const char *const tricky[] = {"plain", "1.5", "a,b", "", "say \"x\"", "two\nlines"};
    struct ty_table csv = {columns, 2, tricky, 3, NULL, -1};
    char *text = NULL;
    size_t length;
    FILE *file = open_memstream(&text, &length);

    ty_table_print_csv(file, &csv);
    fclose(file);

    cr_assert_str_eq(text, "month,credits\n"
                           "plain,1.5\n"
                           "\"a,b\",\n"
                           "\"say \"\"x\"\"\",\"two\nlines\"\n");
    free(text);
}
