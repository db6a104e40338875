#include "engine/series.h"

#define XXH_INLINE_ALL
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define CHUNK ((uint64_t)4096) /* ids in one piece of by_id */

uint64_t ty_series_hash(const struct ty_series_table *table, const struct ty_uuid *customer,
                        const struct ty_uuid *workflow)
{
    uint8_t key[32];

    memcpy(key, customer->bytes, 16);
    memcpy(key + 16, workflow->bytes, 16);
    return XXH3_64bits_withSeed(key, sizeof(key), table->seed);
}

static uint64_t hash_customer(const struct ty_series_table *table, const struct ty_uuid *customer)
{
    return XXH3_64bits_withSeed(customer->bytes, sizeof(customer->bytes), table->seed);
}

bool ty_series_table_init(struct ty_series_table *table, uint64_t seed, uint64_t count_max)
{
    *table = (struct ty_series_table){.seed = seed,
                                      .count_max = TY_MIN(count_max, (uint64_t)UINT32_MAX)};
    table->by_pair = calloc(1, sizeof(*table->by_pair));
    table->by_customer = calloc(1, sizeof(*table->by_customer));
    /* Ids that failed commits used up are not reused, hence a margin of one chunk. */
    table->by_id = calloc((size_t)(table->count_max / CHUNK + 2), sizeof(*table->by_id));
    if (table->by_pair != NULL && table->by_customer != NULL && table->by_id != NULL)
        return true;
    ty_series_table_fini(table);
    return false;
}

static void free_series(struct ty_trie_leaf *leaf)
{
    free(TY_CONTAINER_OF(leaf, struct ty_series, leaf));
}

static void free_customer(struct ty_trie_leaf *leaf)
{
    struct ty_customer *customer = TY_CONTAINER_OF(leaf, struct ty_customer, leaf);

    free(customer->closed);
    free(customer);
}

void ty_series_table_fini(struct ty_series_table *table)
{
    if (table->by_pair != NULL)
        ty_trie_fini(table->by_pair, free_series);
    if (table->by_customer != NULL)
        ty_trie_fini(table->by_customer, free_customer);
    if (table->by_id != NULL)
        for (uint64_t i = 0; i < table->count_max / CHUNK + 2; i++)
            free(table->by_id[i]);
    free(table->by_id);
    free(table->by_pair);
    free(table->by_customer);
    *table = (struct ty_series_table){0};
}

struct ty_series *ty_series_find_hashed(const struct ty_series_table *table, uint64_t hash,
                                        const struct ty_uuid *customer,
                                        const struct ty_uuid *workflow)
{
    struct ty_trie_leaf *leaf = ty_trie_find(table->by_pair, hash);

    for (; leaf != NULL; leaf = leaf->same_hash) {
        struct ty_series *series = TY_CONTAINER_OF(leaf, struct ty_series, leaf);

        if (ty_uuid_compare(&series->customer, customer) == 0 &&
            ty_uuid_compare(&series->workflow, workflow) == 0)
            return series;
    }
    return NULL;
}

struct ty_series *ty_series_find(const struct ty_series_table *table,
                                 const struct ty_uuid *customer, const struct ty_uuid *workflow)
{
    return ty_series_find_hashed(table, ty_series_hash(table, customer, workflow), customer,
                                 workflow);
}

static struct ty_customer *find_customer(const struct ty_series_table *table,
                                         const struct ty_uuid *id)
{
    struct ty_trie_leaf *leaf = ty_trie_find(table->by_customer, hash_customer(table, id));

    for (; leaf != NULL; leaf = leaf->same_hash) {
        struct ty_customer *customer = TY_CONTAINER_OF(leaf, struct ty_customer, leaf);

        if (ty_uuid_compare(&customer->id, id) == 0)
            return customer;
    }
    return NULL;
}

struct ty_series *ty_series_newest_of(const struct ty_series_table *table,
                                      const struct ty_uuid *customer)
{
    struct ty_customer *found = find_customer(table, customer);

    return found == NULL ? NULL : ty_atomic_load(&found->newest, TY_LINK_LOAD);
}

