/*
 * test_filling.c: a new store, filled entry by entry, as copies and loads do.
 */
#include "storage/backup.h"
#include "storage/bytes.h"
#include "tests/storage/store_fixture.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(filling, .init = make_directory, .fini = remove_directory);

static const char *new_path(void)
{
    static char path[sizeof(directory.path) + 8];

    snprintf(path, sizeof(path), "%s/new", directory.path);
    return path;
}

static struct ty_filling *open_filling(uint64_t map_bytes)
{
    struct ty_filling *filling = NULL;

    assert_ok(ty_filling_open(new_path(), map_bytes, 1, &filling, &problem));
    return filling;
}

static struct ty_entry entry_of(const void *key, size_t key_length, const void *value,
                                size_t value_length)
{
    return (struct ty_entry){key, key_length, value, value_length};
}

/* A number as key, and as value with so many bytes of padding behind it. */
static tally_status put_number(struct ty_filling *filling, const char *tree, uint32_t number,
                               size_t padding, bool in_order)
{
    static uint8_t value[1 << 20];
    uint8_t key[4];
    struct ty_entry entry = entry_of(key, sizeof(key), value, 4 + padding);

    ty_put_u32_be(key, number);
    memcpy(value, key, sizeof(key));
    return ty_filling_put(filling, tree, &entry, in_order, &problem);
}

/* --- What is in the new store, as LMDB itself sees it --- */

struct opened {
    MDB_env *environment;
    MDB_txn *txn;
};

static struct opened open_new(void)
{
    struct opened opened;

    cr_assert_eq(mdb_env_create(&opened.environment), 0);
    cr_assert_eq(mdb_env_set_maxdbs(opened.environment, TY_COPY_TREES_MAX), 0);
    cr_assert_eq(mdb_env_open(opened.environment, new_path(), MDB_RDONLY | MDB_NOLOCK, 0), 0);
    cr_assert_eq(mdb_txn_begin(opened.environment, NULL, MDB_RDONLY, &opened.txn), 0);
    return opened;
}

static void close_new(struct opened *opened)
{
    mdb_txn_abort(opened->txn);
    mdb_env_close(opened->environment);
}

/* The number of entries; -1: there is no such tree. Each must be as put_number() made it, and the
 * keys in order. */
static long count_numbers(const struct opened *opened, const char *tree)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    long count = 0;
    uint32_t last = 0;
    MDB_dbi dbi;

    if (mdb_dbi_open(opened->txn, tree, 0, &dbi) != 0)
        return -1;
    cr_assert_eq(mdb_cursor_open(opened->txn, dbi, &cursor), 0);
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        cr_assert_eq(key.mv_size, 4u);
        cr_assert(count == 0 || ty_get_u32_be(key.mv_data) > last);
        last = ty_get_u32_be(key.mv_data);
        cr_assert_eq(memcmp(value.mv_data, key.mv_data, 4), 0, "the value of %u", last);
        count++;
    }
    mdb_cursor_close(cursor);
    return count;
}

/* A restored copy that lacks an entry gives a lower bill: all is there, in whichever order it came,
 * as are trees without entries. */
Test(filling, what_was_put_is_there)
{
    struct ty_filling *filling = open_filling(MAP_BYTES);
    struct opened opened;

    for (uint32_t number = 0; number < 5000; number++) {
        assert_ok(put_number(filling, "in_order", number, number % 50, true));
        assert_ok(put_number(filling, "scattered", number * 40503 % 65536, 0, false));
    }
    assert_ok(ty_filling_tree(filling, "empty", &problem));
    assert_ok(ty_filling_tree(filling, "in_order", &problem));
    assert_ok(ty_filling_finish(filling, &problem));
    opened = open_new();
    cr_assert_eq(count_numbers(&opened, "in_order"), 5000);
    cr_assert_eq(count_numbers(&opened, "scattered"), 5000);
    cr_assert_eq(count_numbers(&opened, "empty"), 0);
    cr_assert_eq(count_numbers(&opened, "never_made"), -1);
    close_new(&opened);
}

