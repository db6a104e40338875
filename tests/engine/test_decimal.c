#include "engine/decimal.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <string.h>

#define UNTOUCHED INT64_C(-77)

static enum ty_decimal_status parse(const char *text, int64_t *micros)
{
    *micros = UNTOUCHED;
    return ty_decimal_parse(text, strlen(text), micros);
}

/*
 * The reference works on text alone: it writes the number out in full, without an exponent, and
 * compares digits. `digits` has its point before `point` (which may lie outside of it).
 */
static enum ty_decimal_status reference(const char *digits, int point, bool negative,
                                        int64_t *micros)
{
    const char *limit = negative ? "9223372036854775808" : "9223372036854775807";
    int count = (int)strlen(digits), places = 0;
    ty_int128 value = 0;
    char out[512];

    for (int at = TY_MIN(point, 0) - 40; at < TY_MAX(count, point) + 40; at++) {
        char c = at >= 0 && at < count ? digits[at] : '0';

        if (at >= point + 6) {
            if (c != '0')
                return TY_DECIMAL_TOO_FINE;
        } else if (places != 0 || c != '0') {
            out[places++] = c;
        }
    }
    out[places] = '\0';
    if (places > 19 || (places == 19 && strcmp(out, limit) > 0))
        return TY_DECIMAL_TOO_LARGE;
    for (int i = 0; i < places; i++)
        value = value * 10 + (out[i] - '0');
    *micros = (int64_t)(negative ? -value : value);
    return TY_DECIMAL_OK;
}

/* A random number as text, and as digits with the place of the point. */
static void make_number(struct ty_random *random, char *text, char *digits, int *point,
                        bool *negative)
{
    int whole = 1 + (int)ty_random_below(random, ty_random_one_in(random, 3) ? 24 : 14);
    int fraction = ty_random_one_in(random, 3) ? 0 : (int)ty_random_below(random, 14);
    int count = 0, exponent = 0;
    char *at = text;

    *negative = ty_random_one_in(random, 3);
    if (*negative)
        *at++ = '-';
    if (ty_random_one_in(random, 4))
        whole = 1;
    for (int i = 0; i < whole + fraction; i++) {
        bool zero = ty_random_one_in(random, 2) && (i != 0 || whole == 1);

        digits[count++] = zero ? '0' : (char)('1' + ty_random_below(random, 9));
        if (i == whole)
            *at++ = '.';
        *at++ = digits[count - 1];
    }
    digits[count] = '\0';
    *at = '\0';
    if (ty_random_one_in(random, 2)) {
        exponent = (int)ty_random_below(random, 50) - 25;
        sprintf(at, "%c%s%s%d", ty_random_one_in(random, 2) ? 'e' : 'E',
                exponent < 0                  ? "-"
                : ty_random_one_in(random, 2) ? "+"
                                              : "",
                ty_random_one_in(random, 3) ? "0" : "", abs(exponent));
    }
    *point = whole + exponent;
}

/* Credits are money. Random numbers of every shape against a reference that shares no code. */
Test(decimal, agrees_with_the_number_written_out)
{
    struct ty_random random;
    int seen[4] = {0};

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 100000; n++) {
        char text[128], digits[64];
        int64_t micros, expected_micros = UNTOUCHED;
        enum ty_decimal_status expected, status;
        bool negative;
        int point;

        make_number(&random, text, digits, &point, &negative);
        expected = reference(digits, point, negative, &expected_micros);
        status = parse(text, &micros);
        cr_assert_eq(status, expected, "%s: %d instead of %d", text, status, expected);
        cr_assert_eq(micros, expected_micros, "%s", text);
        seen[status]++;
    }
    cr_assert_gt(seen[TY_DECIMAL_OK], 5000, "the test has numbers of every kind");
    cr_assert_gt(seen[TY_DECIMAL_TOO_FINE], 5000);
    cr_assert_gt(seen[TY_DECIMAL_TOO_LARGE], 1000);
}

