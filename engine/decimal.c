#include "engine/decimal.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRACTION_DIGITS 6
#define EXPONENT_MAX    INT64_C(1000000000) /* larger ones are cut to this: as good as infinite */
#define DIGITS_MAX      19                  /* 10^19 and more fits no int64_t */

/* A number's parts: digits (a fraction's point removed) with the text they stand in, and exponent.
 */
struct parts {
    bool negative;
    const char *digits; /* integer digits, perhaps '.', fraction digits */
    const char *end;
    int64_t fraction_length;
    int64_t exponent;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at != end && is_digit(*at))
        at++;
    return at;
}

/* "e", an optional sign, digits. Returns NULL when malformed. */
static const char *read_exponent(const char *at, const char *end, int64_t *exponent)
{
    bool negative = false;
    const char *start;

    if (at != end && (*at == '+' || *at == '-'))
        negative = *at++ == '-';
    start = at;
    for (*exponent = 0; at != end && is_digit(*at); at++)
        *exponent = TY_MIN(*exponent * 10 + (*at - '0'), EXPONENT_MAX);
    if (negative)
        *exponent = -*exponent;
    return at == start ? NULL : at;
}

/* JSON's grammar: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
static bool split(const char *text, size_t length, struct parts *parts)
{
    const char *at = text, *end = text + length, *start;

    *parts = (struct parts){0};
    if (at != end && *at == '-') {
        parts->negative = true;
        at++;
    }
    parts->digits = start = at;
    at = skip_digits(at, end);
    if (at == start || (*start == '0' && at - start > 1))
        return false;
    if (at != end && *at == '.') {
        start = ++at;
        at = skip_digits(at, end);
        parts->fraction_length = at - start;
        if (at == start)
            return false;
    }
    parts->end = at;
    if (at != end && (*at == 'e' || *at == 'E'))
        at = read_exponent(at + 1, end, &parts->exponent);
    return at == end;
}

/*
 * The digits without leading and trailing zeros as an integer, and the power of ten that it is to
 * be multiplied by. False when there are more digits than any int64_t has.
 */
static bool significant(const struct parts *parts, uint64_t *value, int64_t *power)
{
    int64_t zeros = 0; /* a run that may turn out to be trailing */
    int count = 0;

    *value = 0;
    for (const char *at = parts->digits; at != parts->end; at++) {
        if (*at == '.')
            continue;
        if (*at == '0') {
            zeros += *value != 0;
            continue;
        }
        for (; zeros > 0; zeros--) {
            if (++count > DIGITS_MAX)
                return false;
            *value *= 10;
        }
        if (++count > DIGITS_MAX)
            return false;
        *value = *value * 10 + (uint64_t)(*at - '0');
    }
    *power = zeros + parts->exponent - parts->fraction_length;
    return true;
}

/* The number has too many digits: is it too large, or too fine? The place of its last non-zero
 * digit tells. */
static enum ty_decimal_status judge_long(const struct parts *parts)
{
    int64_t fraction = parts->fraction_length - parts->exponent;

    for (const char *at = parts->end - 1; *at == '0' || *at == '.'; at--)
        fraction -= *at == '0';
    return fraction > FRACTION_DIGITS ? TY_DECIMAL_TOO_FINE : TY_DECIMAL_TOO_LARGE;
}

static enum ty_decimal_status scale(uint64_t value, int64_t power, bool negative, int64_t *micros)
{
    uint64_t limit = (uint64_t)INT64_MAX + negative;

    power += FRACTION_DIGITS;
    if (power < 0)
        return TY_DECIMAL_TOO_FINE;
    if (power > DIGITS_MAX)
        return TY_DECIMAL_TOO_LARGE;
    for (; power > 0; power--)
        if (__builtin_mul_overflow(value, 10, &value))
            return TY_DECIMAL_TOO_LARGE;
    if (value > limit)
        return TY_DECIMAL_TOO_LARGE;
    *micros = (int64_t)(negative ? ~value + 1 : value);
    return TY_DECIMAL_OK;
}

enum ty_decimal_status ty_decimal_parse(const char *text, size_t length, int64_t *micros)
{
    struct parts parts;
    uint64_t value;
    int64_t power;

