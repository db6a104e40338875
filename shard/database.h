/*
 * database.h: a database is N shards: a customer lives on one of them, for good.
 *
 * The door for everything that brings events: a sealed batch goes in, its outcomes come out.
 *
 * A customer's id is hashed (XXH3-64, seeded from the secret) to one of TY_PARTITIONS virtual
 * partitions; the database record maps those to shards, so that shards can be split later.
 *
 * Threads: open and close the owner; everything else any thread.
 */
#ifndef TY_SHARD_DATABASE_H
#define TY_SHARD_DATABASE_H

#include "engine/reject.h"
#include "shard/shard.h"

struct ty_database;

/* What tests put in place of the system's clock and disk, and smaller than it is. */
struct ty_database_hooks {
    const struct ty_clock *clock;   /* NULL: the system's */
    const struct ty_faults *faults; /* NULL: none; borrowed while the database is open */
    uint64_t seal_ids;              /* of each shard; 0: TY_SEAL_IDS */
};

/* ty_database_open as tally_open() (tally.h), which calls it. `hooks` are for tests: else NULL. */
tally_status ty_database_open(const tally_options *options, const struct ty_database_hooks *hooks,
                              struct ty_database **database, tally_error *error);
void ty_database_close(struct ty_database *database);

/* A batch in the database's hands. */
struct ty_submission {
    struct ty_batch *batch; /* sealed (ty_batch_seal) with ty_database_secret(); not failed */
    void (*done)(struct ty_submission *submission);
    /* Filled before `done`: TALLY_OK when every event is decided (see batch->outcomes), else why
     * some are TALLY_NOT_STORED, with a sentence (NULL or alive as long as the batch). */
    tally_status status;
    const char *problem;
    /* The database's own. */
    struct ty_part *parts;
    uint32_t part_count;
    _Atomic uint32_t pending;
};

/*
 * ty_database_submit hands a batch over; submission and batch are borrowed until `done` is called,
 * which happens exactly once: on a writer's thread, or on the caller's before this returns (nothing
 * to store, TALLY_NO_MEMORY, TALLY_BUSY: too many events wait).
 */
void ty_database_submit(struct ty_database *database, struct ty_submission *submission);

/* Rejects in the database's hands. */
struct ty_keeping {
    const struct ty_reject *rejects; /* borrowed, with their texts, until `done` */
    size_t count;
    void (*done)(struct ty_keeping *keeping);
    /* Filled before `done`: TALLY_OK when all are kept, durably, or were kept before; else none of
     * them is, and why, with a sentence or NULL. */
    tally_status status;
    const char *problem;
    /* The database's own. */
    struct ty_part part;
};

/*
 * ty_database_keep_rejects stores rejects, in order, on shard 0 (a reject may have no customer).
 * The oldest are dropped, and counted, when all together outgrow options.reject_bytes_max (or an
 * eighth of options.map_bytes, if that is less), and so are those of one call that outgrow it
 * alone, its newest excepted. They wait in the same queue as events, a long one for more than one.
 * `done` is called exactly once, on a writer's thread, or on the caller's before this returns
 * (nothing to keep, TALLY_BUSY). Any thread.
 */
void ty_database_keep_rejects(struct ty_database *database, struct ty_keeping *keeping);

/* Voids of a customer's events in the database's hands. */
struct ty_voiding {
    struct ty_void *voids; /* borrowed, with their texts, until `done` */
    size_t count;
    void (*done)(struct ty_voiding *voiding);
    /* Filled before `done`: TALLY_OK when every void is decided (see its result), else why some are
     * TY_VOID_NOT_STORED, with a sentence or NULL. */
    tally_status status;
    const char *problem;
    /* The database's own. */
    struct ty_part part;
};

/*
 * ty_database_void takes events out of the totals, durably, each once. All are the customer's, and
 * what the journal has under their places; query/void_find.h finds those. They wait in the same
 * queue as events. `done` is called exactly once, on a writer's thread, or on the caller's before
 * this returns (nothing to do, TALLY_BUSY). Any thread.
 */
void ty_database_void(struct ty_database *database, const struct ty_uuid *customer,
                      struct ty_voiding *voiding);

/* A closing of a customer's months in the database's hands. */
struct ty_closing {
    struct ty_close close; /* `customer` and `through` are given */
    void (*done)(struct ty_closing *closing);
    /* Filled before `done`: TALLY_OK when it is decided (see close.result), else why not, with a
     * sentence or NULL. */
    tally_status status;
    const char *problem;
    /* The database's own. */
    struct ty_part part;
};

/*
 * ty_database_close_months closes all months of a customer up to one of them, durably. It waits in
 * the same queue as events: what was answered before counts before. `done` is called exactly once,
 * on a writer's thread, or on the caller's before this returns (TALLY_BUSY). Any thread.
 */
void ty_database_close_months(struct ty_database *database, struct ty_closing *closing);

/* ty_database_take_batch returns an empty batch (NULL: no memory) whose memory is reused from one
 * to the next; give it back when its outcomes have been read, submitted or not. */
struct ty_batch *ty_database_take_batch(struct ty_database *database);
void ty_database_give_batch(struct ty_database *database, struct ty_batch *batch);

const struct ty_secret *ty_database_secret(const struct ty_database *database);
struct ty_clock ty_database_clock(const struct ty_database *database);

/* The shards, for queries and metrics. */
unsigned ty_database_shard_count(const struct ty_database *database);
struct ty_shard *ty_database_shard(const struct ty_database *database, unsigned index);
struct ty_shard *ty_database_shard_of(const struct ty_database *database,
                                      const struct ty_uuid *customer);

/* True once a shard has stopped after a commit with unknown outcome: close and reopen. */
bool ty_database_failed(const struct ty_database *database);

#endif
