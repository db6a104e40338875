/*
 * fuzz_values.c: stored values of any content, with headers that fit.
 *
 * The first byte chooses what is stored, then come the key and what stands behind the header. The
 * checksum keeps chance damage away from the decoders; this is what stands behind it: they refuse
 * with a text, or what they read, encoded, reads the same again. Journal values have
 * fuzz_journal.c.
 */
#include <stdlib.h>

#include "storage/block_codec.h"
#include "storage/id_page_codec.h"
#include "storage/id_runs.h"
#include "storage/reject_codec.h"
#include "storage/store_internal.h"
#include "storage/value_check.h"
#include "storage/value_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VERSION  1                      /* of every kind of value, by now */
#define FIRST_MS INT64_C(1700000000000) /* when a run's first id arrived: a whole second */

/* `bytes` is memory of exactly `length` bytes, so that a read past the end is seen. */
struct value {
    uint8_t key[TY_VALUE_KEY_BYTES_MAX];
    size_t key_length;
    uint8_t *bytes;
    size_t length;
};

static bool has_bytes(const struct value *value, const void *bytes, size_t length)
{
    return value->length == length && memcmp(value->bytes, bytes, length) == 0;
}

/* --- Blocks --- */

/* Measures of slots that are not used mean nothing. */
static bool is_same_day(const struct ty_day_block *a, const struct ty_day_block *b)
{
    for (unsigned i = 0; i < TY_SLOTS_PER_DAY; i++) {
        const struct ty_slot_sum *left = &a->slots[i], *right = &b->slots[i];

        if (a->used[i] != b->used[i])
            return false;
        if (a->used[i] && (left->events != right->events || left->credits != right->credits ||
                           left->documents != right->documents || left->pages != right->pages ||
                           left->processing_ms != right->processing_ms))
            return false;
    }
    return a->stamp == b->stamp && ty_total_equal(&a->total, &b->total);
}

static const char *check_day(const struct value *value)
{
    uint8_t again[TY_DAY_BLOCK_BYTES_MAX];
    struct ty_day_block day, same;
    struct ty_total total;
    uint64_t stamp;
    const char *problem = ty_day_block_decode(value->key, value->bytes, value->length, &day);

    if (problem != NULL)
        return problem;
    TY_ASSERT(!ty_block_decode_total(value->key, value->bytes, value->length, &stamp, &total));
    TY_ASSERT(stamp == day.stamp && ty_total_equal(&total, &day.total));
    size_t length = ty_day_block_encode(value->key, &day, again);
    TY_ASSERT(length <= sizeof(again));
    TY_ASSERT(ty_day_block_decode(value->key, again, length, &same) == NULL);
    TY_ASSERT(is_same_day(&day, &same));
    return NULL;
}

static const char *check_month(const struct value *value)
{
    uint8_t again[TY_MONTH_BLOCK_BYTES_MAX];
    struct ty_month_block month, same;
    const char *problem =
        ty_block_decode_total(value->key, value->bytes, value->length, &month.stamp, &month.total);

    if (problem != NULL)
        return problem;
    size_t length = ty_month_block_encode(value->key, &month, again);
    TY_ASSERT(length <= sizeof(again));
    TY_ASSERT(ty_block_decode_total(value->key, again, length, &same.stamp, &same.total) == NULL);
    TY_ASSERT(same.stamp == month.stamp && ty_total_equal(&same.total, &month.total));
    return NULL;
}

/* --- Remembered ids --- */

static bool is_ascending(const struct ty_id *ids, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (ty_key_compare(&ids[i - 1].key, &ids[i].key) >= 0)
            return false;
    return true;
}

