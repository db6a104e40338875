#include "engine/period.h"
#include "query/rollup.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct ty_world world;
static struct ty_database *database;

static void init(void)
{
    tally_error error = {""};

    ty_world_init(&world);
    cr_assert_eq(ty_world_database(&world, 2, &database, &error), TALLY_OK, "%s", error.message);
}

static void fini(void)
{
    ty_database_close(database);
    ty_world_fini(&world);
}

TestSuite(rollup, .init = init, .fini = fini);

static void add(unsigned customer, unsigned workflow, const char *id, int64_t time_ms,
                int64_t credits)
{
    struct ty_event event = ty_world_event(&world, customer, workflow, id);
    tally_result result;

    event.time_ms = time_ms;
    event.credits = credits;
    cr_assert_eq(ty_world_submit(&world, database, &event, 1, &result), TALLY_OK, "%s",
                 world.problem);
    cr_assert_eq(result, TALLY_ACCEPTED);
}

static void rows_of(unsigned customer, unsigned workflow, const struct ty_range *range,
                    tally_row *rows)
{
    struct ty_uuid customer_id = ty_world_customer(customer);
    struct ty_uuid workflow_id = ty_world_workflow(workflow);
    tally_error error = {""};

    cr_assert_eq(ty_rollup_rows(database, &customer_id, &workflow_id, range, rows, &error),
                 TALLY_OK, "%s", error.message);
}

/* The workflows in a range as text, "1 3 7". */
static const char *list_of(unsigned customer, tally_frequency frequency, const char *first,
                           const char *last)
{
    static char text[512];
    struct ty_range range = ty_world_range(frequency, first, last);
    struct ty_uuid customer_id = ty_world_customer(customer), *ids = NULL;
    tally_error error = {""};
    size_t count = 99, length = 0;

    cr_assert_eq(ty_rollup_workflows(database, &customer_id, &range, &ids, &count, &error),
                 TALLY_OK, "%s", error.message);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        unsigned number = ids[i].bytes[14] * 256u + ids[i].bytes[15];

        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%u", i == 0 ? "" : " ",
                                   number);
    }
    free(ids);
    return text;
}

/* Rows are what customers are billed by: every field of each must be there. */
Test(rollup, a_row_has_the_period_its_times_and_all_sums)
{
    static const struct {
        tally_frequency frequency;
        const char *first, *last;
        const char *dates[3];
        int64_t start_ms, end_ms; /* of the second */
    } cases[] = {
        {TALLY_MONTHLY,
         "2023-01",
         "2023-03",
         {"2023-01", "2023-02", "2023-03"},
         1675209600000,
         1677628800000},
        {TALLY_WEEKLY,
         "2023-W04",
         "2023-W06",
         {"2023-W04", "2023-W05", "2023-W06"},
         1675036800000,
         1675641600000},
        {TALLY_DAILY,
         "2023-01-31",
         "2023-02-02",
         {"2023-01-31", "2023-02-01", "2023-02-02"},
         1675209600000,
         1675296000000},
        {TALLY_HOURLY,
         "2023-02-01T11",
         "2023-02-01T13",
         {"2023-02-01T11Z", "2023-02-01T12Z", "2023-02-01T13Z"},
         1675252800000,
         1675256400000},
    };

    add(1, 1, "a", TY_WORLD_START_MS, 5000000);
    add(1, 1, "b", TY_WORLD_START_MS + TY_MS_PER_HOUR - 1, -6000001);
    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_range range = ty_world_range(cases[i].frequency, cases[i].first, cases[i].last);
        tally_row rows[3];

        rows_of(1, 1, &range, rows);
        for (size_t k = 0; k < 3; k++) {
            cr_assert_str_eq(rows[k].date, cases[i].dates[k]);
            cr_assert_eq(rows[k].events, k == 1 ? 2 : 0, "case %zu, %s", i, rows[k].date);
        }
        cr_assert_eq(rows[1].start_ms, cases[i].start_ms, "case %zu", i);
        cr_assert_eq(rows[1].end_ms, cases[i].end_ms, "case %zu", i);
        cr_assert_eq(rows[0].end_ms, rows[1].start_ms);
        cr_assert_eq(rows[1].end_ms, rows[2].start_ms);
        cr_assert_eq((int64_t)rows[1].credits_micro.low, -1000001);
        cr_assert_eq(rows[1].credits_micro.high, -1);
        cr_assert_eq(rows[1].documents.low, 2);
        cr_assert_eq(rows[1].pages.low, 6);
        cr_assert_eq(rows[1].processing_ms.low, 2400);
        cr_assert_eq(rows[2].credits_micro.low, 0);
    }
}

/* A sum of more than 64 bits must come out whole. */
Test(rollup, sums_keep_all_128_bits)
{
    struct ty_range range = ty_world_range(TALLY_MONTHLY, "2023-01", "2023-01");
    int64_t start_ms = ty_period_start_ms(TALLY_MONTHLY, range.first);
    struct ty_event *events = calloc(9000, sizeof(*events));
    char(*ids)[16] = calloc(9000, sizeof(*ids));
    tally_row row;

    for (int64_t slot = 0; slot < 3; slot++) {
        for (unsigned i = 0; i < 9000; i++) {
            snprintf(ids[i], sizeof(ids[i]), "%u-%d", i, (int)slot);
            events[i] = ty_world_event(&world, 1, 1, ids[i]);
            events[i].time_ms = start_ms + slot * TY_MS_PER_SLOT;
            events[i].credits = -TALLY_CREDITS_MICRO_MAX;
        }
        cr_assert_eq(ty_world_submit(&world, database, events, 9000, NULL), TALLY_OK);
    }
    rows_of(1, 1, &range, &row);
    cr_assert_eq(row.events, 27000);
    /* -27,000 * 10^15 = -2^64 - 8,553,255,926,290,448,384 */
    cr_assert_eq(row.credits_micro.high, -2);
    cr_assert_eq(0 - row.credits_micro.low, UINT64_C(8553255926290448384));
    free(events);
    free(ids);
}

