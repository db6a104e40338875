/*
 * The lock-free parts on a machine that does all that C11 allows (memory_model.h).
 *
 *     test_orders PROGRAM holds [INTERRUPTIONS]   every execution keeps the program's promises
 *     test_orders PROGRAM breaks                  some execution does not: for builds with one
 *                             order weakened, e.g. -DTY_CELL_LOAD_WORD=memory_order_relaxed
 *
 * The first is the test; the second tests the test, and shows that the order is needed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/hot.h"
#include "tests/support/random.h"

/* --- cell: one writer, readers that must not see words of two versions --- */

#define CELL_WORDS 2

static ty_cell_word cell[TY_CELL_LENGTH(CELL_WORDS)];

static void publish_words(uint64_t round)
{
    uint64_t words[CELL_WORDS];

    for (unsigned i = 0; i < CELL_WORDS; i++)
        words[i] = round * 10 + i;
    ty_cell_publish(cell, words, CELL_WORDS);
}

static void cell_start(void)
{
    memset(cell, 0, sizeof(cell));
    publish_words(0);
}

/* Three rounds: a reader can hold on to version v while the writer fills its copy again. */
static void cell_write(void)
{
    for (uint64_t round = 1; round <= 3; round++)
        publish_words(round);
}

static uint64_t read_words(void)
{
    uint64_t words[CELL_WORDS];

    ty_cell_read(cell, words, CELL_WORDS);
    for (unsigned i = 0; i < CELL_WORDS; i++)
        ty_model_check(words[i] == words[0] + i);
    return words[0];
}

static void cell_read_once(void)
{
    read_words();
}

static void cell_read_twice(void)
{
    uint64_t first = read_words();

    ty_model_check(read_words() >= first);
}

/* --- epoch: readers that must not touch what the writer frees --- */

struct item {
    struct ty_retired retired;
    uint64_t payload;
};

static struct ty_epoch epoch;
static _Atomic(struct item *) current_item;

static void show_new_item(void)
{
    struct item *item = calloc(1, sizeof(*item));

    ty_model_plain_write(&item->payload);
    ty_atomic_store(&current_item, item, TY_LINK_STORE);
}

static void free_items(struct ty_retired *memory)
{
    while (memory != NULL) {
        struct ty_retired *next = memory->next;

        free(memory);
        memory = next;
    }
}

static void epoch_start(void)
{
    memset(&epoch, 0, sizeof(epoch));
    show_new_item();
}

static void replace_item(void)
{
    struct item *old = ty_atomic_load(&current_item, memory_order_relaxed);

    show_new_item();
    ty_epoch_retire(&epoch, &old->retired);
    free_items(ty_epoch_advance(&epoch));
}

static void epoch_write_once(void)
{
    replace_item();
    free_items(ty_epoch_advance(&epoch));
    free_items(ty_epoch_advance(&epoch));
}

static void epoch_write(void)
{
    for (int i = 0; i < 3; i++)
        replace_item();
    free_items(ty_epoch_advance(&epoch));
    free_items(ty_epoch_advance(&epoch));
}

static void epoch_read_once(void)
{
    uint64_t pin = ty_epoch_pin(&epoch);

    ty_model_plain_read(&ty_atomic_load(&current_item, TY_LINK_LOAD)->payload);
    ty_epoch_unpin(&epoch, pin);
}

static void epoch_read_twice(void)
{
    epoch_read_once();
    epoch_read_once();
}

/* Without readers the writer gets on, and nothing is kept for ever. */
static void epoch_finish(void)
{
    for (int i = 0; i < 3; i++)
        free_items(ty_epoch_advance(&epoch));
    for (int i = 0; i < 3; i++)
        ty_model_check(epoch.waiting[i] == NULL);
}

/* --- trie: what is found is whole, and stays findable --- */

struct word {
    struct ty_trie_leaf leaf;
    uint64_t payload;
};

/* The same root entry; two equal; two that part one node down, one that parts further down. */
static const uint64_t hashes[] = {0x1000, 0x2000, 0x1000, 0x11000};

static struct ty_trie trie;
static struct word words_of_trie[TY_COUNT_OF(hashes)];

static void trie_start(void)
{
    memset(&trie, 0, sizeof(trie));
    memset(words_of_trie, 0, sizeof(words_of_trie));
}

static void trie_write(void)
{
    for (size_t i = 0; i < TY_COUNT_OF(hashes); i++) {
        ty_model_plain_write(&words_of_trie[i].payload);
        words_of_trie[i].leaf.hash = hashes[i];
        ty_model_check(ty_trie_insert(&trie, &words_of_trie[i].leaf));
    }
}

