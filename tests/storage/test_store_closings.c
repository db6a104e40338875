#include "storage/snapshot.h"
#include "storage/store_internal.h"
#include "tests/storage/store_fixture.h"
#include "tests/support/damage.h"

#include <stdio.h>

TestSuite(store_closings, .init = make_directory, .fini = remove_directory);

static const struct ty_uuid example_customer = {.bytes = {0x6a, 0x4b, 0xe7, 0x8c, 0x8c, 0x4e, 0x4c,
                                                          0x1e, 0x83, 0xfe, 0x5b, 0x8f, 0xed, 0x0a,
                                                          0xe3, 0x4c}};
static const struct ty_closed example_closed = {
    .through = 636, .closed_ms = INT64_C(1675209600123), .sequence = 7, .revisions = 1};
static const struct ty_revision example_revision = {.number = 1,
                                                    .sequence = 9,
                                                    .received_ms = INT64_C(1675296000000),
                                                    .series = 1,
                                                    .month = 636,
                                                    .events = 2,
                                                    .voided = 1,
                                                    .before = {2, 50000, 1, 3, 1200},
                                                    .after = {3, -200000, 2, 7, 3700}};

static void print_bytes(const char *name, const uint8_t *bytes, size_t length)
{
    fprintf(stderr, "%s: ", name);
    for (size_t i = 0; i < length; i++)
        fprintf(stderr, "%02x ", bytes[i]);
    fprintf(stderr, "\n");
}

static void check_bytes(const char *name, const uint8_t *bytes, size_t length, const uint8_t *want,
                        size_t want_length)
{
    if (length != want_length || memcmp(bytes, want, length) != 0)
        print_bytes(name, bytes, length);
    cr_assert(length == want_length && memcmp(bytes, want, length) == 0, "%s", name);
}

/* The examples of docs/FORMAT.md: what is stored today must be readable for as long as bills are
 * kept. */
