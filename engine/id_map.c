#include "engine/id_map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BUCKET_IDS_MAX  16 /* on average; then buckets double */
#define BUCKET_BITS_MAX 16
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

/* The memory of a page of every part. */
#define LAYER ((size_t)TY_ID_MAP_PARTS * TY_ID_MAP_PAGE)

bool ty_id_map_init(struct ty_id_map *map, uint64_t ids_max)
{
    uint64_t all = TY_MIN(ids_max, IDS_MAX) / 2 * 3;
    /* Parts are of nearly the same size, the more so the larger they are. */
    uint32_t most = (uint32_t)(all / TY_ID_MAP_PARTS * 9 / 8 + PART_SLACK);
    void *memory;

    *map = (struct ty_id_map){.pages_max =
                                  (uint32_t)(part_bytes(bits_for(all), most) / TY_ID_MAP_PAGE + 1)};
    memory = mmap(NULL, map->pages_max * LAYER, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    madvise(memory, map->pages_max * LAYER, MADV_HUGEPAGE);
    map->memory = memory;
    return true;
}

void ty_id_map_fini(struct ty_id_map *map)
{
    if (map->memory != NULL)
        munmap(map->memory, map->pages_max * LAYER);
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

/* The places of a part's arrays in scratch memory, where they lie in one piece. */
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

static size_t bytes_of(const struct ty_id_map_part *part)
{
    return part->count == 0 ? 0 : part_bytes(part->bucket_bits, part->count);
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

static void copy_out(const struct ty_id_map *map, unsigned number, char *to)
{
    size_t bytes = bytes_of(&map->parts[number]);

    for (size_t at = 0; at < bytes; at += TY_ID_MAP_PAGE)
        memcpy(to + at, ty_id_map_at(map, number, at), TY_MIN(bytes - at, TY_ID_MAP_PAGE));
}

static void copy_in(struct ty_id_map *map, unsigned number, size_t offset, const void *from,
                    size_t bytes)
{
    while (bytes > 0) {
        size_t piece = TY_MIN(bytes, TY_ID_MAP_PAGE - offset % TY_ID_MAP_PAGE);

        memcpy((char *)ty_id_map_at(map, number, offset), from, piece);
        from = (const char *)from + piece;
        offset += piece;
        bytes -= piece;
    }
}

static uint32_t pages_of(size_t bytes)
{
    return (uint32_t)((bytes + TY_ID_MAP_PAGE - 1) / TY_ID_MAP_PAGE);
}

void ty_id_map_trim(struct ty_id_map *map)
{
    uint32_t pages = 0;

    for (unsigned i = 0; i < TY_ID_MAP_PARTS; i++)
        pages = TY_MAX(pages, pages_of(bytes_of(&map->parts[i])));
    if (pages < map->pages)
        madvise(map->memory + pages * LAYER, (map->pages - pages) * LAYER, MADV_DONTNEED);
    map->pages = pages;
}

/* --- Rewriting --- */

static uint16_t tag_of(uint32_t rest, unsigned bucket_bits)
{
    return (uint16_t)(rest >> (16 - bucket_bits));
}

/* With as many buckets as before: each gets its old ids, then the new ones; all that is as fast as
 * copying. Entries ascend. Returns how many ids there are. */
static uint32_t merge(const struct ty_id_map_part *part, struct view from,
                      const struct ty_id_map_entry *entries, uint32_t count, const bool *dead,
                      struct view to)
{
    uint32_t buckets = 1u << part->bucket_bits, n = 0, next = 0;

    for (uint32_t bucket = 0; bucket < buckets; bucket++) {
        to.first[bucket] = n;
        for (uint32_t i = from.first[bucket]; i < from.first[bucket + 1]; i++) {
            to.tags[n] = from.tags[i];
            to.slots[n] = from.slots[i];
            n += !dead[from.slots[i]];
        }
        for (; next < count && ty_id_map_bucket(entries[next].rest, part->bucket_bits) == bucket;
             next++) {
            to.tags[n] = tag_of(entries[next].rest, part->bucket_bits);
            to.slots[n++] = entries[next].slot;
        }
    }
    to.first[buckets] = n;
    return n;
}

static void copy_ids(struct view from, uint32_t first, uint32_t end, struct view to, uint32_t at)
{
    memcpy(to.tags + at, from.tags + first, (end - first) * sizeof(*to.tags));
    memcpy(to.slots + at, from.slots + first, end - first);
}

/* merge() where no id goes: what lies between two new ids is copied at once. */
static uint32_t insert(const struct ty_id_map_part *part, struct view from,
                       const struct ty_id_map_entry *entries, uint32_t count, struct view to)
{
    uint32_t buckets = 1u << part->bucket_bits, bucket = 0, copied = 0;

    for (uint32_t n = 0; n < count; n++) {
        uint32_t own = ty_id_map_bucket(entries[n].rest, part->bucket_bits);
        uint32_t end = from.first[own + 1];

        for (; bucket <= own; bucket++)
            to.first[bucket] = from.first[bucket] + n;
        copy_ids(from, copied, end, to, copied + n);
        copied = end;
        to.tags[end + n] = tag_of(entries[n].rest, part->bucket_bits);
        to.slots[end + n] = entries[n].slot;
    }
    for (; bucket <= buckets; bucket++)
        to.first[bucket] = from.first[bucket] + count;
    copy_ids(from, copied, part->count, to, copied + count);
    return part->count + count;
}

/* All ids that a part is to have, as entries in any order: what stays of the old ones has its rest
 * as far as that is known, with zeros behind. Returns how many there are. */
static uint32_t spread_out(const struct ty_id_map_part *part, struct view from, const bool *dead,
                           struct ty_id_map_entry *out)
{
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
        to.first[ty_id_map_bucket(entries[i].rest, bucket_bits)]++;
    for (uint32_t bucket = 0; bucket < buckets; bucket++)
        to.first[bucket] = end += to.first[bucket];
    to.first[buckets] = count;
    for (uint32_t i = 0; i < count; i++) { /* Ends become beginnings. */
        uint32_t at = --to.first[ty_id_map_bucket(entries[i].rest, bucket_bits)];

        to.tags[at] = tag_of(entries[i].rest, bucket_bits);
        to.slots[at] = entries[i].slot;
    }
}

/* Makes what lies in scratch memory the part. False: there is no room. */
static bool replace(struct ty_id_map *map, unsigned number, struct view from, uint32_t count)
{
    struct ty_id_map_part *part = &map->parts[number];
    struct ty_id_map_part next = {.count = count, .bucket_bits = map->most_bits};
    size_t tags_at = ty_id_map_tag_at(&next, 0), slots_at = ty_id_map_tag_at(&next, count);

    if (pages_of(bytes_of(&next)) > map->pages_max)
        return false;
    if (count != 0) { /* An empty part has no memory, not even for its buckets. */
        copy_in(map, number, 0, from.first, tags_at);
        copy_in(map, number, tags_at, from.tags, count * sizeof(*from.tags));
        copy_in(map, number, slots_at, from.slots, count);
    }
    map->pages = TY_MAX(map->pages, pages_of(bytes_of(&next)));
    map->bytes += bytes_of(&next) - bytes_of(part);
    map->count += (uint64_t)count - part->count;
    *part = next;
    return true;
}

static bool rebuild(struct ty_id_map *map, unsigned number, struct view from,
                    const struct ty_id_map_entry *entries, uint32_t count, const bool *dead,
                    struct view to)
{
    struct ty_id_map_part *part = &map->parts[number];
    struct ty_id_map_entry *all = malloc((part->count + count) * sizeof(*all));
    uint32_t kept;

    if (all == NULL)
        return false;
    kept = spread_out(part, from, dead, all);
    if (count > 0)
        memcpy(all + kept, entries, count * sizeof(*all));
    distribute(all, kept + count, map->most_bits, to);
    free(all);
    return replace(map, number, to, kept + count);
}

bool ty_id_map_rewrite(struct ty_id_map *map, unsigned number,
                       const struct ty_id_map_entry *entries, uint32_t count,
                       const bool dead[TY_ID_MAP_SLOTS])
{
    struct ty_id_map_part *part = &map->parts[number];
    size_t old_bytes = (bytes_of(part) + 7) / 8 * 8;
    uint32_t most = part->count + count;
    struct view from, to;

    if (most == 0)
        return true;
    /* One more, since merging writes before it knows whether an id stays. */
    if (!reserve_scratch(map, old_bytes + part_bytes(map->most_bits, most + 1)))
        return false;
    copy_out(map, number, map->scratch);
    from = view_of(map->scratch, part->bucket_bits, part->count);
    to = view_of(map->scratch + old_bytes, map->most_bits, most + 1);
    if (part->count == 0 || part->bucket_bits != map->most_bits)
        return rebuild(map, number, from, entries, count, dead, to);
    if (memchr(dead, true, TY_ID_MAP_SLOTS) == NULL)
        count = insert(part, from, entries, count, to);
    else
        count = merge(part, from, entries, count, dead, to);
    return replace(map, number, to, count);
}

/* --- Finding --- */

static uint8_t slot_of(const struct ty_id_map *map, unsigned number, uint32_t id)
{
    const struct ty_id_map_part *part = &map->parts[number];

    return *(const uint8_t *)ty_id_map_at(map, number, ty_id_map_tag_at(part, part->count) + id);
}

bool ty_id_map_find(const struct ty_id_map *map, const struct ty_key *key, uint32_t *at,
                    uint8_t *slot)
{
    unsigned number = ty_id_map_part_of(key);
    const struct ty_id_map_part *part = &map->parts[number];
    uint32_t rest = ty_id_map_rest_of(key), bucket, end;
    uint16_t tag, known;

    if (part->count == 0)
        return false;
    bucket = ty_id_map_bucket(rest, part->bucket_bits);
    end = *ty_id_map_first(map, number, bucket + 1);
    tag = tag_of(rest, part->bucket_bits);
    known = (uint16_t)(0xffffu << (part->bucket_bits - map->least_bits));
    for (uint32_t i = TY_MAX(*ty_id_map_first(map, number, bucket), *at); i < end; i++) {
        const char *place = ty_id_map_at(map, number, ty_id_map_tag_at(part, i));
        uint16_t unlike = *(const uint16_t *)(const void *)place ^ tag;

        if ((unlike & known) != 0)
            continue;
        *slot = slot_of(map, number, i);
        if (unlike >> (part->bucket_bits - map->slot_bits[*slot]) == 0) {
            *at = i + 1;
            return true;
        }
    }
    return false;
}
