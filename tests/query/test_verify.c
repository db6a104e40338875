/*
 * test_verify.c: each way in which a shard can be wrong, and what the check says of it.
 */
#include "storage/bytes.h"
#include "storage/snapshot.h"
#include "storage/store_internal.h"
#include "tests/query/verify_fixture.h"

#define FIRST_DAY 19327 /* 2022-12-01 */
#define SERIES    2u

TestSuite(verify, .init = init, .fini = fini);

/* --- What can be wrong --- */

static void get_state(struct ty_store *store, struct ty_state_record *state)
{
    assert_ok(ty_store_get_state(store, state, &problem));
}

static void put_state(struct ty_store *store, const struct ty_state_record *state)
{
    assert_ok(ty_store_put_state(store, state, &problem));
}

static void replay_from_beyond_the_end(struct ty_store *store)
{
    struct ty_state_record state;

    get_state(store, &state);
    state.replay_from = state.last_sequence + 5;
    put_state(store, &state);
}

static void replay_from_too_late(struct ty_store *store)
{
    struct ty_state_record state;

    get_state(store, &state);
    state.replay_from = state.last_sequence + 1;
    put_state(store, &state);
}

static void wrong_journal_bytes(struct ty_store *store)
{
    struct ty_state_record state;

    get_state(store, &state);
    state.journal_bytes++;
    put_state(store, &state);
}

static void wrong_last_sequence(struct ty_store *store)
{
    struct ty_state_record state;

    get_state(store, &state);
    state.last_sequence++;
    put_state(store, &state);
}

static void older_state(struct ty_store *store)
{
    struct ty_state_record state;

    get_state(store, &state);
    state.arrival_ms -= 1;
    put_state(store, &state);
}

/* A stored day of the series, and its month. */
static int32_t find_day(struct ty_store *store, struct ty_day_block *block)
{
    for (int32_t day = FIRST_DAY;; day++) {
        assert_ok(ty_store_get_day(store, SERIES, day, block, &problem));
        if (block->total.events != 0)
            return day;
    }
}

static void change_month(struct ty_store *store, int64_t pages, uint64_t stamp)
{
    struct ty_month_block month;
    struct ty_day_block day;
    int32_t number = ty_month_of_day(find_day(store, &day));

    assert_ok(ty_store_get_month(store, SERIES, number, &month, &problem));
    month.total.pages += pages;
    if (stamp != 0)
        month.stamp = stamp;
    assert_ok(ty_store_put_month(store, SERIES, number, &month, &problem));
}

static void wrong_month(struct ty_store *store)
{
    change_month(store, 1, 0);
}

static void month_older_than_its_day(struct ty_store *store)
{
    change_month(store, 0, 1);
}

static void month_of_the_future(struct ty_store *store)
{
    change_month(store, 0, 1000);
}

static void change_day(struct ty_store *store, bool slot, bool total)
{
    struct ty_day_block block;
    int32_t day = find_day(store, &block);
    unsigned first = 0;

    while (!block.used[first])
        first++;
    block.slots[first].pages += slot;
    block.total.pages += total;
    assert_ok(ty_store_put_day(store, SERIES, day, &block, &problem));
}

static void wrong_slot(struct ty_store *store)
{
    change_day(store, true, false);
}

/* Day, slots and month agree, and yet are wrong. */
static void wrong_altogether(struct ty_store *store)
{
    change_day(store, true, true);
    change_month(store, 1, 0);
}

/* The same sums, in another quarter of an hour. */
static void wrong_quarter(struct ty_store *store)
{
    struct ty_day_block block;
    int32_t day = find_day(store, &block);
    unsigned first = 0;

    while (!block.used[first])
        first++;
    block.used[first] = false;
    block.used[first + 1] = true;
    block.slots[first + 1] = block.slots[first];
    block.slots[first] = (struct ty_slot_sum){0};
    assert_ok(ty_store_put_day(store, SERIES, day, &block, &problem));
}

static void day_of_nobody(struct ty_store *store)
{
    struct ty_day_block block;
    int32_t day = find_day(store, &block);

    assert_ok(ty_store_put_day(store, 77, day, &block, &problem));
}

static void series_twice(struct ty_store *store)
{
    struct ty_uuid customer = ty_world_customer(1), workflow = ty_world_workflow(1);

    assert_ok(
        ty_store_put_series(store, ROT_CUSTOMERS * ROT_WORKFLOWS, &customer, &workflow, &problem));
}

static void series_gap(struct ty_store *store)
{
    struct ty_uuid customer = ty_world_customer(50), workflow = ty_world_workflow(1);

    assert_ok(ty_store_put_series(store, 50, &customer, &workflow, &problem));
}