static unsigned count_words(uint64_t hash)
{
    unsigned count = 0;

    for (struct ty_trie_leaf *leaf = ty_trie_find(&trie, hash); leaf != NULL;
         leaf = leaf->same_hash) {
        ty_model_check(leaf->hash == hash);
        ty_model_plain_read(&TY_CONTAINER_OF(leaf, struct word, leaf)->payload);
        count++;
    }
    return count;
}

static void trie_read(void)
{
    for (int i = 0; i < 2; i++) {
        uint64_t hash = hashes[ty_model_choose(TY_COUNT_OF(hashes))];
        unsigned count = count_words(hash);

        ty_model_check(count_words(hash) >= count);
    }
}

static void trie_finish(void)
{
    for (size_t i = 0; i < TY_COUNT_OF(hashes); i++)
        ty_model_check(count_words(hashes[i]) == (hashes[i] == 0x1000 ? 2 : 1));
}

/*
 * --- hot: the hot totals, and the hand-over to storage ---
 *
 * Storage is a word a slot. A snapshot need not be the newest, but who sees a commit in one sees
 * what the writer published before it: the fences of storage/ (store_internal.h).
 */

#ifndef SNAPSHOT_LOAD
#define SNAPSHOT_LOAD memory_order_acquire
#endif

#define FIRST_DAY 19996 /* 2024-09-30, the last day of a month */
#define COMMITS   4

static const int64_t unit_slots[] = {
    INT64_C(96) * FIRST_DAY,
    INT64_C(96) * (FIRST_DAY + 1),
    INT64_C(96) * (FIRST_DAY + 1) + 7,
    INT64_C(96) * (FIRST_DAY + 2),
};
#define UNITS TY_COUNT_OF(unit_slots)

static struct ty_hot hot;
static struct ty_series series;
static _Atomic uint64_t stored[UNITS];       /* events in storage */
static _Atomic uint64_t acknowledged[UNITS]; /* events whose producer has been answered */

static int32_t day_of_unit(size_t unit)
{
    return (int32_t)(unit_slots[unit] / TY_SLOTS_PER_DAY);
}

static uint8_t slot_of_unit(size_t unit)
{
    return (uint8_t)(unit_slots[unit] % TY_SLOTS_PER_DAY);
}

/* The sums of n events, each of which is the same. */
static struct ty_slot_sum sum_of(uint64_t n)
{
    return (struct ty_slot_sum){.events = n,
                                .credits = (int64_t)(5 * n),
                                .documents = n,
                                .pages = 3 * n,
                                .processing_ms = 7 * n};
}

static uint64_t read_stored(size_t unit)
{
    return ty_atomic_load(&stored[unit], SNAPSHOT_LOAD);
}

static tally_status load_stored_day(void *context, uint32_t id, int32_t day,
                                    struct ty_day_block *block)
{
    (void)context, (void)id;
    memset(block, 0, sizeof(*block));
    for (size_t i = 0; i < UNITS; i++) {
        struct ty_slot_sum *sum = &block->slots[slot_of_unit(i)];

        if (day_of_unit(i) != day)
            continue;
        *sum = sum_of(read_stored(i));
        block->used[slot_of_unit(i)] = sum->events != 0;
        ty_total_add_slot(&block->total, sum);
    }
    return TALLY_OK;
}

static tally_status load_stored_month(void *context, uint32_t id, int32_t month,
                                      struct ty_month_block *block)
{
    (void)context, (void)id;
    memset(block, 0, sizeof(*block));
    for (size_t i = 0; i < UNITS; i++) {
        struct ty_slot_sum sum = sum_of(read_stored(i));

        if (ty_month_of_day(day_of_unit(i)) == month)
            ty_total_add_slot(&block->total, &sum);
    }
    return TALLY_OK;
}

static void hot_start(void)
{
    memset(&series, 0, sizeof(series));
    memset(stored, 0, sizeof(stored));
    memset(acknowledged, 0, sizeof(acknowledged));
    ty_hot_init(&hot, (struct ty_cold_loader){load_stored_day, load_stored_month, NULL});
}

/* What a transaction holds until it is committed. */
struct transaction {
    uint64_t events[UNITS];
    bool has[UNITS];
};

