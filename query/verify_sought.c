#include "query/verify_sought.h"

#include <stdlib.h>

#define CAPACITY_MIN 1024

void ty_verify_sought_init(struct ty_verify_sought_ids *sought, uint64_t ids, uint64_t memory_bytes)
{
    size_t capacity = CAPACITY_MIN;

    *sought = (struct ty_verify_sought_ids){0};
    while (capacity / 2 < ids && 2 * capacity <= memory_bytes / sizeof(*sought->table))
        capacity *= 2;
    if (capacity <= memory_bytes / sizeof(*sought->table))
        sought->table = calloc(capacity, sizeof(*sought->table));
    if (sought->table != NULL)
        sought->capacity = capacity;
}

void ty_verify_sought_fini(struct ty_verify_sought_ids *sought)
{
    free(sought->table);
    *sought = (struct ty_verify_sought_ids){0};
}

/* Where a key is, or the free place where it would be: there is one. */
static struct ty_verify_sought *place_of(const struct ty_verify_sought_ids *sought, uint64_t key)
{
    size_t i = (size_t)key & (sought->capacity - 1);

    while (sought->table[i].sequence != 0 && sought->table[i].key != key)
        i = (i + 1) & (sought->capacity - 1);
    return &sought->table[i];
}

bool ty_verify_sought_add(struct ty_verify_sought_ids *sought, const struct ty_verify_sought *id)
{
    struct ty_verify_sought *place;

    if (sought->capacity == 0)
        return false;
    place = place_of(sought, id->key);
    if (place->sequence == 0 && sought->count >= sought->capacity / 4 * 3)
        return false;
    sought->count += place->sequence == 0;
    *place = *id;
    return true;
}

struct ty_verify_sought *ty_verify_sought_find(const struct ty_verify_sought_ids *sought,
                                               uint64_t key)
{
    struct ty_verify_sought *place = sought->capacity == 0 ? NULL : place_of(sought, key);

    return place == NULL || place->sequence == 0 ? NULL : place;
}