/* Of a page out of order it is enough that a search ends, and finds nothing else. */
static void check_search(const struct value *value, const struct ty_id *ids, uint32_t count)
{
    bool ascending = is_ascending(ids, count), found;
    struct ty_id id;

    for (uint32_t i = 0; i < count; i++) {
        TY_ASSERT(ty_id_page_find(value->key, FIRST_MS, value->bytes, value->length, &ids[i].key,
                                  &found, &id) == NULL);
        TY_ASSERT(found || !ascending);
        if (found)
            TY_ASSERT(ty_key_compare(&id.key, &ids[i].key) == 0);
        if (ascending)
            TY_ASSERT(id.content == ids[i].content && id.arrived_ms == ids[i].arrived_ms);
    }
}

static const char *check_page(const struct value *value)
{
    static const struct ty_key key = {.high = 1};
    uint8_t again[TY_ID_PAGE_BYTES_MAX];
    struct ty_id ids[TY_ID_PAGE_IDS], id;
    uint32_t count;
    bool found;
    const char *problem =
        ty_id_page_decode(value->key, FIRST_MS, value->bytes, value->length, ids, &count);

    TY_ASSERT(ty_id_page_find(value->key, FIRST_MS, value->bytes, value->length, &key, &found,
                              &id) == problem);
    if (problem != NULL)
        return problem;
    TY_ASSERT(count <= TY_ID_PAGE_IDS);
    TY_ASSERT(has_bytes(value, again, ty_id_page_encode(value->key, FIRST_MS, ids, count, again)));
    check_search(value, ids, count);
    return NULL;
}

static const char *check_list(const struct value *value)
{
    uint64_t prefixes[TY_ID_LIST_IDS], same[TY_ID_LIST_IDS];
    struct ty_buffer again = {0};
    uint32_t count, same_count;
    const char *problem =
        ty_id_list_decode(value->key, value->bytes, value->length, prefixes, &count);

    if (problem != NULL)
        return problem;
    TY_ASSERT(count <= TY_ID_LIST_IDS);
    for (uint32_t i = 0; i < count; i++)
        TY_ASSERT(prefixes[i] >> (64 - TY_ID_PREFIX_SHIFT) == 0 &&
                  (i == 0 || prefixes[i - 1] <= prefixes[i]));
    ty_id_list_encode(value->key, prefixes, count, &again);
    TY_ASSERT(ty_id_list_decode(value->key, again.data, again.length, same, &same_count) == NULL);
    TY_ASSERT(same_count == count && memcmp(same, prefixes, count * sizeof(same[0])) == 0);
    ty_buffer_fini(&again);
    return NULL;
}

/* --- What is read with its key, out of the trees: these have no texts of their own. --- */

#define REFUSED "refused"

static MDB_val key_of(const struct value *value)
{
    return (MDB_val){value->key_length, (void *)value->key};
}

static MDB_val bytes_of(const struct value *value)
{
    return (MDB_val){value->length, value->bytes};
}

static const char *check_void(const struct value *value)
{
    uint8_t key[TY_VOID_KEY_BYTES], again[TY_VOID_VALUE_BYTES_MAX];
    MDB_val k = key_of(value), v = bytes_of(value);
    struct ty_journal_place place;
    struct ty_void_note note;

    if (!ty_store_read_void(&k, &v, &place, &note))
        return REFUSED;
    TY_ASSERT(has_bytes(value, again, ty_store_encode_void(&place, &note, key, again)));
    TY_ASSERT(memcmp(key, value->key, sizeof(key)) == 0);
    return NULL;
}

static const char *check_closing(const struct value *value)
{
    uint8_t key[TY_CLOSING_KEY_BYTES], again[TY_CLOSING_VALUE_BYTES];
    MDB_val k = key_of(value), v = bytes_of(value);
    struct ty_uuid customer;
    struct ty_closed closed;

    if (!ty_store_read_closing(&k, &v, &customer, &closed))
        return REFUSED;
    ty_store_encode_closing(&customer, &closed, key, again);
    TY_ASSERT(has_bytes(value, again, sizeof(again)));
    TY_ASSERT(memcmp(key, value->key, sizeof(key)) == 0);
    return NULL;
}

