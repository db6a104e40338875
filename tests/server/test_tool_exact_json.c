#include "server/tool/exact_json.h"

#include "engine/decimal.h"
#include <criterion/criterion.h>
#include <string.h>

/* An amount that loses digits on its way to the screen is a wrong invoice. */
Test(tool_exact_json, numbers_keep_every_digit)
{
    static const char *const numbers[] = {
        "0",       "21",     "-5",      "0.1",
        "1.50",    "1e2",    "-1.5E-3", "170141183460469231731687303715.884105",
        "1e+1000", "0.0e-0", "-0",      "123456789012345678901234567890123456789",
    };

    for (size_t i = 0; i < TY_COUNT_OF(numbers); i++) {
        char text[100], error[TY_EXACT_JSON_ERROR_BYTES];
        json_t *document;

        snprintf(text, sizeof(text), " { \"n\" : [%s,\n%s] } ", numbers[i], numbers[i]);
        document = ty_exact_json_parse(text, strlen(text), error);

        cr_assert_not_null(document, "%s: %s", text, error);
        for (size_t at = 0; at < 2; at++) {
            json_t *value = json_array_get(json_object_get(document, "n"), at);

            cr_assert_str_eq(json_string_value(value), numbers[i]);
        }
        json_decref(document);
    }
}

/* Digits and quotes inside a string are text: a message such as "5 of 7" must arrive unharmed. */
Test(tool_exact_json, strings_are_left_alone)
{
    static const char text[] = "{\"a 1\":\"5 of \\\"7\\\" -1 \\\\\",\"b\":[true,null,\"\"]}";
    char error[TY_EXACT_JSON_ERROR_BYTES];
    json_t *document = ty_exact_json_parse(text, strlen(text), error);

    cr_assert_not_null(document, "%s", error);
    cr_assert_str_eq(json_string_value(json_object_get(document, "a 1")), "5 of \"7\" -1 \\");
    cr_assert(json_is_true(json_array_get(json_object_get(document, "b"), 0)));
    cr_assert(json_is_null(json_array_get(json_object_get(document, "b"), 1)));
    json_decref(document);
}

/* What is no JSON must be called so: half an answer shown as a whole one hides usage. */
Test(tool_exact_json, broken_documents_are_refused)
{
    static const char *const texts[] = {
        "",        "{",      "[1",     "[01]",    "[1.]",
        "[-]",     "[.5]",   "[1e]",   "[+1]",    "[1x]",
        "[1 2]",   "[\"a]",  "[\"a\\", "[--1]",   "[1-2]",
        "[1]junk", "{1:2}x", "nan",    "[1.2.3]", "{\"a\":1,\"a\":2}",
    };

    for (size_t i = 0; i < TY_COUNT_OF(texts); i++) {
        char error[TY_EXACT_JSON_ERROR_BYTES] = "";

        cr_assert_null(ty_exact_json_parse(texts[i], strlen(texts[i]), error), "%s", texts[i]);
        cr_assert_neq(error[0], '\0', "%s has no message", texts[i]);
    }
}

/* The last line of the table is a total that a person may compare with an invoice. */
Test(tool_exact_json, sums_are_exact)
{
    static const struct {
        const char *terms[4];
        const char *want;
    } cases[] = {
        {{"0.1", "0.2"}, "0.3"},
        {{"21", "-21"}, "0"},
        {{"-0.000005", "-0.000001", "1"}, "0.999994"},
        {{"9007199254740993", "0.000001"}, "9007199254740993.000001"},
        {{"170141183460469231731687303715884.105727"}, "170141183460469231731687303715884.105727"},
        {{"-170141183460469231731687303715884.105728"},
         "-170141183460469231731687303715884.105728"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char text[TY_DECIMAL_TEXT_BYTES];
        ty_int128 micros = 0;

        for (size_t term = 0; cases[i].terms[term] != NULL; term++)
            cr_assert(ty_exact_json_add(cases[i].terms[term], &micros), "%s", cases[i].terms[term]);
        ty_decimal_format(micros, text);
        cr_assert_str_eq(text, cases[i].want);
    }
}

/* A total that cannot be exact must not be shown at all. */
Test(tool_exact_json, what_cannot_be_added_leaves_the_sum_alone)
{
    static const char *const texts[] = {
        "",
        "-",
        "1.",
        ".5",
        "1e2",
        "1.0000001",
        "x",
        "1 ",
        "--1",
        "1.2.3",
        "170141183460469231731687303715884.105728",
        "1000000000000000000000000000000000000000",
    };

    for (size_t i = 0; i < TY_COUNT_OF(texts); i++) {
        ty_int128 micros = 7;

        cr_assert_not(ty_exact_json_add(texts[i], &micros), "%s", texts[i]);
        cr_assert(micros == 7, "%s changed the sum", texts[i]);
    }
}
