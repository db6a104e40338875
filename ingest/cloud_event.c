#include "ingest/cloud_event.h"

#include "ingest/json_record.h"
#include "ingest/media_type.h"

#include <sodium.h>
#include <string.h>

#define DATA_ALLOWED "an object with workflow_id and what was used"

/* The fields that data may have. */
#define DATA_FIELDS (TY_JSON_RECORD_ALL & ~(1u << TY_FIELD_ID | 1u << TY_FIELD_TIME))

typedef bool setter(struct ty_cloud_event *event, const struct ty_value *value);

static bool fail(struct ty_cloud_event *event, const char *name, const struct ty_value *value,
                 const char *wrong, const char *allowed)
{
    ty_event_fields_fail_value(&event->record, name, value, TALLY_INVALID_FIELD, wrong, allowed);
    return false;
}

static bool fail_length(struct ty_cloud_event *event, const char *name,
                        const struct ty_value *value, const char *wrong, const char *allowed)
{
    ty_event_fields_fail_value(&event->record, name, value, TALLY_OUT_OF_RANGE, wrong, allowed);
    return false;
}

static bool set_specversion(struct ty_cloud_event *event, const struct ty_value *value)
{
    return (value->kind == TY_VALUE_TEXT && value->text.length == 3 &&
            memcmp(value->text.data, "1.0", 3) == 0) ||
           fail(event, "specversion", value, "is not supported", "the text \"1.0\"");
}

static bool set_id(struct ty_cloud_event *event, const struct ty_value *value)
{
    ty_event_fields_set(&event->record, TY_FIELD_ID, value);
    return true;
}

static bool set_source(struct ty_cloud_event *event, const struct ty_value *value)
{
    static const char allowed[] = "text of 1 to 1024 bytes of UTF-8, without U+0000";

    _Static_assert(TALLY_SOURCE_BYTES_MAX == 1024, "allowed text");
    if (value->kind != TY_VALUE_TEXT)
        return fail(event, "source", value, "is not text", allowed);
    if (value->text.length == 0)
        return fail_length(event, "source", value, "is empty", allowed);
    if (value->text.length > TALLY_SOURCE_BYTES_MAX)
        return fail_length(event, "source", value, "is too long", allowed);
    if (memchr(value->text.data, '\0', value->text.length) != NULL)
        return fail(event, "source", value, "holds U+0000", allowed);
    event->record.event->source = value->text;
    return true;
}

static bool set_type(struct ty_cloud_event *event, const struct ty_value *value)
{
    static const char allowed[] = "text that is not empty";

    if (value->kind != TY_VALUE_TEXT)
        return fail(event, "type", value, "is not text", allowed);
    return value->text.length != 0 || fail_length(event, "type", value, "is empty", allowed);
}

static bool set_time(struct ty_cloud_event *event, const struct ty_value *value)
{
    if (value->kind != TY_VALUE_TEXT)
        return fail(event, "time", value, "is not text",
                    "a date-time as in RFC 3339 with its zone");
    ty_event_fields_set(&event->record, TY_FIELD_TIME, value);
    return true;
}

static bool set_subject(struct ty_cloud_event *event, const struct ty_value *value)
{
    return (value->kind == TY_VALUE_TEXT &&
            ty_uuid_parse(value->text.data, value->text.length, &event->subject)) ||
           fail(event, "subject", value, "is not a UUID",
                "the customer: 36 characters, 8-4-4-4-12 hexadecimal digits");
}

static bool set_datacontenttype(struct ty_cloud_event *event, const struct ty_value *value)
{
    return (value->kind == TY_VALUE_TEXT && ty_media_type_is_json(value->text)) ||
           fail(event, "datacontenttype", value, "is not JSON",
                "application/json, or a type that ends in +json");
}

/* The last two hold more than a value, and are taken by functions of their own. */
static const struct {
    const char *name;
    setter *set;
    const char *missing; /* the message for a required one that is absent; NULL: optional */
} attributes[TY_CLOUD_ATTRIBUTE_COUNT] = {
    [TY_CLOUD_SPECVERSION] = {"specversion", set_specversion,
                              "specversion: missing; it is required (the text \"1.0\")"},
    [TY_CLOUD_ID] = {"id", set_id, "id: missing; it is required (text of 1 to 128 bytes)"},
    [TY_CLOUD_SOURCE] = {"source", set_source,
                         "source: missing; it is required (text of 1 to 1024 bytes)"},
    [TY_CLOUD_TYPE] = {"type", set_type, "type: missing; it is required (text that is not empty)"},
    [TY_CLOUD_TIME] = {"time", set_time, NULL},
    [TY_CLOUD_SUBJECT] = {"subject", set_subject, NULL},
    [TY_CLOUD_DATACONTENTTYPE] = {"datacontenttype", set_datacontenttype, NULL},
    [TY_CLOUD_DATA] = {"data", NULL, "data: missing; it is required (" DATA_ALLOWED ")"},
    [TY_CLOUD_DATA_BASE64] = {"data_base64", NULL, NULL},
};

enum ty_cloud_attribute ty_cloud_event_find(struct ty_text name)
{
    unsigned i = 0;

    while (i < TY_CLOUD_ATTRIBUTE_COUNT &&
           (strlen(attributes[i].name) != name.length ||
            memcmp(attributes[i].name, name.data, name.length) != 0))
        i++;
    return i;
}

