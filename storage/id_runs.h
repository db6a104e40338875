/*
 * id_runs.h: sealed runs: ids that arrived longer ago, sorted by key, on disk.
 *
 * A run is pages of ids in ascending order, and lists of the first bits of their keys: what a start
 * needs to know of them, in a seventh of the bytes. The record `id_runs` says which runs count; one
 * that it does not name is unfinished, or has left the window, and its values are leftovers to be
 * deleted. So a run is written in as many transactions as it takes, and counts from the one on that
 * names it.
 *
 * Threads: the writer; all within a transaction. Each returns TALLY_OK, TALLY_FULL,
 * TALLY_NO_MEMORY, TALLY_CORRUPT, TALLY_NEWER or TALLY_IO.
 */
#ifndef TY_STORAGE_ID_RUNS_H
#define TY_STORAGE_ID_RUNS_H

#include "storage/id_page_codec.h"
#include "storage/puts.h"

#define TY_ID_RUNS_MAX 255
#define TY_ID_RUN_NONE UINT32_MAX

struct ty_id_run_record {
    uint32_t run;     /* its number, in keys; never used again while values of it are left */
    uint32_t count;   /* of ids */
    int64_t first_ms; /* no id arrived before, or after */
    int64_t last_ms;
};

/* What there is of remembered ids beside the journal. */
struct ty_id_runs_record {
    uint64_t sealed_sequence;   /* the runs have the ids of the journal up to here, those forgotten
                                   excepted */
    int64_t forgotten_until_ms; /* what arrived up to here may be forgotten; INT64_MIN: nothing */
    uint32_t count;
    struct ty_id_run_record runs[TY_ID_RUNS_MAX]; /* the oldest first */
};

tally_status ty_store_put_id_runs(struct ty_store *store, struct ty_puts *puts,
                                  const struct ty_id_runs_record *record, tally_error *error);
/* Without one: no runs, sealed_sequence 0. *found tells. */
tally_status ty_store_get_id_runs(struct ty_store *store, struct ty_id_runs_record *record,
                                  bool *found, tally_error *error);

/* The record out of its bytes, for those who read it outside of a transaction; the checksum is not
 * looked at. False: it is no such record. */
bool ty_id_runs_decode(const void *value, size_t length, struct ty_id_runs_record *record);

/* ty_id_run_pages and ty_id_run_lists tell how many pages and lists a run has: all are full but for
 * the last. */
uint32_t ty_id_run_pages(const struct ty_id_run_record *run);
uint32_t ty_id_run_lists(const struct ty_id_run_record *run);

/* Only run and first_ms of the record are used to write and read pages and lists. */
tally_status ty_store_put_id_page(struct ty_store *store, struct ty_puts *puts,
                                  const struct ty_id_run_record *run, uint32_t page,
                                  const struct ty_id *ids, uint32_t count, tally_error *error);
/* Looks for an id on a page. */
tally_status ty_store_find_id(struct ty_store *store, const struct ty_id_run_record *run,
                              uint32_t page, const struct ty_key *key, bool *found,
                              struct ty_id *id, tally_error *error);

tally_status ty_store_put_id_list(struct ty_store *store, struct ty_puts *puts,
                                  const struct ty_id_run_record *run, uint32_t list,
                                  const uint64_t *prefixes, uint32_t count, tally_error *error);
tally_status ty_store_get_id_list(struct ty_store *store, const struct ty_id_run_record *run,
                                  uint32_t list, uint64_t prefixes[TY_ID_LIST_IDS], uint32_t *count,
                                  tally_error *error);

/* The first run from a number on of which there are values, or TY_ID_RUN_NONE. */
tally_status ty_store_next_id_run(struct ty_store *store, uint32_t from, uint32_t *run,
                                  tally_error *error);
/* Deletes values of a run, at most so many; *deleted tells how many. */
tally_status ty_store_delete_id_run(struct ty_store *store, uint32_t run, uint32_t most,
                                    uint32_t *deleted, tally_error *error);

#endif
