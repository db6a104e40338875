/*
 * Hot totals with real threads: a writer that adds, publishes, writes and drops all the time, and
 * readers that walk under a pin and read storage for what they do not find, as query/usage.c does.
 *
 * Every event is the same, so that every sum has to fit its count. Storage is an array of counts,
 * one a slot, stored at "commit".
 */
#include "engine/hot.h"

#include <sched.h>
#include <string.h>

#include "tests/concurrency/threads.h"
#include "tests/support/random.h"

#define READERS 3
#define COMMITS 20000
#define EVENTS  3 /* of each commit */
#define SERIES  4
#define SLOTS   6
#define QUERIES UINT64_C(20000) /* of each reader, at least */

/* Two months, three days, six slots. */
static const int64_t slots[SLOTS] = {
    INT64_C(96) * 19996,     INT64_C(96) * 19996 + 95, INT64_C(96) * 19997,
    INT64_C(96) * 19997 + 1, INT64_C(96) * 19998 + 7,  INT64_C(96) * 19998 + 8,
};

static struct ty_hot hot;
static struct ty_series series[SERIES];
static _Atomic uint64_t stored[SERIES][SLOTS];
static _Atomic uint64_t acknowledged[SERIES][SLOTS];
static _Atomic uint64_t queries[READERS];
static _Atomic bool is_over;

static int32_t day_of(size_t slot)
{
    return (int32_t)(slots[slot] / TY_SLOTS_PER_DAY);
}

static struct ty_slot_sum sum_of(uint64_t n)
{
    return (struct ty_slot_sum){n, (int64_t)(5 * n), n, 3 * n, 7 * n};
}

static uint64_t read_stored(uint32_t id, size_t slot)
{
    /* Acquire: who has seen a commit also sees what was published before it, as in storage/. */
    return ty_atomic_load(&stored[id][slot], memory_order_acquire);
}

static tally_status load_stored_day(void *context, uint32_t id, int32_t day,
                                    struct ty_day_block *block)
{
    (void)context;
    memset(block, 0, sizeof(*block));
    for (size_t i = 0; i < SLOTS; i++) {
        unsigned number = (unsigned)(slots[i] % TY_SLOTS_PER_DAY);

        if (day_of(i) != day)
            continue;
        block->slots[number] = sum_of(read_stored(id, i));
        block->used[number] = block->slots[number].events != 0;
        ty_total_add_slot(&block->total, &block->slots[number]);
    }
    return TALLY_OK;
}

static tally_status load_stored_month(void *context, uint32_t id, int32_t month,
                                      struct ty_month_block *block)
{
    (void)context;
    memset(block, 0, sizeof(*block));
    for (size_t i = 0; i < SLOTS; i++) {
        struct ty_slot_sum sum = sum_of(read_stored(id, i));

        if (ty_month_of_day(day_of(i)) == month)
            ty_total_add_slot(&block->total, &sum);
    }
    return TALLY_OK;
}

/* --- The writer --- */

static void store_day(const struct ty_day_node *day, uint64_t stamp)
{
    uint32_t id = day->month->series->id;
    struct ty_day_block block;

    CHECK_EQ(TALLY_OK, ty_hot_encode_day(&hot, day, stamp, &block));
    for (size_t i = 0; i < SLOTS; i++)
        if (day_of(i) == day->day)
            ty_atomic_store(&stored[id][i], block.slots[slots[i] % TY_SLOTS_PER_DAY].events,
                            memory_order_release);
}

static void store_months(struct ty_random *random, uint64_t stamp)
{
    struct ty_month_node *month;

    TAILQ_FOREACH(month, &hot.dirty, queue)
    {
        if (!ty_random_one_in(random, 3))
            continue;
        for (struct ty_day_node *day = ty_hot_days(month); day != NULL; day = ty_hot_next_day(day))
            store_day(day, stamp);
        ty_hot_write(&hot, month);
    }
}

static void commit(struct ty_random *random, uint64_t sequence)
{
    static const struct ty_event event = {
        .credits = 5, .documents = 1, .pages = 3, .processing_ms = 7};
    _Atomic uint64_t *counts[EVENTS];

    for (int i = 0; i < EVENTS; i++) {
        struct ty_slot_node *node;
        size_t id = ty_random_below(random, SERIES), slot = ty_random_below(random, SLOTS);

        CHECK_EQ(TALLY_OK, ty_hot_slot(&hot, &series[id], slots[slot], (int64_t)sequence, &node));
        CHECK(ty_hot_add(&hot, node, &event));
        counts[i] = &acknowledged[id][slot];
    }
    if (ty_random_one_in(random, 10)) { /* the commit fails */
        ty_hot_revert(&hot);
        return;
    }
    store_months(random, sequence - 1);
    ty_hot_written(&hot, sequence - 1, ty_random_one_in(random, 2), (int64_t)sequence);
    ty_hot_publish(&hot, sequence, (int64_t)sequence);
    /* Release: pairs with the acquire in known_events(), as an answer to a producer would. */
    for (int i = 0; i < EVENTS; i++)
        ty_atomic_add(counts[i], 1, memory_order_release);
}

/* --- Readers --- */

static uint64_t check_total(const struct ty_total *total)
{
    CHECK_EQ(5 * total->events, total->credits);
    CHECK_EQ(total->events, total->documents);
    CHECK_EQ(3 * total->events, total->pages);
    CHECK_EQ(7 * total->events, total->processing_ms);
    return total->events;
}

