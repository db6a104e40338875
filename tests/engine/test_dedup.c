#include "tests/engine/dedup_fixture.h"

#include <stdlib.h>

#define GRACE_MS 1000 /* ids may be remembered up to a second longer */

/* Random keys; some crowd together in one table, with homes next to each other. */
static struct ty_key make_key(struct ty_random *random)
{
    struct ty_key key = {.high = ty_random_u64(random), .low = ty_random_u64(random)};

    if (ty_random_one_in(random, 20)) {
        key.high &= UINT64_MAX >> 12;
        key.low &= ~UINT64_C(0xfffffff8);
    }
    return key;
}

#define KEYS 3000

/* The naive list: what is known of each key. */
struct known {
    struct ty_key key;
    uint64_t content;
    int64_t arrival_ms; /* INT64_MIN: never arrived */
};

struct model {
    struct ty_dedup *dedup;
    struct known known[KEYS];
    int64_t window_ms;
    int64_t now_ms;
};

static void check_key(struct model *model, struct known *known, uint64_t content)
{
    enum ty_dedup_answer answer = ty_dedup_find(model->dedup, &known->key, content);
    enum ty_dedup_answer expected = known->content == content ? TY_DEDUP_SAME : TY_DEDUP_CONFLICT;
    int64_t age_ms;

    if (known->arrival_ms == INT64_MIN) {
        cr_assert_eq(answer, TY_DEDUP_NEW, "a key that never arrived");
        return;
    }
    age_ms = model->now_ms - known->arrival_ms;
    if (age_ms <= model->window_ms)
        cr_assert_eq(answer, expected, "forgotten after %" PRId64 " of %" PRId64 " ms", age_ms,
                     model->window_ms);
    else if (age_ms >= model->window_ms + GRACE_MS)
        cr_assert_eq(answer, TY_DEDUP_NEW, "remembered after %" PRId64 " of %" PRId64 " ms", age_ms,
                     model->window_ms);
    else
        cr_assert(answer == TY_DEDUP_NEW || answer == expected);
    if (answer == TY_DEDUP_NEW)
        known->arrival_ms = INT64_MIN;
}

static void check_all(struct model *model)
{
    struct ty_dedup_gauges gauges;
    uint64_t remembered = 0;

    for (size_t i = 0; i < KEYS; i++) {
        check_key(model, &model->known[i], model->known[i].content);
        remembered += model->known[i].arrival_ms != INT64_MIN;
    }
    gauges = ty_dedup_gauges(model->dedup);
    cr_assert_eq(gauges.entries, remembered);
    cr_assert_eq(gauges.window_ms, model->window_ms);
    cr_assert_eq(gauges.forgotten_early, 0u);
}

static void step(struct model *model, struct ty_random *random, int64_t pace_ms)
{
    struct known *known = &model->known[ty_random_below(random, KEYS)];
    uint64_t content = ty_random_below(random, 3);

    if (ty_random_one_in(random, 8)) {
        model->now_ms += (int64_t)ty_random_below(random, (uint64_t)pace_ms * 2);
        ty_dedup_advance(model->dedup, model->now_ms, 1);
    }
    ty_dedup_prefetch(model->dedup, &known->key);
    check_key(model, known, content);
    if (known->arrival_ms != INT64_MIN && !ty_random_one_in(random, 10))
        return;
    cr_assert(ty_dedup_add(model->dedup, &known->key, content));
    if (ty_random_one_in(random, 4)) { /* its commit failed */
        ty_dedup_remove(model->dedup, &known->key);
        known->arrival_ms = INT64_MIN;
        ty_dedup_remove(model->dedup, &known->key);
    } else {
        known->content = content;
        known->arrival_ms = model->now_ms;
    }
}

