#include "ingest/json_scan.h"

#include "tests/ingest/mutate.h"

#include <criterion/criterion.h>
#include <jansson.h>

/* Skips one value and expects the end; fills *byte with the error's place. NULL: well-formed. */
static const char *scan(const char *text, size_t length, size_t *byte)
{
    struct ty_json json;
    char *exact = malloc(length == 0 ? 1 : length); /* so that a read past the end is seen */

    memcpy(exact, text, length);
    ty_json_init(&json, exact, length);
    if (ty_json_skip(&json))
        ty_json_end(&json);
    free(exact);
    *byte = json.error_byte;
    return json.error;
}

/* Whatever a producer's library writes as JSON must be taken. */
Test(json_scan, takes_every_form_of_the_grammar)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "-1",
        "10",
        "1.5",
        "-0.0",
        "1e5",
        "1E+5",
        "1e-05",
        "0e0",
        "123456789012345678901",
        "1.000000000000000000000000000001e-999999",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0000\\u001F\\uFFFF\\uffff\"",
        "\"\\ud83d\\ude00\"",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"",
        "\"\\u00e9 and \xc3\xa9\"",
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "[[],{},[{}]]",
        "[1 , 2\t,\r\n3]",
        " \t\r\n1 \t\r\n",
        "{\"\":0}",
        "{\"a\":1,\"a\":2}",
        "{ \"a\" : { \"b\" : [ null ] } }",
        "[\"a\",-1,true,false,null,{}]",
    };

    for (size_t i = 0; i < TY_COUNT_OF(texts); i++) {
        size_t byte;
        const char *error = scan(texts[i], strlen(texts[i]), &byte);

        cr_assert_null(error, "%s: %s at %zu", texts[i], error, byte);
    }
}

