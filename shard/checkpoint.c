/*
 * checkpoint.c: dirty months to blocks, old events out of the journal, and the space for both.
 *
 * Checkpoints are slices of ordinary commits: a month is written when it has been dirty for a
 * while, so that the cost follows the active series and not the events, and a restart never has
 * much to replay.
 */
#include <malloc.h>

#include "shard/shard_internal.h"

#define MONTHS_MIN     32    /* written by a commit of events, when as many are due */
#define MONTHS_PRESSED 256   /* when hot totals outgrow their memory */
#define MONTHS_IDLE    1024  /* by a commit without events */
#define MONTHS_PART    64    /* the part of all dirty months that a commit writes at most */
#define IDS_IDLE       32768 /* a commit without events seals as for so many */
#define TRIMMED_MAX    8     /* journal values deleted for each that is added: more than twice */
#define DAMAGED_MAX    8     /* damaged journal values in a row that trimming looks past */
#define SPACE_CHECK_NS INT64_C(100000000)
#define RESERVE_PART   16 /* of the map, kept for checkpoints and trimming */
#define RESERVE_MIN    (UINT64_C(2) << 20)
#define RESERVE_MAX    (UINT64_C(128) << 20)

static bool is_pressed(const struct ty_shard *shard)
{
    return shard->hot.bytes > shard->options.hot_bytes;
}

static tally_status write_day(struct ty_shard *shard, const struct ty_day_node *day, uint64_t stamp)
{
    struct ty_day_block block;
    tally_status status = ty_hot_encode_day(&shard->hot, day, stamp, &block);

    if (status == TALLY_OK)
        status =
            ty_store_put_day(shard->store, day->month->series->id, day->day, &block, &shard->error);
    return status;
}

/* Whether every dirty day of a month can be written. Days that are stored beside a month that is
 * not would be counted again by the next start, since the month says what is to be replayed. */
static tally_status check_days(struct ty_shard *shard, struct ty_month_node *month)
{
    tally_status status = TALLY_OK;
    struct ty_day_block block;

    for (struct ty_day_node *day = ty_hot_days(month); day != NULL && status == TALLY_OK;
         day = ty_hot_next_day(day))
        if (day->dirty)
            status = ty_hot_encode_day(&shard->hot, day, 0, &block);
    return status;
}

static bool has_many_dirty_days(struct ty_month_node *month)
{
    unsigned count = 0;

    for (struct ty_day_node *day = ty_hot_days(month); day != NULL; day = ty_hot_next_day(day))
        count += day->dirty;
    return count > 1;
}

/* *partly: some of it is in the transaction, also after a failure. */
static tally_status write_month(struct ty_shard *shard, struct ty_month_node *month, uint64_t stamp,
                                bool *partly)
{
    struct ty_month_block block = {.stamp = stamp, .total = month->total};
    tally_status status = has_many_dirty_days(month) ? check_days(shard, month) : TALLY_OK;

    for (struct ty_day_node *day = ty_hot_days(month); day != NULL && status == TALLY_OK;
         day = ty_hot_next_day(day))
        if (day->dirty) {
            status = write_day(shard, day, stamp);
            *partly |= status == TALLY_OK;
        }
    if (status != TALLY_OK)
        return status;
    return ty_store_put_month(shard->store, month->series->id, month->month, &block, &shard->error);
}

static uint64_t months_max(const struct ty_shard *shard, bool idle)
{
    uint64_t most = idle ? MONTHS_IDLE : is_pressed(shard) ? MONTHS_PRESSED : MONTHS_MIN;

    return TY_MAX(most, shard->hot.dirty_count / MONTHS_PART);
}

