#include "storage/audit.h"

#include <string.h>

#include "storage/block_codec.h"
#include "storage/bytes.h"
#include "storage/store_internal.h"

#define KEY_BYTES_MAX  511 /* LMDB's own bound */
#define PROGRESS_BYTES 65536

struct audit_walk {
    const struct ty_audit *audit;
    uint8_t before[KEY_BYTES_MAX]; /* the key that came last */
    size_t before_length;
    uint64_t bytes; /* not told yet */
};

static MDB_dbi tree_of(const struct ty_store *store, enum ty_audit_tree tree)
{
    const MDB_dbi trees[TY_AUDIT_TREES] = {
        [TY_AUDIT_SERIES] = store->series,     [TY_AUDIT_JOURNAL] = store->journal,
        [TY_AUDIT_BLOCKS] = store->blocks,     [TY_AUDIT_REJECTS] = store->rejects,
        [TY_AUDIT_CLOSINGS] = store->closings, [TY_AUDIT_REVISIONS] = store->revisions,
        [TY_AUDIT_IDS] = store->id_runs,       [TY_AUDIT_REJECT_IDS] = store->reject_ids,
        [TY_AUDIT_VOIDS] = store->voids,
    };

    return trees[tree];
}

const char *ty_audit_name(enum ty_audit_tree tree)
{
    static const char *const names[TY_AUDIT_TREES] = {"series",  "journal",    "blocks",
                                                      "rejects", "closings",   "revisions",
                                                      "ids",     "reject_ids", "voids"};

    return names[tree];
}

static void tell_damage(const struct audit_walk *walk, enum ty_audit_tree tree, const MDB_val *key,
                        const MDB_val *value, const char *problem)
{
    struct ty_audit_damage damage = {.tree = tree, .problem = problem, .length = value->mv_size};
    const uint8_t *bytes = key->mv_data;

    if (key->mv_size == 8 || (tree == TY_AUDIT_VOIDS && key->mv_size == TY_VOID_KEY_BYTES))
        damage.number = ty_get_u64_be(bytes);
    else if (key->mv_size >= 4)
        damage.number = ty_get_u32_be(bytes);
    if (tree == TY_AUDIT_BLOCKS && key->mv_size == TY_BLOCK_KEY_BYTES) {
        damage.level = bytes[4];
        damage.period = (int32_t)ty_get_u32_be(bytes + 5);
    }
    if (tree == TY_AUDIT_CLOSINGS || tree == TY_AUDIT_REVISIONS)
        memcpy(damage.customer.bytes, bytes, TY_MIN(key->mv_size, sizeof(damage.customer.bytes)));
    if (tree == TY_AUDIT_REVISIONS && key->mv_size == TY_REVISION_KEY_BYTES)
        damage.number = ty_get_u64_be(bytes + sizeof(damage.customer.bytes));
    if (tree == TY_AUDIT_IDS && key->mv_size == TY_ID_KEY_BYTES) {
        damage.kind = bytes[4];
        damage.part = ty_get_u32_be(bytes + 5);
    }
    walk->audit->damage(walk->audit->context, &damage);
}

static const char *visit_series(const struct ty_audit *audit, const MDB_val *key,
                                const MDB_val *value)
{
    struct ty_uuid customer, workflow;
    uint32_t id;

    if (!ty_store_read_series(key, value, &id, &customer, &workflow))
        return "checksum mismatch";
    audit->series(audit->context, id, &customer, &workflow);
    return NULL;
}

static const char *visit_journal(const struct ty_audit *audit, const MDB_val *key,
                                 const MDB_val *value)
{
    struct ty_journal_cursor cursor;
    uint64_t sequence;

    if (key->mv_size != 8)
        return "a key of another length than 8 bytes";
    sequence = ty_get_u64_be(key->mv_data);
    if (ty_journal_open(&cursor, sequence, value->mv_data, value->mv_size))
        audit->journal(audit->context, sequence, &cursor, value->mv_size);
    return cursor.problem;
}

