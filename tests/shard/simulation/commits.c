#include <string.h>

#include "tests/shard/simulation/simulation.h"

/* What one step commits: batches, cut by shard, voids, closings, and rejects, which live on shard
 * 0.
 */
struct work {
    struct ty_batch batches[BATCHES_MAX];
    struct ty_part parts[SHARDS_MAX][BATCHES_MAX];
    uint32_t indexes[SHARDS_MAX][BATCHES_MAX][EVENTS_MAX];
    struct ty_reject rejects[BATCHES_MAX][REJECTS_MAX];
    struct void_work voids[SHARDS_MAX]; /* of the first part of each shard */
    struct ty_close closes[SHARDS_MAX][BATCHES_MAX];
    struct ty_part *first[SHARDS_MAX]; /* the shard's parts, linked; NULL: none */
};

static const struct ty_event *event_of(const struct ty_part *part, uint32_t i)
{
    return &part->batch->events[part->indexes == NULL ? part->first + i : part->indexes[i]];
}

static tally_result *result_of(const struct ty_part *part, uint32_t i)
{
    return &part->batch->outcomes[event_of(part, i)->record].result;
}

/* --- Making --- */

static void cut_batch(struct simulation *simulation, struct work *work, unsigned index)
{
    struct ty_batch *batch = &work->batches[index];

    for (uint32_t i = 0; i < batch->event_count; i++) {
        unsigned shard = ty_database_shard_index(&simulation->database, &batch->events[i].customer);
        struct ty_part *part = &work->parts[shard][index];

        part->batch = batch;
        part->indexes = work->indexes[shard][index];
        work->indexes[shard][index][part->count++] = i;
    }
    /* With one shard, parts have no indexes. */
    if (simulation->database.shard_count == 1)
        work->parts[0][index].indexes = NULL;
}

static void link_parts(struct work *work)
{
    for (unsigned shard = 0; shard < SHARDS_MAX; shard++)
        for (unsigned i = BATCHES_MAX; i-- > 0;) {
            struct ty_part *part = &work->parts[shard][i];

            if (part->count == 0 && part->reject_count == 0 && part->void_count == 0 &&
                part->close == NULL)
                continue;
            part->next = work->first[shard];
            work->first[shard] = part;
        }
}

static void make_work(struct simulation *simulation, struct work *work)
{
    bool only_rejects = one_in(simulation, 8);
    uint64_t count = 1 + below(simulation, BATCHES_MAX);

    memset(work, 0, sizeof(*work));
    for (unsigned i = 0; i < count; i++) {
        simulation_fill_rejects(simulation, &work->parts[0][i], work->rejects[i]);
        if (only_rejects || one_in(simulation, 8))
            continue;
        simulation_fill_batch(simulation, &work->batches[i]);
        cut_batch(simulation, work, i);
    }
    for (unsigned i = 0; i < simulation->database.shard_count; i++)
        if (one_in(simulation, 4))
            simulation_fill_voids(simulation, i, &work->parts[i][0], &work->voids[i]);
    for (unsigned i = 0; i < simulation->database.shard_count; i++)
        for (unsigned n = 0; n < BATCHES_MAX; n++)
            if (one_in(simulation, 12))
                simulation_fill_close(simulation, i, &work->parts[i][n], &work->closes[i][n]);
    link_parts(work);
}

/* --- Learning what became of it --- */

/* The work of a part's voids. */
static struct void_work *voids_of(const struct ty_part *part)
{
    return TY_CONTAINER_OF(part->voids, struct void_work, voids);
}

static struct reference_commit describe(const struct simulation *simulation, unsigned shard,
                                        uint64_t sequence)
{
    const struct ty_shard *of = simulation->shards[shard];

    return (struct reference_commit){.shard = shard,
                                     .sequence = sequence,
                                     .received_ms = of->commit->received_ms,
                                     .arrival_ms = of->commit->arrival_ms,
                                     .remembered_ms = simulation_remembered_ms(simulation, shard),
                                     .mono_ns = simulation->mono_ns};
}

