/*
 * watch.h: tells the operator, in the log, when the database's state changes: space runs out or is
 * back, the dedup window shortens, stored values turn out damaged.
 *
 * Threads: main.
 */
#ifndef TY_SERVER_WATCH_H
#define TY_SERVER_WATCH_H

#include "shard/database.h"

/* What was logged last. All zero is right at the start. */
struct ty_watch {
    bool full;
    uint64_t forgotten;
    uint64_t damaged;
    int64_t shortened_logged_ns;
};

/* ty_watch_look compares the database with what was logged, and logs the difference. */
void ty_watch_look(struct ty_watch *watch, const struct ty_database *database);

#endif
