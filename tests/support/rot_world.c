#include "tests/support/rot_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "engine/period.h"
#include "storage/snapshot.h"

#define FIRST_MS   INT64_C(1669852800000) /* 2022-12-01 */
#define FIRST_DAY  (FIRST_MS / TY_MS_PER_DAY)
#define LAST_DATE  "2023-02-28"
#define PER_COMMIT 20
#define HIDDEN     80  /* the last events, which only the journal has */
#define DECEMBER   635 /* 2022-12, as a month */

struct asking {
    struct rot_world *rot;
    const char *what;
    unsigned refused;
    uint64_t new_revisions[ROT_CUSTOMERS];
};

/* --- Making it --- */

static struct ty_event make_event(struct rot_world *rot, unsigned i)
{
    unsigned customer = 1 + i % ROT_CUSTOMERS, workflow = 1 + i / ROT_CUSTOMERS % ROT_WORKFLOWS;
    struct ty_event event;

    if (i % 3 == 0)
        snprintf(rot->ids[i], sizeof(rot->ids[i]), "a3bb189e-8bf9-3888-9912-%012x", i);
    else
        snprintf(rot->ids[i], sizeof(rot->ids[i]), "event-%u", i);
    event = ty_world_event(&rot->world, customer, workflow, rot->ids[i]);
    event.time_ms = FIRST_MS + (int64_t)(i * 7919 % (62 * 24)) * TY_MS_PER_HOUR + i;
    event.credits = i % 5 == 0 ? -70000 * (int64_t)i : 1234567 * (int64_t)i;
    event.pages = i % 7;
    event.processing_ms = i % 11 == 0 ? 0 : UINT64_C(1) << i % 30;
    if (i % 4 == 0)
        event.user = (struct ty_text){"ann", 3};
    if (i % 17 == 0)
        event.source = (struct ty_text){"https://example.org/app", 23};
    if (i % 50 == 49)
        event.time_ms = TALLY_TIME_OF_ARRIVAL;
    return event;
}

static void count(struct ty_total *total, const struct ty_event *event)
{
    total->events++;
    total->credits += event->credits;
    total->documents += event->documents;
    total->pages += event->pages;
    total->processing_ms += (ty_int128)event->processing_ms;
}

static void count_event(struct rot_world *rot, const struct ty_event *event)
{
    int64_t time_ms =
        event->time_ms == TALLY_TIME_OF_ARRIVAL ? atomic_load(&rot->world.wall_ms) : event->time_ms;
    int32_t day = (int32_t)(time_ms / TY_MS_PER_DAY - FIRST_DAY);
    unsigned customer = event->customer.bytes[15] - 1u, workflow = event->workflow.bytes[15] - 1u;

    TY_ASSERT(day >= 0 && day < ROT_DAYS);
    count(&rot->days[customer][workflow][day], event);
    count(&rot->months[customer][workflow][day < 31 ? 0 : day < 62 ? 1 : 2], event);
}

static void send(struct rot_world *rot, size_t until)
{
    while (rot->event_count < until) {
        size_t first = rot->event_count, n = TY_MIN((size_t)PER_COMMIT, until - first);

        ty_world_pass(&rot->world, 6 * TY_MS_PER_MINUTE);
        for (size_t i = first; i < first + n; i++) {
            rot->events[i] = make_event(rot, (unsigned)i);
            count_event(rot, &rot->events[i]);
        }
        TY_ASSERT(ty_world_commit(&rot->world, &rot->events[first], n, NULL) == TALLY_OK);
        rot->event_count += n;
    }
}

static void keep_rejects(struct rot_world *rot)
{
    struct ty_reject rejects[4];
    struct ty_part part = {.rejects = rejects, .reject_count = TY_COUNT_OF(rejects)};
    char records[TY_COUNT_OF(rejects)][16];

    for (size_t i = 0; i < TY_COUNT_OF(rejects); i++) {
        snprintf(records[i], sizeof(records[i]), "record %zu", i);
        rejects[i] = (struct ty_reject){.code = TALLY_INVALID_FIELD,
                                        .time_ms = TALLY_TIME_OF_ARRIVAL,
                                        .source = {"forward", 7},
                                        .message = {"pages: a whole number", 21},
                                        .record = {records[i], strlen(records[i])}};
    }
    ty_shard_commit(rot->world.shard, &part);
    TY_ASSERT(part.status == TALLY_OK);
}

static void close_months(struct rot_world *rot, unsigned customer, int32_t through)
{
    struct ty_close close = {.customer = ty_world_customer(customer), .through = through};
    struct ty_part part = {.close = &close};

    ty_shard_commit(rot->world.shard, &part);
    TY_ASSERT(part.status == TALLY_OK && close.result == TY_CLOSE_DONE);
}

