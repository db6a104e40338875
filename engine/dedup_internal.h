/*
 * dedup_internal.h: what the files of the ids that arrived last share. Not for others.
 */
#ifndef TY_ENGINE_DEDUP_INTERNAL_H
#define TY_ENGINE_DEDUP_INTERNAL_H

#include "engine/dedup.h"
#include "engine/dedup_log.h"

#define TY_DEDUP_PART_BITS 12 /* of a key; TY_DEDUP_PARTS tables */
#define TY_DEDUP_CLASSES   24 /* capacities of a table: 16, 32, ... 2^27 */

/* Where a record is: its position in the log, cut to 32 bits, and 32 bits of its key. Positions
 * start at 1; position 0 marks an empty place. */
struct ty_dedup_place {
    uint32_t tag;
    uint32_t position;
};

/* Open addressing with linear probing; capacity is a power of two. */
struct ty_dedup_table {
    struct ty_dedup_place *places;
    uint32_t capacity;
    uint32_t used; /* places that are not empty, those of forgotten records included */
};

/*
 * The memory of all tables of one capacity: table i lies at place i. There is no allocator, and
 * the kernel can back it with huge pages: touching small pages for the first time would cost more
 * than filling them. When the last table has moved on, the memory goes back to the kernel.
 */
struct ty_dedup_class {
    char *memory; /* mapped when first used */
    uint32_t tables;
};

struct ty_dedup {
    int64_t window_ms;
    int64_t arrival_ms;
    struct ty_dedup_log log;
    uint32_t first_capacity; /* of a table */
    struct ty_dedup_class classes[TY_DEDUP_CLASSES];
    uint64_t table_bytes;
    struct ty_dedup_place *scratch; /* room for the places of one table while it is rebuilt */
    uint32_t scratch_capacity;
    /* What was looked for last, and not found, is mostly added next: where its probing ended. */
    struct ty_key missing;
    struct ty_dedup_place *missing_place; /* NULL: tables have changed since */
    struct ty_dedup_table tables[TY_DEDUP_PARTS];
};

#endif
