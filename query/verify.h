/*
 * verify.h: whether everything that a shard stores is what was stored, and fits together.
 *
 * Reads the whole file, once: every value against its checksum and its key; the records against the
 * trees; series both ways; the journal's sequences and clocks, and that no id counts twice; its
 * voids against the marks of events, both ways; days against their slots, months against their
 * days, both against the journal as far back as it reaches; sealed ids against their record and the
 * journal; rejects against their record; closings against the series, revisions against closings,
 * against each other and against the months. What each check does is said where it is (verify.c).
 *
 * Threads: one owner. Nothing else may have the directory open (shard/directory_lock.h). LMDB has
 * no checksums for its own pages: damage in those may end the process by a signal. Who needs to
 * outlive that runs this in a child.
 */
#ifndef TY_QUERY_VERIFY_H
#define TY_QUERY_VERIFY_H

#include "storage/store.h"

/* Something that is wrong. */
struct ty_verify_problem {
    char check[16];  /* which check found it: "records", "series", "journal", "blocks", "rejects",
                        "reject_ids", "closings", "revisions", "ids", "voids" */
    char text[320];  /* what, where: a sentence without its full stop */
    bool has_series; /* it concerns one series: */
    struct ty_uuid customer;
    struct ty_uuid workflow;
    char period[16]; /* "2023-01-31", "2023-01"; "" when it concerns no one period */
};

/* What was looked at. */
struct ty_verify_counts {
    uint64_t problems;
    uint64_t series;
    uint64_t values; /* of the journal */
    uint64_t events; /* in them */
    uint64_t voids;  /* in them */
    uint64_t days;
    uint64_t months;
    uint64_t rejects;
    uint64_t closings; /* customers with closed months */
    uint64_t revisions;
    uint64_t exact;      /* days whose every event the journal still has: compared exactly */
    uint64_t partial;    /* days of which it has some: not less than those */
    uint64_t uncompared; /* days left out for lack of memory */
    uint64_t uncompared_revisions; /* likewise */
    uint64_t id_runs;              /* sealed runs of remembered ids */
    uint64_t sealed_ids;           /* in them */
    uint64_t uncompared_ids; /* ids of the journal that were not looked for in runs, likewise */
    uint64_t id_leftovers;   /* values of runs that do not count: the server deletes them */
    uint64_t repeated_ids;   /* that count again, and may have been forgotten before: no problem */
    uint64_t stale_reject_ids; /* entries of the index of rejects that lead to none: harmless */
    int64_t id_window_ms;      /* how far back repeated ids were looked for */
};

struct ty_verify_options {
    unsigned shard;          /* which one the directory should be */
    int64_t dedup_window_ms; /* ids that arrive again within this time are a problem; 0: none are */
    uint64_t memory_bytes;   /* for days and for ids; what does not fit is compared less */
    void *context;
    void (*report)(void *context, const struct ty_verify_problem *problem);
    /* `done` of about `total` bytes; `check` is what is being done. */
    void (*progress)(void *context, const char *check, uint64_t done, uint64_t total,
                     uint64_t events);
};

/*
 * ty_verify_shard checks a shard's directory ("/var/lib/tally/shard-000"), which it only reads.
 * *database is what the shard says of the database (zeros if it cannot tell).
 *
 * TALLY_OK: everything could be looked at; counts->problems says whether all is well. Anything
 * else: the rest could not be looked at, and why is in *error: TALLY_CORRUPT, TALLY_IO,
 * TALLY_NO_MEMORY, TALLY_INVALID (an older version wrote it), TALLY_NEWER (a newer one: that says
 * nothing of what is stored).
 */
tally_status ty_verify_shard(const char *path, const struct ty_verify_options *options,
                             struct ty_database_record *database, struct ty_verify_counts *counts,
                             tally_error *error);

#endif
