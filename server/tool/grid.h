/*
 * grid.h: a table (table.h) that is filled cell by cell, with copies of what is put in.
 *
 *     grid = ty_grid_new(columns, column_count, row_count);
 *     if (ty_grid_ok(&grid))
 *         for each row and column: ty_grid_add(&grid, text);
 *     ty_table_print(stdout, &grid.table, &terminal);
 *     ty_grid_fini(&grid);
 *
 * Threads: one owner.
 */
#ifndef TY_SERVER_TOOL_GRID_H
#define TY_SERVER_TOOL_GRID_H

#include "server/tool/table.h"

#define TY_GRID_CELL_BYTES 40 /* longer texts are cut */

struct ty_grid {
    struct ty_table table; /* of the whole rows so far */
    const char **cells;
    char (*texts)[TY_GRID_CELL_BYTES];
    size_t count;
    size_t count_max;
};

/* ty_grid_new has room for `row_count` rows. `columns` is borrowed. */
struct ty_grid ty_grid_new(const struct ty_column *columns, size_t column_count, size_t row_count);

/* False: there was no memory; nothing may be added. */
bool ty_grid_ok(const struct ty_grid *grid);

/* ty_grid_add fills the next cell, row by row. What is not printable ASCII becomes a question mark.
 * Cells that there is no room for are left out. */
void ty_grid_add(struct ty_grid *grid, const char *text);

void ty_grid_fini(struct ty_grid *grid);

#endif
