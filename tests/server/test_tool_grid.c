#include "server/tool/grid.h"

#include "engine/base.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct ty_column columns[] = {{"name", false}, {"count", true}};

static char *print(const struct ty_grid *grid)
{
    struct ty_terminal terminal = {.width = 80};
    char *text = NULL;
    size_t length;
    FILE *file = open_memstream(&text, &length);

    cr_assert_not_null(file);
    ty_table_print(file, &grid->table, &terminal);
    fclose(file);
    return text;
}

/* Cells are put together in a buffer that is used again: the table must keep what stood there. */
Test(tool_grid, cells_are_copies)
{
    struct ty_grid grid = ty_grid_new(columns, 2, 2);
    char buffer[16], *text;

    cr_assert(ty_grid_ok(&grid));
    for (int i = 0; i < 4; i++) {
        snprintf(buffer, sizeof(buffer), i % 2 == 0 ? "row%d" : "%d", i);
        ty_grid_add(&grid, buffer);
    }
    memset(buffer, '#', sizeof(buffer));
    text = print(&grid);
    cr_assert_str_eq(text,
                     "name  count\n"
                     "row0      1\n"
                     "row2      3\n",
                     "%s", text);
    free(text);
    ty_grid_fini(&grid);
}

/* A row that was begun and not ended, or that there is no room for, must not be read: there is no
 * text behind its cells. */
Test(tool_grid, only_whole_rows_are_shown)
{
    struct ty_grid grid = ty_grid_new(columns, 2, 2);

    cr_assert_eq(grid.table.row_count, 0u);
    for (size_t added = 1; added <= 7; added++) {
        ty_grid_add(&grid, "x");
        cr_assert_eq(grid.table.row_count, TY_MIN(added / 2, (size_t)2), "%zu cells", added);
    }
    ty_grid_fini(&grid);
    ty_grid_fini(&grid);
    grid = ty_grid_new(columns, 2, 0); /* of an empty answer */
    cr_assert(ty_grid_ok(&grid));
    ty_grid_add(&grid, "x");
    cr_assert_eq(grid.table.row_count, 0u);
    ty_grid_fini(&grid);
}

/* Texts came from elsewhere: an escape sequence must not reach the terminal, nor a long one push
 * the other columns away, nor a multibyte one move them. */
Test(tool_grid, texts_are_made_fit_to_print)
{
    static const struct {
        const char *text, *cell;
    } cases[] = {
        {"", ""},
        {"a ~ b!", "a ~ b!"},
        {"\033[31mred", "?[31mred"},
        {"a\nb\tc\x7f", "a?b?c?"},
        {"\xc3\xa9\xff", "???"},
        {"123456789 123456789 123456789 123456789", "123456789 123456789 123456789 123456789"},
        {"123456789 123456789 123456789 123456789x", "123456789 123456789 123456789 123456789"},
    };
    struct ty_grid grid = ty_grid_new(columns, 1, TY_COUNT_OF(cases));

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        ty_grid_add(&grid, cases[i].text);
        cr_assert_str_eq(grid.table.cells[i], cases[i].cell);
    }
    ty_grid_fini(&grid);
}
