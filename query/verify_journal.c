/*
 * verify_journal.c: the journal of a shard that is verified: its order, its events' ids, and what
 * they add up to.
 */
#include "query/verify_internal.h"

#include <inttypes.h>

/* Whether an id that counts again may have been forgotten in between, before its time: for lack of
 * memory, or under a shorter window. */
static bool may_be_forgotten(const struct ty_verifier *verifier, const struct ty_key *key)
{
    return ty_dedup_arrived_ms(verifier->dedup, key) - TY_VERIFY_ROUNDED_MS <=
           verifier->runs.forgotten_until_ms;
}

static void check_id(struct ty_verifier *verifier, const struct ty_series *series,
                     uint64_t sequence, struct ty_event *event)
{
    enum ty_dedup_answer answer;

    if (verifier->dedup == NULL || !verifier->has_database)
        return;
    event->customer = series->customer;
    event->workflow = series->workflow;
    ty_event_hash(event, &verifier->database->secret);
    ty_verify_seek_id(verifier, series, sequence, &event->key);
    answer = ty_dedup_find(verifier->dedup, &event->key, event->content);
    if (answer != TY_DEDUP_NEW && may_be_forgotten(verifier, &event->key)) {
        verifier->counts->repeated_ids++;
        answer = TY_DEDUP_NEW;
    }
    if (answer == TY_DEDUP_NEW)
        (void)ty_dedup_add(verifier->dedup, &event->key, event->content);
    else
        ty_verify_tell(verifier, series, "",
                       "journal value %" PRIu64 ": the id '%.*s' counts a second time%s", sequence,
                       (int)event->id.length, event->id.data,
                       answer == TY_DEDUP_CONFLICT ? ", with other content" : "");
}

/* The day of an event, with the stamp up to which its month is complete. NULL: no memory. */
static struct ty_verify_day *day_of(struct ty_verifier *verifier, const struct ty_series *series,
                                    int32_t day)
{
    struct ty_verify_day *found = ty_verify_days_find(&verifier->days, series->id, day);
    struct ty_month_block month;
    tally_error ignored; /* The blocks' own check tells. */

    if (found != NULL)
        return found;
    found = ty_verify_days_add(&verifier->days, series->id, day);
    if (found == NULL) {
        verifier->counts->uncompared++;
        return NULL;
    }
    found->unsure = ty_store_get_month(verifier->store, series->id, ty_month_of_day(day), &month,
                                       &ignored) != TALLY_OK;
    found->stamp = month.stamp;
    return found;
}

static void count_event(struct ty_verifier *verifier, const struct ty_series *series,
                        uint64_t sequence, int64_t received_ms, const struct ty_event *event)
{
    int64_t time_ms = ty_event_counts_at_ms(event, received_ms);
    int32_t day = ty_day_of_ms(time_ms);
    struct ty_verify_day *found = ty_verify_is_day(day) ? day_of(verifier, series, day) : NULL;
    char date[TY_PERIOD_TEXT_BYTES];

    if (found == NULL || found->unsure)
        return;
    if (sequence <= found->stamp) {
        ty_verify_day_count(found, (unsigned)(ty_slot_of_ms(time_ms) % TY_SLOTS_PER_DAY), event);
    } else if (verifier->has_state && sequence < verifier->state.replay_from && !found->reported) {
        found->reported = true;
        ty_verify_date(TALLY_DAILY, day, date);
        ty_verify_tell(verifier, series, date,
                       "%s lacks events of journal value %" PRIu64
                       ", which a start would not count: it begins with value %" PRIu64,
                       date, sequence, verifier->state.replay_from);
    }
}

static void visit_event(struct ty_verifier *verifier, uint64_t sequence, int64_t received_ms,
                        struct ty_journal_record *record)
{
    const struct ty_series *series = ty_series_get(&verifier->series, record->series);

