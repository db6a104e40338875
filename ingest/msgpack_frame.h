/*
 * msgpack_frame.h: where a msgpack value ends, in a stream that arrives in pieces.
 *
 * Every byte is looked at once, however small the pieces, and nothing is allocated: a value is
 * passed by counting how many values and bytes are still to come, so that nesting costs no memory.
 * What the values mean is not looked at. Format: github.com/msgpack/msgpack, spec.md.
 *
 * Threads: one owner at a time.
 */
#ifndef TY_INGEST_MSGPACK_FRAME_H
#define TY_INGEST_MSGPACK_FRAME_H

#include "engine/base.h"
#include <endian.h>
#include <string.h>

/* The number in `bytes` bytes, 0 to 8 of them: msgpack is big-endian. */
static inline uint64_t ty_msgpack_read(const void *data, unsigned bytes)
{
    const uint8_t *at = data;
    uint64_t number = 0;
    uint32_t four;

    if (bytes == sizeof(four)) {
        memcpy(&four, data, sizeof(four));
        return be32toh(four);
    }
    if (bytes == sizeof(number)) {
        memcpy(&number, data, sizeof(number));
        return be64toh(number);
    }
    for (unsigned i = 0; i < bytes; i++)
        number = number << 8 | at[i];
    return number;
}

/* All zero is the state before a value's first byte. */
struct ty_msgpack_frame {
    size_t at;            /* bytes of the value passed so far */
    uint64_t values_left; /* to come, the one being passed included; 0 only before the first byte */
};

enum ty_frame_status {
    TY_FRAME_PARTIAL,  /* more bytes are needed */
    TY_FRAME_COMPLETE, /* frame->at is the value's length */
    TY_FRAME_BROKEN    /* the byte at frame->at begins no msgpack value (0xc1), or the lengths
                          given add up to more than 2^63 */
};

/*
 * ty_msgpack_frame_advance goes on at frame->at. `data` is the value from its first byte on (the
 * pieces so far, put together), `length` what there is of it and perhaps of what follows. After
 * TY_FRAME_COMPLETE zero the frame for the next value. `at` may run ahead of `length` while a long
 * string is on its way, which tells a caller early how long the value will be at least.
 */
enum ty_frame_status ty_msgpack_frame_advance(struct ty_msgpack_frame *frame, const void *data,
                                              size_t length);

#endif
