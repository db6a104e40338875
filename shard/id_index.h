/*
 * id_index.h: the ids of the dedup window, exactly: the newest in memory, the others in sealed
 * runs.
 *
 * The newest few million lie in engine/dedup.h, at 40 bytes each; they are rebuilt from the journal
 * at a start. When there are enough, the oldest of them are sealed: they become a run, sorted by
 * key, on disk (storage/id_runs.h). A map of 3.5 bytes an id tells which run may have a key
 * (engine/id_map.h), and only that run's page is then looked at. Runs go when all their ids have
 * left the window, and each id counts only as long as it is in the window itself.
 *
 * Sealing and deleting are done in slices of ordinary commits: ty_id_index_work() in the
 * transaction, then ty_id_index_committed() or ty_id_index_reverted(). A lack of memory for it is
 * no error: the work is given up and begun again later.
 *
 * Threads: only the shard's writer.
 */
#ifndef TY_SHARD_ID_INDEX_H
#define TY_SHARD_ID_INDEX_H

#include "engine/dedup.h"
#include "storage/id_runs.h"

/* How many ids are sealed at a time; more when there is memory for very many. */
#define TY_SEAL_IDS (UINT64_C(1) << 21)

struct ty_id_index_options {
    int64_t window_ms;  /* positive */
    uint64_t bytes_max; /* memory: half for the newest, the rest for the map */
    uint64_t seal_ids;  /* smaller runs for tests; 0: TY_SEAL_IDS */
};

struct ty_id_gauges {
    uint64_t entries; /* ids that are remembered; in runs also some that just left the window */
    uint64_t bytes;   /* of memory */
    int64_t window_ms;
    uint64_t forgotten_early; /* for lack of memory, since the start */
    uint64_t runs;
    uint64_t seals; /* since the start */
};

struct ty_id_index;

/* ty_id_index_new makes an empty index. The store is borrowed. NULL: no memory. */
struct ty_id_index *ty_id_index_new(const struct ty_id_index_options *options,
                                    struct ty_store *store);
void ty_id_index_free(struct ty_id_index *index);

/* ty_id_index_load takes up the stored runs, within a transaction: TALLY_OK, TALLY_CORRUPT,
 * TALLY_NEWER, TALLY_NO_MEMORY, TALLY_IO. The ids of journal values behind
 * ty_id_index_sealed_sequence() are then to be added. */
tally_status ty_id_index_load(struct ty_id_index *index, tally_error *error);
uint64_t ty_id_index_sealed_sequence(const struct ty_id_index *index);

/* As ty_dedup_expect(), ty_dedup_advance(), ty_dedup_go_on(), ty_dedup_add() and
 * ty_dedup_remove(). */
void ty_id_index_expect(struct ty_id_index *index, uint64_t ids);
void ty_id_index_advance(struct ty_id_index *index, int64_t arrival_ms, uint64_t sequence);
void ty_id_index_go_on(struct ty_id_index *index, int64_t arrival_ms);
bool ty_id_index_add(struct ty_id_index *index, const struct ty_key *key, uint64_t content);
void ty_id_index_remove(struct ty_id_index *index, const struct ty_key *key);

/* Two steps ahead of a find, each some time before the next: they start loading memory. */
void ty_id_index_prefetch(const struct ty_id_index *index, const struct ty_key *key);
void ty_id_index_prefetch_near(const struct ty_id_index *index, const struct ty_key *key);

/* ty_id_index_find tells whether an id is remembered, within a transaction. TALLY_OK; TALLY_CORRUPT
 * or TALLY_IO when that cannot be told, since what is stored is damaged. */
tally_status ty_id_index_find(const struct ty_id_index *index, const struct ty_key *key,
                              uint64_t content, enum ty_dedup_answer *answer, tally_error *error);

/*
 * ty_id_index_work does a slice of what is due, within a transaction: `accepted` ids were added
 * since the last slice, and it keeps up with them. Without `may_seal`, for lack of
 * space, it only deletes. *done is 0 when nothing was due.
 * With `puts`, what is to be stored is put there, no transaction is needed, and nothing is deleted:
 * what there is to delete (ty_id_index_must_sweep) waits.
 * TALLY_OK; otherwise the transaction must be aborted: TALLY_FULL, TALLY_NO_MEMORY, TALLY_IO.
 * Then one of the two others, for each commit with such work.
 */
tally_status ty_id_index_work(struct ty_id_index *index, uint64_t accepted, bool may_seal,
                              struct ty_puts *puts, uint64_t *done, tally_error *error);
bool ty_id_index_must_sweep(const struct ty_id_index *index);
/* Whether more work may be done before the last commit with such work is durable: it stored no more
 * than a slice of a run. If it fails, so must those after it. */
bool ty_id_index_is_settled(const struct ty_id_index *index);
void ty_id_index_committed(struct ty_id_index *index);
void ty_id_index_reverted(struct ty_id_index *index);

struct ty_id_gauges ty_id_index_gauges(const struct ty_id_index *index);

#endif
