/*
 * mutate.h: seeded random damage to valid bodies, for tests that compare two readers of them.
 */
#ifndef TY_TESTS_INGEST_MUTATE_H
#define TY_TESTS_INGEST_MUTATE_H

#include "tests/support/random.h"

#include <string.h>

/* The bytes and tokens that JSON's grammar turns on, and the ones that UTF-8's does. */
static const char *const mutation_tokens[] = {
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\n",
    "\r",
    "\t",
    "0",
    "1",
    "-",
    "+",
    ".",
    "e",
    "E",
    "null",
    "true",
    "fals",
    "\\u",
    "\\u0000",
    "\\ud83d",
    "\\udc00",
    "\\n",
    "\x01",
    "\x1f",
    "\x7f",
    "\x80",
    "\xbf",
    "\xc0\x80",
    "\xc3\xa9",
    "\xe2\x82",
    "\xed\xa0\x80",
    "\xf0",
    "\xf4\x90\x80\x80",
    "\xff",
    "\"id\":",
    "\"\\u0069d\":",
    "\"pages\":",
    "{\"a\":",
    "[[",
    "]]",
    "1e2",
    "-0",
    "00",
};

/*
 * Returns a damaged copy, of exactly *length bytes so that AddressSanitizer sees a read past its
 * end; to be freed.
 */
static inline char *mutate(struct ty_random *random, const char *body, size_t *length)
{
    size_t count = strlen(body), room = count + 256;
    char *text = malloc(room), *exact;

    memcpy(text, body, count);
    for (size_t n = 1 + (size_t)ty_random_below(random, 3); n > 0; n--) {
        const size_t tokens = sizeof(mutation_tokens) / sizeof(mutation_tokens[0]);
        const char *token = mutation_tokens[ty_random_below(random, tokens)];
        size_t token_length = strlen(token);
        size_t at = (size_t)ty_random_below(random, count + 1);
        size_t cut = (size_t)ty_random_below(random, 4);

        switch (ty_random_below(random, 4)) {
        case 0: /* flip a bit */
            if (at < count)
                text[at] = (char)(text[at] ^ (char)(1 << ty_random_below(random, 8)));
            break;
        case 1: /* take a few bytes out */
            cut = cut < count - at ? cut : count - at;
            memmove(text + at, text + at + cut, count - at - cut);
            count -= cut;
            break;
        case 2: /* put a token in */
            memmove(text + at + token_length, text + at, count - at);
            memcpy(text + at, token, token_length);
            count += token_length;
            break;
        default: /* write a token over */
            token_length = token_length < count - at ? token_length : count - at;
            memcpy(text + at, token, token_length);
            break;
        }
    }
    exact = malloc(count == 0 ? 1 : count);
    memcpy(exact, text, count);
    free(text);
    *length = count;
    return exact;
}

#endif
