#include "storage/snapshot.h"
#include "tests/storage/store_fixture.h"
#include "tests/support/damage.h"

TestSuite(store_voids, .init = make_directory, .fini = remove_directory);

#define VOIDS 6

/* Every other event of a series is void, from event 1 on. */
static struct ty_journal_place place_of(uint32_t event)
{
    return (struct ty_journal_place){.sequence = 7 + event / 5, .series = 2, .index = event};
}

static void put_voids(void)
{
    struct ty_store *store = open_store();

    assert_ok(ty_store_begin(store, &problem));
    for (uint32_t event = 1; event < 2 * VOIDS; event += 2) {
        struct ty_journal_place place = place_of(event);
        struct ty_void_note note = {.sequence = 20, .voided_ms = event, .reason = {"why", 3}};

        assert_ok(ty_store_put_void(store, &place, &note, &problem));
    }
    assert_ok(ty_store_commit(store, &problem));
    ty_store_close(store);
}

/* Asks for an event; false: it cannot be told. What is told must be right. */
static bool ask(struct ty_store *store, uint32_t event)
{
    struct ty_journal_place place = place_of(event);
    struct ty_void_note note;
    bool found;
    tally_status status = ty_store_get_void(store, &place, &found, &note, &problem);

    if (status != TALLY_OK) {
        cr_assert_eq(status, TALLY_CORRUPT);
        cr_assert_not_null(strstr(problem.message, "void"), "%s", problem.message);
        return false;
    }
    cr_assert_eq(found, event % 2 == 1, "event %u", event);
    if (found)
        cr_assert(note.sequence == 20 && note.voided_ms == event && note.reason.length == 3);
    return true;
}

static unsigned ask_all(void)
{
    struct ty_store *store = open_store();
    unsigned told = 0;

    assert_ok(ty_store_begin(store, &problem));
    for (uint32_t event = 0; event <= 2 * VOIDS; event++)
        told += ask(store, event);
    ty_store_close(store);
    return told;
}

Test(store_voids, tell_which_events_are_void)
{
    put_voids();
    cr_assert_eq(ask_all(), 2u * VOIDS + 1);
}

Test(store_voids, an_empty_tree_has_none)
{
    struct ty_store *store = open_store();
    struct ty_journal_place place = place_of(1);
    struct ty_void_note note;
    bool found = true;

    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_get_void(store, &place, &found, &note, &problem));
    cr_assert_not(found);
    ty_store_close(store);
}

static uint8_t random_bits(void *random)
{
    return (uint8_t)(1 + ty_random_below(random, 255));
}

/* The key in the middle goes before the first one: the search for that goes astray. */
static uint8_t before_the_first(void *random)
{
    (void)random;
    return 0x0c;
}

static void look(void *random, size_t entry, size_t byte)
{
    (void)random;
    cr_assert_lt(ask_all(), 2u * VOIDS + 1, "byte %zu of entry %zu: nothing was told", byte, entry);
}

/* An event whose void is lost would be taken out of its totals a second time. */
Test(store_voids, a_flipped_byte_of_key_or_value_never_makes_an_event_count_again)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    put_voids();
    cr_assert_gt(ty_damage_each_byte(directory.path, "voids", random_bits, look, &random),
                 VOIDS * 16u);
}

/* LMDB's search begins in the middle of a page, but a cursor that was used looks at its first key.
 */
Test(store_voids, the_first_is_not_lost_when_the_middle_goes_before_it)
{
    put_voids();
    cr_assert_gt(ty_damage_each_byte(directory.path, "voids", before_the_first, look, NULL),
                 VOIDS * 16u);
}
