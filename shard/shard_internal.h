/*
 * shard_internal.h: what the files of a shard share. Not for others.
 */
#ifndef TY_SHARD_SHARD_INTERNAL_H
#define TY_SHARD_SHARD_INTERNAL_H

#include "engine/arrival.h"
#include "shard/id_index.h"
#include "shard/shard.h"

/* An event that the commit being built accepts. */
struct ty_candidate {
    const struct ty_event *event;
    uint32_t group;
};

/* One series' candidates in the commit being built. */
struct ty_group {
    struct ty_series *series;
    uint32_t first; /* place of its first candidate in `ordered` */
    uint32_t count;
    bool is_new; /* ty_commit_note_series(): storage gets the series with this commit */
};

/* A revision of the commit being built, and the month that it is about. */
struct ty_pending_revision {
    struct ty_month_node *month;
    struct ty_revision revision;
};

/* A commit on its way. Its memory is kept for the next ones. */
struct ty_commit {
    struct ty_part *parts;        /* of a commit ahead (pipeline.c), else NULL */
    struct ty_part **last;        /* where its next part is linked */
    bool spoiled;                 /* it cannot be made ahead of its turn */
    struct ty_puts puts;          /* of its slice of work on the ids */
    bool works_ids;               /* it has one */
    bool settles_ids;             /* and the next one has to wait for it (ty_id_index_is_settled) */
    struct ty_hot_aside aside;    /* its sums, once it is launched */
    struct ty_state_record state; /* as it stores it */
    tally_status status;          /* of storing it */
    tally_error error;
    int64_t start_ns;
    uint64_t number; /* counts every attempt, so that series know whether a mark is theirs */
    int64_t received_ms;
    int64_t arrival_ms;
    int64_t mono_ms;                 /* when it began */
    struct ty_candidate *candidates; /* in order of arrival */
    uint32_t candidate_count;
    uint32_t candidate_capacity;
    struct ty_group *groups; /* as many as candidates at most */
    uint32_t group_count;
    const struct ty_event **ordered; /* those of the candidates, group by group */
    const struct ty_void **voids;    /* that are carried out */
    uint32_t void_count;
    uint32_t void_capacity;
    struct ty_closings closings;           /* customers whose closed months change */
    struct ty_pending_revision *revisions; /* of closed months */
    size_t revision_count;
    size_t revision_capacity;
    uint64_t closed_count; /* closings that are carried out */
    struct ty_buffer journal;
    uint64_t written;             /* months stored on the way */
    uint64_t trimmed;             /* journal values deleted on the way */
    uint64_t rejects;             /* in all parts, kept before or not */
    uint64_t results[TY_RESULTS]; /* events by tally_result */
};

struct ty_shard {
    struct ty_shard_options options;
    struct ty_store *store;
    struct ty_series_table series;
    struct ty_hot hot;
    struct ty_id_index *ids; /* NULL: deduplication is switched off */
    struct ty_secret secret;
    struct ty_state_record state;
    struct ty_rejects_record rejects;
    struct ty_arrival arrival;
    struct ty_commit commits[3];
    struct ty_commit *commit; /* the one being built */
    struct ty_commit *flight; /* launched before it, being stored; or NULL */
    struct ty_commit *landed; /* stored before that, not published yet; or NULL */
    uint64_t commit_number;   /* of the last that was begun */
    unsigned launched;        /* since the last commit that was made alone */
    uint64_t ids_owed;        /* accepted since ids were last worked on */
    struct ty_shard_stats stats;
    uint64_t released_at;     /* commit_number when memory last went back to the kernel */
    int64_t space_checked_ns; /* when the space was last looked at, monotonic */
    bool full;
    bool failed;
    tally_error error; /* of the last failure, for the parts' problem text */
};

/* recover.c */
tally_status ty_shard_recover(struct ty_shard *shard, tally_error *error);

static inline struct ty_event *ty_part_event(const struct ty_part *part, uint32_t i)
{
    return &part->batch->events[part->indexes == NULL ? part->first + i : part->indexes[i]];
}

/* commit.c. Moves the arrival clock on, and with it what ids are remembered; later ones come with
 * the journal value `sequence`. Returns its time. */