Test(store_closings, stores_the_documented_bytes)
{
    static const uint8_t want_closing[] = {
        0x01, 0xfe, 0x66, 0x22, 0x29, 0xd3, 0x2a, 0xc3, 0x20, 0x7c, 0x02, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x7b, 0xec, 0x45, 0x0a, 0x86, 0x01, 0x00, 0x00, 0x07, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
    static const uint8_t want_revision[] = {
        0x01, 0x74, 0xba, 0x9d, 0xbf, 0xda, 0x8b, 0xd5, 0x41, 0x09, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x48, 0x6c, 0x0f, 0x86, 0x01, 0x00,
        0x00, 0x01, 0xfc, 0x04, 0x02, 0x01, 0x02, 0xa0, 0x8d, 0x06, 0x01, 0x03,
        0xb0, 0x09, 0x03, 0xff, 0xb4, 0x18, 0x02, 0x07, 0xf4, 0x1c};
    uint8_t key[TY_REVISION_KEY_BYTES], closing[TY_CLOSING_VALUE_BYTES],
        revision[TY_REVISION_VALUE_BYTES_MAX];
    size_t length;

    ty_store_encode_closing(&example_customer, &example_closed, key, closing);
    check_bytes("closing", closing, sizeof(closing), want_closing, sizeof(want_closing));
    cr_assert(memcmp(key, example_customer.bytes, 16) == 0);
    length = ty_store_encode_revision(&example_customer, &example_revision, key, revision);
    check_bytes("revision", revision, length, want_revision, sizeof(want_revision));
    cr_assert(memcmp(key, example_customer.bytes, 16) == 0 && key[23] == 1);
}

static bool same_revision(const struct ty_revision *a, const struct ty_revision *b)
{
    return a->number == b->number && a->sequence == b->sequence &&
           a->received_ms == b->received_ms && a->series == b->series && a->month == b->month &&
           a->events == b->events && a->voided == b->voided &&
           ty_total_equal(&a->before, &b->before) && ty_total_equal(&a->after, &b->after);
}

static uint64_t any_u64(struct ty_random *random)
{
    return ty_random_u64(random) >> ty_random_below(random, 64);
}

static struct ty_total any_total(struct ty_random *random)
{
    struct ty_total total = {.events = any_u64(random)};

    total.credits = (ty_int128)any_u64(random) * (int64_t)(any_u64(random) >> 1);
    if (ty_random_one_in(random, 2))
        total.credits = -total.credits;
    total.documents = (ty_int128)((ty_uint128)any_u64(random) * any_u64(random) >> 1);
    total.pages = (ty_int128)((ty_uint128)any_u64(random) << 20);
    total.processing_ms = (ty_int128)any_u64(random);
    return total;
}

/* Totals of any size come back exactly, and no flipped bit of key or value passes. */
Test(store_closings, revisions_come_back_exactly_or_not_at_all)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int i = 0; i < 300; i++) {
        struct ty_revision revision = {.number = any_u64(&random),
                                       .sequence = any_u64(&random),
                                       .received_ms = (int64_t)(any_u64(&random) >> 1),
                                       .series = (uint32_t)any_u64(&random),
                                       .month = (int32_t)ty_random_below(&random, 1u << 31),
                                       .events = any_u64(&random),
                                       .voided = any_u64(&random),
                                       .before = any_total(&random),
                                       .after = any_total(&random)},
                           found;
        uint8_t key[TY_REVISION_KEY_BYTES], value[TY_REVISION_VALUE_BYTES_MAX];
        struct ty_uuid customer, owner;
        MDB_val k = {sizeof(key), key}, v = {0, value};

        ty_random_fill(&random, customer.bytes, sizeof(customer.bytes));
        v.mv_size = ty_store_encode_revision(&customer, &revision, key, value);
        cr_assert(v.mv_size <= sizeof(value));
        cr_assert(ty_store_read_revision(&k, &v, &owner, &found));
        cr_assert(same_revision(&revision, &found) && ty_uuid_compare(&owner, &customer) == 0);
        for (size_t bit = 0; bit < 8 * (v.mv_size + sizeof(key)); bit++) {
            uint8_t *at = bit / 8 < v.mv_size ? &value[bit / 8] : &key[bit / 8 - v.mv_size];

            *at ^= (uint8_t)(1u << bit % 8);
            cr_assert(!ty_store_read_revision(&k, &v, &owner, &found), "bit %zu", bit);
            *at ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t length = v.mv_size; length-- > 0;) {
            v.mv_size = length;
            cr_assert(!ty_store_read_revision(&k, &v, &owner, &found), "%zu bytes", length);
        }
    }
}

static struct ty_uuid customer_of(unsigned number)
{
    struct ty_uuid customer = {.bytes = {0xc0}};

    customer.bytes[7] = (uint8_t)number;
    return customer;
}

static struct ty_closed closed_of(unsigned number)
{
    return (struct ty_closed){.through = 600 + (int32_t)number,
                              .closed_ms = ARRIVAL_MS + number,
                              .sequence = 10 * number,
                              .revisions = 0};
}

/* Customers 2, 4, 6, ... up to 2 * count. */
static void put_closings(struct ty_store *store, unsigned count)
{
    assert_ok(ty_store_begin(store, &problem));
    for (unsigned i = 1; i <= count; i++) {
        struct ty_uuid customer = customer_of(2 * i);
        struct ty_closed closed = closed_of(2 * i);

        assert_ok(ty_store_put_closing(store, &customer, &closed, &problem));
    }
    assert_ok(ty_store_commit(store, &problem));
}

static tally_status count_closing(void *context, const struct ty_uuid *customer,
                                  const struct ty_closed *closed)
{
    unsigned *count = context;
    struct ty_closed want = closed_of(2 * ++*count);

    cr_assert_eq(customer->bytes[7], 2 * *count);
    cr_assert(closed->through == want.through && closed->closed_ms == want.closed_ms &&
              closed->sequence == want.sequence && closed->revisions == 0);
    return TALLY_OK;
}

static tally_status read_all(struct ty_store *store, unsigned *count)
{
    tally_status status;

    *count = 0;
    assert_ok(ty_store_begin(store, &problem));
    status = ty_store_each_closing(store, count_closing, count, &problem);
    ty_store_abort(store);
    return status;
}

