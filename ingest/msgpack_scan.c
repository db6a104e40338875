#include "ingest/msgpack_scan.h"

#include "ingest/msgpack_frame.h"

#include <string.h>

static const char no_value[] = "this byte begins no msgpack value";

void ty_msgpack_init(struct ty_msgpack *msgpack, const void *data, size_t length)
{
    /* No bytes may have no address, and C allows no arithmetic with that. */
    const uint8_t *start = data == NULL ? (const uint8_t *)"" : data;

    *msgpack = (struct ty_msgpack){.start = start, .at = start, .end = start + length};
}

static bool fail(struct ty_msgpack *msgpack, const char *error)
{
    if (msgpack->error == NULL)
        msgpack->error = error;
    return false;
}

static bool fail_cut_off(struct ty_msgpack *msgpack)
{
    msgpack->at = msgpack->end;
    return fail(msgpack, "the bytes end before the value does");
}

size_t ty_msgpack_count_max(const struct ty_msgpack *msgpack)
{
    return (size_t)(msgpack->end - msgpack->at);
}

/* A number of `bytes` bytes behind the first one, which is taken too. */
static inline bool take_number(struct ty_msgpack *msgpack, unsigned bytes, uint64_t *number)
{
    if (ty_msgpack_count_max(msgpack) <= bytes)
        return fail_cut_off(msgpack);
    *number = ty_msgpack_read(msgpack->at + 1, bytes);
    msgpack->at += 1 + bytes;
    return true;
}

static inline bool take_text(struct ty_msgpack *msgpack, enum ty_msgpack_kind kind, uint64_t length,
                             struct ty_msgpack_value *value)
{
    if (ty_msgpack_count_max(msgpack) < length)
        return fail_cut_off(msgpack);
    value->kind = kind;
    value->text = (struct ty_text){.data = (const char *)msgpack->at, .length = (size_t)length};
    msgpack->at += length;
    return true;
}

static bool next_text(struct ty_msgpack *msgpack, enum ty_msgpack_kind kind, unsigned length_bytes,
                      struct ty_msgpack_value *value)
{
    uint64_t length = 0;

    return take_number(msgpack, length_bytes, &length) && take_text(msgpack, kind, length, value);
}

/* `length` is what the first byte says; with `length_bytes` it stands behind that. */
static bool next_extension(struct ty_msgpack *msgpack, unsigned length_bytes, uint64_t length,
                           struct ty_msgpack_value *value)
{
    uint64_t stated;

    if (!take_number(msgpack, length_bytes, &stated))
        return false;
    if (length_bytes != 0)
        length = stated;
    if (msgpack->at == msgpack->end)
        return fail_cut_off(msgpack);
    value->type = (int8_t)*msgpack->at++;
    return take_text(msgpack, TY_MSGPACK_EXTENSION, length, value);
}

static bool next_unsigned(struct ty_msgpack *msgpack, unsigned bytes,
                          struct ty_msgpack_value *value)
{
    value->kind = TY_MSGPACK_INTEGER;
    value->negative = false;
    return take_number(msgpack, bytes, &value->magnitude);
}

static bool next_signed(struct ty_msgpack *msgpack, unsigned bytes, struct ty_msgpack_value *value)
{
    uint64_t number;

    if (!take_number(msgpack, bytes, &number))
        return false;
    value->kind = TY_MSGPACK_INTEGER;
    value->negative = (number >> (8 * bytes - 1) & 1) != 0;
    if (value->negative && bytes < 8)
        number |= UINT64_MAX << 8 * bytes;
    value->magnitude = value->negative ? -number : number;
    return true;
}

static bool next_float(struct ty_msgpack *msgpack, struct ty_msgpack_value *value)
{
    uint64_t bits;
    uint32_t narrow;
    float number;

    if (!take_number(msgpack, 4, &bits))
        return false;
    narrow = (uint32_t)bits;
    memcpy(&number, &narrow, sizeof(number));
    value->kind = TY_MSGPACK_FLOAT;
    value->number = (double)number;
    return true;
}

static bool next_double(struct ty_msgpack *msgpack, struct ty_msgpack_value *value)
{
    uint64_t bits;

    if (!take_number(msgpack, 8, &bits))
        return false;
    memcpy(&value->number, &bits, sizeof(value->number));
    value->kind = TY_MSGPACK_DOUBLE;
    return true;
}