/* --- Asking --- */

/* An answer that is an error: is it one that may be? */
static void refuse(struct asking *asking, const char *question, tally_status status,
                   const char *problem)
{
    static const char *const names[] = {
        "series",  "journal value", "the journal", "closing",        "revision ",     " record",
        "reject ", "the stored ",   "tree",        "format version", "remembered ids"};
    bool is_named = false;

    for (size_t i = 0; i < TY_COUNT_OF(names); i++)
        is_named |= strstr(problem, names[i]) != NULL;
    asking->refused++;
    /* A damaged version is told as a newer one. */
    if (is_named && (status == TALLY_CORRUPT || status == TALLY_NEWER))
        return;
    fprintf(stderr, "%s: %s: %s: '%s' names nothing\n", asking->what, question,
            tally_strerror(status), problem);
    asking->rot->wrong++;
}

static void wrong(struct asking *asking, const char *question)
{
    fprintf(stderr, "%s: %s: a wrong answer\n", asking->what, question);
    asking->rot->wrong++;
}

static void check_rows(struct asking *asking, unsigned customer, unsigned workflow,
                       tally_frequency frequency, const char *first, const char *last,
                       const struct ty_total *expected, size_t rows, size_t per_row)
{
    static struct ty_total totals[ROT_DAYS * 24];
    char question[80];
    tally_error error = {""};
    tally_status status;

    snprintf(question, sizeof(question), "customer %u, workflow %u, %s to %s", customer, workflow,
             first, last);
    memset(totals, 0, sizeof(totals));
    status = ty_world_usage(&asking->rot->world, customer, workflow, frequency, first, last, totals,
                            &error);
    if (status != TALLY_OK) {
        refuse(asking, question, status, error.message);
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        struct ty_total sum = {0};

        for (size_t k = 0; k < per_row; k++)
            ty_total_add(&sum, &totals[i * per_row + k]);
        if (!ty_total_equal(&sum, &expected[i]))
            wrong(asking, question);
    }
}

static void date_of(unsigned day, char text[24])
{
    static const unsigned firsts[] = {0, 31, 62};
    unsigned month = day < 31 ? 0 : day < 62 ? 1 : 2;

    snprintf(text, 24, "%s-%02u",
             month == 0   ? "2022-12"
             : month == 1 ? "2023-01"
                          : "2023-02",
             day - firsts[month] + 1);
}

static void check_series(struct asking *asking, unsigned customer, unsigned workflow)
{
    const struct ty_total *days = asking->rot->days[customer - 1][workflow - 1];

    check_rows(asking, customer, workflow, TALLY_MONTHLY, "2022-12", "2023-02",
               asking->rot->months[customer - 1][workflow - 1], ROT_MONTHS, 1);
    check_rows(asking, customer, workflow, TALLY_DAILY, "2022-12-01", LAST_DATE, days, ROT_DAYS, 1);
    check_rows(asking, customer, workflow, TALLY_HOURLY, "2022-12-01T00Z", LAST_DATE "T23Z", days,
               ROT_DAYS, 24);
    for (unsigned day = customer + workflow; day < ROT_DAYS; day += 13) {
        char date[24];

        date_of(day, date);
        check_rows(asking, customer, workflow, TALLY_DAILY, date, date, days + day, 1, 1);
    }
}

static uint64_t mix(uint64_t hash, const void *data, size_t length)
{
    return length == 0 ? hash : XXH3_64bits_withSeed(data, length, hash);
}

static bool hash_value(void *context, uint64_t sequence, struct ty_journal_cursor *cursor,
                       size_t length)
{
    uint64_t *hash = context;
    struct ty_journal_record record;

    *hash = mix(*hash, &sequence, sizeof(sequence));
    *hash = mix(*hash, &length, sizeof(length));
    while (ty_journal_next(cursor, &record)) {
        if (record.kind != TY_JOURNAL_EVENT)
            continue;
        *hash = mix(*hash, record.event.id.data, record.event.id.length);
        *hash = mix(*hash, &record.event.time_ms, sizeof(record.event.time_ms));
        *hash = mix(*hash, &record.event.credits, sizeof(record.event.credits));
    }
    return true;
}

static bool hash_reject(void *context, const struct ty_kept_reject *kept)
{
    uint64_t *hash = context;

    *hash = mix(*hash, &kept->seq, sizeof(kept->seq));
    *hash = mix(*hash, kept->reject.record.data, kept->reject.record.length);
    return true;
}

