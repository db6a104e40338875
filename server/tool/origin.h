/*
 * origin.h: the shards of a data directory, read from outside while a server may have it.
 *
 * Threads: one owner.
 */
#ifndef TY_SERVER_TOOL_ORIGIN_H
#define TY_SERVER_TOOL_ORIGIN_H

#include "storage/outside.h"

#define TY_ORIGIN_DEFAULT "tally-data" /* the default of tallyd */

struct ty_origin {
    const char *command;   /* for messages */
    const char *directory; /* borrowed */
    unsigned shard_count;
    uint64_t file_bytes; /* of all shards' files */
    long writer_pid;     /* who holds the directory; 0: nobody known */
    struct ty_database_record database;
};

/* ty_origin_open finds the database in a directory. Returns TY_EXIT_OK, or TY_EXIT_UNREACHABLE
 * after a message on stderr. Nothing is kept open. */
int ty_origin_open(struct ty_origin *origin, const char *command, const char *directory);

/* ty_origin_shard takes a view of a shard as of its newest commit; the same codes. */
int ty_origin_shard(const struct ty_origin *origin, unsigned shard, struct ty_outside **outside);

/* How large a shard's file is; 0 when it cannot be told. */
uint64_t ty_origin_file_bytes(const struct ty_origin *origin, unsigned shard);

#endif
