#include "server/tool/import_input.h"

#include "server/tool/command.h"
#include "server/tool/terminal.h"
#include <stdio.h>
#include <string.h>

/* What the names of files end with. */
static const struct {
    const char *ending;
    bool is_csv;
    char delimiter;
} endings[] = {
    {".csv", true, ','},
    {".tsv", true, '\t'},
    {".ndjson", false, 0},
    {".jsonl", false, 0},
};

static const char *shown_name(const char *file)
{
    return strcmp(file, "-") == 0 ? "standard input" : file;
}

static bool fail(struct ty_input *input, const char *file, const char *why)
{
    snprintf(input->error, sizeof(input->error), "%.180s: %s", shown_name(file), why);
    return false;
}

static bool ends_with(const char *name, size_t length, const char *ending)
{
    size_t ending_length = strlen(ending);

    return length > ending_length &&
           strncasecmp(name + length - ending_length, ending, ending_length) == 0;
}

/* Finds out what a file holds. */
static bool find_format(struct ty_input *input, const char *file, char *delimiter)
{
    const struct ty_input_options *options = input->options;
    size_t length = strlen(file);
    size_t i;

    if (ends_with(file, length, ".gz"))
        length -= 3;
    for (i = 0; i < TY_COUNT_OF(endings); i++)
        if (ends_with(file, length, endings[i].ending))
            break;
    if (options->format == NULL && i == TY_COUNT_OF(endings))
        return fail(input, file,
                    "is it CSV or NDJSON? Its name does not end with .csv, .tsv, .ndjson or "
                    ".jsonl (nor with .gz after it): give --format csv or --format ndjson");
    input->is_csv =
        options->format != NULL ? strcmp(options->format, "csv") == 0 : endings[i].is_csv;
    if (!input->is_csv &&
        (options->delimiter != 0 || options->columns != NULL || options->renames->count > 0))
        return fail(input, file,
                    "is NDJSON; --delimiter, --no-header, --columns and --column are for CSV");
    *delimiter = 0;
    if (!input->is_csv)
        return true;
    *delimiter = options->delimiter;
    if (*delimiter == 0)
        *delimiter = i < TY_COUNT_OF(endings) && endings[i].is_csv ? endings[i].delimiter : ',';
    return true;
}

static bool open_file(struct ty_input *input, const char *file)
{
    char delimiter;

    if (!find_format(input, file, &delimiter))
        return false;
    if (!ty_source_open(&input->source, file)) {
        ty_source_close(&input->source);
        return fail(input, file, input->source.error);
    }
    input->is_open = true;
    if (!ty_records_init(&input->records, delimiter))
        return fail(input, file, "out of memory");
    return true;
}

static void close_file(struct ty_input *input)
{
    if (input->is_open)
        ty_source_close(&input->source);
    input->is_open = false;
}

/* Reads more of the file into the window. */
static enum ty_source_status feed(struct ty_input *input)
{
    size_t room, bytes;
    char *to = ty_records_room(&input->records, &room);
    enum ty_source_status status = ty_source_read(&input->source, to, room, &bytes);

    if (status == TY_SOURCE_DATA || status == TY_SOURCE_END)
        ty_records_fed(&input->records, bytes);
    return status;
}

/* Tells which columns are ignored, unless the file before had the same. */
static void tell_ignored(struct ty_input *input, const char *file, struct ty_buffer *ignored)
{
    if (ignored->length > 0 && (ignored->length != input->ignored.length ||
                                memcmp(ignored->data, input->ignored.data, ignored->length) != 0)) {
        ty_buffer_append_char(ignored, '\0');
        fputs("tally import: ", stderr);
        ty_terminal_print_text(stderr, shown_name(file));
        fputs(": ignored, as an event has no such fields: ", stderr);
        ty_terminal_print_text(stderr, ty_buffer_ok(ignored) ? ignored->data : "some columns");
        fputc('\n', stderr);
        ignored->length -= ty_buffer_ok(ignored);
    }
    ty_buffer_fini(&input->ignored);
    input->ignored = *ignored;
    *ignored = (struct ty_buffer){0};
}

