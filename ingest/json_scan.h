/*
 * json_scan.h: a strict pull scanner for JSON (RFC 8259) over bytes that somebody else owns.
 *
 * The caller asks for one thing after another (a value's kind, a string, a member's name) and no
 * tree is built. Nothing is allocated, copied or converted to floating point: a string comes as the
 * bytes between its quotes, a number as its text. Everything that is passed, skipped values too, is
 * checked against the whole grammar: escapes, surrogate pairs, UTF-8, control characters, numbers.
 *
 *     struct ty_json json;
 *     struct ty_json_string name;
 *     enum ty_json_step step;
 *
 *     ty_json_init(&json, data, length);
 *     if (ty_json_peek(&json) == TY_JSON_OBJECT) {
 *         ty_json_enter(&json);
 *         for (bool first = true;
 *              (step = ty_json_next_member(&json, first, &name)) == TY_JSON_ITEM; first = false)
 *             if (!ty_json_skip(&json))
 *                 break;
 *     }
 *     if (json.error != NULL)
 *         complain(json.error, json.error_byte);
 *
 * Errors: the first one is kept in `error` and `error_byte`; the function that met it says so and
 * the scanner must not be used any more.
 * Duplicate names are the caller's business, who alone knows which names matter.
 * Threads: one owner at a time.
 */
#ifndef TY_INGEST_JSON_SCAN_H
#define TY_INGEST_JSON_SCAN_H

#include "engine/base.h"

/* How deep a value passed to ty_json_skip() may nest; RFC 8259, section 9 allows a limit. */
#define TY_JSON_DEPTH_MAX 64

struct ty_json {
    const char *start;
    const char *at; /* the next byte */
    const char *end;
    const char *error; /* constant text, a phrase without full stop; NULL while all is well */
    size_t error_byte; /* from 0 at `start`; the length where the text is cut off */
};

enum ty_json_kind {
    TY_JSON_BAD, /* no value begins here; the error is set */
    TY_JSON_OBJECT,
    TY_JSON_ARRAY,
    TY_JSON_STRING,
    TY_JSON_NUMBER,
    TY_JSON_TRUE,
    TY_JSON_FALSE,
    TY_JSON_NULL
};

enum ty_json_step {
    TY_JSON_FAILED, /* the error is set */
    TY_JSON_ITEM,   /* the scanner stands before a value */
    TY_JSON_CLOSED  /* the object or array has ended */
};

/* A checked string. */
struct ty_json_string {
    struct ty_text raw; /* what stands between the quotes; borrowed from the input */
    bool escaped;       /* it holds escapes: see ty_json_unescape() */
};

/* A checked number. */
struct ty_json_number {
    struct ty_text text; /* as it stands there; borrowed from the input */
    bool integral;       /* written without fraction and exponent */
    bool negative;       /* begins with a minus; "-0" too */
    uint64_t magnitude;  /* of an integral one; UINT64_MAX when it has more than 19 digits */
};

/*
 * ty_json_init starts at `data`, which is borrowed for as long as the scanner and the texts it
 * hands out are used. A byte order mark is no JSON: see ty_json_skip_mark().
 */
void ty_json_init(struct ty_json *json, const char *data, size_t length);

/* ty_json_skip_mark passes a UTF-8 byte order mark, if one stands at the very start: RFC 8259,
 * section 8.1 lets a parser ignore it, and some editors and shells write one. */
void ty_json_skip_mark(struct ty_json *json);

/* ty_json_fail notes an error at `at`, a place of the input, unless there is one; returns false. */
bool ty_json_fail(struct ty_json *json, const char *at, const char *error);

/* ty_json_peek passes white space and tells the next value's kind by its first byte. */
enum ty_json_kind ty_json_peek(struct ty_json *json);

/* ty_json_string takes the string that ty_json_peek() has just found. False: malformed. */
bool ty_json_string(struct ty_json *json, struct ty_json_string *string);

/* ty_json_number takes the number that ty_json_peek() has just found. False: malformed. */
bool ty_json_number(struct ty_json *json, struct ty_json_number *number);

/* ty_json_literal takes the true, false or null that ty_json_peek() has just found. */
bool ty_json_literal(struct ty_json *json, enum ty_json_kind kind);

/* ty_json_enter takes the bracket of the object or array that ty_json_peek() has just found. */
void ty_json_enter(struct ty_json *json);

/*
 * ty_json_next_member goes to the next value of an object, its name taken. `first` is true in the
 * first call after ty_json_enter(); before every other call the value must have been taken.
 */
enum ty_json_step ty_json_next_member(struct ty_json *json, bool first,
                                      struct ty_json_string *name);

/* ty_json_next_element does so for an array. After TY_JSON_ITEM, ty_json_peek() may still find that
 * no value follows the comma. */
enum ty_json_step ty_json_next_element(struct ty_json *json, bool first);

/* ty_json_skip takes any value, checked throughout. False: malformed, or nested deeper than
 * TY_JSON_DEPTH_MAX. Its stack is one word: hostile nesting costs no memory. */
bool ty_json_skip(struct ty_json *json);

/* ty_json_end checks that nothing but white space is left. */
bool ty_json_end(struct ty_json *json);

/*
 * ty_json_unescape writes a checked string's value to `out`, which has room for string->raw.length
 * bytes, and returns its length: never more than that. The value may hold zero bytes (\u0000).
 */
size_t ty_json_unescape(const struct ty_json_string *string, char *out);

#endif
