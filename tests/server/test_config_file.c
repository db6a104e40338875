#include "server/config_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/temporary_directory.h"

static struct ty_temporary_directory directory;
static char path[sizeof(directory.path) + 16];

static void set_up(void)
{
    ty_temporary_directory_create(&directory);
    snprintf(path, sizeof(path), "%s/tally.conf", directory.path);
}

static void tear_down(void)
{
    ty_temporary_directory_remove(&directory);
}

static void write_file(const char *bytes, size_t length)
{
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

/* Whatever way an operator writes a line, it must mean what it seems to. */
Test(config_file, lines_are_names_and_values)
{
    static const struct {
        const char *line;
        const char *name; /* NULL: nothing stands there */
        const char *value;
    } cases[] = {
        {"shards = 3", "shards", "3"},
        {"shards=3", "shards", "3"},
        {"\t shards\t=  3 \r", "shards", "3"},
        {"data = /var/lib/my data", "data", "/var/lib/my data"},
        {"data = a=b", "data", "a=b"},
        {"data = /a#b", "data", "/a#b"},
        {"data = /a #b", "data", "/a"},
        {"data = /a\t# b = c", "data", "/a"},
        {"data =", "data", ""},
        {"data = # nothing", "data", ""},
        {"# shards = 3", NULL, NULL},
        {"   # shards = 3", NULL, NULL},
        {"#", NULL, NULL},
        {"", NULL, NULL},
        {" \t\r", NULL, NULL},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char text[64];
        struct ty_config_lines lines = {.at = text};

        snprintf(text, sizeof(text), "%s", cases[i].line);
        cr_assert_eq(ty_config_file_next(&lines), cases[i].name != NULL, "'%s'", cases[i].line);
        if (cases[i].name == NULL)
            continue;
        cr_assert_null(lines.problem, "'%s': %s", cases[i].line, lines.problem);
        cr_assert_str_eq(lines.name, cases[i].name, "'%s'", cases[i].line);
        cr_assert_str_eq(lines.value, cases[i].value, "'%s'", cases[i].line);
        cr_assert(!ty_config_file_next(&lines));
    }
}

/* A line that says nothing must not be passed over. */
Test(config_file, lines_that_are_wrong_say_why)
{
    static const struct {
        const char *line;
        const char *problem;
    } cases[] = {
        {"shards", "a line is 'name = value', a # with a comment, or empty"},
        {"shards: 3", "a line is 'name = value', a # with a comment, or empty"},
        {"shards # = 3", "a line is 'name = value', a # with a comment, or empty"},
        {"[server]", "a line is 'name = value', a # with a comment, or empty"},
        {"= 3", "a name is missing before '='"},
        {"data = \"/var\"", "a value stands without quotes"},
        {"data = '/var'", "a value stands without quotes"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char text[64];
        struct ty_config_lines lines = {.at = text};

        snprintf(text, sizeof(text), "%s", cases[i].line);
        cr_assert(ty_config_file_next(&lines));
        cr_assert_not_null(lines.problem, "'%s'", cases[i].line);
        cr_assert_str_eq(lines.problem, cases[i].problem);
    }
}

/* A message that names the wrong line sends the reader to the wrong place. */
Test(config_file, lines_are_counted_from_one)
{
    char text[] = "# first\n\nshards = 3\nwrong\r\n\n  drain = 1s";
    struct ty_config_lines lines = {.at = text};

    cr_assert(ty_config_file_next(&lines));
    cr_assert_eq(lines.number, 3);
    cr_assert(ty_config_file_next(&lines));
    cr_assert_eq(lines.number, 4);
    cr_assert_not_null(lines.problem);
    cr_assert(ty_config_file_next(&lines));
    cr_assert_eq(lines.number, 6);
    cr_assert_null(lines.problem);
    cr_assert_str_eq(lines.value, "1s", "the last line needs no end");
    cr_assert(!ty_config_file_next(&lines));
}

/* What is read must be what the file holds. */
Test(config_file, a_file_is_read_whole, .init = set_up, .fini = tear_down)
{
    char problem[128], *text;

    write_file("shards = 3\n", 11);
    text = ty_config_file_read(path, problem, sizeof(problem));
    cr_assert_not_null(text, "%s", problem);
    cr_assert_str_eq(text, "shards = 3\n");
    free(text);
    write_file("", 0);
    text = ty_config_file_read(path, problem, sizeof(problem));
    cr_assert_str_eq(text, "");
    free(text);
}

/* A wrong path must not start a server with other settings than were meant. */
Test(config_file, what_is_no_readable_text_is_refused, .init = set_up, .fini = tear_down)
{
    char problem[128], *large = calloc(1, TY_CONFIG_BYTES_MAX + 1), *text;

    cr_assert_null(ty_config_file_read(path, problem, sizeof(problem)));
    cr_assert_str_eq(problem, "No such file or directory");
    cr_assert_null(ty_config_file_read(directory.path, problem, sizeof(problem)));
    cr_assert_str_eq(problem, "Is a directory");
    write_file("a\0b", 3);
    cr_assert_null(ty_config_file_read(path, problem, sizeof(problem)));
    cr_assert_str_eq(problem, "it holds a zero byte: it is no text");
    memset(large, '\n', TY_CONFIG_BYTES_MAX + 1);
    write_file(large, TY_CONFIG_BYTES_MAX + 1);
    cr_assert_null(ty_config_file_read(path, problem, sizeof(problem)));
    cr_assert_str_eq(problem, "it is larger than 1 MiB");
    write_file(large, TY_CONFIG_BYTES_MAX);
    text = ty_config_file_read(path, problem, sizeof(problem));
    cr_assert_not_null(text, "%s", problem);
    free(text);
    free(large);
}
