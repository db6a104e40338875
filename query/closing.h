/*
 * closing.h: months that are to be closed, in words, and the revisions of closed ones.
 *
 * Threads: any; reads may wait for the disk.
 */
#ifndef TY_QUERY_CLOSING_H
#define TY_QUERY_CLOSING_H

#include "shard/database.h"

/* ty_closing_parse reads a month, "2023-01" and nothing more precise: which months are closed is no
 * place for a guess. NULL, or a constant sentence that says what is wrong. */
const char *ty_closing_parse(const char *text, size_t length, int32_t *month);

/* ty_closing_explain says why a closing is refused (its result is none of a success), and what
 * would not be. */
#define TY_CLOSING_TEXT_BYTES 200
void ty_closing_explain(const struct ty_close *close, char text[TY_CLOSING_TEXT_BYTES]);

/* As the public interface tells it. */
void ty_closing_fill(const struct ty_closed *closed, tally_closed *out);

/*
 * ty_revisions_list calls `each` for at most `limit` of a customer's revisions with a number above
 * *after, the oldest first, as of one moment, until it returns false (that one counts as listed).
 * What it gets is borrowed for the time of the call. *closed tells how far the customer's months
 * are closed; of one that is unknown none are.
 *
 * *after becomes the number of the last one listed, and *more tells whether others are left: so the
 * next call goes on. A damaged revision ends a listing early. If it would be the first, the call
 * fails with TALLY_CORRUPT and names it; *after is then its number, so that it can be passed over.
 * Other failures: TALLY_CORRUPT with *after as it was (the closing is damaged), TALLY_BUSY,
 * TALLY_NO_MEMORY, TALLY_FAILED or TALLY_IO with the reason.
 */
tally_status ty_revisions_list(const struct ty_database *database, const struct ty_uuid *customer,
                               uint64_t *after, size_t limit,
                               bool (*each)(void *context, const tally_revision *revision),
                               void *context, tally_closed *closed, bool *more, tally_error *error);

#endif