/* The arrival clock never goes back, and never moves faster than time passes.
 * In a part of a second before a crash it may have gone on without a commit that tells. */
static void check_arrival(struct simulation *simulation, const struct reference_commit *commit)
{
    int64_t began_ns = simulation->arrival_mono_ns[commit->shard];
    int64_t passed_ms = (commit->mono_ns - began_ns) / 1000000;
    int64_t moved_ms = commit->arrival_ms - simulation->arrival_ms[commit->shard];

    if (began_ns != 0) {
        CHECK(simulation, moved_ms >= 0, "the arrival clock went back by %lld ms",
              -(long long)moved_ms);
        CHECK(simulation, moved_ms <= passed_ms + 1, "the arrival clock moved %lld ms in %lld",
              (long long)moved_ms, (long long)passed_ms);
    }
}

static void note_arrival(struct simulation *simulation, const struct reference_commit *commit)
{
    simulation->arrival_ms[commit->shard] = commit->arrival_ms;
    simulation->arrival_mono_ns[commit->shard] = commit->mono_ns;
}

static void learn_event(struct simulation *simulation, const struct ty_event *event,
                        tally_result got, const struct reference_commit *commit)
{
    unsigned allowed = reference_decide(&simulation->reference, event, commit);

    CHECK(simulation, (allowed >> got & 1) != 0, "event %.*s is %s, allowed are bits %#x",
          (int)event->id.length, event->id.data, tally_result_name(got), allowed);
    simulation->events++;
    simulation->duplicates += got == TALLY_DUPLICATE;
    simulation->conflicts += got == TALLY_ID_CONFLICT;
    if (got != TALLY_ACCEPTED)
        return;
    for (const struct reference_event *known =
             reference_newest_of_id(&simulation->reference, event->id);
         simulation->reference.window_ms != 0 && known != NULL; known = known->older_of_id)
        if (reference_same_event(&known->event, event)) {
            simulation->expired++;
            break;
        }
    reference_add(&simulation->reference, event, commit);
}

static void learn_rejects(struct simulation *simulation, const struct ty_part *parts,
                          int64_t received_ms)
{
    for (; parts != NULL; parts = parts->next)
        for (size_t i = 0; i < parts->reject_count; i++)
            reject_reference_keep(&simulation->rejects, &parts->rejects[i], received_ms);
}

void simulation_learn(struct simulation *simulation, const struct ty_part *parts,
                      const struct reference_commit *commit)
{
    for (const struct ty_part *part = parts; part != NULL; part = part->next) {
        CHECK(simulation, part->status == TALLY_OK, "%s: %s", tally_strerror(part->status),
              part->problem);
        for (uint32_t i = 0; i < part->count; i++)
            learn_event(simulation, event_of(part, i), *result_of(part, i), commit);
        if (part->void_count != 0)
            simulation_learn_voids(simulation, commit->shard, commit->sequence, voids_of(part),
                                   part->void_count);
    }
    for (const struct ty_part *part = parts; part != NULL; part = part->next)
        if (part->close != NULL)
            simulation_learn_close(simulation, part->close, commit);
    learn_rejects(simulation, parts, commit->received_ms);
    check_arrival(simulation, commit);
    if (simulation->shards[commit->shard]->state.arrival_ms == commit->arrival_ms)
        note_arrival(simulation, commit);
}

/* --- A commit whose outcome was unknown: the journal tells --- */

struct taken {
    struct simulation *simulation;
    struct ty_part *parts;
    struct ty_shard *shard;
    unsigned number; /* of the shard */
};