/* What is no JSON must be refused with its place, or a broken producer is counted wrongly. */
Test(json_scan, refuses_what_is_no_json_and_says_where)
{
    static const struct {
        const char *text;
        size_t byte;
        const char *error;
    } cases[] = {
        {"", 0, "the text ends where a value should be"},
        {"  ", 2, "the text ends where a value should be"},
        {"x", 0, "no JSON value begins here"},
        {"+1", 0, "no JSON value begins here"},
        {".5", 0, "no JSON value begins here"},
        {"NaN", 0, "no JSON value begins here"},
        {"Infinity", 0, "no JSON value begins here"},
        {"'a'", 0, "no JSON value begins here"},
        {"// c", 0, "no JSON value begins here"},
        {"\xef\xbb\xbf"
         "1",
         0, "no JSON value begins here"},
        {"nul", 0, "no JSON value begins here"},
        {"tru", 0, "no JSON value begins here"},
        {"True", 0, "no JSON value begins here"},
        {"falsy", 0, "no JSON value begins here"},
        {"nulll", 4, "more text after the end of the JSON value"},
        {"1 2", 2, "more text after the end of the JSON value"},
        {"{}}", 2, "more text after the end of the JSON value"},
        {"1\f", 1, "more text after the end of the JSON value"},
        {"0x10", 1, "more text after the end of the JSON value"},
        {"-", 1, "a number needs a digit after its minus"},
        {"-a", 1, "a number needs a digit after its minus"},
        {"-Infinity", 1, "a number needs a digit after its minus"},
        {"--1", 1, "a number needs a digit after its minus"},
        {"01", 0, "a number must not have leading zeros"},
        {"-00", 1, "a number must not have leading zeros"},
        {"1.", 2, "a number needs a digit after its point"},
        {"1.e5", 2, "a number needs a digit after its point"},
        {"1e", 2, "a number needs a digit in its exponent"},
        {"1e+", 3, "a number needs a digit in its exponent"},
        {"1E-x", 3, "a number needs a digit in its exponent"},
        {"\"", 1, "the text ends inside a string"},
        {"\"abc", 4, "the text ends inside a string"},
        {"\"a\\", 3, "the text ends inside a string"},
        {"\"a\\\"", 4, "the text ends inside a string"},
        {"\"a\nb\"", 2, "a control character in a string must be escaped"},
        {"\"\x1f\"", 1, "a control character in a string must be escaped"},
        {"\"\\x41\"", 1, "an unknown escape in a string"},
        {"\"\\U0041\"", 1, "an unknown escape in a string"},
        {"\"\\'\"", 1, "an unknown escape in a string"},
        {"\"\\u12\"", 1, "\\u needs four hexadecimal digits"},
        {"\"\\u12g4\"", 1, "\\u needs four hexadecimal digits"},
        {"\"\\u-123\"", 1, "\\u needs four hexadecimal digits"},
        {"\"\\ud83d\"", 1, "a high surrogate without a low one after it"},
        {"\"\\ud83dx\\ude00\"", 1, "a high surrogate without a low one after it"},
        {"\"\\ud83d\\u0041\"", 1, "a high surrogate without a low one after it"},
        {"\"\\ud83d\\ud83d\\ude00\"", 1, "a high surrogate without a low one after it"},
        {"\"\\ud83d\\ude0", 1, "a high surrogate without a low one after it"},
        {"\"ab\\ude00\"", 3, "a low surrogate without a high one before it"},
        {"[", 1, "the text ends where a value should be"},
        {"[1", 2, "the text ends inside an object or array"},
        {"[1,", 3, "the text ends where a value should be"},
        {"[1,]", 3, "no JSON value begins here"},
        {"[,1]", 1, "no JSON value begins here"},
        {"[1 2]", 3, "a comma or ] is missing here"},
        {"[1}", 2, "a comma or ] is missing here"},
        {"{", 1, "the text ends inside an object or array"},
        {"{\"a\"", 4, "the text ends inside an object or array"},
        {"{\"a\":", 5, "the text ends where a value should be"},
        {"{\"a\":1", 6, "the text ends inside an object or array"},
        {"{\"a\":1,", 7, "the text ends inside an object or array"},
        {"{\"a\":1,}", 7, "a name in double quotes is missing here"},
        {"{a:1}", 1, "a name in double quotes is missing here"},
        {"{1:1}", 1, "a name in double quotes is missing here"},
        {"{\"a\" 1}", 5, "a colon is missing here"},
        {"{\"a\":1 \"b\":2}", 7, "a comma or } is missing here"},
        {"{\"a\":1]", 6, "a comma or } is missing here"},
        {"{\"a\\z\":1}", 3, "an unknown escape in a string"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        size_t byte;
        const char *error = scan(cases[i].text, strlen(cases[i].text), &byte);

        cr_assert_not_null(error, "%s was taken", cases[i].text);
        cr_assert_str_eq(error, cases[i].error, "%s: %s", cases[i].text, error);
        cr_assert_eq(byte, cases[i].byte, "%s: byte %zu", cases[i].text, byte);
    }
}

/* Zero bytes are bytes like others to the scanner: no C string function may stop at one. */
Test(json_scan, refuses_zero_bytes_everywhere)
{
    static const struct {
        const char *text;
        size_t length, byte;
    } cases[] = {{"\0", 1, 0},
                 {"1\0", 2, 1},
                 {"\"a\0b\"", 5, 2},
                 {"\"\\\0\"", 4, 1},
                 {"\"\\u00\0"
                  "0\"",
                  8, 1},
                 {"[1,\0"
                  "2]",
                  6, 3},
                 {"{\0}", 3, 1}};

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        size_t byte;

        cr_assert_not_null(scan(cases[i].text, cases[i].length, &byte), "case %zu", i);
        cr_assert_eq(byte, cases[i].byte, "case %zu: byte %zu", i, byte);
    }
}

