/*
 * encode.c: the events and voids of a commit as a journal value, in the store.
 */
#include "shard/shard_internal.h"

#define ENCODED_AHEAD 12 /* events that are fetched before they are written to the journal */

void ty_commit_note_series(struct ty_commit *commit)
{
    for (uint32_t i = 0; i < commit->group_count; i++) {
        commit->groups[i].is_new = !commit->groups[i].series->stored;
        commit->groups[i].series->stored = true;
    }
}

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
        struct ty_group *group = &commit->groups[commit->candidates[i].group];

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
    if (!ty_buffer_ok(&commit->journal))
        ty_buffer_fini(&commit->journal); /* There may be memory again. */
    commit->journal.length = 0;
    ty_journal_begin(&commit->journal, &header);
    for (uint32_t i = 0; i < commit->group_count; i++) {
        const struct ty_series *series = commit->groups[i].series;

        if (commit->groups[i].is_new)
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

tally_status ty_commit_store_events(struct ty_commit *commit, struct ty_store *store,
                                    struct ty_state_record *state, tally_error *error)
{
    tally_status status = encode_journal(commit, ++state->last_sequence);

    if (status != TALLY_OK)
        return ty_fail(error, status, "no memory for the events");
    for (uint32_t i = 0; i < commit->group_count && status == TALLY_OK; i++) {
        const struct ty_series *series = commit->groups[i].series;

        if (commit->groups[i].is_new)
            status =
                ty_store_put_series(store, series->id, &series->customer, &series->workflow, error);
    }
    if (status == TALLY_OK)
        status = ty_store_append_journal(store, state->last_sequence, commit->journal.data,
                                         commit->journal.length, error);
    state->journal_bytes += commit->journal.length;
    return status;
}
