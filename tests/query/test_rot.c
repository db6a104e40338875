/*
 * test_rot.c: flips single bytes of a shard's file, wherever a key or a value lies, and asks for
 * everything.
 *
 * Each answer must be exactly right, or an error that names what is damaged; never a wrong number,
 * never a crash. What breaks for a user when this fails: an invoice that is wrong and looks right.
 * The seed is printed; `test_query_rot SEED ONE_IN [TREE]` repeats: one byte in so many is flipped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/period.h"
#include "storage/snapshot.h"
#include "tests/support/damage.h"
#include "tests/support/random.h"
#include "tests/support/rot_world.h"

struct rot {
    struct rot_world world;
    struct ty_random random;
    struct ty_stored *entries;
    size_t count;
    uint8_t *file; /* as it was */
    size_t length;
    uint64_t flips, right, refused; /* tries; all answers right; some refused */
};

/* Flips bits of one byte, asks, and puts the byte back. */
static void flip(struct rot *rot, const struct ty_stored *entry, const char *part, size_t offset,
                 size_t at, uint8_t bits)
{
    char name[128], what[256];

    snprintf(what, sizeof(what), "byte %zu of the %s of %s, bits %#x", offset, part,
             ty_damage_name(entry, name), bits);
    rot->file[at] ^= bits;
    ty_damage_write_file(rot->world.world.options.path, rot->file, rot->length);
    if (rot_world_ask(&rot->world, what, ty_random_one_in(&rot->random, 3)) == 0)
        rot->right++;
    else
        rot->refused++;
    rot->file[at] ^= bits;
    rot->flips++;
}

static void flip_bytes(struct rot *rot, const struct ty_stored *entry, const char *part, size_t at,
                       size_t length, uint64_t one_in)
{
    for (size_t i = 0; i < length; i++) {
        if (!ty_random_one_in(&rot->random, one_in))
            continue;
        if (ty_random_one_in(&rot->random, 16)) {
            for (unsigned bit = 0; bit < 8; bit++)
                flip(rot, entry, part, i, at + i, (uint8_t)(1u << bit));
        } else {
            uint8_t bits = (uint8_t)(1 + ty_random_below(&rot->random, 255));

            flip(rot, entry, part, i, at + i, bits);
        }
    }
}

int main(int argc, char **argv)
{
    static struct rot rot;
    uint64_t seed =
        argc > 1 && strcmp(argv[1], "random") != 0 ? strtoull(argv[1], NULL, 10) : ty_random_seed();
    const char *tree = argc > 3 ? argv[3] : NULL; /* only */
    uint64_t one_in = argc > 2 ? strtoull(argv[2], NULL, 10) : 100;

    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    ty_random_init(&rot.random, seed);
    rot_world_init(&rot.world);
    rot.count = ty_damage_list(rot.world.world.options.path, &rot.entries);
    rot.file = ty_damage_read_file(rot.world.world.options.path, &rot.length);
    TY_ASSERT(rot_world_ask(&rot.world, "nothing", true) == 0);
    for (size_t i = 0; i < rot.count; i++) {
        const struct ty_stored *entry = &rot.entries[i];
        /* Keys are few and short, and the most harmful. The values of the tree of trees are LMDB's
         * own, without checksums (docs/OPERATING.md). */
        if (tree != NULL && strcmp(tree, entry->tree) != 0)
            continue;
        flip_bytes(&rot, entry, "key", entry->key_at, entry->key_length,
                   one_in < 10 ? 1 : one_in / 10);
        if (entry->tree[0] != '\0')
            flip_bytes(&rot, entry, "value", entry->value_at, entry->length, one_in);
    }
    printf("%zu keys and values; %llu flips: %llu changed nothing, %llu were refused; %u wrong\n",
           rot.count, (unsigned long long)rot.flips, (unsigned long long)rot.right,
           (unsigned long long)rot.refused, rot.world.wrong);
    rot_world_fini(&rot.world);
    free(rot.entries);
    free(rot.file);
    return rot.world.wrong != 0 || rot.refused == 0; /* Else no flip would have done anything. */
}