    /* Empty text may have no address, and C allows no arithmetic with that. */
    if (length == 0 || !split(text, length, &parts))
        return TY_DECIMAL_MALFORMED;
    if (!significant(&parts, &value, &power))
        return judge_long(&parts);
    if (value == 0) {
        *micros = 0;
        return TY_DECIMAL_OK;
    }
    return scale(value, power, parts.negative, micros);
}

/* Writes the digits of value backwards, ending before `end`; returns where they begin. */
static char *put_digits(char *end, ty_uint128 value)
{
    do {
        *--end = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value != 0);
    return end;
}

static ty_uint128 magnitude(ty_int128 value)
{
    return value < 0 ? ~(ty_uint128)value + 1 : (ty_uint128)value;
}

static size_t finish(char *start, const char *end, bool negative, char *text)
{
    if (negative)
        *--start = '-';
    memmove(text, start, (size_t)(end - start));
    text[end - start] = '\0';
    return (size_t)(end - start);
}

/* --- From binary floats --- */

#define FLOAT_MAX 1e9

static enum ty_decimal_status check_float(double number)
{
    if (!isfinite(number))
        return TY_DECIMAL_MALFORMED;
    return fabs(number) > FLOAT_MAX ? TY_DECIMAL_TOO_LARGE : TY_DECIMAL_OK;
}

/*
 * Why this finds the shortest decimal: up to 10^9 a number of micros has at most 15 digits (10^15
 * itself is the integer 10^9), and no two decimals of at most 15 digits read as the same double. So
 * if some decimal with six fractional digits reads as `number`, it is the only one, and a shorter
 * one could only be itself. The division is rounded to nearest, as reading the decimal would be.
 */
enum ty_decimal_status ty_decimal_from_double(double number, int64_t *micros)
{
    enum ty_decimal_status status = check_float(number);
    int64_t nearest;

    if (status != TY_DECIMAL_OK)
        return status;
    nearest = (int64_t)(number * TY_MICROS + (number < 0 ? -0.5 : 0.5));
    if ((double)nearest / TY_MICROS != number)
        return TY_DECIMAL_TOO_FINE;
    *micros = nearest;
    return TY_DECIMAL_OK;
}

/*
 * A float has 6 to 9 digits, so that several decimals of six fractional digits may read as the same
 * one: the shortest has to be looked for. Not so for a whole number, which is itself, exactly: the
 * shortest for 123456792 would be 1.2345679e8, two less.
 */
enum ty_decimal_status ty_decimal_from_float(float number, int64_t *micros)
{
    enum ty_decimal_status status = check_float((double)number);
    char text[32];

    if (status != TY_DECIMAL_OK)
        return status;
    if ((float)(int64_t)number == number) {
        *micros = (int64_t)number * TY_MICROS;
        return TY_DECIMAL_OK;
    }
    for (int digits = 1; digits <= FLT_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, (double)number);
        if (strtof(text, NULL) == number)
            break;
    }
    return ty_decimal_parse(text, strlen(text), micros);
}

/* --- To text --- */

size_t ty_decimal_format(ty_int128 micros, char text[TY_DECIMAL_TEXT_BYTES])
{
    char buffer[TY_DECIMAL_TEXT_BYTES], *end = buffer + sizeof(buffer), *start = end;
    ty_uint128 value = magnitude(micros);
    unsigned fraction = (unsigned)(value % TY_MICROS);
    int digits = FRACTION_DIGITS;

    for (; digits > 0 && fraction % 10 == 0; digits--)
        fraction /= 10;
    for (int i = 0; i < digits; i++, fraction /= 10)
        *--start = (char)('0' + fraction % 10);
    if (digits > 0)
        *--start = '.';
    return finish(put_digits(start, value / TY_MICROS), end, micros < 0, text);
}

size_t ty_integer_format(ty_int128 value, char text[TY_DECIMAL_TEXT_BYTES])
{
    char buffer[TY_DECIMAL_TEXT_BYTES], *end = buffer + sizeof(buffer);

    return finish(put_digits(end, magnitude(value)), end, value < 0, text);
}

ty_int128 ty_divide_half_even(ty_int128 dividend, ty_int128 divisor)
{
    ty_int128 quotient, rest, other_half;

    TY_ASSERT(dividend >= 0 && divisor > 0);
    quotient = dividend / divisor;
    rest = dividend % divisor;
    other_half = divisor - rest;
    if (rest > other_half || (rest == other_half && (quotient & 1) != 0))
        quotient++;
    return quotient;
}