/* Values of all lengths, empty ones and those of many pages too, arrive byte by byte. */
Test(filling, every_length_arrives)
{
    static const size_t lengths[] = {0, 1, 2000, 4096, 100000, 1 << 20};
    struct ty_filling *filling = open_filling(MAP_BYTES);
    uint8_t *bytes = malloc(1 << 20);
    struct ty_random random;
    struct opened opened;
    MDB_val key, value;
    MDB_dbi dbi;

    ty_random_init(&random, ty_random_seed());
    ty_random_fill(&random, bytes, 1 << 20);
    for (uint32_t i = 0; i < TY_COUNT_OF(lengths); i++) {
        struct ty_entry entry = entry_of(&i, 1, bytes + (1 << 20) - lengths[i], lengths[i]);

        assert_ok(ty_filling_put(filling, "t", &entry, true, &problem));
    }
    assert_ok(ty_filling_finish(filling, &problem));
    opened = open_new();
    cr_assert_eq(mdb_dbi_open(opened.txn, "t", 0, &dbi), 0);
    for (uint32_t i = 0; i < TY_COUNT_OF(lengths); i++) {
        key = (MDB_val){1, &i};
        cr_assert_eq(mdb_get(opened.txn, dbi, &key, &value), 0);
        cr_assert_eq(value.mv_size, lengths[i]);
        cr_assert_eq(memcmp(value.mv_data, bytes + (1 << 20) - lengths[i], lengths[i]), 0);
    }
    close_new(&opened);
    free(bytes);
}

/* A dump that has an entry twice, or out of its order, has been tampered with or damaged: the
 * second must not quietly take the first one's place. */
Test(filling, a_key_out_of_its_place_is_refused)
{
    static const struct {
        uint32_t number;
        bool in_order;
        tally_status status;
    } puts[] = {
        {7, true, TALLY_OK},       {7, true, TALLY_CORRUPT},  {6, true, TALLY_CORRUPT},
        {8, true, TALLY_OK},       {7, false, TALLY_CORRUPT}, {6, false, TALLY_OK},
        {6, false, TALLY_CORRUPT}, {9, false, TALLY_OK},
    };
    struct ty_filling *filling = open_filling(MAP_BYTES);
    struct opened opened;

    for (size_t i = 0; i < TY_COUNT_OF(puts); i++) {
        problem = (tally_error){0};
        cr_assert_eq(put_number(filling, "journal", puts[i].number, i, puts[i].in_order),
                     puts[i].status, "put %zu: %s", i, problem.message);
        if (puts[i].status != TALLY_OK)
            cr_assert_not_null(strstr(problem.message, "the tree journal has a key"), "%s",
                               problem.message);
    }
    assert_ok(put_number(filling, "blocks", 7, 0, true));
    assert_ok(ty_filling_finish(filling, &problem));
    opened = open_new();
    cr_assert_eq(count_numbers(&opened, "journal"), 4);
    cr_assert_eq(count_numbers(&opened, "blocks"), 1);
    close_new(&opened);
}

/* A copy that was given up must not pass for one: what counts is the end. */
Test(filling, what_was_not_finished_has_nothing)
{
    struct ty_filling *filling = open_filling(MAP_BYTES);
    struct opened opened;

    assert_ok(put_number(filling, "journal", 1, 0, true));
    ty_filling_abandon(filling);
    ty_filling_abandon(NULL);
    opened = open_new();
    cr_assert_eq(count_numbers(&opened, "journal"), -1);
    close_new(&opened);
}

/* What is there already may be the only good copy: it is never written into. Nor is a path made
 * where its parent is missing: it was mistyped, or a disk is not mounted. */
Test(filling, only_a_new_directory_is_filled)
{
    struct ty_filling *filling = NULL;
    char file[sizeof(directory.path) + 32];
    struct stat status;

    cr_assert_eq(mkdir(new_path(), 0700), 0);
    cr_assert_eq(ty_filling_open(new_path(), MAP_BYTES, 1, &filling, &problem), TALLY_IO);
    cr_assert_null(filling);
    cr_assert_not_null(strstr(problem.message, new_path()), "%s", problem.message);
    cr_assert_not_null(strstr(problem.message, "exists"), "%s", problem.message);
    snprintf(file, sizeof(file), "%s/data.mdb", new_path());
    cr_assert_neq(stat(file, &status), 0);
    snprintf(file, sizeof(file), "%s/no/new", directory.path);
    cr_assert_eq(ty_filling_open(file, MAP_BYTES, 1, &filling, &problem), TALLY_IO);
    cr_assert_not_null(strstr(problem.message, file), "%s", problem.message);
}

