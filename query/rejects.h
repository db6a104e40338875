/*
 * rejects.h: the kept rejects, newest first.
 *
 * Threads: any; reads may wait for the disk.
 */
#ifndef TY_QUERY_REJECTS_H
#define TY_QUERY_REJECTS_H

#include "shard/database.h"
#include "storage/reject_codec.h"

/*
 * ty_rejects_list calls `each` for at most `limit` kept rejects with a seq below *before
 * (UINT64_MAX: from the newest on), the newest first, as of one moment, until it returns false
 * (that one counts as listed). What it gets is borrowed for the time of the call.
 *
 * *before becomes the seq of the last one listed, and *more tells whether older ones are left: so
 * the next call goes on. A damaged reject ends a listing early. If it would be the first, the call
 * fails with TALLY_CORRUPT and names it; *before is then its seq, so that it can be passed over.
 * Other failures: TALLY_BUSY, TALLY_NO_MEMORY, TALLY_FAILED or TALLY_IO with the reason.
 */
tally_status ty_rejects_list(const struct ty_database *database, uint64_t *before, size_t limit,
                             bool (*each)(void *context, const struct ty_kept_reject *kept),
                             void *context, bool *more, tally_error *error);

#endif
