/*
 * commit.c: batches to disk: the order of the steps is what keeps Tally's promises (shard.h).
 *
 *   1. decide each event, then each void, then each closing, reserving memory for all they need
 *   2. one transaction: rejects, closings, journal, slices of checkpoint and trimming, the state
 *   3. commit
 *   4. publish to readers; only then are the batches answered
 *
 * Until 3 has succeeded nothing is visible and everything can be taken back.
 */
#include <stdlib.h>
#include <string.h>

#include "shard/shard_internal.h"

#define ENCODED_AHEAD 12 /* events that are fetched before they are written to the journal */

static uint32_t count_events(const struct ty_part *parts)
{
    uint64_t count = 0;

    for (const struct ty_part *part = parts; part != NULL; part = part->next)
        count += part->count;
    TY_ASSERT(count <= UINT32_MAX);
    return (uint32_t)count;
}

static bool reserve_candidates(struct ty_commit *commit, uint32_t count)
{
    uint32_t capacity = TY_MAX(commit->candidate_capacity, 1024u);

    while (capacity < count)
        capacity *= 2;
    if (capacity == commit->candidate_capacity)
        return true;
    free(commit->candidates);
    free(commit->groups);
    free(commit->ordered);
    commit->candidates = malloc(capacity * sizeof(*commit->candidates));
    commit->groups = malloc(capacity * sizeof(*commit->groups));
    commit->ordered = malloc(capacity * sizeof(*commit->ordered));
    commit->candidate_capacity = capacity;
    if (commit->candidates != NULL && commit->groups != NULL && commit->ordered != NULL)
        return true;
    commit->candidate_capacity = 0; /* What was allocated is freed by the next attempt. */
    return false;
}

void ty_shard_set_problem(const struct ty_shard *shard, struct ty_part *part)
{
    part->error = shard->error;
    part->problem = part->error.message;
}

/* --- 2. The transaction --- */

/* Sorts the candidates by group; within a group they stay in order of arrival. */
static void order_candidates(struct ty_commit *commit)
{
    uint32_t first = 0;

    for (uint32_t i = 0; i < commit->group_count; i++) {
        commit->groups[i].first = first;
        first += commit->groups[i].count;
        commit->groups[i].count = 0;
    }
    for (uint32_t i = 0; i < commit->candidate_count; i++) {
        struct ty_group *group = &commit->groups[commit->candidates[i].series->group];

        commit->ordered[group->first + group->count++] = commit->candidates[i].event;
    }
}

/* In their new order events lie all over memory: they are fetched some time before their turn. */
static void fetch_ahead(const struct ty_commit *commit, uint32_t i)
{
    if (i + ENCODED_AHEAD < commit->candidate_count)
        ty_event_prefetch(commit->ordered[i + ENCODED_AHEAD]);
}

static void encode_group(struct ty_commit *commit, const struct ty_group *group)
{
    size_t start = ty_journal_begin_group(&commit->journal, group->series->id);

    for (uint32_t i = group->first; i < group->first + group->count; i++) {
        fetch_ahead(commit, i);
        ty_journal_put_event(&commit->journal, commit->ordered[i], commit->received_ms);
    }
    ty_journal_end_group(&commit->journal, start);
}

static tally_status encode_journal(struct ty_commit *commit, uint64_t sequence)
{
    struct ty_journal_header header = {.received_ms = commit->received_ms,
                                       .arrival_ms = commit->arrival_ms};

    order_candidates(commit);
    commit->journal.length = 0;
    ty_journal_begin(&commit->journal, &header);
    for (uint32_t i = 0; i < commit->group_count; i++) {
        const struct ty_series *series = commit->groups[i].series;

        if (!series->stored)
            ty_journal_put_series(&commit->journal, series->id, &series->customer,
                                  &series->workflow);
    }
    for (uint32_t i = 0; i < commit->group_count; i++)
        encode_group(commit, &commit->groups[i]);
    for (uint32_t i = 0; i < commit->void_count; i++)
        ty_journal_put_void(&commit->journal, commit->voids[i], commit->received_ms);
    ty_journal_finish(&commit->journal, sequence);
    return ty_buffer_ok(&commit->journal) ? TALLY_OK : TALLY_NO_MEMORY;
}