    verifier->counts->events++;
    if (series == NULL) {
        ty_verify_tell(verifier, NULL, "",
                       "journal value %" PRIu64 " has an event of series %u, which is %s", sequence,
                       record->series, verifier->series_damaged ? "damaged" : "unknown");
        return;
    }
    check_id(verifier, series, sequence, &record->event);
    count_event(verifier, series, sequence, received_ms, &record->event);
}

/* That an event is void has to be known by its place, or it could be taken out again. */
static void check_mark(struct ty_verifier *verifier, const struct ty_series *series,
                       uint64_t sequence, const struct ty_journal_record *record)
{
    const struct ty_journal_place place = {record->voided_sequence, record->series, record->index};
    struct ty_void_note note = {0};
    tally_error problem;
    bool found;

    if (ty_store_get_void(verifier->store, &place, &found, &note, &problem) != TALLY_OK)
        ty_verify_tell(verifier, series, "", "%s", problem.message);
    else if (!found || note.sequence != sequence)
        ty_verify_tell(verifier, series, "",
                       "journal value %" PRIu64 " voids event %u of value %" PRIu64 ", which is %s",
                       sequence, record->index, record->voided_sequence,
                       found ? "marked as voided by another one" : "not marked as void");
}

/* What is void counts no more, up to the stamp that has the void. */
static void visit_void(struct ty_verifier *verifier, uint64_t sequence,
                       const struct ty_journal_record *record)
{
    const struct ty_series *series = ty_series_get(&verifier->series, record->series);
    const struct ty_event *event = &record->event;
    int64_t time_ms = ty_event_counts_at_ms(event, record->voided_received_ms);
    int32_t day = ty_day_of_ms(time_ms);
    struct ty_verify_day *found;

    verifier->counts->voids++;
    verifier->void_count += record->voided_sequence >= verifier->first_value;
    if (series == NULL) {
        ty_verify_tell(verifier, NULL, "",
                       "journal value %" PRIu64 " has a void of series %u, which is %s", sequence,
                       record->series, verifier->series_damaged ? "damaged" : "unknown");
        return;
    }
    /* The event of one that was trimmed was not counted here, nor its mark kept. */
    if (record->voided_sequence < verifier->first_value || !ty_verify_is_day(day))
        return;
    check_mark(verifier, series, sequence, record);
    found = day_of(verifier, series, day);
    if (found == NULL)
        return;
    found->unsure |= verifier->journal_damaged; /* The event may have been in what is damaged. */
    if (!found->unsure && sequence <= found->stamp)
        ty_verify_day_void(found, (unsigned)(ty_slot_of_ms(time_ms) % TY_SLOTS_PER_DAY), event);
}

/* A series that a value says was made by it. */
static void visit_made(struct ty_verifier *verifier, uint64_t sequence,
                       const struct ty_journal_record *record)
{
    const struct ty_series *series = ty_series_get(&verifier->series, record->series);

    if (series == NULL || ty_uuid_compare(&series->customer, &record->customer) != 0 ||
        ty_uuid_compare(&series->workflow, &record->workflow) != 0)
        ty_verify_tell(
            verifier, series, "", "journal value %" PRIu64 " made series %u, which is %s", sequence,
            record->series, series == NULL ? "not there" : "of another customer or workflow now");
}

void ty_verify_sequence(struct ty_verifier *verifier, uint64_t sequence)
{
    if (verifier->first_value == 0)
        verifier->first_value = sequence;
    else if (sequence != verifier->next_value)
        ty_verify_tell(verifier, NULL, "",
                       "the journal lacks value %" PRIu64 ": behind it comes %" PRIu64,
                       verifier->next_value, sequence);
    verifier->journal_damaged |= verifier->next_value != 0 && sequence != verifier->next_value;
    verifier->next_value = sequence + 1;
}