static const char *visit_block(const struct ty_audit *audit, const MDB_val *key,
                               const MDB_val *value)
{
    const uint8_t *bytes = key->mv_data;
    struct ty_month_block month;
    struct ty_day_block day;
    const char *problem;
    int32_t period;

    if (key->mv_size != TY_BLOCK_KEY_BYTES)
        return "a key of another length than 9 bytes";
    period = (int32_t)ty_get_u32_be(bytes + 5);
    if (bytes[4] == TY_LEVEL_DAY) {
        problem = ty_day_block_decode(bytes, value->mv_data, value->mv_size, &day);
        if (problem == NULL)
            audit->day(audit->context, ty_get_u32_be(bytes), period, &day);
    } else if (bytes[4] == TY_LEVEL_MONTH) {
        problem = ty_block_decode_total(bytes, value->mv_data, value->mv_size, &month.stamp,
                                        &month.total);
        if (problem == NULL)
            audit->month(audit->context, ty_get_u32_be(bytes), period, &month);
    } else {
        problem = "a key that is neither a day's nor a month's";
    }
    return problem;
}

static const char *visit_reject(const struct ty_audit *audit, const MDB_val *key,
                                const MDB_val *value)
{
    struct ty_kept_reject kept;
    const char *problem;

    if (key->mv_size != 8)
        return "a key of another length than 8 bytes";
    problem = ty_reject_decode(ty_get_u64_be(key->mv_data), value->mv_data, value->mv_size, &kept);
    if (problem == NULL)
        audit->reject(audit->context, &kept, value->mv_size);
    return problem;
}

static const char *visit_closing(const struct ty_audit *audit, const MDB_val *key,
                                 const MDB_val *value)
{
    struct ty_uuid customer;
    struct ty_closed closed;

    if (!ty_store_read_closing(key, value, &customer, &closed))
        return "checksum mismatch";
    audit->closing(audit->context, &customer, &closed);
    return NULL;
}

static const char *visit_revision(const struct ty_audit *audit, const MDB_val *key,
                                  const MDB_val *value)
{
    struct ty_uuid customer;
    struct ty_revision revision;

    if (!ty_store_read_revision(key, value, &customer, &revision))
        return "checksum mismatch";
    audit->revision(audit->context, &customer, &revision);
    return NULL;
}

static const char *visit_ids(const struct ty_audit *audit, const MDB_val *key, const MDB_val *value)
{
    uint64_t prefixes[TY_ID_LIST_IDS];
    struct ty_id ids[TY_ID_PAGE_IDS];
    const uint8_t *bytes = key->mv_data;
    const char *problem;
    uint32_t count;

    if (key->mv_size != TY_ID_KEY_BYTES)
        return "a key of another length than 9 bytes";
    if (bytes[4] == TY_ID_PREFIXES) {
        problem = ty_id_list_decode(bytes, value->mv_data, value->mv_size, prefixes, &count);
        if (problem == NULL)
            audit->id_list(audit->context, ty_get_u32_be(bytes), ty_get_u32_be(bytes + 5), prefixes,
                           count);
    } else if (bytes[4] == TY_ID_PAGE) {
        problem = ty_id_page_decode(bytes, 0, value->mv_data, value->mv_size, ids, &count);
        if (problem == NULL)
            audit->id_page(audit->context, ty_get_u32_be(bytes), ty_get_u32_be(bytes + 5), ids,
                           count);
    } else {
        problem = "a key that is neither a list's nor a page's";
    }
    return problem;
}

static const char *visit_void(const struct ty_audit *audit, const MDB_val *key,
                              const MDB_val *value)
{
    struct ty_journal_place place;
    struct ty_void_note note;

    if (!ty_store_read_void(key, value, &place, &note))
        return "checksum mismatch";
    audit->voided(audit->context, &place);
    return NULL;
}

static const char *visit_reject_id(const struct ty_audit *audit, const MDB_val *key,
                                   const MDB_val *value)
{
    (void)value; /* It has no checksum: what it leads to tells. */
    if (key->mv_size != TY_REJECT_IDENTITY_BYTES)
        return "a key of another length than 16 bytes";
    audit->reject_id(audit->context, key->mv_data);
    return NULL;
}

