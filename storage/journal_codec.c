#include "storage/journal_codec.h"

#include "storage/value_header.h"

#define VERSION   1
#define KEY_BYTES 8 /* of the sequence */
#define BODY_AT   TY_VALUE_BODY_AT

enum { TAG_SERIES = 1, TAG_GROUP = 2, TAG_VOID = 3 }; /* of records */
enum { ENTRY_EVENT = 1 };                             /* of entries within a group */

/* What an event's flag byte says; absent fields are at their default. */
enum {
    HAS_TIME = 1 << 0,
    ID_IS_UUID = 1 << 1, /* the id is a lower-case UUID, kept as its 16 bytes */
    HAS_SOURCE = 1 << 2,
    HAS_USER = 1 << 3,
    HAS_CREDITS = 1 << 4,
    HAS_DOCUMENTS = 1 << 5,
    HAS_PAGES = 1 << 6,
    HAS_PROCESSING = 1 << 7
};

#define SERIES_BYTES_MAX   (2 + TY_VARINT_BYTES_MAX + 32)
#define GROUP_LENGTH_BYTES 5 /* a varint padded to five bytes, to be filled in at the end */
#define EVENT_LENGTH_BYTES 2 /* likewise */
#define EVENT_BYTES_MAX                                                                            \
    (1 + EVENT_LENGTH_BYTES + 1 + 6 * TY_VARINT_BYTES_MAX + 2 + TALLY_ID_BYTES_MAX + 2 +           \
     TALLY_SOURCE_BYTES_MAX + 2 + TALLY_USER_BYTES_MAX)

#define VOID_BYTES_MAX                                                                             \
    (1 + EVENT_LENGTH_BYTES + 4 * TY_VARINT_BYTES_MAX + 2 + TY_VOID_REASON_BYTES_MAX +             \
     EVENT_BYTES_MAX)

_Static_assert(VOID_BYTES_MAX < 1 << 14, "an event's length, and a void's, fits two bytes");

void ty_journal_begin(struct ty_buffer *value, const struct ty_journal_header *header)
{
    uint8_t *out = (uint8_t *)ty_buffer_reserve(value, TY_JOURNAL_HEADER_BYTES);

    TY_ASSERT(value->length == 0);
    if (out == NULL)
        return;
    ty_put_u64(out + BODY_AT, (uint64_t)header->received_ms);
    ty_put_u64(out + BODY_AT + 8, (uint64_t)header->arrival_ms);
    value->length += TY_JOURNAL_HEADER_BYTES;
}

void ty_journal_put_series(struct ty_buffer *value, uint32_t id, const struct ty_uuid *customer,
                           const struct ty_uuid *workflow)
{
    uint8_t *start = (uint8_t *)ty_buffer_reserve(value, SERIES_BYTES_MAX), *end;

    if (start == NULL)
        return;
    end = ty_put_varint(start + 2, id);
    end = ty_put_bytes(end, customer->bytes, 16);
    end = ty_put_bytes(end, workflow->bytes, 16);
    start[0] = TAG_SERIES;
    start[1] = (uint8_t)(end - start - 2);
    value->length += (size_t)(end - start);
}

size_t ty_journal_begin_group(struct ty_buffer *value, uint32_t series)
{
    size_t group = value->length;
    uint8_t *out = (uint8_t *)ty_buffer_reserve(value, 1 + GROUP_LENGTH_BYTES + 5);

    if (out == NULL)
        return group;
    out[0] = TAG_GROUP;
    value->length += (size_t)(ty_put_varint(out + 1 + GROUP_LENGTH_BYTES, series) - out);
    return group;
}

void ty_journal_end_group(struct ty_buffer *value, size_t group)
{
    size_t length = value->length - group - 1 - GROUP_LENGTH_BYTES;

    if (!ty_buffer_ok(value))
        return;
    for (int i = 0; i < GROUP_LENGTH_BYTES; i++)
        value->data[group + 1 + (size_t)i] =
            (char)((length >> 7 * i & 0x7f) | (i < GROUP_LENGTH_BYTES - 1 ? 0x80 : 0));
}

