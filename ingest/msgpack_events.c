#include "ingest/msgpack_events.h"

#include "engine/utf8.h"
#include "ingest/event_fields.h"
#include "ingest/msgpack_frame.h"

#include <string.h>

#define POSITIONS_MIN 7

/* The fields of an array by position. */
static const enum ty_field positions[] = {
    TY_FIELD_ID,        TY_FIELD_CUSTOMER_ID, TY_FIELD_WORKFLOW_ID,   TY_FIELD_CREDITS,
    TY_FIELD_DOCUMENTS, TY_FIELD_PAGES,       TY_FIELD_PROCESSING_MS, TY_FIELD_USER_ID,
};

static struct ty_text text_of(const char *words)
{
    return (struct ty_text){.data = words, .length = strlen(words)};
}

bool ty_msgpack_event_time(const struct ty_msgpack_value *value, int64_t *time_ms)
{
    if (value->kind != TY_MSGPACK_EXTENSION || value->type != 0 || value->text.length != 8)
        return false;
    *time_ms = (int64_t)(ty_msgpack_read(value->text.data, 4) * 1000 +
                         ty_msgpack_read(value->text.data + 4, 4) / 1000000);
    return true;
}

/* --- Values of fields --- */

/* Passes what is in a value whose head was taken. */
static bool skip_rest(struct ty_msgpack *msgpack, const struct ty_msgpack_value *value)
{
    if (value->kind == TY_MSGPACK_ARRAY)
        return ty_msgpack_skip_values(msgpack, value->count);
    if (value->kind == TY_MSGPACK_MAP)
        return ty_msgpack_skip_values(msgpack, 2 * (uint64_t)value->count);
    return true;
}

static void set_text(struct ty_value *field, struct ty_text text)
{
    if (ty_utf8_check(text.data, text.length) == text.length)
        *field = (struct ty_value){.kind = TY_VALUE_TEXT, .text = text};
    else
        *field =
            (struct ty_value){.kind = TY_VALUE_OTHER, .text = text_of("a text that is not UTF-8")};
}

/* An extension is a number where it is a time and a time is wanted. */
static void set_extension(struct ty_value *field, const struct ty_msgpack_value *value,
                          bool time_is_wanted)
{
    int64_t time_ms;

    if (time_is_wanted && ty_msgpack_event_time(value, &time_ms))
        *field = (struct ty_value){.kind = TY_VALUE_INTEGER, .magnitude = (uint64_t)time_ms};
    else
        *field = (struct ty_value){.kind = TY_VALUE_OTHER,
                                   .text = text_of(ty_msgpack_kind_name(value->kind))};
}

/* The value as event_fields takes it. */
static void convert(const struct ty_msgpack_value *value, enum ty_field wanted,
                    struct ty_value *field)
{
    switch (value->kind) {
    case TY_MSGPACK_NIL:
        *field = (struct ty_value){.kind = TY_VALUE_NULL};
        return;
    case TY_MSGPACK_INTEGER:
        *field = (struct ty_value){
            .kind = TY_VALUE_INTEGER, .negative = value->negative, .magnitude = value->magnitude};
        return;
    case TY_MSGPACK_FLOAT:
        *field = (struct ty_value){.kind = TY_VALUE_FLOAT, .number = value->number};
        return;
    case TY_MSGPACK_DOUBLE:
        *field = (struct ty_value){.kind = TY_VALUE_DOUBLE, .number = value->number};
        return;
    case TY_MSGPACK_TEXT:
        set_text(field, value->text);
        return;
    case TY_MSGPACK_BYTES:
        *field = (struct ty_value){.kind = TY_VALUE_BYTES, .text = value->text};
        return;
    case TY_MSGPACK_EXTENSION:
        set_extension(field, value, wanted == TY_FIELD_TIME);
        return;
    case TY_MSGPACK_BOOLEAN:
        *field = (struct ty_value){.kind = TY_VALUE_OTHER,
                                   .text = text_of(value->truth ? "true" : "false")};
        return;
    case TY_MSGPACK_ARRAY:
    case TY_MSGPACK_MAP:
        *field = (struct ty_value){.kind = TY_VALUE_OTHER,
                                   .text = text_of(ty_msgpack_kind_name(value->kind))};
        return;
    }
}