static bool next_count(struct ty_msgpack *msgpack, enum ty_msgpack_kind kind, unsigned bytes,
                       struct ty_msgpack_value *value)
{
    uint64_t count = 0;

    if (!take_number(msgpack, bytes, &count))
        return false;
    value->kind = kind;
    value->count = (uint32_t)count;
    return true;
}

static bool next_constant(struct ty_msgpack *msgpack, enum ty_msgpack_kind kind, bool truth,
                          struct ty_msgpack_value *value)
{
    msgpack->at++;
    value->kind = kind;
    value->truth = truth;
    return true;
}

/* The types from 0xc0 to 0xdf. */
static bool next_typed(struct ty_msgpack *msgpack, uint8_t first, struct ty_msgpack_value *value)
{
    switch (first) {
    case 0xc0:
        return next_constant(msgpack, TY_MSGPACK_NIL, false, value);
    case 0xc2:
    case 0xc3:
        return next_constant(msgpack, TY_MSGPACK_BOOLEAN, first == 0xc3, value);
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return next_text(msgpack, TY_MSGPACK_BYTES, 1u << (first - 0xc4), value);
    case 0xc7:
    case 0xc8:
    case 0xc9:
        return next_extension(msgpack, 1u << (first - 0xc7), 0, value);
    case 0xca:
        return next_float(msgpack, value);
    case 0xcb:
        return next_double(msgpack, value);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return next_unsigned(msgpack, 1u << (first - 0xcc), value);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return next_signed(msgpack, 1u << (first - 0xd0), value);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return next_extension(msgpack, 0, UINT64_C(1) << (first - 0xd4), value);
    case 0xd9:
    case 0xda:
    case 0xdb:
        return next_text(msgpack, TY_MSGPACK_TEXT, 1u << (first - 0xd9), value);
    case 0xdc:
    case 0xdd:
        return next_count(msgpack, TY_MSGPACK_ARRAY, 2u << (first - 0xdc), value);
    case 0xde:
    case 0xdf:
        return next_count(msgpack, TY_MSGPACK_MAP, 2u << (first - 0xde), value);
    default:
        return fail(msgpack, no_value);
    }
}

bool ty_msgpack_next_slow(struct ty_msgpack *msgpack, struct ty_msgpack_value *value)
{
    uint8_t first;

    if (msgpack->at == msgpack->end)
        return fail_cut_off(msgpack);
    first = *msgpack->at;
    if (first >= 0xc0)
        return next_typed(msgpack, first, value);
    msgpack->at++;
    if (first >= 0xa0)
        return take_text(msgpack, TY_MSGPACK_TEXT, first & 31, value);
    value->kind = first < 0x90 ? TY_MSGPACK_MAP : TY_MSGPACK_ARRAY;
    value->count = first & 15;
    return true;
}

bool ty_msgpack_skip(struct ty_msgpack *msgpack, struct ty_text *bytes)
{
    struct ty_msgpack_frame frame = {0};
    size_t left = ty_msgpack_count_max(msgpack);

    switch (ty_msgpack_frame_advance(&frame, msgpack->at, left)) {
    case TY_FRAME_PARTIAL:
        return fail_cut_off(msgpack);
    case TY_FRAME_BROKEN:
        msgpack->at += frame.at;
        return fail(msgpack, no_value);
    case TY_FRAME_COMPLETE:
        break;
    }
    if (bytes != NULL)
        *bytes = (struct ty_text){.data = (const char *)msgpack->at, .length = frame.at};
    msgpack->at += frame.at;
    return true;
}

bool ty_msgpack_skip_values(struct ty_msgpack *msgpack, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (!ty_msgpack_skip(msgpack, NULL))
            return false;
    return true;
}

const char *ty_msgpack_kind_name(enum ty_msgpack_kind kind)
{
    static const char *const names[] = {
        [TY_MSGPACK_NIL] = "nil",          [TY_MSGPACK_BOOLEAN] = "a boolean",
        [TY_MSGPACK_INTEGER] = "a number", [TY_MSGPACK_FLOAT] = "a number",
        [TY_MSGPACK_DOUBLE] = "a number",  [TY_MSGPACK_TEXT] = "text",
        [TY_MSGPACK_BYTES] = "binary",     [TY_MSGPACK_EXTENSION] = "an extension",
        [TY_MSGPACK_ARRAY] = "an array",   [TY_MSGPACK_MAP] = "a map",
    };

    return names[kind];
}
