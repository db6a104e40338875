/*
 * status_view.h: the answer of GET /v1/status as a page for people.
 *
 * Threads: the program has one.
 */
#ifndef TY_SERVER_TOOL_STATUS_VIEW_H
#define TY_SERVER_TOOL_STATUS_VIEW_H

#include <jansson.h>
#include <stdbool.h>

#include "server/tool/terminal.h"

/* Documents are as exact_json.h reads them: numbers are texts. Everything is borrowed. */
struct ty_status_view {
    const char *name;     /* who was asked: a URL or a directory */
    bool directory;       /* it is a directory, served for this question only */
    const json_t *status; /* the answer */
    const json_t *before; /* an earlier answer, for rates between them; NULL: none */
    double seconds;       /* between them */
    struct ty_terminal terminal;
};

/* ty_status_view_print writes the page. Members that are not there, since the database is being
 * recovered, or since the server is older, are left out. */
void ty_status_view_print(FILE *file, const struct ty_status_view *view);

/* Whether the server takes events. */
bool ty_status_view_ready(const json_t *status);

#endif