static tally_status read_logs(struct rot_world *rot, uint64_t *journal, uint64_t *rejects,
                              tally_status *reject_status, tally_error *error,
                              tally_error *reject_error)
{
    struct ty_store *store = ty_shard_view(rot->world.shard).store;
    struct ty_journal_extent extent;
    struct ty_snapshot *snapshot;
    uint64_t before = UINT64_MAX;
    tally_status status;

    *journal = *rejects = 0;
    TY_ASSERT(ty_snapshot_begin(store, &snapshot, error) == TALLY_OK);
    status = ty_snapshot_journal_extent(snapshot, &extent, error);
    if (status == TALLY_OK)
        status = ty_snapshot_each_journal(snapshot, extent.first, hash_value, journal, error);
    *reject_status = ty_snapshot_each_reject(snapshot, &before, hash_reject, rejects, reject_error);
    ty_snapshot_end(store, snapshot);
    return status;
}

static void check_logs(struct asking *asking)
{
    tally_error error = {""}, reject_error = {""};
    uint64_t journal, rejects;
    tally_status reject_status;
    tally_status status =
        read_logs(asking->rot, &journal, &rejects, &reject_status, &error, &reject_error);

    if (status != TALLY_OK)
        refuse(asking, "the journal", status, error.message);
    else if (journal != asking->rot->journal_hash)
        wrong(asking, "the journal");
    if (reject_status != TALLY_OK)
        refuse(asking, "the rejects", reject_status, reject_error.message);
    else if (rejects != asking->rot->reject_hash)
        wrong(asking, "the rejects");
}

/* What the first `count` revisions of a customer say. */
static tally_status hash_revisions(struct ty_snapshot *snapshot, const struct ty_uuid *customer,
                                   uint64_t count, uint64_t *hash, tally_error *error)
{
    tally_status status = TALLY_OK;

    *hash = 0;
    for (uint64_t number = 1; number <= count && status == TALLY_OK; number++) {
        struct ty_revision revision;

        memset(&revision, 0, sizeof(revision)); /* its gaps are hashed, too */
        status = ty_snapshot_get_revision(snapshot, customer, number, &revision, error);
        *hash = mix(*hash, &revision, sizeof(revision));
    }
    return status;
}

/* How far a customer's months are closed, and what the revisions say that were there at first:
 * `count` (0: as many as there are). */
static tally_status read_closed(struct rot_world *rot, unsigned customer, uint64_t count,
                                struct ty_closed *closed, uint64_t *hash, tally_error *error)
{
    struct ty_store *store = ty_shard_view(rot->world.shard).store;
    struct ty_uuid id = ty_world_customer(customer);
    struct ty_snapshot *snapshot;
    tally_status status;

    TY_ASSERT(ty_snapshot_begin(store, &snapshot, error) == TALLY_OK);
    status = ty_snapshot_get_closed(snapshot, &id, closed, error);
    if (status == TALLY_OK)
        status = hash_revisions(snapshot, &id, count == 0 ? closed->revisions : count, hash, error);
    ty_snapshot_end(store, snapshot);
    return status;
}

static void check_closed(struct asking *asking)
{
    for (unsigned customer = 1; customer <= ROT_CUSTOMERS; customer++) {
        const struct ty_closed *want = &asking->rot->closed[customer - 1];
        struct ty_closed closed;
        tally_error error = {""};
        uint64_t hash;
        tally_status status =
            read_closed(asking->rot, customer, want->revisions, &closed, &hash, &error);

        if (status != TALLY_OK)
            refuse(asking, "closed months", status, error.message);
        else if (closed.through != want->through || closed.closed_ms != want->closed_ms ||
                 closed.sequence != want->sequence ||
                 closed.revisions != want->revisions + asking->new_revisions[customer - 1] ||
                 hash != asking->rot->revision_hash[customer - 1])
            wrong(asking, "closed months");
    }
}

static void check_id(struct asking *asking, size_t i)
{
    struct rot_world *rot = asking->rot;
    tally_result result;
    tally_status status = ty_world_commit(&rot->world, &rot->events[i], 1, &result);

    if (status != TALLY_OK)
        refuse(asking, "a known id", status, rot->world.problem);
    else if (result != TALLY_DUPLICATE)
        wrong(asking, "a known id");
}

/* The ids of the window are known, sealed or not: all at once, or, where some cannot be told, each.
 * Those before it are not asked for. */