static void put_month(struct transaction *transaction, struct ty_month_node *month, uint64_t stamp)
{
    struct ty_day_block block;

    for (struct ty_day_node *day = ty_hot_days(month); day != NULL; day = ty_hot_next_day(day)) {
        ty_model_check(ty_hot_encode_day(&hot, day, stamp, &block) == TALLY_OK);
        for (size_t i = 0; i < UNITS; i++)
            if (day_of_unit(i) == day->day) {
                transaction->events[i] = block.slots[slot_of_unit(i)].events;
                transaction->has[i] = true;
            }
    }
    ty_hot_write(&hot, month);
}

static void commit_transaction(const struct transaction *transaction)
{
    for (size_t i = 0; i < UNITS; i++)
        if (transaction->has[i])
            ty_atomic_store(&stored[i], transaction->events[i], memory_order_release);
}

/* One event, as ty_shard_commit() does it. */
static void commit_event(size_t unit, uint64_t sequence)
{
    struct ty_event event = {.credits = 5, .documents = 1, .pages = 3, .processing_ms = 7};
    struct transaction transaction = {0};
    struct ty_month_node *month;
    struct ty_slot_node *slot;
    uint64_t known = ty_atomic_load(&acknowledged[unit], memory_order_relaxed);

    ty_model_check(ty_hot_slot(&hot, &series, unit_slots[unit], 0, &slot) == TALLY_OK);
    ty_model_check(ty_hot_add(&hot, slot, &event));
    TAILQ_FOREACH(month, &hot.dirty, queue)
    if (ty_model_choose(2) == 0)
        put_month(&transaction, month, sequence - 1);
    commit_transaction(&transaction);
    ty_hot_written(&hot, sequence - 1, ty_model_choose(2) == 0, 0);
    ty_hot_publish(&hot, sequence, 0);
    ty_atomic_store(&acknowledged[unit], known + 1, memory_order_release);
    ty_hot_rest(&hot, 0, 1, ty_model_choose(2) == 0 ? 0 : UINT64_MAX);
}

static void hot_write(void)
{
    for (uint64_t sequence = 1; sequence <= COMMITS; sequence++)
        commit_event(ty_model_choose(UNITS), sequence);
}

static uint64_t check_total(const struct ty_total *total)
{
    struct ty_slot_sum sum = sum_of(total->events);
    struct ty_total want = {0};

    ty_total_add_slot(&want, &sum);
    ty_model_check(ty_total_equal(total, &want));
    return total->events;
}

static uint64_t check_slot(struct ty_slot_node *slot)
{
    struct ty_slot_sum sum;
    struct ty_total total = {0};

    ty_hot_read_slot(slot, &sum);
    ty_total_add_slot(&total, &sum);
    return check_total(&total);
}

enum level { LEVEL_SLOT, LEVEL_DAY, LEVEL_MONTH };

/* Whether a unit belongs to the slot, day or month of another. */
static bool is_part(enum level level, size_t unit, size_t of)
{
    if (level == LEVEL_MONTH)
        return ty_month_of_day(day_of_unit(unit)) == ty_month_of_day(day_of_unit(of));
    return level == LEVEL_DAY ? day_of_unit(unit) == day_of_unit(of) : unit == of;
}

/* What a walk has met. */
struct found {
    unsigned nodes;
    uint64_t events;
};

static void find_in_day(struct ty_day_node *day, enum level level, size_t unit, struct found *found)
{
    struct ty_total total;

    if (level == LEVEL_DAY) {
        ty_hot_read_total(day->cell, &total);
        found->events += check_total(&total);
        found->nodes++;
        return;
    }
    for (struct ty_slot_node *slot = ty_hot_slots(day); slot != NULL; slot = ty_hot_next_slot(slot))
        if (slot->slot == slot_of_unit(unit)) {
            found->events += check_slot(slot);
            found->nodes++;
        }
}

static void find_in_month(struct ty_month_node *month, enum level level, size_t unit,
                          struct found *found)
{
    struct ty_total total;

    if (level == LEVEL_MONTH) {
        ty_hot_read_total(month->cell, &total);
        found->events += check_total(&total);
        found->nodes++;
        return;
    }
    for (struct ty_day_node *day = ty_hot_days(month); day != NULL; day = ty_hot_next_day(day))
        if (day->day == day_of_unit(unit))
            find_in_day(day, level, unit, found);
}

/* The events of a unit, or of its day or month, as query/usage.c reads them: hot first, under a
 * pin, then storage. */
