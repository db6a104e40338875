/*
 * dedup.h: the ids that arrived last, exactly, and what each stood for.
 *
 * Records of (key, content) lie in a log in the order of arrival, so that forgetting the oldest is
 * moving its end. 4,096 small hash tables find a record by its key, with eight bytes an id; each
 * grows on its own and at a fill of its own, so that growing never pauses the writer for more than
 * one small table, and never moves a record. What a table still says of forgotten records is
 * ignored, and gone when the table is rebuilt. About 40 bytes an id in all.
 *
 * All 128 bits of the key are compared (see event.h).
 *
 * The oldest can be collected, sorted by key, to be remembered elsewhere in less memory
 * (shard/id_index.h), and then be forgotten here.
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
 *   window_ms   Positive: ids count for that long after their arrival, at most a second longer
 *               (and as long as their journal value, or the next, went on: ty_dedup_go_on()).
 *   bytes_max   What log and tables may take; when ids outgrow it the oldest are forgotten early.
 *
 * NULL: no memory.
 */
struct ty_dedup *ty_dedup_new(int64_t window_ms, uint64_t bytes_max);
void ty_dedup_free(struct ty_dedup *dedup);

/* ty_dedup_ids_max tells how many ids fit into the memory given. */
uint64_t ty_dedup_ids_max(const struct ty_dedup *dedup);

/* ty_dedup_expect tells, before the first id, how many are to come: tables then begin at a size
 * that fits, instead of growing to it. An estimate is enough. */
void ty_dedup_expect(struct ty_dedup *dedup, uint64_t ids);

/* ty_dedup_advance: the arrival time is now `arrival_ms` (never less than before). Forgets what
 * left the window; later ty_dedup_add() calls arrive at this time, with the journal value
 * `sequence`: the next one, or one that a commit whose ids were removed had before. */
void ty_dedup_advance(struct ty_dedup *dedup, int64_t arrival_ms, uint64_t sequence);

/* ty_dedup_go_on: the same for the journal value that is at it: a value has one time of arrival,
 * that of its last ids. The first ones, and those of values shortly before, are remembered so much
 * longer. */
void ty_dedup_go_on(struct ty_dedup *dedup, int64_t arrival_ms);

/* ty_dedup_prefetch starts loading the memory that a find of the key will touch. */
void ty_dedup_prefetch(const struct ty_dedup *dedup, const struct ty_key *key);

/* ty_dedup_find tells whether the key is remembered. */
enum ty_dedup_answer ty_dedup_find(struct ty_dedup *dedup, const struct ty_key *key,
                                   uint64_t content);

/* ty_dedup_arrived_ms tells when a key arrived that was just found, at the latest: up to a second
 * after it really did, and more where ty_dedup_go_on() says so. */
int64_t ty_dedup_arrived_ms(const struct ty_dedup *dedup, const struct ty_key *key);

/* ty_dedup_add remembers a key, replacing what is known of it. False: no memory, nothing changed.
 */
bool ty_dedup_add(struct ty_dedup *dedup, const struct ty_key *key, uint64_t content);

/* ty_dedup_remove takes back a ty_dedup_add() of a key that was new: its commit failed. */
void ty_dedup_remove(struct ty_dedup *dedup, const struct ty_key *key);

struct ty_dedup_gauges ty_dedup_gauges(const struct ty_dedup *dedup);

/* --- Collecting the oldest. --- */

/* A remembered id on its own. */
struct ty_id {
    struct ty_key key;
    uint64_t content;
    int64_t arrived_ms; /* at the latest: up to a second after it really did */
};

/* A stretch of the oldest ids, from the very oldest on. */
struct ty_dedup_span {
    uint64_t end;      /* position behind the last, for ty_dedup_collect() and ty_dedup_forget() */
    uint64_t count;    /* of its ids, at most */
    uint64_t sequence; /* of the last journal value whose ids are all in it, or older than it */
    int64_t first_ms;  /* when the first and the last of them arrived */
    int64_t last_ms;
};

/* ty_dedup_oldest finds the shortest span that has at least so many ids, or those of at least so
 * many ticks (seconds that have ids, or parts of one with very many), and ends with the ids of a
 * journal value. What arrived last is never in it. False: there is none. A tick takes 32 bytes. */
bool ty_dedup_oldest(const struct ty_dedup *dedup, uint64_t count, uint32_t ticks,
                     struct ty_dedup_span *span);

/* Ids are collected by parts of the keys' range, so that it takes many short steps. Parts ascend:
 * every key of one is below every key of the next. */
#define TY_DEDUP_PARTS 4096

/* ty_dedup_part_max tells how many ids a part may give at most, as of now. */
uint32_t ty_dedup_part_max(const struct ty_dedup *dedup, uint32_t part);

/* ty_dedup_collect copies the ids of a part that are in the span, and still remembered, in the
 * order of their keys. `ids` has room for twice ty_dedup_part_max() and one more, the second half
 * to sort in; returns how many there are. */
uint32_t ty_dedup_collect(const struct ty_dedup *dedup, const struct ty_dedup_span *span,
                          uint32_t part, struct ty_id *ids);

/* ty_dedup_forget forgets the span's ids, the oldest first and at most so many at a time; false
 * when some are left. */
bool ty_dedup_forget(struct ty_dedup *dedup, const struct ty_dedup_span *span, uint64_t most);

#endif
