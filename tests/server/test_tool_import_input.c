#include "server/tool/import_input.h"

#include "server/tool/command.h"
#include "tests/support/capture.h"
#include "tests/support/temporary_directory.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "id,customer_id,workflow_id\n"

static struct ty_temporary_directory directory;
static struct ty_csv_renames no_renames;
static struct ty_input *input; /* large: it has windows and an inflater */
static struct ty_import_batch batch;
static char said[8192];

static void set_up(void)
{
    ty_temporary_directory_create(&directory);
    input = calloc(1, sizeof(*input));
}

static void tear_down(void)
{
    ty_import_batch_fini(&batch);
    free(input);
    ty_temporary_directory_remove(&directory);
}

TestSuite(tool_import_input, .init = set_up, .fini = tear_down);

/* Writes a file of the directory; returns its path, one of the last few. */
static char *write_file(const char *name, const char *text)
{
    static char paths[8][1200];
    static unsigned next;
    char *path = paths[next++ % TY_COUNT_OF(paths)];
    bool is_gzip = strstr(name, ".gz") != NULL;
    gzFile file;

    snprintf(path, sizeof(paths[0]), "%s/%s", directory.path, name);
    file = gzopen(path, is_gzip ? "w" : "wT");
    cr_assert_not_null(file);
    gzputs(file, text);
    cr_assert_eq(gzclose(file), Z_OK);
    return path;
}

static int open_input(const struct ty_input_options *options)
{
    struct ty_capture capture = ty_capture_begin(STDERR_FILENO);
    int code = ty_input_open(input, options);

    ty_capture_end(&capture, said, sizeof(said));
    return code;
}

static void assert_opened(const struct ty_input_options *options)
{
    cr_assert_eq(open_input(options), TY_EXIT_OK, "%s", said);
}

/* Everything that is refused is refused before anything is read to be sent. */
static void assert_refused(const struct ty_input_options *options, const char *part)
{
    cr_assert_eq(open_input(options), TY_EXIT_USAGE);
    cr_assert_eq(strncmp(said, "tally import: ", 14), 0, "%s", said);
    cr_assert_not_null(strstr(said, part), "%s", said);
    ty_input_close(input);
}

static struct ty_input_options options_of(char *const *files, size_t count)
{
    return (struct ty_input_options){
        .files = files, .file_count = count, .renames = &no_renames, .batch_events = 100};
}

/* The ids of what was filled into the batch, "!" for one that cannot be sent: "a b ! c". */
static const char *ids(void)
{
    static char text[2000];
    size_t used = 0;
    const char *line = batch.body.data;

    text[0] = '\0';
    for (size_t i = 0; i < batch.record_count; i++) {
        const char *id = "!";
        int length = 1;

        if (batch.records[i].kind == TY_IMPORT_SENT) {
            id = strstr(line, "\"id\":\"") + 6;
            length = (int)strcspn(id, "\"");
            line = strchr(line, '\n') + 1;
        }
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.*s", i == 0 ? "" : " ",
                                 length, id);
    }
    return text;
}

/* Every event of every file is sent, in whichever form it is written. */
Test(tool_import_input, files_are_read_one_after_another)
{
    char *files[] = {
        write_file("1.csv", HEADER "a,c,w\nb,c,w"),
        write_file("2.TSV", "customer_id\tid\tworkflow_id\r\nc,d\tc\tw\r\n"),
        write_file("3.ndjson", "{\"id\":\"d\"}\n\n{\"id\":\"e\"}"),
        write_file("4.csv.gz", HEADER "f,c,w\n"),
        write_file("5.jsonl.GZ", "{\"id\":\"g\"}\n"),
        write_file("6.csv", HEADER),
        write_file("7.ndjson", ""),
    };
    struct ty_input_options options = options_of(files, TY_COUNT_OF(files));
    uint64_t bytes = 0;

    assert_opened(&options);
    bytes = input->bytes_total;
    cr_assert_gt(bytes, 150u);
    cr_assert_eq(ty_input_fill(input, &batch), TY_INPUT_END, "%s", input->error);
    ty_buffer_append_char(&batch.body, '\0');
    cr_assert_str_eq(ids(), "a b c d e f g", "%s", ids());
    cr_assert_eq(input->read, 7u);
    cr_assert_eq(batch.position, bytes, "the bar ends at its end");
    cr_assert_str_eq(batch.records[1].file, files[0]);
    cr_assert_eq(batch.records[1].line, 3u);
    cr_assert_str_eq(batch.records[4].file, files[2]);
    cr_assert_eq(batch.records[4].line, 3u);
    ty_input_close(input);
}

/* A batch may end anywhere, in the middle of a file or between two: nothing is lost or doubled
 * there.
 */
