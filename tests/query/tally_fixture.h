/*
 * tally_fixture.h: a database of the test's own, opened as a program that embeds it does: nothing
 * but tally.h, a directory, the clock of the system.
 *
 * Threads: each test is a process of its own.
 */
#ifndef TY_TESTS_QUERY_TALLY_FIXTURE_H
#define TY_TESTS_QUERY_TALLY_FIXTURE_H

#include "shard/system_clock.h"
#include "tally.h"
#include "tests/support/temporary_directory.h"

#include <criterion/criterion.h>
#include <string.h>

#define HOUR_MS INT64_C(3600000)
#define TIME_MS INT64_C(1675252800000) /* 2023-02-01T12:00:00Z */

static struct ty_temporary_directory directory;
static tally_options options;
static tally *db;
static tally_error error;

static inline void open_again(void)
{
    tally_close(db);
    db = NULL;
    cr_assert_eq(tally_open(&options, &db, &error), TALLY_OK, "%s", error.message);
}

static inline void open_tally(void)
{
    ty_temporary_directory_create(&directory);
    options = (tally_options)TALLY_OPTIONS_INIT;
    options.directory = directory.path;
    options.shards = 2;
    options.map_bytes = UINT64_C(256) << 20;
    options.flags = TALLY_NO_SYNC;
    open_again();
}

static inline void close_tally(void)
{
    tally_close(db);
    ty_temporary_directory_remove(&directory);
}

static inline int64_t now_ms(void)
{
    struct ty_clock clock = ty_system_clock();

    return clock.wall_ms(clock.context);
}

static inline tally_event event_of(uint8_t customer, uint8_t workflow, const char *id)
{
    tally_event event = {.customer_id = {customer},
                         .workflow_id = {workflow},
                         .id = id,
                         .id_length = strlen(id),
                         .time_ms = TIME_MS,
                         .credits_micro = 5000000,
                         .documents = 1,
                         .pages = 3,
                         .processing_ms = 1200};

    return event;
}

static inline tally_result send(tally_event event)
{
    tally_result result = TALLY_NOT_STORED;

    cr_assert_eq(tally_ingest(db, &event, 1, &result), TALLY_OK);
    return result;
}

static inline tally_row month_of(uint8_t customer, uint8_t workflow, const char *month)
{
    uint8_t customer_id[16] = {customer}, workflow_id[16] = {workflow};
    tally_range range = {TALLY_MONTHLY, month, month};
    tally_row *rows = NULL, row;
    size_t count = 0;

    cr_assert_eq(tally_usage(db, customer_id, workflow_id, &range, &rows, &count, &error), TALLY_OK,
                 "%s", error.message);
    cr_assert_eq(count, 1);
    row = rows[0];
    tally_free(rows);
    return row;
}

#endif