tally_status ty_shard_write_months(struct ty_shard *shard, struct ty_state_record *state,
                                   uint64_t next, bool everything, uint64_t *written)
{
    /* Without a new event in the state, the commit is one of maintenance. */
    uint64_t most = months_max(shard, next > state->last_sequence);
    int64_t due_ms = ty_shard_mono_ms(shard) - shard->options.checkpoint_ms;
    bool pressed = is_pressed(shard);
    struct ty_month_node *month;

    *written = 0;
    TAILQ_FOREACH(month, &shard->hot.dirty, queue)
    {
        tally_status status;
        bool partly = false;

        if (*written == most || !(everything || pressed || month->queued_ms <= due_ms))
            break;
        if (month->unwritable)
            continue;
        status = write_month(shard, month, next - 1, &partly);
        if (status == TALLY_CORRUPT) {
            ty_atomic_add(&shard->stats.damaged_months, 1, memory_order_relaxed);
            /* A part of a month must not become durable: this transaction cannot be used. */
            month->unwritable = partly;
            if (partly)
                return status;
            continue;
        }
        if (status != TALLY_OK)
            return status;
        ty_hot_write(&shard->hot, month);
        ++*written;
    }
    state->replay_from = ty_hot_lacks_from(&shard->hot, next);
    return TALLY_OK;
}

/* Whether a restart needs a journal value for its ids: they are remembered, and in no sealed run.
 * What is older was forgotten, for its age or for lack of memory. */
static bool has_ids(const struct ty_shard *shard, uint64_t sequence, int64_t age_ms)
{
    return shard->ids != NULL && sequence > ty_id_index_sealed_sequence(shard->ids) &&
           age_ms <= ty_id_index_gauges(shard->ids).window_ms;
}

/* A journal value may go when no restart needs it (blocks and remembered ids are past it) and
 * either its time or the journal's size says so. */
static bool is_expired(const struct ty_shard *shard, const struct ty_state_record *state,
                       uint64_t sequence, int64_t arrived_ms, int64_t now_ms)
{
    const struct ty_shard_options *options = &shard->options;

    if (arrived_ms > now_ms || has_ids(shard, sequence, now_ms - arrived_ms))
        return false;
    return now_ms - arrived_ms > options->journal_retention_ms ||
           state->journal_bytes > options->journal_bytes_max;
}

/*
 * When a value arrived, or a moment not before that: of a damaged value the next intact one tells,
 * since arrivals never go back. INT64_MAX if a few in a row are damaged. *damaged is about the
 * value itself.
 */
static tally_status find_arrival(struct ty_shard *shard, const struct ty_state_record *state,
                                 uint64_t sequence, int64_t *arrived_ms, bool *damaged)
{
    uint64_t end = TY_MIN(sequence + DAMAGED_MAX, state->last_sequence) + 1;
    tally_status status = TALLY_CORRUPT;

    for (uint64_t i = sequence; i < end && status == TALLY_CORRUPT; i++) {
        status = ty_store_get_arrival(shard->store, i, arrived_ms, &shard->error);
        if (i == sequence)
            *damaged = status == TALLY_CORRUPT;
    }
    if (status == TALLY_CORRUPT)
        *arrived_ms = INT64_MAX;
    return status == TALLY_CORRUPT ? TALLY_OK : status;
}

/* The oldest journal value, if it may be deleted; *sequence is 0 if it may not, or there is none.
 * A plausible header that is young is believed: that costs nothing, and errs on the safe side. What
 * makes a value old is checked, for one wrong bit must not end the dedup window early. */
static tally_status find_expired(struct ty_shard *shard, const struct ty_state_record *state,
                                 int64_t now_ms, uint64_t *sequence, size_t *length, bool *damaged)
{
    struct ty_journal_header header;
    int64_t arrived_ms;
    tally_status status =
        ty_store_first_journal(shard->store, sequence, length, &header, &shard->error);

    if (status != TALLY_OK || *sequence == 0)
        return status;
    arrived_ms = TY_MAX(header.arrival_ms, 0);
    if (*sequence >= state->replay_from ||
        (arrived_ms <= now_ms && !is_expired(shard, state, *sequence, arrived_ms, now_ms))) {
        *sequence = 0;
        return TALLY_OK;
    }
    status = find_arrival(shard, state, *sequence, &arrived_ms, damaged);
    if (status == TALLY_OK && !is_expired(shard, state, *sequence, arrived_ms, now_ms))
        *sequence = 0;
    return status;
}

