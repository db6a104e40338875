#include "server/tool/exact_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MICRO_DIGITS 6

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

/* The end of the number that begins at `at` (RFC 8259, section 6), or NULL if there is none. */
static const char *skip_number(const char *at, const char *end)
{
    const char *digits;

    if (at < end && *at == '-')
        at++;
    digits = at;
    at = skip_digits(at, end);
    if (at == digits || (*digits == '0' && at - digits > 1))
        return NULL;
    if (at < end && *at == '.') {
        digits = at + 1;
        at = skip_digits(digits, end);
        if (at == digits)
            return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        digits = at;
        at = skip_digits(digits, end);
        if (at == digits)
            return NULL;
    }
    return at;
}

/* The end of the string whose opening quote is at `at`; the document's end if it never closes. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '\\' && at + 1 < end)
            at++;
        else if (*at == '"')
            return at + 1;
    }
    return end;
}

/* Copies the document with its numbers in quotes. Returns the length, or 0 with *bad set. */
static size_t quote_numbers(const char *text, const char *end, char *out, const char **bad)
{
    char *to = out;

    for (const char *at = text; at < end;) {
        bool number = *at == '-' || is_digit(*at);
        const char *next;

        if (number)
            next = skip_number(at, end);
        else
            next = *at == '"' ? skip_string(at, end) : at + 1;
        if (next == NULL) {
            *bad = at;
            return 0;
        }
        if (number)
            *to++ = '"';
        memcpy(to, at, (size_t)(next - at));
        to += next - at;
        if (number)
            *to++ = '"';
        at = next;
    }
    return (size_t)(to - out);
}

json_t *ty_exact_json_parse(const char *text, size_t length, char error[TY_EXACT_JSON_ERROR_BYTES])
{
    /* At most three bytes for one: a number of one digit and its two quotes. */
    char *quoted = malloc(3 * length + 1);
    const char *bad = NULL;
    json_error_t problem;
    json_t *document = NULL;
    size_t quoted_length;

    if (quoted == NULL) {
        snprintf(error, TY_EXACT_JSON_ERROR_BYTES, "out of memory");
        return NULL;
    }
    quoted_length = quote_numbers(text, text + length, quoted, &bad);
    if (bad != NULL) {
        snprintf(error, TY_EXACT_JSON_ERROR_BYTES, "no number at byte %zu", (size_t)(bad - text));
    } else {
        document = json_loadb(quoted, quoted_length, JSON_REJECT_DUPLICATES, &problem);
        if (document == NULL)
            snprintf(error, TY_EXACT_JSON_ERROR_BYTES, "%s", problem.text);
    }
    free(quoted);
    return document;
}

bool ty_exact_json_add(const char *text, ty_int128 *micros)
{
    bool negative = *text == '-';
    int fraction_digits = -1; /* -1 before the point */
    ty_int128 value = 0, sum;

    if (negative)
        text++;
    if (!is_digit(*text))
        return false;
    for (; *text != '\0'; text++) {
        if (*text == '.' && fraction_digits < 0 && is_digit(text[1])) {
            fraction_digits = 0;
            continue;
        }
        if (!is_digit(*text) || fraction_digits == MICRO_DIGITS)
            return false;
        if (fraction_digits >= 0)
            fraction_digits++;
        /* Subtracting keeps the most negative number in reach. */
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, *text - '0', &value))
            return false;
    }
    for (int i = TY_MAX(fraction_digits, 0); i < MICRO_DIGITS; i++)
        if (__builtin_mul_overflow(value, 10, &value))
            return false;
    if (negative ? __builtin_add_overflow(*micros, value, &sum)
                 : __builtin_sub_overflow(*micros, value, &sum))
        return false;
    *micros = sum;
    return true;
}
