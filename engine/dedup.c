#include "engine/dedup_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CAPACITY_MIN ((uint32_t)16)
/* A table is rebuilt at a fill between these percentages; see is_filled(). */
#define FILL_MIN  60
#define FILL_SPAN 15
/* After a rebuild a table is at most so full, or it grows: well below the fill of the next one. */
#define CROWDED 50
/* 24 bytes in the log, and 8 / 0.25 in a table when all have just grown. While they grow, one after
 * the other, the memory that the first ones left is not given back before the last one leaves. */
#define BYTES_PER_ID 56
#define IDS_MIN      (4 * TY_DEDUP_CHUNK_RECORDS)
#define IDS_MAX      ((uint64_t)UINT32_MAX / 2)

/* --- Life --- */

static size_t class_bytes(unsigned class)
{
    return ((size_t)CAPACITY_MIN << class) * sizeof(struct ty_dedup_place) * TY_DEDUP_PARTS;
}

struct ty_dedup *ty_dedup_new(int64_t window_ms, uint64_t bytes_max)
{
    struct ty_dedup *dedup = calloc(1, sizeof(*dedup));

    TY_ASSERT(window_ms > 0);
    if (dedup == NULL)
        return NULL;
    dedup->window_ms = window_ms;
    dedup->first_capacity = CAPACITY_MIN;
    dedup->arrival_ms = INT64_MIN / 2; /* before everything, and safe to subtract from */
    if (ty_dedup_log_init(&dedup->log, TY_MIN(TY_MAX(bytes_max / BYTES_PER_ID, IDS_MIN), IDS_MAX)))
        return dedup;
    ty_dedup_free(dedup);
    return NULL;
}

void ty_dedup_free(struct ty_dedup *dedup)
{
    if (dedup == NULL)
        return;
    for (unsigned class = 0; class < TY_DEDUP_CLASSES; class ++)
        if (dedup->classes[class].memory != NULL)
            munmap(dedup->classes[class].memory, class_bytes(class));
    ty_dedup_log_fini(&dedup->log);
    free(dedup->scratch);
    free(dedup);
}

uint64_t ty_dedup_ids_max(const struct ty_dedup *dedup)
{
    return dedup->log.records_max;
}

void ty_dedup_expect(struct ty_dedup *dedup, uint64_t ids)
{
    ids = TY_MIN(ids, dedup->log.records_max);
    while ((uint64_t)dedup->first_capacity * TY_DEDUP_PARTS * CROWDED / 100 < ids)
        dedup->first_capacity *= 2;
}

void ty_dedup_advance(struct ty_dedup *dedup, int64_t arrival_ms, uint64_t sequence)
{
    TY_ASSERT(arrival_ms >= dedup->arrival_ms);
    dedup->arrival_ms = arrival_ms;
    ty_dedup_log_advance(&dedup->log, arrival_ms, dedup->window_ms, sequence);
}

void ty_dedup_go_on(struct ty_dedup *dedup, int64_t arrival_ms)
{
    TY_ASSERT(arrival_ms >= dedup->arrival_ms);
    dedup->arrival_ms = arrival_ms;
    ty_dedup_log_go_on(&dedup->log, arrival_ms, dedup->window_ms);
}

/* --- Tables --- */

static const struct ty_dedup_table *table_of(const struct ty_dedup *dedup, const struct ty_key *key)
{
    return &dedup->tables[key->high >> (64 - TY_DEDUP_PART_BITS)];
}

static uint32_t tag_of(const struct ty_key *key)
{
    return (uint32_t)key->low;
}

/* Whether a place is that of the key; of a forgotten record it never is. */
static bool is_place_of(const struct ty_dedup *dedup, const struct ty_dedup_place *place,
                        const struct ty_key *key)
{
    const struct ty_dedup_record *record;
    uint64_t position;

    if (place->tag != tag_of(key) ||
        (position = ty_dedup_log_position(&dedup->log, place->position)) == 0)
        return false;
    record = ty_dedup_log_at(&dedup->log, position);
    return record->key.high == key->high && record->key.low == key->low;
}

/* The place of the key, or the empty place where its probing ends. */
static struct ty_dedup_place *probe(const struct ty_dedup *dedup,
                                    const struct ty_dedup_table *table, const struct ty_key *key)
{
    uint32_t mask = table->capacity - 1;
    uint32_t i = tag_of(key) & mask;

    while (table->places[i].position != 0 && !is_place_of(dedup, &table->places[i], key))
        i = (i + 1) & mask;
    return &table->places[i];
}