/* Numbers that clients send, and the edges of what is taken. */
Test(decimal, takes_what_fits_six_digits)
{
    static const struct {
        const char *text;
        int64_t micros;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"0.000000", 0},
        {"0e999999999999999999999", 0},
        {"0.0000000000000000000000000000000", 0},
        {"21", 21000000},
        {"0.1", 100000},
        {"-0.1", -100000},
        {"0.000001", 1},
        {"-0.000001", -1},
        {"0.1000000", 100000},
        {"1e2", 100000000},
        {"1E+2", 100000000},
        {"1e-06", 1},
        {"10e-7", 1},
        {"123.456e3", INT64_C(123456000000)},
        {"1000000000000000000000000000e-27", 1000000},
        {"0.000000000000000000000000000001e30", 1000000},
        {"9223372036854.775807", INT64_MAX},
        {"-9223372036854.775808", INT64_MIN},
        {"9223372036854775807e-6", INT64_MAX},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        int64_t micros;

        cr_assert_eq(parse(cases[i].text, &micros), TY_DECIMAL_OK, "%s", cases[i].text);
        cr_assert_eq(micros, cases[i].micros, "%s: %" PRId64, cases[i].text, micros);
    }
}

/* The two refusals need different answers: one is about digits, the other about size. */
Test(decimal, tells_too_fine_from_too_large)
{
    static const struct {
        const char *text;
        enum ty_decimal_status status;
    } cases[] = {
        {"0.0000001", TY_DECIMAL_TOO_FINE},
        {"1e-7", TY_DECIMAL_TOO_FINE},
        {"1e-1000000000000000000000", TY_DECIMAL_TOO_FINE},
        {"0.1234567", TY_DECIMAL_TOO_FINE},
        {"0.30000000000000004", TY_DECIMAL_TOO_FINE},
        {"123456789012345678901234567890.1234567", TY_DECIMAL_TOO_FINE},
        {"9223372036854.775808", TY_DECIMAL_TOO_LARGE},
        {"-9223372036854.775809", TY_DECIMAL_TOO_LARGE},
        {"99999999999999999999", TY_DECIMAL_TOO_LARGE},
        {"1e13", TY_DECIMAL_TOO_LARGE},
        {"1e1000000000000000000000", TY_DECIMAL_TOO_LARGE},
        {"123456789012345678901234567890.123456", TY_DECIMAL_TOO_LARGE},
        {"1234567890123456789012345678900000", TY_DECIMAL_TOO_LARGE},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        int64_t micros;

        cr_assert_eq(parse(cases[i].text, &micros), cases[i].status, "%s", cases[i].text);
        cr_assert_eq(micros, UNTOUCHED, "%s", cases[i].text);
    }
}

/* What other parsers let through (hexadecimal, infinity, blanks) must not become credits. */
Test(decimal, refuses_what_is_no_json_number)
{
    static const char *const cases[] = {
        "",         "-",         "+1",    ".",     ".5",   "5.",       "-.5",       "01",    "-01",
        "00",       "1e",        "1e+",   "1e-",   "e1",   "1e1.5",    "1e5e5",     "0x10",  " 1",
        "1 ",       "1\n",       "NaN",   "nan",   "inf",  "Infinity", "-Infinity", "1_000", "1,5",
        "--1",      "-+1",       "1..2",  "1.2.3", "1.e5", "1.-5",     "1e--5",     "12a",   "0b1",
        "\xd9\xa1", "1\xc2\xa0", "1'000", "$1",    "1e 5", "null",
    };
    int64_t micros;

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        cr_assert_eq(parse(cases[i], &micros), TY_DECIMAL_MALFORMED, "'%s'", cases[i]);
        cr_assert_eq(micros, UNTOUCHED);
    }
    cr_assert_eq(ty_decimal_parse(NULL, 0, &micros), TY_DECIMAL_MALFORMED, "no text at all");
    cr_assert_eq(ty_decimal_parse("1\0", 2, &micros), TY_DECIMAL_MALFORMED, "a zero byte");
    cr_assert_eq(parse("123456789012345678901234567890x", &micros), TY_DECIMAL_MALFORMED,
                 "syntax is judged before size");
}

/* An answer must carry exactly the sum, in the shortest form. */
Test(decimal, formats_without_trailing_zeros)
{
    const ty_int128 largest = (ty_int128)(~(ty_uint128)0 >> 1);
    static const struct {
        int64_t micros;
        const char *text;
    } cases[] = {
        {0, "0"},
        {1, "0.000001"},
        {-5, "-0.000005"},
        {100000, "0.1"},
        {21000000, "21"},
        {-21000000, "-21"},
        {1234500, "1.2345"},
        {INT64_MAX, "9223372036854.775807"},
        {INT64_MIN, "-9223372036854.775808"},
    };
    char text[TY_DECIMAL_TEXT_BYTES];

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        cr_assert_eq(ty_decimal_format(cases[i].micros, text), strlen(cases[i].text));
        cr_assert_str_eq(text, cases[i].text);
    }
    ty_decimal_format(largest, text);
    cr_assert_str_eq(text, "170141183460469231731687303715884.105727");
    ty_decimal_format(-largest - 1, text);
    cr_assert_str_eq(text, "-170141183460469231731687303715884.105728");
    cr_assert_eq(ty_integer_format(largest, text), 39u);
    cr_assert_str_eq(text, "170141183460469231731687303715884105727");
    cr_assert_eq(ty_integer_format(-largest - 1, text), 40u);
    cr_assert_str_eq(text, "-170141183460469231731687303715884105728");
    ty_integer_format(0, text);
    cr_assert_str_eq(text, "0");
}

