/*
 * partial.h: a directory that appears under its name only when it is complete.
 *
 * It is made beside it as NAME.partial, and renamed at the end. What a killed command left there is
 * cleared by the next one; a lock, which the kernel drops when its process ends, tells it from one
 * that another command is filling.
 *
 * Threads: one owner.
 */
#ifndef TY_SERVER_TOOL_PARTIAL_H
#define TY_SERVER_TOOL_PARTIAL_H

#include <stdbool.h>

struct ty_partial {
    char *final;
    char *path; /* NAME.partial: to be filled with directories shard-NNN of a data.mdb each */
    int fd;     /* holds the lock; -1: none */
};

/* ty_partial_open makes the empty directory. `name` must not exist, unless as an empty directory.
 * False after a message on stderr that begins with "tally COMMAND: ". */
bool ty_partial_open(struct ty_partial *partial, const char *command, const char *name);

/* The directory of a shard in it. */
#define TY_PARTIAL_PATH_BYTES 4096
void ty_partial_shard(const struct ty_partial *partial, unsigned shard,
                      char path[TY_PARTIAL_PATH_BYTES]);

/* ty_partial_commit renames it, durably. False after a message; then nothing is left of it. */
bool ty_partial_commit(struct ty_partial *partial, const char *command);

/* ty_partial_remove removes it with what it holds; nothing to do after a commit. */
void ty_partial_remove(struct ty_partial *partial);

#endif
