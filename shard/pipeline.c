/*
 * pipeline.c: commits of events that are decided while the one before is being stored (shard.h).
 *
 *     ty_shard_prepare   decide N+1                     |  ty_shard_store   N: journal, commit
 *     ...                more of it, as it arrives      |
 *     ty_shard_land      N is stored
 *     ty_shard_launch    N+1 may be stored              |  ty_shard_store   N+1
 *     ty_shard_publish   N is shown, and answered       |
 *     ty_shard_prepare   decide N+2                     |
 *
 * N+1 builds on the sums, ids and series of N, which is not durable yet: so it is launched only
 * when N is stored. When N failed, or N+1 turns out to need more than its events and a look at what
 * is stored, N+1 is taken back and committed alone, as ty_shard_commit() does it. Nothing but such
 * a commit does the work of maintenance, which reads and changes what readers see, and the store;
 * but sealing ids, which goes on with every commit, since it keeps what is to be stored for later
 * (storage/puts.h).
 */
#include <stdlib.h>

#include "shard/shard_internal.h"

/* To decide fewer takes less time than to wake another thread. */
#define EVENTS_MIN 512
/* So many commits in a row, then one that does maintenance. */
#define LAUNCHED_MAX 7
/* What comes without a time counts when its commit was begun: it takes in no more after so long. */
#define OPEN_NS_MAX INT64_C(1000000000)

bool ty_shard_is_ahead(const struct ty_shard *shard)
{
    return shard->flight != NULL || shard->landed != NULL || shard->commit->parts != NULL;
}

/* --- Deciding --- */

static bool has_only_events(const struct ty_part *parts)
{
    for (; parts != NULL; parts = parts->next)
        if (parts->reject_count != 0 || parts->void_count != 0 || parts->close != NULL)
            return false;
    return true;
}

/* Whether maintenance should not wait. */
static bool is_due(const struct ty_shard *shard)
{
    return shard->launched >= LAUNCHED_MAX || shard->hot.bytes > shard->options.hot_bytes ||
           (shard->ids != NULL && ty_id_index_must_sweep(shard->ids));
}

/* Nor does it take in what comes in another slot, which would count in a month that was over. */
static bool is_open(const struct ty_shard *shard)
{
    const struct ty_clock *clock = &shard->options.clock;
    const struct ty_commit *commit = shard->commit;

    return ty_clock_mono_ns(clock) - commit->start_ns < OPEN_NS_MAX &&
           ty_slot_of_ms(ty_clock_wall_ms(clock)) == ty_slot_of_ms(commit->received_ms);
}

bool ty_shard_may_prepare(struct ty_shard *shard, const struct ty_part *parts)
{
    if (!has_only_events(parts) || shard->failed)
        return false;
    if (shard->commit->parts != NULL)
        return is_open(shard);
    if (shard->flight == NULL && ty_count_events(parts) < EVENTS_MIN)
        return false;
    return !is_due(shard) && !ty_shard_is_full(shard);
}

/* The one that a commit begun now would have. */
static uint64_t next_sequence(const struct ty_shard *shard)
{
    return shard->state.last_sequence + 1 +
           (shard->flight != NULL && shard->flight->candidate_count != 0);
}

static void begin(struct ty_shard *shard)
{
    struct ty_commit *commit = shard->commit;

    TY_ASSERT(!commit->works_ids);
    ty_shard_begin_commit(shard, next_sequence(shard));
    commit->last = &commit->parts;
    commit->spoiled = commit->settles_ids = false;
    commit->status = TALLY_OK;
    ty_puts_clear(&commit->puts);
}

/* Later parts arrive later: their ids must not be forgotten before their time. */
static void go_on(struct ty_shard *shard)
{
    const struct ty_clock *clock = &shard->options.clock;
    struct ty_commit *commit = shard->commit;

    commit->arrival_ms =
        ty_arrival_advance(&shard->arrival, ty_clock_wall_ms(clock), ty_clock_mono_ns(clock));
    if (shard->ids != NULL)
        ty_id_index_go_on(shard->ids, commit->arrival_ms);
}

/* False: the parts must be decided in a commit that is made alone. */
static bool decide(struct ty_shard *shard, struct ty_part *parts)
{
    tally_status status;

    if (!ty_commit_reserve(shard->commit, ty_count_events(parts)) ||
        ty_store_look(shard->store, &shard->error) != TALLY_OK)
        return false;
    status = ty_shard_decide_events(shard, parts);
    ty_store_look_away(shard->store);
    for (; parts != NULL && status == TALLY_OK; parts = parts->next)
        status = parts->status;
    return status == TALLY_OK && shard->hot.revised == NULL; /* A closed month gets a revision. */
}

/* A slice of work for all ids that were accepted since the last one. A lack of memory for it is no
 * reason to refuse events: it is begun again later. */
static void work_on_ids(struct ty_shard *shard)
{
    struct ty_commit *commit = shard->commit;
    uint64_t done;

    if (shard->ids == NULL || !ty_id_index_is_settled(shard->ids))
        return;
    commit->works_ids = ty_id_index_work(shard->ids, shard->ids_owed, true, &commit->puts, &done,
                                         &shard->error) == TALLY_OK &&
                        ty_puts_ok(&commit->puts);
    commit->settles_ids = !ty_id_index_is_settled(shard->ids);
    shard->ids_owed = 0;
    if (!commit->works_ids)
        ty_shard_revert_ids(shard, commit);
}

