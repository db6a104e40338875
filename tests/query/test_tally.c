/*
 * test_tally.c: the embedded API as a program sees it: opening, and events in. What needs faults or
 * time is tested a level below (tests/shard). Questions: test_tally_questions.c; numbers and UUIDs
 * as text: test_tally_numbers.c.
 */
#include "engine/base.h"
#include "tests/query/tally_fixture.h"
#include "tests/support/damage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

TestSuite(tally, .init = open_tally, .fini = close_tally);

/* --- Opening --- */

/* A wrong option must be told before anything is created. */
Test(tally, wrong_options_are_named)
{
    static char long_path[4000];
    tally_options wrong[6];
    static const char *const texts[] = {
        "options.directory is required",
        "options.directory is required",
        "options.directory is longer than 3900 bytes",
        "options.shards is 257; at most 256 are allowed",
        "options.map_bytes is 4194303; at least 4 MiB are needed",
        "options.flags has unknown bits: 0x3",
    };

    memset(long_path, 'x', sizeof(long_path) - 1);
    for (size_t i = 0; i < TY_COUNT_OF(wrong); i++)
        wrong[i] = options;
    wrong[0].directory = NULL;
    wrong[1].directory = "";
    wrong[2].directory = long_path;
    wrong[3].shards = 257;
    wrong[4].map_bytes = (UINT64_C(4) << 20) - 1;
    wrong[5].flags = 3;
    for (size_t i = 0; i < TY_COUNT_OF(wrong); i++) {
        tally *untouched = db;

        cr_assert_eq(tally_open(&wrong[i], &untouched, &error), TALLY_INVALID, "case %zu", i);
        cr_assert_str_eq(error.message, texts[i]);
        cr_assert_eq(untouched, db);
        cr_assert_eq(tally_open(&wrong[i], &untouched, NULL), TALLY_INVALID, "case %zu", i);
    }
}

/* Two writers in one directory would destroy it. */
Test(tally, a_second_handle_on_the_directory_is_locked_out)
{
    tally *second = NULL;
    char pid[32];

    snprintf(pid, sizeof(pid), "process %ld;", (long)getpid());
    cr_assert_eq(tally_open(&options, &second, &error), TALLY_LOCKED);
    cr_assert_not_null(strstr(error.message, directory.path), "%s", error.message);
    cr_assert_not_null(strstr(error.message, pid), "%s", error.message);
    cr_assert_null(second);
    cr_assert_eq(send(event_of(1, 1, "a")), TALLY_ACCEPTED, "the first goes on");
    tally_close(db);
    db = NULL;
    cr_assert_eq(tally_open(&options, &second, &error), TALLY_OK, "%s", error.message);
    tally_close(second);
}

/* Whoever cannot open must learn why: the reasons that need another program or a human. */
Test(tally, what_cannot_be_opened_says_why)
{
    char path[1100];
    struct ty_damage record = {path, "meta", "database", 8};
    tally *other = NULL;
    FILE *file;

    snprintf(path, sizeof(path), "%s/missing/below", directory.path);
    options.directory = path;
    cr_assert_eq(tally_open(&options, &other, &error), TALLY_IO);
    cr_assert_not_null(strstr(error.message, "No such file or directory"), "%s", error.message);
    snprintf(path, sizeof(path), "%s/file", directory.path);
    file = fopen(path, "w");
    cr_assert_not_null(file);
    fclose(file);
    cr_assert_eq(tally_open(&options, &other, &error), TALLY_IO);
    cr_assert_not_null(strstr(error.message, "Not a directory"), "%s", error.message);

    tally_close(db);
    db = NULL;
    options.directory = directory.path;
    options.shards = 3;
    cr_assert_eq(tally_open(&options, &other, &error), TALLY_INVALID);
    cr_assert_str_eq(error.message,
                     "shards is 3, but the database was created with 2, for good: leave it open "
                     "(options.shards 0, tallyd --shards auto), or dump it and load it anew");
    options.shards = 0;
    snprintf(path, sizeof(path), "%s/shard-000", directory.path);
    ty_damage_flip(&record, 0, 0x40); /* the version */
    cr_assert_eq(tally_open(&options, &other, &error), TALLY_NEWER);
    cr_assert_not_null(strstr(error.message, "use a newer version of Tally"), "%s", error.message);
    ty_damage_flip(&record, 0, 0x40);
    ty_damage_flip(&record, -1, 3);
    cr_assert_eq(tally_open(&options, &other, &error), TALLY_CORRUPT);
    cr_assert_not_null(strstr(error.message, "database record"), "%s", error.message);
    cr_assert_null(other);
}

