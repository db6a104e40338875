#include "query/closing.h"
#include "tests/support/damage.h"
#include "tests/support/shard_world.h"
#include "shard/waiter.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define JANUARY    636                    /* 2023-01 */
#define JANUARY_MS INT64_C(1672531200000) /* its first moment */

static struct ty_world world; /* it is February 2023 */
static struct ty_database *database;
static struct ty_uuid customer;
static tally_error error;
static struct ty_waiter waiter = TY_WAITER_INIT;

static void open_database(void)
{
    cr_assert_eq(ty_world_database(&world, 2, &database, &error), TALLY_OK, "%s", error.message);
}

static void init(void)
{
    ty_world_init(&world);
    open_database();
    customer = ty_world_customer(1);
}

static void fini(void)
{
    ty_database_close(database);
    ty_world_fini(&world);
}

TestSuite(closing, .init = init, .fini = fini);

static void note_done(struct ty_closing *closing)
{
    (void)closing;
    ty_waiter_wake(&waiter);
}

static struct ty_close close_through(int32_t month)
{
    struct ty_closing closing = {.close = {.customer = customer, .through = month},
                                 .done = note_done};

    ty_database_close_months(database, &closing);
    ty_waiter_await(&waiter);
    cr_assert_eq(closing.status, TALLY_OK, "%s", closing.problem);
    return closing.close;
}

static void send(unsigned workflow, const char *id, int64_t time_ms)
{
    struct ty_event event = ty_world_event(&world, 1, workflow, id);
    tally_result result;

    event.time_ms = time_ms;
    cr_assert_eq(ty_world_submit(&world, database, &event, 1, &result), TALLY_OK);
    cr_assert_eq(result, TALLY_ACCEPTED);
}

/* January closed with one event, and `count` revisions. */
static void make_revisions(unsigned count)
{
    char id[16];

    send(1, "a", JANUARY_MS);
    cr_assert_eq(close_through(JANUARY).result, TY_CLOSE_DONE);
    for (unsigned i = 1; i <= count; i++) {
        snprintf(id, sizeof(id), "late-%u", i);
        send(1 + i % 2, id, JANUARY_MS);
    }
}

struct page {
    uint64_t numbers[32];
    size_t count, stop_after; /* 0: never */
    tally_closed closed;
    bool more;
};

static bool note(void *context, const tally_revision *revision)
{
    struct page *page = context;
    struct ty_uuid workflow = ty_world_workflow(1 + (unsigned)(revision->number % 2));

    cr_assert(page->count < TY_COUNT_OF(page->numbers));
    cr_assert(memcmp(revision->workflow_id, workflow.bytes, sizeof(workflow.bytes)) == 0);
    cr_assert_str_eq(revision->before.date, "2023-01");
    cr_assert_eq(revision->after.events, revision->before.events + 1);
    cr_assert(revision->events == 1 && revision->voided == 0);
    page->numbers[page->count++] = revision->number;
    return page->count != page->stop_after;
}

static tally_status list(uint64_t *after, size_t limit, size_t stop_after, struct page *page)
{
    *page = (struct page){.stop_after = stop_after};
    return ty_revisions_list(database, &customer, after, limit, note, page, &page->closed,
                             &page->more, &error);
}

static void expect_page(uint64_t *after, size_t limit, size_t stop_after, uint64_t first,
                        uint64_t last, bool more)
{
    struct page page;

    cr_assert_eq(list(after, limit, stop_after, &page), TALLY_OK, "%s", error.message);
    cr_assert_eq(page.count, last + 1 - first, "%zu", page.count);
    for (size_t i = 0; i < page.count; i++)
        cr_assert_eq(page.numbers[i], first + i);
    cr_assert_eq(page.more, more);
    cr_assert_eq(*after, last);
}

/* Whoever reads page by page must get each revision once, and know when there are no more. */
Test(closing, revisions_come_in_pages)
{
    uint64_t after = 0;
    struct page page;

    make_revisions(10);
    expect_page(&after, 4, 0, 1, 4, true);
    expect_page(&after, 4, 2, 5, 6, true);
    expect_page(&after, 4, 0, 7, 10, false);
    expect_page(&after, 4, 0, 11, 10, false);
    send(2, "late-11", JANUARY_MS);
    expect_page(&after, 4, 0, 11, 11, false);
    after = UINT64_MAX;
    cr_assert_eq(list(&after, 4, 0, &page), TALLY_OK);
    cr_assert(page.count == 0 && !page.more);
    cr_assert_str_eq(page.closed.through, "2023-01");
    cr_assert_eq(page.closed.closed_ms, TY_WORLD_START_MS);
    cr_assert_eq(page.closed.revisions, 11);
}