void ty_shard_prepare(struct ty_shard *shard, struct ty_part *parts)
{
    struct ty_commit *commit = shard->commit;
    bool begins = commit->parts == NULL;
    uint32_t before;

    TY_ASSERT(shard->landed == NULL);
    if (begins)
        begin(shard);
    else
        go_on(shard);
    before = commit->candidate_count;
    *commit->last = parts;
    while (*commit->last != NULL)
        commit->last = &(*commit->last)->next;
    commit->spoiled = commit->spoiled || !decide(shard, parts);
    shard->ids_owed += commit->candidate_count - before;
    /* Once, so that no id of this commit can be in what is sealed: it may be decided again. */
    if (begins && !commit->spoiled)
        work_on_ids(shard);
}

/* --- To the store, and back --- */

static struct ty_commit *idle_commit(struct ty_shard *shard)
{
    struct ty_commit *commit = shard->commits;

    while (commit == shard->flight || commit == shard->landed)
        commit++;
    return commit;
}

bool ty_shard_launch(struct ty_shard *shard)
{
    struct ty_commit *commit = shard->commit;

    TY_ASSERT(shard->flight == NULL);
    if (commit->parts == NULL || commit->spoiled ||
        (shard->landed != NULL && shard->landed->status != TALLY_OK) ||
        !ty_hot_set_aside(&shard->hot, &commit->aside))
        return false;
    ty_commit_note_series(commit);
    commit->state = shard->state;
    shard->flight = commit;
    shard->commit = idle_commit(shard);
    shard->launched++;
    return true;
}

void ty_shard_store(struct ty_shard *shard)
{
    struct ty_commit *commit = shard->flight;
    struct ty_store *store = shard->store;
    tally_error *error = &commit->error;

    if (commit->candidate_count == 0 && ty_puts_are_none(&commit->puts))
        return; /* All of it was stored before, or is refused. */
    commit->status = ty_store_begin(store, error);
    if (commit->status != TALLY_OK)
        return;
    commit->state.arrival_ms = commit->arrival_ms;
    if (commit->candidate_count != 0)
        commit->status = ty_commit_store_events(commit, store, &commit->state, error);
    if (commit->status == TALLY_OK)
        commit->status = ty_store_put_kept(store, &commit->puts, error);
    if (commit->status == TALLY_OK)
        commit->status = ty_store_put_state(store, &commit->state, error);
    if (commit->status == TALLY_OK)
        commit->status = ty_store_commit(store, error);
    else
        ty_store_abort(store);
}

void ty_shard_land(struct ty_shard *shard)
{
    struct ty_commit *commit = shard->flight;

    TY_ASSERT(shard->landed == NULL);
    if (commit == NULL)
        return;
    if (commit->status == TALLY_OK)
        shard->state = commit->state;
    shard->failed |= commit->status == TALLY_UNKNOWN;
    shard->landed = commit;
    shard->flight = NULL;
}

/* --- What became of it --- */

static void show(struct ty_shard *shard, struct ty_commit *commit)
{
    ty_hot_publish_aside(&shard->hot, &commit->aside, commit->state.last_sequence,
                         ty_shard_mono_ms(shard));
    if (commit->settles_ids)
        ty_id_index_committed(shard->ids);
    commit->works_ids = false;
    ty_shard_count_results(shard, commit);
    if (commit->candidate_count != 0)
        ty_atomic_add(&shard->stats.commits, 1, memory_order_relaxed);
}

/* What the next commit does with ids goes on where this one ended. */
static void take_back(struct ty_shard *shard, struct ty_commit *commit)
{
    ty_hot_revert_aside(&shard->hot, &commit->aside);
    ty_shard_forget_candidates(shard, commit);
    if (commit->works_ids || shard->commit->works_ids)
        ty_shard_revert_ids(shard, commit);
    ty_shard_fail_parts(shard, commit->parts, commit->status, &commit->error);
}

struct ty_part *ty_shard_publish(struct ty_shard *shard)
{
    struct ty_commit *commit = shard->landed;
    struct ty_part *parts;

    if (commit == NULL)
        return NULL;
    if (commit->status == TALLY_OK)
        show(shard, commit);
    else
        take_back(shard, commit);
    ty_histogram_record(&shard->stats.commit_time,
                        ty_clock_mono_ns(&shard->options.clock) - commit->start_ns);
    parts = commit->parts;
    commit->parts = NULL;
    shard->landed = NULL;
    ty_shard_publish_gauges(shard);
    return parts;
}

struct ty_part *ty_shard_withdraw(struct ty_shard *shard)
{
    struct ty_commit *commit = shard->commit;
    struct ty_part *parts = commit->parts;

    TY_ASSERT(shard->flight == NULL && shard->landed == NULL);
    if (parts == NULL)
        return NULL;
    ty_hot_revert(&shard->hot);
    ty_shard_forget_candidates(shard, commit);
    commit->parts = NULL;
    return parts;
}
