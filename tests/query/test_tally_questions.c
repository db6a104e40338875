#include "engine/base.h"
#include "tests/query/tally_fixture.h"

#include <stdlib.h>

TestSuite(tally_questions, .init = open_tally, .fini = close_tally);

/* A wrong question is answered with what is wrong, not with zeros. */
Test(tally_questions, wrong_questions_are_named)
{
    static const struct {
        tally_range range;
        const char *text;
    } cases[] = {
        {{TALLY_MONTHLY, NULL, NULL}, "range.start is required"},
        {{(tally_frequency)4, "2023-01", NULL}, "range.frequency 4 is unknown"},
        {{(tally_frequency)-1, "2023-01", NULL}, "range.frequency -1 is unknown"},
        {{TALLY_MONTHLY, "2023-00", NULL},
         "range.start: '2023-00': the month is out of range (01 to 12); monthly takes YYYY-MM or "
         "more precision"},
        {{TALLY_DAILY, "2023-01-01", "2023-01"},
         "range.end: '2023-01': a month is not precise enough; daily takes YYYY-MM-DD or more "
         "precision"},
        {{TALLY_MONTHLY, "2023-02", "2023-01"},
         "range.end: the end 2023-01 is before the start 2023-02"},
    };
    uint8_t uuid[16] = {1}, (*ids)[16] = NULL;
    tally_row *rows = NULL;
    size_t count = 77;

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        cr_assert_eq(tally_usage(db, uuid, uuid, &cases[i].range, &rows, &count, &error),
                     TALLY_INVALID, "case %zu", i);
        cr_assert_str_eq(error.message, cases[i].text);
        cr_assert_eq(tally_workflows(db, uuid, &cases[i].range, &ids, &count, &error),
                     TALLY_INVALID, "case %zu", i);
        cr_assert_str_eq(error.message, cases[i].text);
        cr_assert_eq(tally_usage(db, uuid, uuid, &cases[i].range, &rows, &count, NULL),
                     TALLY_INVALID);
    }
    cr_assert(rows == NULL && ids == NULL && count == 77, "touched on a failure");
}

/* The bound on rows: the last that fits, the first that does not, and none for lists. */
Test(tally_questions, at_most_ten_thousand_rows)
{
    uint8_t customer[16] = {1}, workflow[16] = {1}, (*ids)[16] = NULL;
    tally_range range = {TALLY_DAILY, "2000-01-01", "2027-05-18"};
    tally_row *rows = NULL;
    size_t count = 0;

    cr_assert_eq(send(event_of(1, 1, "a")), TALLY_ACCEPTED);
    cr_assert_eq(tally_usage(db, customer, workflow, &range, &rows, &count, &error), TALLY_OK, "%s",
                 error.message);
    cr_assert_eq(count, 10000);
    cr_assert_str_eq(rows[0].date, "2000-01-01");
    cr_assert_str_eq(rows[9999].date, "2027-05-18");
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(rows[i].events, strcmp(rows[i].date, "2023-02-01") == 0);
    tally_free(rows);
    range.end = "2027-05-19";
    cr_assert_eq(tally_usage(db, customer, workflow, &range, &rows, &count, &error), TALLY_INVALID);
    cr_assert_str_eq(error.message, "the range has 10001 periods; at most 10000 are allowed");
    range.start = "1970-01-01";
    range.end = "9999-12-31";
    cr_assert_eq(tally_workflows(db, customer, &range, &ids, &count, &error), TALLY_OK, "%s",
                 error.message);
    cr_assert_eq(count, 1);
    cr_assert_eq(ids[0][0], 1);
    tally_free(ids);
}

/* The list of what a customer used, sorted, and empty for a stranger. */
Test(tally_questions, workflows_are_listed_in_order)
{
    static const uint8_t order[] = {9, 3, 200, 7};
    uint8_t customer[16] = {1}, stranger[16] = {2}, (*ids)[16] = NULL;
    tally_range range = {TALLY_MONTHLY, "2023-02", "2023-02"};
    size_t count = 0;

    for (size_t i = 0; i < TY_COUNT_OF(order); i++)
        cr_assert_eq(send(event_of(1, order[i], (const char[]){(char)('a' + (char)i), '\0'})),
                     TALLY_ACCEPTED);
    cr_assert_eq(tally_workflows(db, customer, &range, &ids, &count, &error), TALLY_OK);
    cr_assert_eq(count, 4);
    cr_assert(ids[0][0] == 3 && ids[1][0] == 7 && ids[2][0] == 9 && ids[3][0] == 200);
    tally_free(ids);
    cr_assert_eq(tally_workflows(db, stranger, &range, &ids, &count, &error), TALLY_OK);
    cr_assert_eq(count, 0);
    tally_free(ids);
}

