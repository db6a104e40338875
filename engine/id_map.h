/*
 * id_map.h: which sealed run could have an id, for very many ids: 3.25 to 3.5 bytes each.
 *
 * Keys are as good as random, so that their first bits spread them evenly: 12 choose one of 4,096
 * parts, the next few one of the part's buckets, which have 8 to 16 ids each. Of an id the map
 * keeps the 16 bits of its key behind those, and the number of its run's slot. An id that is there
 * is always found; a key that is not seems to be there about once in 5,000 times, and then whoever
 * asks looks at the run itself.
 *
 * A part is rewritten as a whole when ids of a new run come in; ids whose slot is dead go with
 * that. When a part has outgrown its buckets they double: of the ids that it has then one of the 16
 * bits moves into the bucket's number and none is known behind it, so that old ids are told from
 * others a little less well; they are few beside those which make the part grow.
 *
 * Threads: one owner.
 */
#ifndef TY_ENGINE_ID_MAP_H
#define TY_ENGINE_ID_MAP_H

#include "engine/event.h"

#define TY_ID_MAP_PART_BITS 12
#define TY_ID_MAP_PARTS     (1u << TY_ID_MAP_PART_BITS)
#define TY_ID_MAP_SLOTS     255
#define TY_ID_MAP_BYTES     3.5 /* of memory an id, about */

/* A part's memory: where each bucket begins (and, behind the last, where that ends), the bits of
 * each id, the slot of each id; the ids of a bucket side by side. */
struct ty_id_map_part {
    char *memory; /* NULL: no ids yet */
    size_t bytes; /* that are used of it */
    uint32_t count;
    uint8_t bucket_bits;
};

struct ty_id_map {
    struct ty_id_map_part parts[TY_ID_MAP_PARTS];
    char *memory; /* one mapping, with a stretch for each part; touched as it is needed */
    size_t stride;
    uint64_t bytes; /* of all parts */
    uint64_t count;
    /* How many bits chose the bucket when a slot's ids came in; the least of all, and the most. */
    uint8_t slot_bits[TY_ID_MAP_SLOTS];
    uint8_t least_bits, most_bits;
    char *scratch; /* room for a part */
    size_t scratch_bytes;
};

/* What the map takes in of an id: the part of its key, and the 32 bits behind what chose that. */
static inline unsigned ty_id_map_part_of(const struct ty_key *key)
{
    return (unsigned)(key->high >> (64 - TY_ID_MAP_PART_BITS));
}

static inline uint32_t ty_id_map_rest_of(const struct ty_key *key)
{
    return (uint32_t)(key->high << TY_ID_MAP_PART_BITS >> 32);
}

struct ty_id_map_entry {
    uint32_t rest;
    uint8_t slot;
};

/* ty_id_map_init reserves address space, not memory, for so many ids, and half as many that are
 * dead or coming. False: there is none. ty_id_map_fini() takes a map of zeros, too. */
bool ty_id_map_init(struct ty_id_map *map, uint64_t ids_max);
void ty_id_map_fini(struct ty_id_map *map);

/* ty_id_map_begin begins the ids of a slot: parts will have about so many ids in all, the new ones
 * included. Until the last part has been rewritten no other slot is begun. */
void ty_id_map_begin(struct ty_id_map *map, uint8_t slot, uint64_t ids);

/* ty_id_map_rewrite adds entries to a part and takes those away whose slot is dead. Entries ascend
 * by their rest; into an empty part they may come in any order. False: no memory, or no
 * room, and nothing changed. */
bool ty_id_map_rewrite(struct ty_id_map *map, unsigned part, const struct ty_id_map_entry *entries,
                       uint32_t count, const bool dead[TY_ID_MAP_SLOTS]);

static inline const uint32_t *ty_id_map_first(const struct ty_id_map_part *part, uint32_t rest)
{
    return (const uint32_t *)(const void *)part->memory +
           ((uint64_t)rest >> (32 - part->bucket_bits));
}

static inline const uint16_t *ty_id_map_tags(const struct ty_id_map_part *part)
{
    return (const uint16_t *)(const void *)(part->memory + (((size_t)1 << part->bucket_bits) + 1) *
                                                               sizeof(uint32_t));
}

/* gcc takes a function that only prefetches for one without an effect, and drops calls of it that
 * it has not inlined before it looks. */
#define TY_PREFETCHING static inline __attribute__((always_inline)) void

/* The first step of a search, some time before the second: memory is on its way. */
TY_PREFETCHING ty_id_map_prefetch(const struct ty_id_map *map, const struct ty_key *key)
{
    const struct ty_id_map_part *part = &map->parts[ty_id_map_part_of(key)];

    if (part->memory != NULL)
        __builtin_prefetch(ty_id_map_first(part, ty_id_map_rest_of(key)));
}

/* The second, some time before the search. */
TY_PREFETCHING ty_id_map_prefetch_near(const struct ty_id_map *map, const struct ty_key *key)
{
    const struct ty_id_map_part *part = &map->parts[ty_id_map_part_of(key)];

    if (part->memory != NULL)
        __builtin_prefetch(&ty_id_map_tags(part)[*ty_id_map_first(part, ty_id_map_rest_of(key))]);
}

/* ty_id_map_find looks for a key from place *at on (0 at first): true, with the slot whose run may
 * have it, and *at behind it; false when there is none (left). */
bool ty_id_map_find(const struct ty_id_map *map, const struct ty_key *key, uint32_t *at,
                    uint8_t *slot);

#endif
