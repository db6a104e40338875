/*
 * import_rejects.h: what becomes of records that were rejected.
 *
 * With a file: their text exactly as it stood in the input, CSV below its header, so that the file
 * can be corrected in place and imported as it is. Beside it FILE.reasons, CSV with the columns
 * file, line, id, code, message, has a row for each, in the same order. Both are written anew by
 * every import and stay empty where nothing was rejected.
 *
 * Without one: the first TY_REJECTS_SHOWN on stderr, and the number of the rest.
 *
 * Threads: the program has one.
 */
#ifndef TY_SERVER_TOOL_IMPORT_REJECTS_H
#define TY_SERVER_TOOL_IMPORT_REJECTS_H

#include "server/tool/import_batch.h"
#include "server/tool/progress.h"

#define TY_REJECTS_SHOWN      10
#define TY_REJECTS_PATH_BYTES 4096

struct ty_rejects {
    const char *path; /* borrowed; NULL: no file */
    char reasons_path[TY_REJECTS_PATH_BYTES];
    FILE *records;
    FILE *reasons;
    uint64_t count;
    bool is_inside_line; /* what was written last has no line end yet */
};

/*
 * ty_rejects_open creates or empties both files; `path` NULL: none. `inputs` are the files that are
 * about to be read, none of which may be one of the two. Returns TY_EXIT_OK, or TY_EXIT_USAGE after
 * a message on stderr.
 */
int ty_rejects_open(struct ty_rejects *rejects, const char *path, char *const *inputs,
                    size_t input_count);

/* ty_rejects_take takes the rejected records out of a batch that is decided. `header` is the text
 * of the CSV header, empty for none; it is used at the first. Lines on stderr clear the progress
 * first. */
void ty_rejects_take(struct ty_rejects *rejects, const struct ty_import_batch *batch,
                     struct ty_text header, struct ty_progress *progress);

/*
 * ty_rejects_close closes the files and tells where they are, or how many were not shown. False,
 * after a message, when something could not be written; a later failure than the first is no news.
 */
bool ty_rejects_close(struct ty_rejects *rejects);

/* Whether everything could be written so far. */
bool ty_rejects_ok(const struct ty_rejects *rejects);

#endif
