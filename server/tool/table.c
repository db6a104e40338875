#include "server/tool/table.h"

#include "engine/base.h"
#include "server/tool/bar.h"
#include <stdlib.h>
#include <string.h>

#define GAP      2
#define BOLD     "\033[1m"
#define CYAN     "\033[36m"
#define RED      "\033[31m"
#define NO_STYLE "\033[0m"

/* A column's width, and how much of it stands behind the last integer digit. */
struct width {
    int all;
    int fraction;
};

struct layout {
    const struct ty_table *table;
    const struct ty_terminal *terminal;
    struct width widths[TY_TABLE_COLUMNS_MAX];
    struct ty_bar_scale scale;
    bool chart;
};

/* The point and what follows it; 0 for a whole number. */
static int fraction_length(const char *cell)
{
    const char *point = strchr(cell, '.');

    return point != NULL ? (int)strlen(point) : 0;
}

static void widen(struct width *width, const char *cell, int *whole)
{
    int fraction = fraction_length(cell);

    width->fraction = TY_MAX(width->fraction, fraction);
    *whole = TY_MAX(*whole, (int)strlen(cell) - fraction);
}

static struct width measure_column(const struct ty_table *table, size_t column)
{
    struct width width = {0, 0};
    int whole = 0;

    for (size_t row = 0; row < table->row_count; row++) {
        const char *cell = table->cells[row * table->column_count + column];

        if (table->columns[column].numeric)
            widen(&width, cell, &whole);
        else
            whole = TY_MAX(whole, (int)strlen(cell));
    }
    if (table->footer != NULL)
        widen(&width, table->footer[column], &whole);
    width.all = TY_MAX(whole + width.fraction, (int)strlen(table->columns[column].title));
    return width;
}

static double bar_value(const struct ty_table *table, size_t row)
{
    return strtod(table->cells[row * table->column_count + (size_t)table->bar_column], NULL);
}

static void plan_chart(struct layout *layout)
{
    const struct ty_table *table = layout->table;
    int cells = layout->terminal->width;
    double lowest = 0, highest = 0;

    for (size_t column = 0; column < table->column_count; column++)
        cells -= layout->widths[column].all + GAP;
    if (table->bar_column < 0 || cells < TY_TABLE_BAR_CELLS_MIN)
        return;
    for (size_t row = 0; row < table->row_count; row++) {
        lowest = TY_MIN(lowest, bar_value(table, row));
        highest = TY_MAX(highest, bar_value(table, row));
    }
    layout->chart = true;
    layout->scale = ty_bar_fit(lowest, highest, cells, layout->terminal->unicode);
}

/* `last` cells at a line's end are not padded, so that no line ends in spaces. */
static void print_cell(FILE *file, const struct layout *layout, size_t column, const char *cell,
                       bool last)
{
    const struct width *width = &layout->widths[column];
    int behind = 0;

    if (last && *cell == '\0')
        return;
    if (column > 0)
        fprintf(file, "%*s", GAP, "");
    if (!layout->table->columns[column].numeric) {
        fprintf(file, "%-*s", last ? 0 : width->all, cell);
        return;
    }
    /* An empty cell has no point to align. */
    if (*cell != '\0')
        behind = width->fraction - fraction_length(cell);
    fprintf(file, "%*s%*s", width->all - behind, cell, last ? 0 : behind, "");
}

static void print_head(FILE *file, const struct layout *layout)
{
    const struct ty_table *table = layout->table;

    if (layout->terminal->colour)
        fputs(BOLD, file);
    for (size_t column = 0; column < table->column_count; column++) {
        const char *title = table->columns[column].title;
        int width = layout->widths[column].all;
        bool last = column + 1 == table->column_count;

        if (column > 0)
            fprintf(file, "%*s", GAP, "");
        if (table->columns[column].numeric)
            fprintf(file, "%*s", width, title);
        else
            fprintf(file, "%-*s", last ? 0 : width, title);
    }
    fputs(layout->terminal->colour ? NO_STYLE "\n" : "\n", file);
}

static void print_bar(FILE *file, const struct layout *layout, double value)
{
    char text[TY_BAR_TEXT_BYTES];

    if (ty_bar_draw(&layout->scale, value, text) == 0)
        return;
    fprintf(file, "%*s", GAP, "");
    if (layout->terminal->colour)
        fprintf(file, "%s%s" NO_STYLE, value < 0 ? RED : CYAN, text);
    else
        fputs(text, file);
}

static void print_row(FILE *file, const struct layout *layout, size_t row)
{
    const struct ty_table *table = layout->table;
    const char *const *cells = table->cells + row * table->column_count;
    bool bar = layout->chart && (layout->scale.left > 0 || bar_value(table, row) > 0);

    for (size_t column = 0; column < table->column_count; column++)
        print_cell(file, layout, column, cells[column], !bar && column + 1 == table->column_count);
    if (bar)
        print_bar(file, layout, bar_value(table, row));
    fputc('\n', file);
}

static void print_footer(FILE *file, const struct layout *layout)
{
    const struct ty_table *table = layout->table;

    for (size_t column = 0; column < table->column_count; column++) {
        int width = layout->widths[column].all + (column > 0 ? GAP : 0);

        for (int i = 0; i < width; i++)
            fputs(layout->terminal->unicode ? "─" : "-", file);
    }
    fputc('\n', file);
    for (size_t column = 0; column < table->column_count; column++)
        print_cell(file, layout, column, table->footer[column], column + 1 == table->column_count);
    fputc('\n', file);
}

void ty_table_print(FILE *file, const struct ty_table *table, const struct ty_terminal *terminal)
{
    struct layout layout = {.table = table, .terminal = terminal};

    for (size_t column = 0; column < table->column_count; column++)
        layout.widths[column] = measure_column(table, column);
    plan_chart(&layout);
    print_head(file, &layout);
    for (size_t row = 0; row < table->row_count; row++)
        print_row(file, &layout, row);
    if (table->footer != NULL)
        print_footer(file, &layout);
}

static void print_csv_cell(FILE *file, const char *cell, bool last)
{
    if (cell[strcspn(cell, ",\"\r\n")] == '\0') {
        fputs(cell, file);
    } else {
        fputc('"', file);
        for (; *cell != '\0'; cell++)
            fputs(*cell == '"' ? "\"\"" : (char[]){*cell, '\0'}, file);
        fputc('"', file);
    }
    fputc(last ? '\n' : ',', file);
}

void ty_table_print_csv(FILE *file, const struct ty_table *table)
{
    size_t columns = table->column_count;

    for (size_t column = 0; column < columns; column++)
        print_csv_cell(file, table->columns[column].title, column + 1 == columns);
    ty_table_print_csv_rows(file, table);
}

void ty_table_print_csv_rows(FILE *file, const struct ty_table *table)
{
    size_t columns = table->column_count;

    for (size_t cell = 0; cell < table->row_count * columns; cell++)
        print_csv_cell(file, table->cells[cell], (cell + 1) % columns == 0);
}