static void run(uint64_t window_ms, int64_t pace_ms)
{
    struct model *model = calloc(1, sizeof(*model));
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    model->window_ms = (int64_t)window_ms;
    model->now_ms = START_MS;
    model->dedup = ty_dedup_new(model->window_ms, PLENTY);
    for (size_t i = 0; i < KEYS; i++)
        model->known[i] = (struct known){.key = make_key(&random), .arrival_ms = INT64_MIN};
    ty_dedup_advance(model->dedup, model->now_ms, 1);
    for (int n = 0; n < 25000; n++) {
        step(model, &random, pace_ms);
        if (n % 2500 == 0)
            check_all(model);
        if (ty_random_one_in(&random, 8000)) {
            model->now_ms += model->window_ms * 3 + GRACE_MS;
            ty_dedup_advance(model->dedup, model->now_ms, 1);
            check_all(model);
        }
    }
    ty_dedup_free(model->dedup);
    free(model);
}

/* An id counts once inside the window and may come again after it, whatever the window's length
 * and the pace of events: a naive list decides. */
Test(dedup, agrees_with_a_list_within_a_window_of_milliseconds)
{
    run(1, 1);
    run(40, 5);
}

Test(dedup, agrees_with_a_list_within_a_window_of_seconds)
{
    run(1000, 3);
    run(20000, 50);
}

Test(dedup, agrees_with_a_list_within_a_window_of_hours)
{
    run(UINT64_C(2) * 3600 * 1000, 1100);
}

/* The window is a promise to the millisecond: a retry at its very end is still a duplicate. */
Test(dedup, remembers_to_the_end_of_the_window_and_at_most_a_second_longer)
{
    static const int64_t windows[] = {1, 999, 1000, 1001, 5000, 86400000};

    for (size_t i = 0; i < TY_COUNT_OF(windows); i++) {
        struct ty_dedup *dedup = ty_dedup_new(windows[i], PLENTY);
        struct ty_key key = {1, 2};

        ty_dedup_advance(dedup, START_MS, 1);
        cr_assert(ty_dedup_add(dedup, &key, 3));
        ty_dedup_advance(dedup, START_MS + windows[i], 1);
        cr_assert_eq(ty_dedup_find(dedup, &key, 3), TY_DEDUP_SAME, "window %" PRId64, windows[i]);
        ty_dedup_advance(dedup, START_MS + windows[i] + GRACE_MS, 1);
        cr_assert_eq(ty_dedup_find(dedup, &key, 3), TY_DEDUP_NEW, "window %" PRId64, windows[i]);
        ty_dedup_free(dedup);
    }
}

/* A slow, long window has more ticks than there is room for at first: all ids stay known. */
Test(dedup, remembers_thousands_of_ticks)
{
    struct ty_dedup *dedup = ty_dedup_new(INT64_C(2) * 3600 * 1000, PLENTY);

    for (uint64_t n = 0; n < 5000; n++) {
        struct ty_key key = {n << 40, n};

        ty_dedup_advance(dedup, START_MS + (int64_t)n * 1100, 1);
        cr_assert(ty_dedup_add(dedup, &key, n));
    }
    for (uint64_t n = 0; n < 5000; n++) {
        struct ty_key key = {n << 40, n};

        cr_assert_eq(ty_dedup_find(dedup, &key, n), TY_DEDUP_SAME, "id %" PRIu64, n);
    }
    ty_dedup_free(dedup);
}

/* A fresh index that is asked before anything arrived: at the start, and without traffic. */
Test(dedup, answers_before_anything_arrived)
{
    struct ty_dedup *dedup = ty_dedup_new(1000, PLENTY);
    struct ty_key key = {1, 2};
    struct ty_dedup_gauges gauges = ty_dedup_gauges(dedup);

    cr_assert_eq(gauges.entries, 0u);
    cr_assert_eq(gauges.window_ms, 1000);
    ty_dedup_prefetch(dedup, &key);
    cr_assert_eq(ty_dedup_find(dedup, &key, 3), TY_DEDUP_NEW);
    ty_dedup_remove(dedup, &key);
    ty_dedup_free(dedup);
    ty_dedup_free(NULL);
}

/* Two ids that differ in a single bit of their keys are two ids. */
Test(dedup, compares_every_bit_of_the_key)
{
    struct ty_dedup *dedup = ty_dedup_new(1000, PLENTY);
    struct ty_key key = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};

    ty_dedup_advance(dedup, START_MS, 1);
    cr_assert(ty_dedup_add(dedup, &key, 7));
    for (unsigned bit = 0; bit < 128; bit++) {
        struct ty_key other = key;

        if (bit < 64)
            other.high ^= UINT64_C(1) << bit;
        else
            other.low ^= UINT64_C(1) << (bit - 64);
        cr_assert_eq(ty_dedup_find(dedup, &other, 7), TY_DEDUP_NEW, "bit %u", bit);
    }
    ty_dedup_free(dedup);
}