static tally_status get(struct ty_store *store, unsigned number, struct ty_closed *closed)
{
    struct ty_uuid customer = customer_of(number);
    struct ty_snapshot *snapshot;
    tally_status status;

    assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
    status = ty_snapshot_get_closed(snapshot, &customer, closed, &problem);
    ty_snapshot_end(store, snapshot);
    return status;
}

Test(store_closings, are_found_and_not_found)
{
    struct ty_store *store = open_store();
    struct ty_closed closed;
    unsigned count;

    assert_ok(read_all(store, &count));
    cr_assert_eq(count, 0);
    assert_ok(get(store, 5, &closed));
    cr_assert_eq(closed.through, TY_NOT_CLOSED);
    for (unsigned closings = 1; closings <= 5; closings++) {
        put_closings(store, closings);
        assert_ok(read_all(store, &count));
        cr_assert_eq(count, closings);
        for (unsigned number = 1; number <= 2 * closings + 1; number++) {
            assert_ok(get(store, number, &closed));
            cr_assert_eq(closed.through,
                         number % 2 == 0 ? closed_of(number).through : TY_NOT_CLOSED);
        }
    }
    ty_store_close(store);
}

static uint8_t random_bits(void *random)
{
    return (uint8_t)(1 + ty_random_below(random, 255));
}

static void look(void *random, size_t entry, size_t byte)
{
    struct ty_store *store = open_store();
    struct ty_closed closed;
    bool told = false;
    unsigned all;

    (void)random;
    cr_assert_eq(read_all(store, &all), TALLY_CORRUPT, "byte %zu of entry %zu", byte, entry);
    cr_assert_not_null(strstr(problem.message, "closing"), "%s", problem.message);
    for (unsigned number = 2; number <= 12; number += 2) {
        tally_status status = get(store, number, &closed);

        told |= status == TALLY_CORRUPT;
        cr_assert(status == TALLY_CORRUPT ||
                      (status == TALLY_OK && closed.through == closed_of(number).through),
                  "byte %zu of entry %zu: customer %u is closed through %d", byte, entry, number,
                  closed.through);
    }
    cr_assert(told);
    ty_store_close(store);
}

/* Whatever byte of a key or a value is spoiled: a closing is told as it was, or that it cannot be
 * told; never that there is none. And a start does not pass over it. */
Test(store_closings, a_damaged_one_never_passes_for_none)
{
    struct ty_store *store = open_store();
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    put_closings(store, 6);
    ty_store_close(store);
    cr_assert_gt(ty_damage_each_byte(directory.path, "closings", random_bits, look, &random), 6u);
}

/* A directory that an older version wrote has neither tree, and gets both. */
Test(store_closings, an_older_store_gets_the_trees)
{
    struct ty_store *store = open_store();
    struct ty_closed closed;
    struct ty_stored *entries;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    size_t count, trees = 0;

    fill(store);
    ty_store_close(store);
    cr_assert_eq(mdb_env_create(&env), 0);
    cr_assert_eq(mdb_env_set_maxdbs(env, 2), 0);
    cr_assert_eq(mdb_env_open(env, directory.path, 0, 0600), 0);
    cr_assert_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, "closings", 0, &dbi), 0);
    cr_assert_eq(mdb_drop(txn, dbi, 1), 0);
    cr_assert_eq(mdb_dbi_open(txn, "revisions", 0, &dbi), 0);
    cr_assert_eq(mdb_drop(txn, dbi, 1), 0);
    cr_assert_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    store = open_store();
    check_filled(store, true);
    assert_ok(get(store, 2, &closed));
    put_closings(store, 1);
    ty_store_close(store);
    count = ty_damage_list(directory.path, &entries);
    for (size_t i = 0; i < count; i++)
        trees += entries[i].tree[0] == '\0' && (memcmp(entries[i].key, "closings", 8) == 0 ||
                                                memcmp(entries[i].key, "revisions", 9) == 0);
    cr_assert_eq(trees, 2);
    free(entries);
}
