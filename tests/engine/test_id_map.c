#include "engine/dedup.h"
#include "engine/id_map.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define RUN_IDS 30000

static const bool none_dead[TY_ID_MAP_SLOTS];

/* The keys of a run, sorted; some share their first bits. */
struct run {
    struct ty_key keys[RUN_IDS];
    uint32_t count;
};

static int compare(const void *a, const void *b)
{
    return ty_key_compare(a, b);
}

static void make_run(struct run *run, struct ty_random *random, uint32_t count)
{
    run->count = count;
    for (uint32_t i = 0; i < count; i++) {
        run->keys[i] = (struct ty_key){ty_random_u64(random), ty_random_u64(random)};
        if (i > 0 && ty_random_one_in(random, 20))
            run->keys[i].high = run->keys[i - 1].high ^ ty_random_below(random, 4) << 30;
    }
    qsort(run->keys, count, sizeof(run->keys[0]), compare);
}

/* Rewrites every part, with the run's ids (NULL: none). */
static void rewrite(struct ty_id_map *map, const struct run *run, uint8_t slot, const bool *dead)
{
    static struct ty_id_map_entry entries[RUN_IDS];
    uint32_t next = 0;

    for (unsigned part = 0; part < TY_ID_MAP_PARTS; part++) {
        uint32_t count = 0;

        while (run != NULL && next < run->count && ty_id_map_part_of(&run->keys[next]) == part)
            entries[count++] = (struct ty_id_map_entry){
                .rest = ty_id_map_rest_of(&run->keys[next++]), .slot = slot};
        cr_assert(ty_id_map_rewrite(map, part, entries, count, dead));
    }
}

static void add(struct ty_id_map *map, const struct run *run, uint8_t slot, const bool *dead)
{
    ty_id_map_begin(map, slot, map->count + run->count);
    rewrite(map, run, slot, dead);
}

/* How many runs the map gives for a key; *given tells whether that of the slot is one. */
static unsigned find(const struct ty_id_map *map, const struct ty_key *key, uint8_t wanted,
                     bool *given)
{
    unsigned count = 0;
    uint32_t at = 0;
    uint8_t slot;

    *given = false;
    ty_id_map_prefetch(map, key);
    ty_id_map_prefetch_near(map, key);
    for (; ty_id_map_find(map, key, &at, &slot); count++)
        *given |= slot == wanted;
    return count;
}

static void check_run(const struct ty_id_map *map, const struct run *run, uint8_t slot, bool there)
{
    for (uint32_t i = 0; i < run->count; i++) {
        bool given;

        (void)find(map, &run->keys[i], slot, &given);
        cr_assert_eq(given, there, "id %u of slot %u", i, slot);
    }
}

#define RUNS 40

/* An id that is there must be found in its run, or a retry would count twice: through growing,
 * and through runs that go. */
Test(id_map, finds_every_id_in_its_run)
{
    static struct run runs[RUNS];
    static struct ty_id_map map;
    bool dead[TY_ID_MAP_SLOTS] = {false};
    struct ty_random random;

    cr_assert(ty_id_map_init(&map, RUNS * RUN_IDS));
    ty_random_init(&random, ty_random_seed());
    for (uint8_t i = 0; i < RUNS; i++) { /* ever larger ones: buckets double several times */
        make_run(&runs[i], &random, i < 3 ? i : 1000 + i * 700u);
        add(&map, &runs[i], i, dead);
        if (i % 3 == 0 && i > 12) /* Until then no id goes, which is a way of its own. */
            dead[i / 2] = true;
        for (uint8_t k = 0; k <= i; k = (uint8_t)(k + 1 + i / 4))
            if (!dead[k])
                check_run(&map, &runs[k], k, true);
    }
    cr_assert_gt(map.most_bits, map.least_bits + 1);
    rewrite(&map, NULL, 0, dead);
    for (uint8_t i = 0; i < RUNS; i++)
        if (dead[i] && runs[i].count > 0)
            check_run(&map, &runs[i], i, false);
        else
            check_run(&map, &runs[i], i, true);
    memset(dead, true, sizeof(dead));
    rewrite(&map, NULL, 0, dead);
    cr_assert_eq(map.count, 0u);
    ty_id_map_fini(&map);
}

/* Each mistake is a look at the disk. Here ids came in while there were few, and lost bits. */
Test(id_map, rarely_gives_a_run_for_an_id_that_is_nowhere)
{
    static struct run run;
    static struct ty_id_map map;
    struct ty_random random;
    uint64_t mistakes = 0;

    cr_assert(ty_id_map_init(&map, 60 * RUN_IDS));
    ty_random_init(&random, ty_random_seed());
    for (uint8_t i = 0; i < 60; i++) {
        make_run(&run, &random, RUN_IDS);
        add(&map, &run, i, none_dead);
    }
    for (int i = 0; i < 1000000; i++) {
        struct ty_key key = {ty_random_u64(&random), ty_random_u64(&random)};
        bool given;

        mistakes += find(&map, &key, 0, &given);
    }
    /* 8 to 16 ids in a bucket, 2^-16 each, several times that for the few old ones. */
    cr_assert_leq(mistakes, 2000u);
    cr_assert_gt(mistakes, 20u, "it cannot know better: something is wrong with this test");
    cr_assert_leq((double)map.bytes / (double)map.count, 4.0, "at most four bytes an id");
    ty_id_map_fini(&map);
}

/* As at a start: the ids of all runs at once, in no order. */
Test(id_map, an_empty_part_takes_ids_in_any_order)
{
    static const struct ty_id_map_entry entries[] = {
        {UINT32_MAX, 3}, {0, 1}, {UINT32_C(1) << 31, 2}, {5, 1}, {UINT32_MAX, 2}};
    static struct ty_id_map map;

    cr_assert(ty_id_map_init(&map, UINT64_C(200) * TY_ID_MAP_PARTS));
    for (uint8_t slot = 1; slot < 4; slot++)
        ty_id_map_begin(&map, slot, UINT64_C(100) * TY_ID_MAP_PARTS);
    cr_assert(ty_id_map_rewrite(&map, 7, entries, TY_COUNT_OF(entries), none_dead));
    for (size_t i = 0; i < TY_COUNT_OF(entries); i++) {
        struct ty_key key = {.high = UINT64_C(7) << 52 | (uint64_t)entries[i].rest << 20};
        bool given;

        (void)find(&map, &key, entries[i].slot, &given);
        cr_assert(given, "entry %zu", i);
    }
    ty_id_map_fini(&map);
}

/* A part that is emptied is not written any more: it has no memory of its own then, and where there
 * is room for the ids of others there may be none for its buckets. */
Test(id_map, writes_nothing_to_an_emptied_part)
{
    static struct ty_id_map map;
    bool dead[TY_ID_MAP_SLOTS] = {true};
    struct ty_id_map_entry entry = {.rest = 1, .slot = 0};
    uint32_t first;

    cr_assert(ty_id_map_init(&map, 0));
    ty_id_map_begin(&map, 0, 1000);
    cr_assert(ty_id_map_rewrite(&map, 0, &entry, 1, none_dead));
    ty_id_map_begin(&map, 1, UINT64_C(64) << 20);
    first = *ty_id_map_first(&map, 0, 1);
    cr_assert_eq(first, 1u);
    cr_assert(ty_id_map_rewrite(&map, 0, NULL, 0, dead));
    cr_assert_eq(map.count, 0u);
    cr_assert_eq(*ty_id_map_first(&map, 0, 1), first);
    ty_id_map_fini(&map);
}
