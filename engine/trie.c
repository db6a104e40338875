#include "engine/trie.h"

#include <stdlib.h>

#define BITS             4
#define CHILDREN         (1 << BITS)
#define INNER            ((uintptr_t)1) /* marks a pointer to an inner node */
#define ROOT_INDEX(hash) ((hash) & ((1 << TY_TRIE_ROOT_BITS) - 1))

struct inner {
    _Atomic uintptr_t child[CHILDREN];
};

static struct inner *inner_of(uintptr_t entry)
{
    return (struct inner *)(entry & ~INNER);
}

static unsigned child_index(uint64_t hash, unsigned shift)
{
    return (unsigned)(hash >> shift) & (CHILDREN - 1);
}

struct ty_trie_leaf *ty_trie_find(struct ty_trie *trie, uint64_t hash)
{
    uintptr_t entry = ty_atomic_load(&trie->root[ROOT_INDEX(hash)], TY_LINK_LOAD);
    struct ty_trie_leaf *leaf;

    for (unsigned shift = TY_TRIE_ROOT_BITS; entry & INNER; shift += BITS)
        entry = ty_atomic_load(&inner_of(entry)->child[child_index(hash, shift)], TY_LINK_LOAD);
    leaf = (struct ty_trie_leaf *)entry;
    return leaf != NULL && leaf->hash == hash ? leaf : NULL;
}

static void free_chain(struct inner *node)
{
    while (node != NULL) {
        struct inner *below = NULL;

        for (unsigned i = 0; i < CHILDREN; i++) {
            uintptr_t entry = ty_atomic_load(&node->child[i], memory_order_relaxed);
            if (entry & INNER)
                below = inner_of(entry);
        }
        free(node);
        node = below;
    }
}

/*
 * Inner nodes, from `shift` down, that hold two leaves of different hashes: a chain of nodes with
 * one child each, and a last one where the hashes part. Nobody sees it yet, so the order of the
 * stores is free. Returns 0 when memory is out.
 */
static uintptr_t split(struct ty_trie_leaf *a, struct ty_trie_leaf *b, unsigned shift)
{
    struct inner *top = NULL, *above = NULL;
    unsigned index_above = 0;

    for (;; shift += BITS) {
        struct inner *node = calloc(1, sizeof(*node));
        unsigned index_a = child_index(a->hash, shift), index_b = child_index(b->hash, shift);

        if (node == NULL) {
            free_chain(top);
            return 0;
        }
        if (above == NULL)
            top = node;
        else
            ty_atomic_store(&above->child[index_above], (uintptr_t)node | INNER,
                            memory_order_relaxed);
        if (index_a != index_b) {
            ty_atomic_store(&node->child[index_a], (uintptr_t)a, memory_order_relaxed);
            ty_atomic_store(&node->child[index_b], (uintptr_t)b, memory_order_relaxed);
            return (uintptr_t)top | INNER;
        }
        above = node;
        index_above = index_a;
    }
}

bool ty_trie_insert(struct ty_trie *trie, struct ty_trie_leaf *leaf)
{
    _Atomic uintptr_t *place = &trie->root[ROOT_INDEX(leaf->hash)];
    uintptr_t entry = ty_atomic_load(place, memory_order_relaxed), replacement = (uintptr_t)leaf;
    unsigned shift = TY_TRIE_ROOT_BITS;

    for (; entry & INNER; shift += BITS) {
        place = &inner_of(entry)->child[child_index(leaf->hash, shift)];
        entry = ty_atomic_load(place, memory_order_relaxed);
    }
    leaf->same_hash = NULL;
    if (entry != 0) {
        struct ty_trie_leaf *old = (struct ty_trie_leaf *)entry;

        if (old->hash == leaf->hash)
            leaf->same_hash = old;
        else
            replacement = split(old, leaf, shift);
        if (replacement == 0)
            return false;
    }
    /* Release: pairs with the acquire loads of ty_trie_find(). */
    ty_atomic_store(place, replacement, TY_LINK_STORE);
    return true;
}

static void release_entry(uintptr_t entry, void (*release)(struct ty_trie_leaf *leaf))
{
    if (entry & INNER) {
        struct inner *node = inner_of(entry);

        /* Recursion is at most (64 - TY_TRIE_ROOT_BITS) / BITS = 13 deep. */
        for (unsigned i = 0; i < CHILDREN; i++)
            release_entry(ty_atomic_load(&node->child[i], memory_order_relaxed), release);
        free(node);
        return;
    }
    for (struct ty_trie_leaf *leaf = (struct ty_trie_leaf *)entry; leaf != NULL;) {
        struct ty_trie_leaf *older = leaf->same_hash;

        release(leaf);
        leaf = older;
    }
}

void ty_trie_fini(struct ty_trie *trie, void (*release)(struct ty_trie_leaf *leaf))
{
    for (size_t i = 0; i < TY_COUNT_OF(trie->root); i++) {
        release_entry(ty_atomic_load(&trie->root[i], memory_order_relaxed), release);
        ty_atomic_store(&trie->root[i], (uintptr_t)0, memory_order_relaxed);
    }
}
