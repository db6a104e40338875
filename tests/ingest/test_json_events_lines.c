/*
 * test_json_events_lines.c: bodies of lines (application/x-ndjson).
 */
#include "ingest/json_events.h"

#include "tests/ingest/decoded.h"

#include <criterion/criterion.h>

/* Lines stand alone: each is counted or rejected by itself, whatever its neighbours are. */
Test(json_events_lines, lines_are_records)
{
    static const struct {
        const char *body, *outcomes;
    } cases[] = {
        {"", ""},
        {"\n", ""},
        {"\r\n \t\n\r\n", ""},
        {GOOD("a"), "."},
        {GOOD("a") "\n", "."},
        {GOOD("a") "\r\n", "."},
        {GOOD("a") "\n" GOOD("b"), ". ."},
        {GOOD("a") "\r\n\r\n  \n" GOOD("b") "\r\n", ". ."},
        {"\n\n" GOOD("a") "\n\nnonsense\n\n" GOOD("b") "\n\n", ". invalid_field() ."},
        {"\xef\xbb\xbf" GOOD("a") "\n" GOOD("b"), ". ."},
        {GOOD("a") "\n\xef\xbb\xbf" GOOD("b"), ". invalid_field()"},
        {"  " GOOD("a") "\t \n", "."},
        {GOOD("a") "\n{\"id\":\"b\"", ". invalid_field(b)"},
        {GOOD("a") "\n{\"id\":\"b\",\"pages\":01}\n" GOOD("c"), ". invalid_field(b) ."},
        {GOOD("a") GOOD("b") "\n" GOOD("c"), "invalid_field(a) ."},
        {GOOD("a") ",\n" GOOD("b"), "invalid_field(a) ."},
        {"[" GOOD("a") "]\n" GOOD("b"), "invalid_field() ."},
        {"{\"records\":[" GOOD("a") "]}\n" GOOD("b"), "missing_field() ."},
        {"7\n\"x\"\nnull\n" GOOD("a"), "invalid_field() invalid_field() invalid_field() ."},
        {"{\"id\":\"a\xff\"," IDS "}\n" GOOD("b"), "invalid_field() ."},
        {"{\"id\":\"a\",\n" IDS "}\n", "invalid_field(a) invalid_field()"},
        {GOOD("a") "\r" GOOD("b") "\n", "invalid_field(a)"},
        {"{\"id\":\"a\",\"pages\":-1," IDS "}\n" GOOD("b"), "out_of_range(a) ."},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct decoded decoded = decode_lines(cases[i].body);
        char outcomes[256];

        cr_assert_eq(decoded.status, TY_DECODE_OK);
        describe(&decoded.batch, outcomes, sizeof(outcomes));
        cr_assert_str_eq(outcomes, cases[i].outcomes, "%s: %s", cases[i].body, outcomes);
        finish(&decoded);
    }
}

/* Whoever exports lines has to find the fault: its byte counts within the line. */
Test(json_events_lines, a_bad_line_says_what_and_where)
{
    struct decoded decoded = decode_lines(GOOD("a") "\n{\"id\":\"b\",\"pages\":-1,\"x\":01}\n[1,");

    cr_assert_str_eq(decoded.batch.outcomes[1].message,
                     "the line is not JSON: a number must not have leading zeros (byte 25 of the "
                     "line; a line must be one JSON object)");
    cr_assert_str_eq(decoded.batch.outcomes[2].message,
                     "the line is not JSON: the text ends where a value should be (byte 3 of the "
                     "line; a line must be one JSON object)");
    finish(&decoded);
}

/* Prefixes of an export: what is whole counts, the broken line is a reject, nothing else changes.
 */
Test(json_events_lines, every_prefix_of_lines_keeps_the_whole_ones)
{
    const char *body = GOOD("a") "\n" GOOD("b") "\r\n\n{\"id\":\"c\\n\"," IDS ",\"pages\":1}\n";

    for (size_t length = 0; length <= strlen(body); length++) {
        struct decoded decoded = decode_bytes(ty_ndjson_events_decode, body, length);
        size_t whole = length >= strlen(body) - 1     ? 3
                       : length >= 2 * GOOD_BYTES + 1 ? 2
                                                      : length >= GOOD_BYTES;

        cr_assert_eq(decoded.status, TY_DECODE_OK);
        cr_assert_eq(decoded.batch.event_count, whole, "%zu bytes", length);
        cr_assert_leq(decoded.batch.record_count, whole + 1);
        finish(&decoded);
    }
}
