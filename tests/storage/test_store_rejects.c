#include "storage/snapshot.h"
#include "tests/storage/store_fixture.h"
#include "tests/support/damage.h"

#include <lmdb.h>
#include <stdio.h>

TestSuite(store_rejects, .init = make_directory, .fini = remove_directory);

static const struct ty_secret secret = {.bytes = {5}};
static struct ty_rejects_record rejects; /* as of the last transaction */

/* A reject of its own for each number; the number is in its record. */
static struct ty_reject make_reject(unsigned number, char text[40], size_t length)
{
    memset(text, 'x', 40);
    snprintf(text, 40, "record %u", number);
    text[strlen(text)] = 'x';
    return (struct ty_reject){.code = TALLY_MISSING_FIELD,
                              .time_ms = TALLY_TIME_OF_ARRIVAL,
                              .source = {"forward", 7},
                              .message = {"id: required", 12},
                              .record = {text, length}};
}

#define BYTES_EACH (UINT64_C(64) + 42 + 1 + 8 + 13 + 40)

static void keep_within(struct ty_store *store, unsigned number, uint64_t bytes_max)
{
    char text[40];
    struct ty_reject reject = make_reject(number, text, sizeof(text));
    uint8_t identity[TY_REJECT_IDENTITY_BYTES];

    ty_reject_identify(&reject, &secret, identity);
    assert_ok(ty_store_keep_reject(store, &reject, identity, 1000 + number, bytes_max, &rejects,
                                   &problem));
}

static void begin(struct ty_store *store)
{
    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_get_rejects(store, &rejects, &problem));
}

static void commit(struct ty_store *store)
{
    assert_ok(ty_store_put_rejects(store, &rejects, &problem));
    assert_ok(ty_store_commit(store, &problem));
}

static void keep_range(struct ty_store *store, unsigned first, unsigned last, uint64_t bytes_max)
{
    begin(store);
    for (unsigned number = first; number <= last; number++)
        keep_within(store, number, bytes_max);
    commit(store);
}

struct found {
    unsigned numbers[64];
    uint64_t seqs[64];
    size_t count, limit;
};

static bool note(void *context, const struct ty_kept_reject *kept)
{
    struct found *found = context;

    cr_assert(found->count < TY_COUNT_OF(found->numbers));
    cr_assert_eq(sscanf(kept->reject.record.data, "record %u", &found->numbers[found->count]), 1);
    cr_assert_eq(kept->received_ms, 1000 + found->numbers[found->count]);
    found->seqs[found->count] = kept->seq;
    return ++found->count != found->limit;
}

static tally_status list(struct ty_store *store, uint64_t *before, size_t limit,
                         struct found *found)
{
    *found = (struct found){.limit = limit};
    return each_reject(store, before, note, found);
}

/* Everything that is kept, newest first, must be these numbers with seqs in one row. */
static void check_kept(struct ty_store *store, unsigned newest, unsigned oldest, uint64_t seq)
{
    uint64_t before = UINT64_MAX;
    struct found found;

    assert_ok(list(store, &before, 0, &found));
    cr_assert_eq(found.count, newest - oldest + 1, "%zu", found.count);
    for (size_t i = 0; i < found.count; i++) {
        cr_assert_eq(found.numbers[i], newest - i, "%u", found.numbers[i]);
        cr_assert_eq(found.seqs[i], seq - i);
    }
    cr_assert_eq(before, seq - found.count + 1);
}

/* What was acknowledged since it is kept must still be there after a restart. */
Test(store_rejects, are_kept_in_order_over_a_reopening)
{
    struct ty_store *store = open_store();

    keep_range(store, 1, 20, MAP_BYTES);
    cr_assert_eq(rejects.last_seq, 20);
    cr_assert_eq(rejects.count, 20);
    cr_assert_eq(rejects.bytes, 20 * BYTES_EACH);
    check_kept(store, 20, 1, 20);
    ty_store_close(store);
    store = open_store();
    check_kept(store, 20, 1, 20);
    begin(store);
    cr_assert_eq(rejects.last_seq, 20);
    ty_store_abort(store);
    ty_store_close(store);
}

