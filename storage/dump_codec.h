/*
 * dump_codec.h: a database as a stream that does not depend on machine or number of shards
 * (docs/FORMAT.md, "Dumps").
 *
 * Eight bytes and a version, then records: a tag, a length, a payload, and a checksum that also
 * covers the record's number, so that none can be missing, changed or moved unseen. The last record
 * says how many entries there were: a dump without it has been cut short.
 *
 * Threads: pure functions; a writer's buffer and a reader have one owner.
 */
#ifndef TY_STORAGE_DUMP_CODEC_H
#define TY_STORAGE_DUMP_CODEC_H

#include "engine/buffer.h"
#include "storage/outside.h"
#include <sys/types.h>

#define TY_DUMP_VERSION    1
#define TY_DUMP_RECORD_MAX (UINT32_C(1) << 30) /* bytes of a payload */
#define TY_DUMP_SHARDS_MAX 256
#define TY_DUMP_TREES_MAX  32

enum ty_dump_tag {
    TY_DUMP_DATABASE = 1, /* first, once */
    TY_DUMP_SHARD = 2,    /* one for each shard, before all entries */
    TY_DUMP_TREE = 3,     /* before the first entry of the tree */
    TY_DUMP_ENTRY = 4,
    TY_DUMP_END = 5 /* last, once */
};

/* What a shard is, beside its entries. */
struct ty_dump_shard {
    uint16_t shard;
    uint64_t first_sequence; /* of the oldest journal value, or of the next where there is none */
    uint64_t bytes;          /* that its trees take */
};

struct ty_dump_record {
    enum ty_dump_tag tag;
    struct ty_database_record database; /* of TY_DUMP_DATABASE; its `shard` means nothing */
    struct ty_dump_shard shard;         /* of TY_DUMP_SHARD; of TY_DUMP_ENTRY its number alone */
    uint8_t tree;                       /* of TY_DUMP_TREE and _ENTRY */
    char name[64];                      /* of TY_DUMP_TREE */
    struct ty_entry entry;              /* of TY_DUMP_ENTRY; borrowed until the next record */
    uint64_t entries;                   /* of TY_DUMP_END */
};

/* --- Writing: appends to a buffer, which the caller empties into a file. --- */

struct ty_dump_writer {
    uint64_t records;
    uint64_t entries;
};

void ty_dump_begin(struct ty_buffer *out);
void ty_dump_put_database(struct ty_dump_writer *writer, struct ty_buffer *out,
                          const struct ty_database_record *database);
void ty_dump_put_shard(struct ty_dump_writer *writer, struct ty_buffer *out,
                       const struct ty_dump_shard *shard);
void ty_dump_put_tree(struct ty_dump_writer *writer, struct ty_buffer *out, uint8_t tree,
                      const char *name);
void ty_dump_put_entry(struct ty_dump_writer *writer, struct ty_buffer *out, uint16_t shard,
                       uint8_t tree, const struct ty_entry *entry);
void ty_dump_put_end(struct ty_dump_writer *writer, struct ty_buffer *out);

/* --- Reading --- */

struct ty_dump_reader {
    /* Reads up to so many bytes: how many there were, 0 at the end, or -1 with errno. */
    ssize_t (*read)(void *context, void *data, size_t length);
    void *context;
    /* The reader's own; zero at first. */
    struct ty_buffer payload;
    uint64_t records;
    uint64_t entries;
    uint64_t bytes; /* read so far */
    bool begun;
    bool ended;
};

/* ty_dump_next fills the next record; *found is false behind the last one. TALLY_CORRUPT when the
 * dump is cut short, damaged or none; TALLY_NEWER, TALLY_NO_MEMORY, TALLY_IO. */
tally_status ty_dump_next(struct ty_dump_reader *reader, struct ty_dump_record *record, bool *found,
                          tally_error *error);
void ty_dump_reader_fini(struct ty_dump_reader *reader);

#endif
