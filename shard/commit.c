/*
 * commit.c: batches to disk: the order of the steps is what keeps Tally's promises (shard.h).
 *
 *   1. decide each event, then each void, then each closing, reserving memory for all they need
 *   2. one transaction: rejects, closings, journal, slices of checkpoint and trimming, the state
 *   3. commit
 *   4. publish to readers; only then are the batches answered
 *
 * Until 3 has succeeded nothing is visible and everything can be taken back. Here one commit goes
 * through all of it; pipeline.c has two on their way.
 */
#include <stdlib.h>
#include <string.h>

#include "shard/shard_internal.h"

uint32_t ty_count_events(const struct ty_part *parts)
{
    uint64_t count = 0;

    for (const struct ty_part *part = parts; part != NULL; part = part->next)
        count += part->count;
    TY_ASSERT(count <= UINT32_MAX);
    return (uint32_t)count;
}

/* realloc() that keeps the array when it fails. */
static bool grow(void *array, size_t count, size_t size)
{
    void *grown = realloc(*(void **)array, count * size);

    if (grown != NULL)
        *(void **)array = grown;
    return grown != NULL;
}

bool ty_commit_reserve(struct ty_commit *commit, uint32_t more)
{
    uint64_t count = (uint64_t)commit->candidate_count + more;
    uint32_t capacity = TY_MAX(commit->candidate_capacity, 1024u);

    TY_ASSERT(count <= UINT32_MAX / 2);
    while (capacity < count)
        capacity *= 2;
    if (capacity == commit->candidate_capacity)
        return true;
    if (!grow(&commit->candidates, capacity, sizeof(*commit->candidates)) ||
        !grow(&commit->groups, capacity, sizeof(*commit->groups)) ||
        !grow((void *)&commit->ordered, capacity, sizeof(*commit->ordered)))
        return false;
    commit->candidate_capacity = capacity;
    return true;
}

void ty_part_set_problem(struct ty_part *part, const tally_error *error)
{
    part->error = *error;
    part->problem = part->error.message;
}

/* --- 2. The transaction --- */

static tally_status keep_rejects_of(struct ty_shard *shard, const struct ty_part *part,
                                    struct ty_rejects_record *rejects)
{
    tally_status status = TALLY_OK;

    for (size_t i = 0; i < part->reject_count && status == TALLY_OK; i++) {
        uint8_t identity[TY_REJECT_IDENTITY_BYTES];

        ty_reject_identify(&part->rejects[i], &shard->secret, identity);
        status = ty_store_keep_reject(shard->store, &part->rejects[i], identity,
                                      shard->commit->received_ms, shard->options.reject_bytes_max,
                                      rejects, &shard->error);
    }
    shard->commit->rejects += part->reject_count;
    return status;
}

static tally_status keep_rejects(struct ty_shard *shard, const struct ty_part *parts,
                                 struct ty_rejects_record *rejects)
{
    tally_status status = TALLY_OK;

    for (; parts != NULL && status == TALLY_OK; parts = parts->next)
        status = keep_rejects_of(shard, parts, rejects);
    if (status == TALLY_OK && rejects->last_seq != shard->rejects.last_seq)
        status = ty_store_put_rejects(shard->store, rejects, &shard->error);
    return status;
}

/* The first journal sequence that no commit before this one has published. */
static uint64_t first_unpublished(const struct ty_commit *commit,
                                  const struct ty_state_record *state)
{
    return ty_commit_has_events(commit) ? state->last_sequence : state->last_sequence + 1;
}

/* What was done ahead (pipeline.c) is stored; else a slice for all ids since the last one. */
static tally_status work_on_ids(struct ty_shard *shard)
{
    struct ty_commit *commit = shard->commit;
    uint64_t ids = shard->ids_owed + commit->candidate_count, done;

    if (commit->works_ids)
        return ty_store_put_kept(shard->store, &commit->puts, &shard->error);
    commit->works_ids = true;
    shard->ids_owed = 0;
    return ty_id_index_work(shard->ids, ids, true, NULL, &done, &shard->error);
}

