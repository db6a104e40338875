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

/*
 * A part has, one behind the other: where each bucket begins (and, behind the last, where that
 * ends), the bits of each id, the slot of each id; the ids of a bucket side by side.
 *
 * All that lies in pages, and the pages of all parts side by side: first the first page of every
 * part, then the second of every part, and so on. Parts grow at the same pace, so that the memory
 * in use is dense, which huge pages and the page tables' caches need: with each part on its own
 * the processor waited longer for addresses than for ids.
 */
struct ty_id_map_part {
    uint32_t count;
    uint8_t bucket_bits;
};

#define TY_ID_MAP_PAGE 4096

struct ty_id_map {
    struct ty_id_map_part parts[TY_ID_MAP_PARTS];
    char *memory;       /* touched as it is needed */
    uint32_t pages_max; /* of a part */
    uint32_t pages;     /* of the largest part since memory was last given back */
    uint64_t bytes;     /* of all parts */
    uint64_t count;
    /* How many bits chose the bucket when a slot's ids came in; the least of all, and the most. */
    uint8_t slot_bits[TY_ID_MAP_SLOTS];
    uint8_t least_bits, most_bits;
    char *scratch; /* room for a part, twice */
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

/* ty_id_map_trim gives memory back that no part has used since it was last called. */
void ty_id_map_trim(struct ty_id_map *map);

/* Where a part's byte lies. */
static inline const char *ty_id_map_at(const struct ty_id_map *map, unsigned part, size_t offset)
{
    return map->memory + (offset / TY_ID_MAP_PAGE * TY_ID_MAP_PARTS + part) * TY_ID_MAP_PAGE +
           offset % TY_ID_MAP_PAGE;
}

/* The offset of an id's bits. */
static inline size_t ty_id_map_tag_at(const struct ty_id_map_part *part, uint32_t id)
{
    return (((size_t)1 << part->bucket_bits) + 1) * sizeof(uint32_t) + id * sizeof(uint16_t);
}

/* The bucket of an id, by its rest. */
static inline uint32_t ty_id_map_bucket(uint32_t rest, unsigned bucket_bits)
{
    return (uint32_t)((uint64_t)rest >> (32 - bucket_bits));
}

/* Where the key's bucket begins; that of the next bucket lies behind it, or on the next page. */
static inline const uint32_t *ty_id_map_first(const struct ty_id_map *map, unsigned part,
                                              uint32_t bucket)
{
    return (const uint32_t *)(const void *)ty_id_map_at(map, part, bucket * sizeof(uint32_t));
}

/* The first step of a search, some time before the second: memory is on its way. */
static inline void ty_id_map_prefetch(const struct ty_id_map *map, const struct ty_key *key)
{
    unsigned number = ty_id_map_part_of(key);
    const struct ty_id_map_part *part = &map->parts[number];

    if (part->count != 0)
        ty_prefetch(ty_id_map_first(map, number,
                                    ty_id_map_bucket(ty_id_map_rest_of(key), part->bucket_bits)));
}

/* The second, some time before the search: a bucket's ids lie in one line or two. */
static inline void ty_id_map_prefetch_near(const struct ty_id_map *map, const struct ty_key *key)
{
    unsigned number = ty_id_map_part_of(key);
    const struct ty_id_map_part *part = &map->parts[number];
    uint32_t bucket;

    if (part->count == 0)
        return;
    bucket = ty_id_map_bucket(ty_id_map_rest_of(key), part->bucket_bits);
    ty_prefetch(
        ty_id_map_at(map, number, ty_id_map_tag_at(part, *ty_id_map_first(map, number, bucket))));
    ty_prefetch(ty_id_map_at(map, number,
                             ty_id_map_tag_at(part, *ty_id_map_first(map, number, bucket + 1))));
}

/* ty_id_map_find looks for a key from place *at on (0 at first): true, with the slot whose run may
 * have it, and *at behind it; false when there is none (left). */
bool ty_id_map_find(const struct ty_id_map *map, const struct ty_key *key, uint32_t *at,
                    uint8_t *slot);

#endif
