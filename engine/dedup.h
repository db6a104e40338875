/*
 * dedup.h: the ids that arrived within the dedup window, exactly, and what each stood for.
 *
 * Records of (key, content) lie in a log in the order of arrival, so that forgetting the oldest is
 * moving its end. 4,096 small hash tables find a record by its key, with eight bytes an id; each
 * grows on its own and at a fill of its own, so that growing never pauses the writer for more than
 * one small table, and never moves a record. What a table still says of forgotten records is
 * ignored, and gone when the table is rebuilt. About 40 bytes an id in all.
 *
 * All 128 bits of the key are compared (see event.h).
 *
 * Threads: only the shard's writer; the four numbers of ty_dedup_gauges() it publishes elsewhere.
 */
#ifndef TY_ENGINE_DEDUP_H
#define TY_ENGINE_DEDUP_H

#include "engine/event.h"

enum ty_dedup_answer {
    TY_DEDUP_NEW,
    TY_DEDUP_SAME,    /* known, with the same content */
    TY_DEDUP_CONFLICT /* known, with other content */
};

struct ty_dedup;

struct ty_dedup_gauges {
    uint64_t entries;         /* ids that are remembered */
    uint64_t bytes;           /* memory of log and tables */
    int64_t window_ms;        /* how far back ids are remembered just now */
    uint64_t forgotten_early; /* ids forgotten for lack of memory, since the start */
};

/*
 * ty_dedup_new makes an empty index.
 *
 *   window_ms   Positive: ids count for that long after their arrival, at most a second longer.
 *   bytes_max   What log and tables may take; when ids outgrow it the oldest are forgotten early.
 *
 * NULL: no memory.
 */
struct ty_dedup *ty_dedup_new(int64_t window_ms, uint64_t bytes_max);
void ty_dedup_free(struct ty_dedup *dedup);

/* ty_dedup_expect tells, before the first id, how many are to come: tables then begin at a size
 * that fits, instead of growing to it. An estimate is enough. */
void ty_dedup_expect(struct ty_dedup *dedup, uint64_t ids);

/* ty_dedup_advance: the arrival time is now `arrival_ms` (never less than before). Forgets what
 * left the window; later ty_dedup_add() calls arrive at this time. */
void ty_dedup_advance(struct ty_dedup *dedup, int64_t arrival_ms);

/* ty_dedup_prefetch starts loading the memory that a find of the key will touch. */
void ty_dedup_prefetch(const struct ty_dedup *dedup, const struct ty_key *key);

/* ty_dedup_find tells whether the key is remembered. */
enum ty_dedup_answer ty_dedup_find(const struct ty_dedup *dedup, const struct ty_key *key,
                                   uint64_t content);

/* ty_dedup_add remembers a key, replacing what is known of it. False: no memory, nothing changed.
 */
bool ty_dedup_add(struct ty_dedup *dedup, const struct ty_key *key, uint64_t content);

/* ty_dedup_remove takes back a ty_dedup_add() of a key that was new: its commit failed. */
void ty_dedup_remove(struct ty_dedup *dedup, const struct ty_key *key);

struct ty_dedup_gauges ty_dedup_gauges(const struct ty_dedup *dedup);

#endif