static void check_ids(struct asking *asking)
{
    struct rot_world *rot = asking->rot;
    size_t count = 9 * PER_COMMIT, first = rot->event_count - count;
    tally_result results[9 * PER_COMMIT];

    if (ty_world_commit(&rot->world, &rot->events[first], count, results) != TALLY_OK) {
        for (size_t i = 0; i < count; i++)
            check_id(asking, first + i);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (results[i] != TALLY_DUPLICATE)
            wrong(asking, "a known id");
}

/* A new event for every series, on a day that it has used and on one that it may not have. */
static void check_new_events(struct asking *asking)
{
    struct rot_world *rot = asking->rot;
    unsigned number = 0;

    for (unsigned customer = 1; customer <= ROT_CUSTOMERS; customer++)
        for (unsigned workflow = 1; workflow <= ROT_WORKFLOWS; workflow++)
            for (unsigned day = 5; day < ROT_DAYS; day += 28) {
                char id[32];
                struct ty_event event;
                tally_result result;
                tally_status status;

                snprintf(id, sizeof(id), "new-%u", number++);
                event = ty_world_event(&rot->world, customer, workflow, id);
                event.time_ms = FIRST_MS + (int64_t)day * TY_MS_PER_DAY;
                if (event.time_ms > atomic_load(&rot->world.wall_ms))
                    continue;
                status = ty_world_commit(&rot->world, &event, 1, &result);
                if (status != TALLY_OK) {
                    refuse(asking, "a new event", status, rot->world.problem);
                    continue;
                }
                if (result != TALLY_ACCEPTED)
                    wrong(asking, "a new event");
                asking->new_revisions[customer - 1] +=
                    day < 62 && DECEMBER + (day < 31 ? 0 : 1) <= rot->closed[customer - 1].through;
                count(&rot->days[customer - 1][workflow - 1][day], &event);
                count(&rot->months[customer - 1][workflow - 1][day < 31   ? 0
                                                               : day < 62 ? 1
                                                                          : 2],
                      &event);
            }
}

static void check_totals(struct asking *asking)
{
    for (unsigned customer = 1; customer <= ROT_CUSTOMERS; customer++)
        for (unsigned workflow = 1; workflow <= ROT_WORKFLOWS; workflow++)
            check_series(asking, customer, workflow);
}

static bool open_shard(struct asking *asking)
{
    tally_error error = {""};
    tally_status status = ty_world_try_open(&asking->rot->world, &error);

    if (status != TALLY_OK)
        refuse(asking, "the start", status, error.message);
    return status == TALLY_OK;
}

unsigned rot_world_ask(struct rot_world *rot, const char *what, bool again)
{
    struct asking asking = {.rot = rot, .what = what};
    static struct ty_total days[ROT_CUSTOMERS][ROT_WORKFLOWS][ROT_DAYS];
    static struct ty_total months[ROT_CUSTOMERS][ROT_WORKFLOWS][ROT_MONTHS];

    if (!open_shard(&asking))
        return asking.refused;
    memcpy(days, rot->days, sizeof(days));
    memcpy(months, rot->months, sizeof(months));
    check_totals(&asking);
    check_logs(&asking);
    check_closed(&asking);
    check_ids(&asking);
    if (again) {
        check_new_events(&asking);
        check_totals(&asking);
        check_closed(&asking);
        ty_world_close(&rot->world);
        if (open_shard(&asking)) {
            check_totals(&asking);
            check_closed(&asking);
            check_ids(&asking);
        }
        memcpy(rot->days, days, sizeof(rot->days));
        memcpy(rot->months, months, sizeof(rot->months));
    }
    if (rot->world.shard != NULL)
        ty_world_crash(&rot->world);
    return asking.refused;
}

void rot_world_init(struct rot_world *rot)
{
    tally_error error = {""}, reject_error = {""};
    tally_status reject_status;

    memset(rot, 0, sizeof(*rot));
    ty_world_init(&rot->world);
    rot->world.options.dedup_seal_ids = ROT_SEAL_IDS;
    ty_world_open(&rot->world);
    send(rot, ROT_EVENTS - HIDDEN);
    close_months(rot, 1, DECEMBER);
    close_months(rot, 2, DECEMBER);
    close_months(rot, 2, DECEMBER + 1);
    ty_world_close(&rot->world);
    ty_world_open(&rot->world);
    send(rot, ROT_EVENTS);
    keep_rejects(rot);
    TY_ASSERT(ty_id_index_gauges(rot->world.shard->ids).runs >= 2);
    TY_ASSERT(read_logs(rot, &rot->journal_hash, &rot->reject_hash, &reject_status, &error,
                        &reject_error) == TALLY_OK);
    TY_ASSERT(reject_status == TALLY_OK);
    for (unsigned customer = 1; customer <= ROT_CUSTOMERS; customer++)
        TY_ASSERT(read_closed(rot, customer, 0, &rot->closed[customer - 1],
                              &rot->revision_hash[customer - 1], &error) == TALLY_OK);
    TY_ASSERT(rot->closed[0].revisions != 0 && rot->closed[1].revisions > rot->closed[0].revisions);
    ty_world_crash(&rot->world);
}

void rot_world_fini(struct rot_world *rot)
{
    ty_world_fini(&rot->world);
}
