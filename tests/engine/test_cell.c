#include "engine/cell.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <string.h>

#define WORDS_MAX 9

/* What is published is what is read, for every size in use. */
Test(cell, reads_what_was_published_last)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (unsigned count = 1; count <= WORDS_MAX; count++) {
        static ty_cell_word cell[TY_CELL_LENGTH(WORDS_MAX) + 1];
        uint64_t words[WORDS_MAX], read[WORDS_MAX];

        for (unsigned i = 0; i < TY_COUNT_OF(cell); i++)
            atomic_init(&cell[i], 0);
        atomic_init(&cell[TY_CELL_LENGTH(count)], 0x5a5a);
        ty_cell_read(cell, read, count);
        for (unsigned i = 0; i < count; i++)
            cr_assert_eq(read[i], 0u, "an empty cell is zeros");
        for (int n = 0; n < 1000; n++) {
            ty_random_fill(&random, words, sizeof(words));
            ty_cell_publish(cell, words, count);
            memset(read, 0, sizeof(read));
            ty_cell_read(cell, read, count);
            cr_assert_eq(memcmp(words, read, count * sizeof(words[0])), 0);
            ty_cell_read(cell, read, count);
            cr_assert_eq(memcmp(words, read, count * sizeof(words[0])), 0,
                         "reading changes nothing");
        }
        cr_assert_eq(atomic_load(&cell[TY_CELL_LENGTH(count)]), 0x5a5au, "stays in its bounds");
    }
}

/* A reader in the middle of the copy it chose must not be disturbed by the next publication. */
Test(cell, leaves_the_copy_before_untouched)
{
    static ty_cell_word cell[TY_CELL_LENGTH(2)];
    uint64_t first[2] = {11, 12}, second[2] = {21, 22};
    uint64_t version;

    ty_cell_publish(cell, first, 2);
    version = atomic_load(&cell[0]);
    ty_cell_publish(cell, second, 2);
    cr_assert_eq(atomic_load(&cell[0]), version + 1);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(atomic_load(&cell[1 + (version & 1) * 2 + i]), first[i]);
        cr_assert_eq(atomic_load(&cell[1 + ((version + 1) & 1) * 2 + i]), second[i]);
    }
}
