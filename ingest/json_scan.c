#include "ingest/json_scan.h"

#include "engine/utf8.h"

#include <string.h>

#define EVERY_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

static const char text_ends_in_string[] = "the text ends inside a string";

void ty_json_init(struct ty_json *json, const char *data, size_t length)
{
    /* An empty range may come as a null pointer, which must not take part in arithmetic. */
    const char *start = length == 0 ? "" : data;

    *json = (struct ty_json){.start = start, .at = start, .end = start + length};
}

void ty_json_skip_mark(struct ty_json *json)
{
    if (json->at == json->start && json->end - json->at >= 3 &&
        memcmp(json->at, "\xef\xbb\xbf", 3) == 0)
        json->at += 3;
}

bool ty_json_fail(struct ty_json *json, const char *at, const char *error)
{
    if (json->error == NULL) {
        json->error = error;
        json->error_byte = (size_t)(at - json->start);
    }
    return false;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static void skip_space(struct ty_json *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
        json->at++;
}

/* Passes white space; true when `byte` follows and has been taken. */
static bool take(struct ty_json *json, char byte)
{
    skip_space(json);
    if (json->at == json->end || *json->at != byte)
        return false;
    json->at++;
    return true;
}

enum ty_json_kind ty_json_peek(struct ty_json *json)
{
    skip_space(json);
    if (json->at == json->end) {
        ty_json_fail(json, json->at, "the text ends where a value should be");
        return TY_JSON_BAD;
    }
    switch (*json->at) {
    case '{':
        return TY_JSON_OBJECT;
    case '[':
        return TY_JSON_ARRAY;
    case '"':
        return TY_JSON_STRING;
    case '-':
        return TY_JSON_NUMBER;
    case 't':
        return TY_JSON_TRUE;
    case 'f':
        return TY_JSON_FALSE;
    case 'n':
        return TY_JSON_NULL;
    default:
        if (is_digit(*json->at))
            return TY_JSON_NUMBER;
        ty_json_fail(json, json->at, "no JSON value begins here");
        return TY_JSON_BAD;
    }
}

/*
 * Returns the first byte from `at` on that a string cannot simply hold: a quote, a backslash, a
 * control character, or the start of something beyond ASCII.
 *
 * Eight bytes a step. The high bit of each byte of `stops` is set where the byte has its own high
 * bit, is below 0x20, or equals one of the two marks (then the exclusive or is zero and the
 * subtraction wraps). A wrap borrows from the byte above it, which may then be flagged wrongly, but
 * that one comes later in the text, so the first flag is always right.
 */
static const char *skip_plain(const char *at, const char *end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    while (end - at >= 8) {
        uint64_t word, quote, backslash, stops;

        memcpy(&word, at, sizeof(word));
        quote = word ^ EVERY_BYTE('"');
        backslash = word ^ EVERY_BYTE('\\');
        stops = (word | (word - EVERY_BYTE(0x20)) | (quote - EVERY_BYTE(1)) |
                 (backslash - EVERY_BYTE(1))) &
                EVERY_BYTE(0x80);
        if (stops != 0)
            return at + __builtin_ctzll(stops) / 8;
        at += 8;
    }
#endif
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' &&
           *at != '\\')
        at++;
    return at;
}