/* Closing nothing is fine: cleanup code does it. */
Test(tally, closing_and_freeing_nothing_is_fine)
{
    tally_close(NULL);
    tally_free(NULL);
}

/* --- Events --- */

struct checked {
    const char *name;
    tally_event event;
    tally_result result;
};

static void check_events(const struct checked *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tally_result result = send(cases[i].event);

        cr_assert_eq(result, cases[i].result, "%s: %s", cases[i].name, tally_result_name(result));
    }
}

/* What is wrong is refused with its code; what is just within the bounds is taken. */
Test(tally, every_field_is_checked_to_its_bounds)
{
    static char text[1100];
    struct checked cases[32];
    size_t n = 0;

    memset(text, 'x', sizeof(text) - 1);
#define CASE(what, want, ...)                                                                      \
    do {                                                                                           \
        cases[n] = (struct checked){what, event_of(1, 1, what), want};                             \
        tally_event *e = &cases[n++].event;                                                        \
        __VA_ARGS__;                                                                               \
    } while (0)
    CASE("no id", TALLY_MISSING_FIELD, e->id_length = 0);
    CASE("no id at all", TALLY_MISSING_FIELD, (e->id = NULL, e->id_length = 0));
    CASE("id of 1", TALLY_ACCEPTED, e->id_length = 1);
    CASE("id of 128", TALLY_ACCEPTED, (e->id = text, e->id_length = 128));
    CASE("id of 129", TALLY_OUT_OF_RANGE, (e->id = text, e->id_length = 129));
    CASE("NULL id with a length", TALLY_INVALID_FIELD, (e->id = NULL, e->id_length = 3));
    CASE("id that is no UTF-8", TALLY_INVALID_FIELD, (e->id = "a\xff", e->id_length = 2));
    CASE("id cut in a character", TALLY_INVALID_FIELD, (e->id = "\xe2\x82", e->id_length = 2));
    CASE("surrogate", TALLY_INVALID_FIELD, (e->id = "\xed\xa0\x80", e->id_length = 3));
    CASE("id in UTF-8", TALLY_ACCEPTED, (e->id = "\xe2\x82\xac", e->id_length = 3));
    CASE("source of 1024", TALLY_ACCEPTED, (e->source = text, e->source_length = 1024));
    CASE("source of 1025", TALLY_OUT_OF_RANGE, (e->source = text, e->source_length = 1025));
    CASE("bad source", TALLY_INVALID_FIELD, (e->source = "\x80", e->source_length = 1));
    CASE("NULL source", TALLY_INVALID_FIELD, e->source_length = 1);
    CASE("user of 128", TALLY_ACCEPTED, (e->user_id = text, e->user_id_length = 128));
    CASE("user of 129", TALLY_OUT_OF_RANGE, (e->user_id = text, e->user_id_length = 129));
    CASE("bad user", TALLY_INVALID_FIELD, (e->user_id = "\xc0\x80", e->user_id_length = 2));
    CASE("most credits", TALLY_ACCEPTED, e->credits_micro = TALLY_CREDITS_MICRO_MAX);
    CASE("more credits", TALLY_OUT_OF_RANGE, e->credits_micro = TALLY_CREDITS_MICRO_MAX + 1);
    CASE("least credits", TALLY_ACCEPTED, e->credits_micro = -TALLY_CREDITS_MICRO_MAX);
    CASE("less credits", TALLY_OUT_OF_RANGE, e->credits_micro = -TALLY_CREDITS_MICRO_MAX - 1);
    CASE("least of all", TALLY_OUT_OF_RANGE, e->credits_micro = INT64_MIN);
    CASE("longest", TALLY_ACCEPTED, e->processing_ms = (uint64_t)TALLY_PROCESSING_MS_MAX);
    CASE("longer", TALLY_OUT_OF_RANGE, e->processing_ms = (uint64_t)TALLY_PROCESSING_MS_MAX + 1);
    CASE("endless", TALLY_OUT_OF_RANGE, e->processing_ms = UINT64_MAX);
    CASE("most work", TALLY_ACCEPTED, e->documents = e->pages = UINT32_MAX);
    CASE("first time", TALLY_ACCEPTED, e->time_ms = TALLY_TIME_MS_MIN);
    CASE("too old", TALLY_TOO_OLD, e->time_ms = TALLY_TIME_MS_MIN - 1);
    CASE("before all", TALLY_TOO_OLD, e->time_ms = INT64_MIN + 1);
    CASE("too new", TALLY_TOO_NEW, e->time_ms = now_ms() + 24 * HOUR_MS + 60000);
    CASE("after all", TALLY_TOO_NEW, e->time_ms = INT64_MAX);
    CASE("tomorrow", TALLY_ACCEPTED, e->time_ms = now_ms() + 24 * HOUR_MS - 60000);
#undef CASE
    check_events(cases, n);
}