struct ty_series *ty_series_get(const struct ty_series_table *table, uint32_t id)
{
    struct ty_series **chunk;

    if (id / CHUNK >= table->count_max / CHUNK + 2)
        return NULL;
    chunk = table->by_id[id / CHUNK];
    return chunk == NULL ? NULL : chunk[id % CHUNK];
}

bool ty_series_full(const struct ty_series_table *table)
{
    return ty_atomic_load(&table->count, memory_order_relaxed) >= table->count_max ||
           table->next_id / CHUNK >= table->count_max / CHUNK + 2;
}

uint32_t ty_series_next_id(const struct ty_series_table *table)
{
    return table->next_id;
}

static struct ty_customer *find_or_add_customer(struct ty_series_table *table,
                                                const struct ty_uuid *id)
{
    struct ty_customer *customer = find_customer(table, id);

    if (customer != NULL)
        return customer;
    customer = calloc(1, sizeof(*customer));
    if (customer == NULL)
        return NULL;
    customer->id = *id;
    customer->leaf.hash = hash_customer(table, id);
    if (ty_trie_insert(table->by_customer, &customer->leaf))
        return customer;
    free(customer);
    return NULL;
}

static bool set_by_id(struct ty_series_table *table, struct ty_series *series)
{
    struct ty_series ***chunk = &table->by_id[series->id / CHUNK];

    if (*chunk == NULL)
        *chunk = calloc(CHUNK, sizeof(**chunk));
    if (*chunk == NULL)
        return false;
    (*chunk)[series->id % CHUNK] = series;
    return true;
}

struct ty_series *ty_series_add(struct ty_series_table *table, const struct ty_uuid *customer,
                                const struct ty_uuid *workflow, uint32_t id)
{
    struct ty_customer *owner = find_or_add_customer(table, customer);
    struct ty_series *series = calloc(1, sizeof(*series));

    TY_ASSERT(id / CHUNK < table->count_max / CHUNK + 2);
    if (owner == NULL || series == NULL)
        goto fail;
    series->customer = *customer;
    series->workflow = *workflow;
    series->id = id;
    series->leaf.hash = ty_series_hash(table, customer, workflow);
    series->closed_through = owner->closed == NULL ? TY_NOT_CLOSED : owner->closed->stored.through;
    series->older_of_customer = ty_atomic_load(&owner->newest, memory_order_relaxed);
    if (!set_by_id(table, series))
        goto fail;
    if (!ty_trie_insert(table->by_pair, &series->leaf)) {
        table->by_id[id / CHUNK][id % CHUNK] = NULL;
        goto fail;
    }
    /* Release: pairs with the acquire in ty_series_newest_of(). */
    ty_atomic_store(&owner->newest, series, TY_LINK_STORE);
    ty_atomic_add(&table->count, 1, memory_order_relaxed);
    table->next_id = TY_MAX(table->next_id, id + 1);
    return series;

fail: /* A customer without series stays: it is findable and empty. */
    free(series);
    return NULL;
}

/* --- Closed months --- */

struct ty_closed_customer *ty_series_closed_of(struct ty_series_table *table,
                                               const struct ty_uuid *customer, bool add)
{
    struct ty_customer *found = find_customer(table, customer);
    struct ty_closed none = {.through = TY_NOT_CLOSED};

    if (found == NULL || found->closed != NULL || !add)
        return found == NULL ? NULL : found->closed;
    found->closed = calloc(1, sizeof(*found->closed));
    if (found->closed != NULL) {
        found->closed->customer = *customer;
        found->closed->stored = found->closed->working = none;
    }
    return found->closed;
}

void ty_series_set_closed(struct ty_series_table *table, const struct ty_closed_customer *closed)
{
    for (struct ty_series *series = ty_series_newest_of(table, &closed->customer); series != NULL;
         series = series->older_of_customer)
        series->closed_through = closed->stored.through;
}