static void append_value(struct ty_store *store, int64_t before_ms, uint32_t series)
{
    struct ty_buffer value = {0};
    struct ty_state_record state;
    struct ty_journal_header header;
    size_t group;

    get_state(store, &state);
    header = (struct ty_journal_header){.received_ms = state.arrival_ms,
                                        .arrival_ms = state.arrival_ms - before_ms};
    ty_journal_begin(&value, &header);
    group = ty_journal_begin_group(&value, series);
    ty_journal_put_event(&value, &rot.events[ROT_EVENTS - 1], header.received_ms);
    ty_journal_end_group(&value, group);
    ty_journal_finish(&value, ++state.last_sequence);
    assert_ok(
        ty_store_append_journal(store, state.last_sequence, value.data, value.length, &problem));
    state.journal_bytes += value.length;
    put_state(store, &state);
    ty_buffer_fini(&value);
}

static void clock_back(struct ty_store *store)
{
    append_value(store, 1, 77);
}

static void event_of_nobody(struct ty_store *store)
{
    append_value(store, 0, 77);
}

/* The last event of all is customer 3's, of workflow 2. */
static void id_twice(struct ty_store *store)
{
    append_value(store, 0, 5);
}

static void wrong_reject_count(struct ty_store *store)
{
    struct ty_rejects_record record;

    assert_ok(ty_store_get_rejects(store, &record, &problem));
    record.count++;
    assert_ok(ty_store_put_rejects(store, &record, &problem));
}

static void wrong_reject_bytes(struct ty_store *store)
{
    struct ty_rejects_record record;

    assert_ok(ty_store_get_rejects(store, &record, &problem));
    record.bytes++;
    assert_ok(ty_store_put_rejects(store, &record, &problem));
}

static void reject_of_the_future(struct ty_store *store)
{
    struct ty_rejects_record record;

    assert_ok(ty_store_get_rejects(store, &record, &problem));
    record.last_seq--;
    assert_ok(ty_store_put_rejects(store, &record, &problem));
}

static void customers_of_another_shard(struct ty_store *store)
{
    struct ty_database_record record;
    bool found;

    assert_ok(ty_store_get_database(store, &record, &found, &problem));
    for (size_t i = 0; i < TY_PARTITIONS; i++)
        record.partition_shard[i] = 1;
    record.shard_count = 2;
    assert_ok(ty_store_put_database(store, &record, &problem));
}

/* It counts, and could not be taken out any more. */
static void void_by_nobody(struct ty_store *store)
{
    const struct ty_journal_place place = {.sequence = 1, .series = 0, .index = 0};
    const struct ty_void_note of = {.sequence = 21, .reason = {"a mistake", 9}};

    assert_ok(ty_store_put_void(store, &place, &of, &problem));
}

static void void_of_what_was_trimmed(struct ty_store *store)
{
    const struct ty_journal_place place = {.sequence = 0, .series = 0, .index = 0};
    const struct ty_void_note of = {.sequence = 21, .reason = {"a mistake", 9}};

    assert_ok(ty_store_put_void(store, &place, &of, &problem));
}

static const struct damaging changes[] = {
    {customers_of_another_shard, "series: series 0 lies on shard 0, its customer on shard 1"},
    {replay_from_beyond_the_end, "records: the state record says that blocks lack events from"},
    {replay_from_too_late, "which a start would not count"},
    {wrong_journal_bytes, "bytes, the state record says"},
    {wrong_last_sequence, "journal: the journal ends with value 21 instead of 22"},
    {older_state, "journal: the last journal value arrived after the state record"},
    {wrong_month, "blocks: 2022-12 is not the sum of its days of a series in 2022-12"},
    {month_older_than_its_day, "the next start would count some twice of a series in 2022-12"},
    {month_of_the_future, "holds events up to value 1000, but the last one is 21"},
    {wrong_slot, "is not the sum of its slots of a series in 2022-12-"},
    {wrong_altogether, ", with other sums of a series in 2022-12-"},
    {wrong_quarter, ", with other sums of a series in 2022-12-"},
    {day_of_nobody, "of series 77 is stored, but the series is unknown"},
    {series_twice, "series: series 0 and 6 are of the same customer and workflow"},
    {clock_back, "journal: journal value 22 arrived before the one before it, by 1 ms"},
    {event_of_nobody, "journal: journal value 22 has an event of series 77, which is unknown"},
    {id_twice, "journal: journal value 22: the id 'event-419' counts a second time"},
    {void_by_nobody, "voids: 1 events are marked as void, the journal has 0 voids of them"},
    {void_of_what_was_trimmed, "voids: event 0 of series 0 in value 0 is marked as void"},
    {wrong_reject_count, "rejects: 4 rejects are kept, their record says 5"},
    {wrong_reject_bytes, "rejects: the kept rejects take"},
    {reject_of_the_future, "rejects: there is a reject 4, but the last one is 3"},
};

