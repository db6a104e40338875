/*
 * test_value_check.c: one entry of every kind that a shard stores, whole and damaged.
 */
#include "storage/value_check.h"

#include "storage/id_runs.h"
#include "storage/store_internal.h"
#include "tests/storage/store_fixture.h"

#include <stdlib.h>

#define ENTRIES_MAX 32

/* An entry in memory of exactly its length, so that AddressSanitizer sees a read past its end. */
struct copy {
    char tree[64];
    struct ty_entry entry;
    uint8_t *key, *value;
};

static struct copy copies[ENTRIES_MAX];
static size_t copy_count;

static struct ty_entry entry_of(const void *key, size_t key_length, const void *value,
                                size_t value_length)
{
    return (struct ty_entry){key, key_length, value, value_length};
}

static uint8_t *copy_of(const void *bytes, size_t length)
{
    uint8_t *copy = malloc(length == 0 ? 1 : length);

    memcpy(copy, bytes, length);
    return copy;
}

/* --- A store with an entry of every kind --- */

static void put_journal(struct ty_store *store)
{
    struct ty_journal_header header = {.received_ms = ARRIVAL_MS, .arrival_ms = ARRIVAL_MS};
    struct ty_event event = {.id = {"job-1", 5}, .time_ms = ARRIVAL_MS, .credits = -7, .pages = 3};
    struct ty_void what = {.event = event,
                           .place = {.sequence = 3, .series = 3},
                           .received_ms = ARRIVAL_MS,
                           .reason = {"why", 3}};
    struct ty_uuid uuid = {.bytes = {1}};
    struct ty_buffer value = {0};
    size_t group;

    ty_journal_begin(&value, &header);
    ty_journal_put_series(&value, 3, &uuid, &uuid);
    group = ty_journal_begin_group(&value, 3);
    ty_journal_put_event(&value, &event, ARRIVAL_MS);
    ty_journal_end_group(&value, group);
    ty_journal_put_void(&value, &what, ARRIVAL_MS);
    ty_journal_finish(&value, 13);
    cr_assert(ty_buffer_ok(&value));
    assert_ok(ty_store_append_journal(store, 13, value.data, value.length, &problem));
    ty_buffer_fini(&value);
}

static void put_reject(struct ty_store *store)
{
    struct ty_reject reject = {.code = TALLY_MISSING_FIELD,
                               .time_ms = TALLY_TIME_OF_ARRIVAL,
                               .source = {"forward", 7},
                               .message = {"id: required", 12},
                               .record = {"\x80", 1}};
    uint8_t identity[TY_REJECT_IDENTITY_BYTES] = {7};
    struct ty_rejects_record rejects = {0};

    assert_ok(
        ty_store_keep_reject(store, &reject, identity, ARRIVAL_MS, 1 << 20, &rejects, &problem));
    assert_ok(ty_store_put_rejects(store, &rejects, &problem));
}

static void put_ids(struct ty_store *store)
{
    static const struct ty_id ids[2] = {
        {.key = {.high = 5, .low = 6}, .content = 7, .arrived_ms = ARRIVAL_MS},
        {.key = {.high = UINT64_C(1) << 40, .low = 6}, .content = 9, .arrived_ms = ARRIVAL_MS}};
    struct ty_id_runs_record record = {
        .sealed_sequence = 12,
        .forgotten_until_ms = INT64_MIN,
        .count = 1,
        .runs = {{.run = 4, .count = 2, .first_ms = ARRIVAL_MS, .last_ms = ARRIVAL_MS}}};
    uint64_t prefixes[2];

    for (size_t i = 0; i < TY_COUNT_OF(ids); i++)
        prefixes[i] = ids[i].key.high >> TY_ID_PREFIX_SHIFT;
    assert_ok(ty_store_put_id_page(store, NULL, &record.runs[0], 0, ids, 2, &problem));
    assert_ok(ty_store_put_id_list(store, NULL, &record.runs[0], 0, prefixes, 2, &problem));
    assert_ok(ty_store_put_id_runs(store, NULL, &record, &problem));
}