static tally_status store_events(struct ty_shard *shard, struct ty_state_record *state)
{
    struct ty_commit *commit = &shard->commit;
    tally_status status = encode_journal(commit, ++state->last_sequence);

    for (uint32_t i = 0; i < commit->group_count && status == TALLY_OK; i++) {
        const struct ty_series *series = commit->groups[i].series;

        if (!series->stored)
            status = ty_store_put_series(shard->store, series->id, &series->customer,
                                         &series->workflow, &shard->error);
    }
    if (status == TALLY_OK)
        status = ty_store_append_journal(shard->store, state->last_sequence, commit->journal.data,
                                         commit->journal.length, &shard->error);
    state->journal_bytes += commit->journal.length;
    return status;
}

static tally_status keep_rejects_of(struct ty_shard *shard, const struct ty_part *part,
                                    struct ty_rejects_record *rejects)
{
    tally_status status = TALLY_OK;

    for (size_t i = 0; i < part->reject_count && status == TALLY_OK; i++) {
        uint8_t identity[TY_REJECT_IDENTITY_BYTES];

        ty_reject_identify(&part->rejects[i], &shard->secret, identity);
        status = ty_store_keep_reject(shard->store, &part->rejects[i], identity,
                                      shard->commit.received_ms, shard->options.reject_bytes_max,
                                      rejects, &shard->error);
    }
    shard->commit.rejects += part->reject_count;
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

/* Whether there is a journal value to be written: of events or voids. */
static bool has_events(const struct ty_commit *commit)
{
    return commit->candidate_count != 0 || commit->void_count != 0;
}

/* The first journal sequence that no commit before this one has published. */
static uint64_t first_unpublished(const struct ty_commit *commit,
                                  const struct ty_state_record *state)
{
    return has_events(commit) ? state->last_sequence : state->last_sequence + 1;
}

static tally_status fill_transaction(struct ty_shard *shard, struct ty_state_record *state)
{
    struct ty_commit *commit = &shard->commit;
    tally_status status = has_events(commit) ? store_events(shard, state) : TALLY_OK;
    uint64_t sealed;

    state->arrival_ms = commit->arrival_ms;
    if (status == TALLY_OK)
        status = ty_shard_write_months(shard, state, first_unpublished(commit, state), false,
                                       &commit->written);
    if (status == TALLY_OK)
        status = ty_shard_trim(shard, state, commit->arrival_ms, &commit->trimmed);
    if (status == TALLY_OK && shard->ids != NULL)
        status =
            ty_id_index_work(shard->ids, commit->candidate_count, true, &sealed, &shard->error);
    if (status == TALLY_OK)
        status = ty_store_put_state(shard->store, state, &shard->error);
    return status;
}

/* --- 4. After the commit --- */

/* What a commit that succeeded, or needed no transaction, did for rejects. */
static void count_rejects(struct ty_shard *shard, const struct ty_rejects_record *rejects)
{
    uint64_t kept = rejects->last_seq - shard->rejects.last_seq;

    if (shard->commit.rejects != kept)
        ty_atomic_add(&shard->stats.rejects_resent, shard->commit.rejects - kept,
                      memory_order_relaxed);
    ty_shard_publish_rejects(shard, rejects);
}

static void publish(struct ty_shard *shard, const struct ty_state_record *state,
                    const struct ty_rejects_record *rejects)
{
    struct ty_commit *commit = &shard->commit;

    /* The months written hold the events up to the commit before this one. */
    ty_hot_written(&shard->hot, first_unpublished(commit, state) - 1,
                   shard->hot.bytes > shard->options.hot_bytes, ty_shard_mono_ms(shard));
    ty_hot_publish(&shard->hot, state->last_sequence, ty_shard_mono_ms(shard));
    if (shard->ids != NULL)
        ty_id_index_committed(shard->ids);
    for (uint32_t i = 0; i < commit->group_count; i++)
        commit->groups[i].series->stored = true;
    ty_shard_end_closings(shard, true);
    shard->state = *state;
    count_rejects(shard, rejects);
    ty_atomic_add(&shard->stats.commits, 1, memory_order_relaxed);
    ty_atomic_add(&shard->stats.voided, commit->void_count, memory_order_relaxed);
    ty_atomic_add(&shard->stats.checkpointed_months, commit->written, memory_order_relaxed);
    ty_atomic_add(&shard->stats.trimmed_values, commit->trimmed, memory_order_relaxed);
}

/* Takes back everything that deciding did in memory. */
static void revert(struct ty_shard *shard)
{
    struct ty_commit *commit = &shard->commit;

    ty_hot_revert(&shard->hot);
    ty_shard_end_closings(shard, false);
    if (shard->ids == NULL)
        return;
    for (uint32_t i = 0; i < commit->candidate_count; i++)
        ty_id_index_remove(shard->ids, &commit->candidates[i].event->key);
    ty_id_index_reverted(shard->ids);
}

static void fail_part(struct ty_shard *shard, struct ty_part *part, tally_status status)
{
    part->status = status;
    ty_shard_set_problem(shard, part);
    for (uint32_t i = 0; i < part->count; i++)
        part->batch->outcomes[ty_part_event(part, i)->record].result = TALLY_NOT_STORED;
    for (size_t i = 0; i < part->void_count; i++)
        part->voids[i].result = TY_VOID_NOT_STORED;
    if (part->close != NULL)
        part->close->result = TY_CLOSE_NOT_STORED;
}

static void count_results(struct ty_shard *shard, const struct ty_part *parts, bool committed)
{
    uint64_t *results = shard->commit.results;

    if (!committed) {
        memset(results, 0, sizeof(shard->commit.results));
        results[TALLY_NOT_STORED] = count_events(parts);
    }
    for (size_t i = 0; i < TY_RESULTS; i++)
        if (results[i] != 0)
            ty_atomic_add(&shard->stats.results[i], results[i], memory_order_relaxed);
}

static void begin_commit(struct ty_shard *shard)
{
    struct ty_commit *commit = &shard->commit;

    commit->number++;
    commit->candidate_count = commit->group_count = commit->void_count = 0;
    commit->rejects = 0;
    memset(commit->results, 0, sizeof(commit->results));
    commit->received_ms = ty_clock_wall_ms(&shard->options.clock);
    commit->mono_ms = ty_shard_mono_ms(shard);
    commit->arrival_ms = ty_arrival_advance(&shard->arrival, commit->received_ms,
                                            ty_clock_mono_ns(&shard->options.clock));
    if (shard->ids != NULL)
        ty_id_index_advance(shard->ids, commit->arrival_ms, shard->state.last_sequence + 1);
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
        status = ty_shard_decide_closings(shard, parts,
                                          state.last_sequence + has_events(&shard->commit));
    if (status == TALLY_OK)
        status = keep_rejects(shard, parts, &rejects);
    if (status == TALLY_OK && !has_events(&shard->commit) &&
        shard->commit.closings.changed == NULL && rejects.last_seq == shard->rejects.last_seq) {
        ty_store_abort(shard->store); /* All of it was stored before, or is refused. */
        count_rejects(shard, &rejects);
        return TALLY_OK;
    }
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
    begin_commit(shard);
    if (!reserve_candidates(&shard->commit, count_events(parts)))
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
    tally_status status = commit_parts(shard, parts);

    if (status == TALLY_UNKNOWN)
        shard->failed = true;
    if (status == TALLY_NO_MEMORY && shard->error.message[0] == '\0')
        ty_fail(&shard->error, status, "no memory for the events");
    for (struct ty_part *part = parts; part != NULL && status != TALLY_OK; part = part->next)
        fail_part(shard, part, status);
    count_results(shard, parts, status == TALLY_OK);
    if (status != TALLY_OK)
        ty_atomic_add(&shard->stats.commit_failures, 1, memory_order_relaxed);
    ty_histogram_record(&shard->stats.commit_time,
                        ty_clock_mono_ns(&shard->options.clock) - start_ns);
    ty_hot_rest(&shard->hot, ty_shard_mono_ms(shard), shard->options.checkpoint_ms,
                shard->options.hot_bytes);
    ty_shard_publish_gauges(shard);
}