static void check_clock(struct ty_verifier *verifier, uint64_t sequence, int64_t arrival_ms)
{
    if (arrival_ms < verifier->arrival_ms)
        ty_verify_tell(verifier, NULL, "",
                       "journal value %" PRIu64 " arrived before the one before it, by %" PRId64
                       " ms",
                       sequence, verifier->arrival_ms - arrival_ms);
    verifier->arrival_ms = TY_MAX(verifier->arrival_ms, arrival_ms);
    if (verifier->dedup != NULL)
        ty_dedup_advance(verifier->dedup, verifier->arrival_ms, sequence);
}

void ty_verify_value(void *context, uint64_t sequence, struct ty_journal_cursor *cursor,
                     size_t length)
{
    struct ty_verifier *verifier = context;
    struct ty_journal_record record;

    verifier->counts->values++;
    verifier->journal_bytes += length;
    ty_verify_sequence(verifier, sequence);
    check_clock(verifier, sequence, cursor->header.arrival_ms);
    while (ty_journal_next(cursor, &record)) {
        if (record.kind == TY_JOURNAL_EVENT)
            visit_event(verifier, sequence, cursor->header.received_ms, &record);
        else if (record.kind == TY_JOURNAL_SERIES)
            visit_made(verifier, sequence, &record);
        else if (record.kind == TY_JOURNAL_VOID)
            visit_void(verifier, sequence, &record);
        else
            verifier->journal_damaged = true; /* Something that sums, or not: not known here. */
    }
    verifier->journal_damaged |= cursor->problem != NULL;
}

void ty_verify_journal_ends(struct ty_verifier *verifier)
{
    const struct ty_state_record *state = &verifier->state;

    if (verifier->dedup != NULL)
        verifier->counts->id_window_ms =
            ty_dedup_gauges(verifier->dedup).window_ms + TY_VERIFY_ROUNDED_MS;
    ty_dedup_free(verifier->dedup); /* The memory is used for what comes next. */
    verifier->dedup = NULL;
    if (!verifier->has_state)
        return;
    if (verifier->first_value != 0 && verifier->next_value != state->last_sequence + 1)
        ty_verify_tell(verifier, NULL, "",
                       "the journal ends with value %" PRIu64 " instead of %" PRIu64,
                       verifier->next_value - 1, state->last_sequence);
    if (state->last_sequence != 0 && state->replay_from <= state->last_sequence &&
        (verifier->first_value == 0 || verifier->first_value > state->replay_from))
        ty_verify_tell(verifier, NULL, "",
                       "blocks lack events from value %" PRIu64
                       " on, but the journal begins with %" PRIu64,
                       state->replay_from, verifier->first_value);
    if (verifier->arrival_ms > state->arrival_ms)
        ty_verify_tell(verifier, NULL, "",
                       "the last journal value arrived after the state record was stored");
    if (!verifier->journal_damaged && verifier->journal_bytes != state->journal_bytes)
        ty_verify_tell(verifier, NULL, "",
                       "the journal has %" PRIu64 " bytes, the state record says %" PRIu64,
                       verifier->journal_bytes, state->journal_bytes);
}

/* --- Marks --- */

void ty_verify_mark(void *context, const struct ty_journal_place *place)
{
    struct ty_verifier *verifier = context;
    bool is_there = verifier->first_value != 0 && place->sequence >= verifier->first_value &&
                    place->sequence < verifier->next_value;

    verifier->marks += is_there;
    if (!is_there && !verifier->journal_damaged)
        ty_verify_tell(verifier, NULL, "",
                       "event %u of series %u in value %" PRIu64
                       " is marked as void, but the journal has no such value",
                       place->index, place->series, place->sequence);
}

/* Each of the voids has a mark, or that was told. */
void ty_verify_marks_end(struct ty_verifier *verifier)
{
    if (verifier->marks > verifier->void_count && !verifier->journal_damaged)
        ty_verify_tell(verifier, NULL, "",
                       "%" PRIu64 " events are marked as void, the journal has %" PRIu64
                       " voids of them",
                       verifier->marks, verifier->void_count);
}