static uint64_t check_slot(struct ty_slot_node *node)
{
    struct ty_total total = {0};
    struct ty_slot_sum sum;

    ty_hot_read_slot(node, &sum);
    ty_total_add_slot(&total, &sum);
    return check_total(&total);
}

enum level { LEVEL_SLOT, LEVEL_DAY, LEVEL_MONTH };

/* Whether a slot is in the slot, day or month of another. */
static bool is_part(enum level level, size_t slot, size_t of)
{
    if (level == LEVEL_MONTH)
        return ty_month_of_day(day_of(slot)) == ty_month_of_day(day_of(of));
    return level == LEVEL_DAY ? day_of(slot) == day_of(of) : slot == of;
}

static uint64_t known_events(uint32_t id, enum level level, size_t slot)
{
    uint64_t count = 0;

    for (size_t i = 0; i < SLOTS; i++)
        if (is_part(level, i, slot))
            count += ty_atomic_load(&acknowledged[id][i], memory_order_acquire);
    return count;
}

/* Walks a day or a month for what is asked; *found when it is hot. */
static uint64_t read_day(struct ty_day_node *day, enum level level, size_t slot, bool *found)
{
    struct ty_total total;

    if (level == LEVEL_DAY) {
        *found = true;
        ty_hot_read_total(day->cell, &total);
        return check_total(&total);
    }
    for (struct ty_slot_node *node = ty_hot_slots(day); node != NULL; node = ty_hot_next_slot(node))
        if (node->slot == slots[slot] % TY_SLOTS_PER_DAY) {
            *found = true;
            return check_slot(node);
        }
    return 0;
}

static uint64_t read_month(struct ty_month_node *month, enum level level, size_t slot, bool *found)
{
    struct ty_total total;

    if (level == LEVEL_MONTH) {
        *found = true;
        ty_hot_read_total(month->cell, &total);
        return check_total(&total);
    }
    for (struct ty_day_node *day = ty_hot_days(month); day != NULL; day = ty_hot_next_day(day))
        if (day->day == day_of(slot))
            return read_day(day, level, slot, found);
    return 0;
}

static uint64_t query(uint32_t id, enum level level, size_t slot)
{
    uint64_t events = 0, pin = ty_epoch_pin(&hot.epoch);
    bool found = false;

    for (struct ty_month_node *month = ty_hot_months(&series[id]); month != NULL;
         month = ty_hot_next_month(month))
        if (month->month == ty_month_of_day(day_of(slot)))
            events += read_month(month, level, slot, &found);
    ty_epoch_unpin(&hot.epoch, pin);
    for (size_t i = 0; !found && i < SLOTS; i++)
        if (is_part(level, i, slot))
            events += read_stored(id, i);
    return events;
}

static void *read_until_the_end(void *argument)
{
    _Atomic uint64_t *count = argument;
    uint64_t seen[SERIES][3][SLOTS] = {0}, done = 0;
    struct ty_random random;

    ty_random_init(&random, ty_random_seed() + (uint64_t)(count - queries) + 1);
    while (!ty_atomic_load(&is_over, memory_order_relaxed)) {
        uint32_t id = (uint32_t)ty_random_below(&random, SERIES);
        enum level level = (enum level)ty_random_below(&random, 3);
        size_t slot = ty_random_below(&random, SLOTS);
        uint64_t known = known_events(id, level, slot), events = query(id, level, slot);

        CHECK(events >= known);
        CHECK(events >= seen[id][level][slot]);
        seen[id][level][slot] = events;
        ty_atomic_store(count, ++done, memory_order_relaxed);
        if (done % 1024 == 0)
            sched_yield();
    }
    return NULL;
}

/* Waits for readers that are far behind, so that few cores do not make one run after the other. */
static void keep_step(uint64_t commits)
{
    for (unsigned i = 0; i < READERS; i++)
        while (ty_atomic_load(&queries[i], memory_order_relaxed) * COMMITS < commits * QUERIES)
            sched_yield();
}

static void check_end(void)
{
    for (uint32_t id = 0; id < SERIES; id++)
        for (size_t slot = 0; slot < SLOTS; slot++)
            for (enum level level = LEVEL_SLOT; level <= LEVEL_MONTH; level++)
                CHECK_EQ(known_events(id, level, slot), query(id, level, slot));
    ty_hot_check(&hot);
    ty_hot_fini(&hot);
    CHECK_EQ(0, hot.bytes);
}

/* A query beside the writer that missed or doubled events would be a wrong bill. */
int main(void)
{
    pthread_t readers[READERS];
    struct ty_random random;

    printf("TALLY_TEST_SEED=%" PRIu64 "\n", ty_random_seed());
    ty_random_init(&random, ty_random_seed());
    ty_hot_init(&hot, (struct ty_cold_loader){load_stored_day, load_stored_month, NULL});
    for (uint32_t id = 0; id < SERIES; id++)
        series[id].id = id;
    for (unsigned i = 0; i < READERS; i++)
        readers[i] = start_thread(read_until_the_end, (void *)&queries[i]);
    for (uint64_t sequence = 1; sequence <= COMMITS; sequence++) {
        commit(&random, sequence);
        ty_hot_rest(&hot, (int64_t)sequence, 20, ty_random_one_in(&random, 4) ? 0 : 40000);
        if (sequence % 64 == 0)
            keep_step(sequence);
    }
    ty_atomic_store(&is_over, true, memory_order_relaxed);
    for (unsigned i = 0; i < READERS; i++)
        join_thread(readers[i]);
    check_end();
    return 0;
}