static uint8_t *put_text(uint8_t *out, struct ty_text text)
{
    return ty_put_bytes(ty_put_varint(out, text.length), text.data, text.length);
}

static uint8_t *put_number(uint8_t *out, uint64_t value, uint8_t flag, uint8_t *flags)
{
    if (value == 0)
        return out;
    *flags |= flag;
    return ty_put_varint(out, value);
}

static bool get_id_uuid(const struct ty_event *event, struct ty_uuid *uuid)
{
    if (event->id_form == TY_ID_UNKNOWN)
        return ty_uuid_parse_canonical(event->id.data, event->id.length, uuid);
    *uuid = event->id_uuid;
    return event->id_form == TY_ID_UUID;
}

static uint8_t *put_event_payload(uint8_t *out, const struct ty_event *event, int64_t received_ms)
{
    uint8_t flags = 0, *end = out + 1;
    struct ty_uuid uuid;
    bool is_uuid = get_id_uuid(event, &uuid);

    if (event->time_ms != TALLY_TIME_OF_ARRIVAL) {
        flags |= HAS_TIME;
        end = ty_put_varint(end, ty_zigzag(event->time_ms - received_ms));
    }
    if (is_uuid) {
        flags |= ID_IS_UUID;
        end = ty_put_bytes(end, uuid.bytes, sizeof(uuid.bytes));
    } else {
        end = put_text(end, event->id);
    }
    if (event->source.length != 0) {
        flags |= HAS_SOURCE;
        end = put_text(end, event->source);
    }
    if (event->user.length != 0) {
        flags |= HAS_USER;
        end = put_text(end, event->user);
    }
    end = put_number(end, ty_zigzag(event->credits), HAS_CREDITS, &flags);
    end = put_number(end, event->documents, HAS_DOCUMENTS, &flags);
    end = put_number(end, event->pages, HAS_PAGES, &flags);
    end = put_number(end, event->processing_ms, HAS_PROCESSING, &flags);
    out[0] = flags;
    return end;
}

void ty_journal_put_event(struct ty_buffer *value, const struct ty_event *event,
                          int64_t received_ms)
{
    uint8_t *start = (uint8_t *)ty_buffer_reserve(value, EVENT_BYTES_MAX), *payload, *end;
    size_t length;

    if (start == NULL)
        return;
    /* Most events are shorter than 128 bytes, so their length is one byte: write for that case
     * first and move up when it was wrong. */
    payload = start + 2;
    end = put_event_payload(payload, event, received_ms);
    length = (size_t)(end - payload);
    start[0] = ENTRY_EVENT;
    start[1] = (uint8_t)length;
    if (length >= 0x80) {
        memmove(payload + 1, payload, length);
        end = ty_put_varint(start + 1, length) + length;
    }
    value->length += (size_t)(end - start);
}

void ty_journal_put_void(struct ty_buffer *value, const struct ty_void *what, int64_t received_ms)
{
    uint8_t *start = (uint8_t *)ty_buffer_reserve(value, VOID_BYTES_MAX), *payload, *end;
    size_t length;

    TY_ASSERT(what->reason.length <= TY_VOID_REASON_BYTES_MAX);
    if (start == NULL)
        return;
    payload = start + 1 + EVENT_LENGTH_BYTES;
    end = ty_put_varint(payload, what->place.series);
    end = ty_put_varint(end, what->place.sequence);
    end = ty_put_varint(end, what->place.index);
    end = ty_put_varint(end, ty_zigzag(what->received_ms - received_ms));
    end = put_text(end, what->reason);
    end = put_event_payload(end, &what->event, what->received_ms);
    length = (size_t)(end - payload);
    start[0] = TAG_VOID;
    start[1] = (uint8_t)((length & 0x7f) | 0x80); /* padded to two bytes */
    start[2] = (uint8_t)(length >> 7);
    value->length += (size_t)(end - start);
}