Test(tool_import_input, batches_end_anywhere)
{
    char *files[] = {write_file("1.csv", HEADER "a,c,w\nb,c,w\nc,c,w\n"),
                     write_file("2.csv", HEADER "d,c,w\n"),
                     write_file("3.csv", HEADER "e,c,w\nf,c,w\n")};

    for (size_t events = 1; events <= 7; events++) {
        struct ty_input_options options = options_of(files, 3);
        enum ty_input_status status;
        char all[100] = "";

        options.batch_events = events;
        assert_opened(&options);
        do {
            ty_import_batch_reset(&batch);
            status = ty_input_fill(input, &batch);
            cr_assert_eq(status == TY_INPUT_FULL, batch.sent_count == events);
            ty_buffer_append_char(&batch.body, '\0');
            strcat(all, ids());
            strcat(all, batch.record_count > 0 ? " " : "");
        } while (status == TY_INPUT_FULL);
        cr_assert_eq(status, TY_INPUT_END);
        cr_assert_str_eq(all, "a b c d e f ");
        ty_input_close(input);
    }
}

/* A file that cannot be read wholly as what it is called stops the import before it begins: half of
 * an import is hard to take back. */
Test(tool_import_input, files_are_looked_at_before_anything_is_sent)
{
    char *good = write_file("good.csv", HEADER);
    static char long_line[TY_RECORD_BYTES_MAX + 100];
    struct {
        char *file;
        const char *part;
    } cases[] = {
        {write_file("x.txt", HEADER), "is it CSV or NDJSON?"},
        {write_file("csv", HEADER), "is it CSV or NDJSON?"},
        {write_file("empty.csv", ""), "is empty: not even a header is there"},
        {write_file("short.csv", "id,customer_id\n"), "workflow_id"},
        {write_file("long.csv", (memset(long_line, 'x', sizeof(long_line) - 1), long_line)),
         "the first line, which should be the header, is longer than 1 MiB"},
        {"/nonexistent/x.csv", "No such file"},
        {"-", "standard input: is it CSV or NDJSON?"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char *files[] = {good, cases[i].file};
        struct ty_input_options options = options_of(files, 2);

        assert_refused(&options, cases[i].part);
        cr_assert(strcmp(cases[i].file, "-") == 0 || strstr(said, cases[i].file) != NULL, "%s",
                  said);
    }
}

/* Flags that cannot hold are told, rather than ignored. */
Test(tool_import_input, flags_that_do_not_fit_are_refused)
{
    char *csv = write_file("a.csv", HEADER), *other = write_file("b.csv", "x," HEADER);
    char *lines = write_file("c.ndjson", "");
    char *mixed[] = {csv, lines}, *headers[] = {csv, other}, *twice[] = {"-", "-"};
    struct ty_input_options options = options_of(&lines, 1);
    struct ty_csv_renames renames = {.count = 1};

    options.delimiter = ';';
    assert_refused(&options, "is NDJSON; --delimiter");
    options = options_of(&lines, 1);
    options.columns = "id";
    assert_refused(&options, "is NDJSON; ");
    options = options_of(&lines, 1);
    options.renames = &renames;
    assert_refused(&options, "is NDJSON; ");
    options = options_of(twice, 2);
    options.format = "ndjson";
    assert_refused(&options, "standard input: can be read only once");
    options = options_of(mixed, 2);
    assert_opened(&options);
    ty_input_close(input);
    options.keep_raw = true;
    assert_refused(&options, "--rejects keeps one kind of lines");
    options = options_of(headers, 2);
    assert_opened(&options);
    ty_input_close(input);
    options.keep_raw = true;
    assert_refused(&options, "its header is another than that of the file before");
    options = options_of(&csv, 1);
    options.columns = "id,customer_id";
    assert_refused(&options, "--columns: ");
}

/* What a file is, its name says; a flag says it better. */
Test(tool_import_input, format_and_delimiter_can_be_given)
{
    struct {
        char *file;
        const char *format, *columns;
        char delimiter;
    } cases[] = {
        {write_file("a", HEADER "x,c,w\n"), "csv", NULL, 0},
        {write_file("a.ndjson", HEADER "x,c,w\n"), "csv", NULL, 0},
        {write_file("a.csv", "{\"id\":\"x\"}\n"), "ndjson", NULL, 0},
        {write_file("b.csv", "id;customer_id;workflow_id\nx;c;w\n"), NULL, NULL, ';'},
        {write_file("c.tsv", "id;customer_id;workflow_id\nx;c;w\n"), NULL, NULL, ';'},
        {write_file("d.tsv", "id\tcustomer_id\tworkflow_id\nx\tc\tw\n"), "csv", NULL, 0},
        {write_file("e.csv", "c,x,w\n"), NULL, "customer_id,id,workflow_id", 0},
        {write_file("f.tsv", "c\tx\tw\n"), NULL, "customer_id,id,workflow_id", 0},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_input_options options = options_of(&cases[i].file, 1);

        options.format = cases[i].format;
        options.delimiter = cases[i].delimiter;
        options.columns = cases[i].columns;
        assert_opened(&options);
        ty_import_batch_reset(&batch);
        cr_assert_eq(ty_input_fill(input, &batch), TY_INPUT_END, "%s", input->error);
        ty_buffer_append_char(&batch.body, '\0');
        cr_assert_str_eq(ids(), "x", "%s: %s", cases[i].file, ids());
        ty_input_close(input);
    }
}

/* A column with a mistyped name would be left out in silence: it is told, once for files that are
 * alike. */
Test(tool_import_input, columns_that_are_ignored_are_told)
{
    char *files[] = {write_file("1.csv", "pagess,id,customer_id,workflow_id\n"),
                     write_file("2.csv", "pagess,id,customer_id,workflow_id\r\n"),
                     write_file("3.csv", "x\x1b,id,customer_id,workflow_id\n"),
                     write_file("4.csv", HEADER)};
    struct ty_input_options options = options_of(files, 4);
    char want[4000];

    assert_opened(&options);
    snprintf(want, sizeof(want),
             "tally import: %s: ignored, as an event has no such fields: pagess\n"
             "tally import: %s: ignored, as an event has no such fields: x?\n",
             files[0], files[2]);
    cr_assert_str_eq(said, want, "%s", said);
    ty_input_close(input);
}

static void assert_record(size_t i, uint64_t line, const char *message, const char *raw)
{
    struct ty_text text = ty_import_batch_raw(&batch, &batch.records[i]);

    cr_assert_eq(batch.records[i].line, line);
    if (message == NULL)
        cr_assert_null(batch.records[i].message, "%s", batch.records[i].message);
    else
        cr_assert_not_null(strstr(batch.records[i].message, message), "%s",
                           batch.records[i].message);
    cr_assert(text.length == strlen(raw) && memcmp(text.data, raw, text.length) == 0, "%.*s",
              (int)text.length, text.data);
}

/* A bad row stops no other, and can be corrected in the file of rejects: with its line, its reason,
 * and its own text below the header. */
Test(tool_import_input, bad_rows_are_kept_with_their_reason)
{
    char *file = write_file("a.csv", HEADER "a,c,w\nb,c\n\nc,\"c\"x,w\nd,c,w,e\n\xff,c,w\ne,c,w\n");
    struct ty_input_options options = options_of(&file, 1);
    struct ty_text header;

    options.keep_raw = true;
    assert_opened(&options);
    cr_assert_eq(ty_input_fill(input, &batch), TY_INPUT_END);
    ty_buffer_append_char(&batch.body, '\0');
    cr_assert_str_eq(ids(), "a ! ! ! ! e", "%s", ids());
    assert_record(0, 2, NULL, "a,c,w\n");
    assert_record(1, 3, "cells", "b,c\n");
    assert_record(2, 5, "the row is malformed in cell 2: ", "c,\"c\"x,w\n");
    assert_record(3, 6, "cells", "d,c,w,e\n");
    assert_record(4, 7, "UTF-8", "\xff,c,w\n");
    assert_record(5, 8, NULL, "e,c,w\n");
    cr_assert_eq(batch.rejected, 4u);
    header = ty_input_header(input);
    cr_assert(header.length == strlen(HEADER) && memcmp(header.data, HEADER, header.length) == 0);
    ty_input_close(input);
}

/* A pipe has no end that is known, and may have nothing just now: what came is taken, the rest
 * waited for. */
Test(tool_import_input, standard_input_is_read_as_it_comes)
{
    char *files[] = {write_file("a.csv", HEADER "f,c,w\n"), "-"};
    struct ty_input_options options = options_of(files, 2);
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    close(ends[0]);
    options.format = "csv";
    assert_opened(&options);
    cr_assert_eq(input->bytes_total, 0u, "no bar that ends too early");
    cr_assert_eq(ty_input_fill(input, &batch), TY_INPUT_IDLE);
    cr_assert_eq(ty_input_fd(input), STDIN_FILENO);
    cr_assert_eq(write(ends[1], HEADER "a,c,w\nb,", 35), 35);
    cr_assert_eq(ty_input_fill(input, &batch), TY_INPUT_IDLE);
    cr_assert_eq(batch.record_count, 2u);
    cr_assert_eq(write(ends[1], "c,w\n", 4), 4);
    close(ends[1]);
    cr_assert_eq(ty_input_fill(input, &batch), TY_INPUT_END, "%s", input->error);
    ty_buffer_append_char(&batch.body, '\0');
    cr_assert_str_eq(ids(), "f a b");
    cr_assert_str_eq(batch.records[1].file, "standard input");
    cr_assert_eq(ty_input_fd(input), -1);
    ty_input_close(input);
}

/* A file that is damaged behind its beginning gives what came before, and the reason. */
Test(tool_import_input, what_was_read_before_an_error_is_good)
{
    char *file = write_file("a.ndjson.gz", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n");
    struct ty_input_options options = options_of(&file, 1);
    FILE *cut = fopen(file, "a");

    cr_assert_eq(fwrite("\x1f\x8b", 1, 2, cut), 2u); /* A second member begins. */
    fclose(cut);
    assert_opened(&options);
    cr_assert_eq(ty_input_fill(input, &batch), TY_INPUT_FAILED);
    cr_assert_not_null(strstr(input->error, "a.ndjson.gz: "), "%s", input->error);
    ty_buffer_append_char(&batch.body, '\0');
    cr_assert_str_eq(ids(), "a b");
    ty_input_close(input);
}
