#include "engine/dedup.h"

#include "engine/dedup_log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define TABLE_BITS   12
#define TABLES       TY_DEDUP_PARTS
#define CAPACITY_MIN ((uint32_t)16)
#define CLASSES      24 /* capacities of a table: 16, 32, ... 2^27 */
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

/* Where a record is: its position in the log, cut to 32 bits, and 32 bits of its key. Positions
 * start at 1; position 0 marks an empty place. */
struct place {
    uint32_t tag;
    uint32_t position;
};

/* Open addressing with linear probing; capacity is a power of two. */
struct table {
    struct place *places;
    uint32_t capacity;
    uint32_t used; /* places that are not empty, those of forgotten records included */
};

/*
 * The memory of all tables of one capacity: table i lies at place i. There is no allocator, and
 * the kernel can back it with huge pages: touching small pages for the first time would cost more
 * than filling them. When the last table has moved on, the memory goes back to the kernel.
 */
struct class
{
    char *memory; /* mapped when first used */
    uint32_t tables;
};

struct ty_dedup {
    int64_t window_ms;
    int64_t arrival_ms;
    struct ty_dedup_log log;
    uint32_t first_capacity; /* of a table */
    struct class classes[CLASSES];
    uint64_t table_bytes;
    struct place *scratch; /* room for the places of one table while it is rebuilt */
    uint32_t scratch_capacity;
    /* What was looked for last, and not found, is mostly added next: where its probing ended. */
    struct ty_key missing;
    struct place *missing_place; /* NULL: tables have changed since */
    struct table tables[TABLES];
};

/* --- Life --- */