void ty_dedup_prefetch(const struct ty_dedup *dedup, const struct ty_key *key)
{
    const struct ty_dedup_table *table = table_of(dedup, key);

    if (table->capacity == 0)
        return;
    ty_prefetch(&table->places[tag_of(key) & (table->capacity - 1)]);
    /* Probing may go on into the next line; mostly this is the same one. */
    ty_prefetch(&table->places[(tag_of(key) + 3) & (table->capacity - 1)]);
}

enum ty_dedup_answer ty_dedup_find(struct ty_dedup *dedup, const struct ty_key *key,
                                   uint64_t content)
{
    const struct ty_dedup_table *table = table_of(dedup, key);
    struct ty_dedup_place *place;

    if (table->capacity == 0)
        return TY_DEDUP_NEW;
    place = probe(dedup, table, key);
    if (place->position == 0) {
        dedup->missing = *key;
        dedup->missing_place = place;
        return TY_DEDUP_NEW;
    }
    return ty_dedup_log_at(&dedup->log, ty_dedup_log_position(&dedup->log, place->position))
                       ->content == content
               ? TY_DEDUP_SAME
               : TY_DEDUP_CONFLICT;
}

int64_t ty_dedup_arrived_ms(const struct ty_dedup *dedup, const struct ty_key *key)
{
    const struct ty_dedup_place *place = probe(dedup, table_of(dedup, key), key);

    TY_ASSERT(place->position != 0);
    return ty_dedup_log_arrived_ms(&dedup->log,
                                   ty_dedup_log_position(&dedup->log, place->position));
}

static unsigned class_of(uint32_t capacity)
{
    unsigned class = 0;

    while (CAPACITY_MIN << class < capacity)
        class ++;
    return class;
}

