/*
 * verify_sought.h: ids of the journal that are looked for in the sealed runs.
 *
 * Of a key the upper half is kept, which is as good as random: of 10 million ids two are taken for
 * one about once in 400,000 tables.
 *
 * Threads: one owner.
 */
#ifndef TY_QUERY_VERIFY_SOUGHT_H
#define TY_QUERY_VERIFY_SOUGHT_H

#include "engine/event.h"

#define TY_VERIFY_SETTLED UINT64_MAX /* as a sequence: not looked for any more */

struct ty_verify_sought {
    uint64_t key;      /* its upper half */
    uint64_t sequence; /* of the journal value; 0: a free place */
    uint32_t second;   /* of the arrival, rounded up, since a base that the owner has */
    uint32_t series;
};

struct ty_verify_sought_ids {
    struct ty_verify_sought *table; /* open addressing */
    size_t capacity;                /* a power of two, or 0 */
    size_t count;
};

/* ty_verify_sought_init takes memory for so many ids, or as many as fit; without any, none. */
void ty_verify_sought_init(struct ty_verify_sought_ids *sought, uint64_t ids,
                           uint64_t memory_bytes);
void ty_verify_sought_fini(struct ty_verify_sought_ids *sought);

/* ty_verify_sought_add takes an id in, in place of an older event with the same. False: the memory
 * is used up. */
bool ty_verify_sought_add(struct ty_verify_sought_ids *sought, const struct ty_verify_sought *id);

/* NULL: it is not looked for. */
struct ty_verify_sought *ty_verify_sought_find(const struct ty_verify_sought_ids *sought,
                                               uint64_t key);

#endif