/* The first event of the parts that says this and was not found yet was stored. */
static void mark_stored(struct taken *taken, const struct ty_event *stored)
{
    for (struct ty_part *part = taken->parts; part != NULL; part = part->next)
        for (uint32_t i = 0; i < part->count; i++)
            if (*result_of(part, i) == TALLY_NOT_STORED &&
                reference_same_event(event_of(part, i), stored)) {
                *result_of(part, i) = TALLY_ACCEPTED;
                return;
            }
    CHECK(taken->simulation, false, "event %.*s is stored, but nobody sent it",
          (int)stored->id.length, stored->id.data);
}

static void take_void(struct taken *taken, uint64_t sequence,
                      const struct ty_journal_record *record)
{
    struct ty_part *part = taken->parts;

    while (part != NULL && part->void_count == 0)
        part = part->next;
    CHECK(taken->simulation, part != NULL, "a void is stored, but nobody sent one");
    simulation_take_void(taken->simulation, taken->number, sequence, record, voids_of(part),
                         part->void_count);
}

static tally_status take_value(void *context, uint64_t sequence, struct ty_journal_cursor *cursor,
                               size_t length, tally_error *error)
{
    struct taken *taken = context;
    struct ty_journal_record record;

    (void)length, (void)error;
    while (ty_journal_next(cursor, &record)) {
        struct ty_series *series;

        if (record.kind == TY_JOURNAL_VOID)
            take_void(taken, sequence, &record);
        if (record.kind != TY_JOURNAL_EVENT)
            continue;
        series = ty_series_get(&taken->shard->series, record.series);
        record.event.customer = series->customer;
        record.event.workflow = series->workflow;
        mark_stored(taken, &record.event);
    }
    return TALLY_OK;
}

/* What was not stored of a commit that was must not have been storable: the reference says what
 * else it may have been. */
static void learn_from_journal(struct simulation *simulation, unsigned shard, struct ty_part *parts,
                               const struct reference_commit *commit)
{
    struct ty_shard *of = simulation->shards[shard];
    struct taken taken = {simulation, parts, of, shard};
    tally_error error = {""};
    tally_status status = ty_store_begin(of->store, &error);

    if (status == TALLY_OK)
        status = ty_store_each_journal(of->store, commit->sequence, take_value, &taken, &error);
    ty_store_abort(of->store);
    CHECK(simulation, status == TALLY_OK, "%s", error.message);
    for (struct ty_part *part = parts; part != NULL; part = part->next)
        for (uint32_t i = 0; i < part->count; i++) {
            const struct ty_event *event = event_of(part, i);

            if (*result_of(part, i) == TALLY_ACCEPTED)
                learn_event(simulation, event, TALLY_ACCEPTED, commit);
            else
                CHECK(simulation,
                      reference_decide(&simulation->reference, event, commit) !=
                          1u << TALLY_ACCEPTED,
                      "event %.*s was left out", (int)event->id.length, event->id.data);
        }
    for (struct ty_part *part = parts; part != NULL; part = part->next)
        if (part->void_count != 0)
            simulation_check_taken_voids(simulation, voids_of(part), part->void_count,
                                         simulation_first_value(simulation, shard));
    note_arrival(simulation, commit);
    simulation->stored_unknown++;
}

void simulation_learn_lost(struct simulation *simulation, struct ty_part *parts,
                           struct reference_commit *commit)
{
    unsigned shard = commit->shard;
    const struct ty_shard *of = simulation->shards[shard];
    bool stored;

    simulation->unknown++;
    if (shard == 0 && (of->state.last_sequence == commit->sequence ||
                       of->rejects.last_seq != simulation->rejects.last_seq))
        learn_rejects(simulation, parts, commit->received_ms);
    simulation_list_rejects(simulation, SIZE_MAX);
    stored = of->state.last_sequence == commit->sequence;
    CHECK(simulation, stored || of->state.last_sequence + 1 == commit->sequence,
          "the journal jumped");
    if (stored)
        learn_from_journal(simulation, shard, parts, commit);
    commit->sequence = of->state.last_sequence;
    for (struct ty_part *part = parts; part != NULL; part = part->next)
        if (part->close != NULL)
            simulation_take_close(simulation, part->close, stored, commit);
}