static uint64_t query(enum level level, size_t unit)
{
    uint64_t pin = ty_epoch_pin(&hot.epoch);
    struct found found = {0};

    for (struct ty_month_node *month = ty_hot_months(&series); month != NULL;
         month = ty_hot_next_month(month))
        if (month->month == ty_month_of_day(day_of_unit(unit)))
            find_in_month(month, level, unit, &found);
    ty_epoch_unpin(&hot.epoch, pin);
    ty_model_check(found.nodes <= 1);
    for (size_t i = 0; found.nodes == 0 && i < UNITS; i++)
        if (is_part(level, i, unit))
            found.events += read_stored(i);
    return found.events;
}

static uint64_t count_acknowledged(enum level level, size_t unit)
{
    uint64_t count = 0;

    for (size_t i = 0; i < UNITS; i++)
        if (is_part(level, i, unit))
            count += ty_atomic_load(&acknowledged[i], memory_order_acquire);
    return count;
}

static void hot_read(void)
{
    for (int i = 0; i < 2; i++) {
        enum level level = (enum level)ty_model_choose(3);
        size_t unit = ty_model_choose(UNITS);
        uint64_t known = count_acknowledged(level, unit), events = query(level, unit);

        ty_model_check(events >= known && events <= COMMITS);
        ty_model_check(query(level, unit) >= events);
    }
}

static void hot_finish(void)
{
    uint64_t events = 0;

    for (size_t i = 0; i < UNITS; i++)
        events += query(LEVEL_SLOT, i);
    ty_model_check(events == COMMITS);
    ty_hot_check(&hot);
    ty_hot_fini(&hot);
    ty_model_check(hot.bytes == 0);
}

/* --- The programs, and how much of them is tried --- */

struct test {
    struct ty_model_program program;
    uint64_t random;        /* random executions, or 0 */
    unsigned interruptions; /* else every execution with so many */
};

static const struct test tests[] = {
    {{"cell", 2, cell_start, {cell_write, cell_read_once}, NULL}, 0, 3},
    {{"cell", 3, cell_start, {cell_write, cell_read_twice, cell_read_twice}, NULL}, 20000, 0},
    {{"epoch", 2, epoch_start, {epoch_write_once, epoch_read_once}, epoch_finish}, 0, 5},
    {{"epoch", 3, epoch_start, {epoch_write, epoch_read_twice, epoch_read_twice}, epoch_finish},
     20000,
     0},
    {{"trie", 2, trie_start, {trie_write, trie_read}, trie_finish}, 0, 2},
    {{"trie", 3, trie_start, {trie_write, trie_read, trie_read}, trie_finish}, 10000, 0},
    {{"hot", 3, hot_start, {hot_write, hot_read, hot_read}, hot_finish}, 10000, 0},
};

#define EXECUTIONS_MAX UINT64_C(100000000) /* of all that there are */
#define BREAKS_FACTOR  50                  /* more random ones to find what some rare one shows */

static struct ty_model_result run(const struct test *test, unsigned interruptions, bool breaks)
{
    struct ty_model_result result =
        test->random == 0
            ? ty_model_run_all(&test->program, TY_MAX(interruptions, test->interruptions),
                               EXECUTIONS_MAX)
            : ty_model_run_random(&test->program, ty_random_seed(),
                                  test->random * (breaks ? BREAKS_FACTOR : 1));

    printf("%s: %u threads, %" PRIu64 " %s executions%s%s\n", test->program.name,
           test->program.threads, result.executions, test->random == 0 ? "different" : "random",
           result.failed ? ", then: " : "", result.failed ? result.reason : "");
    return result;
}

int main(int argc, char **argv)
{
    bool breaks = argc == 3 && strcmp(argv[2], "breaks") == 0, known = false, failed = false;
    unsigned interruptions = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;

    if (argc < 3 || argc > 4 || (!breaks && strcmp(argv[2], "holds") != 0)) {
        fprintf(stderr, "usage: %s cell|epoch|trie|hot holds|breaks [INTERRUPTIONS]\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < TY_COUNT_OF(tests) && !failed; i++)
        if (strcmp(tests[i].program.name, argv[1]) == 0) {
            struct ty_model_result result = run(&tests[i], interruptions, breaks);

            failed = result.failed || (tests[i].random == 0 && !result.complete);
            known = true;
        }
    if (known && failed == breaks)
        return 0;
    fprintf(stderr, "%s; TALLY_TEST_SEED=%" PRIu64 "\n",
            breaks ? "no execution shows what the weakened order breaks" : "a promise is broken",
            ty_random_seed());
    return 1;
}