/* Compares headers but for their line ends. */
static bool is_same_header(struct ty_text a, struct ty_text b)
{
    while (a.length > 0 && (a.data[a.length - 1] == '\n' || a.data[a.length - 1] == '\r'))
        a.length--;
    while (b.length > 0 && (b.data[b.length - 1] == '\n' || b.data[b.length - 1] == '\r'))
        b.length--;
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

/* One file of rejects has room for one header. */
static bool keep_header(struct ty_input *input, const char *file, struct ty_text header)
{
    if (input->header.length == 0)
        ty_buffer_append(&input->header, header.data, header.length);
    if (!input->options->keep_raw || is_same_header(ty_input_header(input), header))
        return true;
    return fail(
        input, file,
        "its header is another than that of the file before; --rejects keeps lines below one "
        "header: import such files one by one");
}

/* Takes the first record of a file as its header. */
static bool take_header(struct ty_input *input, const char *file,
                        const struct ty_raw_record *record)
{
    struct ty_buffer ignored = {0};
    char error[TY_CSV_ERROR_BYTES];

    if (record->wrong != NULL && record->text.length > TY_RECORD_BYTES_MAX)
        return fail(input, file,
                    "the first line, which should be the header, is longer than 1 MiB");
    if (!ty_csv_columns_read(&input->columns, input->options->renames, record->text.data,
                             &input->records.scan, &ignored, error)) {
        ty_buffer_fini(&ignored);
        return fail(input, file, error);
    }
    tell_ignored(input, file, &ignored);
    return keep_header(input, file, record->text);
}

/* Takes --columns as the header of every file. */
static bool take_columns(struct ty_input *input, const char *file)
{
    const char *text = input->options->columns;
    struct ty_csv_cell *cells = input->records.cells;
    struct ty_buffer ignored = {0};
    char error[TY_CSV_ERROR_BYTES];
    struct ty_csv_scan scan;
    bool is_good;

    ty_csv_init(&scan, ',', cells, TY_CSV_COLUMNS_MAX);
    ty_csv_scan(&scan, text, strlen(text), true);
    is_good =
        ty_csv_columns_read(&input->columns, input->options->renames, text, &scan, &ignored, error);
    if (is_good)
        tell_ignored(input, file, &ignored);
    ty_buffer_fini(&ignored);
    return is_good || fail(input, "--columns", error);
}

/* Reads up to the header's end. TY_INPUT_FULL: it was taken. */
static enum ty_input_status read_header(struct ty_input *input, const char *file)
{
    struct ty_raw_record record;
    enum ty_records_step step;

    input->columns.count = 0;
    if (input->options->columns != NULL)
        return take_columns(input, file) ? TY_INPUT_FULL : TY_INPUT_FAILED;
    while ((step = ty_records_next(&input->records, &record)) == TY_RECORDS_MORE) {
        enum ty_source_status status = feed(input);

        if (status == TY_SOURCE_IDLE)
            return TY_INPUT_IDLE;
        if (status == TY_SOURCE_FAILED) {
            fail(input, file, input->source.error);
            return TY_INPUT_FAILED;
        }
    }
    if (step == TY_RECORDS_END)
        fail(input, file, "is empty: not even a header is there");
    else if (take_header(input, file, &record))
        return TY_INPUT_FULL;
    return TY_INPUT_FAILED;
}

/* Looks at a file before anything is sent. */
static bool check_file(struct ty_input *input, const char *file, bool *is_size_known)
{
    bool is_good = open_file(input, file);

    if (is_good) {
        *is_size_known = *is_size_known && input->source.is_file;
        input->bytes_total += input->source.size;
        /* What is no file is looked at when its time comes; it cannot be read twice. */
        if (input->is_csv && input->source.is_file && strcmp(file, "-") != 0)
            is_good = read_header(input, file) == TY_INPUT_FULL;
    }
    close_file(input);
    return is_good;
}

/* Whether lines of CSV and of JSON would end up in one file of rejects. */
static bool is_mixed(struct ty_input *input)
{
    const struct ty_input_options *options = input->options;
    size_t csv = 0;
    char delimiter;

    for (size_t i = 0; i < options->file_count; i++) {
        find_format(input, options->files[i], &delimiter);
        csv += input->is_csv;
    }
    return csv > 0 && csv < options->file_count;
}

static bool check_files(struct ty_input *input)
{
    const struct ty_input_options *options = input->options;
    bool is_size_known = true;
    size_t standard_inputs = 0;

    for (size_t i = 0; i < options->file_count; i++) {
        standard_inputs += strcmp(options->files[i], "-") == 0;
        if (!check_file(input, options->files[i], &is_size_known))
            return false;
    }
    if (standard_inputs > 1)
        return fail(input, "-", "can be read only once");
    if (options->keep_raw && is_mixed(input))
        return fail(input, options->files[0],
                    "--rejects keeps one kind of lines: import CSV and NDJSON one by one");
    if (!is_size_known)
        input->bytes_total = 0;
    return true;
}

int ty_input_open(struct ty_input *input, const struct ty_input_options *options)
{
    memset(input, 0, sizeof(*input));
    input->options = options;
    if (check_files(input))
        return TY_EXIT_OK;
    fputs("tally import: ", stderr);
    ty_terminal_print_text(stderr, input->error);
    fputs("\n", stderr);
    return TY_EXIT_USAGE;
}

void ty_input_close(struct ty_input *input)
{
    close_file(input);
    ty_records_fini(&input->records);
    ty_buffer_fini(&input->header);
    ty_buffer_fini(&input->ignored);
    ty_buffer_fini(&input->room);
}

int ty_input_fd(const struct ty_input *input)
{
    return input->is_open ? input->source.fd : -1;
}

struct ty_text ty_input_header(const struct ty_input *input)
{
    return (struct ty_text){input->header.length > 0 ? input->header.data : "",
                            input->header.length};
}

/* Adds a row that can be split into cells. */
static void add_row(struct ty_input *input, struct ty_import_batch *batch, const char *file,
                    const struct ty_raw_record *record, struct ty_text raw)
{
    char error[TY_CSV_ERROR_BYTES];

    if (ty_csv_event_append(&input->columns, record->text.data, &input->records.scan, &batch->body,
                            &input->room, error))
        ty_import_batch_add_sent(batch, file, record->line, raw, 0);
    else
        ty_import_batch_add_rejected(batch, file, record->line, raw, error);
}

static void add_line(struct ty_import_batch *batch, const char *file,
                     const struct ty_raw_record *record)
{
    size_t before = batch->body.length;

    ty_buffer_append(&batch->body, record->text.data, record->text.length);
    if (record->text.data[record->text.length - 1] != '\n')
        ty_buffer_append_char(&batch->body, '\n');
    ty_import_batch_add_sent(batch, file, record->line, (struct ty_text){"", 0},
                             batch->body.length - before);
}

static void add_wrong(struct ty_import_batch *batch, const char *file, bool is_csv,
                      const struct ty_raw_record *record, struct ty_text raw)
{
    char message[TY_CSV_ERROR_BYTES];

    if (is_csv && record->text.length <= TY_RECORD_BYTES_MAX)
        snprintf(message, sizeof(message), "the row is malformed in cell %zu: %s",
                 record->wrong_cell + 1, record->wrong);
    else
        snprintf(message, sizeof(message), "the %s is %s", is_csv ? "row" : "line", record->wrong);
    ty_import_batch_add_rejected(batch, file, record->line, raw, message);
}

static void add_record(struct ty_input *input, struct ty_import_batch *batch,
                       enum ty_records_step step, const struct ty_raw_record *record)
{
    const char *file = shown_name(input->options->files[input->next_file - 1]);
    struct ty_text raw = {"", 0};

    if (input->options->keep_raw)
        raw = record->text;
    if (step == TY_RECORDS_PIECE) {
        ty_import_batch_add_piece(batch, raw);
        return;
    }
    input->read++;
    if (record->wrong != NULL)
        add_wrong(batch, file, input->is_csv, record, raw);
    else if (input->is_csv)
        add_row(input, batch, file, record, raw);
    else
        add_line(batch, file, record);
}

/* Opens the next file, and reads its header if it has one. */
static enum ty_input_status open_next(struct ty_input *input)
{
    if (input->next_file == input->options->file_count)
        return TY_INPUT_END;
    if (!open_file(input, input->options->files[input->next_file]))
        return TY_INPUT_FAILED;
    input->next_file++;
    input->needs_header = input->is_csv;
    return TY_INPUT_FULL;
}

/* Reads on in the open file. TY_INPUT_END: it is over. */
static enum ty_input_status fill_from_file(struct ty_input *input, struct ty_import_batch *batch)
{
    const char *file = input->options->files[input->next_file - 1];
    struct ty_raw_record record;

    if (input->needs_header) {
        enum ty_input_status status = read_header(input, file);

        if (status != TY_INPUT_FULL)
            return status;
        input->needs_header = false;
    }
    while (!ty_import_batch_is_full(batch, input->options->batch_events)) {
        enum ty_records_step step = ty_records_next(&input->records, &record);
        enum ty_source_status status;

        if (step == TY_RECORDS_END)
            return TY_INPUT_END;
        if (step != TY_RECORDS_MORE) {
            add_record(input, batch, step, &record);
            continue;
        }
        status = feed(input);
        if (status == TY_SOURCE_IDLE)
            return TY_INPUT_IDLE;
        if (status == TY_SOURCE_FAILED) {
            fail(input, file, input->source.error);
            return TY_INPUT_FAILED;
        }
    }
    return TY_INPUT_FULL;
}

enum ty_input_status ty_input_fill(struct ty_input *input, struct ty_import_batch *batch)
{
    enum ty_input_status status = TY_INPUT_FULL;

    while (status == TY_INPUT_FULL &&
           !ty_import_batch_is_full(batch, input->options->batch_events)) {
        status = input->is_open ? fill_from_file(input, batch) : open_next(input);
        if (input->is_open && status == TY_INPUT_END) {
            input->bytes_before += input->source.position;
            close_file(input);
            status = TY_INPUT_FULL;
        }
    }
    batch->position = input->bytes_before + (input->is_open ? input->source.position : 0);
    return status;
}