/* Somebody who never closed anything, or was never seen, has none. */
Test(closing, there_are_none_of_who_closed_nothing)
{
    uint64_t after = 0;
    struct page page;

    cr_assert_eq(list(&after, 4, 0, &page), TALLY_OK);
    cr_assert(page.count == 0 && !page.more && page.closed.through[0] == '\0');
    send(1, "a", JANUARY_MS);
    cr_assert_eq(list(&after, 4, 0, &page), TALLY_OK);
    cr_assert(page.count == 0 && !page.more && page.closed.through[0] == '\0');
}

static void damage(const char *tree, uint8_t number)
{
    struct ty_database_record record;
    struct ty_shard_options options = world.options;
    char path[2048];
    uint8_t key[24] = {0};
    struct ty_damage what = {path, tree, key, number == 0 ? 16 : 24};
    bool found;

    ty_database_close(database);
    memcpy(key, customer.bytes, sizeof(customer.bytes));
    key[23] = number;
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/shard-%03u", world.directory.path, i);
        options.path = path;
        cr_assert_eq(ty_shard_read_database(&options, &record, &found, &error), TALLY_OK);
        if (ty_damage_length(&what) != 0)
            ty_damage_flip(&what, -1, 1);
    }
    open_database();
}

/* One that is damaged is named, and the others can be had. */
Test(closing, a_damaged_revision_hides_no_other)
{
    uint64_t after = 0;
    struct page page;

    make_revisions(6);
    damage("revisions", 3);
    expect_page(&after, 10, 0, 1, 2, true);
    cr_assert_eq(list(&after, 10, 0, &page), TALLY_CORRUPT);
    cr_assert_not_null(strstr(error.message, "revision 3 of customer c0000000-"), "%s",
                       error.message);
    cr_assert_eq(after, 3);
    expect_page(&after, 10, 0, 4, 6, false);
}

/* What is refused has to say what would not be. */
Test(closing, says_why_it_is_refused)
{
    static const struct {
        struct ty_close close;
        const char *text;
    } cases[] = {
        {{.result = TY_CLOSE_UNKNOWN},
         "no event of this customer was ever accepted, so there is "
         "nothing to close"},
        {{.through = JANUARY, .result = TY_CLOSE_EARLIER, .closed = {.through = JANUARY + 2}},
         "the months of this customer are closed through 2023-03, and stay so; that month or a "
         "later one is allowed"},
        {{.through = JANUARY + 1, .result = TY_CLOSE_NOT_ENDED, .latest = JANUARY},
         "2023-02 has not ended (in UTC, by the clock of the database); 2023-01 is the latest that "
         "is allowed"},
    };
    char text[TY_CLOSING_TEXT_BYTES];

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        ty_closing_explain(&cases[i].close, text);
        cr_assert_str_eq(text, cases[i].text);
    }
}

/* Which months are closed must not be guessed from something like a month. */
Test(closing, takes_a_month_and_nothing_else)
{
    static const char *const wrong[] = {"",         "2023",    "2023-1",     "2023-00", "2023-13",
                                        "2023/01",  "23-01-1", "2023-01-31", "202301",  "1969-12",
                                        " 2023-01", "2023-W1", "２０23"};
    int32_t month = -7;

    for (size_t i = 0; i < TY_COUNT_OF(wrong); i++)
        cr_assert_not_null(ty_closing_parse(wrong[i], strlen(wrong[i]), &month), "%s", wrong[i]);
    cr_assert_eq(month, -7);
    cr_assert_null(ty_closing_parse("2023-01", 7, &month));
    cr_assert_eq(month, JANUARY);
    cr_assert_null(ty_closing_parse("1970-01", 7, &month));
    cr_assert_eq(month, 0);
    cr_assert_null(ty_closing_parse("9999-12", 7, &month));
}
