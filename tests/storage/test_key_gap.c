#include "storage/store_internal.h"
#include "tests/support/random.h"
#include "tests/support/temporary_directory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define KEY_BYTES   2
#define VALUE_BYTES 400
#define MOST        60 /* entries: some pages of them */

/* A tree whose entries say which key they were stored under. What is in `keys` stands in for a
 * checksum: an entry is intact under a key if it is that. */
struct entry {
    uint16_t key;    /* as it lies in the tree now */
    uint16_t stored; /* the one that it was stored under; WRECKED: its value is damaged */
};

#define WRECKED UINT16_MAX

static struct ty_temporary_directory directory;
static MDB_env *environment;
static MDB_txn *txn;
static MDB_cursor *cursor;

static void make_environment(void)
{
    ty_temporary_directory_create(&directory);
    cr_assert_eq(mdb_env_create(&environment), 0);
    cr_assert_eq(
        mdb_env_open(environment, directory.path, MDB_WRITEMAP | MDB_NOSYNC | MDB_NOLOCK, 0600), 0);
}

static void remove_environment(void)
{
    mdb_env_close(environment);
    ty_temporary_directory_remove(&directory);
}

TestSuite(key_gap, .init = make_environment, .fini = remove_environment);

static MDB_val key_of(uint16_t number, uint8_t bytes[KEY_BYTES])
{
    bytes[0] = (uint8_t)(number >> 8);
    bytes[1] = (uint8_t)number;
    return (MDB_val){KEY_BYTES, bytes};
}

/* The key that the entry at an index is put under before any is damaged. */
static uint16_t key_at(size_t i)
{
    return (uint16_t)(0x102 + 2 * i);
}

static void put_entries(MDB_dbi dbi, const struct entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t key_bytes[KEY_BYTES], value_bytes[VALUE_BYTES] = {0};
        MDB_val key = key_of(key_at(i), key_bytes);
        MDB_val value = {VALUE_BYTES, key_of(entries[i].stored, value_bytes).mv_data};

        cr_assert_eq(mdb_put(txn, dbi, &key, &value, MDB_APPEND), 0);
    }
}

/* Writes the entries' keys where they lie in the file, which is mapped to be written, as a bad disk
 * would: LMDB's own copies of some of them, which lead to a page, stay. */
static void damage_keys(const struct entry *entries, size_t count)
{
    MDB_val key, value;

    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(mdb_cursor_get(cursor, &key, &value, i == 0 ? MDB_FIRST : MDB_NEXT), 0);
        key_of(entries[i].key, key.mv_data);
    }
}

