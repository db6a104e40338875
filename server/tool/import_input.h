/*
 * import_input.h: the files of an import, one after another, as batches of events.
 *
 * Every file that can be opened twice is looked at before anything is sent: whether it can be read,
 * and whether its header has the columns that are needed.
 *
 * Threads: the program has one.
 */
#ifndef TY_SERVER_TOOL_IMPORT_INPUT_H
#define TY_SERVER_TOOL_IMPORT_INPUT_H

#include "server/tool/csv_events.h"
#include "server/tool/import_batch.h"
#include "server/tool/import_records.h"
#include "server/tool/import_source.h"

struct ty_input_options {
    char *const *files;  /* "-": standard input; names are borrowed */
    size_t file_count;   /* at least 1 */
    const char *format;  /* "csv", "ndjson"; NULL: by the file's name */
    char delimiter;      /* 0: a tab for .tsv, a comma otherwise */
    const char *columns; /* what the columns are called where there is no header; NULL: a header */
    const struct ty_csv_renames *renames;
    size_t batch_events;
    bool keep_raw; /* records keep the text that they were read from */
};

enum ty_input_status {
    TY_INPUT_FULL, /* the batch is */
    TY_INPUT_IDLE, /* nothing there now: poll ty_input_fd(), then go on */
    TY_INPUT_END,  /* every file was read */
    TY_INPUT_FAILED
};

struct ty_input {
    const struct ty_input_options *options;
    size_t next_file;
    bool is_open; /* `source` is the file before next_file */
    bool is_csv;
    bool needs_header; /* of the open file */
    struct ty_source source;
    struct ty_records records;
    struct ty_csv_columns columns;
    struct ty_buffer header;  /* the first CSV file's, as it stands there */
    struct ty_buffer ignored; /* the columns that were told last to be ignored */
    struct ty_buffer room;
    uint64_t bytes_before; /* of the files that were read */
    uint64_t bytes_total;  /* of all; 0: not known */
    uint64_t read;         /* records */
    char error[TY_CSV_ERROR_BYTES + TY_SOURCE_ERROR_BYTES];
};

/*
 * ty_input_open checks the files. `options` is borrowed for the input's life. Returns TY_EXIT_OK,
 * or TY_EXIT_USAGE after a message on stderr; the input is to be closed in either case. Tells on
 * stderr which columns are ignored.
 */
int ty_input_open(struct ty_input *input, const struct ty_input_options *options);

/* ty_input_fill adds records to a batch until it is full, or there is no more (now). After
 * TY_INPUT_FAILED input->error says what is wrong with which file; what is in the batch is good. */
enum ty_input_status ty_input_fill(struct ty_input *input, struct ty_import_batch *batch);

/* What to poll after TY_INPUT_IDLE. */
int ty_input_fd(const struct ty_input *input);

/* The header above rejected rows; empty where there is none. */
struct ty_text ty_input_header(const struct ty_input *input);

/* ty_input_close frees what the input holds; a zeroed one is fine. */
void ty_input_close(struct ty_input *input);

#endif
