#include "query/feed.h"

#include <string.h>

#include "engine/timestamp.h"
#include "storage/snapshot.h"

/* What a page reads of the journal at most, beyond the value in which it passes it. */
#define SCANNED_BYTES_MAX ((size_t)4 << 20)

struct reader {
    const struct ty_feed_query *query;
    bool (*each)(void *context, const struct ty_feed_event *event);
    void *context;
    struct ty_feed_cursor *cursor;
    struct ty_feed_page *page;
    struct ty_snapshot *snapshot;
    tally_error *error;
    tally_status status;
    bool full;      /* the page is complete */
    size_t scanned; /* bytes of journal values */
    /* The series of the event before: events of a series stand side by side. */
    bool has_series;
    uint32_t series;
    struct ty_uuid customer;
    struct ty_uuid workflow;
};

static uint64_t *position(const struct reader *reader)
{
    return &reader->cursor->sequences[reader->cursor->shard];
}

/* --- Events of a value --- */

static bool fail(struct reader *reader, uint64_t sequence, const char *problem)
{
    reader->status = ty_fail(reader->error, TALLY_CORRUPT, "journal value %llu: %s",
                             (unsigned long long)sequence, problem);
    return false;
}

static bool find_series(struct reader *reader, uint64_t sequence, uint32_t series)
{
    tally_error problem = {""};

    if (reader->has_series && reader->series == series)
        return true;
    reader->status = ty_snapshot_get_series(reader->snapshot, series, &reader->customer,
                                            &reader->workflow, &problem);
    reader->has_series = reader->status == TALLY_OK;
    reader->series = series;
    if (reader->status == TALLY_CORRUPT)
        return fail(reader, sequence, problem.message);
    if (reader->status != TALLY_OK)
        ty_fail(reader->error, reader->status, "%s", problem.message);
    return reader->has_series;
}

static bool is_time(int64_t ms)
{
    return ms >= TY_TIMESTAMP_MS_MIN && ms <= TY_TIMESTAMP_MS_MAX;
}

static bool is_within(const struct ty_feed_span *span, int64_t ms)
{
    return span == NULL || (ms >= span->first_ms && ms <= span->last_ms);
}

static bool is_text(struct ty_text wanted, struct ty_text text)
{
    return wanted.data == NULL ||
           (wanted.length == text.length &&
            (text.length == 0 || memcmp(wanted.data, text.data, text.length) == 0));
}

/* Whether an entry is wanted that came at `came_ms`, of an event that was stored at received_ms. */
static bool is_wanted(const struct reader *reader, const struct ty_event *event,
                      int64_t received_ms, int64_t came_ms)
{
    const struct ty_feed_query *query = reader->query;
    int64_t time_ms = ty_event_counts_at_ms(event, received_ms);

    return (query->customer == NULL || ty_uuid_compare(query->customer, &reader->customer) == 0) &&
           is_text(query->id, event->id) && is_text(query->source, event->source) &&
           is_within(query->counted, time_ms) && is_within(query->received, came_ms);
}

static bool has_times(const struct ty_event *event, int64_t received_ms)
{
    return is_time(received_ms) &&
           (event->time_ms == TALLY_TIME_OF_ARRIVAL || is_time(event->time_ms));
}

/* Finds whether an event is void; *note is then filled. */
static bool find_void(struct reader *reader, uint64_t sequence,
                      const struct ty_journal_record *record, struct ty_void_note *note,
                      bool *found)
{
    struct ty_journal_place place = {sequence, record->series, record->index};
    tally_error problem = {""};

    reader->status = ty_snapshot_get_void(reader->snapshot, &place, found, note, &problem);
    if (reader->status == TALLY_CORRUPT)
        return fail(reader, sequence, problem.message);
    if (reader->status != TALLY_OK)
        ty_fail(reader->error, reader->status, "%s", problem.message);
    return reader->status == TALLY_OK;
}

/* Hands an entry on. False: something is wrong with it. */
static bool hand_on(struct reader *reader, uint64_t sequence, struct ty_journal_record *record,
                    const struct ty_feed_event *given)
{
    if (!has_times(&record->event, given->received_ms) ||
        (given->voided != NULL && !is_time(given->voided->voided_ms)))
        return fail(reader, sequence, "a time is outside of the years 1 to 9999");
    record->event.customer = reader->customer;
    record->event.workflow = reader->workflow;
    reader->page->count++;
    reader->full =
        !reader->each(reader->context, given) || reader->page->count == reader->query->limit;
    return true;
}

