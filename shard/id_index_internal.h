/*
 * id_index_internal.h: what the files of the index of ids share. Not for others.
 */
#ifndef TY_SHARD_ID_INDEX_INTERNAL_H
#define TY_SHARD_ID_INDEX_INTERNAL_H

#include "engine/id_map.h"
#include "shard/id_index.h"

struct ty_sealed_run {
    struct ty_id_run_record record;
    uint8_t slot;    /* in the map */
    uint32_t *pages; /* the first 32 bits of each page's first key */
};

/* All that count, the oldest first, and what is stored beside them. */
struct ty_sealed_runs {
    struct ty_sealed_run runs[TY_ID_RUNS_MAX];
    uint32_t count;
    uint64_t sealed_sequence;
    int64_t forgotten_until_ms;
};

/* A pass over the parts of the map, which takes dead slots' ids away; with a run, it brings those
 * in that are being sealed. */
struct ty_map_pass {
    bool active;
    unsigned part;              /* that is rewritten next */
    bool dead[TY_ID_MAP_SLOTS]; /* at its beginning */
};

/* The run that is being sealed. */
struct ty_seal {
    bool active;
    bool finished;   /* in the transaction */
    bool forgetting; /* the run counts; its ids are not needed in memory any more */
    struct ty_dedup_span span;
    struct ty_sealed_run run;
    struct ty_id *ids; /* of a part */
    struct ty_id_map_entry *entries;
    uint32_t capacity; /* of `entries`; `ids` has room for twice as many and one more */
    struct ty_id page[TY_ID_PAGE_IDS];
    uint32_t page_count, pages; /* of ids on it; of pages that are stored */
    uint64_t list[TY_ID_LIST_IDS];
    uint32_t list_count, lists;
};

struct ty_id_index {
    struct ty_id_index_options options;
    struct ty_puts *puts; /* of the work being done; NULL: into the transaction */
    struct ty_store *store;
    struct ty_dedup *newest;
    int64_t arrival_ms;
    struct ty_sealed_runs current;        /* as it is stored */
    struct ty_sealed_runs next;           /* as the transaction will leave it */
    bool working;                         /* a transaction has a slice */
    bool recorded;                        /* there is a record */
    bool recording;                       /* in the transaction */
    struct ty_id_map map;                 /* of current runs, and of slots that do not count */
    uint8_t run_of_slot[TY_ID_MAP_SLOTS]; /* in `current`; TY_ID_RUNS_MAX: none */
    bool dead[TY_ID_MAP_SLOTS];           /* the map has ids of it, and it has no run any more */
    uint64_t dead_ids;                    /* about how many */
    struct ty_map_pass pass;
    struct ty_seal seal;
    uint32_t next_run; /* number of the next run */
    bool sweeping;     /* there may be leftovers on disk */
    bool swept;        /* there are none from before the start */
    uint32_t sweep_from;
    uint64_t forgotten_early, seals;
};

/* Whether an id that arrived then is in the window. */
static inline bool ty_is_remembered(const struct ty_id_index *index, int64_t arrived_ms)
{
    return arrived_ms >= index->arrival_ms - index->options.window_ms;
}

/* id_seal.c: a slice of the sealing that is due, about so many ids. *done counts what was stored.
 */
tally_status ty_id_seal_step(struct ty_id_index *index, uint64_t ids, uint64_t *done,
                             tally_error *error);
/* Gives up; what was stored is left over. */
void ty_id_seal_abort(struct ty_id_index *index);
void ty_id_seal_fini(struct ty_id_index *index);

/* id_load.c: reads the lists of all current runs into the map. */
tally_status ty_id_load(struct ty_id_index *index, tally_error *error);

/* id_index.c. How many more ids may be in runs. */
uint64_t ty_id_index_room(const struct ty_id_index *index);
/* The oldest run goes, in `next`. */
void ty_id_index_drop_oldest(struct ty_id_index *index);
/* A run counts no more, or never will: frees what it has in memory; the map still has its ids, and
 * the disk its values. */
void ty_id_index_let_go(struct ty_id_index *index, const struct ty_sealed_run *run);
uint64_t ty_sealed_ids(const struct ty_sealed_runs *all);

/* id_slots.c. After `current` has changed. */
void ty_id_index_map_slots(struct ty_id_index *index);
/* A slot that is in no use; false: there is none. */
bool ty_id_index_free_slot(const struct ty_id_index *index, uint8_t *slot);
/* Begins and ends a pass. Slots that were dead when it began are free when it ends. */
void ty_map_pass_begin(struct ty_id_index *index);
void ty_map_pass_end(struct ty_id_index *index);
/* A pass without a run, where the next one with a run may be far, or cannot begin: a slice of it,
 * over about so many ids. It changes nothing that is stored. */
void ty_id_index_purge_map(struct ty_id_index *index, uint64_t ids);

#endif
