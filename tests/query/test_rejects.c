#include "query/rejects.h"
#include "tests/support/damage.h"
#include "tests/support/shard_world.h"
#include "shard/waiter.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define COUNT 25

static struct ty_world world;
static struct ty_database *database;
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
}

static void fini(void)
{
    ty_database_close(database);
    ty_world_fini(&world);
}

TestSuite(rejects, .init = init, .fini = fini);

static void note_done(struct ty_keeping *keeping)
{
    (void)keeping;
    ty_waiter_wake(&waiter);
}

/* Keeps rejects whose records are their numbers. */
static void keep(unsigned first, unsigned last)
{
    struct ty_reject rejects[COUNT];
    char records[COUNT][12];
    struct ty_keeping keeping = {.rejects = rejects, .count = last - first + 1, .done = note_done};

    for (unsigned i = 0; i < keeping.count; i++) {
        snprintf(records[i], sizeof(records[i]), "%u", first + i);
        rejects[i] = (struct ty_reject){.code = TALLY_MISSING_FIELD,
                                        .time_ms = TALLY_TIME_OF_ARRIVAL,
                                        .record = {records[i], strlen(records[i])}};
    }
    ty_database_keep_rejects(database, &keeping);
    ty_waiter_await(&waiter);
    cr_assert_eq(keeping.status, TALLY_OK);
}

struct page {
    char text[400];
    size_t stop_after; /* 0: never */
    size_t count;
};

static bool note(void *context, const struct ty_kept_reject *kept)
{
    struct page *page = context;
    size_t length = strlen(page->text);

    snprintf(page->text + length, sizeof(page->text) - length, "%.*s ",
             (int)kept->reject.record.length, kept->reject.record.data);
    return ++page->count != page->stop_after;
}

static struct page page; /* the last one */

static const char *list(uint64_t *before, size_t limit, size_t stop_after, bool *more)
{
    page = (struct page){.stop_after = stop_after};
    cr_assert_eq(ty_rejects_list(database, before, limit, note, &page, more, &error), TALLY_OK,
                 "%s", error.message);
    return page.text;
}

/* An operator who pages through the list sees each reject once, the newest first. */
Test(rejects, pages_fit_together)
{
    uint64_t before = UINT64_MAX;
    bool more = true;

    cr_assert_str_eq(list(&before, 10, 0, &more), "");
    cr_assert_not(more);
    cr_assert_eq(before, UINT64_MAX);
    keep(1, COUNT);
    cr_assert_str_eq(list(&before, 10, 0, &more), "25 24 23 22 21 20 19 18 17 16 ");
    cr_assert(more);
    cr_assert_eq(before, 16);
    keep(26, 30); /* what arrives meanwhile is newer, and does not move the pages */
    cr_assert_str_eq(list(&before, 15, 0, &more), "15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 ");
    cr_assert_not(more, "exactly the last one");
    cr_assert_str_eq(list(&before, 10, 0, &more), "");
    cr_assert_not(more);
    before = UINT64_MAX;
    cr_assert_str_eq(list(&before, 2, 0, &more), "30 29 ");
    cr_assert_str_eq(list(&before, 0, 0, &more), "");
    cr_assert(more);
    cr_assert_eq(before, 29);
}

/* A page that grows too long ends early; nothing is skipped by that. */
Test(rejects, a_page_may_end_early)
{
    uint64_t before = UINT64_MAX;
    bool more = false;

    keep(1, 5);
    cr_assert_str_eq(list(&before, 10, 2, &more), "5 4 ");
    cr_assert(more);
    cr_assert_str_eq(list(&before, 10, 3, &more), "3 2 1 ");
    cr_assert_not(more);
}

/* One damaged reject must not hide the older ones for good. */
Test(rejects, a_damaged_one_is_named_and_passed_over)
{
    static const uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, 3};
    char path[1200];
    struct ty_damage damage = {path, "rejects", key, sizeof(key)};
    uint64_t before = UINT64_MAX;
    bool more = false;

    keep(1, 5);
    ty_database_close(database);
    snprintf(path, sizeof(path), "%s/shard-000", world.directory.path);
    ty_damage_flip(&damage, -1, 1);
    open_database();
    cr_assert_str_eq(list(&before, 10, 0, &more), "5 4 ");
    cr_assert(more);
    cr_assert_eq(before, 4);
    page = (struct page){0};
    cr_assert_eq(ty_rejects_list(database, &before, 10, note, &page, &more, &error), TALLY_CORRUPT);
    cr_assert_not_null(strstr(error.message, "reject 3"), "%s", error.message);
    cr_assert_eq(page.count, 0);
    cr_assert_eq(before, 3);
    cr_assert_str_eq(list(&before, 10, 0, &more), "2 1 ");
    cr_assert_not(more);
}