/* Malformed UTF-8 that got in would come out again in answers and break every strict reader. */
Test(json_scan, refuses_every_class_of_malformed_utf8)
{
    static const struct {
        const char *what, *bytes;
    } cases[] = {
        {"continuation alone", "\x80"},
        {"last continuation alone", "\xbf"},
        {"overlong NUL", "\xc0\x80"},
        {"overlong slash", "\xc0\xaf"},
        {"overlong, 2 bytes, last", "\xc1\xbf"},
        {"2 bytes, second missing", "\xc3"},
        {"2 bytes, second ASCII", "\xc3"
                                  "a"},
        {"2 bytes, second a lead", "\xc3\xc3\xa9"},
        {"overlong, 3 bytes", "\xe0\x80\x80"},
        {"overlong, 3 bytes, last", "\xe0\x9f\xbf"},
        {"3 bytes, one missing", "\xe2\x82"},
        {"3 bytes, third ASCII", "\xe2\x82"
                                 "a"},
        {"first surrogate", "\xed\xa0\x80"},
        {"last surrogate", "\xed\xbf\xbf"},
        {"surrogate pair (CESU-8)", "\xed\xa0\xbd\xed\xb8\x80"},
        {"overlong, 4 bytes", "\xf0\x80\x80\x80"},
        {"overlong, 4 bytes, last", "\xf0\x8f\xbf\xbf"},
        {"4 bytes, one missing", "\xf0\x9f\x98"},
        {"4 bytes, fourth ASCII", "\xf0\x9f\x98"
                                  "a"},
        {"above U+10FFFF", "\xf4\x90\x80\x80"},
        {"lead f5", "\xf5\x80\x80\x80"},
        {"5 bytes", "\xf8\x88\x80\x80\x80"},
        {"6 bytes", "\xfc\x84\x80\x80\x80\x80"},
        {"fe", "\xfe"},
        {"ff", "\xff"},
    };
    static const char *const around[][2] = {{"\"", "\""},
                                            {"\"abcdefg", "\""},
                                            {"\"abcdefgh", "abcdefghijkl\""},
                                            {"{\"", "\":1}"},
                                            {"[\"\\n", "\"]"}};

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        for (size_t k = 0; k < TY_COUNT_OF(around); k++) {
            char text[64];
            const char *error;
            size_t byte;

            snprintf(text, sizeof(text), "%s%s%s", around[k][0], cases[i].bytes, around[k][1]);
            error = scan(text, strlen(text), &byte);
            cr_assert_not_null(error, "%s was taken", cases[i].what);
            cr_assert_str_eq(error, "malformed UTF-8", "%s: %s", cases[i].what, error);
            cr_assert_eq(byte, strlen(around[k][0]), "%s: byte %zu", cases[i].what, byte);
        }
}

/* Strings are read eight bytes at a time: every byte must be judged alike at each of those places.
 */
Test(json_scan, judges_every_byte_alike_wherever_it_stands)
{
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t before = 0; before <= 17; before++)
            for (size_t after = 0; after <= 17; after++) {
                char text[48];
                size_t length = 0, at;
                bool want = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';

                text[length++] = '"';
                memset(text + length, 'a', before);
                length += before;
                text[length++] = (char)byte;
                memset(text + length, 'z', after);
                length += after;
                text[length++] = '"';
                cr_assert_eq(scan(text, length, &at) == NULL, want, "byte %02x after %zu", byte,
                             before);
                if (!want && byte != '\\' && byte != '"')
                    cr_assert_eq(at, before + 1, "byte %02x after %zu: at %zu", byte, before, at);
            }
}

/* Ids that differ only in how they were escaped are the same id. */
Test(json_scan, unescapes_to_the_bytes_that_were_meant)
{
    static const struct {
        const char *text, *want;
        size_t length;
    } cases[] = {
        {"\"\\u0069d\"", "id", 2},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
        {"\"\\u0000\"", "\0", 1},
        {"\"x\\u0000y\"", "x\0y", 3},
        {"\"\\u007f\\u0080\\u07FF\"", "\x7f\xc2\x80\xdf\xbf", 5},
        {"\"\\u0800\\uD7ff\\ue000\\uffff\"", "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf",
         12},
        {"\"\\ud800\\udc00\"", "\xf0\x90\x80\x80", 4},
        {"\"\\uDBFF\\uDFFF\"", "\xf4\x8f\xbf\xbf", 4},
        {"\"a\\ud83d\\ude00b\"",
         "a\xf0\x9f\x98\x80"
         "b",
         6},
        {"\"\\\\u0041\"", "\\u0041", 6},
        {"\"\xc3\xa9\\n\"", "\xc3\xa9\n", 3},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_json_string string;
        struct ty_json json;
        char value[64];
        size_t length;

        ty_json_init(&json, cases[i].text, strlen(cases[i].text));
        cr_assert_eq(ty_json_peek(&json), TY_JSON_STRING);
        cr_assert(ty_json_string(&json, &string), "%s", cases[i].text);
        cr_assert(string.escaped, "%s", cases[i].text);
        length = ty_json_unescape(&string, value);
        cr_assert_eq(length, cases[i].length, "%s: %zu bytes", cases[i].text, length);
        cr_assert_leq(length, string.raw.length);
        cr_assert_eq(memcmp(value, cases[i].want, length), 0, "%s", cases[i].text);
    }
}

