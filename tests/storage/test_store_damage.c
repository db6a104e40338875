#include "tests/storage/store_fixture.h"

#include <lmdb.h>

TestSuite(store_damage, .init = make_directory, .fini = remove_directory);

static tally_status read_database(struct ty_store *store, tally_error *error)
{
    struct ty_database_record record;
    bool found;

    return ty_store_get_database(store, &record, &found, error);
}

static tally_status read_state(struct ty_store *store, tally_error *error)
{
    struct ty_state_record state;

    return ty_store_get_state(store, &state, error);
}

static tally_status read_series(struct ty_store *store, tally_error *error)
{
    unsigned count = 0;

    return ty_store_each_series(store, count_series, &count, error);
}

static tally_status read_day(struct ty_store *store, tally_error *error)
{
    struct ty_day_block block;

    return ty_store_get_day(store, 3, 19388, &block, error);
}

static tally_status read_month(struct ty_store *store, tally_error *error)
{
    struct ty_month_block block;

    return ty_store_get_month(store, 3, 636, &block, error);
}

static tally_status skip_value(void *context, uint64_t sequence, struct ty_journal_cursor *cursor,
                               size_t length, tally_error *error)
{
    (void)context;
    (void)sequence;
    (void)cursor;
    (void)length;
    (void)error;
    return TALLY_OK;
}

static tally_status read_journal(struct ty_store *store, tally_error *error)
{
    return ty_store_each_journal(store, 1, skip_value, NULL, error);
}

struct place {
    const char *tree;
    const char *key;
    size_t key_length;
    tally_status (*read)(struct ty_store *store, tally_error *error);
    const char *named; /* what the error must name */
};

static const struct place places[] = {
    {"meta", "database", 8, read_database, "the database record"},
    {"meta", "state", 5, read_state, "the state record"},
    {"series", "\0\0\0\3", 4, read_series, "series"},
    {"blocks", "\0\0\0\3\1\0\0\x4b\xbc", 9, read_day, "day 19388 of series 3"},
    {"blocks", "\0\0\0\3\2\0\0\2\x7c", 9, read_month, "month 636 of series 3"},
    {"journal", "\0\0\0\0\0\0\0\14", 8, read_journal, "journal value 12"},
};

/* Changes one byte of a value, or writes one of another length, behind the store's back. */
static void damage(const struct place *place, size_t at, uint8_t change, int longer)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k = {.mv_size = place->key_length, .mv_data = (void *)place->key}, v;
    uint8_t copy[4096];

    cr_assert_eq(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 4);
    mdb_env_set_mapsize(env, MAP_BYTES);
    cr_assert_eq(mdb_env_open(env, directory.path, MDB_NOSYNC, 0640), 0);
    cr_assert_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, place->tree, 0, &dbi), 0);
    cr_assert_eq(mdb_get(txn, dbi, &k, &v), 0);
    cr_assert(at < v.mv_size && v.mv_size + 8 < sizeof(copy));
    memset(copy, 0, sizeof(copy));
    memcpy(copy, v.mv_data, v.mv_size);
    copy[at] ^= change;
    v.mv_size = (size_t)((ptrdiff_t)v.mv_size + longer);
    v.mv_data = copy;
    cr_assert_eq(mdb_put(txn, dbi, &k, &v, 0), 0);
    cr_assert_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static tally_status read_place(const struct place *place)
{
    struct ty_store *store = open_store();
    tally_status status;

    assert_ok(ty_store_begin(store, &problem));
    status = place->read(store, &problem);
    ty_store_close(store);
    return status;
}

static void fill_new(void)
{
    struct ty_store *store;

    start_over();
    store = open_store();
    fill(store);
    ty_store_close(store);
}

static void flip_bits(const struct place *place, struct ty_random *random)
{
    for (int n = 0; n < 20; n++) {
        /* The first bytes are version and checksum, the rest is content. */
        size_t at = n < 12 ? (size_t)n : (size_t)ty_random_below(random, 25);
        uint8_t change = (uint8_t)(1 << ty_random_below(random, 8));
        tally_status status;

        damage(place, at, change, 0);
        status = read_place(place);
        cr_assert(status == TALLY_CORRUPT || (status == TALLY_NEWER && at < 4),
                  "%s: byte %zu ^ %02x: %d", place->named, at, change, status);
        if (status == TALLY_CORRUPT)
            cr_assert_not_null(strstr(problem.message, place->named), "%s", problem.message);
        damage(place, at, change, 0);
        assert_ok(read_place(place));
    }
}

/* Damage on the disk must be found before it becomes somebody's bill, and the error has to name the
 * place, so that an operator knows what is affected. */
Test(store_damage, damaged_values_are_found_and_named)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (size_t p = 0; p < TY_COUNT_OF(places); p++) {
        fill_new();
        flip_bits(&places[p], &random);
        damage(&places[p], 0, 0, -3);
        cr_assert_eq(read_place(&places[p]), TALLY_CORRUPT, "%s, cut off", places[p].named);
        fill_new();
        damage(&places[p], 0, 0, 3);
        cr_assert_eq(read_place(&places[p]), TALLY_CORRUPT, "%s, grown", places[p].named);
    }
}

/* Data of a later version must not be misread by an older program: it says what to do. */
Test(store_damage, a_newer_format_is_refused_with_a_clear_message)
{
    char given[20], known[20];

    snprintf(given, sizeof(given), "version %d,", TY_FORMAT_VERSION ^ 0x40);
    snprintf(known, sizeof(known), "up to %d:", TY_FORMAT_VERSION);
    fill_new();
    for (size_t p = 0; p < 2; p++) {
        damage(&places[p], 0, 0x40, 0);
        cr_assert_eq(read_place(&places[p]), TALLY_NEWER);
        cr_assert_not_null(strstr(problem.message, given), "%s", problem.message);
        cr_assert_not_null(strstr(problem.message, known), "%s", problem.message);
        cr_assert_not_null(strstr(problem.message, "newer version of Tally"), "%s",
                           problem.message);
        damage(&places[p], 0, 0x40, 0);
        /* Newer, also where the record grew. */
        damage(&places[p], 1, 0x10, 8);
        cr_assert_eq(read_place(&places[p]), TALLY_NEWER);
        damage(&places[p], 1, 0x10, -8);
    }
}
