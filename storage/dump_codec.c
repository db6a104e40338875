#include "storage/dump_codec.h"

#define XXH_INLINE_ALL
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "storage/bytes.h"

#define MAGIC       "TALLYDMP"
#define MAGIC_BYTES 8
#define HEAD_BYTES  5 /* tag and length */
#define SUM_BYTES   8
#define READ_BYTES  ((size_t)1 << 20)
#define ENTRY_FIXED 5 /* shard, tree, length of the key */

static uint64_t checksum(uint64_t record, const void *head, const void *payload, size_t length)
{
    return XXH3_64bits_withSeed(payload, length, XXH3_64bits_withSeed(head, HEAD_BYTES, record));
}

/* --- Writing --- */

void ty_dump_begin(struct ty_buffer *out)
{
    ty_buffer_append(out, MAGIC, MAGIC_BYTES);
    ty_buffer_append_char(out, TY_DUMP_VERSION);
}

/* Makes room for a record's payload and fills its head; NULL: no memory. */
static uint8_t *begin(struct ty_buffer *out, enum ty_dump_tag tag, size_t length)
{
    uint8_t *head = (uint8_t *)ty_buffer_reserve(out, HEAD_BYTES + length + SUM_BYTES);

    if (head == NULL)
        return NULL;
    head[0] = (uint8_t)tag;
    for (int i = 0; i < 4; i++)
        head[1 + i] = (uint8_t)(length >> (8 * i));
    return head + HEAD_BYTES;
}

static void finish(struct ty_dump_writer *writer, struct ty_buffer *out, uint8_t *payload,
                   size_t length)
{
    const uint8_t *head = payload - HEAD_BYTES;

    ty_put_u64(payload + length, checksum(writer->records++, head, payload, length));
    out->length += HEAD_BYTES + length + SUM_BYTES;
}

void ty_dump_put_database(struct ty_dump_writer *writer, struct ty_buffer *out,
                          const struct ty_database_record *database)
{
    size_t length = sizeof(database->id) + TY_SECRET_BYTES + 2 + sizeof(database->partition_shard);
    uint8_t *payload = begin(out, TY_DUMP_DATABASE, length), *at = payload;

    if (payload == NULL)
        return;
    at = ty_put_bytes(at, database->id, sizeof(database->id));
    at = ty_put_bytes(at, database->secret.bytes, TY_SECRET_BYTES);
    at = ty_put_u16(at, database->shard_count);
    for (size_t i = 0; i < TY_PARTITIONS; i++)
        at = ty_put_u16(at, database->partition_shard[i]);
    finish(writer, out, payload, length);
}

void ty_dump_put_shard(struct ty_dump_writer *writer, struct ty_buffer *out,
                       const struct ty_dump_shard *shard)
{
    uint8_t *payload = begin(out, TY_DUMP_SHARD, 18);

    if (payload == NULL)
        return;
    ty_put_u64(ty_put_u64(ty_put_u16(payload, shard->shard), shard->first_sequence), shard->bytes);
    finish(writer, out, payload, 18);
}

void ty_dump_put_tree(struct ty_dump_writer *writer, struct ty_buffer *out, uint8_t tree,
                      const char *name)
{
    size_t length = 1 + strlen(name);
    uint8_t *payload = begin(out, TY_DUMP_TREE, length);

    if (payload == NULL)
        return;
    payload[0] = tree;
    ty_put_bytes(payload + 1, name, length - 1);
    finish(writer, out, payload, length);
}

void ty_dump_put_entry(struct ty_dump_writer *writer, struct ty_buffer *out, uint16_t shard,
                       uint8_t tree, const struct ty_entry *entry)
{
    size_t length = ENTRY_FIXED + entry->key_length + entry->value_length;
    uint8_t *payload = begin(out, TY_DUMP_ENTRY, length), *at = payload;

    if (payload == NULL)
        return;
    at = ty_put_u16(at, shard);
    *at++ = tree;
    at = ty_put_u16(at, (unsigned)entry->key_length);
    at = ty_put_bytes(at, entry->key, entry->key_length);
    ty_put_bytes(at, entry->value, entry->value_length);
    finish(writer, out, payload, length);
    writer->entries++;
}

