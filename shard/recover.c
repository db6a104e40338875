/*
 * recover.c: a shard's memory out of its storage: series, what blocks lack, remembered ids.
 *
 * Every start recovers; there is no flag for a clean end. The journal is read once, from the
 * older of two places: where blocks begin to lack events, and where the dedup window begins.
 */
#include "shard/shard_internal.h"

#define IDS_AT_ONCE     64 /* enough for the memory of all of them to arrive meanwhile */
#define BYTES_PER_EVENT 40 /* of the journal; most take less, so that ids are not overestimated */

struct replay {
    struct ty_shard *shard;
    struct { /* ids whose memory is on its way */
        struct ty_key key;
        uint64_t content;
    } ids[IDS_AT_ONCE];
    uint32_t id_count;
    uint64_t window_from; /* first sequence whose ids are remembered */
    uint64_t last;        /* sequence seen last; at first the one before where it begins */
};

static tally_status load_one_series(void *context, uint32_t id, const struct ty_uuid *customer,
                                    const struct ty_uuid *workflow)
{
    struct ty_shard *shard = context;
    struct ty_series *series;

    if (ty_series_full(&shard->series))
        return ty_fail(&shard->error, TALLY_INVALID,
                       "the database has more series than the limit allows; raise the limit");
    series = ty_series_add(&shard->series, customer, workflow, id);
    if (series == NULL)
        return ty_fail(&shard->error, TALLY_NO_MEMORY, "no memory for the series");
    series->stored = true;
    return TALLY_OK;
}

/* Counts an event in its slot, or takes it out again (`change`), unless the blocks that its month
 * was loaded from have done so. */
static tally_status replay_into_slot(struct ty_shard *shard, struct ty_series *series,
                                     const struct ty_event *event, int64_t received_ms,
                                     uint64_t sequence,
                                     bool (*change)(struct ty_hot *hot, struct ty_slot_node *slot,
                                                    const struct ty_event *event),
                                     tally_error *error)
{
    int64_t time_ms = ty_event_counts_at_ms(event, received_ms);
    struct ty_slot_node *slot;
    tally_status status =
        ty_hot_slot(&shard->hot, series, ty_slot_of_ms(time_ms), ty_shard_mono_ms(shard), &slot);

    if (status != TALLY_OK)
        return ty_fail(error, status, "%s",
                       status == TALLY_NO_MEMORY ? "no memory to replay" : shard->error.message);
    if (slot->day->month->stamp >= sequence)
        return TALLY_OK;
    if (!change(&shard->hot, slot, event))
        return ty_fail(error, TALLY_CORRUPT, "journal value %llu does not fit its slot",
                       (unsigned long long)sequence);
    return TALLY_OK;
}

static tally_status remember_ids(struct replay *replay, tally_error *error)
{
    for (uint32_t i = 0; i < replay->id_count; i++)
        if (!ty_id_index_add(replay->shard->ids, &replay->ids[i].key, replay->ids[i].content))
            return ty_fail(error, TALLY_NO_MEMORY, "no memory for the remembered ids");
    replay->id_count = 0;
    return TALLY_OK;
}

static tally_status remember_later(struct replay *replay, struct ty_event *event,
                                   tally_error *error)
{
    ty_event_hash(event, &replay->shard->secret);
    ty_id_index_prefetch(replay->shard->ids, &event->key);
    replay->ids[replay->id_count].key = event->key;
    replay->ids[replay->id_count].content = event->content;
    return ++replay->id_count == IDS_AT_ONCE ? remember_ids(replay, error) : TALLY_OK;
}

static tally_status replay_event(struct replay *replay, uint64_t sequence, int64_t received_ms,
                                 struct ty_journal_record *record, tally_error *error)
{
    struct ty_shard *shard = replay->shard;
    struct ty_event *event = &record->event;
    struct ty_series *series = ty_series_get(&shard->series, record->series);

    if (series == NULL)
        return ty_fail(error, TALLY_CORRUPT, "journal value %llu names series %u, which is unknown",
                       (unsigned long long)sequence, record->series);
    event->customer = series->customer;
    event->workflow = series->workflow;
    if (shard->ids != NULL && sequence >= replay->window_from) {
        tally_status status = remember_later(replay, event, error);

        if (status != TALLY_OK)
            return status;
    }
    if (sequence < shard->state.replay_from)
        return TALLY_OK;
    return replay_into_slot(shard, series, event, received_ms, sequence, ty_hot_add, error);
}

static tally_status replay_void(struct ty_shard *shard, uint64_t sequence,
                                const struct ty_journal_record *record, tally_error *error)
{
    struct ty_series *series = ty_series_get(&shard->series, record->series);

    if (series == NULL || ty_event_counts_at_ms(&record->event, record->voided_received_ms) < 0)
        return ty_fail(error, TALLY_CORRUPT, "journal value %llu voids what cannot have been",
                       (unsigned long long)sequence);
    return replay_into_slot(shard, series, &record->event, record->voided_received_ms, sequence,
                            ty_hot_subtract, error);
}

