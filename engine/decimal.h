/*
 * decimal.h: exact decimals with six fractional digits, as integers of millionths ("micros").
 *
 * No floating point takes part, but where a number comes as one. Threads: pure functions.
 */
#ifndef TY_ENGINE_DECIMAL_H
#define TY_ENGINE_DECIMAL_H

#include "engine/base.h"

#define TY_MICROS             1000000
#define TY_DECIMAL_TEXT_BYTES 48 /* the longest 128-bit number, sign, point and zero: 42 */

enum ty_decimal_status {
    TY_DECIMAL_OK,
    TY_DECIMAL_MALFORMED, /* not a number by JSON's grammar (RFC 8259, section 6) */
    TY_DECIMAL_TOO_FINE,  /* its value needs more than six fractional digits */
    TY_DECIMAL_TOO_LARGE  /* its value does not fit into int64_t micros */
};

/*
 * ty_decimal_parse reads a JSON number (sign, digits, fraction, exponent) without a double.
 *
 * Trailing zeros and exponents that leave the value at six digits are fine: "1e2", "0.1000000" and
 * "1e-06" are all taken. The work is bounded by `length`, whatever the exponent says.
 * On every result but TY_DECIMAL_OK *micros is untouched. Syntax is judged before size.
 */
enum ty_decimal_status ty_decimal_parse(const char *text, size_t length, int64_t *micros);

/*
 * ty_decimal_from_double takes a binary float for the decimal that its sender meant: the shortest
 * one that reads back as the same double (0.1 and not 0.1000000000000000055), if that has at most
 * six fractional digits. ty_decimal_from_float does so for one of 32 bits; whole numbers are taken
 * as they are.
 *
 * TY_DECIMAL_MALFORMED for infinities and NaN, TY_DECIMAL_TOO_LARGE above 10^9 either way: beyond,
 * six fractional digits are more than a double holds.
 */
enum ty_decimal_status ty_decimal_from_double(double number, int64_t *micros);
enum ty_decimal_status ty_decimal_from_float(float number, int64_t *micros);

/*
 * ty_decimal_format writes micros as a JSON number without trailing zeros: 21000000 is "21",
 * 100000 is "0.1", -5 is "-0.000005", 0 is "0". Terminates with a zero byte.
 * Returns the length without it.
 */
size_t ty_decimal_format(ty_int128 micros, char text[TY_DECIMAL_TEXT_BYTES]);

/* ty_integer_format writes a whole 128-bit number in decimal; otherwise as ty_decimal_format. */
size_t ty_integer_format(ty_int128 value, char text[TY_DECIMAL_TEXT_BYTES]);

/*
 * ty_divide_half_even divides and rounds to the nearest integer, ties to the even one.
 * Both are non-negative; `divisor` is positive.
 */
ty_int128 ty_divide_half_even(ty_int128 dividend, ty_int128 divisor);

#endif