tally_status ty_shard_trim(struct ty_shard *shard, struct ty_state_record *state,
                           int64_t arrival_ms, uint64_t *trimmed)
{
    uint64_t most = TRIMMED_MAX * (1 + (uint64_t)shard->launched);

    for (*trimmed = 0; *trimmed < most; ++*trimmed) {
        uint64_t sequence = 0;
        size_t length = 0;
        bool damaged = false;
        tally_status status = find_expired(shard, state, arrival_ms, &sequence, &length, &damaged);

        if (status != TALLY_OK || sequence == 0)
            return status;
        status = ty_store_delete_journal(shard->store, sequence, &shard->error);
        if (status == TALLY_OK)
            status = ty_store_delete_voids(shard->store, sequence, &shard->error);
        if (status != TALLY_OK)
            return status;
        if (damaged)
            ty_atomic_add(&shard->stats.damaged_values, 1, memory_order_relaxed);
        state->journal_bytes -= TY_MIN((uint64_t)length, state->journal_bytes);
    }
    return TALLY_OK;
}

static uint64_t reserve_bytes(uint64_t map_bytes)
{
    return TY_MIN(TY_MAX(map_bytes / RESERVE_PART, RESERVE_MIN), RESERVE_MAX);
}

/* What can still be written: free pages, and what the file may grow by. */
static uint64_t available(const struct ty_space *space)
{
    uint64_t growth = space->map_bytes - TY_MIN(space->file_bytes, space->map_bytes);

    return space->free_bytes + TY_MIN(growth, space->disk_bytes);
}

static tally_status read_space(struct ty_shard *shard, bool count_free, struct ty_space *space)
{
    tally_status status = ty_store_space(shard->store, count_free, space, &shard->error);

    if (status == TALLY_OK)
        ty_atomic_store(&shard->stats.disk_bytes, space->disk_bytes, memory_order_relaxed);
    return status;
}

bool ty_shard_is_full(struct ty_shard *shard)
{
    int64_t now_ns = ty_clock_mono_ns(&shard->options.clock);
    struct ty_space space;
    uint64_t reserve;

    if (shard->space_checked_ns != 0 && now_ns - shard->space_checked_ns < SPACE_CHECK_NS) {
        if (shard->full)
            ty_fail(&shard->error, TALLY_FULL, "%s", "no space is left beyond the reserve");
        return shard->full;
    }
    shard->space_checked_ns = now_ns;
    if (read_space(shard, false, &space) != TALLY_OK)
        return shard->full;
    reserve = reserve_bytes(space.map_bytes);
    if (available(&space) < reserve)
        (void)read_space(shard, true, &space);
    shard->full = available(&space) < reserve;
    if (shard->full)
        ty_fail(&shard->error, TALLY_FULL,
                "%llu of %llu MiB of the map are used and %llu MiB are free on the disk; "
                "events are refused below a reserve of %llu MiB",
                (unsigned long long)((space.file_bytes - space.free_bytes) >> 20),
                (unsigned long long)(space.map_bytes >> 20),
                (unsigned long long)(space.disk_bytes >> 20), (unsigned long long)(reserve >> 20));
    return shard->full;
}

/* --- Commits without events --- */

/* Drops rejects where their bound has been lowered since they were kept. */
static tally_status drop_rejects(struct ty_shard *shard, struct ty_rejects_record *rejects)
{
    tally_status status = TALLY_OK;

    if (rejects->bytes > shard->options.reject_bytes_max && rejects->count > 1)
        status = ty_store_drop_rejects(shard->store, shard->options.reject_bytes_max, rejects,
                                       &shard->error);
    if (status == TALLY_OK && rejects->count != shard->rejects.count)
        status = ty_store_put_rejects(shard->store, rejects, &shard->error);
    return status;
}

