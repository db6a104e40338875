/*
 * puts.h: entries that are made before there is a transaction to put them into.
 *
 * All zero is a valid, empty list. Threads: one owner at a time.
 */
#ifndef TY_STORAGE_PUTS_H
#define TY_STORAGE_PUTS_H

#include "engine/buffer.h"
#include "storage/store.h"

struct ty_puts {
    struct ty_buffer bytes; /* of each: tree, lengths, key, value */
};

/* ty_store_put_kept puts all of them, in order, within a transaction, which must be aborted if it
 * fails: TALLY_FULL, TALLY_NO_MEMORY (also when there was none to keep an entry), TALLY_IO. */
tally_status ty_store_put_kept(struct ty_store *store, const struct ty_puts *puts,
                               tally_error *error);

/* False: there was no memory to keep an entry. */
bool ty_puts_ok(const struct ty_puts *puts);
bool ty_puts_are_none(const struct ty_puts *puts);

/* ty_puts_clear empties the list, and keeps its memory for the next; ty_puts_fini frees it. */
void ty_puts_clear(struct ty_puts *puts);
void ty_puts_fini(struct ty_puts *puts);

#endif