/* One wrong event must not stop its neighbours, nor change their order. */
Test(tally, events_of_a_call_are_decided_one_by_one_in_order)
{
    tally_event events[8];
    static const tally_result want[] = {
        TALLY_ACCEPTED,     TALLY_MISSING_FIELD, TALLY_ACCEPTED, TALLY_DUPLICATE,
        TALLY_OUT_OF_RANGE, TALLY_ID_CONFLICT,   TALLY_TOO_OLD,  TALLY_ACCEPTED,
    };
    tally_result results[TY_COUNT_OF(events)];
    tally_row row;

    for (size_t i = 0; i < TY_COUNT_OF(events); i++)
        events[i] = event_of(i % 2 == 0 ? 1 : 2, 1, "id");
    events[0].id = "x0";
    events[1].id_length = 0;
    events[2].id = "x2";
    events[3] = events[0];
    events[4].pages = 1, events[4].processing_ms = UINT64_MAX;
    events[5] = events[0];
    events[5].pages++;
    events[6].time_ms = 0;
    for (size_t i = 0; i < TY_COUNT_OF(events); i++)
        if (events[i].id_length != 0)
            events[i].id_length = 2;
    cr_assert_eq(tally_ingest(db, events, TY_COUNT_OF(events), results), TALLY_OK);
    for (size_t i = 0; i < TY_COUNT_OF(events); i++)
        cr_assert_eq(results[i], want[i], "event %zu: %s", i, tally_result_name(results[i]));
    row = month_of(1, 1, "2023-02");
    cr_assert_eq(row.events, 2);
    cr_assert_eq(row.pages.low, 6, "the conflict changed the first");
}

