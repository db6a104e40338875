/*
 * verify_child.h: checks a shard in a process of its own (query/verify.h), so that damage which
 * ends that process is one more problem found.
 *
 * Threads: the program has one.
 */
#ifndef TY_SERVER_TOOL_VERIFY_CHILD_H
#define TY_SERVER_TOOL_VERIFY_CHILD_H

#include "query/verify.h"

struct ty_verify_child_watch {
    void *context;
    void (*problem)(void *context, const struct ty_verify_problem *problem);
    void (*progress)(void *context, uint64_t done, uint64_t total, uint64_t events);
};

struct ty_verify_child_result {
    struct ty_verify_counts counts;     /* as far as it came */
    struct ty_database_record database; /* zeros if it is not known */
    bool newer;                         /* a newer version of Tally is needed; `problem` says so */
    char problem[320];                  /* why the rest could not be looked at; "": all was */
};

/* ty_verify_child_run checks a shard to its end and calls back for all that is found; the callbacks
 * of `options` are not used. False with errno: no process could be started. */
bool ty_verify_child_run(const char *path, const struct ty_verify_options *options,
                         const struct ty_verify_child_watch *watch,
                         struct ty_verify_child_result *result);

#endif
