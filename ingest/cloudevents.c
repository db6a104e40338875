#include "ingest/cloudevents.h"

#include "engine/utf8.h"
#include "ingest/cloud_event.h"
#include "ingest/json_record.h"
#include "ingest/percent.h"

#include <string.h>

static bool take_attribute(struct ty_cloud_event *event, struct ty_json *json,
                           enum ty_cloud_attribute attribute)
{
    struct ty_value value;

    if (!ty_cloud_event_see(event, attribute))
        return ty_json_skip(json);
    if (attribute == TY_CLOUD_DATA)
        return ty_cloud_event_take_data(event, json);
    if (attribute == TY_CLOUD_DATA_BASE64)
        return ty_cloud_event_take_base64(event, json);
    if (!ty_json_record_value(json, event->record.batch, &value))
        return false;
    ty_cloud_event_set(event, attribute, &value);
    return true;
}

static bool take_members(struct ty_cloud_event *event, struct ty_json *json)
{
    char room[TY_JSON_NAME_BYTES_MAX];
    struct ty_json_string name;
    enum ty_json_step step;

    ty_json_enter(json);
    for (bool first = true; (step = ty_json_next_member(json, first, &name)) == TY_JSON_ITEM;
         first = false)
        if (!take_attribute(event, json, ty_cloud_event_find(ty_json_record_name(&name, room))))
            return false;
    return step == TY_JSON_CLOSED;
}

/* Takes the next value as an event of the batch. False: malformed, no memory, or too many. */
static bool add_event(struct ty_json *json, struct ty_batch *batch)
{
    struct ty_cloud_event event;
    enum ty_json_kind kind = ty_json_peek(json);

    if (kind == TY_JSON_BAD)
        return false;
    if (batch->record_count >= TY_DECODE_RECORDS_MAX)
        return ty_json_fail(json, json->at, TY_DECODE_RECORDS_MAX_TEXT);
    if (!ty_cloud_event_begin(&event, batch))
        return false;
    if (kind != TY_JSON_OBJECT)
        ty_event_fields_fail(&event.record, TALLY_INVALID_FIELD, ty_json_record_no_object(kind));
    if (kind == TY_JSON_OBJECT ? !take_members(&event, json) : !ty_json_skip(json))
        return false;
    ty_cloud_event_end(&event);
    return !batch->failed;
}

static bool add_events(struct ty_json *json, struct ty_batch *batch)
{
    enum ty_json_step step;

    ty_json_enter(json);
    for (bool first = true; (step = ty_json_next_element(json, first)) == TY_JSON_ITEM;
         first = false)
        if (!add_event(json, batch))
            return false;
    return step == TY_JSON_CLOSED;
}

/* --- Bodies --- */

static enum ty_decode_status conclude(bool ok, const struct ty_json *json,
                                      const struct ty_batch *batch, struct ty_decode_error *error)
{
    if (ok)
        return TY_DECODE_OK;
    if (batch->failed)
        return TY_DECODE_NO_MEMORY;
    *error = (struct ty_decode_error){.message = json->error, .byte = json->error_byte};
    return TY_DECODE_REFUSED;
}

/* Reads a body of one event or an array of them, whichever `kinds` (1 << enum ty_json_kind) has. */
static enum ty_decode_status decode(const char *data, size_t length, struct ty_batch *batch,
                                    struct ty_decode_error *error, unsigned kinds,
                                    const char *refusal)
{
    struct ty_json json;
    enum ty_json_kind kind;
    bool ok;

    ty_json_init(&json, data, length);
    ty_json_skip_mark(&json);
    kind = ty_json_peek(&json);
    if ((kinds & 1u << kind) == 0)
        ok = ty_json_fail(&json, json.at, refusal); /* Keeps the error of no JSON at all. */
    else
        ok = (kind == TY_JSON_ARRAY ? add_events(&json, batch) : add_event(&json, batch)) &&
             ty_json_end(&json);
    return conclude(ok, &json, batch, error);
}