static bool is_same_revision(const struct ty_revision *a, const struct ty_revision *b)
{
    return a->number == b->number && a->sequence == b->sequence &&
           a->received_ms == b->received_ms && a->series == b->series && a->month == b->month &&
           a->events == b->events && a->voided == b->voided &&
           ty_total_equal(&a->before, &b->before) && ty_total_equal(&a->after, &b->after);
}

static const char *check_revision(const struct value *value)
{
    uint8_t key[TY_REVISION_KEY_BYTES], again[TY_REVISION_VALUE_BYTES_MAX];
    MDB_val k = key_of(value), v = bytes_of(value);
    struct ty_revision revision, same;
    struct ty_uuid customer;

    if (!ty_store_read_revision(&k, &v, &customer, &revision))
        return REFUSED;
    v = (MDB_val){ty_store_encode_revision(&customer, &revision, key, again), again};
    TY_ASSERT(v.mv_size <= TY_MIN(sizeof(again), value->length));
    TY_ASSERT(memcmp(key, value->key, sizeof(key)) == 0);
    TY_ASSERT(ty_store_read_revision(&k, &v, &customer, &same));
    TY_ASSERT(is_same_revision(&revision, &same));
    return NULL;
}

static const char *check_series(const struct value *value)
{
    uint8_t key[4], again[40];
    MDB_val k = key_of(value), v = bytes_of(value);
    struct ty_uuid customer, workflow;
    uint32_t id;

    if (!ty_store_read_series(&k, &v, &id, &customer, &workflow))
        return REFUSED;
    ty_store_encode_series(id, &customer, &workflow, key, again);
    TY_ASSERT(has_bytes(value, again, sizeof(again)));
    return NULL;
}

/* --- Rejects --- */

static bool is_same_text(struct ty_text a, struct ty_text b, size_t length_max)
{
    return TY_MIN(a.length, length_max) == b.length && memcmp(a.data, b.data, b.length) == 0;
}

static bool is_same_reject(const struct ty_kept_reject *a, const struct ty_kept_reject *b)
{
    return a->received_ms == b->received_ms && a->record_bytes == b->record_bytes &&
           a->reject.time_ms == b->reject.time_ms && a->reject.code == b->reject.code &&
           is_same_text(a->reject.source, b->reject.source, TY_REJECT_TEXT_BYTES_MAX) &&
           is_same_text(a->reject.message, b->reject.message, TY_REJECT_TEXT_BYTES_MAX) &&
           is_same_text(a->reject.record, b->reject.record, TY_REJECT_RECORD_BYTES_MAX);
}

static const char *check_reject(const struct value *value)
{
    static uint8_t again[TY_REJECT_VALUE_BYTES_MAX];
    struct ty_kept_reject kept, same;
    uint64_t seq = ty_get_u64_be(value->key);
    const char *problem = ty_reject_decode(seq, value->bytes, value->length, &kept);
    size_t length;

    if (problem != NULL)
        return problem;
    if (kept.record_bytes != kept.reject.record.length)
        return NULL; /* It was longer: its end is not there to be encoded. */
    length = ty_reject_value_length(&kept.reject);
    TY_ASSERT(length <= sizeof(again));
    ty_reject_encode(seq, kept.received_ms, &kept.reject,
                     ty_reject_read_identity(value->bytes, value->length), again);
    TY_ASSERT(ty_reject_decode(seq, again, length, &same) == NULL);
    TY_ASSERT(is_same_reject(&kept, &same));
    return NULL;
}

/* --- Records --- */

static const char *check_record(const struct value *value)
{
    static struct ty_id_runs_record runs;
    struct ty_state_record state;

    (void)ty_store_decode_state(value->bytes, value->length, &state);
    if (ty_id_runs_decode(value->bytes, value->length, &runs))
        TY_ASSERT(runs.count <= TY_ID_RUNS_MAX);
    return NULL;
}

