/*
 * utf8.h: what is well-formed UTF-8, for every decoder that takes text from outside.
 *
 * Well-formed is what RFC 3629 (and table 3-7 of the Unicode standard) calls so: no overlong form,
 * no surrogate (U+D800 to U+DFFF), nothing above U+10FFFF. U+0000 is well-formed.
 * Threads: pure functions.
 */
#ifndef TY_ENGINE_UTF8_H
#define TY_ENGINE_UTF8_H

#include "engine/base.h"

/*
 * ty_utf8_sequence returns the length, 1 to 4, of the character that begins at `at`, or 0 when none
 * does (malformed, or cut off by `end`). `at` is before `end`; nothing from `end` on is read.
 */
unsigned ty_utf8_sequence(const char *at, const char *end);

/* ty_utf8_check returns the offset of the first byte that is not well-formed; `length` if none. */
size_t ty_utf8_check(const char *data, size_t length);

/*
 * ty_utf8_shorten returns the largest length of at most `bytes_max` that ends at a character's end.
 * `data` is well-formed.
 */
size_t ty_utf8_shorten(const char *data, size_t length, size_t bytes_max);

/* ty_utf8_encode writes a code point (no surrogate, at most U+10FFFF); returns the length, 1 to 4.
 */
unsigned ty_utf8_encode(uint32_t code_point, char out[4]);

#endif
