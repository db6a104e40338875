/*
 * table.h: a table for people, with an optional bar chart at its right.
 *
 * Threads: pure but for the file that is written.
 */
#ifndef TY_SERVER_TOOL_TABLE_H
#define TY_SERVER_TOOL_TABLE_H

#include "server/tool/terminal.h"
#include <stddef.h>

#define TY_TABLE_COLUMNS_MAX 8

/* A chart narrower than this says nothing, and is left out. */
#define TY_TABLE_BAR_CELLS_MIN 8

struct ty_column {
    const char *title;
    bool numeric; /* aligned at the decimal point, so at the right where there is none */
};

/* Everything is borrowed. Cells are text, row by row; none is NULL, "" is an empty one. */
struct ty_table {
    const struct ty_column *columns;
    size_t column_count; /* 1..TY_TABLE_COLUMNS_MAX; any number for CSV */
    const char *const *cells;
    size_t row_count;
    const char *const *footer; /* one more row below a rule, such as totals; or NULL */
    int bar_column;            /* the numeric column that bars show, or -1 for no chart */
};

/*
 * ty_table_print writes the table. Columns are as wide as their widest cell, two spaces apart; the
 * chart takes the columns that are left of the terminal's width. Cells are ASCII.
 */
void ty_table_print(FILE *file, const struct ty_table *table, const struct ty_terminal *terminal);

/* ty_table_print_csv writes the same cells as RFC 4180 CSV with LF, the titles being line one. */
void ty_table_print_csv(FILE *file, const struct ty_table *table);

/* ty_table_print_csv_rows writes the rows without the titles, to go on with such a file. */
void ty_table_print_csv_rows(FILE *file, const struct ty_table *table);

#endif
