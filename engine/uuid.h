/*
 * uuid.h: 16-byte UUIDs and their text form.
 *
 * Threads: pure functions.
 */
#ifndef TY_ENGINE_UUID_H
#define TY_ENGINE_UUID_H

#include "engine/base.h"
#include <string.h>

#define TY_UUID_TEXT_LENGTH 36

/* A UUID in network byte order, so that memcmp() orders as the text does. */
struct ty_uuid {
    uint8_t bytes[16];
};

/*
 * ty_uuid_parse reads the RFC 9562 text form: 8-4-4-4-12 hexadecimal digits of either case and
 * nothing else (no braces, no "urn:uuid:"). Every version and variant is taken, the nil UUID too.
 * Returns false, with *uuid untouched, for anything else.
 */
bool ty_uuid_parse(const char *text, size_t length, struct ty_uuid *uuid);

/* ty_uuid_parse_canonical takes only what ty_uuid_format() gives back byte by byte: lower case. */
bool ty_uuid_parse_canonical(const char *text, size_t length, struct ty_uuid *uuid);

/* ty_uuid_format writes the canonical lower-case form, without a terminating zero. */
void ty_uuid_format(const struct ty_uuid *uuid, char text[TY_UUID_TEXT_LENGTH]);

/* ty_uuid_compare orders as memcmp() does: negative, zero or positive. */
static inline int ty_uuid_compare(const struct ty_uuid *a, const struct ty_uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

#endif