static int hex_digit(char byte)
{
    if (is_digit(byte))
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

/* The UTF-16 code unit of the "\uXXXX" at `at`, or -1 when none stands there. */
static int32_t code_unit(const char *at, const char *end)
{
    int32_t unit = 0;

    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(at[i]);

        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static bool is_high_surrogate(int32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(int32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/* Checks the escape at `at` and returns its length, or 0: malformed. */
static size_t check_escape(struct ty_json *json, const char *at)
{
    const char *error = NULL;
    size_t length = 2;
    int32_t unit;

    if (json->end - at < 2) {
        error = text_ends_in_string;
        at = json->end;
    } else if (at[1] == 'u') {
        unit = code_unit(at, json->end);
        length = 6;
        if (unit < 0)
            error = "\\u needs four hexadecimal digits";
        else if (is_low_surrogate(unit))
            error = "a low surrogate without a high one before it";
        else if (is_high_surrogate(unit)) {
            length = 12;
            if (!is_low_surrogate(code_unit(at + 6, json->end)))
                error = "a high surrogate without a low one after it";
        }
    } else if (at[1] == '\0' || strchr("\"\\/bfnrt", at[1]) == NULL) {
        error = "an unknown escape in a string";
    }
    if (error == NULL)
        return length;
    ty_json_fail(json, at, error);
    return 0;
}

/* Takes a string from its opening quote on. */
static bool scan_string(struct ty_json *json, struct ty_json_string *string)
{
    const char *const from = json->at + 1;
    const char *at = from;

    string->escaped = false;
    for (;;) {
        size_t length;

        at = skip_plain(at, json->end);
        if (at == json->end)
            return ty_json_fail(json, at, text_ends_in_string);
        if (*at == '"')
            break;
        if (*at == '\\') {
            string->escaped = true;
            length = check_escape(json, at);
            if (length == 0)
                return false;
        } else if ((unsigned char)*at < 0x20) {
            return ty_json_fail(json, at, "a control character in a string must be escaped");
        } else {
            length = ty_utf8_sequence(at, json->end);
            if (length == 0)
                return ty_json_fail(json, at, "malformed UTF-8");
        }
        at += length;
    }
    string->raw = (struct ty_text){.data = from, .length = (size_t)(at - from)};
    json->at = at + 1;
    return true;
}

bool ty_json_string(struct ty_json *json, struct ty_json_string *string)
{
    return scan_string(json, string);
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

/* Passes the fraction and the exponent that may follow the digits; NULL: malformed. */
static const char *skip_fraction_and_exponent(struct ty_json *json, const char *at)
{
    const char *digits;

    if (at < json->end && *at == '.') {
        digits = at + 1;
        at = skip_digits(digits, json->end);
        if (at == digits) {
            ty_json_fail(json, at, "a number needs a digit after its point");
            return NULL;
        }
    }
    if (at < json->end && (*at == 'e' || *at == 'E')) {
        digits = at + 1;
        if (digits < json->end && (*digits == '+' || *digits == '-'))
            digits++;
        at = skip_digits(digits, json->end);
        if (at == digits) {
            ty_json_fail(json, at, "a number needs a digit in its exponent");
            return NULL;
        }
    }
    return at;
}

bool ty_json_number(struct ty_json *json, struct ty_json_number *number)
{
    const char *const from = json->at;
    const char *digits, *at;
    uint64_t magnitude = 0;

    number->negative = *from == '-';
    digits = from + (number->negative ? 1 : 0);
    for (at = digits; at < json->end && is_digit(*at); at++)
        magnitude = magnitude * 10 + (uint64_t)(*at - '0'); /* wraps: see below */
    if (at == digits)
        return ty_json_fail(json, at, "a number needs a digit after its minus");
    if (*digits == '0' && at - digits > 1)
        return ty_json_fail(json, digits, "a number must not have leading zeros");
    /* 19 digits always fit into 64 bits. */
    number->magnitude = at - digits > 19 ? UINT64_MAX : magnitude;
    number->integral = at == json->end || (*at != '.' && *at != 'e' && *at != 'E');
    if (!number->integral) {
        at = skip_fraction_and_exponent(json, at);
        if (at == NULL)
            return false;
    }
    number->text = (struct ty_text){.data = from, .length = (size_t)(at - from)};
    json->at = at;
    return true;
}

bool ty_json_literal(struct ty_json *json, enum ty_json_kind kind)
{
    const char *word = kind == TY_JSON_TRUE ? "true" : kind == TY_JSON_FALSE ? "false" : "null";
    size_t length = strlen(word);

    if ((size_t)(json->end - json->at) < length || memcmp(json->at, word, length) != 0)
        return ty_json_fail(json, json->at, "no JSON value begins here");
    json->at += length;
    return true;
}

void ty_json_enter(struct ty_json *json)
{
    json->at++;
}

static enum ty_json_step step_failed(struct ty_json *json, const char *error)
{
    if (json->at == json->end)
        error = "the text ends inside an object or array";
    ty_json_fail(json, json->at, error);
    return TY_JSON_FAILED;
}

enum ty_json_step ty_json_next_member(struct ty_json *json, bool first, struct ty_json_string *name)
{
    if (take(json, '}'))
        return TY_JSON_CLOSED;
    if (!first && !take(json, ','))
        return step_failed(json, "a comma or } is missing here");
    skip_space(json);
    if (json->at == json->end || *json->at != '"')
        return step_failed(json, "a name in double quotes is missing here");
    if (!scan_string(json, name))
        return TY_JSON_FAILED;
    if (!take(json, ':'))
        return step_failed(json, "a colon is missing here");
    return TY_JSON_ITEM;
}

enum ty_json_step ty_json_next_element(struct ty_json *json, bool first)
{
    if (take(json, ']'))
        return TY_JSON_CLOSED;
    if (!first && !take(json, ','))
        return step_failed(json, "a comma or ] is missing here");
    return TY_JSON_ITEM;
}

static bool skip_scalar(struct ty_json *json, enum ty_json_kind kind)
{
    struct ty_json_string string;
    struct ty_json_number number;

    switch (kind) {
    case TY_JSON_BAD:
        return false;
    case TY_JSON_STRING:
        return scan_string(json, &string);
    case TY_JSON_NUMBER:
        return ty_json_number(json, &number);
    default:
        return ty_json_literal(json, kind);
    }
}

static enum ty_json_step next_of(struct ty_json *json, bool object, bool first)
{
    struct ty_json_string name;

    return object ? ty_json_next_member(json, first, &name) : ty_json_next_element(json, first);
}

bool ty_json_skip(struct ty_json *json)
{
    uint64_t objects = 0; /* a bit for each open bracket, the innermost lowest: is it an object? */
    unsigned depth = 0;

    _Static_assert(TY_JSON_DEPTH_MAX <= 64, "the stack is one word");
    do {
        enum ty_json_kind kind = ty_json_peek(json);
        bool first = kind == TY_JSON_OBJECT || kind == TY_JSON_ARRAY;
        enum ty_json_step step = TY_JSON_CLOSED;

        if (first) {
            if (depth == TY_JSON_DEPTH_MAX)
                return ty_json_fail(json, json->at, "nested deeper than 64 levels");
            ty_json_enter(json);
            objects = objects << 1 | (kind == TY_JSON_OBJECT);
            depth++;
        } else if (!skip_scalar(json, kind)) {
            return false;
        }
        /* A value has ended (or a bracket just opened): close what closes, go to the next value. */
        while (depth > 0 && (step = next_of(json, objects & 1, first)) == TY_JSON_CLOSED) {
            objects >>= 1;
            depth--;
            first = false;
        }
        if (step == TY_JSON_FAILED)
            return false;
    } while (depth > 0);
    return true;
}

bool ty_json_end(struct ty_json *json)
{
    skip_space(json);
    return json->at == json->end ||
           ty_json_fail(json, json->at, "more text after the end of the JSON value");
}

/* Decodes the escape at `at`, checked before; moves *at behind it and returns the bytes written. */
static unsigned unescape_one(const char **at, const char *end, char *out)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    uint32_t code_point;

    if ((*at)[1] != 'u') {
        *out = values[strchr(names, (*at)[1]) - names];
        *at += 2;
        return 1;
    }
    code_point = (uint32_t)code_unit(*at, end);
    *at += 6;
    if (is_high_surrogate((int32_t)code_point)) {
        uint32_t low = (uint32_t)code_unit(*at, end);

        code_point = 0x10000 + ((code_point - 0xd800) << 10) + (low - 0xdc00);
        *at += 6;
    }
    return ty_utf8_encode(code_point, out);
}

size_t ty_json_unescape(const struct ty_json_string *string, char *out)
{
    const char *at = string->raw.data;
    const char *const end = at + string->raw.length;
    char *to = out;

    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((escape == NULL ? end : escape) - at);

        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (escape != NULL)
            to += unescape_one(&at, end, to);
    }
    return (size_t)(to - out);
}