void ty_dump_put_end(struct ty_dump_writer *writer, struct ty_buffer *out)
{
    uint8_t *payload = begin(out, TY_DUMP_END, 8);

    if (payload == NULL)
        return;
    ty_put_u64(payload, writer->entries);
    finish(writer, out, payload, 8);
}

/* --- Reading --- */

static tally_status cut_short(const struct ty_dump_reader *reader, tally_error *error)
{
    return ty_fail(error, TALLY_CORRUPT, "the dump is cut short after %llu bytes",
                   (unsigned long long)reader->bytes);
}

/* Appends exactly so many bytes to the payload: memory grows as they come, not by what a damaged
 * length says. */
static tally_status read_bytes(struct ty_dump_reader *reader, size_t length, tally_error *error)
{
    while (length > 0) {
        size_t most = TY_MIN(length, READ_BYTES);
        char *room = ty_buffer_reserve(&reader->payload, most);
        ssize_t got;

        if (room == NULL)
            return ty_fail(error, TALLY_NO_MEMORY, "no memory for a record of the dump");
        got = reader->read(reader->context, room, most);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ty_fail(error, TALLY_IO, "cannot read the dump: %s", strerror(errno));
        if (got == 0)
            return cut_short(reader, error);
        reader->payload.length += (size_t)got;
        reader->bytes += (size_t)got;
        length -= (size_t)got;
    }
    return TALLY_OK;
}

static tally_status read_beginning(struct ty_dump_reader *reader, tally_error *error)
{
    tally_status status = read_bytes(reader, MAGIC_BYTES + 1, error);

    if (status != TALLY_OK)
        return status;
    if (memcmp(reader->payload.data, MAGIC, MAGIC_BYTES) != 0)
        return ty_fail(error, TALLY_CORRUPT, "this is no dump of a Tally database");
    if (reader->payload.data[MAGIC_BYTES] != TY_DUMP_VERSION)
        return ty_fail(error, TALLY_NEWER,
                       "the dump has version %d, this program knows %d: use a newer version of "
                       "Tally",
                       (unsigned char)reader->payload.data[MAGIC_BYTES], TY_DUMP_VERSION);
    reader->begun = true;
    return TALLY_OK;
}

static bool parse_database(struct ty_reader *payload, struct ty_database_record *database)
{
    const uint8_t *id = ty_get_bytes(payload, sizeof(database->id));
    const uint8_t *secret = ty_get_bytes(payload, TY_SECRET_BYTES);

    if (secret == NULL)
        return false;
    memset(database, 0, sizeof(*database));
    memcpy(database->id, id, sizeof(database->id));
    memcpy(database->secret.bytes, secret, TY_SECRET_BYTES);
    database->shard_count = (uint16_t)ty_get_u16(payload);
    for (size_t i = 0; i < TY_PARTITIONS; i++) {
        database->partition_shard[i] = (uint16_t)ty_get_u16(payload);
        if (database->partition_shard[i] >= database->shard_count)
            return false;
    }
    return database->shard_count <= TY_DUMP_SHARDS_MAX;
}

static bool parse_tree(struct ty_reader *payload, struct ty_dump_record *record)
{
    size_t length;
    const uint8_t *name;

    record->tree = ty_get_u8(payload);
    length = (size_t)(payload->end - payload->at);
    if (payload->failed || length == 0 || length >= sizeof(record->name))
        return false;
    name = ty_get_bytes(payload, length);
    memcpy(record->name, name, length);
    record->name[length] = '\0';
    return memchr(name, '\0', length) == NULL && record->tree < TY_DUMP_TREES_MAX;
}

static bool parse_entry(struct ty_reader *payload, struct ty_dump_record *record)
{
    struct ty_entry *entry = &record->entry;

    record->shard.shard = (uint16_t)ty_get_u16(payload);
    record->tree = ty_get_u8(payload);
    entry->key_length = ty_get_u16(payload);
    entry->key = ty_get_bytes(payload, entry->key_length);
    if (entry->key == NULL || entry->key_length == 0)
        return false;
    entry->value_length = (size_t)(payload->end - payload->at);
    entry->value = ty_get_bytes(payload, entry->value_length);
    return record->tree < TY_DUMP_TREES_MAX && record->shard.shard < TY_DUMP_SHARDS_MAX;
}

