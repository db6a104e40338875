/*
 * series.h: which series exist: (customer, workflow) to a small number, and customer to its series.
 *
 * Series are added and never removed. A series is findable as soon as it is added, before the
 * commit that stores it: a query then finds it without usage, as if it were not there. `stored`
 * tells the writer that a commit stores it, so that others need not; one that fails takes it back.
 *
 * Who may touch a member:
 *   [i]  immutable after ty_series_add(); any thread
 *   [a]  any thread, only by atomic operations; stored by the writer
 *   [w]  only the shard's writer
 *
 * Threads: the find functions any; the others only the writer.
 */
#ifndef TY_ENGINE_SERIES_H
#define TY_ENGINE_SERIES_H

#include "engine/atomics.h"
#include "engine/closing.h"
#include "engine/trie.h"
#include "engine/uuid.h"

struct ty_month_node;
struct ty_slot_node;

struct ty_series {
    struct ty_trie_leaf leaf;               /* [i] */
    struct ty_uuid customer;                /* [i] */
    struct ty_uuid workflow;                /* [i] */
    uint32_t id;                            /* [i] names it in storage */
    bool stored;                            /* [w] storage has it, or a commit on its way */
    uint32_t group;                         /* [w] its place in the commit being built */
    int32_t closed_through;                 /* [w] its last closed month; TY_NOT_CLOSED */
    uint64_t group_commit;                  /* [w] the commit that `group` belongs to */
    struct ty_series *older_of_customer;    /* [i] the next of the customer's list */
    _Atomic(struct ty_month_node *) months; /* [a] hot totals, newest first (hot.h) */
    struct ty_slot_node *last_slot;         /* [w] where the last event went, or NULL */
};

struct ty_customer {
    struct ty_trie_leaf leaf;           /* [i] */
    struct ty_uuid id;                  /* [i] */
    _Atomic(struct ty_series *) newest; /* [a] its series, newest first */
    struct ty_closed_customer *closed;  /* [w] its closed months; NULL: none ever */
};

struct ty_series_table {
    struct ty_trie *by_pair;     /* of ty_series */
    struct ty_trie *by_customer; /* of ty_customer */
    struct ty_series ***by_id;   /* [w] chunks of pointers, allocated when first needed */
    uint64_t seed;               /* keys the hashes, so that nobody can aim at one chain */
    uint64_t count_max;
    _Atomic uint64_t count; /* [a] */
    uint32_t next_id;       /* [w] */
};

/* ty_series_table_init: `seed` is secret and random; at most count_max series. False: no memory. */
bool ty_series_table_init(struct ty_series_table *table, uint64_t seed, uint64_t count_max);
void ty_series_table_fini(struct ty_series_table *table);

/* ty_series_find returns the series, or NULL. */
struct ty_series *ty_series_find(const struct ty_series_table *table,
                                 const struct ty_uuid *customer, const struct ty_uuid *workflow);

/* The same in steps, each some time after the one before: ty_series_prefetch starts loading what
 * ty_series_find_hashed will touch first. */
uint64_t ty_series_hash(const struct ty_series_table *table, const struct ty_uuid *customer,
                        const struct ty_uuid *workflow);
static inline void ty_series_prefetch(const struct ty_series_table *table, uint64_t hash)
{
    ty_trie_prefetch(table->by_pair, hash);
}
struct ty_series *ty_series_find_hashed(const struct ty_series_table *table, uint64_t hash,
                                        const struct ty_uuid *customer,
                                        const struct ty_uuid *workflow);

/* ty_series_newest_of returns the first of a customer's series (follow older_of_customer), or NULL.
 */
struct ty_series *ty_series_newest_of(const struct ty_series_table *table,
                                      const struct ty_uuid *customer);

/* --- Closed months (closing.h) --- */

/* ty_series_closed_of returns what is kept of a customer's closed months: with `add`, a new one of
 * none where there is none yet. NULL: there is none, or the customer is unknown, or no memory. */
struct ty_closed_customer *ty_series_closed_of(struct ty_series_table *table,
                                               const struct ty_uuid *customer, bool add);

/* ty_series_set_closed tells all series of the customer how far its months are closed, as stored;
 * those that come later are told when they are added. */
void ty_series_set_closed(struct ty_series_table *table, const struct ty_closed_customer *closed);

/* ty_series_get returns the series of an id, or NULL when there is none. */
struct ty_series *ty_series_get(const struct ty_series_table *table, uint32_t id);

/* True when no further series may be added. */
bool ty_series_full(const struct ty_series_table *table);

/*
 * ty_series_add adds a series that is not in the table yet, under the id given (while loading) or
 * under the next free one: pass ty_series_next_id(). The table must not be full. NULL: no memory.
 */
struct ty_series *ty_series_add(struct ty_series_table *table, const struct ty_uuid *customer,
                                const struct ty_uuid *workflow, uint32_t id);
uint32_t ty_series_next_id(const struct ty_series_table *table);

#endif