static tally_status replay_value(void *context, uint64_t sequence, struct ty_journal_cursor *cursor,
                                 size_t length, tally_error *error)
{
    struct replay *replay = context;
    struct ty_shard *shard = replay->shard;
    struct ty_journal_record record;
    tally_status status = TALLY_OK;

    (void)length;
    if (sequence != replay->last + 1)
        return ty_fail(error, TALLY_CORRUPT, "the journal lacks value %llu",
                       (unsigned long long)(replay->last + 1));
    replay->last = sequence;
    if (shard->ids != NULL && sequence >= replay->window_from)
        ty_id_index_advance(shard->ids, cursor->header.arrival_ms, sequence);
    while (status == TALLY_OK && ty_journal_next(cursor, &record))
        if (record.kind == TY_JOURNAL_EVENT)
            status = replay_event(replay, sequence, cursor->header.received_ms, &record, error);
        else if (record.kind == TY_JOURNAL_VOID && sequence >= shard->state.replay_from)
            status = replay_void(shard, sequence, &record, error);
    if (status == TALLY_OK) /* They arrived with this value, so not later than the next. */
        status = remember_ids(replay, error);
    if (status == TALLY_OK && cursor->problem == NULL)
        ty_hot_publish(&shard->hot, sequence, ty_shard_mono_ms(shard));
    return status;
}

/* How many ids the journal has from a value on, if its values are of one size. */
static uint64_t estimate_ids(const struct ty_shard *shard, uint64_t first, uint64_t from)
{
    uint64_t values = shard->state.last_sequence - first + 1;
    uint64_t wanted = shard->state.last_sequence - from + 1;

    return shard->state.journal_bytes / values * wanted / BYTES_PER_EVENT;
}

/* Where in the journal the remembered ids begin that are in no sealed run. */
static tally_status find_window(struct ty_shard *shard, uint64_t *from, tally_error *error)
{
    struct ty_journal_header header;
    uint64_t first = 0, unsealed;
    size_t length;
    tally_status status = ty_store_first_journal(shard->store, &first, &length, &header, error);

    *from = shard->state.last_sequence + 1;
    if (status != TALLY_OK || first == 0 || shard->ids == NULL)
        return status;
    unsealed = ty_id_index_sealed_sequence(shard->ids) + 1;
    status =
        ty_store_find_arrival(shard->store, TY_MAX(first, unsealed), shard->state.last_sequence,
                              shard->arrival.now_ms - shard->options.dedup_window_ms, from, error);
    if (status == TALLY_OK && *from == first) /* Nothing older may be hidden. */
        status =
            ty_store_check_first_journal(shard->store, first, shard->state.last_sequence, error);
    if (status == TALLY_OK)
        ty_id_index_expect(shard->ids, estimate_ids(shard, first, *from));
    return status;
}

static tally_status load_runs(struct ty_shard *shard, tally_error *error)
{
    tally_status status = TALLY_OK;

    if (shard->ids != NULL)
        status = ty_id_index_load(shard->ids, error);
    if (status == TALLY_OK && shard->ids != NULL &&
        ty_id_index_sealed_sequence(shard->ids) > shard->state.last_sequence)
        return ty_fail(error, TALLY_CORRUPT,
                       "ids are sealed up to journal value %llu, but the last one is %llu",
                       (unsigned long long)ty_id_index_sealed_sequence(shard->ids),
                       (unsigned long long)shard->state.last_sequence);
    return status;
}

static tally_status replay_journal(struct ty_shard *shard, tally_error *error)
{
    struct replay replay = {.shard = shard};
    uint64_t from;
    tally_status status = load_runs(shard, error);

    if (status == TALLY_OK)
        status = find_window(shard, &replay.window_from, error);
    if (status != TALLY_OK)
        return status;
    from = TY_MIN(shard->state.replay_from, replay.window_from);
    if (from > shard->state.last_sequence)
        return TALLY_OK;
    replay.last = from - 1;
    status = ty_store_each_journal(shard->store, from, replay_value, &replay, error);
    if (status == TALLY_OK && replay.last != shard->state.last_sequence)
        return ty_fail(error, TALLY_CORRUPT, "the journal ends at value %llu instead of %llu",
                       (unsigned long long)replay.last,
                       (unsigned long long)shard->state.last_sequence);
    return status;
}

static tally_status recover(struct ty_shard *shard, tally_error *error)
{
    const struct ty_clock *clock = &shard->options.clock;
    tally_status status = ty_store_get_state(shard->store, &shard->state, error);

    if (status == TALLY_OK)
        status = ty_store_check_journal(shard->store, &shard->state, error);
    if (status == TALLY_OK)
        status = ty_store_get_rejects(shard->store, &shard->rejects, error);
    if (status != TALLY_OK)
        return status;
    ty_arrival_start(&shard->arrival, shard->state.arrival_ms, ty_clock_wall_ms(clock),
                     ty_clock_mono_ns(clock));
    if (shard->state.replay_from == 0)
        shard->state.replay_from = 1; /* A new shard: nothing is lacking before value 1. */
    shard->error.message[0] = '\0';
    status = ty_store_each_series(shard->store, load_one_series, shard, error);
    if (status != TALLY_OK)
        return shard->error.message[0] == '\0' ? status
                                               : ty_fail(error, status, "%s", shard->error.message);
    status = ty_shard_load_closings(shard, error);
    if (status == TALLY_OK)
        status = replay_journal(shard, error);
    if (status == TALLY_OK && shard->ids != NULL)
        ty_id_index_advance(shard->ids, shard->arrival.now_ms, shard->state.last_sequence + 1);
    return status;
}

tally_status ty_shard_recover(struct ty_shard *shard, tally_error *error)
{
    tally_status status = ty_store_begin(shard->store, error);

    if (status != TALLY_OK)
        return status;
    /* Hot totals load from the transaction; nothing is written in it. */
    status = recover(shard, error);
    ty_store_abort(shard->store);
    return status;
}