/* --- Closed months --- */

static tally_event event_in(const char *id, int64_t time_ms)
{
    tally_event event = event_of(1, 1, id);

    event.time_ms = time_ms;
    return event;
}

#define JANUARY_MS (TIME_MS - 24 * 24 * HOUR_MS) /* some day of it */

/* What came too late for the invoice has to be on the next one, exactly. */
Test(tally_questions, what_changes_in_closed_months_is_listed)
{
    uint8_t customer[16] = {1};
    tally_revision *revisions = NULL;
    tally_closed closed, now;
    size_t count;

    cr_assert_eq(send(event_in("a", JANUARY_MS)), TALLY_ACCEPTED);
    cr_assert_eq(tally_close_months(db, customer, "2023-01", &closed, &error), TALLY_OK, "%s",
                 error.message);
    cr_assert_str_eq(closed.through, "2023-01");
    cr_assert(closed.closed_ms <= now_ms() && closed.closed_ms > now_ms() - HOUR_MS);
    cr_assert_eq(closed.revisions, 0);
    cr_assert_eq(send(event_in("b", JANUARY_MS)), TALLY_ACCEPTED);
    cr_assert_eq(send(event_in("b", JANUARY_MS)), TALLY_DUPLICATE);
    cr_assert_eq(send(event_in("c", TIME_MS)), TALLY_ACCEPTED);
    cr_assert_eq(send(event_in("d", JANUARY_MS)), TALLY_ACCEPTED);
    open_again();
    cr_assert_eq(tally_close_months(db, customer, "2023-01", NULL, NULL), TALLY_OK);
    cr_assert_eq(tally_revisions(db, customer, 0, &revisions, &count, &now, &error), TALLY_OK);
    cr_assert_eq(count, 2);
    cr_assert(now.closed_ms == closed.closed_ms && now.revisions == 2);
    cr_assert(revisions[0].number == 1 && revisions[0].workflow_id[0] == 1);
    cr_assert(revisions[0].events == 1 && revisions[0].voided == 0);
    cr_assert_str_eq(revisions[0].before.date, "2023-01");
    cr_assert(revisions[0].before.events == 1 && revisions[0].after.events == 2);
    cr_assert(revisions[0].before.credits_micro.low == 5000000 &&
              revisions[0].after.credits_micro.low == 10000000);
    cr_assert(revisions[1].before.events == 2 && revisions[1].after.pages.low == 9);
    cr_assert(revisions[0].received_ms >= closed.closed_ms);
    tally_free(revisions);
    cr_assert_eq(tally_revisions(db, customer, 1, &revisions, &count, NULL, NULL), TALLY_OK);
    cr_assert(count == 1 && revisions[0].number == 2);
    tally_free(revisions);
    customer[0] = 2;
    cr_assert_eq(tally_revisions(db, customer, 0, &revisions, &count, &now, &error), TALLY_OK);
    cr_assert(count == 0 && now.through[0] == '\0');
    tally_free(revisions);
}

Test(tally_questions, months_that_cannot_be_closed_are_refused)
{
    static const struct {
        const char *through, *text;
    } cases[] = {
        {NULL, "through: a month is required"},
        {"2023", "through: a month is allowed, like 2023-01"},
        {"2023-00", "through: the month is out of range (01 to 12)"},
        {"9999-12", "9999-12 has not ended"},
        {"2022-12", "closed through 2023-01, and stay so"},
    };
    uint8_t customer[16] = {1};

    cr_assert_eq(tally_close_months(db, customer, "2023-01", NULL, &error), TALLY_INVALID);
    cr_assert_not_null(strstr(error.message, "no event of this customer"), "%s", error.message);
    cr_assert_eq(send(event_in("a", JANUARY_MS)), TALLY_ACCEPTED);
    cr_assert_eq(tally_close_months(db, customer, "2023-01", NULL, NULL), TALLY_OK);
    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        cr_assert_eq(tally_close_months(db, customer, cases[i].through, NULL, &error),
                     TALLY_INVALID);
        cr_assert_not_null(strstr(error.message, cases[i].text), "%s", error.message);
    }
}
