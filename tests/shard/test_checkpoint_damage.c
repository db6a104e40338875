/*
 * test_checkpoint_damage.c: trimming a journal with damaged values in it.
 */
#include "engine/period.h"
#include "storage/bytes.h"
#include "tests/support/damage.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define VALUES     60
#define ARRIVAL_AT 17 /* in a value: eight bytes (docs/FORMAT.md) */

static struct ty_world world;
static struct ty_shard_stats *stats;

static void open_shard(void)
{
    ty_world_open(&world);
    stats = ty_shard_stats(world.shard);
}

static void init(void)
{
    ty_world_init(&world);
    world.options.dedup_window_ms = 0;
    world.options.journal_retention_ms = 100 * TY_MS_PER_MINUTE;
    open_shard();
}

static void fini(void)
{
    ty_world_fini(&world);
}

TestSuite(checkpoint_damage, .init = init, .fini = fini);

static uint64_t stat_of(_Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

static void send(unsigned number)
{
    char id[16];
    struct ty_event event;

    snprintf(id, sizeof(id), "event-%u", number);
    event = ty_world_event(&world, 1, 1, id);
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
}

/* Values 1 to 60, one a minute, with every total in a block; then the shard is closed. */
static void fill_journal(void)
{
    for (unsigned i = 1; i <= VALUES; i++) {
        ty_world_pass(&world, TY_MS_PER_MINUTE);
        send(i);
    }
    ty_world_close(&world);
}

static void damage(uint64_t sequence, long offset, uint8_t bits)
{
    uint8_t key[8];
    struct ty_damage damage = {world.options.path, "journal", key, sizeof(key)};

    ty_put_u64_be(key, sequence);
    ty_damage_flip(&damage, offset, bits);
}

static void maintain_fully(void)
{
    while (ty_shard_maintain(world.shard) == 0)
        ty_shard_check(world.shard);
    cr_assert_eq(stat_of(&stats->commit_failures), 0);
}

/* One wrong bit must not delete events before their time. */
Test(checkpoint_damage, a_value_that_only_looks_old_stays)
{
    fill_journal();
    damage(1, ARRIVAL_AT + 5, 0x01); /* 35 years */
    open_shard();
    maintain_fully();
    cr_assert_eq(ty_world_first_journal(&world), 1);
    ty_world_pass(&world, 42 * TY_MS_PER_MINUTE); /* value 2 is 100 minutes old, and 1 was older */
    maintain_fully();
    cr_assert_eq(ty_world_first_journal(&world), 1);
    ty_world_pass(&world, 1);
    maintain_fully();
    cr_assert_eq(ty_world_first_journal(&world), 3);
    cr_assert_eq(stat_of(&stats->trimmed_values), 2);
    cr_assert_eq(stat_of(&stats->damaged_values), 1);
}

/* Nor may it keep the journal from being trimmed, or commits from succeeding: the disk would fill
 * and every event be refused, for one value that nobody needs any more. */
Test(checkpoint_damage, a_damaged_value_goes_when_its_time_is_up)
{
    static const struct {
        const char *what;
        long offset;
        uint8_t bits;
    } cases[] = {
        {"its version", 0, 0x80},
        {"its checksum", 3, 0x01},
        {"an older arrival", ARRIVAL_AT + 5, 0x01},
        {"an arrival in the future", ARRIVAL_AT + 6, 0x01},
        {"an arrival before all times", ARRIVAL_AT + 7, 0x80},
        {"an event", -1, 0x01},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        fill_journal();
        damage(1, cases[i].offset, cases[i].bits);
        open_shard();
        ty_world_pass(&world, 50 * TY_MS_PER_MINUTE);
        send(100); /* a commit of events trims as well */
        maintain_fully();
        cr_assert_eq(ty_world_first_journal(&world), 10, "%s", cases[i].what);
        cr_assert_eq(stat_of(&stats->damaged_values), 1, "%s", cases[i].what);
        ty_world_pass(&world, TY_MS_PER_DAY);
        maintain_fully();
        cr_assert_eq(ty_world_first_journal(&world), 0);
        cr_assert_eq(stat_of(&stats->journal_bytes), 0);
        cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_MONTHLY, "2023-02").events, VALUES + 1);
        fini();
        init();
    }
}

/* A bad spot of the disk is wider than one value. */
Test(checkpoint_damage, looks_past_a_few_in_a_row)
{
    fill_journal();
    for (uint64_t sequence = 3; sequence < 3 + 8; sequence++)
        damage(sequence, ARRIVAL_AT, 0xff);
    for (uint64_t sequence = 20; sequence < 20 + 9; sequence++)
        damage(sequence, ARRIVAL_AT + 6, 0xff);
    open_shard();
    ty_world_pass(&world, TY_MS_PER_DAY);
    maintain_fully();
    cr_assert_eq(stat_of(&stats->damaged_values), 8);
    cr_assert_eq(ty_world_first_journal(&world), 20,
                 "of nine in a row nobody knows when they arrived");
    send(100);
    maintain_fully();
    cr_assert_eq(ty_world_first_journal(&world), 20);
}

/* The gauge that an alert watches must not wait for events. */
Test(checkpoint_damage, the_free_disk_is_looked_at_without_events)
{
    cr_assert(stat_of(&stats->disk_bytes) > 0, "from the start");
    atomic_store(&stats->disk_bytes, 1);
    ty_world_pass(&world, 1000);
    ty_shard_maintain(world.shard);
    cr_assert(stat_of(&stats->disk_bytes) > 1);
    atomic_store(&stats->disk_bytes, 1);
    ty_world_pass(&world, 200);
    send(1);
    cr_assert(stat_of(&stats->disk_bytes) > 1);
    cr_assert(stat_of(&stats->file_bytes) > 0 && stat_of(&stats->map_bytes) > 0);
}