/* A plain string must be lent from the input: copying every id would cost more than all the rest.
 */
Test(json_scan, lends_plain_strings_from_the_input)
{
    const char *text = "\"plain\" ";
    struct ty_json_string string;
    struct ty_json json;

    ty_json_init(&json, text, strlen(text));
    ty_json_peek(&json);
    cr_assert(ty_json_string(&json, &string));

    cr_assert_not(string.escaped);
    cr_assert_eq(string.raw.data, text + 1);
    cr_assert_eq(string.raw.length, 5);
}

/* Integers are parsed while they are scanned: a digit too many must not wrap into a small number.
 */
Test(json_scan, numbers_keep_their_text_sign_and_magnitude)
{
    static const struct {
        const char *text;
        bool integral, negative;
        uint64_t magnitude;
    } cases[] = {
        {"0", true, false, 0},
        {"-0", true, true, 0},
        {"7", true, false, 7},
        {"-123", true, true, 123},
        {"9223372036854775807", true, false, INT64_MAX},
        {"-9223372036854775808", true, true, UINT64_C(9223372036854775808)},
        {"9999999999999999999", true, false, UINT64_C(9999999999999999999)},
        {"10000000000000000000", true, false, UINT64_MAX},
        {"18446744073709551616", true, false, UINT64_MAX},
        {"184467440737095516160000000000000000000001", true, false, UINT64_MAX},
        {"1.0", false, false, 1},
        {"-1e2", false, true, 1},
        {"0.000001", false, false, 0},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_json_number number;
        struct ty_json json;

        ty_json_init(&json, cases[i].text, strlen(cases[i].text));
        cr_assert_eq(ty_json_peek(&json), TY_JSON_NUMBER);
        cr_assert(ty_json_number(&json, &number), "%s", cases[i].text);
        cr_assert_eq(number.integral, cases[i].integral, "%s", cases[i].text);
        cr_assert_eq(number.negative, cases[i].negative, "%s", cases[i].text);
        cr_assert_eq(number.magnitude, cases[i].magnitude, "%s", cases[i].text);
        cr_assert_eq(number.text.length, strlen(cases[i].text), "%s", cases[i].text);
    }
}

/* Hostile nesting must end in an error at the limit, not in a stack overflow. */
Test(json_scan, nesting_is_taken_to_the_limit_and_no_further)
{
    static const char *const units[][2] = {{"[", "]"}, {"{\"a\":", "}"}};

    for (size_t u = 0; u < TY_COUNT_OF(units); u++)
        for (unsigned depth = TY_JSON_DEPTH_MAX - 1; depth <= TY_JSON_DEPTH_MAX + 1; depth++) {
            char text[1024] = "";
            const char *error;
            size_t byte;

            for (unsigned i = 0; i < depth; i++)
                strcat(text, units[u][0]);
            strcat(text, "1");
            for (unsigned i = 0; i < depth; i++)
                strcat(text, units[u][1]);
            error = scan(text, strlen(text), &byte);
            if (depth <= TY_JSON_DEPTH_MAX) {
                cr_assert_null(error, "depth %u: %s", depth, error);
            } else {
                cr_assert_str_eq(error, "nested deeper than 64 levels");
                cr_assert_eq(byte, TY_JSON_DEPTH_MAX * strlen(units[u][0]));
            }
        }
}