/* A stream resends what was not acknowledged in time, over and over: the list must not grow. */
Test(store_rejects, the_same_is_kept_once)
{
    struct ty_store *store = open_store();

    keep_range(store, 1, 5, MAP_BYTES);
    keep_range(store, 1, 6, MAP_BYTES);
    cr_assert_eq(rejects.last_seq, 6);
    begin(store);
    keep_within(store, 9, MAP_BYTES);
    ty_store_abort(store);
    check_kept(store, 6, 1, 6);
    keep_range(store, 7, 7, MAP_BYTES); /* what was given up has left nothing */
    check_kept(store, 7, 1, 7);
    ty_store_close(store);
}

/* How many entries a tree has; the store must be closed. */
static size_t entries_of(const char *name)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_stat stat;
    MDB_dbi tree;

    cr_assert_eq(mdb_env_create(&env), 0);
    cr_assert_eq(mdb_env_set_maxdbs(env, 8), 0);
    cr_assert_eq(mdb_env_open(env, directory.path, MDB_RDONLY, 0640), 0);
    cr_assert_eq(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, name, 0, &tree), 0, "%s", name);
    cr_assert_eq(mdb_stat(txn, tree, &stat), 0);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return stat.ms_entries;
}

/* What is dropped is dropped from the index too, or it would grow for ever. */
Test(store_rejects, the_index_goes_with_what_is_dropped)
{
    struct ty_store *store = open_store();

    for (unsigned i = 0; i < 10; i++)
        keep_range(store, 1 + 30 * i, 30 + 30 * i, 10 * BYTES_EACH);
    ty_store_close(store);
    cr_assert_eq(entries_of("rejects"), 10);
    cr_assert_eq(entries_of("reject_ids"), 10);
    store = open_store();
    begin(store);
    assert_ok(ty_store_drop_rejects(store, 3 * BYTES_EACH, &rejects, &problem));
    commit(store);
    ty_store_close(store);
    cr_assert_eq(entries_of("rejects"), 3);
    cr_assert_eq(entries_of("reject_ids"), 3);
}

/* A misconfigured producer must not fill the disk; the newest are what its operator needs. */
Test(store_rejects, the_oldest_make_room)
{
    struct ty_store *store = open_store();

    keep_range(store, 1, 30, 10 * BYTES_EACH);
    cr_assert_eq(rejects.count, 10);
    cr_assert_eq(rejects.bytes, 10 * BYTES_EACH);
    check_kept(store, 30, 21, 30);
    keep_range(store, 31, 31, 10 * BYTES_EACH + 1);
    check_kept(store, 31, 22, 31);
    begin(store); /* what was dropped is forgotten, and kept again when it comes again */
    keep_within(store, 1, 10 * BYTES_EACH);
    keep_within(store, 30, 10 * BYTES_EACH);
    cr_assert_eq(rejects.last_seq, 32);
    ty_store_abort(store);
    keep_range(store, 32, 32, 1); /* does not fit alone, and yet is kept: it was acknowledged */
    check_kept(store, 32, 32, 32);
    cr_assert_eq(rejects.bytes, BYTES_EACH);
    ty_store_close(store);
}

/* After the bound was lowered, one commit must not have to delete a million. */
Test(store_rejects, a_lowered_bound_is_reached_in_slices)
{
    struct ty_store *store = open_store();
    uint64_t slice = UINT64_C(1) << 18, before;

    keep_range(store, 1, 6000, MAP_BYTES);
    before = rejects.bytes;
    keep_range(store, 6001, 6001, 2 * BYTES_EACH);
    cr_assert(rejects.bytes < before - slice && rejects.bytes > before - slice - 2 * BYTES_EACH);
    for (int i = 0; rejects.bytes > 2 * BYTES_EACH; i++) {
        cr_assert(i < 5);
        begin(store);
        before = rejects.bytes;
        assert_ok(ty_store_drop_rejects(store, 2 * BYTES_EACH, &rejects, &problem));
        cr_assert(before - rejects.bytes < slice + BYTES_EACH);
        commit(store);
    }
    check_kept(store, 6001, 6000, 6001);
    begin(store);
    assert_ok(ty_store_drop_rejects(store, 0, &rejects, &problem));
    cr_assert_eq(rejects.count, 1, "never the newest");
    ty_store_abort(store);
    ty_store_close(store);
}

