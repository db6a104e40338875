/*
 * directory.h: the directories of a database and of its shards: names that a power cut cannot take
 * away, and what the disk has of a file.
 *
 * A file's fsync() keeps what is in the file. That the file has a name is kept by its directory,
 * which must be synced as well; some file systems do both at once, others do not.
 *
 * Threads: any.
 */
#ifndef TY_STORAGE_DIRECTORY_H
#define TY_STORAGE_DIRECTORY_H

#include "engine/error.h"

/* ty_directory_sync makes the names in a directory durable. TALLY_OK also where the file system
 * has no such thing; TALLY_IO with the reason. */
tally_status ty_directory_sync(const char *path, tally_error *error);

/* ty_directory_sync_parent makes the name of a directory itself durable: it syncs the directory
 * that holds it. One that this process may not read is left alone: then the operator made the
 * directory. */
tally_status ty_directory_sync_parent(const char *path, tally_error *error);

/* Who else makes a data directory, or one of a shard, gives it the same rights. */
#define TY_DIRECTORY_MODE 0750

/* ty_directory_drop_cache forgets the pages of a shard's data.mdb that the kernel keeps: what is
 * read next is what the disk has. */
void ty_directory_drop_cache(const char *path);

#endif
