/*
 * audit.h: every entry of a store's trees, checked and decoded, whatever is wrong with others.
 *
 * For `tally verify`: where other readers stop at the first value that is damaged, this says so and
 * goes on. Best with a store that is opened `read_only`.
 *
 * Threads: one owner; within a transaction of the store's (ty_store_begin()).
 */
#ifndef TY_STORAGE_AUDIT_H
#define TY_STORAGE_AUDIT_H

#include "storage/id_page_codec.h"
#include "storage/reject_codec.h"
#include "storage/store.h"

enum ty_audit_tree {
    TY_AUDIT_SERIES,
    TY_AUDIT_JOURNAL,
    TY_AUDIT_BLOCKS,
    TY_AUDIT_REJECTS,
    TY_AUDIT_CLOSINGS,
    TY_AUDIT_REVISIONS,
    TY_AUDIT_IDS,
    TY_AUDIT_REJECT_IDS,
    TY_AUDIT_VOIDS,
    TY_AUDIT_TREES
};

/* An entry that is not what was stored there. */
struct ty_audit_damage {
    enum ty_audit_tree tree;
    const char *problem; /* a phrase: "checksum mismatch" */
    uint64_t number; /* of the series, the journal value (of a void: the event's), the reject, the
                        revision, or the run of remembered ids, by its key */
    struct ty_uuid customer; /* of a closing or a revision, by its key */
    uint8_t level;           /* of a block: enum ty_level, or what the key has there */
    int32_t period;          /* of a block: day or month, by its key */
    uint8_t kind;            /* of remembered ids: enum ty_id_kind, or what the key has there */
    uint32_t part;           /* of remembered ids: number of the list or page, by its key */
    size_t length;           /* of the value */
};

/* What is told of each; all are needed. What they get is borrowed until they return. */
struct ty_audit {
    void *context;
    void (*series)(void *context, uint32_t id, const struct ty_uuid *customer,
                   const struct ty_uuid *workflow);
    void (*journal)(void *context, uint64_t sequence, struct ty_journal_cursor *cursor,
                    size_t length);
    void (*day)(void *context, uint32_t series, int32_t day, const struct ty_day_block *block);
    void (*month)(void *context, uint32_t series, int32_t month,
                  const struct ty_month_block *block);
    void (*reject)(void *context, const struct ty_kept_reject *kept, size_t length);
    void (*closing)(void *context, const struct ty_uuid *customer, const struct ty_closed *closed);
    void (*revision)(void *context, const struct ty_uuid *customer,
                     const struct ty_revision *revision);
    /* A list or a page of a run, named by the record or not. What the ids on a page have as arrival
     * is the time since the second in which the first of their run arrived. */
    void (*id_list)(void *context, uint32_t run, uint32_t list, const uint64_t *prefixes,
                    uint32_t count);
    void (*id_page)(void *context, uint32_t run, uint32_t page, const struct ty_id *ids,
                    uint32_t count);
    /* Where an event is that is marked as void. */
    void (*voided)(void *context, const struct ty_journal_place *place);
    /* An entry of the index of rejects. */
    void (*reject_id)(void *context, const uint8_t identity[TY_REJECT_IDENTITY_BYTES]);
    void (*damage)(void *context, const struct ty_audit_damage *damage);
    void (*progress)(void *context, uint64_t bytes); /* that were read since the last call */
};

/* ty_audit_walk walks a tree from its first key to its last. TALLY_OK also when entries are
 * damaged; TALLY_CORRUPT, or TALLY_IO, when the tree cannot be walked to its end. */
tally_status ty_audit_walk(struct ty_store *store, enum ty_audit_tree tree,
                           const struct ty_audit *audit, tally_error *error);

/* ty_audit_is_newer tells whether some record is of a newer format than this program knows, and
 * intact: not one whose version is damaged. */
bool ty_audit_is_newer(struct ty_store *store);

/* ty_audit_bytes tells about how many bytes all the walks will read. */
uint64_t ty_audit_bytes(struct ty_store *store);

const char *ty_audit_name(enum ty_audit_tree tree);

#endif
