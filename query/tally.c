/*
 * tally.c: the embedded API (include/tally.h) over database and queries.
 */
#include "query/tally_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/decimal.h"
#include "engine/utf8.h"
#include "query/closing.h"
#include "query/rollup.h"
#include "shard/waiter.h"

tally_status tally_open(const tally_options *options, tally **out, tally_error *error)
{
    tally *db = malloc(sizeof(*db));
    tally_status status;

    if (db == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for the database");
    status = ty_database_open(options, NULL, &db->database, error);
    if (status != TALLY_OK) {
        free(db);
        return status;
    }
    *out = db;
    return TALLY_OK;
}

void tally_close(tally *db)
{
    if (db == NULL)
        return;
    ty_database_close(db->database);
    free(db);
}

/* --- Ingest --- */

/* U+0000 is refused, as the decoders do: too many programs end a text there. */
tally_result ty_tally_check_text(const char *data, size_t length, size_t length_max)
{
    if (length > length_max)
        return TALLY_OUT_OF_RANGE;
    if (length == 0)
        return TALLY_ACCEPTED;
    if (data == NULL || memchr(data, '\0', length) != NULL || ty_utf8_check(data, length) != length)
        return TALLY_INVALID_FIELD;
    return TALLY_ACCEPTED;
}

static tally_result check_event(const tally_event *event)
{
    tally_result result;

    if (event->id_length == 0)
        return TALLY_MISSING_FIELD;
    result = ty_tally_check_text(event->id, event->id_length, TALLY_ID_BYTES_MAX);
    if (result == TALLY_ACCEPTED)
        result = ty_tally_check_text(event->source, event->source_length, TALLY_SOURCE_BYTES_MAX);
    if (result == TALLY_ACCEPTED)
        result = ty_tally_check_text(event->user_id, event->user_id_length, TALLY_USER_BYTES_MAX);
    if (result != TALLY_ACCEPTED)
        return result;
    if (event->credits_micro > TALLY_CREDITS_MICRO_MAX ||
        event->credits_micro < -TALLY_CREDITS_MICRO_MAX ||
        event->processing_ms > (uint64_t)TALLY_PROCESSING_MS_MAX)
        return TALLY_OUT_OF_RANGE;
    return TALLY_ACCEPTED;
}

static void copy_event(struct ty_event *out, const tally_event *event)
{
    memcpy(out->customer.bytes, event->customer_id, 16);
    memcpy(out->workflow.bytes, event->workflow_id, 16);
    out->id = (struct ty_text){event->id, event->id_length};
    out->source = (struct ty_text){event->source, event->source_length};
    out->user = (struct ty_text){event->user_id, event->user_id_length};
    out->time_ms = event->time_ms;
    out->credits = event->credits_micro;
    out->documents = event->documents;
    out->pages = event->pages;
    out->processing_ms = event->processing_ms;
}

static void fill_batch(struct ty_batch *batch, const tally_event *events, size_t count)
{
    ty_batch_reserve(batch, count);
    for (size_t i = 0; i < count && !batch->failed; i++) {
        tally_result result = check_event(&events[i]);
        struct ty_event *event;

        if (result != TALLY_ACCEPTED)
            ty_batch_reject(batch, result, (struct ty_text){0}, NULL);
        else if ((event = ty_batch_add(batch)) != NULL)
            copy_event(event, &events[i]);
    }
}

struct waiting_batch {
    struct ty_submission submission;
    struct ty_waiter waiter;
};

static void batch_done(struct ty_submission *submission)
{
    ty_waiter_wake(&TY_CONTAINER_OF(submission, struct waiting_batch, submission)->waiter);
}

static tally_status submit_and_wait(struct ty_database *database, struct ty_batch *batch)
{
    struct waiting_batch waiting = {.submission = {.batch = batch, .done = batch_done},
                                    .waiter = TY_WAITER_INIT};

    ty_database_submit(database, &waiting.submission);
    ty_waiter_await(&waiting.waiter);
    return waiting.submission.status;
}

static void set_results(tally_result *results, const struct ty_batch *batch, size_t count)
{
    for (size_t i = 0; results != NULL && i < count; i++)
        results[i] = batch == NULL || batch->failed ? TALLY_NOT_STORED : batch->outcomes[i].result;
}

tally_status tally_ingest(tally *db, const tally_event *events, size_t count, tally_result *results)
{
    struct ty_batch *batch = ty_database_take_batch(db->database);
    tally_status status = TALLY_NO_MEMORY;

    if (batch != NULL)
        fill_batch(batch, events, count);
    if (batch != NULL && !batch->failed) {
        ty_batch_seal(batch, ty_database_secret(db->database));
        status = submit_and_wait(db->database, batch);
    }
    set_results(results, batch, count);
    ty_database_give_batch(db->database, batch);
    return status;
}

/* --- Queries --- */

static struct ty_text text_of(const char *text)
{
    return (struct ty_text){text, text == NULL ? 0 : strlen(text)};
}

static tally_status check_range(tally *db, const tally_range *range, struct ty_range *checked,
                                tally_error *error)
{
    struct ty_clock clock = ty_database_clock(db->database);
    struct ty_range_problem problem;

    if (range->start == NULL)
        return ty_fail(error, TALLY_INVALID, "range.start is required");
    if ((unsigned)range->frequency > TALLY_HOURLY)
        return ty_fail(error, TALLY_INVALID, "range.frequency %d is unknown", range->frequency);
    if (ty_range_parse(range->frequency, text_of(range->start), text_of(range->end),
                       ty_clock_wall_ms(&clock), checked, &problem))
        return TALLY_OK;
    return ty_fail(error, TALLY_INVALID, "range.%s: %s", problem.parameter, problem.message);
}

tally_status tally_usage(tally *db, const uint8_t customer_id[16], const uint8_t workflow_id[16],
                         const tally_range *range, tally_row **out, size_t *count,
                         tally_error *error)
{
    struct ty_uuid customer, workflow;
    struct ty_range checked;
    tally_row *rows;
    tally_status status = check_range(db, range, &checked, error);

    if (status != TALLY_OK)
        return status;
    if (ty_range_count(&checked) > TALLY_ROWS_MAX)
        return ty_fail(error, TALLY_INVALID, "the range has %lld periods; at most %d are allowed",
                       (long long)ty_range_count(&checked), TALLY_ROWS_MAX);
    rows = calloc((size_t)ty_range_count(&checked), sizeof(*rows));
    if (rows == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for the rows");
    memcpy(customer.bytes, customer_id, 16);
    memcpy(workflow.bytes, workflow_id, 16);
    status = ty_rollup_rows(db->database, &customer, &workflow, &checked, rows, error);
    if (status != TALLY_OK) {
        free(rows);
        return status;
    }
    *out = rows;
    *count = (size_t)ty_range_count(&checked);
    return TALLY_OK;
}

tally_status tally_workflows(tally *db, const uint8_t customer_id[16], const tally_range *range,
                             uint8_t (**ids)[16], size_t *count, tally_error *error)
{
    struct ty_uuid customer, *found = NULL;
    struct ty_range checked;
    tally_status status = check_range(db, range, &checked, error);

    if (status != TALLY_OK)
        return status;
    memcpy(customer.bytes, customer_id, 16);
    status = ty_rollup_workflows(db->database, &customer, &checked, &found, count, error);
    if (status == TALLY_OK)
        *ids = found == NULL ? NULL : &found->bytes;
    return status;
}

/* --- Closed months --- */

struct waiting_closing {
    struct ty_closing closing;
    struct ty_waiter waiter;
};

static void closing_done(struct ty_closing *closing)
{
    ty_waiter_wake(&TY_CONTAINER_OF(closing, struct waiting_closing, closing)->waiter);
}

tally_status tally_close_months(tally *db, const uint8_t customer_id[16], const char *through,
                                tally_closed *closed, tally_error *error)
{
    struct waiting_closing waiting = {.closing = {.done = closing_done}, .waiter = TY_WAITER_INIT};
    struct ty_closing *closing = &waiting.closing;
    char text[TY_CLOSING_TEXT_BYTES];
    const char *problem = through == NULL
                              ? "a month is required"
                              : ty_closing_parse(through, strlen(through), &closing->close.through);

    if (problem != NULL)
        return ty_fail(error, TALLY_INVALID, "through: %s", problem);
    memcpy(closing->close.customer.bytes, customer_id, 16);
    ty_database_close_months(db->database, closing);
    ty_waiter_await(&waiting.waiter);
    if (closing->status != TALLY_OK)
        return ty_fail(error, closing->status, "%s",
                       closing->problem != NULL ? closing->problem
                                                : tally_strerror(closing->status));
    if (closing->close.result != TY_CLOSE_DONE && closing->close.result != TY_CLOSE_ALREADY) {
        ty_closing_explain(&closing->close, text);
        return ty_fail(error, TALLY_INVALID, "%s", text);
    }
    if (closed != NULL)
        ty_closing_fill(&closing->close.closed, closed);
    return TALLY_OK;
}

struct listing {
    tally_revision *revisions;
    size_t count, capacity;
    int failed; /* no memory */
};

static bool add_revision(void *context, const tally_revision *revision)
{
    struct listing *listing = context;

    if (listing->count == listing->capacity) {
        size_t capacity = TY_MAX(2 * listing->capacity, (size_t)16);
        tally_revision *more = realloc(listing->revisions, capacity * sizeof(*listing->revisions));

        listing->failed = more == NULL;
        if (more == NULL)
            return false;
        listing->revisions = more;
        listing->capacity = capacity;
    }
    listing->revisions[listing->count++] = *revision;
    return true;
}

tally_status tally_revisions(tally *db, const uint8_t customer_id[16], uint64_t after,
                             tally_revision **revisions, size_t *count, tally_closed *closed,
                             tally_error *error)
{
    struct listing listing = {0};
    struct ty_uuid customer;
    tally_closed ignored;
    bool more;
    tally_status status;

    memcpy(customer.bytes, customer_id, 16);
    status = ty_revisions_list(db->database, &customer, &after, TALLY_REVISIONS_MAX, add_revision,
                               &listing, closed == NULL ? &ignored : closed, &more, error);
    if (status == TALLY_OK && listing.failed)
        status = ty_fail(error, TALLY_NO_MEMORY, "no memory for the revisions");
    if (status != TALLY_OK) {
        free(listing.revisions);
        return status;
    }
    *revisions = listing.revisions;
    *count = listing.count;
    return TALLY_OK;
}

void tally_free(void *memory)
{
    free(memory);
}

/* --- Small helpers --- */

static ty_int128 from_public(tally_int128 value)
{
    return (ty_int128)((ty_uint128)(uint64_t)value.high << 64 | value.low);
}

size_t tally_number_format(tally_int128 value, unsigned decimals,
                           char text[TALLY_NUMBER_TEXT_BYTES])
{
    TY_ASSERT(decimals == 0 || decimals == 6);
    return decimals == 6 ? ty_decimal_format(from_public(value), text)
                         : ty_integer_format(from_public(value), text);
}

int tally_average_time_per_page(const tally_row *row, int64_t *seconds_micro)
{
    ty_int128 pages = from_public(row->pages), average;

    if (pages <= 0)
        return 0;
    average = ty_divide_half_even(from_public(row->processing_ms) * 1000, pages);
    if (average > INT64_MAX)
        return 0;
    *seconds_micro = (int64_t)average;
    return 1;
}

int tally_uuid_parse(const char *text, uint8_t uuid[16])
{
    struct ty_uuid parsed;

    if (!ty_uuid_parse(text, strlen(text), &parsed))
        return 0;
    memcpy(uuid, parsed.bytes, 16);
    return 1;
}

void tally_uuid_format(const uint8_t uuid[16], char text[37])
{
    struct ty_uuid value;

    memcpy(value.bytes, uuid, 16);
    ty_uuid_format(&value, text);
    text[36] = '\0';
}
