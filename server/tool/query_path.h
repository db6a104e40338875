/*
 * query_path.h: what the commands that ask for rollups have in common: their options, and the paths
 * of the rollup endpoints.
 *
 * Threads: pure functions.
 */
#ifndef TY_SERVER_TOOL_QUERY_PATH_H
#define TY_SERVER_TOOL_QUERY_PATH_H

#include "server/tool/client.h"

/* Everything is borrowed from argv. Dates are left to the server, which knows their whole grammar;
 * what becomes part of the path has been checked by its flag. */
struct ty_query_options {
    struct ty_client_options client;
    const char *customer;  /* a well-formed UUID */
    const char *workflow;  /* a well-formed UUID; NULL: all */
    const char *frequency; /* one of ty_query_frequencies */
    const char *start;
    const char *end; /* NULL: the current period */
    bool extended;
    bool json;
    bool csv;
};

/* "monthly", "weekly", "daily", "hourly", NULL. */
extern const char *const ty_query_frequencies[];

/* ty_query_parse fills `options` from a command line. Returns as ty_flags_parse() does. */
int ty_query_parse(const struct ty_flag *flags, int argc, char **argv,
                   struct ty_query_options *options);

/* The name of one period of a frequency, for a table's head: "month" for "monthly". */
const char *ty_query_period_name(const char *frequency);

/*
 * ty_query_path writes the path and query of GET .../usage/workflows/...: of a workflow's rollups
 * if options->workflow is given, otherwise of the list of workflows. Dates are percent-encoded.
 * Returns memory that the caller frees, or NULL, with a message on stderr, if there is none.
 */
char *ty_query_path(const struct ty_query_options *options);

#endif