void simulation_learn_unknown(struct simulation *simulation, struct ty_part *parts,
                              struct reference_commit *commit)
{
    struct ty_shard *of = simulation->shards[commit->shard];

    CHECK(simulation, of->failed && ty_atomic_load(&of->stats.failed, memory_order_relaxed) != 0,
          "nobody is told to stop");
    ty_shard_commit(of, parts);
    CHECK(simulation, parts->status == TALLY_FAILED, "%s", tally_strerror(parts->status));
    simulation_crash(simulation); /* The only way on. Storage tells what became of the commit. */
    simulation_learn_lost(simulation, parts, commit);
}

/* --- Failures --- */

void simulation_check_refused(struct simulation *simulation, const struct ty_part *parts)
{
    tally_status status = parts->status;

    simulation->failures++;
    for (const struct ty_part *part = parts; part != NULL; part = part->next) {
        CHECK(simulation, part->status == status, "statuses differ");
        CHECK(simulation, part->problem != NULL && part->problem[0] != '\0', "no problem is told");
        for (uint32_t i = 0; i < part->count; i++)
            CHECK(simulation, *result_of(part, i) == TALLY_NOT_STORED,
                  "an event of a failed commit is decided");
        for (size_t i = 0; i < part->void_count; i++)
            CHECK(simulation, part->voids[i].result == TY_VOID_NOT_STORED,
                  "a void of a failed commit is decided");
        CHECK(simulation, part->close == NULL || part->close->result == TY_CLOSE_NOT_STORED,
              "a closing of a failed commit is decided");
    }
    if (!simulation->fault.hit) {
        CHECK(simulation, status == TALLY_FULL && simulation->options.map_bytes < 16u << 20,
              "%s: %s", tally_strerror(status), parts->problem);
        simulation->full++;
    }
}

void simulation_commit_parts(struct simulation *simulation, unsigned shard, struct ty_part *parts)
{
    struct ty_shard *of = simulation->shards[shard];
    uint64_t sequence = of->state.last_sequence + 1;
    struct reference_commit commit;

    simulation_tick(simulation);
    ty_shard_commit(of, parts);
    simulation->commits++;
    if (parts->status == TALLY_OK)
        sequence = of->state.last_sequence;
    commit = describe(simulation, shard, sequence);
    if (parts->status == TALLY_OK) {
        simulation_learn(simulation, parts, &commit);
        return;
    }
    simulation_check_refused(simulation, parts);
    if (parts->status == TALLY_UNKNOWN)
        simulation_learn_unknown(simulation, parts, &commit);
    else if (one_in(simulation, 3)) /* killed before it could do anything else */
        simulation_crash(simulation);
    else
        ty_shard_check(of);
}

static bool must_send_again(const struct ty_part *parts)
{
    return parts != NULL && parts->status != TALLY_OK;
}

void simulation_commit(struct simulation *simulation)
{
    static struct work work;

    make_work(simulation, &work);
    simulation_arm(simulation, OPERATION_COMMIT);
    for (unsigned i = 0; i < simulation->database.shard_count; i++) {
        if (work.first[i] == NULL)
            continue;
        simulation_commit_parts(simulation, i, work.first[i]);
        if (one_in(simulation, 40)) /* between the shards */
            simulation_crash(simulation);
    }
    simulation_disarm(simulation);
    for (unsigned i = 0; i < simulation->database.shard_count; i++) {
        if (!must_send_again(work.first[i]) || one_in(simulation, 3))
            continue;
        simulation->fault.hit = false;
        simulation_commit_parts(simulation, i, work.first[i]);
        simulation->retries++;
    }
    for (unsigned i = 0; i < BATCHES_MAX; i++)
        ty_batch_fini(&work.batches[i]);
    for (unsigned i = 0; i < SHARDS_MAX; i++)
        ty_arena_fini(&work.voids[i].arena);
}
