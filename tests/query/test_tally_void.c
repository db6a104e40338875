#include "engine/base.h"
#include "tests/query/tally_fixture.h"
#include "tests/support/random.h"

#include <stdio.h>
#include <stdlib.h>

TestSuite(tally_void, .init = open_tally, .fini = close_tally);

static const uint8_t customer[16] = {1};

static tally_event_id id_of(const char *id)
{
    return (tally_event_id){.id = id, .id_length = strlen(id)};
}

static tally_void_result void_one(tally_event_id id)
{
    tally_void_result result = TALLY_NOT_VOIDED;

    cr_assert_eq(tally_void(db, customer, &id, 1, "sent twice", &result, &error), TALLY_OK, "%s",
                 error.message);
    return result;
}

/* If this fails, a correction takes out what it was not asked to, or comes in again by a retry. */
Test(tally_void, what_is_voided_counts_no_more_and_stays_void)
{
    tally_event other = event_of(2, 1, "a"), with_source = event_of(1, 1, "a");
    tally_event_id sourced = {.id = "a", .id_length = 1, .source = "x", .source_length = 1};

    with_source.source = "x";
    with_source.source_length = 1;
    cr_assert_eq(send(event_of(1, 1, "a")), TALLY_ACCEPTED);
    cr_assert_eq(send(event_of(1, 2, "b")), TALLY_ACCEPTED);
    cr_assert_eq(send(with_source), TALLY_ACCEPTED);
    cr_assert_eq(send(other), TALLY_ACCEPTED);
    cr_assert_eq(void_one(id_of("a")), TALLY_VOIDED);
    cr_assert_eq(month_of(1, 1, "2023-02").events, 1u);
    cr_assert_eq(month_of(1, 1, "2023-02").credits_micro.low, 5000000u);
    cr_assert_eq(month_of(1, 2, "2023-02").events, 1u);
    cr_assert_eq(month_of(2, 1, "2023-02").events, 1u);
    cr_assert_eq(void_one(id_of("a")), TALLY_ALREADY_VOIDED);
    cr_assert_eq(send(event_of(1, 1, "a")), TALLY_DUPLICATE);
    cr_assert_eq(void_one(sourced), TALLY_VOIDED);
    cr_assert_eq(month_of(1, 1, "2023-02").events, 0u);
    cr_assert_eq(month_of(1, 1, "2023-02").processing_ms.low, 0u);
    cr_assert_eq(void_one(id_of("c")), TALLY_VOID_UNKNOWN_ID);
    open_again();
    cr_assert_eq(month_of(1, 1, "2023-02").events, 0u);
    cr_assert_eq(void_one(id_of("a")), TALLY_ALREADY_VOIDED);
}

/* A closed month tells of a void, or an invoice is not corrected. */
Test(tally_void, a_void_in_a_closed_month_is_a_revision)
{
    tally_revision *revisions = NULL;
    size_t count = 0;

    cr_assert_eq(send(event_of(1, 1, "a")), TALLY_ACCEPTED);
    cr_assert_eq(tally_close_months(db, customer, "2023-02", NULL, &error), TALLY_OK);
    cr_assert_eq(void_one(id_of("a")), TALLY_VOIDED);
    cr_assert_eq(tally_revisions(db, customer, 0, &revisions, &count, NULL, &error), TALLY_OK);
    cr_assert_eq(count, 1u);
    cr_assert(revisions[0].events == 0 && revisions[0].voided == 1);
    cr_assert(revisions[0].before.events == 1 && revisions[0].after.events == 0);
    tally_free(revisions);
}

static void check_refused(const tally_event_id *ids, size_t count, const char *reason,
                          const char *text)
{
    tally_void_result results[2] = {TALLY_VOIDED, TALLY_VOIDED};

    cr_assert_eq(tally_void(db, customer, ids, count, reason, count <= 2 ? results : NULL, &error),
                 TALLY_INVALID);
    cr_assert_str_eq(error.message, text);
    for (size_t i = 0; i < count && count <= 2; i++)
        cr_assert_eq(results[i], TALLY_NOT_VOIDED);
    cr_assert_eq(tally_void(db, customer, ids, count, reason, NULL, NULL), TALLY_INVALID);
    cr_assert_eq(month_of(1, 1, "2023-02").events, 1u, "something was voided");
}