/* Usage is nobody else's business, and a lock file would be in the way of who opens a copy. */
Test(filling, the_files_are_as_a_server_makes_them)
{
    struct ty_filling *filling = open_filling(MAP_BYTES);
    char path[sizeof(directory.path) + 32];
    struct stat status;

    assert_ok(put_number(filling, "journal", 1, 0, true));
    assert_ok(ty_filling_finish(filling, &problem));
    cr_assert_eq(stat(new_path(), &status), 0);
    cr_assert_eq(status.st_mode & 07027, 0u, "%o", status.st_mode);
    snprintf(path, sizeof(path), "%s/data.mdb", new_path());
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 07137, 0u, "%o", status.st_mode);
    snprintf(path, sizeof(path), "%s/lock.mdb", new_path());
    cr_assert_neq(stat(path, &status), 0);
}

/* A copy into too small a store ends with the reason, not with half of the data. */
Test(filling, a_full_store_says_so)
{
    struct ty_filling *filling = open_filling(UINT64_C(1) << 20);
    tally_status status = TALLY_OK;

    for (uint32_t number = 0; status == TALLY_OK && number < 1000; number++)
        status = put_number(filling, "journal", number, 4000, true);
    if (status == TALLY_OK)
        status = ty_filling_finish(filling, &problem);
    else
        ty_filling_abandon(filling);
    cr_assert_eq(status, TALLY_FULL, "%s", problem.message);
    cr_assert_not_null(strstr(problem.message, new_path()), "%s", problem.message);
}

/* A dump from outside may name any trees: too many, or one whose name is too long, are refused. */
Test(filling, trees_have_their_bounds)
{
    struct ty_filling *filling = open_filling(MAP_BYTES);
    char name[80];

    for (unsigned i = 0; i < TY_COPY_TREES_MAX; i++) {
        snprintf(name, sizeof(name), "tree_%u", i);
        assert_ok(put_number(filling, name, i, 0, true));
    }
    cr_assert_neq(put_number(filling, "one_more", 1, 0, true), TALLY_OK);
    cr_assert_neq(ty_filling_tree(filling, "one_more", &problem), TALLY_OK);
    assert_ok(put_number(filling, "tree_3", 4, 0, true));
    ty_filling_abandon(filling);

    start_over();
    filling = open_filling(MAP_BYTES);
    memset(name, 'n', 64);
    name[64] = '\0';
    cr_assert_neq(ty_filling_tree(filling, name, &problem), TALLY_OK);
    name[63] = '\0';
    assert_ok(ty_filling_tree(filling, name, &problem));
    ty_filling_abandon(filling);
}

/* Memory stays bounded: what is put goes to the file before all of it is there, large entries
 * (sooner when many stores are filled at once) and small ones, whose pages in memory are more than
 * they. */
Test(filling, it_commits_on_the_way)
{
    struct ty_filling *filling = NULL;
    struct opened opened;

    assert_ok(ty_filling_open(new_path(), MAP_BYTES, 1000, &filling, &problem));
    for (uint32_t number = 0; number < 300; number++)
        assert_ok(put_number(filling, "journal", number, 4000, true));
    ty_filling_abandon(filling);
    opened = open_new();
    cr_assert(count_numbers(&opened, "journal") > 200 && count_numbers(&opened, "journal") < 300);
    close_new(&opened);

    start_over();
    filling = open_filling(MAP_BYTES);
    for (uint32_t number = 0; number < 100001; number++)
        assert_ok(put_number(filling, "series", number, 0, true));
    ty_filling_abandon(filling);
    opened = open_new();
    cr_assert_eq(count_numbers(&opened, "series"), 100000);
    close_new(&opened);
}