static tally_status fill_transaction(struct ty_shard *shard, struct ty_state_record *state)
{
    struct ty_commit *commit = shard->commit;
    tally_status status = ty_commit_has_events(commit)
                              ? ty_commit_store_events(commit, shard->store, state, &shard->error)
                              : TALLY_OK;

    state->arrival_ms = commit->arrival_ms;
    if (status == TALLY_OK)
        status = ty_shard_write_months(shard, state, first_unpublished(commit, state), false,
                                       &commit->written);
    if (status == TALLY_OK)
        status = ty_shard_trim(shard, state, commit->arrival_ms, &commit->trimmed);
    if (status == TALLY_OK && shard->ids != NULL)
        status = work_on_ids(shard);
    if (status == TALLY_OK)
        status = ty_store_put_state(shard->store, state, &shard->error);
    return status;
}

/* --- 4. After the commit --- */

/* What a commit that succeeded, or needed no transaction, did for rejects. */
static void count_rejects(struct ty_shard *shard, const struct ty_rejects_record *rejects)
{
    uint64_t kept = rejects->last_seq - shard->rejects.last_seq;

    if (shard->commit->rejects != kept)
        ty_atomic_add(&shard->stats.rejects_resent, shard->commit->rejects - kept,
                      memory_order_relaxed);
    ty_shard_publish_rejects(shard, rejects);
}

static void publish(struct ty_shard *shard, const struct ty_state_record *state,
                    const struct ty_rejects_record *rejects)
{
    struct ty_commit *commit = shard->commit;

    /* The months written hold the events up to the commit before this one. */
    ty_hot_written(&shard->hot, first_unpublished(commit, state) - 1,
                   shard->hot.bytes > shard->options.hot_bytes, ty_shard_mono_ms(shard));
    ty_hot_publish(&shard->hot, state->last_sequence, ty_shard_mono_ms(shard));
    if (commit->works_ids)
        ty_id_index_committed(shard->ids);
    commit->works_ids = false;
    shard->launched = 0;
    ty_shard_end_closings(shard, true);
    shard->state = *state;
    count_rejects(shard, rejects);
    ty_atomic_add(&shard->stats.commits, 1, memory_order_relaxed);
    ty_atomic_add(&shard->stats.voided, commit->void_count, memory_order_relaxed);
    ty_atomic_add(&shard->stats.checkpointed_months, commit->written, memory_order_relaxed);
    ty_atomic_add(&shard->stats.trimmed_values, commit->trimmed, memory_order_relaxed);
}

void ty_shard_revert_ids(struct ty_shard *shard, struct ty_commit *commit)
{
    ty_id_index_reverted(shard->ids);
    commit->works_ids = shard->commit->works_ids = false;
}

void ty_shard_forget_candidates(struct ty_shard *shard, struct ty_commit *commit)
{
    for (uint32_t i = 0; i < commit->group_count; i++)
        if (commit->groups[i].is_new)
            commit->groups[i].series->stored = false;
    for (uint32_t i = 0; i < commit->candidate_count && shard->ids != NULL; i++)
        ty_id_index_remove(shard->ids, &commit->candidates[i].event->key);
}

/* Takes back everything that deciding did in memory. */
static void revert(struct ty_shard *shard)
{
    ty_hot_revert(&shard->hot);
    ty_shard_end_closings(shard, false);
    ty_shard_forget_candidates(shard, shard->commit);
    if (shard->commit->works_ids)
        ty_shard_revert_ids(shard, shard->commit);
}

static void fail_part(struct ty_part *part, tally_status status, const tally_error *error)
{
    part->status = status;
    ty_part_set_problem(part, error);
    for (uint32_t i = 0; i < part->count; i++)
        part->batch->outcomes[ty_part_event(part, i)->record].result = TALLY_NOT_STORED;
    for (size_t i = 0; i < part->void_count; i++)
        part->voids[i].result = TY_VOID_NOT_STORED;
    if (part->close != NULL)
        part->close->result = TY_CLOSE_NOT_STORED;
}

void ty_shard_fail_parts(struct ty_shard *shard, struct ty_part *parts, tally_status status,
                         const tally_error *error)
{
    ty_atomic_add(&shard->stats.results[TALLY_NOT_STORED], ty_count_events(parts),
                  memory_order_relaxed);
    ty_atomic_add(&shard->stats.commit_failures, 1, memory_order_relaxed);
    for (; parts != NULL; parts = parts->next)
        fail_part(parts, status, error);
}

void ty_shard_count_results(struct ty_shard *shard, const struct ty_commit *commit)
{
    for (size_t i = 0; i < TY_RESULTS; i++)
        if (commit->results[i] != 0)
            ty_atomic_add(&shard->stats.results[i], commit->results[i], memory_order_relaxed);
}

