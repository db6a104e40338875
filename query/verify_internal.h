/*
 * verify_internal.h: what the files of `tally verify` share. Not for others.
 *
 * Threads: one owner.
 */
#ifndef TY_QUERY_VERIFY_INTERNAL_H
#define TY_QUERY_VERIFY_INTERNAL_H

#include "engine/dedup.h"
#include "engine/period.h"
#include "engine/series.h"
#include "engine/timestamp.h"
#include "query/verify.h"
#include "query/verify_days.h"
#include "query/verify_sought.h"
#include "storage/audit.h"
#include "storage/id_runs.h"

#define TY_VERIFY_MONTHS_MAX 4096 /* of one series with days: 300 years */

/* The months of the series whose blocks are being read, summed from its days. */
struct ty_verify_month {
    int32_t month;
    uint64_t stamp; /* the latest of its days */
    struct ty_total total;
};

/* What each closed month of a series came to, revision by revision (verify_closings.c). */
struct ty_verify_chains {
    struct ty_verify_chain *table; /* open addressing; a power of two of places */
    size_t capacity;
    size_t count;
};

/* The run of remembered ids whose values are being read. */
struct ty_verify_run {
    const struct ty_id_run_record *record; /* NULL: none */
    uint32_t next_list, next_page;
    uint64_t last_prefix; /* of the lists that were read */
    struct ty_key last;   /* of the pages that were read, if `has_last` */
    bool has_last;
    uint32_t list, list_count; /* the list that pages are compared with; 0: none */
    uint64_t prefixes[TY_ID_LIST_IDS];
};

/* What is told must be wrong: remembering by ticks and in runs rounds arrivals up by so much. */
#define TY_VERIFY_ROUNDED_MS 1000

struct ty_verifier {
    const struct ty_verify_options *options;
    struct ty_verify_counts *counts;
    struct ty_store *store;
    const char *check;
    uint64_t done, total;
    struct ty_state_record state;
    struct ty_rejects_record rejects;
    struct ty_id_runs_record runs;
    const struct ty_database_record *database;
    bool has_state, has_rejects, has_database, has_runs;
    /* series */
    struct ty_series_table series;
    bool series_damaged;
    /* journal */
    struct ty_verify_days days;
    struct ty_dedup *dedup;
    uint64_t first_value, next_value, journal_bytes;
    int64_t arrival_ms;
    bool journal_damaged; /* or with records that this program cannot sum */
    uint64_t void_count;  /* of events that the journal still has */
    uint64_t marks;       /* of events as void */
    /* remembered ids */
    struct ty_verify_sought_ids sought;
    int64_t sought_base;   /* their seconds count from here */
    int64_t runs_until_ms; /* the last arrival in a run */
    struct ty_verify_run run;
    bool run_seen[TY_ID_RUNS_MAX]; /* of `runs`: it has values */
    bool ids_damaged;
    /* blocks */
    uint32_t block_series;
    struct ty_verify_month months[TY_VERIFY_MONTHS_MAX];
    size_t month_count, next_month;
    bool months_unsure;
    /* rejects */
    uint64_t reject_count, reject_bytes;
    /* closings and revisions */
    struct ty_closings closings; /* the customers that have one */
    struct ty_verify_chains chains;
    bool closings_damaged, revisions_damaged;
};

/* ty_verify_tell reports a problem of a series (NULL: of none that is known) and period (""). */
void ty_verify_tell(struct ty_verifier *verifier, const struct ty_series *series,
                    const char *period, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The text of a period, which it also returns. */
const char *ty_verify_date(tally_frequency frequency, int64_t period,
                           char text[TY_PERIOD_TEXT_BYTES]);

/* Whether a day, or a month, can be written: periods of damaged keys may be of no year. */
bool ty_verify_is_day(int32_t day);
bool ty_verify_is_month(int32_t month);

/* verify_journal.c: what the journal's values hold together and add up to. */
void ty_verify_value(void *context, uint64_t sequence, struct ty_journal_cursor *cursor,
                     size_t length);
/* A value that is there takes its place in the order, damaged or not. */
void ty_verify_sequence(struct ty_verifier *verifier, uint64_t sequence);
void ty_verify_journal_ends(struct ty_verifier *verifier);
/* That no event is marked as void which the journal does not void: every void was looked for. */
void ty_verify_mark(void *context, const struct ty_journal_place *place);
void ty_verify_marks_end(struct ty_verifier *verifier);

/* verify_ids.c: sealed runs, and the journal's ids in them. ty_verify_ids_begin() comes behind the
 * records; ty_verify_seek_id() for every event of the journal. */
void ty_verify_ids_begin(struct ty_verifier *verifier);
void ty_verify_seek_id(struct ty_verifier *verifier, const struct ty_series *series,
                       uint64_t sequence, const struct ty_key *key);
void ty_verify_id_list(void *context, uint32_t number, uint32_t list, const uint64_t *prefixes,
                       uint32_t count);
void ty_verify_id_page(void *context, uint32_t number, uint32_t page, const struct ty_id *ids,
                       uint32_t count);
void ty_verify_damaged_ids(struct ty_verifier *verifier, const struct ty_audit_damage *damage);
void ty_verify_ids_end(struct ty_verifier *verifier);

/* verify_blocks.c: days and months, against each other and what the journal added up to. */
void ty_verify_day(void *context, uint32_t id, int32_t day, const struct ty_day_block *block);
void ty_verify_month(void *context, uint32_t id, int32_t month, const struct ty_month_block *block);
void ty_verify_damaged_block(struct ty_verifier *verifier, const struct ty_audit_damage *damage);
/* Days that only the journal knows. */
void ty_verify_lost_days(struct ty_verifier *verifier);

/* verify_closings.c: closed months, and the revisions of them. */
void ty_verify_closing(void *context, const struct ty_uuid *customer,
                       const struct ty_closed *closed);
void ty_verify_revision(void *context, const struct ty_uuid *customer,
                        const struct ty_revision *revision);
void ty_verify_revisions_end(struct ty_verifier *verifier);
void ty_verify_damaged_closing(struct ty_verifier *verifier, const struct ty_audit_damage *damage);
void ty_verify_chains_fini(struct ty_verify_chains *chains);

#endif