static void put_others(struct ty_store *store)
{
    static const struct ty_journal_place place = {.sequence = 12, .series = 3, .index = 1};
    static const struct ty_void_note note = {13, ARRIVAL_MS, {"why", 3}};
    static const struct ty_closed closed = {636, ARRIVAL_MS, 12, 1};
    static const struct ty_revision revision = {.number = 1,
                                                .sequence = 13,
                                                .received_ms = ARRIVAL_MS,
                                                .series = 3,
                                                .month = 636,
                                                .events = 1,
                                                .after = {1, -7, 0, 3, 0}};
    static const struct ty_uuid customer = {.bytes = {0xc}};

    assert_ok(ty_store_put_void(store, &place, &note, &problem));
    assert_ok(ty_store_put_closing(store, &customer, &closed, &problem));
    assert_ok(ty_store_put_revision(store, &customer, &revision, &problem));
}

static void copy_tree(struct ty_outside *outside, size_t tree)
{
    struct ty_outside_walk walk = {.tree = tree};
    struct ty_entry entry;
    bool found;

    for (;;) {
        struct copy *copy = &copies[copy_count];

        assert_ok(ty_outside_next(outside, &walk, &entry, &found, &problem));
        if (!found)
            break;
        cr_assert_lt(copy_count++, (size_t)ENTRIES_MAX);
        snprintf(copy->tree, sizeof(copy->tree), "%s", ty_outside_tree(outside, tree).name);
        copy->key = copy_of(entry.key, entry.key_length);
        copy->value = copy_of(entry.value, entry.value_length);
        copy->entry = entry_of(copy->key, entry.key_length, copy->value, entry.value_length);
    }
    ty_outside_end(&walk);
}

static void make_copies(void)
{
    struct ty_outside *outside;
    struct ty_store *store;

    make_directory();
    store = open_store();
    fill(store);
    assert_ok(ty_store_begin(store, &problem));
    put_journal(store);
    put_reject(store);
    put_ids(store);
    put_others(store);
    assert_ok(ty_store_commit(store, &problem));
    ty_store_close(store);
    assert_ok(ty_outside_open(directory.path, TY_OUTSIDE_PRIVATE, 0, &outside, &problem));
    for (size_t i = 0; i < ty_outside_tree_count(outside); i++)
        copy_tree(outside, i);
    ty_outside_close(outside);
}

static void free_copies(void)
{
    for (size_t i = 0; i < copy_count; i++) {
        free(copies[i].key);
        free(copies[i].value);
    }
    remove_directory();
}

TestSuite(value_check, .init = make_copies, .fini = free_copies);

/* --- Checking --- */

/* The index of rejects by what they are has no checksums: it is checked against the rejects. */
static bool has_checksum(const struct copy *copy)
{
    return strcmp(copy->tree, "reject_ids") != 0;
}

/* A backup of a whole database must not be refused for an entry that is as it was written. */
Test(value_check, what_was_stored_is_intact)
{
    static const struct {
        const char *tree;
        size_t entries;
    } want[] = {{"meta", 4},  {"series", 1},   {"journal", 2},   {"blocks", 2},     {"rejects", 1},
                {"voids", 1}, {"closings", 1}, {"revisions", 1}, {"reject_ids", 1}, {"id_runs", 2}};
    size_t counted = 0;

    for (size_t i = 0; i < TY_COUNT_OF(want); i++) {
        size_t entries = 0;

        for (size_t k = 0; k < copy_count; k++)
            entries += strcmp(copies[k].tree, want[i].tree) == 0;
        cr_assert_eq(entries, want[i].entries, "%s: %zu", want[i].tree, entries);
        counted += entries;
    }
    cr_assert_eq(counted, copy_count, "a tree that this test does not know");
    for (size_t k = 0; k < copy_count; k++)
        cr_assert_null(ty_value_check(copies[k].tree, &copies[k].entry), "%s: %s", copies[k].tree,
                       ty_value_check(copies[k].tree, &copies[k].entry));
}

