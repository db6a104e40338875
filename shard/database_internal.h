/*
 * database_internal.h: what the files of a database share. Not for others.
 */
#ifndef TY_SHARD_DATABASE_INTERNAL_H
#define TY_SHARD_DATABASE_INTERNAL_H

#include "engine/batch_pool.h"
#include "shard/database.h"
#include "shard/writer.h"

struct ty_database {
    int lock_fd;
    struct ty_clock clock;
    struct ty_database_record record; /* its `shard` member means nothing here */
    unsigned shard_count;
    struct ty_batch_pool batches;
    struct ty_shard **shards;
    struct ty_writer **writers;
};

/* The shard that a customer lives on. */
unsigned ty_database_shard_index(const struct ty_database *database,
                                 const struct ty_uuid *customer);

#endif