/* A retry, in this call, a later one or after a restart, must count once. */
Test(tally, an_id_counts_once)
{
    tally_event event = event_of(1, 1, "a"), changed = event, other;

    cr_assert_eq(send(event), TALLY_ACCEPTED);
    cr_assert_eq(send(event), TALLY_DUPLICATE);
    changed.credits_micro--;
    cr_assert_eq(send(changed), TALLY_ID_CONFLICT);
    changed = event;
    changed.workflow_id[15] = 1;
    cr_assert_eq(send(changed), TALLY_ID_CONFLICT);
    changed = event;
    changed.time_ms = TALLY_TIME_OF_ARRIVAL;
    cr_assert_eq(send(changed), TALLY_ID_CONFLICT);
    changed = event;
    changed.user_id = "u";
    changed.user_id_length = 1;
    cr_assert_eq(send(changed), TALLY_ID_CONFLICT);
    /* Another customer or source makes another key. */
    other = event_of(2, 1, "a");
    cr_assert_eq(send(other), TALLY_ACCEPTED);
    other = event;
    other.source = "s";
    other.source_length = 1;
    cr_assert_eq(send(other), TALLY_ACCEPTED);
    cr_assert_eq(send(other), TALLY_DUPLICATE);
    open_again();
    cr_assert_eq(send(event), TALLY_DUPLICATE);
    cr_assert_eq(send(changed), TALLY_ID_CONFLICT);
    cr_assert_eq(month_of(1, 1, "2023-02").events, 2);
    cr_assert_eq(month_of(2, 1, "2023-02").events, 1);
}

/* Who switched deduplication off sends the same id on purpose. */
Test(tally, without_a_window_every_event_counts)
{
    options.dedup_window_ms = 0;
    open_again();
    for (int i = 0; i < 3; i++)
        cr_assert_eq(send(event_of(1, 1, "a")), TALLY_ACCEPTED);
    open_again();
    cr_assert_eq(send(event_of(1, 1, "a")), TALLY_ACCEPTED);
    cr_assert_eq(month_of(1, 1, "2023-02").events, 4);
}

/* An empty call is a success, and results are not everybody's need. */
Test(tally, nothing_to_store_and_no_results_are_fine)
{
    tally_event event = event_of(1, 1, "a");

    cr_assert_eq(tally_ingest(db, NULL, 0, NULL), TALLY_OK);
    cr_assert_eq(tally_ingest(db, &event, 0, NULL), TALLY_OK);
    cr_assert_eq(month_of(1, 1, "2023-02").events, 0);
    cr_assert_eq(tally_ingest(db, &event, 1, NULL), TALLY_OK);
    cr_assert_eq(month_of(1, 1, "2023-02").events, 1);
    event.id_length = 0;
    cr_assert_eq(tally_ingest(db, &event, 1, NULL), TALLY_OK, "rejected, but no failure");
}

/* More events than there is memory for: refused as a whole, before one is looked at. */
Test(tally, a_batch_beyond_all_memory_is_refused)
{
    tally_event event = event_of(1, 1, "a");

    cr_assert_eq(tally_ingest(db, &event, SIZE_MAX, NULL), TALLY_NO_MEMORY);
    cr_assert_eq(month_of(1, 1, "2023-02").events, 0);
    cr_assert_eq(send(event), TALLY_ACCEPTED);
}

/* An import hands over everything at once. */
Test(tally, a_hundred_thousand_events_in_one_call)
{
    enum { COUNT = 100000 };
    tally_event *events = calloc(COUNT, sizeof(*events));
    tally_result *results = calloc(COUNT, sizeof(*results));
    char(*ids)[16] = calloc(COUNT, sizeof(*ids));
    uint64_t per_customer[8] = {0};

    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(ids[i], sizeof(ids[i]), "id-%u", i < COUNT / 2 ? i : i - 100);
        events[i] = event_of((uint8_t)(i % 4), (uint8_t)(i % 4 / 2), ids[i]);
        results[i] = TALLY_NOT_STORED;
    }
    cr_assert_eq(tally_ingest(db, events, COUNT, results), TALLY_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        bool again = i >= COUNT / 2 && i < COUNT / 2 + 100; /* 100 is a multiple of 4 */

        cr_assert_eq(results[i], again ? TALLY_DUPLICATE : TALLY_ACCEPTED, "event %u", i);
        per_customer[i % 4] += !again;
    }
    for (uint8_t customer = 0; customer < 4; customer++)
        cr_assert_eq(month_of(customer, customer / 2, "2023-02").events, per_customer[customer]);
    free(events);
    free(results);
    free(ids);
}