/* A check that cries wolf is not listened to. */
Test(verify, finds_nothing_where_nothing_is_wrong)
{
    static struct said said;
    struct ty_verify_counts counts = verify_as(0, &said);

    cr_assert_eq(counts.problems, 0, "%s", said.text);
    cr_assert_eq(counts.series, ROT_CUSTOMERS * ROT_WORKFLOWS);
    cr_assert_eq(counts.events, ROT_EVENTS);
    cr_assert_eq(counts.rejects, 4);
    cr_assert_eq(counts.closings, 2);
    cr_assert_eq(counts.revisions, rot.closed[0].revisions + rot.closed[1].revisions);
    cr_assert_eq(counts.exact, counts.days, "the journal has all");
    cr_assert(counts.days > 100 && counts.partial == 0 && counts.uncompared == 0);
    cr_assert(counts.id_runs >= 2 && counts.sealed_ids >= counts.id_runs * ROT_SEAL_IDS);
    cr_assert(counts.uncompared_ids == 0 && counts.id_leftovers == 0);
    cr_assert_eq(counts.stale_reject_ids, 0);
    cr_assert(said.total > 0 && said.done > 0);
}

/* A first event that was refused for lack of space uses up its series' number. */
Test(verify, numbers_of_series_may_be_missing)
{
    static struct said said;

    change(series_gap);
    cr_assert_eq(verify_as(0, &said).problems, 0, "%s", said.text);
}

/* What is not found here is found by a customer, on an invoice. */
Test(verify, finds_and_names_whatever_does_not_fit_together)
{
    static struct said said;

    find_each(changes, TY_COUNT_OF(changes));
    verify_as(1, &said);
    cr_assert(strstr(said.text, "records: the directory of shard 1 holds shard 0") != NULL, "%s",
              said.text);
}

/* Every value and every key: what lies there is not what was stored. */
Test(verify, finds_any_flipped_byte)
{
    struct ty_stored *entries;
    size_t count = ty_damage_list(path, &entries), length;
    uint8_t *file = ty_damage_read_file(path, &length);
    static struct said said;

    for (size_t i = 0; i < count; i += 3) {
        const struct ty_stored *entry = &entries[i];
        size_t in_key = entry->key_at + i % entry->key_length;
        size_t in_value = entry->value_at + i * 31 % TY_MAX(entry->length, (size_t)1);
        char name[128];

        if (entry->tree[0] == '\0')
            continue;
        for (unsigned k = 0; k < 2; k++) {
            struct ty_verify_counts counts;

            file[k == 0 ? in_key : in_value] ^= 0x20;
            ty_damage_write_file(path, file, length);
            counts = verify_as(0, &said);
            /* The index of rejects is a hint: what is wrong with it is counted, and harmless. */
            cr_assert(strcmp(entry->tree, "reject_ids") == 0
                          ? counts.problems == 0 && counts.stale_reject_ids > 0
                          : counts.problems > 0,
                      "%s of %s", k == 0 ? "key" : "value", ty_damage_name(entry, name));
            file[k == 0 ? in_key : in_value] ^= 0x20;
        }
    }
    free(file);
    free(entries);
}

/* The first commit of a newer program writes the state in its form, and the other records as it
 * comes to them. What else it wrote is not known here, and no problem. */
Test(verify, leaves_alone_what_a_newer_program_wrote)
{
    static struct said said;
    const struct ty_verify_options options = {.dedup_window_ms = TY_MS_PER_HOUR,
                                              .memory_bytes = 1 << 20,
                                              .context = &said,
                                              .report = note,
                                              .progress = note_progress};
    struct ty_stored *entries;
    size_t count = ty_damage_list(path, &entries), length, newer = 0;
    uint8_t *file = ty_damage_read_file(path, &length), *value;

    for (size_t i = 0; i < count; i++) {
        struct ty_database_record database;
        struct ty_verify_counts counts;
        uint8_t before[TY_RECORD_HEADER_BYTES];

        if (strcmp(entries[i].tree, "meta") != 0)
            continue;
        value = file + entries[i].value_at;
        memcpy(before, value, sizeof(before));
        value[0]++;
        ty_damage_write_file(path, file, length);
        cr_assert(verify_as(0, &said).problems > 0, "a damaged version is no newer one");
        ty_put_u64(value + 4, ty_record_checksum(entries[i].key, entries[i].key_length, value,
                                                 entries[i].length));
        ty_damage_write_file(path, file, length);
        said.length = 0;
        cr_assert_eq(ty_verify_shard(path, &options, &database, &counts, &problem), TALLY_NEWER);
        cr_assert(counts.problems == 0 && strstr(problem.message, "newer version") != NULL);
        memcpy(value, before, sizeof(before));
        newer++;
    }
    cr_assert_eq(newer, 4u);
    free(file);
    free(entries);
}