static const char *(*const visits[TY_AUDIT_TREES])(const struct ty_audit *audit, const MDB_val *key,
                                                   const MDB_val *value) = {
    [TY_AUDIT_SERIES] = visit_series,    [TY_AUDIT_JOURNAL] = visit_journal,
    [TY_AUDIT_BLOCKS] = visit_block,     [TY_AUDIT_REJECTS] = visit_reject,
    [TY_AUDIT_CLOSINGS] = visit_closing, [TY_AUDIT_REVISIONS] = visit_revision,
    [TY_AUDIT_IDS] = visit_ids,          [TY_AUDIT_REJECT_IDS] = visit_reject_id,
    [TY_AUDIT_VOIDS] = visit_void,
};

/* Keys ascend; one that does not is damaged, even if its value is not. */
static bool is_in_order(struct audit_walk *walk, const MDB_val *key)
{
    size_t length = TY_MIN(key->mv_size, (size_t)KEY_BYTES_MAX);
    int order = memcmp(walk->before, key->mv_data, TY_MIN(walk->before_length, length));
    bool ascends = order < 0 || (order == 0 && walk->before_length < length);

    ascends |= walk->before_length == 0;
    memcpy(walk->before, key->mv_data, length);
    walk->before_length = length;
    return ascends;
}

static void visit(struct audit_walk *walk, enum ty_audit_tree tree, const MDB_val *key,
                  const MDB_val *value)
{
    bool ordered = is_in_order(walk, key);
    const char *problem = visits[tree](walk->audit, key, value);

    if (problem == NULL && !ordered)
        problem = "its key is not in order";
    if (problem != NULL)
        tell_damage(walk, tree, key, value, problem);
    walk->bytes += key->mv_size + value->mv_size;
    if (walk->bytes >= PROGRESS_BYTES) {
        walk->audit->progress(walk->audit->context, walk->bytes);
        walk->bytes = 0;
    }
}

tally_status ty_audit_walk(struct ty_store *store, enum ty_audit_tree tree,
                           const struct ty_audit *audit, tally_error *error)
{
    struct audit_walk walk = {.audit = audit};
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t count = 0;
    MDB_stat stat;
    int code = mdb_stat(store->txn, tree_of(store, tree), &stat);

    if (code == 0)
        code = mdb_cursor_open(store->txn, tree_of(store, tree), &cursor);
    if (code != 0)
        return ty_store_fail(error, code, "cannot read a tree");
    /* The bound ends a walk that a damaged page leads round in circles. */
    while (count <= stat.ms_entries &&
           (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        visit(&walk, tree, &key, &value);
        count++;
    }
    mdb_cursor_close(cursor);
    audit->progress(audit->context, walk.bytes);
    if (code != 0 && code != MDB_NOTFOUND)
        return ty_store_fail(error, code, "cannot read a tree to its end");
    if (count == stat.ms_entries)
        return TALLY_OK;
    return ty_fail(error, TALLY_CORRUPT, "the tree should have %zu entries, %s found",
                   stat.ms_entries, count < stat.ms_entries ? "fewer are" : "more are");
}

static bool is_newer(const MDB_val *key, const MDB_val *value)
{
    struct ty_reader reader = ty_reader_of(value->mv_data, value->mv_size);
    uint32_t version = ty_get_u32(&reader);
    uint64_t checksum = ty_get_u64(&reader);

    return !reader.failed && version > TY_FORMAT_VERSION && (version & 255) > 2 &&
           checksum ==
               ty_record_checksum(key->mv_data, key->mv_size, value->mv_data, value->mv_size);
}

bool ty_audit_is_newer(struct ty_store *store)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    bool newer = false;
    MDB_stat stat;

    if (mdb_stat(store->txn, store->meta, &stat) != 0 ||
        mdb_cursor_open(store->txn, store->meta, &cursor) != 0)
        return false; /* The walks tell. */
    for (size_t i = 0; i < stat.ms_entries && !newer; i++) {
        if (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) != 0)
            break;
        newer = is_newer(&key, &value);
    }
    mdb_cursor_close(cursor);
    return newer;
}

uint64_t ty_audit_bytes(struct ty_store *store)
{
    uint64_t bytes = 0;

    for (enum ty_audit_tree tree = 0; tree < TY_AUDIT_TREES; tree++) {
        MDB_stat stat;

        if (mdb_stat(store->txn, tree_of(store, tree), &stat) == 0)
            bytes += (uint64_t)(stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
    }
    return bytes;
}