/* Gives an event on, if it is wanted. False: something is wrong. */
static bool give_event(struct reader *reader, uint64_t sequence, int64_t received_ms,
                       struct ty_journal_record *record)
{
    struct ty_feed_event given = {.event = &record->event, .received_ms = received_ms};
    enum ty_feed_status status = reader->query->status;
    struct ty_void_note note;
    bool found;

    if (!is_wanted(reader, &record->event, received_ms, received_ms))
        return true;
    if (!find_void(reader, sequence, record, &note, &found))
        return false;
    if (status != TY_FEED_ANY && found != (status == TY_FEED_VOIDED))
        return true;
    given.voided = found ? &note : NULL;
    return hand_on(reader, sequence, record, &given);
}

/* The same with a void, which came at `came_ms`. */
static bool give_void(struct reader *reader, uint64_t sequence, int64_t came_ms,
                      struct ty_journal_record *record)
{
    struct ty_void_note note = {sequence, came_ms, record->reason};
    struct ty_feed_event given = {.event = &record->event,
                                  .received_ms = record->voided_received_ms,
                                  .voided = &note,
                                  .is_void = true};

    if (!reader->query->voids ||
        !is_wanted(reader, &record->event, record->voided_received_ms, came_ms))
        return true;
    return hand_on(reader, sequence, record, &given);
}

/* Gives an entry on, if it is wanted. False: the page is full, or something is wrong. */
static bool give(struct reader *reader, uint64_t sequence, int64_t received_ms,
                 struct ty_journal_record *record)
{
    if (!find_series(reader, sequence, record->series) ||
        !(record->kind == TY_JOURNAL_VOID ? give_void : give_event)(reader, sequence, received_ms,
                                                                    record))
        return false;
    reader->cursor->index++;
    return !reader->full;
}

/* Gives the entries of a value from cursor->index on. */
static void read_events(struct reader *reader, uint64_t sequence, struct ty_journal_cursor *journal)
{
    uint64_t before = reader->cursor->index; /* given by earlier pages */
    struct ty_journal_record record;

    while (ty_journal_next(journal, &record)) {
        if (record.kind == TY_JOURNAL_SERIES)
            continue;
        if (before > 0)
            before--;
        else if (!give(reader, sequence, journal->header.received_ms, &record))
            return;
    }
    if (before > 0 && journal->problem == NULL)
        reader->status = ty_fail(reader->error, TALLY_INVALID,
                                 "a cursor of another database: value %llu has fewer events",
                                 (unsigned long long)sequence);
}

static bool read_value(void *context, uint64_t sequence, struct ty_journal_cursor *journal,
                       size_t length)
{
    struct reader *reader = context;

    if (sequence != *position(reader)) {
        reader->status = ty_fail(reader->error, TALLY_CORRUPT, "the journal lacks value %llu",
                                 (unsigned long long)*position(reader));
        return false;
    }
    read_events(reader, sequence, journal);
    if (reader->status != TALLY_OK || reader->full || journal->problem != NULL)
        return false;
    *position(reader) = sequence + 1;
    reader->cursor->index = 0;
    reader->scanned += length;
    reader->full = reader->scanned >= SCANNED_BYTES_MAX;
    return !reader->full;
}

/* --- Shards --- */

/* Which values there are. A damaged header of the first is met again, and told, when it is read. */
static tally_status read_extent(struct ty_snapshot *snapshot, struct ty_journal_extent *extent,
                                tally_error *error)
{
    tally_status status = ty_snapshot_journal_extent(snapshot, extent, error);

    return status == TALLY_CORRUPT && extent->first != 0 ? TALLY_OK : status;
}

/* The oldest value that is kept, or the next one that there will be. */
static uint64_t oldest(const struct ty_journal_extent *extent)
{
    return extent->first != 0 ? extent->first : extent->committed + 1;
}

/* Puts the shard's position onto a value that is there, or behind the last one. */
static tally_status settle(struct reader *reader, const struct ty_journal_extent *extent)
{
    uint64_t *at = position(reader);

    if (*at == extent->committed + 1 && reader->cursor->index == 0)
        return TALLY_OK;
    if (*at > extent->committed)
        return ty_fail(reader->error, TALLY_INVALID,
                       "a cursor of another database: shard %u has no value %llu yet",
                       reader->cursor->shard, (unsigned long long)*at);
    if (*at < oldest(extent)) {
        reader->page->trimmed |= *at != 0;
        *at = oldest(extent);
        reader->cursor->index = 0; /* It must not be taken for a place in another value. */
    }
    return TALLY_OK;
}

