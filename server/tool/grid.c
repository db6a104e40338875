#include "server/tool/grid.h"

#include <stdlib.h>

struct ty_grid ty_grid_new(const struct ty_column *columns, size_t column_count, size_t row_count)
{
    size_t cells = column_count * row_count;
    struct ty_grid grid = {
        .cells = calloc(cells + 1, sizeof(*grid.cells)),
        .texts = calloc(cells + 1, sizeof(*grid.texts)),
        .count_max = cells,
    };

    grid.table = (struct ty_table){columns, column_count, grid.cells, 0, NULL, -1};
    return grid;
}

bool ty_grid_ok(const struct ty_grid *grid)
{
    return grid->cells != NULL && grid->texts != NULL;
}

void ty_grid_add(struct ty_grid *grid, const char *text)
{
    char *to;

    if (grid->count == grid->count_max)
        return;
    to = grid->texts[grid->count];
    snprintf(to, TY_GRID_CELL_BYTES, "%s", text);
    grid->cells[grid->count++] = to;
    grid->table.row_count = grid->count / grid->table.column_count;
    for (; *to != '\0'; to++)
        if (*to < ' ' || *to > '~')
            *to = '?';
}

void ty_grid_fini(struct ty_grid *grid)
{
    free(grid->cells);
    free(grid->texts);
    *grid = (struct ty_grid){0};
}
