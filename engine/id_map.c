#include "engine/id_map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BUCKET_IDS_MAX  16 /* on average; then buckets double */
#define BUCKET_BITS_MAX 16
#define PAGE            4096
#define PART_SLACK      1024 /* ids that a part may have more than others, and some */
#define IDS_MAX         UINT64_C(4000000000)

static size_t part_bytes(unsigned bucket_bits, uint32_t count)
{
    return (((size_t)1 << bucket_bits) + 1) * sizeof(uint32_t) + (size_t)count * 3;
}

static uint8_t bits_for(uint64_t ids)
{
    uint8_t bits = 0;

    while (bits < BUCKET_BITS_MAX && (ids / TY_ID_MAP_PARTS) >> bits > BUCKET_IDS_MAX)
        bits++;
    return bits;
}

bool ty_id_map_init(struct ty_id_map *map, uint64_t ids_max)
{
    uint64_t all = TY_MIN(ids_max, IDS_MAX) / 2 * 3;
    /* Parts are of nearly the same size, the more so the larger they are. */
    uint32_t most = (uint32_t)(all / TY_ID_MAP_PARTS * 9 / 8 + PART_SLACK);
    void *memory;

    *map = (struct ty_id_map){.stride = (part_bytes(bits_for(all), most) + 7) / 8 * 8};
    memory = mmap(NULL, map->stride * TY_ID_MAP_PARTS, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    map->memory = memory;
    return true;
}

void ty_id_map_fini(struct ty_id_map *map)
{
    if (map->memory != NULL)
        munmap(map->memory, map->stride * TY_ID_MAP_PARTS);
    free(map->scratch);
    *map = (struct ty_id_map){0};
}

void ty_id_map_begin(struct ty_id_map *map, uint8_t slot, uint64_t ids)
{
    uint8_t bits = TY_MAX(map->most_bits, bits_for(ids));

    TY_ASSERT(slot < TY_ID_MAP_SLOTS);
    if (map->count == 0)
        map->least_bits = bits;
    map->most_bits = map->slot_bits[slot] = bits;
}

/* --- A part's memory --- */

/* The places of a part's arrays in some memory. */
struct view {
    uint32_t *first;
    uint16_t *tags;
    uint8_t *slots;
};

static struct view view_of(char *memory, unsigned bucket_bits, uint32_t count)
{
    uint32_t *first = (uint32_t *)(void *)memory;
    uint16_t *tags = (uint16_t *)(void *)(first + ((size_t)1 << bucket_bits) + 1);

    return (struct view){first, tags, (uint8_t *)(tags + count)};
}

static bool reserve_scratch(struct ty_id_map *map, size_t bytes)
{
    char *larger;

    if (bytes <= map->scratch_bytes)
        return true;
    larger = realloc(map->scratch, bytes + bytes / 8);
    if (larger == NULL)
        return false;
    map->scratch = larger;
    map->scratch_bytes = bytes + bytes / 8;
    return true;
}

/* Pages of the kernel that a part does not use any more go back, where those are whole ones. */
static void give_back(const struct ty_id_map_part *part, size_t bytes)
{
    uintptr_t from = ((uintptr_t)part->memory + bytes + PAGE - 1) / PAGE * PAGE;
    uintptr_t to = ((uintptr_t)part->memory + part->bytes) / PAGE * PAGE;

    if (from < to)
        madvise((void *)from, to - from, MADV_DONTNEED);
}

/* Makes a part's memory as large as that; false: there is no room. */
static bool resize(struct ty_id_map *map, struct ty_id_map_part *part, size_t bytes)
{
    if (bytes > map->stride)
        return false;
    part->memory = map->memory + (size_t)(part - map->parts) * map->stride;
    give_back(part, bytes);
    map->bytes += bytes - part->bytes;
    part->bytes = bytes;
    return true;
}

/* --- Rewriting --- */

static uint32_t bucket_of(uint32_t rest, unsigned bucket_bits)
{
    return (uint32_t)((uint64_t)rest >> (32 - bucket_bits));
}

static uint16_t tag_of(uint32_t rest, unsigned bucket_bits)
{
    return (uint16_t)(rest >> (16 - bucket_bits));
}

/* With as many buckets as before: each gets its old ids, then the new ones; all that is as fast as
 * copying. Entries ascend. Returns how many ids there are. */
static uint32_t merge(const struct ty_id_map_part *part, const struct ty_id_map_entry *entries,
                      uint32_t count, const bool *dead, struct view to)
{
    struct view from = view_of(part->memory, part->bucket_bits, part->count);
    uint32_t buckets = 1u << part->bucket_bits, n = 0, next = 0;

    for (uint32_t bucket = 0; bucket < buckets; bucket++) {
        to.first[bucket] = n;
        for (uint32_t i = from.first[bucket]; i < from.first[bucket + 1]; i++) {
            to.tags[n] = from.tags[i];
            to.slots[n] = from.slots[i];
            n += !dead[from.slots[i]];
        }
        for (; next < count && bucket_of(entries[next].rest, part->bucket_bits) == bucket; next++) {
            to.tags[n] = tag_of(entries[next].rest, part->bucket_bits);
            to.slots[n++] = entries[next].slot;
        }
    }
    to.first[buckets] = n;
    return n;
}

/* All ids that a part is to have, as entries in any order: what stays of the old ones has its rest
 * as far as that is known, with zeros behind. Returns how many there are. */
static uint32_t spread_out(const struct ty_id_map_part *part, const bool *dead,
                           struct ty_id_map_entry *out)
{
    struct view from = view_of(part->memory, part->bucket_bits, part->count);
    uint32_t n = 0;

    for (uint32_t bucket = 0; part->count > 0 && bucket < 1u << part->bucket_bits; bucket++)
        for (uint32_t i = from.first[bucket]; i < from.first[bucket + 1]; i++)
            if (!dead[from.slots[i]])
                out[n++] = (struct ty_id_map_entry){
                    .rest = (uint32_t)((uint64_t)bucket << (32 - part->bucket_bits)) |
                            (uint32_t)from.tags[i] << (16 - part->bucket_bits),
                    .slot = from.slots[i]};
    return n;
}

/* Into buckets of another size, by counting. */
static void distribute(const struct ty_id_map_entry *entries, uint32_t count, unsigned bucket_bits,
                       struct view to)
{
    uint32_t end = 0, buckets = 1u << bucket_bits;

    memset(to.first, 0, (buckets + 1) * sizeof(*to.first));
    for (uint32_t i = 0; i < count; i++)
        to.first[bucket_of(entries[i].rest, bucket_bits)]++;
    for (uint32_t bucket = 0; bucket < buckets; bucket++)
        to.first[bucket] = end += to.first[bucket];
    to.first[buckets] = count;
    for (uint32_t i = 0; i < count; i++) { /* Ends become beginnings. */
        uint32_t at = --to.first[bucket_of(entries[i].rest, bucket_bits)];

        to.tags[at] = tag_of(entries[i].rest, bucket_bits);
        to.slots[at] = entries[i].slot;
    }
}

/* Puts what lies in the scratch memory in a part's place. */
static bool replace(struct ty_id_map *map, struct ty_id_map_part *part, struct view from,
                    uint32_t count)
{
    struct view to;

    if (!resize(map, part, part_bytes(map->most_bits, count)))
        return false;
    to = view_of(part->memory, map->most_bits, count);
    memcpy(to.first, from.first, (((size_t)1 << map->most_bits) + 1) * sizeof(*to.first));
    memcpy(to.tags, from.tags, count * sizeof(*to.tags));
    memcpy(to.slots, from.slots, count);
    map->count += (uint64_t)count - part->count;
    part->count = count;
    part->bucket_bits = map->most_bits;
    return true;
}

static bool rebuild(struct ty_id_map *map, struct ty_id_map_part *part,
                    const struct ty_id_map_entry *entries, uint32_t count, const bool *dead)
{
    uint32_t most = part->count + count;
    struct ty_id_map_entry *all = malloc(most * sizeof(*all));
    struct view to = view_of(map->scratch, map->most_bits, most);
    uint32_t kept;

    if (all == NULL)
        return false;
    kept = spread_out(part, dead, all);
    if (count > 0)
        memcpy(all + kept, entries, count * sizeof(*all));
    distribute(all, kept + count, map->most_bits, to);
    free(all);
    return replace(map, part, to, kept + count);
}

bool ty_id_map_rewrite(struct ty_id_map *map, unsigned number,
                       const struct ty_id_map_entry *entries, uint32_t count,
                       const bool dead[TY_ID_MAP_SLOTS])
{
    struct ty_id_map_part *part = &map->parts[number];
    uint32_t most = part->count + count;
    struct view to;

    if (most == 0)
        return true;
    /* One more, since merging writes before it knows whether an id stays. */
    if (!reserve_scratch(map, part_bytes(map->most_bits, most + 1)))
        return false;
    if (part->count == 0 || part->bucket_bits != map->most_bits)
        return rebuild(map, part, entries, count, dead);
    to = view_of(map->scratch, map->most_bits, most + 1);
    return replace(map, part, to, merge(part, entries, count, dead, to));
}

/* --- Finding --- */

bool ty_id_map_find(const struct ty_id_map *map, const struct ty_key *key, uint32_t *at,
                    uint8_t *slot)
{
    const struct ty_id_map_part *part = &map->parts[ty_id_map_part_of(key)];
    uint32_t rest = ty_id_map_rest_of(key), end;
    const uint32_t *first;
    const uint16_t *tags;
    const uint8_t *slots;
    uint16_t tag, known;

    if (part->count == 0)
        return false;
    first = ty_id_map_first(part, rest);
    end = first[1];
    tags = ty_id_map_tags(part);
    slots = (const uint8_t *)(tags + part->count);
    tag = tag_of(rest, part->bucket_bits);
    known = (uint16_t)(0xffffu << (part->bucket_bits - map->least_bits));
    for (uint32_t i = TY_MAX(*first, *at); i < end; i++)
        if (((tags[i] ^ tag) & known) == 0 &&
            (uint16_t)((tags[i] ^ tag) >> (part->bucket_bits - map->slot_bits[slots[i]])) == 0) {
            *at = i + 1;
            *slot = slots[i];
            return true;
        }
    return false;
}