int64_t ty_shard_advance_arrival(struct ty_shard *shard, int64_t wall_ms, uint64_t sequence)
{
    int64_t arrival_ms =
        ty_arrival_advance(&shard->arrival, wall_ms, ty_clock_mono_ns(&shard->options.clock));

    if (shard->ids != NULL)
        ty_id_index_advance(shard->ids, arrival_ms, sequence);
    return arrival_ms;
}

void ty_shard_begin_commit(struct ty_shard *shard, uint64_t sequence)
{
    struct ty_commit *commit = shard->commit;

    commit->number = ++shard->commit_number;
    commit->candidate_count = commit->group_count = commit->void_count = 0;
    commit->rejects = 0;
    memset(commit->results, 0, sizeof(commit->results));
    commit->start_ns = ty_clock_mono_ns(&shard->options.clock);
    commit->received_ms = ty_clock_wall_ms(&shard->options.clock);
    commit->mono_ms = ty_shard_mono_ms(shard);
    commit->arrival_ms = ty_shard_advance_arrival(shard, commit->received_ms, sequence);
    shard->error.message[0] = '\0';
}

/* Steps 1 to 4 with a transaction open. Ends it. */
static tally_status run_commit(struct ty_shard *shard, struct ty_part *parts)
{
    struct ty_state_record state = shard->state;
    struct ty_rejects_record rejects = shard->rejects;
    tally_status status = ty_shard_decide_events(shard, parts);

    if (status == TALLY_OK)
        status = ty_shard_decide_voids(shard, parts, state.last_sequence + 1);
    if (status == TALLY_OK)
        status = ty_shard_decide_closings(
            shard, parts, state.last_sequence + ty_commit_has_events(shard->commit));
    if (status == TALLY_OK)
        status = keep_rejects(shard, parts, &rejects);
    if (status == TALLY_OK && !ty_commit_has_events(shard->commit) && !shard->commit->works_ids &&
        shard->commit->closings.changed == NULL && rejects.last_seq == shard->rejects.last_seq) {
        ty_store_abort(shard->store); /* All of it was stored before, or is refused. */
        count_rejects(shard, &rejects);
        return TALLY_OK;
    }
    ty_commit_note_series(shard->commit);
    if (status == TALLY_OK)
        status = fill_transaction(shard, &state);
    if (status != TALLY_OK)
        ty_store_abort(shard->store);
    else
        status = ty_store_commit(shard->store, &shard->error);
    if (status == TALLY_OK)
        publish(shard, &state, &rejects);
    else
        revert(shard);
    return status;
}

static tally_status commit_parts(struct ty_shard *shard, struct ty_part *parts)
{
    tally_status status;

    if (shard->failed)
        return ty_fail(&shard->error, TALLY_FAILED,
                       "an earlier commit failed halfway; the database must be reopened");
    ty_shard_begin_commit(shard, shard->state.last_sequence + 1);
    if (!ty_commit_reserve(shard->commit, ty_count_events(parts)))
        return ty_fail(&shard->error, TALLY_NO_MEMORY, "no memory for the commit");
    status = ty_store_begin(shard->store, &shard->error);
    if (status != TALLY_OK)
        return status;
    if (ty_shard_is_full(shard)) {
        ty_store_abort(shard->store);
        return TALLY_FULL;
    }
    return run_commit(shard, parts);
}

void ty_shard_commit(struct ty_shard *shard, struct ty_part *parts)
{
    int64_t start_ns = ty_clock_mono_ns(&shard->options.clock);
    tally_status status;

    TY_ASSERT(!ty_shard_is_ahead(shard));
    status = commit_parts(shard, parts);
    if (shard->commit->works_ids) /* It never came to storing them. */
        ty_shard_revert_ids(shard, shard->commit);
    if (status == TALLY_UNKNOWN)
        shard->failed = true;
    if (status == TALLY_NO_MEMORY && shard->error.message[0] == '\0')
        ty_fail(&shard->error, status, "no memory for the events");
    if (status == TALLY_OK)
        ty_shard_count_results(shard, shard->commit);
    else
        ty_shard_fail_parts(shard, parts, status, &shard->error);
    ty_histogram_record(&shard->stats.commit_time,
                        ty_clock_mono_ns(&shard->options.clock) - start_ns);
    ty_hot_rest(&shard->hot, ty_shard_mono_ms(shard), shard->options.checkpoint_ms,
                shard->options.hot_bytes);
    ty_shard_publish_gauges(shard);
}