static void fail_twice(struct ty_record *record, enum ty_cloud_attribute attribute)
{
    if (record->result == TALLY_ACCEPTED)
        ty_event_fields_fail(record, TALLY_INVALID_FIELD,
                             ty_arena_format(&record->batch->arena,
                                             "%s: given twice (an attribute may be given once)",
                                             attributes[attribute].name));
}

bool ty_cloud_event_see(struct ty_cloud_event *event, enum ty_cloud_attribute attribute)
{
    if (attribute == TY_CLOUD_ATTRIBUTE_COUNT)
        return false;
    if ((event->seen & 1u << attribute) != 0) {
        fail_twice(&event->record, attribute);
        return false;
    }
    event->seen |= 1u << attribute;
    return true;
}

void ty_cloud_event_set(struct ty_cloud_event *event, enum ty_cloud_attribute attribute,
                        const struct ty_value *value)
{
    if (value->kind == TY_VALUE_NULL)
        return;
    if (event->record.result != TALLY_ACCEPTED && attribute != TY_CLOUD_ID)
        return;
    if (attributes[attribute].set(event, value))
        event->filled |= 1u << attribute;
}

bool ty_cloud_event_take_data(struct ty_cloud_event *event, struct ty_json *json)
{
    struct ty_value value;

    if (ty_json_peek(json) == TY_JSON_OBJECT && (event->filled & 1u << TY_CLOUD_DATA) == 0) {
        event->filled |= 1u << TY_CLOUD_DATA;
        return ty_json_record_members(json, &event->record, DATA_FIELDS);
    }
    if (!ty_json_record_value(json, event->record.batch, &value))
        return false;
    if (value.kind == TY_VALUE_NULL)
        return true;
    if ((event->filled & 1u << TY_CLOUD_DATA) != 0)
        fail(event, "data", &value, "is given beside data_base64", "one of the two");
    else
        fail(event, "data", &value, "is not an object", DATA_ALLOWED);
    return true;
}

/* Takes the JSON text that base64 held. What is wrong with it is wrong with this event only. */
static bool take_text(struct ty_cloud_event *event, const char *data, size_t length)
{
    struct ty_batch *batch = event->record.batch;
    struct ty_json json;

    ty_json_init(&json, data, length);
    if (ty_cloud_event_take_data(event, &json) && ty_json_end(&json))
        return true;
    if (batch->failed)
        return false;
    ty_event_fields_fail(
        &event->record, TALLY_INVALID_FIELD,
        ty_arena_format(&batch->arena, "data_base64: no JSON: %s (at byte %zu of what it encodes)",
                        json.error, json.error_byte));
    return true;
}

static bool take_encoded(struct ty_cloud_event *event, const struct ty_value *value)
{
    struct ty_batch *batch = event->record.batch;
    size_t room = value->text.length / 4 * 3 + 3, length;
    unsigned char *data = ty_arena_alloc(&batch->arena, room);

    if (data == NULL) {
        batch->failed = true;
        return false;
    }
    if (sodium_base642bin(data, room, value->text.data, value->text.length, NULL, &length, NULL,
                          sodium_base64_VARIANT_ORIGINAL) == 0)
        return take_text(event, (const char *)data, length);
    fail(event, "data_base64", value, "is not base64",
         "the alphabet of RFC 4648, section 4, with its padding");
    return true;
}

bool ty_cloud_event_take_base64(struct ty_cloud_event *event, struct ty_json *json)
{
    struct ty_value value;

    if (!ty_json_record_value(json, event->record.batch, &value))
        return false;
    if (value.kind == TY_VALUE_NULL || event->record.result != TALLY_ACCEPTED)
        return true;
    if (value.kind == TY_VALUE_TEXT && (event->filled & 1u << TY_CLOUD_DATA) == 0)
        return take_encoded(event, &value);
    if (value.kind == TY_VALUE_TEXT)
        fail(event, "data_base64", &value, "is given beside data", "one of the two");
    else
        fail(event, "data_base64", &value, "is not text", "base64 of a JSON object");
    return true;
}

static void settle_customer(struct ty_cloud_event *event)
{
    struct ty_record *record = &event->record;
    bool in_data = (record->filled & 1u << TY_FIELD_CUSTOMER_ID) != 0;

    if ((event->filled & 1u << TY_CLOUD_SUBJECT) == 0) {
        if (!in_data)
            ty_event_fields_fail(record, TALLY_MISSING_FIELD,
                                 "subject: missing; it is required (the customer, a UUID) unless "
                                 "data has customer_id");
        return;
    }
    if (in_data && memcmp(&event->subject, &record->event->customer, sizeof(event->subject)) != 0)
        ty_event_fields_fail(record, TALLY_INVALID_FIELD,
                             "customer_id: that of data is not the subject (they must be equal, "
                             "or one of them absent)");
    record->event->customer = event->subject;
    record->filled |= 1u << TY_FIELD_CUSTOMER_ID;
}

void ty_cloud_event_end(struct ty_cloud_event *event)
{
    struct ty_record *record = &event->record;

    for (unsigned i = 0; i < TY_CLOUD_ATTRIBUTE_COUNT && record->result == TALLY_ACCEPTED; i++)
        if (attributes[i].missing != NULL && (event->filled & 1u << i) == 0)
            ty_event_fields_fail(record, TALLY_MISSING_FIELD, attributes[i].missing);
    if (record->result == TALLY_ACCEPTED)
        settle_customer(event);
    ty_event_fields_end(record);
}

bool ty_cloud_event_begin(struct ty_cloud_event *event, struct ty_batch *batch)
{
    *event = (struct ty_cloud_event){0};
    return ty_event_fields_begin(&event->record, batch);
}
