#include "ingest/json_events.h"

#include "ingest/json_record.h"

#include <string.h>

/* Takes the next value as a record of the batch. False: malformed, no memory, or too many. */
static bool add_record(struct ty_json *json, struct ty_batch *batch)
{
    struct ty_record record;

    if (batch->record_count >= TY_DECODE_RECORDS_MAX)
        return ty_json_fail(json, json->at, TY_DECODE_RECORDS_MAX_TEXT);
    if (!ty_event_fields_begin(&record, batch) || !ty_json_record_read(json, &record))
        return false;
    ty_event_fields_end(&record);
    return !batch->failed;
}

static bool add_records(struct ty_json *json, struct ty_batch *batch)
{
    enum ty_json_step step;

    ty_json_enter(json);
    for (bool first = true; (step = ty_json_next_element(json, first)) == TY_JSON_ITEM;
         first = false)
        if (!add_record(json, batch))
            return false;
    return step == TY_JSON_CLOSED;
}

static bool is_records(const struct ty_json_string *name)
{
    char room[TY_JSON_NAME_BYTES_MAX];
    struct ty_text plain = ty_json_record_name(name, room);

    return plain.length == 7 && memcmp(plain.data, "records", 7) == 0;
}

/*
 * Takes an object. Whether it is an event or an envelope shows only at a member "records", so that
 * members are passed until one is found; an object that has none is read again, as an event.
 */
static bool add_object(struct ty_json *json, struct ty_batch *batch)
{
    const char *const from = json->at;
    struct ty_json_string name;
    enum ty_json_step step;
    bool envelope = false;

    ty_json_enter(json);
    for (bool first = true; (step = ty_json_next_member(json, first, &name)) == TY_JSON_ITEM;
         first = false) {
        if (!is_records(&name)) {
            if (!ty_json_skip(json))
                return false;
            continue;
        }
        if (envelope)
            return ty_json_fail(json, name.raw.data, "\"records\" is given twice");
        envelope = true;
        if (ty_json_peek(json) != TY_JSON_ARRAY)
            return ty_json_fail(json, json->at, "\"records\" must be an array of events");
        if (!add_records(json, batch))
            return false;
    }
    if (step != TY_JSON_CLOSED)
        return false;
    if (envelope)
        return true;
    json->at = from;
    return add_record(json, batch);
}

static bool add_document(struct ty_json *json, struct ty_batch *batch)
{
    bool added;

    switch (ty_json_peek(json)) {
    case TY_JSON_OBJECT:
        added = add_object(json, batch);
        break;
    case TY_JSON_ARRAY:
        added = add_records(json, batch);
        break;
    default:
        return ty_json_fail(json, json->at,
                            "the body must be an event (an object), an array of events, or an "
                            "object with the array \"records\"");
    }
    return added && ty_json_end(json);
}

enum ty_decode_status ty_json_events_decode(const char *data, size_t length, struct ty_batch *batch,
                                            struct ty_decode_error *error)
{
    struct ty_json json;

    ty_json_init(&json, data, length);
    ty_json_skip_mark(&json);
    if (add_document(&json, batch))
        return TY_DECODE_OK;
    if (batch->failed)
        return TY_DECODE_NO_MEMORY;
    *error = (struct ty_decode_error){.message = json.error, .byte = json.error_byte};
    return TY_DECODE_REFUSED;
}

static bool is_blank(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    return at == end;
}

/* Takes one line, without its LF, as a record. */
static void add_line(struct ty_json *json, struct ty_batch *batch)
{
    struct ty_record record;

    if (!ty_event_fields_begin(&record, batch))
        return;
    if (!ty_json_record_read(json, &record) || !ty_json_end(json)) {
        if (batch->failed)
            return;
        /* What is wrong with the line outdoes what is wrong with a field of it. */
        record.result = TALLY_ACCEPTED;
        ty_event_fields_fail(&record, TALLY_INVALID_FIELD,
                             ty_arena_format(&batch->arena,
                                             "the line is not JSON: %s (byte %zu of the line; a "
                                             "line must be one JSON object)",
                                             json->error, json->error_byte));
    }
    ty_event_fields_end(&record);
}

enum ty_decode_status ty_ndjson_events_decode(const char *data, size_t length,
                                              struct ty_batch *batch, struct ty_decode_error *error)
{
    struct ty_json body, json;

    ty_json_init(&body, data, length);
    ty_json_skip_mark(&body);
    while (body.at < body.end && !batch->failed) {
        const char *const line = body.at;
        const char *feed = memchr(line, '\n', (size_t)(body.end - line));
        const char *const line_end = feed == NULL ? body.end : feed;

        body.at = feed == NULL ? body.end : feed + 1;
        if (is_blank(line, line_end))
            continue;
        if (batch->record_count >= TY_DECODE_RECORDS_MAX) {
            *error = (struct ty_decode_error){.message = TY_DECODE_RECORDS_MAX_TEXT,
                                              .byte = (size_t)(line - body.start)};
            return TY_DECODE_REFUSED;
        }
        ty_json_init(&json, line, (size_t)(line_end - line));
        add_line(&json, batch);
    }
    return batch->failed ? TY_DECODE_NO_MEMORY : TY_DECODE_OK;
}
