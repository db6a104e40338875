#include "server/tool/export_output.h"
#include "tests/support/capture.h"
#include "tests/support/temporary_directory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ty_temporary_directory directory;
static char path[2048], partial[2080];
static char said[1024]; /* on stderr */

static void init(void)
{
    ty_temporary_directory_create(&directory);
    snprintf(path, sizeof(path), "%s/out", directory.path);
    snprintf(partial, sizeof(partial), "%s.partial", path);
}

static void fini(void)
{
    ty_temporary_directory_remove(&directory);
}

TestSuite(tool_export_output, .init = init, .fini = fini);

static bool exists(const char *name)
{
    return access(name, F_OK) == 0;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");

    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static const char *content_of(const char *name)
{
    static char text[256];
    FILE *file = fopen(name, "r");

    cr_assert_not_null(file, "%s", name);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* Whoever finds the file may read it: half an export must never be there under its name. */
Test(tool_export_output, a_file_is_there_once_it_is_complete)
{
    struct ty_export_output output;

    write_file(path, "before\n");
    write_file(partial, "left by one that was killed");
    cr_assert(ty_export_output_open(&output, path));
    ty_buffer_append_text(&output.text, "a\n");
    cr_assert(ty_export_output_flush(&output));
    ty_buffer_append_text(&output.text, "b\n");
    cr_assert_str_eq(content_of(path), "before\n");
    cr_assert_str_eq(content_of(partial), "a\n");
    cr_assert(ty_export_output_commit(&output));
    cr_assert_str_eq(content_of(path), "a\nb\n");
    cr_assert(!exists(partial));
    ty_export_output_abort(&output); /* does nothing any more */
    cr_assert(exists(path));
}

/* An export that failed leaves what was there before, and nothing beside it. */
Test(tool_export_output, an_aborted_file_leaves_nothing)
{
    struct ty_export_output output;

    write_file(path, "before\n");
    cr_assert(ty_export_output_open(&output, path));
    ty_buffer_append_text(&output.text, "a\n");
    cr_assert(ty_export_output_flush(&output));
    ty_export_output_abort(&output);
    cr_assert_str_eq(content_of(path), "before\n");
    cr_assert(!exists(partial));
}

/* A disk that is full must be told with its reason, not taken for an export. */
Test(tool_export_output, what_cannot_be_written_is_told)
{
    struct ty_capture capture = ty_capture_begin(STDERR_FILENO);
    struct ty_export_output output;
    char where[2100];
    bool opened;

    snprintf(where, sizeof(where), "%s/none/out", directory.path);
    opened = ty_export_output_open(&output, where);
    ty_export_output_abort(&output);
    ty_capture_end(&capture, said, sizeof(said));
    cr_assert(!opened);
    cr_assert_not_null(strstr(said, "none/out.partial: No such file or directory"), "%s", said);

    capture = ty_capture_begin(STDERR_FILENO);
    cr_assert(ty_export_output_open(&output, path));
    mkdir(path, 0700); /* a directory cannot be replaced by a file */
    opened = ty_export_output_commit(&output);
    ty_capture_end(&capture, said, sizeof(said));
    cr_assert(!opened);
    cr_assert_not_null(strstr(said, "cannot write"), "%s", said);
    cr_assert(!exists(partial));
}

/* Spreadsheets and `tally import` read cells by RFC 4180: any text must come through. */
Test(tool_export_output, cells_are_quoted_where_they_must_be)
{
    static const struct {
        const char *text, *cell;
    } cases[] = {
        {"", ","},
        {"plain text", "plain text,"},
        {"a,b", "\"a,b\","},
        {"say \"hi\"", "\"say \"\"hi\"\"\","},
        {"two\nlines", "\"two\nlines\","},
        {"cr\r", "\"cr\r\","},
        {" before", "\" before\","},
        {"behind ", "\"behind \","},
        {"a\xc3\xb1n", "a\xc3\xb1n,"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ty_buffer out = {0};

        ty_export_csv_cell(&out, cases[i].text, ',');
        ty_buffer_append_char(&out, '\0');
        cr_assert_str_eq(out.data, cases[i].cell);
        ty_buffer_fini(&out);
    }
}

/* The cursor of the export before: read back as it was written, and none at the first time. */
Test(tool_export_output, a_small_text_is_kept_whole)
{
    struct ty_capture capture;
    char text[16] = "untouched";
    bool read;

    cr_assert(ty_export_text_read(path, text, sizeof(text)));
    cr_assert_str_eq(text, "");
    cr_assert(ty_export_text_write(path, "0.12.345"));
    cr_assert(ty_export_text_write(path, "0.0.346"));
    cr_assert_str_eq(content_of(path), "0.0.346\n");
    cr_assert(!exists(partial));
    cr_assert(ty_export_text_read(path, text, sizeof(text)));
    cr_assert_str_eq(text, "0.0.346");

    write_file(path, "more than fits here, so no cursor");
    capture = ty_capture_begin(STDERR_FILENO);
    read = ty_export_text_read(path, text, sizeof(text));
    ty_capture_end(&capture, said, sizeof(said));
    cr_assert(!read);
    cr_assert_not_null(strstr(said, "holds no cursor"), "%s", said);
}