/* Where an id was looked for in vain is kept for adding it: not when others came or went since. */
Test(dedup, adds_what_was_looked_for_before_others_came)
{
    struct ty_dedup *dedup = ty_dedup_new(1000, PLENTY);
    struct ty_key key = {.low = 1}; /* All are in one table and begin at one place. */

    ty_dedup_advance(dedup, START_MS, 1);
    for (uint64_t i = 0; i < 200; i += 2) {
        struct ty_key first = {key.high + i, key.low}, second = {key.high + i + 1, key.low};

        cr_assert_eq(ty_dedup_find(dedup, &first, i), TY_DEDUP_NEW);
        cr_assert(ty_dedup_add(dedup, &second, i + 1));
        if (i % 6 == 0)
            ty_dedup_remove(dedup, &second);
        cr_assert(ty_dedup_add(dedup, &first, i));
        if (i % 6 == 0)
            cr_assert(ty_dedup_add(dedup, &second, i + 1));
    }
    for (uint64_t i = 0; i < 200; i++) {
        struct ty_key known = {key.high + i, key.low};

        cr_assert_eq(ty_dedup_find(dedup, &known, i), TY_DEDUP_SAME, "id %" PRIu64, i);
    }
    ty_dedup_free(dedup);
}

/* Millions of ids: each stays known while the tables grow, and memory follows the ids. */
Test(dedup, remembers_millions_while_it_grows)
{
    const uint64_t count = 1000000;
    struct ty_dedup *dedup = ty_dedup_new(3600 * 1000, PLENTY);

    for (uint64_t i = 0; i < count; i++) {
        struct ty_key key = numbered_key(i);

        if (i % 1000 == 0)
            ty_dedup_advance(dedup, START_MS + (int64_t)i / 1000, 1);
        if (!ty_dedup_add(dedup, &key, i))
            cr_assert(false, "no memory");
    }
    for (uint64_t i = 0; i < count; i += 3) {
        struct ty_key key = numbered_key(i), stranger = numbered_key(count + i);

        if (ty_dedup_find(dedup, &key, i) != TY_DEDUP_SAME ||
            ty_dedup_find(dedup, &key, i + 1) != TY_DEDUP_CONFLICT ||
            ty_dedup_find(dedup, &stranger, i) != TY_DEDUP_NEW)
            cr_assert(false, "id %" PRIu64, i);
    }
    cr_assert_eq(ty_dedup_gauges(dedup).entries, count);
    cr_assert_leq(ty_dedup_gauges(dedup).bytes, count * 24 * 4, "at most a quarter full");
    ty_dedup_free(dedup);
}

/* Windows after windows: what left the window gives its memory to what comes. */
Test(dedup, memory_does_not_grow_with_ids_that_left_the_window)
{
    struct ty_dedup *dedup = ty_dedup_new(10000, PLENTY);
    uint64_t after_two = 0, number = 0;

    for (int64_t second = 0; second < 100; second++) {
        ty_dedup_advance(dedup, START_MS + second * 1000, 1);
        for (int i = 0; i < 5000; i++) {
            struct ty_key key = numbered_key(number++);

            if (!ty_dedup_add(dedup, &key, 1))
                cr_assert(false, "no memory");
        }
        if (second == 30)
            after_two = ty_dedup_gauges(dedup).bytes;
    }
    cr_assert_leq(ty_dedup_gauges(dedup).entries, 13u * 5000);
    cr_assert_leq(ty_dedup_gauges(dedup).bytes, after_two * 2);
    ty_dedup_free(dedup);
}

#define PER_MS 100

/* When ids outgrow their memory the oldest are forgotten first, and the gauge says how far back
 * ids are still safe: an operator has to be able to trust it. */
