#include "engine/trie.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define LEAVES 30000

struct item {
    struct ty_trie_leaf leaf;
    unsigned released;
};

static struct item items[LEAVES];

static void count_release(struct ty_trie_leaf *leaf)
{
    TY_CONTAINER_OF(leaf, struct item, leaf)->released++;
}

/* A new hash, or one that shares its low bits (up to all of them) with an earlier one. */
static uint64_t make_hash(struct ty_random *random, size_t count)
{
    uint64_t hash = ty_random_u64(random), shared = ty_random_below(random, 65);
    uint64_t mask = shared == 64 ? UINT64_MAX : (UINT64_C(1) << shared) - 1;

    if (count == 0 || ty_random_one_in(random, 2))
        return hash;
    return (hash & ~mask) | (items[ty_random_below(random, count)].leaf.hash & mask);
}

/* A series that is not found is a series without usage: each has to be found, however long the
 * prefix that it shares with others, and at every time. */
Test(trie, finds_every_leaf_among_equal_prefixes)
{
    static struct ty_trie trie;
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (size_t i = 0; i < LEAVES; i++) {
        struct ty_trie_leaf *before;
        uint64_t hash = make_hash(&random, i), other;

        before = ty_trie_find(&trie, hash);
        items[i].leaf.hash = hash;
        cr_assert(ty_trie_insert(&trie, &items[i].leaf));
        cr_assert_eq(ty_trie_find(&trie, hash), &items[i].leaf, "the newest of its hash");
        cr_assert_eq(items[i].leaf.same_hash, before, "the older ones follow");
        other = items[ty_random_below(&random, i + 1)].leaf.hash;
        cr_assert_not_null(ty_trie_find(&trie, other));
        cr_assert_eq(ty_trie_find(&trie, other)->hash, other);
    }
    for (size_t i = 0; i < LEAVES; i++) {
        struct ty_trie_leaf *leaf = ty_trie_find(&trie, items[i].leaf.hash);

        while (leaf != NULL && leaf != &items[i].leaf)
            leaf = leaf->same_hash;
        cr_assert_eq(leaf, &items[i].leaf, "leaf %zu is in its chain", i);
    }
    ty_trie_fini(&trie, count_release);
    for (size_t i = 0; i < LEAVES; i++)
        cr_assert_eq(items[i].released, 1u, "each is released once");
}

/* A hash that nobody has is not found, though all but one of its bits lead to a leaf. */
Test(trie, finds_nothing_for_a_hash_that_is_near)
{
    static struct ty_trie trie;
    struct ty_random random;
    uint64_t hash;

    cr_assert_null(ty_trie_find(&trie, 0));
    ty_random_init(&random, ty_random_seed());
    hash = ty_random_u64(&random);
    items[0].leaf.hash = hash;
    cr_assert(ty_trie_insert(&trie, &items[0].leaf));
    for (int bit = 0; bit < 64; bit++)
        cr_assert_null(ty_trie_find(&trie, hash ^ UINT64_C(1) << bit), "bit %d", bit);
    for (size_t bit = 0; bit < 64; bit++) {
        items[1 + bit].leaf.hash = hash ^ UINT64_C(1) << bit;
        cr_assert(ty_trie_insert(&trie, &items[1 + bit].leaf));
    }
    for (size_t i = 0; i <= 64; i++)
        cr_assert_eq(ty_trie_find(&trie, items[i].leaf.hash), &items[i].leaf, "leaf %zu", i);
    ty_trie_fini(&trie, count_release);
    cr_assert_null(ty_trie_find(&trie, hash), "empty again");
}
