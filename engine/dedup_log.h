/*
 * dedup_log.h: the records of remembered ids in the order of arrival, and when they arrived.
 *
 * A log of fixed size that is full at some point: the oldest record then makes room. Positions
 * count records from the start of the process; time is kept by ticks, stretches of about a second
 * at most and of a bounded number of records. A tick ends with the records of a journal value.
 *
 * Threads: one owner.
 */
#ifndef TY_ENGINE_DEDUP_LOG_H
#define TY_ENGINE_DEDUP_LOG_H

#include "engine/event.h"

#define TY_DEDUP_CHUNK_RECORDS UINT64_C(2048)
#define TY_DEDUP_CHUNK_BYTES   (TY_DEDUP_CHUNK_RECORDS * sizeof(struct ty_dedup_record))

/* A key of zeros marks a record that was taken back or replaced. */
struct ty_dedup_record {
    struct ty_key key;
    uint64_t content;
};

struct ty_dedup_tick {
    int64_t first_ms;
    int64_t last_ms;
    uint64_t first;    /* position of its first record */
    uint64_t sequence; /* of the journal value that its first record came with */
};

struct ty_dedup_log {
    uint64_t records_max;
    uint64_t tick_records;      /* after which a new tick begins */
    uint64_t oldest, head;      /* records `oldest` to `head` - 1 are remembered */
    uint64_t entries;           /* those of them that are not void */
    int64_t forgotten_until_ms; /* what arrived up to here was forgotten early; or INT64_MIN */
    uint64_t forgotten_early;
    /* Records lie in chunks of a mapping that is used from its beginning; chunk_slots maps a
     * chunk's number (a ring) to where it lies. */
    char *memory;
    size_t bytes;
    uint32_t *chunk_slots;
    uint32_t *free_slots; /* a stack */
    uint32_t chunk_mask, free_count, used_slots;
    struct ty_dedup_tick *ticks; /* a ring: tick number n lies at n & (tick_capacity - 1) */
    uint32_t tick_capacity;
    uint32_t oldest_tick, newest_tick;
};

/* False: no memory; ty_dedup_log_fini() is fine then, too. */
bool ty_dedup_log_init(struct ty_dedup_log *log, uint64_t records_max);
void ty_dedup_log_fini(struct ty_dedup_log *log);

/* The time is now `arrival_ms`: records that arrived more than window_ms before are forgotten (a
 * second later at most), and later ones arrive at this time, with the journal value `sequence`. */
void ty_dedup_log_advance(struct ty_dedup_log *log, int64_t arrival_ms, int64_t window_ms,
                          uint64_t sequence);

/* The last value goes on: with it, its records arrive at this time, those that are there too. */
void ty_dedup_log_go_on(struct ty_dedup_log *log, int64_t arrival_ms, int64_t window_ms);

/* Forgets the oldest records before a position, at most so many. */
void ty_dedup_log_forget(struct ty_dedup_log *log, uint64_t end, uint64_t most);

/* The oldest whole ticks, never the newest, that hold at least so many records or are so many
 * themselves: returns the tick that follows them, or NULL if there are not so many. */
const struct ty_dedup_tick *ty_dedup_log_behind(const struct ty_dedup_log *log, uint64_t records,
                                                uint32_t ticks);

/* When the record of a remembered position arrived, at the latest. */
int64_t ty_dedup_log_arrived_ms(const struct ty_dedup_log *log, uint64_t position);

/* Appends a record that counts and returns its position. A full log forgets its oldest. */
uint64_t ty_dedup_log_append(struct ty_dedup_log *log, const struct ty_key *key, uint64_t content);

/* Makes a record void: it no longer counts, but keeps its place, unless nothing behind it counts:
 * commits that fail again and again must not push out what is remembered. */
void ty_dedup_log_void(struct ty_dedup_log *log, uint64_t position);

/* Whether a record was taken back or replaced. */
static inline bool ty_dedup_is_void(const struct ty_dedup_record *record)
{
    return record->key.high == 0 && record->key.low == 0;
}

/* The record of a remembered position. */
static inline struct ty_dedup_record *ty_dedup_log_at(const struct ty_dedup_log *log,
                                                      uint64_t position)
{
    uint32_t slot = log->chunk_slots[position / TY_DEDUP_CHUNK_RECORDS & log->chunk_mask];

    return (struct ty_dedup_record *)(void *)(log->memory + slot * TY_DEDUP_CHUNK_BYTES) +
           position % TY_DEDUP_CHUNK_RECORDS;
}

/* The full position of one that was cut to 32 bits, or 0 when its record is forgotten. One that is
 * kept for 2^32 records too long may seem remembered; the record then has another key. */
static inline uint64_t ty_dedup_log_position(const struct ty_dedup_log *log, uint32_t cut)
{
    uint32_t distance = (uint32_t)log->head - cut;

    return distance != 0 && distance <= log->head - log->oldest ? log->head - distance : 0;
}

#endif
