/*
 * test_verify_closings.c: each way in which closed months and their revisions can be wrong, and
 * what the check says of it. Customer 1's months are closed through December, with revisions.
 */
#include "storage/snapshot.h"
#include "tests/query/verify_fixture.h"

TestSuite(verify_closings, .init = init, .fini = fini);

static struct ty_closed closed_of(unsigned customer)
{
    return rot.closed[customer - 1];
}

static void put_closing(struct ty_store *store, unsigned customer, const struct ty_closed *closed)
{
    struct ty_uuid id = ty_world_customer(customer);

    assert_ok(ty_store_put_closing(store, &id, closed, &problem));
}

/* A revision of December of customer 1's workflow 1, which is series 0, with sums as they are. */
static void put_revision(struct ty_store *store, uint64_t number, struct ty_revision revision)
{
    struct ty_uuid id = ty_world_customer(1);

    revision.number = number;
    assert_ok(ty_store_put_revision(store, &id, &revision, &problem));
}

/* One more than there are, and told by the closing. */
static void add_revision(struct ty_store *store, struct ty_revision revision)
{
    struct ty_closed closed = closed_of(1);

    put_revision(store, ++closed.revisions, revision);
    put_closing(store, 1, &closed);
}

static const struct ty_revision nothing = {.sequence = 21, .month = 635};

static void closing_of_nobody(struct ty_store *store)
{
    struct ty_closed closed = {.through = 635};

    put_closing(store, 50, &closed);
}

static void closing_of_the_future(struct ty_store *store)
{
    struct ty_closed closed = closed_of(1);

    closed.sequence = 1000;
    put_closing(store, 1, &closed);
}

static void revision_told_but_missing(struct ty_store *store)
{
    struct ty_closed closed = closed_of(1);

    closed.revisions++;
    put_closing(store, 1, &closed);
}

static void revision_behind_a_gap(struct ty_store *store)
{
    put_revision(store, closed_of(1).revisions + 2, nothing);
}

static void revision_without_closing(struct ty_store *store)
{
    struct ty_uuid id = ty_world_customer(3);
    struct ty_revision revision = {.number = 1, .series = 2, .month = 635};

    assert_ok(ty_store_put_revision(store, &id, &revision, &problem));
}

static void revision_of_an_open_month(struct ty_store *store)
{
    struct ty_revision revision = nothing;

    revision.month = 636;
    add_revision(store, revision);
}

static void revision_before_the_closing(struct ty_store *store)
{
    struct ty_revision revision = nothing;

    revision.sequence = closed_of(1).sequence;
    add_revision(store, revision);
}

static void revision_of_the_future(struct ty_store *store)
{
    struct ty_revision revision = nothing;

    revision.sequence = 1000;
    add_revision(store, revision);
}

static void revision_of_another(struct ty_store *store)
{
    struct ty_revision revision = nothing;

    revision.series = 1;
    add_revision(store, revision);
}

static void revision_with_wrong_cause(struct ty_store *store)
{
    struct ty_revision revision = nothing;

    revision.events = 3;
    add_revision(store, revision);
}

static void revision_that_does_not_follow(struct ty_store *store)
{
    add_revision(store, nothing);
}

/* All that follows is as it should be, but for what the month holds. */
static void month_without_its_revision(struct ty_store *store)
{
    struct ty_uuid id = ty_world_customer(1);
    struct ty_revision revision = nothing;
    struct ty_month_block month;

    for (uint64_t number = closed_of(1).revisions; number > 0; number--) {
        struct ty_snapshot *snapshot;

        assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
        assert_ok(ty_snapshot_get_revision(snapshot, &id, number, &revision, &problem));
        ty_snapshot_end(store, snapshot);
        if (revision.series == 0)
            break;
    }
    revision.before = revision.after;
    revision.sequence = 21;
    revision.events = 1;
    revision.voided = 0;
    revision.after.events++;
    assert_ok(ty_store_get_month(store, 0, 635, &month, &problem));
    month.stamp = 21;
    assert_ok(ty_store_put_month(store, 0, 635, &month, &problem));
    add_revision(store, revision);
}

static const struct damaging changes[] = {
    {closing_of_nobody, "has a closing, but no series"},
    {closing_of_the_future, "was closed after value 1000, but the last one is 21"},
    {revision_told_but_missing, "revisions: the last revision of customer c0000000-"},
    {revision_behind_a_gap, "is missing: behind it comes"},
    {revision_without_closing, "has a revision 1, but no closing"},
    {revision_of_an_open_month, "is of 2023-01, which is not closed of a series in 2023-01"},
    {revision_before_the_closing, "but the month was closed after value"},
    {revision_of_the_future, "is of journal value 1000, but the last one is 21"},
    {revision_of_another, "is of series 1, which is another customer's"},
    {revision_with_wrong_cause, ": 0 events, 3 more and 0 voided, are not 0"},
    {revision_that_does_not_follow, "does not begin with what revision"},
    {month_without_its_revision, "2022-12 is not what the last of its revisions ended with"},
};

/* What was invoiced is argued about with revisions: each must be there, and follow the one before.
 */
Test(verify_closings, finds_and_names_whatever_does_not_fit_together)
{
    find_each(changes, TY_COUNT_OF(changes));
}
