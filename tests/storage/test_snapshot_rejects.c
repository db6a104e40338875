/*
 * test_snapshot_rejects.c: the kept rejects, listed page by page over damage (test_store_rejects.c
 * has the rest).
 */
#include "storage/bytes.h"
#include "storage/snapshot.h"
#include "tests/storage/store_fixture.h"
#include "tests/support/damage.h"

#include <stdio.h>
#include <stdlib.h>

TestSuite(snapshot_rejects, .init = make_directory, .fini = remove_directory);

/* Rejects 1 to `count`: the number is in the record, and is its seq. */
static void keep(struct ty_store *store, unsigned count)
{
    struct ty_rejects_record rejects = {0};

    assert_ok(ty_store_begin(store, &problem));
    for (unsigned number = 1; number <= count; number++) {
        uint8_t identity[TY_REJECT_IDENTITY_BYTES] = {(uint8_t)number};
        char text[40];
        struct ty_reject reject = {.code = TALLY_MISSING_FIELD, .message = {"id: required", 12}};

        memset(text, 'x', sizeof(text));
        snprintf(text, sizeof(text), "%u", number);
        reject.record = (struct ty_text){text, sizeof(text)};
        assert_ok(
            ty_store_keep_reject(store, &reject, identity, 1000, MAP_BYTES, &rejects, &problem));
        cr_assert_eq(rejects.last_seq, number);
    }
    assert_ok(ty_store_put_rejects(store, &rejects, &problem));
    assert_ok(ty_store_commit(store, &problem));
}

struct found {
    unsigned numbers[64];
    size_t count, limit; /* 0: all */
};

static bool note(void *context, const struct ty_kept_reject *kept)
{
    struct found *found = context;

    cr_assert(found->count < TY_COUNT_OF(found->numbers));
    cr_assert_eq(sscanf(kept->reject.record.data, "%u", &found->numbers[found->count]), 1);
    cr_assert_eq(found->numbers[found->count], kept->seq);
    return ++found->count != found->limit;
}

static tally_status list(struct ty_store *store, uint64_t *before, size_t limit,
                         struct found *found)
{
    *found = (struct found){.limit = limit};
    return each_reject(store, before, note, found);
}

/* Exchanges a bit of a reject's key where it lies in the file. */
static void damage_key(uint64_t seq, unsigned bit)
{
    struct ty_stored *entries;
    size_t count = ty_damage_list(directory.path, &entries), length;
    uint8_t *file = ty_damage_read_file(directory.path, &length);
    uint8_t key[8];

    ty_put_u64_be(key, seq);
    for (size_t i = 0; i < count; i++)
        if (strcmp(entries[i].tree, "rejects") == 0 &&
            memcmp(entries[i].key, key, sizeof(key)) == 0)
            file[entries[i].key_at + 7 - bit / 8] ^= (uint8_t)(1u << bit % 8);
    ty_damage_write_file(directory.path, file, length);
    free(file);
    free(entries);
}

/* Lists all in pages, over two that are damaged, as the server's clients do: every other reject
 * must come once, and the damage of each once. `is_key`: of one the key is damaged, and so the
 * name. */
static void list_over_damage(struct ty_store *store, unsigned newest, unsigned one, unsigned other,
                             bool is_key, size_t page)
{
    uint64_t before = UINT64_MAX, asked = 0;
    unsigned number = newest, named = 0;
    struct found found;
    char name[32];

    while (before != asked) {
        tally_status status;

        asked = before;
        status = list(store, &before, page, &found);
        cr_assert(status == TALLY_OK || status == TALLY_CORRUPT, "%s", problem.message);
        cr_assert(before < asked || (status == TALLY_OK && found.count == 0), "%llu, %llu",
                  (unsigned long long)asked, (unsigned long long)before);
        for (size_t i = 0; i < found.count; i++, number--) {
            number -= number == one || number == other;
            cr_assert_eq(found.numbers[i], number, "%u instead of %u", found.numbers[i], number);
        }
        if (status != TALLY_CORRUPT)
            continue;
        named++;
        snprintf(name, sizeof(name), "reject %u: ", number);
        cr_assert(is_key || strstr(problem.message, name) != NULL, "%s: %s", name, problem.message);
    }
    number -= number == one || number == other;
    cr_assert_eq(number, 0u, "the last is %u", number);
    cr_assert_eq(named, one == other ? 1u : 2u);
}

/* A key that is damaged leads nowhere: `tally rejects --all` showed the same for ever, or left out
 * all down to where the key said that it went on. */
Test(snapshot_rejects, a_damaged_key_neither_repeats_nor_hides_others)
{
    static const unsigned damaged[] = {1, 12, 20, 23, 40}, bits[] = {0, 1, 4, 62};

    for (size_t i = 0; i < TY_COUNT_OF(damaged); i++)
        for (size_t k = 0; k < TY_COUNT_OF(bits); k++) {
            struct ty_store *store = open_store();

            keep(store, 40);
            ty_store_close(store);
            damage_key(damaged[i], bits[k]);
            store = open_store();
            for (size_t page = 0; page <= 4; page += page == 0 ? 1 : 3)
                list_over_damage(store, 40, damaged[i], damaged[i], true, page);
            ty_store_close(store);
            start_over();
        }
}

/* Nor is one taken for the other where two are damaged: a value, and below it a value or a key. */
Test(snapshot_rejects, two_damaged_ones_are_each_passed_over)
{
    static const uint8_t keys[2][8] = {{0, 0, 0, 0, 0, 0, 0, 30}, {0, 0, 0, 0, 0, 0, 0, 12}};
    const struct ty_damage damages[2] = {{directory.path, "rejects", keys[0], 8},
                                         {directory.path, "rejects", keys[1], 8}};

    for (int is_key = 0; is_key <= 1; is_key++) {
        struct ty_store *store = open_store();

        keep(store, 40);
        ty_store_close(store);
        ty_damage_flip(&damages[0], -1, 1);
        if (is_key)
            damage_key(12, 5);
        else
            ty_damage_flip(&damages[1], -1, 1);
        store = open_store();
        for (size_t page = 0; page <= 4; page += page == 0 ? 1 : 3)
            list_over_damage(store, 40, 30, 12, is_key != 0, page);
        ty_store_close(store);
        start_over();
    }
}
