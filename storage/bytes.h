/*
 * bytes.h: integers to bytes and back, for everything that is stored.
 *
 * Fixed-width integers are little-endian in values and big-endian in keys. A varint is LEB128:
 * seven bits a byte, lowest first, the top bit set on all but the last; signed ones are zigzag
 * coded first. Readers never go past the end: they fail, and stay failed.
 *
 * Threads: pure functions.
 */
#ifndef TY_STORAGE_BYTES_H
#define TY_STORAGE_BYTES_H

#include "engine/base.h"
#include <endian.h>
#include <string.h>

#define TY_VARINT_BYTES_MAX    10
#define TY_VARINT128_BYTES_MAX 19

static inline uint8_t *ty_put_u32_be(uint8_t *out, uint32_t value)
{
    value = htobe32(value);
    memcpy(out, &value, sizeof(value));
    return out + sizeof(value);
}

static inline uint8_t *ty_put_u64_be(uint8_t *out, uint64_t value)
{
    value = htobe64(value);
    memcpy(out, &value, sizeof(value));
    return out + sizeof(value);
}

static inline uint8_t *ty_put_u16(uint8_t *out, unsigned value)
{
    *out++ = (uint8_t)value;
    *out++ = (uint8_t)(value >> 8);
    return out;
}

static inline uint8_t *ty_put_u32(uint8_t *out, uint32_t value)
{
    value = htole32(value);
    memcpy(out, &value, sizeof(value));
    return out + sizeof(value);
}

static inline uint8_t *ty_put_u64(uint8_t *out, uint64_t value)
{
    value = htole64(value);
    memcpy(out, &value, sizeof(value));
    return out + sizeof(value);
}

static inline uint8_t *ty_put_varint(uint8_t *out, uint64_t value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

static inline uint8_t *ty_put_varint128(uint8_t *out, ty_uint128 value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)((uint8_t)value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

static inline uint8_t *ty_put_bytes(uint8_t *out, const void *data, size_t length)
{
    if (length != 0)
        memcpy(out, data, length);
    return out + length;
}

static inline uint64_t ty_zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

static inline int64_t ty_unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (~(value & 1) + 1));
}

static inline ty_uint128 ty_zigzag128(ty_int128 value)
{
    return (ty_uint128)value << 1 ^ (value < 0 ? ~(ty_uint128)0 : 0);
}

static inline ty_int128 ty_unzigzag128(ty_uint128 value)
{
    return (ty_int128)(value >> 1 ^ (~(value & 1) + 1));
}

struct ty_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed; /* something was missing or malformed; everything read since is 0 */
};

static inline struct ty_reader ty_reader_of(const void *data, size_t length)
{
    return (struct ty_reader){.at = data, .end = (const uint8_t *)data + length};
}

/* The next `length` bytes, borrowed, or NULL. */
static inline const uint8_t *ty_get_bytes(struct ty_reader *reader, size_t length)
{
    const uint8_t *at = reader->at;

    if (reader->failed || (size_t)(reader->end - at) < length) {
        reader->failed = true;
        return NULL;
    }
    reader->at += length;
    return at;
}

static inline uint8_t ty_get_u8(struct ty_reader *reader)
{
    const uint8_t *at = ty_get_bytes(reader, 1);

    return at == NULL ? 0 : *at;
}

static inline uint16_t ty_get_u16(struct ty_reader *reader)
{
    unsigned low = ty_get_u8(reader);

    return (uint16_t)(low | (unsigned)ty_get_u8(reader) << 8);
}

static inline uint32_t ty_get_u32(struct ty_reader *reader)
{
    const uint8_t *at = ty_get_bytes(reader, sizeof(uint32_t));
    uint32_t value = 0;

    if (at != NULL)
        memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

static inline uint64_t ty_get_u64(struct ty_reader *reader)
{
    const uint8_t *at = ty_get_bytes(reader, sizeof(uint64_t));
    uint64_t value = 0;

    if (at != NULL)
        memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

static inline ty_uint128 ty_get_varint128(struct ty_reader *reader)
{
    ty_uint128 value = 0;

    for (unsigned shift = 0; shift < 128; shift += 7) {
        uint8_t byte = ty_get_u8(reader);

        if (shift == 126 && byte > 3)
            break;
        value |= (ty_uint128)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return reader->failed ? 0 : value;
    }
    reader->failed = true;
    return 0;
}

static inline uint64_t ty_get_varint(struct ty_reader *reader)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = ty_get_u8(reader);

        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return reader->failed ? 0 : value;
    }
    reader->failed = true;
    return 0;
}

static inline uint32_t ty_get_u32_be(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return be32toh(value);
}

static inline uint64_t ty_get_u64_be(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return be64toh(value);
}

#endif