/* One commit of maintenance. *done is how much it stored: 0 when nothing was due. */
static tally_status maintain_once(struct ty_shard *shard, bool everything, bool months,
                                  uint64_t *done)
{
    struct ty_state_record state = shard->state;
    struct ty_rejects_record rejects = shard->rejects;
    uint64_t trimmed = 0, written = 0, dropped = 0, sealed = 0;
    bool works_ids;
    tally_status status = ty_store_begin(shard->store, &shard->error);

    *done = 0;
    if (status != TALLY_OK)
        return status;
    state.arrival_ms = shard->arrival.now_ms;
    status = ty_shard_trim(shard, &state, state.arrival_ms, &trimmed);
    if (status == TALLY_OK)
        status = drop_rejects(shard, &rejects);
    dropped = shard->rejects.count - rejects.count;
    if (status == TALLY_OK && months)
        status =
            ty_shard_write_months(shard, &state, state.last_sequence + 1, everything, &written);
    works_ids = status == TALLY_OK && shard->ids != NULL;
    if (works_ids)
        status = ty_id_index_work(shard->ids, IDS_IDLE, months && !shard->full, NULL, &sealed,
                                  &shard->error);
    *done = trimmed + written + dropped + sealed;
    if (status == TALLY_OK && *done != 0)
        status = ty_store_put_state(shard->store, &state, &shard->error);
    if (status != TALLY_OK || *done == 0)
        ty_store_abort(shard->store);
    else
        status = ty_store_commit(shard->store, &shard->error);
    if (works_ids && status == TALLY_OK)
        ty_id_index_committed(shard->ids);
    else if (works_ids)
        ty_id_index_reverted(shard->ids);
    if (status != TALLY_OK || *done == 0) {
        *done = 0;
        ty_hot_revert(&shard->hot);
        return status;
    }
    ty_hot_written(&shard->hot, state.last_sequence, is_pressed(shard), ty_shard_mono_ms(shard));
    shard->state = state;
    ty_shard_publish_rejects(shard, &rejects);
    ty_atomic_add(&shard->stats.checkpointed_months, written, memory_order_relaxed);
    ty_atomic_add(&shard->stats.trimmed_values, trimmed, memory_order_relaxed);
    return TALLY_OK;
}

static void note_failure(struct ty_shard *shard, tally_status status)
{
    if (status == TALLY_OK)
        return;
    ty_atomic_add(&shard->stats.commit_failures, 1, memory_order_relaxed);
    if (status == TALLY_UNKNOWN)
        shard->failed = true;
}

/* Everything is stored and nothing is hot: what malloc still holds goes back to the kernel, once.
 */
static void release_memory(struct ty_shard *shard)
{
    if (shard->released_at == shard->commit_number || !TAILQ_EMPTY(&shard->hot.dirty) ||
        !TAILQ_EMPTY(&shard->hot.clean))
        return;
    for (size_t i = 0; i < TY_COUNT_OF(shard->commits); i++) {
        ty_buffer_fini(&shard->commits[i].journal);
        ty_puts_fini(&shard->commits[i].puts);
    }
    malloc_trim(0);
    shard->released_at = shard->commit_number;
}

int64_t ty_shard_maintain(struct ty_shard *shard)
{
    int64_t wall_ms = ty_clock_wall_ms(&shard->options.clock);
    uint64_t done = 0;
    tally_status status;

    if (shard->failed)
        return 1000;
    ty_shard_advance_arrival(shard, wall_ms, shard->state.last_sequence + 1);
    (void)ty_shard_is_full(shard); /* Others take space and free it, too; /readyz must tell. */
    status = maintain_once(shard, false, true, &done);
    if (status == TALLY_FULL) /* No room for months: trimming alone may make some. */
        status = maintain_once(shard, false, false, &done);
    note_failure(shard, status);
    ty_hot_rest(&shard->hot, ty_shard_mono_ms(shard), shard->options.checkpoint_ms,
                shard->options.hot_bytes);
    release_memory(shard);
    ty_shard_publish_gauges(shard);
    return done != 0 ? 0 : 1000;
}

tally_status ty_shard_flush(struct ty_shard *shard, tally_error *error)
{
    uint64_t done = 1;

    while (done != 0 && !shard->failed) {
        tally_status status = maintain_once(shard, true, true, &done);

        note_failure(shard, status);
        if (status != TALLY_OK)
            return ty_fail(error, status, "%s", shard->error.message);
    }
    return TALLY_OK;
}
