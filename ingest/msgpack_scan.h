/*
 * msgpack_scan.h: a pull scanner for msgpack over bytes that somebody else owns.
 *
 * The caller takes one value after another; of an array or map it gets the count, and takes the
 * values in it next. Nothing is allocated or copied, no tree is built, and every length is checked
 * against what is really there. Format: github.com/msgpack/msgpack, spec.md.
 *
 *     struct ty_msgpack msgpack;
 *     struct ty_msgpack_value value;
 *
 *     ty_msgpack_init(&msgpack, data, length);
 *     while (ty_msgpack_next(&msgpack, &value))
 *         ...
 *     if (msgpack.error != NULL)
 *         complain(msgpack.error, msgpack.at - msgpack.start);
 *
 * Errors: the first one is kept in `error`, and `at` is where it was met: at the byte that begins
 * no value, or at the end when the bytes are cut off. The function that met it returns false and
 * the scanner must not be used any more. Threads: one owner at a time.
 */
#ifndef TY_INGEST_MSGPACK_SCAN_H
#define TY_INGEST_MSGPACK_SCAN_H

#include "engine/base.h"

struct ty_msgpack {
    const uint8_t *start;
    const uint8_t *at; /* the next byte */
    const uint8_t *end;
    const char *error; /* constant text, a phrase without full stop; NULL while all is well */
};

enum ty_msgpack_kind {
    TY_MSGPACK_NIL,
    TY_MSGPACK_BOOLEAN,
    TY_MSGPACK_INTEGER,
    TY_MSGPACK_FLOAT,  /* 32 bits */
    TY_MSGPACK_DOUBLE, /* 64 bits */
    TY_MSGPACK_TEXT,   /* str: whether it is UTF-8 was not looked at */
    TY_MSGPACK_BYTES,  /* bin */
    TY_MSGPACK_EXTENSION,
    TY_MSGPACK_ARRAY,
    TY_MSGPACK_MAP
};

struct ty_msgpack_value {
    enum ty_msgpack_kind kind;
    bool truth;
    bool negative;       /* of an integer: it is -magnitude */
    int8_t type;         /* of an extension */
    uint32_t count;      /* of an array: elements; of a map: pairs of name and value */
    uint64_t magnitude;  /* of an integer; at most 2^63 when negative */
    double number;       /* of a float or double */
    struct ty_text text; /* of text, bytes and an extension: borrowed from the input */
};

/* ty_msgpack_init starts at `data`, borrowed for as long as the scanner and its texts are used; it
 * may be NULL when `length` is 0. */
void ty_msgpack_init(struct ty_msgpack *msgpack, const void *data, size_t length);

/* ty_msgpack_go_back goes on from a place that it was at before, whatever failed since. */
static inline void ty_msgpack_go_back(struct ty_msgpack *msgpack, const uint8_t *at)
{
    msgpack->at = at;
    msgpack->error = NULL;
}

/* Not to be called but by ty_msgpack_next(). */
bool ty_msgpack_next_slow(struct ty_msgpack *msgpack, struct ty_msgpack_value *value);

/* ty_msgpack_next takes a value, or the head of an array or map. False: cut off, or no msgpack.
 * Small integers and short texts, which most values of an event are, are taken without a call. */
static inline bool ty_msgpack_next(struct ty_msgpack *msgpack, struct ty_msgpack_value *value)
{
    const uint8_t *at = msgpack->at;
    size_t left = (size_t)(msgpack->end - at);

    if (left != 0 && (*at < 0x80 || *at >= 0xe0)) {
        value->kind = TY_MSGPACK_INTEGER;
        value->negative = *at >= 0xe0;
        value->magnitude = *at < 0x80 ? *at : 256u - *at;
        msgpack->at = at + 1;
        return true;
    }
    if (left != 0 && (*at & 0xe0) == 0xa0 && left > (*at & 31u)) {
        value->kind = TY_MSGPACK_TEXT;
        value->text = (struct ty_text){.data = (const char *)at + 1, .length = *at & 31u};
        msgpack->at = at + 1 + value->text.length;
        return true;
    }
    return ty_msgpack_next_slow(msgpack, value);
}

/* ty_msgpack_skip takes a whole value, whatever is in it, and returns its bytes in *bytes (may be
 * NULL). It needs no memory for nesting. */
bool ty_msgpack_skip(struct ty_msgpack *msgpack, struct ty_text *bytes);

/* ty_msgpack_skip_values takes so many whole values. */
bool ty_msgpack_skip_values(struct ty_msgpack *msgpack, uint64_t count);

/* ty_msgpack_count_max returns how many values can follow at most: each takes a byte. What a head
 * says must be held against it before memory is asked for. */
size_t ty_msgpack_count_max(const struct ty_msgpack *msgpack);

/* What a kind is called in messages: "an array". */
const char *ty_msgpack_kind_name(enum ty_msgpack_kind kind);

#endif
