#include "ingest/json_record.h"

#include <string.h>

struct ty_text ty_json_record_name(const struct ty_json_string *name,
                                   char room[TY_JSON_NAME_BYTES_MAX])
{
    if (!name->escaped)
        return name->raw;
    if (name->raw.length > TY_JSON_NAME_BYTES_MAX)
        return (struct ty_text){.data = "", .length = 0};
    return (struct ty_text){.data = room, .length = ty_json_unescape(name, room)};
}

static struct ty_text text_of(const char *words)
{
    return (struct ty_text){.data = words, .length = strlen(words)};
}

/* Takes a string as a value, unescaped in the batch's arena where it has escapes. */
static bool read_text(struct ty_json *json, struct ty_batch *batch, struct ty_value *value)
{
    struct ty_json_string string;
    char *room;

    value->kind = TY_VALUE_TEXT;
    if (!ty_json_string(json, &string))
        return false;
    value->text = string.raw;
    if (!string.escaped)
        return true;
    room = ty_arena_alloc(&batch->arena, string.raw.length);
    if (room == NULL) {
        batch->failed = true;
        return false;
    }
    value->text = (struct ty_text){.data = room, .length = ty_json_unescape(&string, room)};
    return true;
}

static bool read_number(struct ty_json *json, struct ty_value *value)
{
    struct ty_json_number number;

    if (!ty_json_number(json, &number))
        return false;
    value->kind = number.integral ? TY_VALUE_INTEGER : TY_VALUE_NUMBER;
    value->negative = number.negative;
    value->magnitude = number.magnitude;
    value->text = number.text;
    return true;
}

bool ty_json_record_value(struct ty_json *json, struct ty_batch *batch, struct ty_value *value)
{
    enum ty_json_kind kind = ty_json_peek(json);

    switch (kind) {
    case TY_JSON_STRING:
        return read_text(json, batch, value);
    case TY_JSON_NUMBER:
        return read_number(json, value);
    case TY_JSON_NULL:
        value->kind = TY_VALUE_NULL;
        return ty_json_literal(json, kind);
    case TY_JSON_TRUE:
    case TY_JSON_FALSE:
        value->kind = TY_VALUE_OTHER;
        value->text = text_of(kind == TY_JSON_TRUE ? "true" : "false");
        return ty_json_literal(json, kind);
    case TY_JSON_OBJECT:
    case TY_JSON_ARRAY:
        value->kind = TY_VALUE_OTHER;
        value->text = text_of(kind == TY_JSON_OBJECT ? "an object" : "an array");
        return ty_json_skip(json);
    case TY_JSON_BAD:
        break;
    }
    return false;
}

bool ty_json_record_members(struct ty_json *json, struct ty_record *record, uint32_t fields)
{
    char room[TY_JSON_NAME_BYTES_MAX];
    struct ty_json_string name;
    struct ty_value value;
    enum ty_json_step step;

    ty_json_enter(json);
    for (bool first = true; (step = ty_json_next_member(json, first, &name)) == TY_JSON_ITEM;
         first = false) {
        struct ty_text plain = ty_json_record_name(&name, room);
        enum ty_field field = ty_event_fields_find(plain.data, plain.length);

        if (field == TY_FIELD_UNKNOWN || (fields & 1u << field) == 0) {
            if (!ty_json_skip(json))
                return false;
            continue;
        }
        if (!ty_json_record_value(json, record->batch, &value))
            return false;
        ty_event_fields_set(record, field, &value);
    }
    return step == TY_JSON_CLOSED;
}

const char *ty_json_record_no_object(enum ty_json_kind kind)
{
    switch (kind) {
    case TY_JSON_ARRAY:
        return "an array is no record (an object is)";
    case TY_JSON_STRING:
        return "a text is no record (an object is)";
    case TY_JSON_NUMBER:
        return "a number is no record (an object is)";
    case TY_JSON_NULL:
        return "null is no record (an object is)";
    default:
        return "a boolean is no record (an object is)";
    }
}

bool ty_json_record_read(struct ty_json *json, struct ty_record *record)
{
    enum ty_json_kind kind = ty_json_peek(json);

    if (kind == TY_JSON_BAD)
        return false;
    if (kind == TY_JSON_OBJECT)
        return ty_json_record_members(json, record, TY_JSON_RECORD_ALL);
    ty_event_fields_fail(record, TALLY_INVALID_FIELD, ty_json_record_no_object(kind));
    return ty_json_skip(json);
}