/* Entries in the order in which they lie, whatever their keys. */
static void open_tree(const struct entry *entries, size_t count)
{
    MDB_dbi dbi;

    cr_assert_eq(mdb_txn_begin(environment, NULL, 0, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    cr_assert_eq(mdb_drop(txn, dbi, 0), 0);
    put_entries(dbi, entries, count);
    cr_assert_eq(mdb_txn_commit(txn), 0);
    cr_assert_eq(mdb_txn_begin(environment, NULL, MDB_RDONLY, &txn), 0);
    cr_assert_eq(mdb_cursor_open(txn, dbi, &cursor), 0);
    damage_keys(entries, count);
}

static void close_tree(void)
{
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
}

static bool is_intact(const MDB_val *key, const MDB_val *value)
{
    return memcmp(key->mv_data, value->mv_data, KEY_BYTES) == 0;
}

static tally_status say_damaged(const MDB_val *key, const char *what, tally_error *error)
{
    const uint8_t *bytes = key->mv_data;

    return ty_fail(error, TALLY_CORRUPT, "%u %s", (unsigned)bytes[0] << 8 | bytes[1], what);
}

/* Whether the tree finds a key, as whoever then asks about the gap has tried. */
static bool is_found(uint16_t number)
{
    uint8_t bytes[KEY_BYTES];
    MDB_val key = key_of(number, bytes), value;

    return mdb_cursor_get(cursor, &key, &value, MDB_SET) == 0;
}

static tally_status check(uint16_t number, tally_error *error)
{
    static const struct ty_key_gap gap = {is_intact, say_damaged};
    uint8_t bytes[KEY_BYTES];
    MDB_val wanted = key_of(number, bytes);

    *error = (tally_error){0};
    return ty_key_gap_check(cursor, &wanted, &gap, error);
}

static void assert_nothing_hidden(uint16_t number)
{
    tally_error error;

    cr_assert_eq(check(number, &error), TALLY_OK, "%u: %s", number, error.message);
}

static void assert_damaged(uint16_t number, uint16_t named, const char *what)
{
    char want[120];
    tally_error error;

    cr_assert_eq(check(number, &error), TALLY_CORRUPT, "%u", number);
    snprintf(want, sizeof(want), "%u %s", named, what);
    cr_assert_str_eq(error.message, want, "%u: %s", number, error.message);
}

/* Keys 0x102, 0x104, ...: between any two there is room for one that was never stored. */
static void make_entries(struct entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        entries[i].key = entries[i].stored = key_at(i);
}

/* A customer that was never seen, an event that is not void: most questions are about what is not
 * there, and none may be answered with "damaged". */
Test(key_gap, in_an_intact_tree_nothing_is_hidden)
{
    static const size_t counts[] = {0, 1, 2, 3, MOST};
    struct entry entries[MOST];

    make_entries(entries, MOST);
    for (size_t i = 0; i < TY_COUNT_OF(counts); i++) {
        open_tree(entries, counts[i]);
        for (uint16_t number = 0x101; number <= 0x103 + 2 * counts[i]; number += 2)
            assert_nothing_hidden(number);
        assert_nothing_hidden(0);
        assert_nothing_hidden(UINT16_MAX - 1);
        close_tree();
    }
}

/* What is stored under a damaged key is not found by the true one. Taken for not there it would
 * count as never stored: every bit of every key is tried. */
Test(key_gap, what_a_damaged_key_hides_is_found_out)
{
    struct entry entries[9];

    for (size_t count = 1; count <= TY_COUNT_OF(entries); count += 4)
        for (size_t i = 0; i < count; i++)
            for (unsigned bit = 0; bit < 8 * KEY_BYTES; bit++) {
                tally_error error;

                make_entries(entries, count);
                entries[i].key ^= (uint16_t)(1u << bit);
                open_tree(entries, count);
                cr_assert(!is_found(entries[i].stored));
                cr_assert_eq(check(entries[i].stored, &error), TALLY_CORRUPT,
                             "entry %zu of %zu, bit %u", i, count, bit);
                close_tree();
            }
}

/* The same over several pages, whose first and last entries have their neighbours on others. */
Test(key_gap, a_neighbour_may_lie_on_another_page)
{
    struct entry entries[MOST];
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (size_t i = 0; i < MOST; i++) {
        tally_error error;

        make_entries(entries, MOST);
        entries[i].key ^= (uint16_t)(1u << ty_random_below(&random, 8 * KEY_BYTES));
        open_tree(entries, MOST);
        if (!is_found(entries[i].stored))
            cr_assert_eq(check(entries[i].stored, &error), TALLY_CORRUPT, "entry %zu, key %u", i,
                         entries[i].key);
        close_tree();
    }
}

/* Beside a key that is out of order nobody can say what is there and what is not: neither on its
 * page nor where the page before ends. */
Test(key_gap, beside_a_key_out_of_order_nothing_is_sure)
{
    struct entry entries[MOST];

    for (size_t i = 1; i + 1 < MOST; i++) {
        make_entries(entries, MOST);
        entries[i].key = 1;
        open_tree(entries, MOST);
        assert_damaged((uint16_t)(entries[i].stored - 1), 1, TY_KEY_OUT_OF_ORDER);
        close_tree();
        entries[i].key = 0x7fff;
        open_tree(entries, MOST);
        assert_damaged((uint16_t)(entries[i].stored + 1), 0x7fff, TY_KEY_OUT_OF_ORDER);
        close_tree();
    }
}

/* An operator looks for what the message names: what was looked for, where that is known, else the
 * key that does not belong there. */
Test(key_gap, the_message_names_what_is_damaged)
{
    /* In order, and the very entry: on the right, on the left, and alone. */
    open_tree((struct entry[]){{0x102, 0x102}, {0x105, 0x104}, {0x106, 0x106}}, 3);
    assert_damaged(0x104, 0x104, TY_KEY_NO_MATCH);
    close_tree();
    open_tree((struct entry[]){{0x102, 0x102}, {0x103, 0x104}, {0x106, 0x106}}, 3);
    assert_damaged(0x104, 0x104, TY_KEY_NO_MATCH);
    close_tree();
    open_tree((struct entry[]){{0x904, 0x104}}, 1);
    assert_damaged(0x104, 0x104, TY_KEY_NO_MATCH);
    close_tree();
    /* One further away, behind an entry in between whose key is damaged to one still beside. */
    open_tree((struct entry[]){{0x105, 0x106}, {0x107, 0x104}}, 2);
    assert_damaged(0x104, 0x104, TY_KEY_NO_MATCH);
    close_tree();
    open_tree((struct entry[]){{0x101, 0x104}, {0x103, 0x102}}, 2);
    assert_damaged(0x104, 0x104, TY_KEY_NO_MATCH);
    close_tree();
    /* Another one, whose key is too large, and one whose key is too small, for where it lies. */
    open_tree((struct entry[]){{0x102, 0x102}, {0x906, 0x106}, {0x108, 0x108}}, 3);
    assert_damaged(0x104, 0x906, TY_KEY_OUT_OF_ORDER);
    close_tree();
    open_tree((struct entry[]){{0x102, 0x102}, {0x006, 0x106}, {0x108, 0x108}}, 3);
    assert_damaged(0x107, 0x006, TY_KEY_OUT_OF_ORDER);
    close_tree();
}

/* A value that is damaged itself is told to whoever asks for it: about its neighbours it says
 * nothing, and they are answered. So is what lies far from a damaged key: a bad sector must not
 * stop every customer. */
Test(key_gap, damage_elsewhere_hides_nothing)
{
    struct entry entries[5], more[20];

    for (size_t i = 0; i < TY_COUNT_OF(entries); i++) {
        make_entries(entries, TY_COUNT_OF(entries));
        entries[i].stored = WRECKED;
        open_tree(entries, TY_COUNT_OF(entries));
        for (uint16_t number = 0x101; number <= 0x10d; number += 2)
            assert_nothing_hidden(number);
        close_tree();
    }
    make_entries(more, TY_COUNT_OF(more));
    more[10].key ^= 0x8000;
    open_tree(more, TY_COUNT_OF(more));
    for (uint16_t number = 0x101; number <= 0x10d; number += 2)
        assert_nothing_hidden(number);
    cr_assert(is_found(more[19].key));
    assert_nothing_hidden(0x12b);
    close_tree();
}

static bool ascends(const char *key, const char *next)
{
    MDB_val a = {strlen(key), (void *)(uintptr_t)key}, b = {strlen(next), (void *)(uintptr_t)next};

    return ty_key_ascends(&a, &b);
}

/* A tree in order must not be called damaged, nor one out of order whole: LMDB's order is by bytes
 * without sign, and a key before those that it begins. */
Test(key_gap, keys_ascend_as_lmdb_has_them)
{
    cr_assert(ascends("a", "b"));
    cr_assert(!ascends("b", "a"));
    cr_assert(!ascends("a", "a"));
    cr_assert(ascends("a", "aa"));
    cr_assert(!ascends("aa", "a"));
    cr_assert(ascends("az", "b"));
    cr_assert(!ascends("b", "az"));
    cr_assert(ascends("a", "\xff"));
    cr_assert(!ascends("\xff", "a"));
    cr_assert(ascends("", "a"));
    cr_assert(!ascends("", ""));
}