static size_t class_bytes(unsigned class)
{
    return ((size_t)CAPACITY_MIN << class) * sizeof(struct place) * TABLES;
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
    for (unsigned class = 0; class < CLASSES; class ++)
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
    while ((uint64_t)dedup->first_capacity * TABLES * CROWDED / 100 < ids)
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

static const struct table *table_of(const struct ty_dedup *dedup, const struct ty_key *key)
{
    return &dedup->tables[key->high >> (64 - TABLE_BITS)];
}

static uint32_t tag_of(const struct ty_key *key)
{
    return (uint32_t)key->low;
}

/* Whether a place is that of the key; of a forgotten record it never is. */
static bool is_place_of(const struct ty_dedup *dedup, const struct place *place,
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
static struct place *probe(const struct ty_dedup *dedup, const struct table *table,
                           const struct ty_key *key)
{
    uint32_t mask = table->capacity - 1;
    uint32_t i = tag_of(key) & mask;

    while (table->places[i].position != 0 && !is_place_of(dedup, &table->places[i], key))
        i = (i + 1) & mask;
    return &table->places[i];
}

void ty_dedup_prefetch(const struct ty_dedup *dedup, const struct ty_key *key)
{
    const struct table *table = table_of(dedup, key);

    if (table->capacity == 0)
        return;
    ty_prefetch(&table->places[tag_of(key) & (table->capacity - 1)]);
    /* Probing may go on into the next line; mostly this is the same one. */
    ty_prefetch(&table->places[(tag_of(key) + 3) & (table->capacity - 1)]);
}

enum ty_dedup_answer ty_dedup_find(struct ty_dedup *dedup, const struct ty_key *key,
                                   uint64_t content)
{
    const struct table *table = table_of(dedup, key);
    struct place *place;

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

static unsigned class_of(uint32_t capacity)
{
    unsigned class = 0;

    while (CAPACITY_MIN << class < capacity)
        class ++;
    return class;
}

/* The memory of a table at a capacity, cleared; NULL when memory is out. */
static struct place *take_memory(struct ty_dedup *dedup, const struct table *table,
                                 uint32_t capacity)
{
    size_t bytes = capacity * sizeof(struct place);
    struct class *class = &dedup->classes[class_of(capacity)];

    if (class_of(capacity) >= CLASSES)
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

static void leave_memory(struct ty_dedup *dedup, const struct table *table)
{
    struct class *class = &dedup->classes[class_of(table->capacity)];

    if (table->capacity == 0)
        return;
    dedup->table_bytes -= table->capacity * sizeof(struct place);
    if (--class->tables != 0)
        return;
    munmap(class->memory, class_bytes(class_of(table->capacity)));
    class->memory = NULL;
}

/* Copies the places that count into the scratch memory; how many, or UINT32_MAX: no memory. */
static uint32_t save_places(struct ty_dedup *dedup, const struct table *table)
{
    uint32_t count = 0;

    if (dedup->scratch_capacity < table->capacity) {
        struct place *larger = realloc(dedup->scratch, table->capacity * sizeof(*larger));

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
static bool rebuild(struct ty_dedup *dedup, struct table *table)
{
    struct table next = {.capacity = TY_MAX(table->capacity, dedup->first_capacity)};

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
static bool is_filled(const struct ty_dedup *dedup, const struct table *table)
{
    uint64_t index = (uint64_t)(table - dedup->tables);

    return (uint64_t)table->used * 100 >= table->capacity * (FILL_MIN + index * FILL_SPAN / TABLES);
}

/* As probe(); right after ty_dedup_find() it is known. */
static struct place *probe_again(struct ty_dedup *dedup, const struct table *table,
                                 const struct ty_key *key)
{
    struct place *place = dedup->missing_place;

    dedup->missing_place = NULL; /* It will be taken. */
    if (place == NULL || ty_key_compare(&dedup->missing, key) != 0)
        return probe(dedup, table, key);
    TY_ASSERT(place->position == 0);
    return place;
}

bool ty_dedup_add(struct ty_dedup *dedup, const struct ty_key *key, uint64_t content)
{
    struct table *table = (struct table *)table_of(dedup, key);
    uint64_t position;
    struct place *place;

    if (is_filled(dedup, table) && !rebuild(dedup, table))
        return false;
    /* Appended first: that may forget the very record which the place is of. */
    position = ty_dedup_log_append(&dedup->log, key, content);
    place = probe_again(dedup, table, key);
    if (place->position == 0)
        table->used++;
    else
        ty_dedup_log_void(&dedup->log, ty_dedup_log_position(&dedup->log, place->position));
    *place = (struct place){.tag = tag_of(key), .position = (uint32_t)position};
    return true;
}

/* Empties a place and moves up what probing would no longer find (Knuth, TAOCP 3, 6.4, R). */
static void empty_place(struct table *table, uint32_t hole)
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
    struct table *table = (struct table *)table_of(dedup, key);
    struct place *place = table->capacity == 0 ? NULL : probe(dedup, table, key);

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

/* --- Collecting the oldest --- */

bool ty_dedup_oldest(const struct ty_dedup *dedup, uint64_t count, uint32_t ticks,
                     struct ty_dedup_span *span)
{
    const struct ty_dedup_log *log = &dedup->log;
    const struct ty_dedup_tick *behind = ty_dedup_log_behind(log, count, ticks);

    if (behind == NULL || behind->first == log->oldest)
        return false;
    *span = (struct ty_dedup_span){.end = behind->first,
                                   .count = behind->first - log->oldest,
                                   .sequence = behind->sequence - 1,
                                   .first_ms = ty_dedup_log_arrived_ms(log, log->oldest),
                                   .last_ms = ty_dedup_log_arrived_ms(log, behind->first - 1)};
    return true;
}

uint32_t ty_dedup_part_max(const struct ty_dedup *dedup, uint32_t part)
{
    return dedup->tables[part].used;
}

/* The positions of the span's records in a table, as contents for the moment. Without a branch,
 * which would be mispredicted half of the time: hence one more place is written than counts. */
static uint32_t gather(const struct ty_dedup *dedup, const struct ty_dedup_span *span,
                       const struct table *table, struct ty_id *ids)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < table->capacity; i++) {
        uint32_t cut = table->places[i].position;
        uint64_t position = ty_dedup_log_position(&dedup->log, cut);

        ids[count].content = position;
        count += (cut != 0) & (position != 0) & (position < span->end);
    }
    return count;
}

/* Records are fetched so many ahead of their turn. */
#define RECORDS_AHEAD 24

static void fetch_record(const struct ty_dedup_log *log, uint64_t position)
{
    const char *record = (const char *)ty_dedup_log_at(log, position);

    ty_prefetch(record);
    /* One of four lies across two lines. */
    ty_prefetch(record + sizeof(struct ty_dedup_record) - 1);
}

static void read_records(const struct ty_dedup_log *log, struct ty_id *ids, uint32_t count)
{
    for (uint32_t i = 0; i < TY_MIN(count, RECORDS_AHEAD); i++)
        fetch_record(log, ids[i].content);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t position = ids[i].content;
        const struct ty_dedup_record *record = ty_dedup_log_at(log, position);

        if (i + RECORDS_AHEAD < count)
            fetch_record(log, ids[i + RECORDS_AHEAD].content);
        ids[i] = (struct ty_id){.key = record->key,
                                .content = record->content,
                                .arrived_ms = ty_dedup_log_arrived_ms(log, position)};
    }
}

/* Keys are as good as random: the eight bits behind those that chose the table spread them evenly.
 */
static unsigned spread_of(const struct ty_id *id)
{
    return id->key.high >> (64 - TABLE_BITS - 8) & 255;
}

/* Nearly in order, by their spread. */
static void copy_spread(const struct ty_id *from, uint32_t count, struct ty_id *to)
{
    uint32_t next[256] = {0}, first = 0;

    for (uint32_t i = 0; i < count; i++)
        next[spread_of(&from[i])]++;
    for (unsigned spread = 0; spread < 256; spread++) {
        first += next[spread];
        next[spread] = first - next[spread];
    }
    for (uint32_t i = 0; i < count; i++)
        to[next[spread_of(&from[i])]++] = from[i];
}

static void sort_by_insertion(struct ty_id *ids, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct ty_id id = ids[i];
        uint32_t at = i;

        for (; at > 0 && ty_key_compare(&ids[at - 1].key, &id.key) > 0; at--)
            ids[at] = ids[at - 1];
        ids[at] = id;
    }
}

uint32_t ty_dedup_collect(const struct ty_dedup *dedup, const struct ty_dedup_span *span,
                          uint32_t part, struct ty_id *ids)
{
    const struct table *table = &dedup->tables[part];
    struct ty_id *unsorted = ids + table->used;
    uint32_t count = gather(dedup, span, table, unsorted);

    read_records(&dedup->log, unsorted, count);
    copy_spread(unsorted, count, ids);
    sort_by_insertion(ids, count);
    return count;
}

bool ty_dedup_forget(struct ty_dedup *dedup, const struct ty_dedup_span *span, uint64_t most)
{
    ty_dedup_log_forget(&dedup->log, span->end, most);
    return dedup->log.oldest >= span->end;
}