static void assert_each_bit_counts(const struct copy *copy, uint8_t *bytes, size_t length,
                                   const char *what)
{
    for (size_t byte = 0; byte < length; byte++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[byte] ^= (uint8_t)(1u << bit);
            cr_assert_not_null(ty_value_check(copy->tree, &copy->entry),
                               "%s: bit %u of byte %zu of the %s", copy->tree, bit, byte, what);
            bytes[byte] ^= (uint8_t)(1u << bit);
        }
}

/* A wrong total that a copy takes over is on the next invoice, and the good copy is thrown away:
 * any flipped bit is found, of a value as of the key that it lies under. */
Test(value_check, no_flipped_bit_passes)
{
    for (size_t k = 0; k < copy_count; k++) {
        const struct copy *copy = &copies[k];

        if (!has_checksum(copy))
            continue;
        assert_each_bit_counts(copy, copy->value, copy->entry.value_length, "value");
        assert_each_bit_counts(copy, copy->key, copy->entry.key_length, "key");
        cr_assert_null(ty_value_check(copy->tree, &copy->entry), "%s", copy->tree);
    }
}

static void assert_value_length_counts(const struct copy *copy, size_t length)
{
    struct ty_entry entry = copy->entry;
    uint8_t *value = calloc(TY_MAX(length, (size_t)1), 1);

    memcpy(value, copy->value, TY_MIN(length, entry.value_length));
    entry.value = value;
    entry.value_length = length;
    cr_assert_not_null(ty_value_check(copy->tree, &entry), "%s: %zu bytes", copy->tree, length);
    free(value);
}

static void assert_key_length_counts(const struct copy *copy, size_t length)
{
    struct ty_entry entry = copy->entry;
    uint8_t *key = copy_of(copy->key, length);

    entry.key = key;
    entry.key_length = length;
    cr_assert_not_null(ty_value_check(copy->tree, &entry), "%s: a key of %zu bytes", copy->tree,
                       length);
    free(key);
}

/* Values and keys come out of a file that may hold anything: of any length. */
Test(value_check, no_other_length_passes)
{
    for (size_t k = 0; k < copy_count; k++) {
        if (!has_checksum(&copies[k]))
            continue;
        for (size_t length = 0; length < copies[k].entry.value_length; length++)
            assert_value_length_counts(&copies[k], length);
        assert_value_length_counts(&copies[k], copies[k].entry.value_length + 1);
        for (size_t length = 0; length < copies[k].entry.key_length; length++)
            assert_key_length_counts(&copies[k], length);
    }
}

/* The value of another key, or of another tree, is not what was stored under this one. */
Test(value_check, no_value_passes_for_another)
{
    for (size_t a = 0; a < copy_count; a++)
        for (size_t b = 0; b < copy_count; b++) {
            struct ty_entry mixed = entry_of(copies[a].key, copies[a].entry.key_length,
                                             copies[b].value, copies[b].entry.value_length);

            if (a != b && has_checksum(&copies[a]))
                cr_assert_not_null(ty_value_check(copies[a].tree, &mixed), "%s, %s", copies[a].tree,
                                   copies[b].tree);
        }
}

/* What was written wrong has the right checksum. It is told before it is copied, not when the copy
 * is needed and does not start. */
Test(value_check, a_value_is_read_to_its_end)
{
    struct ty_journal_header header = {.received_ms = ARRIVAL_MS, .arrival_ms = ARRIVAL_MS};
    static const uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, 14};
    struct ty_buffer value = {0};
    struct ty_uuid uuid = {{1}};
    struct ty_entry entry;

    ty_journal_begin(&value, &header);
    ty_journal_put_series(&value, 3, &uuid, &uuid);
    ty_buffer_append(&value, "\xff\x01", 2);
    ty_journal_finish(&value, 14);
    entry = entry_of(key, sizeof(key), value.data, value.length);
    cr_assert_not_null(ty_value_check("journal", &entry));
    cr_assert_neq(strcmp(ty_value_check("journal", &entry), "checksum mismatch"), 0);
    ty_buffer_fini(&value);
}