static bool parse(struct ty_reader payload, struct ty_dump_record *record)
{
    bool valid;

    switch (record->tag) {
    case TY_DUMP_DATABASE:
        valid = parse_database(&payload, &record->database);
        break;
    case TY_DUMP_SHARD:
        record->shard.shard = (uint16_t)ty_get_u16(&payload);
        record->shard.first_sequence = ty_get_u64(&payload);
        record->shard.bytes = ty_get_u64(&payload);
        valid = record->shard.shard < TY_DUMP_SHARDS_MAX;
        break;
    case TY_DUMP_TREE:
        valid = parse_tree(&payload, record);
        break;
    case TY_DUMP_ENTRY:
        valid = parse_entry(&payload, record);
        break;
    case TY_DUMP_END:
        record->entries = ty_get_u64(&payload);
        valid = true;
        break;
    default:
        valid = false;
    }
    return valid && !payload.failed && payload.at == payload.end;
}

static tally_status damaged(const struct ty_dump_reader *reader, const char *what,
                            tally_error *error)
{
    return ty_fail(error, TALLY_CORRUPT, "the dump is damaged: record %llu, before byte %llu, %s",
                   (unsigned long long)reader->records, (unsigned long long)reader->bytes, what);
}

/* Reads head, payload and checksum into the buffer, and checks them. */
static tally_status read_record(struct ty_dump_reader *reader, size_t *length, tally_error *error)
{
    struct ty_reader sum;
    const uint8_t *head;
    tally_status status = read_bytes(reader, HEAD_BYTES, error);

    if (status != TALLY_OK)
        return status;
    head = (const uint8_t *)reader->payload.data;
    *length = head[1] | (size_t)head[2] << 8 | (size_t)head[3] << 16 | (size_t)head[4] << 24;
    if (*length > TY_DUMP_RECORD_MAX)
        return damaged(reader, "has an impossible length", error);
    status = read_bytes(reader, *length + SUM_BYTES, error);
    if (status != TALLY_OK)
        return status;
    head = (const uint8_t *)reader->payload.data; /* It may have moved. */
    sum = ty_reader_of(head + HEAD_BYTES + *length, SUM_BYTES);
    if (ty_get_u64(&sum) != checksum(reader->records, head, head + HEAD_BYTES, *length))
        return damaged(reader, "does not match its checksum", error);
    return TALLY_OK;
}

/* Behind the last record there must be nothing. */
static tally_status check_end(struct ty_dump_reader *reader, const struct ty_dump_record *record,
                              tally_error *error)
{
    char more;

    reader->ended = true;
    if (record->entries != reader->entries)
        return ty_fail(error, TALLY_CORRUPT, "the dump has %llu entries instead of %llu",
                       (unsigned long long)reader->entries, (unsigned long long)record->entries);
    if (reader->read(reader->context, &more, 1) != 0)
        return ty_fail(error, TALLY_CORRUPT, "there is more behind the end of the dump");
    return TALLY_OK;
}

tally_status ty_dump_next(struct ty_dump_reader *reader, struct ty_dump_record *record, bool *found,
                          tally_error *error)
{
    size_t length = 0;
    tally_status status = TALLY_OK;

    *found = false;
    reader->payload.length = 0;
    if (reader->ended)
        return TALLY_OK;
    if (!reader->begun)
        status = read_beginning(reader, error);
    reader->payload.length = 0;
    if (status == TALLY_OK)
        status = read_record(reader, &length, error);
    if (status != TALLY_OK)
        return status;
    record->tag = (enum ty_dump_tag)(uint8_t)reader->payload.data[0];
    if (!parse(ty_reader_of(reader->payload.data + HEAD_BYTES, length), record))
        return damaged(reader, "is malformed, or of a newer version", error);
    if ((record->tag == TY_DUMP_DATABASE) != (reader->records == 0))
        return damaged(reader, "is not in its place", error);
    reader->records++;
    reader->entries += record->tag == TY_DUMP_ENTRY;
    *found = true;
    return record->tag == TY_DUMP_END ? check_end(reader, record, error) : TALLY_OK;
}

void ty_dump_reader_fini(struct ty_dump_reader *reader)
{
    ty_buffer_fini(&reader->payload);
}