/* A slot that would leave 64 bits refuses the one event; its id stays free. */
Test(tally, an_overflow_is_refused_before_anything_is_stored)
{
    enum { COUNT = 9224 }; /* 9,223 * 10^15 fit into 63 bits */
    tally_event *events = calloc(COUNT, sizeof(*events));
    tally_result *results = calloc(COUNT, sizeof(*results));
    char(*ids)[16] = calloc(COUNT, sizeof(*ids));
    tally_event minus = event_of(1, 1, "minus");
    tally_row row;

    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(ids[i], sizeof(ids[i]), "id-%u", i);
        events[i] = event_of(1, 1, ids[i]);
        events[i].credits_micro = TALLY_CREDITS_MICRO_MAX;
    }
    cr_assert_eq(tally_ingest(db, events, COUNT, results), TALLY_OK);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(results[i], i == COUNT - 1 ? TALLY_OVERFLOW : TALLY_ACCEPTED, "event %u", i);
    row = month_of(1, 1, "2023-02");
    cr_assert_eq(row.events, COUNT - 1);
    cr_assert_eq(row.credits_micro.low, (uint64_t)(COUNT - 1) * 1000000000000000u);
    cr_assert_eq(row.documents.low, COUNT - 1, "a part of the refused event counted");
    minus.credits_micro = -TALLY_CREDITS_MICRO_MAX;
    cr_assert_eq(send(minus), TALLY_ACCEPTED);
    cr_assert_eq(send(events[COUNT - 1]), TALLY_ACCEPTED);
    free(events);
    free(results);
    free(ids);
}

/* A limit on series must hold, and not touch the series that exist. */
Test(tally, no_further_series_beyond_the_limit)
{
    unsigned accepted = 0;

    options.series_max = 10; /* of two shards: 5 each */
    open_again();
    for (uint8_t i = 0; i < 40; i++) {
        tally_result result = send(event_of(1, i, (const char[]){(char)('A' + i), '\0'}));

        cr_assert_eq(result, i < 5 ? TALLY_ACCEPTED : TALLY_SERIES_LIMIT, "series %u: %s", i,
                     tally_result_name(result));
        accepted += result == TALLY_ACCEPTED;
    }
    cr_assert_eq(accepted, 5);
    cr_assert_eq(send(event_of(1, 4, "more")), TALLY_ACCEPTED);
    cr_assert_eq(send(event_of(1, 5, "more of none")), TALLY_SERIES_LIMIT);
}

/* Without a time an event counts when it arrives. */
Test(tally, events_without_a_time_count_at_arrival)
{
    tally_event event = event_of(1, 1, "a");
    uint8_t customer[16] = {1}, workflow[16] = {1};
    tally_range range = {TALLY_HOURLY, NULL, NULL};
    int64_t before = now_ms(), after;
    char start[32];
    time_t seconds = (time_t)(before / 1000);
    struct tm utc;
    tally_row *rows;
    size_t count;

    event.time_ms = TALLY_TIME_OF_ARRIVAL;
    cr_assert_eq(send(event), TALLY_ACCEPTED);
    cr_assert_eq(send(event), TALLY_DUPLICATE);
    after = now_ms();
    gmtime_r(&seconds, &utc);
    strftime(start, sizeof(start), "%Y-%m-%dT%HZ", &utc);
    range.start = start; /* and no end: until now */
    cr_assert_eq(tally_usage(db, customer, workflow, &range, &rows, &count, &error), TALLY_OK, "%s",
                 error.message);
    for (size_t i = 0, events = 0; i < count; i++) {
        events += rows[i].events;
        cr_assert(rows[i].events == 0 || (rows[i].end_ms > before && rows[i].start_ms <= after));
        cr_assert(i + 1 < count || events == 1);
    }
    tally_free(rows);
}