/* Pages of a listing must fit together whatever the page's size is. */
Test(store_rejects, are_listed_from_any_place)
{
    struct ty_store *store = open_store();
    struct found found;
    uint64_t before = UINT64_MAX;
    unsigned expected = 20;

    assert_ok(list(store, &before, 0, &found));
    cr_assert_eq(found.count, 0);
    cr_assert_eq(before, UINT64_MAX);
    keep_range(store, 1, 20, MAP_BYTES);
    do {
        assert_ok(list(store, &before, 3, &found));
        for (size_t i = 0; i < found.count; i++)
            cr_assert_eq(found.numbers[i], expected--);
    } while (found.count == 3);
    cr_assert_eq(expected, 0);
    cr_assert_eq(before, 1);
    before = 1000;
    assert_ok(list(store, &before, 1, &found));
    cr_assert_eq(found.numbers[0], 20);
    before = 0;
    assert_ok(list(store, &before, 1, &found));
    cr_assert_eq(found.count, 0);
    ty_store_close(store);
}

static struct ty_damage damage_to(const char *tree, const void *key, size_t length)
{
    return (struct ty_damage){directory.path, tree, key, length};
}

/* Damage is named, and nothing of the other rejects is lost by it. */
Test(store_rejects, a_damaged_one_is_named_and_can_be_passed_over)
{
    static const uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, 4};
    struct ty_damage damage = damage_to("rejects", key, sizeof(key));
    struct ty_store *store = open_store();
    struct found found;
    uint64_t before;
    size_t length;

    keep_range(store, 1, 6, MAP_BYTES);
    ty_store_close(store);
    length = ty_damage_length(&damage);
    for (size_t i = 0; i < length; i += i + 7 < length ? 7 : 1) {
        ty_damage_flip(&damage, (long)i, 0x20);
        store = open_store();
        before = UINT64_MAX;
        cr_assert_eq(list(store, &before, 0, &found), TALLY_CORRUPT, "byte %zu", i);
        cr_assert_not_null(strstr(problem.message, "reject 4: "), "%s", problem.message);
        cr_assert_eq(found.count, 2);
        cr_assert_eq(before, 4);
        assert_ok(list(store, &before, 0, &found));
        cr_assert_eq(found.count, 3);
        cr_assert_eq(found.numbers[0], 3);
        ty_store_close(store);
        ty_damage_flip(&damage, (long)i, 0x20);
    }
}

/* A bad disk under old rejects must not stop new ones: then a stream would never be acknowledged.
 * What is damaged is no longer kept, so that it is kept once more when it comes again. */
Test(store_rejects, damage_is_no_obstacle)
{
    static const uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, 2};
    struct ty_damage damage = damage_to("rejects", key, sizeof(key));
    static const long places[] = {0, 5, 12, 30, 41, -1};

    for (size_t i = 0; i < TY_COUNT_OF(places); i++) {
        struct ty_store *store = open_store();
        uint64_t before = UINT64_MAX;
        struct found found;

        keep_range(store, 1, 5, MAP_BYTES);
        ty_store_close(store);
        ty_damage_flip(&damage, places[i], 0x01);
        store = open_store();
        keep_range(store, 1, 5, MAP_BYTES);
        cr_assert_eq(rejects.last_seq, 6, "byte %ld", places[i]);
        assert_ok(list(store, &before, 1, &found));
        cr_assert_eq(found.numbers[0], 2, "kept once more");
        keep_range(store, 2, 2, MAP_BYTES);
        cr_assert_eq(rejects.last_seq, 6, "and then once");
        keep_range(store, 7, 7, 5 * BYTES_EACH); /* drops 1 and the damaged one */
        cr_assert_eq(rejects.count, 5);
        keep_range(store, 2, 2, 5 * BYTES_EACH);
        cr_assert_eq(rejects.last_seq, 7, "its index is the newer one's");
        before = UINT64_MAX;
        assert_ok(list(store, &before, 0, &found));
        cr_assert_eq(found.count, 5);
        ty_store_close(store);
        start_over();
    }
}