int64_t ty_shard_advance_arrival(struct ty_shard *shard, int64_t wall_ms, uint64_t sequence);
/* Begins to build a commit whose journal value would be `sequence`. */
void ty_shard_begin_commit(struct ty_shard *shard, uint64_t sequence);
/* Room for so many more candidates; false: no memory. */
bool ty_commit_reserve(struct ty_commit *commit, uint32_t more);
uint32_t ty_count_events(const struct ty_part *parts);
/* The work on ids that the commit, and the one being built, were to store: sealing is given up. */
void ty_shard_revert_ids(struct ty_shard *shard, struct ty_commit *commit);
/* Forgets the ids that the commit added, and which series it brought to storage. */
void ty_shard_forget_candidates(struct ty_shard *shard, struct ty_commit *commit);
/* Tells the parts, and the counters, that nothing was stored. */
void ty_shard_fail_parts(struct ty_shard *shard, struct ty_part *parts, tally_status status,
                         const tally_error *error);
void ty_shard_count_results(struct ty_shard *shard, const struct ty_commit *commit);

/* encode.c. Whether there is a journal value to be written: of events or voids. */
static inline bool ty_commit_has_events(const struct ty_commit *commit)
{
    return commit->candidate_count != 0 || commit->void_count != 0;
}
/* Which of the commit's series storage has not yet: it has them from now on, or the commit fails.
 */
void ty_commit_note_series(struct ty_commit *commit);
/* Appends the commit's journal value, and stores its new series, within a transaction whose state
 * it updates. Touches nothing but the commit, its events, and what does not change of its series:
 * so it may be done while the next commit is decided. */
tally_status ty_commit_store_events(struct ty_commit *commit, struct ty_store *store,
                                    struct ty_state_record *state, tally_error *error);

/* decide.c. ty_shard_decide_events, within a commit's transaction, or while the store looks ahead,
 * decides the events of the parts: outcomes, commit.results, and the candidates, which are counted
 * in their slots and remembered. */
tally_status ty_shard_decide_events(struct ty_shard *shard, struct ty_part *parts);
/*
 * void.c. ty_shard_decide_voids, within a commit's transaction and after its events, decides the
 * voids of the parts: those to be carried out are taken out of their slots, marked in the store as
 * done by the journal value `sequence`, and listed in commit.voids.
 */
tally_status ty_shard_decide_voids(struct ty_shard *shard, struct ty_part *parts,
                                   uint64_t sequence);
/*
 * closing.c. ty_shard_decide_closings, within a commit's transaction and after its events and
 * voids, stores a revision of every closed month that those change; then it decides the closings of
 * the parts and stores what comes of them. `last` is the last journal value up to then: the
 * commit's own, if it has one. ty_shard_end_closings keeps what was changed in memory
 * (`committed`), or takes it back.
 */
tally_status ty_shard_decide_closings(struct ty_shard *shard, struct ty_part *parts, uint64_t last);
void ty_shard_end_closings(struct ty_shard *shard, bool committed);
/* Loads what is stored of closed months, when all series are there. */
tally_status ty_shard_load_closings(struct ty_shard *shard, tally_error *error);
/* The text goes into the part: other shards may be deciding other parts of the batch right now, and
 * its arena has no lock. */
void ty_part_set_problem(struct ty_part *part, const tally_error *error);

/*
 * checkpoint.c. The first two work within a transaction, whose state they update.
 *
 * ty_shard_write_months stores dirty months: those that are due, or all (`everything`), up to a
 * bound. `next` is the first journal sequence that is not published yet: what is stored is complete
 * up to the one before it. A month whose stored values turn out damaged is passed over, counted
 * and stays dirty: the journal keeps its events.
 */
tally_status ty_shard_write_months(struct ty_shard *shard, struct ty_state_record *state,
                                   uint64_t next, bool everything, uint64_t *written);
/* ty_shard_trim deletes a few journal values that nothing needs any more. */
tally_status ty_shard_trim(struct ty_shard *shard, struct ty_state_record *state,
                           int64_t arrival_ms, uint64_t *trimmed);
/* Whether events must be refused for lack of space. Looks at times, not at every commit. */
bool ty_shard_is_full(struct ty_shard *shard);

int64_t ty_shard_mono_ms(const struct ty_shard *shard);
/* A commit of rejects, or one that dropped some, has succeeded. */
void ty_shard_publish_rejects(struct ty_shard *shard, const struct ty_rejects_record *rejects);
void ty_shard_publish_gauges(struct ty_shard *shard);

#endif