void ty_journal_finish(struct ty_buffer *value, uint64_t sequence)
{
    uint8_t key[KEY_BYTES];

    ty_put_u64_be(key, sequence);
    if (ty_buffer_ok(value))
        ty_value_seal(key, sizeof(key), VERSION, (uint8_t *)value->data, value->length);
}

/* --- Reading --- */

bool ty_journal_read_header(const void *data, size_t length, struct ty_journal_header *header)
{
    struct ty_reader reader = ty_reader_of(data, length);

    if (ty_get_u8(&reader) != VERSION || ty_get_bytes(&reader, 8) == NULL)
        return false;
    header->received_ms = (int64_t)ty_get_u64(&reader);
    header->arrival_ms = (int64_t)ty_get_u64(&reader);
    return !reader.failed;
}

bool ty_journal_open(struct ty_journal_cursor *cursor, uint64_t sequence, const void *data,
                     size_t length)
{
    struct ty_reader reader;
    uint8_t key[KEY_BYTES];

    *cursor = (struct ty_journal_cursor){0};
    ty_put_u64_be(key, sequence);
    if (length < TY_JOURNAL_HEADER_BYTES)
        cursor->problem = "shorter than its header";
    else
        cursor->problem = ty_value_open(key, sizeof(key), VERSION, data, length, &reader);
    if (cursor->problem == NULL && !ty_journal_read_header(data, length, &cursor->header))
        cursor->problem = "malformed header";
    cursor->at = (const uint8_t *)data + TY_JOURNAL_HEADER_BYTES;
    cursor->end = (const uint8_t *)data + length;
    return cursor->problem == NULL;
}

static struct ty_text get_text(struct ty_reader *reader, uint64_t length_max)
{
    uint64_t length = ty_get_varint(reader);

    if (length > length_max) {
        reader->failed = true;
        return (struct ty_text){0};
    }
    return (struct ty_text){.data = (const char *)ty_get_bytes(reader, (size_t)length),
                            .length = (size_t)length};
}

static uint64_t get_number(struct ty_reader *reader, bool present, uint64_t max)
{
    uint64_t value = present ? ty_get_varint(reader) : 0;

    if (value > max)
        reader->failed = true;
    return value;
}

static bool get_event(struct ty_reader payload, int64_t received_ms,
                      struct ty_journal_record *record)
{
    struct ty_event *event = &record->event;
    uint8_t flags = ty_get_u8(&payload);
    const uint8_t *uuid;

    *event = (struct ty_event){.time_ms = TALLY_TIME_OF_ARRIVAL};
    if (flags & HAS_TIME)
        event->time_ms = received_ms + ty_unzigzag(ty_get_varint(&payload));
    if (!(flags & ID_IS_UUID)) {
        event->id = get_text(&payload, TALLY_ID_BYTES_MAX);
    } else if ((uuid = ty_get_bytes(&payload, 16)) != NULL) {
        struct ty_uuid id;

        memcpy(id.bytes, uuid, sizeof(id.bytes));
        ty_uuid_format(&id, record->id_text);
        event->id = (struct ty_text){.data = record->id_text, .length = TY_UUID_TEXT_LENGTH};
    }
    if (flags & HAS_SOURCE)
        event->source = get_text(&payload, TALLY_SOURCE_BYTES_MAX);
    if (flags & HAS_USER)
        event->user = get_text(&payload, TALLY_USER_BYTES_MAX);
    event->credits = ty_unzigzag(get_number(&payload, flags & HAS_CREDITS, UINT64_MAX));
    event->documents = (uint32_t)get_number(&payload, flags & HAS_DOCUMENTS, UINT32_MAX);
    event->pages = (uint32_t)get_number(&payload, flags & HAS_PAGES, UINT32_MAX);
    event->processing_ms = get_number(&payload, flags & HAS_PROCESSING, UINT64_MAX);
    return !payload.failed && payload.at == payload.end;
}