/* What is not allowed is named, and the good ids beside it are not voided: the caller corrects the
 * call and makes it again. */
Test(tally_void, wrong_calls_are_named)
{
    static const char id_text[] =
        "ids[1].id: a text of 1 to 128 bytes of UTF-8 without zero is required";
    static const char reason_text[] = "reason: a text of 1 to 256 bytes of UTF-8 is required";
    tally_event_id *many = calloc(TALLY_VOIDS_MAX + 1, sizeof(*many));
    tally_event_id ids[2] = {id_of("a"), id_of("")};
    char longest[258];

    cr_assert_eq(send(event_of(1, 1, "a")), TALLY_ACCEPTED);
    memset(longest, 'l', 257);
    longest[257] = '\0';
    check_refused(ids, 2, "r", id_text);
    ids[1] = (tally_event_id){.id = "a\0b", .id_length = 3};
    check_refused(ids, 2, "r", id_text);
    ids[1] = (tally_event_id){.id = longest, .id_length = 129};
    check_refused(ids, 2, "r", id_text);
    ids[1] = (tally_event_id){.id = "b", .id_length = 1, .source = "\xff", .source_length = 1};
    check_refused(ids, 2, "r",
                  "ids[1].source: a text of at most 1024 bytes of UTF-8 without zero is allowed");
    check_refused(ids, 1, NULL, reason_text);
    check_refused(ids, 1, "", reason_text);
    check_refused(ids, 1, longest, reason_text);
    for (size_t i = 0; i <= TALLY_VOIDS_MAX; i++)
        many[i] = id_of("a");
    check_refused(many, TALLY_VOIDS_MAX + 1, "r", "10001 ids; at most 10000 are allowed");
    cr_assert_eq(tally_void(db, customer, NULL, 0, "r", NULL, NULL), TALLY_OK);
    cr_assert_eq(tally_void(db, customer, many, TALLY_VOIDS_MAX, &longest[1], NULL, NULL),
                 TALLY_OK);
    cr_assert_eq(month_of(1, 1, "2023-02").events, 0u);
    free(many);
}

#define EVENTS 400

/* Whatever is sent and voided, in whatever calls: a month is the sum of what was not voided. */
Test(tally_void, a_month_is_what_was_not_voided)
{
    char ids[EVENTS][16];
    bool is_void[EVENTS] = {false};
    struct ty_random random;
    uint64_t left = 0;

    ty_random_init(&random, ty_random_seed());
    for (int i = 0; i < EVENTS; i++) {
        snprintf(ids[i], sizeof(ids[i]), "id-%d", i);
        cr_assert_eq(send(event_of(1, 1, ids[i])), TALLY_ACCEPTED);
    }
    for (int call = 0; call < 20; call++) {
        size_t wanted[10], count = 1 + ty_random_below(&random, 10);
        tally_event_id list[10];
        tally_void_result results[10];

        for (size_t i = 0; i < count; i++) {
            wanted[i] = ty_random_below(&random, EVENTS);
            list[i] = id_of(ids[wanted[i]]);
        }
        cr_assert_eq(tally_void(db, customer, list, count, "r", results, &error), TALLY_OK);
        for (size_t i = 0; i < count; i++) {
            cr_assert_eq(results[i], is_void[wanted[i]] ? TALLY_ALREADY_VOIDED : TALLY_VOIDED);
            is_void[wanted[i]] = true;
        }
    }
    for (int i = 0; i < EVENTS; i++)
        left += !is_void[i];
    cr_assert_eq(month_of(1, 1, "2023-02").events, left);
    cr_assert_eq(month_of(1, 1, "2023-02").credits_micro.low, left * 5000000);
    cr_assert_eq(month_of(1, 1, "2023-02").pages.low, left * 3);
}
