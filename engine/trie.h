/*
 * trie.h: a hash trie that one thread adds to and any number search, without locks or pauses.
 *
 * Inner nodes have 16 children picked by four bits of a 64-bit hash; leaves are embedded in what
 * is stored. Nothing is ever moved or removed, so there is no resize that a reader could meet or a
 * writer would have to pay for at once. Leaves of the same full hash form a chain, for the caller
 * to compare keys.
 *
 * Every pointer is stored with release once what it points to is complete, and loaded with
 * acquire: a reader that finds a leaf finds it whole.
 *
 * Threads: ty_trie_find() any; ty_trie_insert() and ty_trie_fini() the one writer.
 */
#ifndef TY_ENGINE_TRIE_H
#define TY_ENGINE_TRIE_H

#include "engine/atomics.h"
#include "engine/base.h"

#define TY_TRIE_ROOT_BITS 12

/* Embedded in what the trie stores; `hash` is set by who inserts. */
struct ty_trie_leaf {
    uint64_t hash;
    struct ty_trie_leaf *same_hash; /* immutable once inserted; older leaves of the same hash */
};

/* All zero is a valid, empty trie. */
struct ty_trie {
    _Atomic uintptr_t root[1 << TY_TRIE_ROOT_BITS]; /* 0, a leaf, or an inner node | 1 */
};

/* ty_trie_find returns the newest leaf of that hash, the head of its chain, or NULL. */
struct ty_trie_leaf *ty_trie_find(struct ty_trie *trie, uint64_t hash);

/* ty_trie_prefetch starts loading what ty_trie_find() looks at first. */
static inline void ty_trie_prefetch(struct ty_trie *trie, uint64_t hash)
{
    uintptr_t entry =
        ty_atomic_load(&trie->root[hash & ((1 << TY_TRIE_ROOT_BITS) - 1)], memory_order_relaxed);

    ty_prefetch((const void *)(entry & ~(uintptr_t)1)); /* 0 is no fault. */
}

/* ty_trie_insert adds a leaf (borrowed for the life of the trie); false when memory is out. */
bool ty_trie_insert(struct ty_trie *trie, struct ty_trie_leaf *leaf);

/* ty_trie_fini frees the inner nodes and hands every leaf to `release`, which may free it. */
void ty_trie_fini(struct ty_trie *trie, void (*release)(struct ty_trie_leaf *leaf));

#endif