/* What Tally writes it must read as the same amount. */
Test(decimal, survives_being_formatted_and_parsed)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 50000; n++) {
        int64_t micros = (int64_t)ty_random_wide(&random), parsed;
        char text[TY_DECIMAL_TEXT_BYTES], integer[TY_DECIMAL_TEXT_BYTES], expected[32];

        if (ty_random_one_in(&random, 2))
            micros = (int64_t)(0 - (uint64_t)micros);
        cr_assert_eq(ty_decimal_format(micros, text), strlen(text));
        cr_assert_eq(parse(text, &parsed), TY_DECIMAL_OK, "%s", text);
        cr_assert_eq(parsed, micros, "%s", text);
        cr_assert(strchr(text, '.') == NULL || text[strlen(text) - 1] != '0', "%s", text);
        ty_integer_format(micros, integer);
        snprintf(expected, sizeof(expected), "%" PRId64, micros);
        cr_assert_str_eq(integer, expected);
    }
}

/* Sums of many slots are 128 bits wide: all their digits must be in the answer, read back here by
 * adding them up. */
Test(decimal, writes_every_digit_of_wide_sums)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 50000; n++) {
        ty_uint128 low = ty_random_wide(&random), high = ty_random_wide(&random);
        ty_int128 value = (ty_int128)(high << 64 | low), sum = 0;
        char text[TY_DECIMAL_TEXT_BYTES], integer[TY_DECIMAL_TEXT_BYTES];
        const char *at = text + (value < 0);
        int fraction = -1;

        ty_decimal_format(value, text);
        for (; *at != '\0'; at++) {
            if (*at != '.')
                sum = sum * 10 + (value < 0 ? '0' - *at : *at - '0');
            fraction += *at == '.' || fraction >= 0;
        }
        for (fraction = TY_MAX(fraction, 0); fraction < 6; fraction++)
            sum *= 10;
        cr_assert(sum == value, "%s", text);
        sum = 0;
        ty_integer_format(value, integer);
        for (at = integer + (value < 0); *at != '\0'; at++)
            sum = sum * 10 + (value < 0 ? '0' - *at : *at - '0');
        cr_assert(sum == value, "%s", integer);
        cr_assert_eq(integer[0] == '-', value < 0);
        cr_assert_eq(text[0] == '-', value < 0);
    }
}

/* The average time per page is rounded half to even; a bias would show in every report. */
Test(decimal, divides_to_the_nearest_and_ties_to_even)
{
    const ty_int128 large = (ty_int128)1 << 120;

    for (int divisor = 1; divisor <= 60; divisor++)
        for (int dividend = 0; dividend <= 600; dividend++) {
            int quotient = (int)ty_divide_half_even(dividend, divisor);
            int twice_off = 2 * abs(quotient * divisor - dividend);

            cr_assert(twice_off <= divisor, "%d / %d is not %d", dividend, divisor, quotient);
            cr_assert(twice_off < divisor || quotient % 2 == 0, "%d / %d: tie to %d", dividend,
                      divisor, quotient);
        }
    cr_assert(ty_divide_half_even(3 * large, 2 * large) == 2);
    cr_assert(ty_divide_half_even(5 * large, 2 * large) == 2);
    cr_assert(ty_divide_half_even(5 * large + 1, 2 * large) == 3);
    cr_assert(ty_divide_half_even(large, 1) == large);
}

/* A division by zero has to name the rule that its caller broke, in release builds too. */
Test(decimal, names_the_broken_rule_when_it_divides_by_zero, .signal = SIGABRT)
{
    ty_divide_half_even(1, 0);
}

/* The shortest decimal by trying: the first number of digits that reads back. */
static enum ty_decimal_status shortest_of_double(double number, int64_t *micros)
{
    char text[40];

    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    return parse(text, micros);
}

