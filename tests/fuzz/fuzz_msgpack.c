/*
 * fuzz_msgpack.c: any bytes as a body of usage events in msgpack, and value by value against
 * msgpack-c. The two must agree, but for what msgpack-c has of its own: a nesting of at most 32,
 * and memory for as many elements as a head announces, which is why heads are looked at before it
 * sees them.
 */
#include "ingest/msgpack_events.h"
#include "ingest/msgpack_frame.h"
#include "ingest/msgpack_json.h"
#include "tests/fuzz/json_check.h"

#include <msgpack.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIBRARY_DEPTH_MAX 32

/* A walk over the heads of a value. */
struct heads {
    struct ty_msgpack msgpack;
    bool is_too_much; /* it nests too deep for msgpack-c, or announces more than can follow */
};

/* Passes a value; false when it is malformed, cut off, or too much. */
static bool pass_heads(struct heads *heads, unsigned depth)
{
    struct ty_msgpack_value value;
    uint64_t count = 0;

    if (!ty_msgpack_next(&heads->msgpack, &value))
        return false;
    if (value.kind == TY_MSGPACK_ARRAY)
        count = value.count;
    else if (value.kind == TY_MSGPACK_MAP)
        count = 2 * (uint64_t)value.count;
    else
        return true;
    if (count > ty_msgpack_count_max(&heads->msgpack) || depth > LIBRARY_DEPTH_MAX) {
        heads->is_too_much = true;
        return false;
    }
    for (uint64_t i = 0; i < count; i++)
        if (!pass_heads(heads, depth + 1))
            return false;
    return true;
}

static void compare_text(struct ty_text text, const char *data, size_t length)
{
    TY_ASSERT(text.length == length);
    TY_ASSERT(length == 0 || memcmp(text.data, data, length) == 0);
}

static void compare_number(const struct ty_msgpack_value *value, const msgpack_object *want)
{
    if (want->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        TY_ASSERT(value->kind == TY_MSGPACK_INTEGER && !value->negative);
        TY_ASSERT(value->magnitude == want->via.u64);
    } else if (want->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        TY_ASSERT(value->kind == TY_MSGPACK_INTEGER && value->negative);
        TY_ASSERT(value->magnitude == -(uint64_t)want->via.i64);
    } else {
        TY_ASSERT(value->kind ==
                  (want->type == MSGPACK_OBJECT_FLOAT32 ? TY_MSGPACK_FLOAT : TY_MSGPACK_DOUBLE));
        TY_ASSERT(memcmp(&value->number, &want->via.f64, sizeof(double)) == 0 ||
                  (value->number != value->number && want->via.f64 != want->via.f64));
    }
}

static void compare(struct ty_msgpack *msgpack, const msgpack_object *want)
{
    struct ty_msgpack_value value;

    TY_ASSERT(ty_msgpack_next(msgpack, &value));
    switch (want->type) {
    case MSGPACK_OBJECT_NIL:
        TY_ASSERT(value.kind == TY_MSGPACK_NIL);
        return;
    case MSGPACK_OBJECT_BOOLEAN:
        TY_ASSERT(value.kind == TY_MSGPACK_BOOLEAN && value.truth == want->via.boolean);
        return;
    case MSGPACK_OBJECT_STR:
        TY_ASSERT(value.kind == TY_MSGPACK_TEXT);
        compare_text(value.text, want->via.str.ptr, want->via.str.size);
        return;
    case MSGPACK_OBJECT_BIN:
        TY_ASSERT(value.kind == TY_MSGPACK_BYTES);
        compare_text(value.text, want->via.bin.ptr, want->via.bin.size);
        return;
    case MSGPACK_OBJECT_EXT:
        TY_ASSERT(value.kind == TY_MSGPACK_EXTENSION && value.type == want->via.ext.type);
        compare_text(value.text, want->via.ext.ptr, want->via.ext.size);
        return;
    case MSGPACK_OBJECT_ARRAY:
        TY_ASSERT(value.kind == TY_MSGPACK_ARRAY && value.count == want->via.array.size);
        for (uint32_t i = 0; i < value.count; i++)
            compare(msgpack, &want->via.array.ptr[i]);
        return;
    case MSGPACK_OBJECT_MAP:
        TY_ASSERT(value.kind == TY_MSGPACK_MAP && value.count == want->via.map.size);
        for (uint32_t i = 0; i < value.count; i++) {
            compare(msgpack, &want->via.map.ptr[i].key);
            compare(msgpack, &want->via.map.ptr[i].val);
        }
        return;
    default:
        compare_number(&value, want);
    }
}

/* The first value of the input, by both libraries: whole for both and the same, or for neither. */
static void check_value(const uint8_t *data, size_t size)
{
    struct ty_msgpack_frame frame = {0};
    enum ty_frame_status status = ty_msgpack_frame_advance(&frame, data, size);
    struct heads heads = {.is_too_much = false};
    struct ty_msgpack msgpack;
    msgpack_unpacked unpacked;
    bool is_whole, is_whole_there;
    size_t end = 0;

    ty_msgpack_init(&heads.msgpack, data, size);
    is_whole = pass_heads(&heads, 1);
    if (heads.is_too_much)
        return;
    TY_ASSERT(is_whole == (status == TY_FRAME_COMPLETE));
    msgpack_unpacked_init(&unpacked);
    is_whole_there =
        msgpack_unpack_next(&unpacked, (const char *)data, size, &end) == MSGPACK_UNPACK_SUCCESS;
    TY_ASSERT(is_whole == is_whole_there);
    if (is_whole) {
        TY_ASSERT(heads.msgpack.at == data + frame.at && end == frame.at);
        ty_msgpack_init(&msgpack, data, size);
        compare(&msgpack, &unpacked.data);
    }
    msgpack_unpacked_destroy(&unpacked);
}

/* A value must be found to end at the same place whatever the pieces. */
static void check_pieces(const uint8_t *data, size_t size)
{
    struct ty_msgpack_frame whole = {0}, pieces = {0};
    enum ty_frame_status status = ty_msgpack_frame_advance(&whole, data, size);
    enum ty_frame_status piecewise = TY_FRAME_PARTIAL;

    for (size_t length = 0; length <= size && piecewise == TY_FRAME_PARTIAL;
         length += 1 + length % 7)
        piecewise = ty_msgpack_frame_advance(&pieces, data, length);
    if (piecewise == TY_FRAME_PARTIAL)
        piecewise = ty_msgpack_frame_advance(&pieces, data, size);
    TY_ASSERT(piecewise == status && pieces.at == whole.at);
}

static void check_json(const uint8_t *data, size_t size)
{
    struct ty_buffer out = {0};
    struct ty_json json;

    if (ty_msgpack_json_append(&out, data, size)) {
        ty_json_init(&json, out.data, out.length);
        TY_ASSERT(ty_json_skip(&json) && ty_json_end(&json));
    } else {
        TY_ASSERT(out.length == 0);
    }
    ty_buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ty_decode_error error = {0};
    struct ty_batch batch = {0};
    enum ty_decode_status status =
        ty_msgpack_events_decode((const char *)data, size, &batch, &error);

    check_decoded(&batch, status, &error, size);
    ty_batch_fini(&batch);
    check_value(data, size);
    check_pieces(data, size);
    check_json(data, size);
    return 0;
}
