/*
 * directory_lock.h: one process, and one handle in it, at a time on a data directory.
 *
 * LMDB's own locks let several processes in; a shard's memory would then be wrong.
 */
#ifndef TY_SHARD_DIRECTORY_LOCK_H
#define TY_SHARD_DIRECTORY_LOCK_H

#include "engine/error.h"

/*
 * ty_directory_lock creates the directory if it is missing and locks it (flock on tally.lock, which
 * the kernel releases when the process ends, however it ends). *fd is to be closed to unlock.
 * TALLY_LOCKED names the process that has it; TALLY_IO otherwise.
 */
tally_status ty_directory_lock(const char *directory, int *fd, tally_error *error);

#endif