/* An index that lies, or leads nowhere, must neither lose a reject nor crash. */
Test(store_rejects, the_index_is_only_a_hint)
{
    static const uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, 2};
    struct ty_damage value = damage_to("rejects", key, sizeof(key));
    char text[40];
    struct ty_reject reject = make_reject(1, text, sizeof(text));
    uint8_t identity[TY_REJECT_IDENTITY_BYTES];
    struct ty_damage index = damage_to("reject_ids", identity, sizeof(identity));
    struct ty_store *store = open_store();

    ty_reject_identify(&reject, &secret, identity);
    keep_range(store, 1, 3, MAP_BYTES);
    ty_store_close(store);
    ty_damage_flip(&index, 0, 1 ^ 3); /* leads to seq 2 instead of 1 */
    store = open_store();
    keep_range(store, 1, 1, MAP_BYTES);
    cr_assert_eq(rejects.last_seq, 4, "the other reject is not this one");
    ty_store_close(store);
    ty_damage_delete(&value);
    store = open_store();
    keep_range(store, 2, 2, MAP_BYTES);
    cr_assert_eq(rejects.last_seq, 5, "what is gone is kept again");
    keep_range(store, 6, 6, BYTES_EACH);
    check_kept(store, 6, 6, 6);
    ty_store_close(store);
}

/* If the tree is lost, the record of it must not make every later reject fail. */
Test(store_rejects, a_lost_tree_starts_over)
{
    static const uint8_t keys[2][8] = {{0, 0, 0, 0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 2}};
    struct ty_store *store = open_store();

    keep_range(store, 1, 2, MAP_BYTES);
    ty_store_close(store);
    for (int i = 0; i < 2; i++) {
        struct ty_damage value = damage_to("rejects", keys[i], 8);

        ty_damage_delete(&value);
    }
    store = open_store();
    keep_range(store, 3, 3, 2 * BYTES_EACH);
    cr_assert_eq(rejects.count, 1);
    cr_assert_eq(rejects.bytes, BYTES_EACH);
    check_kept(store, 3, 3, 3);
    ty_store_close(store);
}

/* The record counts what is kept: a wrong one would drop too much, or let the disk fill. */
Test(store_rejects, a_damaged_record_is_named)
{
    struct ty_damage damage = damage_to("meta", "rejects", 7);
    struct ty_store *store = open_store();
    size_t length;

    keep_range(store, 1, 2, MAP_BYTES);
    ty_store_close(store);
    length = ty_damage_length(&damage);
    cr_assert_eq(length, 36);
    for (size_t i = 0; i < length; i++) {
        tally_status status;

        ty_damage_flip(&damage, (long)i, 0x02);
        store = open_store();
        assert_ok(ty_store_begin(store, &problem));
        status = ty_store_get_rejects(store, &rejects, &problem);
        cr_assert(status == TALLY_CORRUPT || (i < 4 && status == TALLY_NEWER), "byte %zu", i);
        cr_assert(status == TALLY_NEWER || strstr(problem.message, "rejects record") != NULL, "%s",
                  problem.message);
        ty_store_close(store);
        ty_damage_flip(&damage, (long)i, 0x02);
    }
}

static void drop_tree(MDB_env *env, const char *name)
{
    MDB_txn *txn;
    MDB_dbi tree;

    cr_assert_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, name, 0, &tree), 0, "%s", name);
    cr_assert_eq(mdb_drop(txn, tree, 1), 0);
    cr_assert_eq(mdb_txn_commit(txn), 0);
}

/* A database of a version without rejects is opened and goes on. */
Test(store_rejects, an_older_store_gets_the_trees)
{
    struct ty_store *store = open_store();
    MDB_env *env;

    fill(store);
    ty_store_close(store);
    cr_assert_eq(mdb_env_create(&env), 0);
    cr_assert_eq(mdb_env_set_maxdbs(env, 8), 0);
    cr_assert_eq(mdb_env_open(env, directory.path, MDB_NOSYNC, 0640), 0);
    drop_tree(env, "rejects");
    drop_tree(env, "reject_ids");
    mdb_env_close(env);
    store = open_store();
    check_filled(store, true);
    keep_range(store, 1, 3, MAP_BYTES);
    check_kept(store, 3, 1, 3);
    check_filled(store, true);
    ty_store_close(store);
}