/* The same for a float, on both sides of it: it may be read from several decimals. Exact, since 24
 * bits times 10^6 fit into a long double. */
static enum ty_decimal_status shortest_of_float(float number, int64_t *micros)
{
    int64_t scale = TY_MICROS;
    char text[TY_DECIMAL_TEXT_BYTES];

    *micros = UNTOUCHED;
    for (int64_t units = 1; units <= TY_MICROS; units *= 10, scale /= 10) {
        long double exact = (long double)number * (long double)units;
        int64_t near = (int64_t)rintl(exact); /* ties to even */
        int64_t choices[2] = {near, (long double)near > exact ? near - 1 : near + 1};

        for (int i = 0; i < 2; i++) {
            ty_decimal_format((ty_int128)choices[i] * scale, text);
            if (strtof(text, NULL) != number)
                continue;
            *micros = choices[i] * scale;
            return TY_DECIMAL_OK;
        }
    }
    return TY_DECIMAL_TOO_FINE;
}

static void check_double(double number)
{
    int64_t micros = UNTOUCHED, want;
    enum ty_decimal_status wanted = shortest_of_double(number, &want);
    enum ty_decimal_status status = ty_decimal_from_double(number, &micros);

    if (!isfinite(number))
        wanted = TY_DECIMAL_MALFORMED;
    else if (fabs(number) > 1e9) {
        wanted = TY_DECIMAL_TOO_LARGE;
        want = UNTOUCHED;
    }
    cr_assert_eq(status, wanted, "%.17g: %d instead of %d", number, (int)status, (int)wanted);
    cr_assert_eq(micros, want, "%.17g: %" PRId64 " instead of %" PRId64, number, micros, want);
}

static void check_float(float number)
{
    int64_t micros = UNTOUCHED, want = UNTOUCHED;
    enum ty_decimal_status wanted, status = ty_decimal_from_float(number, &micros);

    if (!isfinite(number))
        wanted = TY_DECIMAL_MALFORMED;
    else if (fabsf(number) > 1e9f)
        wanted = TY_DECIMAL_TOO_LARGE;
    else
        wanted = shortest_of_float(number, &want);
    cr_assert_eq(status, wanted, "%.9g: %d instead of %d", (double)number, (int)status,
                 (int)wanted);
    cr_assert_eq(micros, want, "%.9g: %" PRId64 " instead of %" PRId64, (double)number, micros,
                 want);
}

/* Credits that come as binary floats must be the decimals that were meant: 0.1, not a hair more. */
Test(decimal, floats_are_the_shortest_decimals_that_read_as_them)
{
    static const double numbers[] = {
        0.0,        -0.0,   0.1,       0.3,  0.1 + 0.2,   1e-6,          -1e-6,
        5e-7,       1e-7,   1e9,       -1e9, 1e9 + 1e-6,  1e9 - 1e-6,    999999999.999999,
        1e300,      -1e300, 1.1e9,     2.5,  123456789.1, 4294967296.25, 1.0 / 3,
        16777217.0, 1e-300, 0.0000015,
    };
    struct ty_random random;

    for (size_t i = 0; i < TY_COUNT_OF(numbers); i++) {
        check_double(numbers[i]);
        check_float((float)numbers[i]);
    }
    check_double((double)INFINITY);
    check_double((double)NAN);
    check_float(-INFINITY);
    check_float(NAN);
    ty_random_init(&random, ty_random_seed());
    for (int round = 0; round < 100000; round++) {
        uint64_t bits = ty_random_u64(&random);
        uint32_t narrow = (uint32_t)bits;
        double scale = pow(10, (double)ty_random_below(&random, 9)), number;
        float single;

        memcpy(&number, &bits, sizeof(number));
        memcpy(&single, &narrow, sizeof(single));
        check_double(number);
        check_float(single);
        number = (double)(int64_t)ty_random_wide(&random) / scale;
        check_double(number);
        check_float((float)number);
        check_double(nextafter(number, 0));
    }
}

/* Around powers of two floats lie closer on one side: where a shortest decimal is missed first. */
Test(decimal, floats_around_powers_of_two)
{
    for (int exponent = -40; exponent <= 31; exponent++)
        for (int sign = -1; sign <= 1; sign += 2) {
            float power = ldexpf((float)sign, exponent);

            check_float(power);
            check_float(nextafterf(power, 0));
            check_float(nextafterf(power, 2 * power));
            check_double((double)power);
            check_double(nextafter((double)power, 0));
            check_double(nextafter((double)power, 2 * (double)power));
        }
}
