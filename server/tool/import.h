/*
 * import.h: the work of `tally import`: files in, batches out, a report of what became of them.
 *
 * One thread does everything: it fills a batch, lets requests go on (libcurl's multi interface),
 * counts what is decided, and draws. It waits only when there is nothing to do, for the server, for
 * standard input, or for the time to draw. Memory is bounded by twice --parallel batches.
 *
 * SIGINT and SIGTERM stop it cleanly: what flies is awaited and counted, then the position is told,
 * and the process ends by that signal. A second one ends it at once.
 *
 * Threads: the program's main one.
 */
#ifndef TY_SERVER_TOOL_IMPORT_H
#define TY_SERVER_TOOL_IMPORT_H

#include "server/tool/client.h"
#include "server/tool/import_input.h"
#include "server/tool/import_sender.h"

/* Texts are borrowed from the command line; NULL: not given. */
struct ty_import_options {
    struct ty_client_options client; /* first, for TY_CLIENT_FLAGS */
    const char *format;
    const char *delimiter;
    const char *column; /* the last one; all of them are in input.renames */
    const char *columns;
    const char *rejects;
    uint64_t batch;
    uint64_t parallel;
    int64_t retry_for_ms;
    bool no_header;
    bool dry_run;
    bool quiet;
    struct ty_input_options input; /* files, delimiter and renames; ty_import() fills in the rest */
};

/* ty_import does it all; returns a ty_exit: TY_EXIT_OK only if every event counts. */
int ty_import(struct ty_import_options *options);

#endif
