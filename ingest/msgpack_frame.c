#include "ingest/msgpack_frame.h"

/* More than any memory; sums of lengths below it cannot overflow. */
#define VALUES_MAX (UINT64_C(1) << 62)

/*
 * What a first byte announces. A value takes `bytes` bytes and holds `values` other ones, where
 * that is known at once; otherwise its length follows in `length_bytes` bytes: of `unit` values
 * for every one counted, or of bytes where `unit` is 0.
 */
struct shape {
    uint8_t bytes; /* its first one, that of its length and an extension's type included; 0: none */
    uint8_t values;
    uint8_t length_bytes;
    uint8_t unit;
};

/* clang-format off */
#define PLAIN(bytes)       {(bytes), 0, 0, 0}
#define HOLDS(values)      {1, (values), 0, 0}
#define LONG(length, more) {1 + (length) + (more), 0, (length), 0}
#define MANY(length, unit) {1 + (length), 0, (length), (unit)}

#define FOUR(macro, n)    macro(n), macro((n) + 1), macro((n) + 2), macro((n) + 3)
#define SIXTEEN(macro, n) FOUR(macro, n), FOUR(macro, (n) + 4), FOUR(macro, (n) + 8), FOUR(macro, (n) + 12)
#define ONE(n)      PLAIN(1)
#define PAIRS(n)    HOLDS(2 * (n))
#define ELEMENTS(n) HOLDS(n)
#define TEXT(n)     PLAIN(1 + (n))

static const struct shape shapes[256] = {
    /* 0x00 fixint   */ SIXTEEN(ONE, 0), SIXTEEN(ONE, 0), SIXTEEN(ONE, 0), SIXTEEN(ONE, 0),
    /* 0x40          */ SIXTEEN(ONE, 0), SIXTEEN(ONE, 0), SIXTEEN(ONE, 0), SIXTEEN(ONE, 0),
    /* 0x80 fixmap   */ SIXTEEN(PAIRS, 0),
    /* 0x90 fixarray */ SIXTEEN(ELEMENTS, 0),
    /* 0xa0 fixstr   */ SIXTEEN(TEXT, 0), SIXTEEN(TEXT, 16),
    /* 0xc0 nil, no value, false, true */ PLAIN(1), PLAIN(0), PLAIN(1), PLAIN(1),
    /* 0xc4 bin      */ LONG(1, 0), LONG(2, 0), LONG(4, 0),
    /* 0xc7 ext, with its type         */ LONG(1, 1), LONG(2, 1), LONG(4, 1),
    /* 0xca float    */ PLAIN(5), PLAIN(9),
    /* 0xcc uint     */ PLAIN(2), PLAIN(3), PLAIN(5), PLAIN(9),
    /* 0xd0 int      */ PLAIN(2), PLAIN(3), PLAIN(5), PLAIN(9),
    /* 0xd4 fixext   */ PLAIN(3), PLAIN(4), PLAIN(6), PLAIN(10), PLAIN(18),
    /* 0xd9 str      */ LONG(1, 0), LONG(2, 0), LONG(4, 0),
    /* 0xdc array    */ MANY(2, 1), MANY(4, 1),
    /* 0xde map      */ MANY(2, 2), MANY(4, 2),
    /* 0xe0 fixint   */ SIXTEEN(ONE, 0), SIXTEEN(ONE, 0),
};
/* clang-format on */

enum ty_frame_status ty_msgpack_frame_advance(struct ty_msgpack_frame *frame, const void *data,
                                              size_t length)
{
    const uint8_t *bytes = data;
    size_t at = frame->at;
    uint64_t left = at == 0 ? 1 : frame->values_left;
    enum ty_frame_status status = TY_FRAME_COMPLETE;

    while (left != 0) {
        struct shape shape;
        uint64_t count;

        if (at >= length) {
            status = TY_FRAME_PARTIAL;
            break;
        }
        /* What events mostly consist of, small numbers and UUIDs, is told apart by branches: they
         * are predicted, while what comes out of a table is waited for. */
        if (bytes[at] < 0x80) {
            at++;
            left--;
            continue;
        }
        if (bytes[at] == 0xc4 && length - at > 1) {
            at += 2 + (size_t)bytes[at + 1];
            left--;
            continue;
        }
        shape = shapes[bytes[at]];
        if (shape.length_bytes == 0) {
            if (shape.bytes == 0) {
                status = TY_FRAME_BROKEN;
                break;
            }
            at += shape.bytes;
            left += shape.values;
            left--;
            continue;
        }
        if (length - at <= shape.length_bytes) {
            status = TY_FRAME_PARTIAL;
            break;
        }
        count = ty_msgpack_read(bytes + at + 1, shape.length_bytes);
        if (count * shape.unit > VALUES_MAX - left) {
            status = TY_FRAME_BROKEN;
            break;
        }
        at += shape.bytes + (shape.unit == 0 ? count : 0);
        left += count * shape.unit - 1;
    }
    frame->at = at;
    frame->values_left = left;
    return status == TY_FRAME_COMPLETE && at > length ? TY_FRAME_PARTIAL : status;
}
