/*
 * value_header.h: what stands before the stored values that have a version of their own.
 *
 * Byte 0 is the version of the value's form, bytes 1 to 8 are a checksum: XXH3-64 of everything
 * behind it, seeded with the XXH3-64 (seed 0) of the key and the version. So an intact value in the
 * wrong place does not pass (docs/FORMAT.md).
 *
 * Threads: pure functions.
 */
#ifndef TY_STORAGE_VALUE_HEADER_H
#define TY_STORAGE_VALUE_HEADER_H

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

#include "storage/bytes.h"

#define TY_VALUE_BODY_AT       9
#define TY_VALUE_KEY_BYTES_MAX 24 /* of keys of such values */

static inline uint64_t ty_value_checksum(const void *key, size_t key_length, const uint8_t *value,
                                         size_t length)
{
    uint8_t prefix[TY_VALUE_KEY_BYTES_MAX + 1];

    *ty_put_bytes(prefix, key, key_length) = value[0];
    return XXH3_64bits_withSeed(value + TY_VALUE_BODY_AT, length - TY_VALUE_BODY_AT,
                                XXH3_64bits(prefix, key_length + 1));
}

/* ty_value_seal fills the header of a value whose body is complete; `length` counts both. */
static inline void ty_value_seal(const void *key, size_t key_length, uint8_t version,
                                 uint8_t *value, size_t length)
{
    value[0] = version;
    ty_put_u64(value + 1, ty_value_checksum(key, key_length, value, length));
}

/* ty_value_open checks the header; NULL, with the reader at the body, or what is wrong: a phrase.
 */
static inline const char *ty_value_open(const void *key, size_t key_length, uint8_t version,
                                        const void *value, size_t length, struct ty_reader *body)
{
    *body = ty_reader_of(value, length);
    if (length < TY_VALUE_BODY_AT)
        return "shorter than its header";
    if (ty_get_u8(body) != version)
        return "unknown version";
    if (ty_get_u64(body) != ty_value_checksum(key, key_length, value, length))
        return "checksum mismatch";
    return NULL;
}

#endif