/* Mixed nesting: each bracket must be closed by its own kind, also across all 64 levels. */
Test(json_scan, brackets_close_in_the_order_they_opened)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (unsigned round = 0; round < 2000; round++) {
        unsigned depth = 1 + (unsigned)ty_random_below(&random, TY_JSON_DEPTH_MAX);
        unsigned wrong = (unsigned)ty_random_below(&random, depth);
        uint64_t kinds = ty_random_u64(&random);
        char text[1024] = "";
        size_t byte, length;

        for (unsigned i = 0; i < depth; i++)
            strcat(text, kinds >> i & 1 ? "[" : "{\"k\":");
        strcat(text, "0");
        length = strlen(text);
        for (unsigned i = depth; i-- > 0;)
            strcat(text, kinds >> i & 1 ? "]" : "}");
        cr_assert_null(scan(text, strlen(text), &byte), "%s", text);
        text[length + wrong] = text[length + wrong] == ']' ? '}' : ']';
        cr_assert_not_null(scan(text, strlen(text), &byte), "%s", text);
        cr_assert_eq(byte, length + wrong, "%s", text);
    }
}

/* A mark at the start is passed when asked for, and never elsewhere. */
Test(json_scan, byte_order_mark_is_passed_only_at_the_start)
{
    const char *text = "\xef\xbb\xbf 1";
    struct ty_json json;

    ty_json_init(&json, text, strlen(text));
    ty_json_skip_mark(&json);
    cr_assert_eq(ty_json_peek(&json), TY_JSON_NUMBER);
    cr_assert(ty_json_skip(&json));
    cr_assert(ty_json_end(&json));

    ty_json_init(&json, "\xef\xbb", 2);
    ty_json_skip_mark(&json);
    cr_assert_eq(ty_json_peek(&json), TY_JSON_BAD);

    ty_json_init(&json, NULL, 0);
    ty_json_skip_mark(&json);
    cr_assert_eq(ty_json_peek(&json), TY_JSON_BAD);
}

/* Limits of the reference's own, not of the grammar. */
static bool is_limit_of_jansson(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);

    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key;
}

/* Jansson takes a NUL behind a value for the end of the text. */
static bool ends_early_for_jansson(const char *text, size_t length, const json_t *value)
{
    return value != NULL && memchr(text, 0, length) != NULL;
}

/* An independent strict reader must agree about damaged texts in both directions: neither may
 * broken JSON be counted, nor good JSON be refused. */
Test(json_scan, agrees_with_jansson_about_mutated_texts)
{
    static const char *const texts[] = {
        "{\"id\":\"a\\u00e9\\n\",\"pages\":12,\"credits\":-1.5e-3,\"x\":[true,false,null,{}]}",
        "[{\"a\":\"\\ud83d\\ude00\"},[],{},\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\",0,-0,1E+2]",
        "\"a rather long text, so that whole words are read: \\\\ \\\" \\/ \xe2\x82\xac\"",
        "[1,22,333,0.5,1e5,-7,[[[[1]]]],{\"k\":{\"k\":{\"k\":[]}}}]",
        "-120.50e+07",
    };
    struct ty_random random;
    unsigned taken = 0, refused = 0;

    ty_random_init(&random, ty_random_seed());
    for (unsigned round = 0; round < 20000; round++) {
        size_t length, byte;
        char *text = mutate(&random, texts[round % TY_COUNT_OF(texts)], &length);
        const char *error = scan(text, length, &byte);
        json_error_t reason;
        json_t *value = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &reason);

        if ((value != NULL || !is_limit_of_jansson(&reason)) &&
            (error == NULL || !ends_early_for_jansson(text, length, value)))
            cr_assert_eq(error == NULL, value != NULL, "round %u: '%.*s': %s, jansson: %s", round,
                         (int)length, text, error == NULL ? "taken" : error,
                         value != NULL ? "taken" : reason.text);
        if (error == NULL)
            taken++;
        else
            refused++;
        json_decref(value);
        free(text);
    }
    cr_assert_gt(taken, 1500, "%u", taken); /* both sides of the comparison were tried */
    cr_assert_gt(refused, 1500, "%u", refused);
}