Test(dedup, forgets_the_oldest_first_when_memory_is_short_and_says_so)
{
    const uint64_t bytes_max = UINT64_C(12) << 20, count = 500000;
    const int64_t window_ms = 3600 * 1000;
    struct ty_dedup *dedup = ty_dedup_new(window_ms, bytes_max);
    struct ty_dedup_gauges gauges;
    int64_t now_ms = START_MS;
    uint64_t most = 0, first;

    for (uint64_t i = 0; i < count; i++) {
        struct ty_key key = numbered_key(i);

        if (i % PER_MS == 0)
            ty_dedup_advance(dedup, now_ms = START_MS + (int64_t)(i / PER_MS), 1);
        if (!ty_dedup_add(dedup, &key, i))
            cr_assert(false, "no memory");
        if (i % 1000 == 0)
            most = TY_MAX(most, ty_dedup_gauges(dedup).bytes);
    }
    gauges = ty_dedup_gauges(dedup);
    first = first_known(dedup, count);
    cr_assert_leq(most, bytes_max, "%" PRIu64 " of %" PRIu64 " bytes", most, bytes_max);
    cr_assert_eq(gauges.entries, count - first);
    cr_assert_eq(gauges.forgotten_early, first);
    cr_assert_gt(first, 0u);
    cr_assert_gt(gauges.entries * 24, bytes_max / 5, "the memory is used");
    cr_assert_lt(gauges.window_ms, window_ms);
    cr_assert_gt(gauges.window_ms, 0);
    cr_assert_leq(START_MS + (int64_t)(first / PER_MS), now_ms - gauges.window_ms + 1,
                  "every id of the window that is reported is known");
    /* With less traffic the window grows back to what was asked for. */
    for (int i = 0; i < 3700; i++)
        ty_dedup_advance(dedup, now_ms += 1000, 1);
    cr_assert_eq(ty_dedup_gauges(dedup).window_ms, window_ms);
    ty_dedup_free(dedup);
}

/* Commits that fail must not push out ids of those that did not. */
Test(dedup, ids_of_failed_commits_take_no_room)
{
    struct ty_dedup *dedup = ty_dedup_new(1000000, UINT64_C(1) << 20);
    uint64_t part = ty_dedup_ids_max(dedup) / 20, next = 1000;
    int64_t now_ms = START_MS;

    ty_dedup_advance(dedup, now_ms, 1);
    add_numbers(dedup, 0, 1000);
    for (int n = 0; n < 50; n++) { /* each with one that was decided on top of it */
        uint64_t first = next;

        for (int commit = 0; commit < 2; commit++) {
            ty_dedup_advance(dedup, now_ms += 1500, 2 + (uint64_t)commit);
            add_numbers(dedup, next, part);
            next += part;
        }
        for (uint64_t i = first; i < next; i++) {
            struct ty_key key = numbered_key(i);

            ty_dedup_remove(dedup, &key);
        }
    }
    cr_assert_eq(ty_dedup_gauges(dedup).entries, 1000u);
    cr_assert_eq(ty_dedup_gauges(dedup).forgotten_early, 0u);
    cr_assert_eq(first_known(dedup, 1000), 0u);
    ty_dedup_free(dedup);
}

/* A disk that is full for hours: every try adds ids and takes them back. What was acknowledged
 * before must not be pushed out by that, or its retries would count. */
Test(dedup, commits_that_fail_push_nothing_out)
{
    struct ty_dedup *dedup = ty_dedup_new(1000000, 1); /* room for some thousand ids */
    uint64_t room = ty_dedup_ids_max(dedup);

    ty_dedup_advance(dedup, START_MS, 1);
    add_numbers(dedup, 0, room / 2);
    for (int64_t n = 0; n < 200; n++) {
        ty_dedup_advance(dedup, START_MS + n * 700, 2);
        add_numbers(dedup, room, 3000);
        for (uint64_t i = room; i < room + 3000; i++) {
            struct ty_key key = numbered_key(i);

            ty_dedup_remove(dedup, &key);
        }
    }
    cr_assert_eq(first_known(dedup, room / 2), 0u);
    cr_assert_eq(ty_dedup_gauges(dedup).forgotten_early, 0u);
    cr_assert_eq(ty_dedup_gauges(dedup).entries, room / 2);
    ty_dedup_free(dedup);
}
