#include "engine/arena.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <string.h>

#define PIECES 3000

/* The texts of a request must not run into each other. Random sizes, small and large, all filled
 * and read again at the end. */
Test(arena, gives_out_memory_that_is_aligned_and_does_not_overlap)
{
    static unsigned char *pieces[PIECES];
    static size_t sizes[PIECES];
    struct ty_random random;
    struct ty_arena arena = {0};

    ty_random_init(&random, ty_random_seed());
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < PIECES; i++) {
            size_t bound = ty_random_one_in(&random, 200) ? 100000 : 200;

            sizes[i] = (size_t)ty_random_below(&random, bound);
            pieces[i] = ty_arena_alloc(&arena, sizes[i]);
            cr_assert_not_null(pieces[i]);
            cr_assert_eq((uintptr_t)pieces[i] % 16, 0u);
            memset(pieces[i], (int)(i & 0xff), sizes[i]);
        }
        for (size_t i = 0; i < PIECES; i++)
            for (size_t byte = 0; byte < sizes[i]; byte += 1 + sizes[i] / 16)
                cr_assert_eq(pieces[i][byte], (unsigned char)i, "piece %zu", i);
        ty_arena_reset(&arena, (size_t)ty_random_below(&random, 200000));
    }
    ty_arena_fini(&arena);
}

/* Text that a decoder copies outlives the buffer it was read from, embedded zeros and all. */
Test(arena, copies_text_and_ends_it_with_a_zero)
{
    struct ty_arena arena = {0};
    char original[] = "a\0b";
    struct ty_text copy = ty_arena_copy(&arena, (struct ty_text){original, 3});
    struct ty_text empty = ty_arena_copy(&arena, (struct ty_text){NULL, 0});

    memset(original, 'x', sizeof(original));
    cr_assert_eq(copy.length, 3u);
    cr_assert_eq(memcmp(copy.data, "a\0b\0", 4), 0);
    cr_assert_eq(empty.length, 0u);
    cr_assert_str_eq(empty.data, "");
    cr_assert_str_eq(ty_arena_format(&arena, "field %s: %d", "pages", -1), "field pages: -1");
    cr_assert_str_eq(ty_arena_format(&arena, "%s", ""), "");
    ty_arena_fini(&arena);
    cr_assert_null(arena.blocks);
}

/* A batch that is tried again for hours must not grow with every try. */
Test(arena, frees_what_was_allocated_after_a_mark)
{
    struct ty_arena arena = {0};
    struct ty_arena_mark empty = ty_arena_mark(&arena), mark;
    struct ty_text kept = ty_arena_copy(&arena, (struct ty_text){"kept", 4});
    void *next, *large;

    mark = ty_arena_mark(&arena);
    next = ty_arena_alloc(&arena, 100);
    for (unsigned i = 0; i < 100; i++) {
        ty_arena_rewind(&arena, mark);
        cr_assert_eq(ty_arena_alloc(&arena, 100), next, "the same place again");
        large = ty_arena_alloc(&arena, 1 << 20);
        cr_assert_not_null(large);
        memset(large, 1, 1 << 20);
    }
    ty_arena_rewind(&arena, mark);
    cr_assert_str_eq(kept.data, "kept");
    ty_arena_rewind(&arena, empty);
    cr_assert_null(arena.blocks);
    ty_arena_fini(&arena);
}

/* A wild size must come back as "no memory", not as a small block. */
Test(arena, refuses_sizes_that_wrap_around)
{
    struct ty_arena arena = {0};

    cr_assert_null(ty_arena_alloc(&arena, SIZE_MAX));
    cr_assert_null(ty_arena_alloc(&arena, SIZE_MAX - 14));
    cr_assert_not_null(ty_arena_alloc(&arena, 1), "and it goes on");
    ty_arena_fini(&arena);
}

/* A reset arena reuses its memory, and one huge request does not keep its memory for ever. */
Test(arena, keeps_one_block_of_at_most_the_size_asked)
{
    struct ty_arena arena = {0};
    void *first;

    ty_arena_alloc(&arena, 50000);
    ty_arena_alloc(&arena, 1000000);
    ty_arena_alloc(&arena, 10);
    ty_arena_reset(&arena, 100000);
    cr_assert_not_null(arena.blocks);
    cr_assert_eq(arena.used, 0u);
    first = ty_arena_alloc(&arena, 50000);
    ty_arena_reset(&arena, 100000);
    cr_assert_eq(ty_arena_alloc(&arena, 50000), first, "the same memory again");
    ty_arena_reset(&arena, 0);
    cr_assert_null(arena.blocks, "nothing is kept");
    ty_arena_fini(&arena);
    ty_arena_fini(&arena);
}