static tally_status read_journal(struct reader *reader)
{
    struct ty_journal_extent extent;
    tally_status status = read_extent(reader->snapshot, &extent, reader->error);

    if (status == TALLY_OK)
        status = settle(reader, &extent);
    if (status != TALLY_OK)
        return status;
    reader->has_series = false; /* Their numbers are each shard's own. */
    status = ty_snapshot_each_journal(reader->snapshot, *position(reader), read_value, reader,
                                      reader->error);
    return status != TALLY_OK ? status : reader->status;
}

static tally_status read_shard(struct reader *reader, const struct ty_database *database)
{
    unsigned shard = reader->cursor->shard;
    struct ty_shard *of = ty_database_shard(database, shard);
    struct ty_store *store = ty_shard_view(of).store;
    tally_status status = ty_snapshot_begin(store, &reader->snapshot, reader->error);
    tally_error problem;

    if (status != TALLY_OK)
        return status;
    status = read_journal(reader);
    ty_snapshot_end(store, reader->snapshot);
    if (status == TALLY_CORRUPT && reader->error != NULL) {
        problem = *reader->error;
        ty_fail(reader->error, status, "shard %u: %.220s", shard, problem.message);
    }
    return status;
}

/* The oldest values as they are now become a new reader's positions in all shards at once, so that
 * it is told when one of them is trimmed before it gets there. */
static tally_status begin(const struct ty_database *database, struct ty_feed_cursor *cursor,
                          unsigned shard, tally_error *error)
{
    struct ty_shard *of = ty_database_shard(database, shard);
    struct ty_store *store = ty_shard_view(of).store;
    struct ty_journal_extent extent;
    struct ty_snapshot *snapshot;
    tally_status status;

    if (cursor->sequences[shard] != 0)
        return TALLY_OK;
    status = ty_snapshot_begin(store, &snapshot, error);
    if (status != TALLY_OK)
        return status;
    status = read_extent(snapshot, &extent, error);
    ty_snapshot_end(store, snapshot);
    if (status == TALLY_OK)
        cursor->sequences[shard] = oldest(&extent);
    return status;
}

/* Damage behind events that were given ends their page; the next one tells. */
static tally_status meet_damage(struct reader *reader)
{
    if (reader->page->count != 0 || reader->page->trimmed) {
        reader->full = true;
        return TALLY_OK;
    }
    ++*position(reader);
    reader->cursor->index = 0;
    return TALLY_CORRUPT;
}

static unsigned shard_of(const struct ty_database *database, const struct ty_uuid *customer)
{
    struct ty_shard *shard = ty_database_shard_of(database, customer);
    unsigned i = 0;

    while (ty_database_shard(database, i) != shard)
        i++;
    return i;
}

static tally_status read_page(struct reader *reader, const struct ty_database *database,
                              unsigned shards)
{
    unsigned count = ty_database_shard_count(database);
    struct ty_feed_cursor *cursor = reader->cursor;
    tally_status status = TALLY_OK;

    for (unsigned i = 0; i < shards && status == TALLY_OK; i++)
        status = begin(database, cursor, (cursor->shard + i) % count, reader->error);
    for (unsigned i = 0; i < shards && status == TALLY_OK && !reader->full; i++) {
        status = read_shard(reader, database);
        if (status == TALLY_CORRUPT)
            status = meet_damage(reader);
        if (status == TALLY_OK && !reader->full && reader->query->customer == NULL)
            cursor->shard = (cursor->shard + 1) % count;
    }
    reader->page->end = !reader->full;
    return status;
}

tally_status ty_feed_read(const struct ty_database *database, const struct ty_feed_query *query,
                          struct ty_feed_cursor *cursor,
                          bool (*each)(void *context, const struct ty_feed_event *event),
                          void *context, struct ty_feed_page *page, tally_error *error)
{
    struct ty_feed_cursor moved = *cursor;
    struct reader reader = {.query = query,
                            .each = each,
                            .context = context,
                            .cursor = &moved,
                            .page = page,
                            .error = error};
    unsigned shards = ty_database_shard_count(database);
    tally_status status;

    TY_ASSERT(query->limit >= 1 && shards <= TY_FEED_SHARDS_MAX);
    *page = (struct ty_feed_page){0};
    if (query->customer != NULL) {
        unsigned shard = shard_of(database, query->customer);

        if (shard != moved.shard)
            moved.index = 0; /* It was of the other shard. */
        moved.shard = shard;
        shards = 1;
    }
    status = read_page(&reader, database, shards);
    if (status == TALLY_OK || status == TALLY_CORRUPT)
        *cursor = moved;
    return status;
}