enum ty_decode_status ty_cloudevents_decode(const char *data, size_t length, struct ty_batch *batch,
                                            struct ty_decode_error *error)
{
    return decode(data, length, batch, error, 1u << TY_JSON_OBJECT,
                  "the body must be one CloudEvent, an object (an array of them is "
                  "application/cloudevents-batch+json)");
}

enum ty_decode_status ty_cloudevents_batch_decode(const char *data, size_t length,
                                                  struct ty_batch *batch,
                                                  struct ty_decode_error *error)
{
    return decode(data, length, batch, error, 1u << TY_JSON_ARRAY,
                  "the body must be an array of CloudEvents (a single one is "
                  "application/cloudevents+json)");
}

enum ty_decode_status ty_cloudevents_any_decode(const char *data, size_t length,
                                                struct ty_batch *batch,
                                                struct ty_decode_error *error)
{
    return decode(data, length, batch, error, 1u << TY_JSON_OBJECT | 1u << TY_JSON_ARRAY,
                  "the body must be a CloudEvent (an object), or an array of them");
}

/* --- Binary mode --- */

/*
 * Copies a header's value without its double quotes and the backslashes between them, in which
 * older versions of the binding wrote it (RFC 9110, section 5.6.4). False: no closing quote.
 */
static bool unquote(struct ty_text raw, char *out, size_t *length)
{
    const char *end = raw.data + raw.length;

    *length = raw.length;
    if (raw.length == 0 || raw.data[0] != '"') {
        memcpy(out, raw.data, raw.length);
        return true;
    }
    *length = 0;
    for (const char *at = raw.data + 1; at < end; at++) {
        if (*at == '"')
            return at + 1 == end;
        if (*at == '\\' && ++at == end)
            return false;
        out[(*length)++] = *at;
    }
    return false;
}

/* The value of a header in the batch's arena. False: malformed, or no memory (the batch failed). */
static bool decode_header(const struct ty_cloudevents_header *header, struct ty_batch *batch,
                          struct ty_text *value)
{
    char *text = ty_arena_alloc(&batch->arena, header->value.length);
    size_t length;

    if (text == NULL) {
        batch->failed = true;
        return false;
    }
    if (!unquote(header->value, text, &length) ||
        !ty_percent_decode((struct ty_text){text, length}, text, &length) ||
        ty_utf8_check(text, length) != length)
        return false;
    *value = (struct ty_text){text, length};
    return true;
}

static void take_header(struct ty_cloud_event *event, const struct ty_cloudevents_header *header)
{
    enum ty_cloud_attribute attribute = ty_cloud_event_find(header->name);
    struct ty_batch *batch = event->record.batch;
    struct ty_value value = {.kind = TY_VALUE_TEXT};

    if (attribute >= TY_CLOUD_HEADER_COUNT || !ty_cloud_event_see(event, attribute))
        return;
    if (decode_header(header, batch, &value.text))
        ty_cloud_event_set(event, attribute, &value);
    else if (!batch->failed)
        ty_event_fields_fail(&event->record, TALLY_INVALID_FIELD,
                             ty_arena_format(&batch->arena,
                                             "ce-%.*s: a malformed header (allowed is UTF-8, "
                                             "percent-encoded, without U+0000)",
                                             (int)header->name.length, header->name.data));
}

enum ty_decode_status ty_cloudevents_binary_decode(const struct ty_cloudevents_header *headers,
                                                   size_t header_count, const char *data,
                                                   size_t length, struct ty_batch *batch,
                                                   struct ty_decode_error *error)
{
    struct ty_cloud_event event;
    struct ty_json json;
    bool ok = ty_cloud_event_begin(&event, batch);

    ty_json_init(&json, data, length);
    for (size_t i = 0; i < header_count && ok; i++)
        take_header(&event, &headers[i]);
    if (length != 0 && ok) {
        ty_json_skip_mark(&json);
        ok = ty_cloud_event_take_data(&event, &json) && ty_json_end(&json);
    }
    if (ok)
        ty_cloud_event_end(&event);
    return conclude(ok && !batch->failed, &json, batch, error);
}