/* The memory of a table at a capacity, cleared; NULL when memory is out. */
static struct ty_dedup_place *take_memory(struct ty_dedup *dedup,
                                          const struct ty_dedup_table *table, uint32_t capacity)
{
    size_t bytes = capacity * sizeof(struct ty_dedup_place);
    struct ty_dedup_class *class = &dedup->classes[class_of(capacity)];

    if (class_of(capacity) >= TY_DEDUP_CLASSES)
        return NULL;
    if (class->memory == NULL) {
        void *memory = mmap(NULL, class_bytes(class_of(capacity)), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (memory == MAP_FAILED)
            return NULL;
        madvise(memory, class_bytes(class_of(capacity)), MADV_HUGEPAGE);
        class->memory = memory;
    }
    class->tables++;
    dedup->table_bytes += bytes;
    return memset(class->memory + (size_t)(table - dedup->tables) * bytes, 0, bytes);
}

static void leave_memory(struct ty_dedup *dedup, const struct ty_dedup_table *table)
{
    struct ty_dedup_class *class = &dedup->classes[class_of(table->capacity)];

    if (table->capacity == 0)
        return;
    dedup->table_bytes -= table->capacity * sizeof(struct ty_dedup_place);
    if (--class->tables != 0)
        return;
    munmap(class->memory, class_bytes(class_of(table->capacity)));
    class->memory = NULL;
}

/* Copies the places that count into the scratch memory; how many, or UINT32_MAX: no memory. */
static uint32_t save_places(struct ty_dedup *dedup, const struct ty_dedup_table *table)
{
    uint32_t count = 0;

    if (dedup->scratch_capacity < table->capacity) {
        struct ty_dedup_place *larger = realloc(dedup->scratch, table->capacity * sizeof(*larger));

        if (larger == NULL)
            return UINT32_MAX;
        dedup->scratch = larger;
        dedup->scratch_capacity = table->capacity;
    }
    /* Without a branch, which would be mispredicted half of the time. */
    for (uint32_t i = 0; i < table->capacity; i++) {
        uint32_t position = table->places[i].position;

        dedup->scratch[count] = table->places[i];
        count += (position != 0) & (ty_dedup_log_position(&dedup->log, position) != 0);
    }
    return count;
}

/* Empties a table of places that no longer count, and doubles it if it is still crowded. The places
 * that stay are of different keys, so that each just takes the next empty one. */
static bool rebuild(struct ty_dedup *dedup, struct ty_dedup_table *table)
{
    struct ty_dedup_table next = {.capacity = TY_MAX(table->capacity, dedup->first_capacity)};

    next.used = save_places(dedup, table);
    if (next.used == UINT32_MAX)
        return false;
    if ((uint64_t)next.used * 100 > (uint64_t)next.capacity * CROWDED)
        next.capacity *= 2;
    next.places = take_memory(dedup, table, next.capacity);
    if (next.places == NULL)
        return false;
    for (uint32_t n = 0; n < next.used; n++) {
        uint32_t i = dedup->scratch[n].tag & (next.capacity - 1);

        while (next.places[i].position != 0)
            i = (i + 1) & (next.capacity - 1);
        next.places[i] = dedup->scratch[n];
    }
    leave_memory(dedup, table);
    *table = next;
    dedup->missing_place = NULL;
    return true;
}

/* Tables get ids at the same pace, and must not all grow in the same moment. */
static bool is_filled(const struct ty_dedup *dedup, const struct ty_dedup_table *table)
{
    uint64_t index = (uint64_t)(table - dedup->tables);

    return (uint64_t)table->used * 100 >=
           table->capacity * (FILL_MIN + index * FILL_SPAN / TY_DEDUP_PARTS);
}

/* As probe(); right after ty_dedup_find() it is known. */
static struct ty_dedup_place *
probe_again(struct ty_dedup *dedup, const struct ty_dedup_table *table, const struct ty_key *key)
{
    struct ty_dedup_place *place = dedup->missing_place;

    dedup->missing_place = NULL; /* It will be taken. */
    if (place == NULL || ty_key_compare(&dedup->missing, key) != 0)
        return probe(dedup, table, key);
    TY_ASSERT(place->position == 0);
    return place;
}

bool ty_dedup_add(struct ty_dedup *dedup, const struct ty_key *key, uint64_t content)
{
    struct ty_dedup_table *table = (struct ty_dedup_table *)table_of(dedup, key);
    uint64_t position;
    struct ty_dedup_place *place;

    if (is_filled(dedup, table) && !rebuild(dedup, table))
        return false;
    /* Appended first: that may forget the very record which the place is of. */
    position = ty_dedup_log_append(&dedup->log, key, content);
    place = probe_again(dedup, table, key);
    if (place->position == 0)
        table->used++;
    else
        ty_dedup_log_void(&dedup->log, ty_dedup_log_position(&dedup->log, place->position));
    *place = (struct ty_dedup_place){.tag = tag_of(key), .position = (uint32_t)position};
    return true;
}

/* Empties a place and moves up what probing would no longer find (Knuth, TAOCP 3, 6.4, R). */
static void empty_place(struct ty_dedup_table *table, uint32_t hole)
{
    uint32_t mask = table->capacity - 1;

    for (uint32_t i = (hole + 1) & mask; table->places[i].position != 0; i = (i + 1) & mask) {
        uint32_t home = table->places[i].tag & mask;

        /* Movable unless its home lies cyclically within (hole, i]. */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            table->places[hole] = table->places[i];
            hole = i;
        }
    }
    table->places[hole].position = 0;
    table->used--;
}

void ty_dedup_remove(struct ty_dedup *dedup, const struct ty_key *key)
{
    struct ty_dedup_table *table = (struct ty_dedup_table *)table_of(dedup, key);
    struct ty_dedup_place *place = table->capacity == 0 ? NULL : probe(dedup, table, key);

    if (place == NULL || place->position == 0)
        return;
    dedup->missing_place = NULL;
    ty_dedup_log_void(&dedup->log, ty_dedup_log_position(&dedup->log, place->position));
    empty_place(table, (uint32_t)(place - table->places));
}

struct ty_dedup_gauges ty_dedup_gauges(const struct ty_dedup *dedup)
{
    const struct ty_dedup_log *log = &dedup->log;
    struct ty_dedup_gauges gauges = {.entries = log->entries,
                                     .bytes = dedup->table_bytes +
                                              log->used_slots * TY_DEDUP_CHUNK_BYTES,
                                     .window_ms = dedup->window_ms,
                                     .forgotten_early = log->forgotten_early};

    if (log->forgotten_until_ms > dedup->arrival_ms - dedup->window_ms)
        gauges.window_ms = dedup->arrival_ms - log->forgotten_until_ms;
    return gauges;
}