/* Who never used anything has zeros and an empty list, never an error or somebody else's usage. */
Test(rollup, a_stranger_has_zeros_and_an_empty_list)
{
    struct ty_range range = ty_world_range(TALLY_DAILY, "2023-02-01", "2023-02-02");
    struct ty_uuid stranger = ty_world_customer(77), *ids = &stranger;
    tally_error error = {""};
    size_t count = 7;
    tally_row rows[2];

    add(1, 1, "a", TY_WORLD_START_MS, 5);
    rows_of(77, 1, &range, rows);
    cr_assert(rows[0].events == 0 && rows[1].events == 0);
    cr_assert_str_eq(rows[1].date, "2023-02-02");
    cr_assert_eq(ty_rollup_workflows(database, &stranger, &range, &ids, &count, &error), TALLY_OK);
    cr_assert_eq(count, 0);
    cr_assert_null(ids);
    cr_assert_eq(ty_rollup_series_count(database, &stranger), 0);
    rows_of(1, 77, &range, rows);
    cr_assert(rows[0].events == 0 && rows[1].events == 0);
}

/* A list out of order, or with a workflow that was not used then, confuses whoever pages through.
 */
Test(rollup, the_list_has_the_workflows_used_in_the_range_in_ascending_order)
{
    static const unsigned workflows[] = {300, 2, 41, 1, 255, 256, 40};
    char id[16];

    for (size_t i = 0; i < TY_COUNT_OF(workflows); i++) {
        snprintf(id, sizeof(id), "e%zu", i);
        add(1, workflows[i], id, TY_WORLD_START_MS - (int64_t)i * TY_MS_PER_DAY, 1);
    }
    add(2, 3, "other", TY_WORLD_START_MS, 1);
    cr_assert_str_eq(list_of(1, TALLY_MONTHLY, "2023-01", "2023-02"), "1 2 40 41 255 256 300");
    cr_assert_str_eq(list_of(1, TALLY_MONTHLY, "2023-02", "2023-02"), "300");
    cr_assert_str_eq(list_of(1, TALLY_DAILY, "2023-01-29", "2023-01-31"), "1 2 41");
    cr_assert_str_eq(list_of(1, TALLY_HOURLY, "2023-01-31T12Z", "2023-01-31T12Z"), "2");
    cr_assert_str_eq(list_of(1, TALLY_HOURLY, "2023-01-31T13Z", "2023-02-01T11Z"), "");
    cr_assert_str_eq(list_of(1, TALLY_WEEKLY, "2023-W04", "2023-W04"), "1 40 255 256");
    cr_assert_str_eq(list_of(2, TALLY_MONTHLY, "2023-01", "2023-02"), "3");
    cr_assert_eq(ty_rollup_series_count(database, &(struct ty_uuid){0}), 0);
    for (unsigned customer = 1; customer <= 2; customer++) {
        struct ty_uuid uuid = ty_world_customer(customer);

        cr_assert_eq(ty_rollup_series_count(database, &uuid), customer == 1 ? 7 : 1);
    }
}

/* "Used" is at least one accepted event: +5 and -5 are usage, a rejected event is none. */
Test(rollup, used_means_accepted_events_whatever_their_sums)
{
    struct ty_event rejected = ty_world_event(&world, 1, 2, "too-new");
    tally_result result;

    add(1, 1, "plus", TY_WORLD_START_MS, 5000000);
    add(1, 1, "minus", TY_WORLD_START_MS, -5000000);
    rejected.time_ms = TY_WORLD_START_MS + 2 * TY_MS_PER_DAY;
    cr_assert_eq(ty_world_submit(&world, database, &rejected, 1, &result), TALLY_OK);
    cr_assert_eq(result, TALLY_TOO_NEW);
    cr_assert_str_eq(list_of(1, TALLY_MONTHLY, "2023-02", "2023-03"), "1");
}

/* After a restart, when all comes from storage, lists and rows must be the same. */
Test(rollup, the_answers_outlive_a_restart)
{
    struct ty_range range = ty_world_range(TALLY_DAILY, "2023-01-30", "2023-02-01");
    tally_row before[3] = {0}, after[3] = {0};
    tally_error error = {""};

    for (unsigned customer = 1; customer < 6; customer++)
        for (unsigned workflow = 5; workflow > 0; workflow--) {
            char id[32];

            snprintf(id, sizeof(id), "%u-%u", customer, workflow);
            add(customer, workflow, id, TY_WORLD_START_MS - workflow * TY_MS_PER_DAY / 2, workflow);
        }
    rows_of(3, 2, &range, before);
    cr_assert_eq(before[1].events, 1);
    ty_database_close(database);
    cr_assert_eq(ty_world_database(&world, 0, &database, &error), TALLY_OK, "%s", error.message);
    for (unsigned customer = 1; customer < 6; customer++)
        cr_assert_str_eq(list_of(customer, TALLY_MONTHLY, "2023-01", "2023-02"), "1 2 3 4 5");
    rows_of(3, 2, &range, after);
    cr_assert_eq(memcmp(before, after, sizeof(before)), 0);
}
