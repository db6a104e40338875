/*
 * export.h: what `tally export` does once its command line is read.
 *
 * Threads: the program's main one.
 */
#ifndef TY_SERVER_TOOL_EXPORT_H
#define TY_SERVER_TOOL_EXPORT_H

#include "server/tool/query_path.h"

/* Everything is borrowed from argv. */
struct ty_export_options {
    struct ty_query_options query; /* with the client's; its json and csv are not used */
    const char *format;            /* "csv" or "ndjson" */
    const char *output;            /* NULL: standard output */
    const char *after;             /* of events: a cursor; NULL: from the oldest on */
    const char *cursor_file;       /* of events: where the last cursor lies; NULL: nowhere */
    bool follow;                   /* of events: go on with what arrives */
    bool skip_damaged;             /* of events: go on behind a damaged value */
    bool quiet;
};

/* Both write to where the options say and return a ty_exit, after a message on stderr when it is
 * not TY_EXIT_OK. */
int ty_export_usage(const struct ty_export_options *options);
int ty_export_events(const struct ty_export_options *options);

#endif
