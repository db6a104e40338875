/*
 * cell.h: a few words that one thread writes and any number read, as of one moment, without
 * waiting.
 *
 * A cell of n words is an array of 1 + 2n atomic words: a version, then two copies. The version's
 * lowest bit selects the copy that readers take.
 *
 *     [ version | copy 0: n words | copy 1: n words ]
 *
 * Writer, for version v + 1:   store copy (v + 1) & 1, each word with release
 *                              store version = v + 1, with release
 * Reader:                      load v = version, with acquire
 *                              load copy v & 1, each word with acquire
 *                              load version again; take the words if it is still v, else again
 *
 * Why a reader that accepts has no torn words. (1) It has the words of version v or newer ones: the
 * release of version v pairs with the acquire load of v, and the words of v were stored before
 * it. (2) It has no newer ones: copy v & 1 is next written for version v + 2, after version v + 1
 * was stored. Had the reader loaded such a word, its acquire load would pair with that word's
 * release store, so the store of version v + 1 would happen before the reader's second load of the
 * version, which could then not return v. Every order is needed; tests/concurrency/test_orders.c
 * weakens each in turn and shows a torn read.
 *
 * Why nobody waits: the copy of version v stays untouched while version v + 1 is written, so a
 * writer that is preempted in the middle stalls no reader. A reader goes round again only when the
 * writer completed one whole round and began another between two loads.
 *
 * Threads: ty_cell_publish() one writer; ty_cell_read() any.
 */
#ifndef TY_ENGINE_CELL_H
#define TY_ENGINE_CELL_H

#include "engine/atomics.h"
#include "engine/base.h"

#ifndef TY_CELL_STORE_WORD
#define TY_CELL_STORE_WORD memory_order_release /* pairs with TY_CELL_LOAD_WORD */
#endif
#ifndef TY_CELL_STORE_VERSION
#define TY_CELL_STORE_VERSION memory_order_release /* pairs with TY_CELL_LOAD_VERSION */
#endif
#ifndef TY_CELL_LOAD_VERSION
#define TY_CELL_LOAD_VERSION memory_order_acquire
#endif
#ifndef TY_CELL_LOAD_WORD
#define TY_CELL_LOAD_WORD memory_order_acquire
#endif

#define TY_CELL_LENGTH(words) (1 + 2 * (words))

typedef _Atomic uint64_t ty_cell_word;

/* ty_cell_publish makes `count` words the content of the cell, all at once for every reader. */
static inline void ty_cell_publish(ty_cell_word *cell, const uint64_t *words, unsigned count)
{
    /* Relaxed: only this thread writes the version. */
    uint64_t version = ty_atomic_load(&cell[0], memory_order_relaxed) + 1;
    ty_cell_word *copy = cell + 1 + (version & 1) * count;

    for (unsigned i = 0; i < count; i++)
        ty_atomic_store(&copy[i], words[i], TY_CELL_STORE_WORD);
    ty_atomic_store(&cell[0], version, TY_CELL_STORE_VERSION);
}

/* ty_cell_read fills `words` with the cell's content as of one moment within the call. */
static inline void ty_cell_read(ty_cell_word *cell, uint64_t *words, unsigned count)
{
    uint64_t version, again = ty_atomic_load(&cell[0], TY_CELL_LOAD_VERSION);

    do {
        version = again;
        ty_cell_word *copy = cell + 1 + (version & 1) * count;

        for (unsigned i = 0; i < count; i++)
            words[i] = ty_atomic_load(&copy[i], TY_CELL_LOAD_WORD);
        /* Acquire only for the next round; the comparison itself needs no order. */
        again = ty_atomic_load(&cell[0], TY_CELL_LOAD_VERSION);
    } while (again != version);
}

#endif
