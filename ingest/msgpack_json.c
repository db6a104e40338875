#include "ingest/msgpack_json.h"

#include "engine/timestamp.h"
#include "engine/utf8.h"
#include "engine/uuid.h"
#include "ingest/msgpack_events.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX 64

static bool append_value(struct ty_buffer *out, struct ty_msgpack *msgpack, unsigned depth);

/* The fewest digits that read back as the same number. */
static bool append_number(struct ty_buffer *out, double number, bool narrow)
{
    char text[40];

    if (!isfinite(number))
        return false;
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, number);
        if (narrow ? strtof(text, NULL) == (float)number : strtod(text, NULL) == number)
            break;
    }
    ty_buffer_append_text(out, text);
    return true;
}

static bool append_text(struct ty_buffer *out, struct ty_text text)
{
    if (ty_utf8_check(text.data, text.length) != text.length)
        return false;
    ty_buffer_append_json(out, text);
    return true;
}

static bool append_uuid(struct ty_buffer *out, struct ty_text bytes)
{
    char text[TY_UUID_TEXT_LENGTH];
    struct ty_uuid uuid;

    if (bytes.length != sizeof(uuid.bytes))
        return false;
    for (size_t i = 0; i < sizeof(uuid.bytes); i++)
        uuid.bytes[i] = (uint8_t)bytes.data[i];
    ty_uuid_format(&uuid, text);
    ty_buffer_append_json(out, (struct ty_text){.data = text, .length = sizeof(text)});
    return true;
}

static bool append_time(struct ty_buffer *out, const struct ty_msgpack_value *value)
{
    char text[TY_TIMESTAMP_TEXT_BYTES];
    int64_t time_ms;

    if (!ty_msgpack_event_time(value, &time_ms))
        return false;
    ty_timestamp_format(time_ms, text);
    ty_buffer_append_format(out, "\"%s\"", text);
    return true;
}

static bool append_array(struct ty_buffer *out, struct ty_msgpack *msgpack, uint32_t count,
                         unsigned depth)
{
    ty_buffer_append_char(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i != 0)
            ty_buffer_append_char(out, ',');
        if (!append_value(out, msgpack, depth + 1))
            return false;
    }
    ty_buffer_append_char(out, ']');
    return true;
}

static bool append_map(struct ty_buffer *out, struct ty_msgpack *msgpack, uint32_t count,
                       unsigned depth)
{
    struct ty_msgpack_value name;

    ty_buffer_append_char(out, '{');
    for (uint32_t i = 0; i < count; i++) {
        if (i != 0)
            ty_buffer_append_char(out, ',');
        if (!ty_msgpack_next(msgpack, &name) || name.kind != TY_MSGPACK_TEXT ||
            !append_text(out, name.text))
            return false;
        ty_buffer_append_char(out, ':');
        if (!append_value(out, msgpack, depth + 1))
            return false;
    }
    ty_buffer_append_char(out, '}');
    return true;
}

static bool append_value(struct ty_buffer *out, struct ty_msgpack *msgpack, unsigned depth)
{
    struct ty_msgpack_value value;

    if (depth > DEPTH_MAX || !ty_msgpack_next(msgpack, &value))
        return false;
    switch (value.kind) {
    case TY_MSGPACK_NIL:
        ty_buffer_append_text(out, "null");
        return true;
    case TY_MSGPACK_BOOLEAN:
        ty_buffer_append_text(out, value.truth ? "true" : "false");
        return true;
    case TY_MSGPACK_INTEGER:
        ty_buffer_append_format(out, "%s%" PRIu64, value.negative ? "-" : "", value.magnitude);
        return true;
    case TY_MSGPACK_FLOAT:
    case TY_MSGPACK_DOUBLE:
        return append_number(out, value.number, value.kind == TY_MSGPACK_FLOAT);
    case TY_MSGPACK_TEXT:
        return append_text(out, value.text);
    case TY_MSGPACK_BYTES:
        return append_uuid(out, value.text);
    case TY_MSGPACK_EXTENSION:
        return append_time(out, &value);
    case TY_MSGPACK_ARRAY:
        return append_array(out, msgpack, value.count, depth);
    case TY_MSGPACK_MAP:
        return append_map(out, msgpack, value.count, depth);
    }
    return false;
}

bool ty_msgpack_json_append(struct ty_buffer *out, const void *data, size_t length)
{
    size_t before = out->length;
    struct ty_msgpack msgpack;

    ty_msgpack_init(&msgpack, data, length);
    if (append_value(out, &msgpack, 1) && msgpack.at == msgpack.end)
        return true;
    out->length = before;
    return false;
}