/* --- All of them --- */

enum header { HEADER_VALUE, HEADER_RECORD, HEADER_BEHIND };

static const struct kind {
    const char *tree;
    size_t key_length;
    uint8_t fifth; /* of the key's bytes: a level, a kind of page; 0: any */
    enum header header;
    const char *(*check)(const struct value *value); /* NULL, or why it is refused */
} kinds[] = {
    {"blocks", TY_BLOCK_KEY_BYTES, TY_LEVEL_DAY, HEADER_VALUE, check_day},
    {"blocks", TY_BLOCK_KEY_BYTES, TY_LEVEL_MONTH, HEADER_VALUE, check_month},
    {"id_runs", TY_ID_KEY_BYTES, TY_ID_PAGE, HEADER_VALUE, check_page},
    {"id_runs", TY_ID_KEY_BYTES, TY_ID_PREFIXES, HEADER_VALUE, check_list},
    {"voids", TY_VOID_KEY_BYTES, 0, HEADER_VALUE, check_void},
    {"closings", TY_CLOSING_KEY_BYTES, 0, HEADER_VALUE, check_closing},
    {"revisions", TY_REVISION_KEY_BYTES, 0, HEADER_VALUE, check_revision},
    {"rejects", 8, 0, HEADER_VALUE, check_reject},
    {"series", 4, 0, HEADER_BEHIND, check_series},
    {"meta", 7, 0, HEADER_RECORD, check_record},
};

/* Makes the header: room for it has been left before or behind the content. */
static void seal(const struct kind *kind, struct value *value)
{
    if (kind->header == HEADER_VALUE)
        ty_value_seal(value->key, value->key_length, VERSION, value->bytes, value->length);
    else if (kind->header == HEADER_RECORD) {
        ty_put_u32(value->bytes, TY_FORMAT_VERSION);
        ty_put_u64(value->bytes + 4,
                   ty_record_checksum(value->key, value->key_length, value->bytes, value->length));
    } else
        ty_put_u64(
            value->bytes + value->length - 8,
            XXH3_64bits_withSeed(value->bytes, value->length - 8, ty_get_u32_be(value->key)));
}

static void make(const struct kind *kind, const uint8_t *data, size_t size, struct value *value)
{
    static const size_t header_lengths[] = {TY_VALUE_BODY_AT, TY_RECORD_HEADER_BYTES, 8};
    size_t from_key = TY_MIN(size, kind->key_length), content = size - from_key;
    size_t header = header_lengths[kind->header];

    *value = (struct value){.key_length = kind->key_length, .length = header + content};
    ty_put_bytes(value->key, data, from_key);
    if (kind->fifth != 0)
        value->key[4] = kind->fifth;
    value->bytes = malloc(value->length);
    TY_ASSERT(value->bytes != NULL);
    ty_put_bytes(value->bytes + (kind->header == HEADER_BEHIND ? 0 : header), data + from_key,
                 content);
    seal(kind, value);
}

/* What backups and dumps go by. Of remembered ids it looks at the checksum alone. */
static void check_as_entry(const struct kind *kind, const struct value *value, const char *problem)
{
    struct ty_entry entry = {value->key, value->key_length, value->bytes, value->length};
    char name[TY_VALUE_NAME_BYTES];

    if (problem == NULL || strcmp(kind->tree, "id_runs") != 0)
        TY_ASSERT((ty_value_check(kind->tree, &entry) == NULL) == (problem == NULL));
    ty_value_name(kind->tree, &entry, name);
    TY_ASSERT(strlen(name) < sizeof(name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct kind *kind;
    struct value value;

    if (size == 0)
        return 0;
    kind = &kinds[data[0] % TY_COUNT_OF(kinds)];
    make(kind, data + 1, size - 1, &value);
    check_as_entry(kind, &value, kind->check(&value));
    free(value.bytes);
    return 0;
}