static bool get_series(struct ty_reader payload, struct ty_journal_record *record)
{
    const uint8_t *uuids;

    record->kind = TY_JOURNAL_SERIES;
    record->series = (uint32_t)get_number(&payload, true, UINT32_MAX);
    uuids = ty_get_bytes(&payload, 32);
    if (uuids == NULL || payload.at != payload.end)
        return false;
    memcpy(record->customer.bytes, uuids, 16);
    memcpy(record->workflow.bytes, uuids + 16, 16);
    return true;
}

static bool get_void(struct ty_reader payload, int64_t received_ms,
                     struct ty_journal_record *record)
{
    record->kind = TY_JOURNAL_VOID;
    record->series = (uint32_t)get_number(&payload, true, UINT32_MAX);
    record->voided_sequence = ty_get_varint(&payload);
    record->index = (uint32_t)get_number(&payload, true, UINT32_MAX);
    record->voided_received_ms =
        (int64_t)((uint64_t)received_ms + (uint64_t)ty_unzigzag(ty_get_varint(&payload)));
    record->reason = get_text(&payload, TY_VOID_REASON_BYTES_MAX);
    return !payload.failed && get_event(payload, record->voided_received_ms, record);
}

/* The tag and payload that come next; false when the bytes end too early. */
static bool get_tagged(struct ty_journal_cursor *cursor, const uint8_t *end, uint8_t *tag,
                       struct ty_reader *payload)
{
    struct ty_reader reader = {.at = cursor->at, .end = end};
    uint64_t length;
    const uint8_t *data;

    *tag = ty_get_u8(&reader);
    length = ty_get_varint(&reader);
    data = ty_get_bytes(&reader, (size_t)length);
    if (data == NULL)
        return false;
    *payload = ty_reader_of(data, (size_t)length);
    cursor->at = reader.at;
    return true;
}

/* Enters the groups and passes over their ends, up to the next entry or record. False at the end of
 * the value, with *end set, or when something is malformed. */
static bool next_record(struct ty_journal_cursor *cursor, struct ty_journal_record *record,
                        bool *end)
{
    struct ty_reader payload;
    uint8_t tag;

    for (;;) {
        if (cursor->group_end != NULL && cursor->at == cursor->group_end)
            cursor->group_end = NULL;
        if (cursor->group_end != NULL) {
            record->kind = TY_JOURNAL_EVENT;
            record->series = cursor->group_series;
            record->index = cursor->group_index++;
            return get_tagged(cursor, cursor->group_end, &tag, &payload) && tag == ENTRY_EVENT &&
                   get_event(payload, cursor->header.received_ms, record);
        }
        *end = cursor->at == cursor->end; /* An empty group may have come last. */
        if (*end || !get_tagged(cursor, cursor->end, &tag, &payload))
            return false;
        if (tag == TAG_SERIES)
            return get_series(payload, record);
        if (tag == TAG_VOID)
            return get_void(payload, cursor->header.received_ms, record);
        if (tag != TAG_GROUP)
            return false;
        cursor->group_end = payload.end;
        cursor->group_series = (uint32_t)get_number(&payload, true, UINT32_MAX);
        cursor->group_index = 0;
        cursor->at = payload.at;
        if (payload.failed)
            return false;
    }
}

bool ty_journal_next(struct ty_journal_cursor *cursor, struct ty_journal_record *record)
{
    bool end = false;

    if (cursor->problem != NULL)
        return false;
    if (next_record(cursor, record, &end))
        return true;
    if (!end)
        cursor->problem = "malformed record";
    return false;
}

void ty_journal_skip_group(struct ty_journal_cursor *cursor)
{
    if (cursor->group_end != NULL)
        cursor->at = cursor->group_end;
}