static bool read_field(struct ty_msgpack *msgpack, struct ty_record *record, enum ty_field field)
{
    struct ty_msgpack_value value;
    struct ty_value converted;

    if (!ty_msgpack_next(msgpack, &value))
        return false;
    if (field != TY_FIELD_UNKNOWN) {
        convert(&value, field, &converted);
        ty_event_fields_set(record, field, &converted);
    }
    return skip_rest(msgpack, &value);
}

/* --- Records --- */

static bool read_map(struct ty_msgpack *msgpack, struct ty_record *record, uint32_t count)
{
    struct ty_msgpack_value name;

    for (uint32_t i = 0; i < count; i++) {
        enum ty_field field = TY_FIELD_UNKNOWN;

        if (!ty_msgpack_next(msgpack, &name) || !skip_rest(msgpack, &name))
            return false;
        if (name.kind == TY_MSGPACK_TEXT)
            field = ty_event_fields_find(name.text.data, name.text.length);
        if (!read_field(msgpack, record, field))
            return false;
    }
    return true;
}

static bool read_array(struct ty_msgpack *msgpack, struct ty_record *record, uint32_t count)
{
    if (count < POSITIONS_MIN || count > TY_COUNT_OF(positions)) {
        ty_event_fields_fail(
            record, TALLY_INVALID_FIELD,
            ty_arena_format(&record->batch->arena,
                            "the record is an array of %u elements; allowed are 7 or 8: [id, "
                            "customer_id, workflow_id, credits, documents, pages, processing_ms, "
                            "user_id]",
                            count));
        return ty_msgpack_skip_values(msgpack, count);
    }
    for (uint32_t i = 0; i < count; i++)
        if (!read_field(msgpack, record, positions[i]))
            return false;
    return true;
}

static void fail_kind(struct ty_record *record, enum ty_msgpack_kind kind)
{
    ty_event_fields_fail(record, TALLY_INVALID_FIELD,
                         ty_arena_format(&record->batch->arena,
                                         "the record is %s, not a map or an array of fields",
                                         ty_msgpack_kind_name(kind)));
}

/* Any record, with every check. */
static bool read_record(struct ty_msgpack *msgpack, int64_t time_ms, struct ty_batch *batch)
{
    struct ty_msgpack_value head;
    struct ty_record record;
    bool ok = true;

    if (!ty_msgpack_next(msgpack, &head) || !ty_event_fields_begin(&record, batch))
        return false;
    record.event->time_ms = time_ms;
    if (head.kind == TY_MSGPACK_MAP)
        ok = read_map(msgpack, &record, head.count);
    else if (head.kind == TY_MSGPACK_ARRAY)
        ok = read_array(msgpack, &record, head.count);
    else
        fail_kind(&record, head.kind);
    ty_event_fields_end(&record);
    return ok && !batch->failed;
}

/* --- The fast form: an array whose values are all of the plainest kind. Whatever is not goes the
 * way above, which decides what is allowed; here only what surely is. --- */

static const uint8_t *fast_uuid(const uint8_t *at, struct ty_uuid *uuid)
{
    if (at[0] != 0xc4 || at[1] != sizeof(uuid->bytes))
        return NULL;
    memcpy(uuid->bytes, at + 2, sizeof(uuid->bytes));
    return at + 2 + sizeof(uuid->bytes);
}

/* An integer of 0 to 2^32-1; `at` has at least 5 bytes. */
static const uint8_t *fast_count(const uint8_t *at, uint32_t *count)
{
    if (at[0] < 0x80) {
        *count = at[0];
        return at + 1;
    }
    if (at[0] < 0xcc || at[0] > 0xce)
        return NULL;
    *count = (uint32_t)ty_msgpack_read(at + 1, 1u << (at[0] - 0xcc));
    return at + 1 + (1u << (at[0] - 0xcc));
}

#define FAST_BYTES_MAX (1 + 3 * 18 + 4 * 5) /* a head, three UUIDs, four counts */