/* A copy holds what a newer version keeps in trees that this one does not know. */
Test(value_check, unknown_trees_are_not_looked_into)
{
    struct ty_entry entry = entry_of("k", 1, "v", 1);

    cr_assert_null(ty_value_check("a_later_tree", &entry));
    cr_assert_null(ty_value_check("reject_ids", &entry));
    cr_assert_null(ty_value_check("", &entry));
    cr_assert_not_null(ty_value_check("meta", &entry));
}

/* --- Names --- */

static void assert_name(const char *tree, const char *bytes, size_t length, const char *want)
{
    uint8_t *key = copy_of(bytes, length);
    struct ty_entry entry = entry_of(key, length, NULL, 0);
    char name[TY_VALUE_NAME_BYTES];

    ty_value_name(tree, &entry, name);
    cr_assert_str_eq(name, want, "%s", name);
    free(key);
}

#define assert_names(tree, key, want) assert_name(tree, key, sizeof(key) - 1, want)

/* "Damaged" without which one leaves an operator with a file of gigabytes. */
Test(value_check, an_entry_has_a_name)
{
#define CUSTOMER_KEY "\x6a\x4b\xe7\x8c\x8c\x4e\x4c\x1e\x83\xfe\x5b\x8f\xed\x0a\xe3\x4c"
    assert_names("meta", "state", "the record state");
    assert_names("series", "\0\0\1\2", "series 258");
    assert_names("journal", "\0\0\0\1\0\0\0\x11", "journal value 4294967313");
    assert_names("blocks", "\0\0\0\3\1\0\0\x4b\xbc", "the stored day 19388 of series 3");
    assert_names("blocks", "\0\0\0\3\2\0\0\2\x7c", "the stored month 636 of series 3");
    assert_names("rejects", "\0\0\0\0\0\0\0\x11", "reject 17");
    assert_names("voids", "\0\0\0\0\0\0\0\x11\0\0\0\1\0\0\0\2", "a void of journal value 17");
    assert_names("closings", CUSTOMER_KEY,
                 "the closing of customer 6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c");
    assert_names("revisions", CUSTOMER_KEY "\0\0\0\0\0\0\0\7",
                 "revision 7 of customer 6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c");
    assert_names("id_runs", "\0\0\0\4\2\0\0\0\7", "page 7 of run 4 of the remembered ids");
    assert_names("id_runs", "\0\0\0\4\1\0\0\0\7", "list 7 of run 4 of the remembered ids");
    assert_names("reject_ids", "k", "an entry of the tree reject_ids");
    assert_names("a_later_tree", "", "an entry of the tree a_later_tree");
}

/* Nor may a damaged key, of any length, break the message that tells of it. */
Test(value_check, a_malformed_key_has_a_name)
{
    static const char long_name[] = "0123456789012345678901234567890123456789-and-so-on";

    assert_names("meta", "", "the record ");
    assert_names("meta", long_name, "the record 0123456789012345678901234567890123456789");
    assert_names("series", "\1\2\3", "a series with a key of 3 bytes");
    assert_names("journal", "", "journal value with a key of 0 bytes");
    assert_names("journal", "123456789", "journal value with a key of 9 bytes");
    assert_names("blocks", "12345678", "a block with a key of 8 bytes");
    assert_names("rejects", "1", "reject with a key of 1 bytes");
    assert_names("voids", "123456789012345", "a void with a key of 15 bytes");
    assert_names("id_runs", "", "remembered ids with a key of 0 bytes");
    assert_names("closings", "\x6a",
                 "the closing of customer 6a000000-0000-0000-0000-000000000000");
    for (size_t length = 0; length <= 40; length++)
        for (size_t k = 0; k < copy_count; k++) {
            uint8_t *key = calloc(TY_MAX(length, (size_t)1), 1);
            struct ty_entry entry = entry_of(key, length, NULL, 0);
            char name[TY_VALUE_NAME_BYTES] = "";

            ty_value_name(copies[k].tree, &entry, name);
            cr_assert_gt(strlen(name), 5u, "%s", copies[k].tree);
            free(key);
        }
}
