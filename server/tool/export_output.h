/*
 * export_output.h: where an export goes: standard output, or a file that is there only once it is
 * complete.
 *
 * Threads: one owner.
 */
#ifndef TY_SERVER_TOOL_EXPORT_OUTPUT_H
#define TY_SERVER_TOOL_EXPORT_OUTPUT_H

#include "engine/buffer.h"

struct ty_export_output {
    struct ty_buffer text; /* to append to; goes out by the next flush */
    int fd;
    const char *path; /* NULL: standard output */
    char *partial;    /* the path while it is incomplete: the same with ".partial" behind it */
    bool closed;      /* whoever read standard output has closed it */
};

/*
 * ty_export_output_open begins. `path` is borrowed; NULL or "-" is standard output. A partial file
 * that an earlier export left is written anew. False, with a message on stderr.
 */
bool ty_export_output_open(struct ty_export_output *output, const char *path);

/* ty_export_output_flush hands the text to the system. False: it cannot be written, or there was no
 * memory for it; a message is on stderr, unless the output is closed. */
bool ty_export_output_flush(struct ty_export_output *output);

/* ty_export_output_commit flushes, waits for the disk and gives the file its name, in place of one
 * that has it. False, with a message on stderr. The output is done with in any case. */
bool ty_export_output_commit(struct ty_export_output *output);

/* ty_export_output_abort removes what is incomplete, and what was not flushed; does nothing to a
 * zeroed or finished one. */
void ty_export_output_abort(struct ty_export_output *output);

/* ty_export_end_by_closed_pipe ends the program as one ends that never caught SIGPIPE
 * (`tally export events | head`); when all else is taken apart. */
void ty_export_end_by_closed_pipe(void);

/* ty_export_csv_cell appends a cell of RFC 4180, in quotes where it must be, and then `separator`,
 * a comma or LF. */
void ty_export_csv_cell(struct ty_buffer *out, const char *text, char separator);

/*
 * A small text that is replaced whole, or not at all: a cursor from one export to the next.
 * `read` fills `text` with the file's first line, without its end; false, with a message on stderr,
 * when it cannot be read or has more than size - 1 bytes. A file that is not there is an empty one.
 */
bool ty_export_text_read(const char *path, char *text, size_t size);
bool ty_export_text_write(const char *path, const char *text);

#endif