/* Takes a record [uuid, uuid, uuid, count, count, count, count], or nothing. */
static bool take_fast(struct ty_msgpack *msgpack, int64_t time_ms, struct ty_batch *batch)
{
    const uint8_t *at = msgpack->at;
    struct ty_uuid id, customer, workflow;
    uint32_t credits, documents, pages, processing_ms;
    struct ty_event *event;
    char *text;

    if (msgpack->end - at < FAST_BYTES_MAX || *at != (0x90 | POSITIONS_MIN))
        return false;
    if ((at = fast_uuid(at + 1, &id)) == NULL || (at = fast_uuid(at, &customer)) == NULL ||
        (at = fast_uuid(at, &workflow)) == NULL || (at = fast_count(at, &credits)) == NULL ||
        (at = fast_count(at, &documents)) == NULL || (at = fast_count(at, &pages)) == NULL ||
        (at = fast_count(at, &processing_ms)) == NULL ||
        credits > TALLY_CREDITS_MICRO_MAX / 1000000)
        return false;
    text = ty_arena_alloc(&batch->arena, TY_UUID_TEXT_LENGTH);
    event = text == NULL ? NULL : ty_batch_add(batch);
    if (event == NULL)
        return false; /* The other way meets the lack of memory again, and says so. */
    ty_uuid_format(&id, text);
    event->id = (struct ty_text){.data = text, .length = TY_UUID_TEXT_LENGTH};
    event->id_form = TY_ID_UUID;
    event->id_uuid = id;
    event->customer = customer;
    event->workflow = workflow;
    event->time_ms = time_ms;
    event->credits = (int64_t)credits * 1000000;
    event->documents = documents;
    event->pages = pages;
    event->processing_ms = processing_ms;
    msgpack->at = at;
    return true;
}

bool ty_msgpack_events_record(struct ty_msgpack *msgpack, int64_t time_ms, struct ty_batch *batch)
{
    return take_fast(msgpack, time_ms, batch) || read_record(msgpack, time_ms, batch);
}

/* --- Bodies --- */

/* An array by position with an id of one byte: no good record is shorter. */
#define GOOD_RECORD_BYTES_MIN (1 + 2 + 2 * 18 + 4)

static enum ty_decode_status refuse(struct ty_decode_error *error, const struct ty_msgpack *at,
                                    const char *message)
{
    *error = (struct ty_decode_error){.message = message, .byte = (size_t)(at->at - at->start)};
    return TY_DECODE_REFUSED;
}

enum ty_decode_status ty_msgpack_events_decode(const char *data, size_t length,
                                               struct ty_batch *batch,
                                               struct ty_decode_error *error)
{
    struct ty_msgpack msgpack;
    struct ty_msgpack_value head;
    uint32_t count = 1;

    ty_msgpack_init(&msgpack, data, length);
    if (!ty_msgpack_next(&msgpack, &head))
        return refuse(error, &msgpack, msgpack.error);
    if (head.kind == TY_MSGPACK_ARRAY)
        count = head.count;
    else
        ty_msgpack_init(&msgpack, data, length);
    if (head.kind != TY_MSGPACK_ARRAY && head.kind != TY_MSGPACK_MAP)
        return refuse(error, &msgpack,
                      "the body is neither a map (an event) nor an array of events");
    if (count > TY_DECODE_RECORDS_MAX)
        return refuse(error, &msgpack, TY_DECODE_RECORDS_MAX_TEXT);
    ty_batch_reserve(batch, TY_MIN(count, ty_msgpack_count_max(&msgpack) / GOOD_RECORD_BYTES_MIN));
    for (uint32_t i = 0; i < count; i++)
        if (!ty_msgpack_events_record(&msgpack, TALLY_TIME_OF_ARRIVAL, batch))
            return batch->failed ? TY_DECODE_NO_MEMORY : refuse(error, &msgpack, msgpack.error);
    if (msgpack.at != msgpack.end)
        return refuse(error, &msgpack, "more bytes follow the value");
    return batch->failed ? TY_DECODE_NO_MEMORY : TY_DECODE_OK;
}