/* --- When storage fails --- */

/* A full map must say so, keep what it has, and go on with a larger one. */
Test(tally, a_full_map_is_told_and_a_larger_one_helps)
{
    enum { COUNT = 2000 };
    tally_event *events = calloc(COUNT, sizeof(*events));
    tally_result *results = calloc(COUNT, sizeof(*results));
    char(*ids)[32] = calloc(COUNT, sizeof(*ids));
    uint64_t stored = 0;
    tally_status status = TALLY_OK;

    tally_close(db);
    db = NULL;
    ty_temporary_directory_remove(&directory);
    ty_temporary_directory_create(&directory);
    options.shards = 1;
    options.map_bytes = UINT64_C(4) << 20;
    open_again();
    for (unsigned round = 0; round < 100 && status == TALLY_OK; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            snprintf(ids[i], sizeof(ids[i]), "a-rather-long-id-%u-%u", round, i);
            events[i] = event_of(1, 1, ids[i]);
            results[i] = TALLY_ACCEPTED;
        }
        status = tally_ingest(db, events, COUNT, results);
        stored += status == TALLY_OK ? COUNT : 0;
    }
    cr_assert_eq(status, TALLY_FULL, "%s", tally_strerror(status));
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(results[i], TALLY_NOT_STORED);
    cr_assert_neq(stored, 0);
    cr_assert_eq(month_of(1, 1, "2023-02").events, stored);
    options.map_bytes = UINT64_C(64) << 20;
    open_again();
    cr_assert_eq(month_of(1, 1, "2023-02").events, stored);
    cr_assert_eq(tally_ingest(db, events, COUNT, results), TALLY_OK);
    cr_assert_eq(month_of(1, 1, "2023-02").events, stored + COUNT);
    free(events);
    free(results);
    free(ids);
}

/*
 * A commit that fails halfway leaves it open what is stored: the database stops, and after
 * reopening a retry with the same ids counts once. The operating system is made to refuse the
 * write: the file may not grow.
 */
Test(tally, an_unknown_outcome_stops_the_database_and_a_retry_counts_once)
{
    enum { COUNT = 4000 };
    tally_event *events = calloc(COUNT, sizeof(*events));
    tally_result *results = calloc(COUNT, sizeof(*results));
    char(*ids)[32] = calloc(COUNT, sizeof(*ids));
    uint8_t customer[16] = {1}, workflow[16] = {1};
    tally_range range = {TALLY_MONTHLY, "2022-01", "2023-02"};
    struct rlimit limit, low;
    tally_row *rows;
    size_t count;

    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(ids[i], sizeof(ids[i]), "id-%u", i);
        events[i] = event_of(1, 1, ids[i]);
    }
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    low = limit;
    low.rlim_cur = 4096; /* whatever the files have, no page behind this one can be written */
    setrlimit(RLIMIT_FSIZE, &low);
    cr_expect_eq(tally_ingest(db, events, COUNT, results), TALLY_UNKNOWN);
    setrlimit(RLIMIT_FSIZE, &limit);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(results[i], TALLY_NOT_STORED);
    cr_assert_eq(tally_ingest(db, events, 1, results), TALLY_FAILED);
    cr_assert_eq(results[0], TALLY_NOT_STORED);
    cr_assert_eq(tally_usage(db, customer, workflow, &range, &rows, &count, &error), TALLY_FAILED);
    cr_assert_not_null(strstr(error.message, "reopen"), "%s", error.message);
    open_again();
    cr_assert_eq(tally_ingest(db, events, COUNT, results), TALLY_OK);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert(results[i] == TALLY_ACCEPTED || results[i] == TALLY_DUPLICATE);
    cr_assert_eq(month_of(1, 1, "2023-02").events, COUNT);
    free(events);
    free(results);
    free(ids);
}