static void delete (const char *tree, const void *key, size_t length)
{
    struct ty_damage damage = {path, tree, key, length};

    ty_damage_delete(&damage);
}

/* A value that is gone has no checksum that could fail. */
Test(verify, finds_what_is_missing)
{
    static struct said said;
    struct ty_store_options options = {.path = path, .read_only = true};
    struct ty_day_block block;
    struct ty_store *store;
    uint8_t key[9];
    int32_t day;

    assert_ok(ty_store_open(&options, &store, &problem));
    assert_ok(ty_store_begin(store, &problem));
    day = find_day(store, &block);
    ty_store_close(store);
    ty_put_u32_be(key, SERIES);
    key[4] = 1;
    ty_put_u32_be(key + 5, (uint32_t)day);
    delete ("blocks", key, sizeof(key));
    verify_as(0, &said);
    cr_assert(strstr(said.text, "is not stored, but the journal has") != NULL, "%s", said.text);
    cr_assert(strstr(said.text, "2022-12 is not the sum of its days") != NULL, "%s", said.text);
    ty_put_u64_be(key, 3);
    delete ("journal", key, 8);
    verify_as(0, &said);
    cr_assert(strstr(said.text, "the journal lacks value 3") != NULL, "%s", said.text);
    ty_put_u32_be(key, 4);
    delete ("series", key, 4);
    verify_as(0, &said);
    cr_assert(strstr(said.text, "of series 4 is stored, but the series is unknown") != NULL);
}

/* Voids an event of the first value, as a client does, and stores all totals. */
static struct ty_journal_place void_event(unsigned i)
{
    struct ty_void what = {.event = rot.events[i],
                           .place = {.sequence = 1, .series = i % 6, .index = i / 6},
                           .received_ms = TY_WORLD_START_MS,
                           .reason = {"a mistake", 9}};
    struct ty_part part = {.voids = &what, .void_count = 1};

    ty_world_open(&rot.world);
    ty_shard_commit(rot.world.shard, &part);
    cr_assert_eq(part.status, TALLY_OK);
    cr_assert_eq(what.result, TY_VOID_DONE);
    ty_world_close(&rot.world);
    return what.place;
}

/* What was taken out is not missing; and what is not marked could be taken out twice. */
Test(verify, takes_voids_out_and_wants_them_marked)
{
    static struct said said;
    struct ty_journal_place place = void_event(7);
    struct ty_verify_counts counts = verify_as(0, &said);
    uint8_t key[16];

    cr_assert_eq(counts.problems, 0, "%s", said.text);
    cr_assert(counts.voids == 1 && counts.exact == counts.days);
    ty_put_u64_be(key, place.sequence);
    ty_put_u32_be(key + 8, place.series);
    ty_put_u32_be(key + 12, place.index);
    delete ("voids", key, sizeof(key));
    verify_as(0, &said);
    cr_assert(strstr(said.text, "voids event 1 of value 1, which is not marked as void") != NULL,
              "%s", said.text);
}

/* A void that cannot be read took its event out of the day all the same: nobody's invoice is wrong.
 */
Test(verify, blames_no_day_for_a_damaged_void)
{
    static struct said said;
    struct ty_store_options options = {.path = path, .read_only = true};
    struct ty_state_record state;
    struct ty_store *store;

    void_event(7);
    assert_ok(ty_store_open(&options, &store, &problem));
    assert_ok(ty_store_begin(store, &problem));
    get_state(store, &state);
    ty_store_close(store);
    ty_damage_journal_flip(path, state.last_sequence, -1);
    cr_assert_eq(verify_as(0, &said).problems, 1, "%s", said.text);
    cr_assert(strstr(said.text, "checksum mismatch") != NULL, "%s", said.text);
}

/* Too little memory makes the check say less, not something wrong. */
Test(verify, with_little_memory_it_compares_less_and_says_so)
{
    const struct ty_verify_options options = {.memory_bytes = 1 << 14,
                                              .context = &(struct said){.length = 0},
                                              .report = note,
                                              .progress = note_progress};
    struct ty_database_record database;
    struct ty_verify_counts counts;

    assert_ok(ty_verify_shard(path, &options, &database, &counts, &problem));
    cr_assert_eq(counts.problems, 0);
    cr_assert(counts.uncompared > 0);
    cr_assert(counts.exact + counts.partial < counts.days);
}
