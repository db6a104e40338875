#include "ingest/json_events.h"

#include "engine/decimal.h"
#include "tests/ingest/decoded.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>

#define CUSTOMER_IS(value) "\"workflow_id\":\"" WORKFLOW "\",\"customer_id\":" value

/* Every field of a full event must arrive exactly as it was sent. */
Test(json_events, full_event_arrives_in_every_field)
{
    struct decoded decoded = decode_json(
        " { \"pages\" : 4294967295 , \"id\":\"e\\u00e9\\ud83d\\ude00\",\"extra\":{\"id\":[1,{}]},"
        "\"customer_id\":\"0190A5B2-7c3d-7e4f-8a1b-2c3d4e5f6071\",\"workflow_id\":\"" WORKFLOW "\","
        "\"time\":\"2023-01-31T13:45:00.1239Z\",\"credits\":-12.000001,\"documents\":3,"
        "\"processing_ms\":1099511627776,\"user_id\":\"u 1\",\"source\":\"s\"}\n");
    const struct ty_event *event = decoded.batch.events;
    struct ty_uuid customer, workflow;

    cr_assert_eq(decoded.status, TY_DECODE_OK, "%s", decoded.error.message);
    cr_assert_eq(decoded.batch.event_count, 1);
    cr_assert_eq(decoded.batch.record_count, 1);
    ty_uuid_parse(CUSTOMER, 36, &customer);
    ty_uuid_parse(WORKFLOW, 36, &workflow);
    cr_assert(text_is(event->id, "e\xc3\xa9\xf0\x9f\x98\x80"));
    cr_assert_eq(ty_uuid_compare(&event->customer, &customer), 0);
    cr_assert_eq(ty_uuid_compare(&event->workflow, &workflow), 0);
    cr_assert_eq(event->time_ms, INT64_C(1675172700123));
    cr_assert_eq(event->credits, -12000001);
    cr_assert_eq(event->documents, 3);
    cr_assert_eq(event->pages, UINT32_MAX);
    cr_assert_eq(event->processing_ms, TALLY_PROCESSING_MS_MAX);
    cr_assert(text_is(event->user, "u 1"));
    cr_assert_eq(event->source.length, 0);
    finish(&decoded);
}

/* Each row of the table of fields, at its bounds and just outside of them. */
Test(json_events, members_are_judged_one_by_one)
{
    static const struct {
        const char *member;
        tally_result result; /* TALLY_NOT_STORED: taken */
        const char *message; /* its beginning */
    } cases[] = {
        {"\"x\":1", TALLY_NOT_STORED, ""},
        {"\"x\":1,\"x\":2", TALLY_NOT_STORED, ""},
        {"\"records\":1", TALLY_NOT_STORED, ""}, /* within an array it is an unknown field */
        {"\"source\":[]", TALLY_NOT_STORED, ""},
        {"\"Pages\":\"no\"", TALLY_NOT_STORED, ""},
        {"\"time\":null", TALLY_NOT_STORED, ""},
        {"\"time\":0", TALLY_NOT_STORED, ""}, /* too old, but that is for the clock to say */
        {"\"time\":-62135596800000", TALLY_NOT_STORED, ""},
        {"\"time\":253402300799999", TALLY_NOT_STORED, ""},
        {"\"time\":\"2023-01-31t13:45:60+23:59\"", TALLY_NOT_STORED, ""},
        {"\"time\":253402300800000", TALLY_OUT_OF_RANGE, "time: 253402300800000 is out of range"},
        {"\"time\":-62135596800001", TALLY_OUT_OF_RANGE, "time: -62135596800001 is out of range"},
        {"\"time\":-9223372036854775808", TALLY_OUT_OF_RANGE, "time: -9223372036854775808 is out"},
        {"\"time\":9223372036854775808", TALLY_OUT_OF_RANGE, "time: 9223372036854775808 is out of"},
        {"\"time\":99999999999999999999999999999999999999999999", TALLY_OUT_OF_RANGE,
         "time: 9999999999999999999999999999999999999999... (44 bytes) is out of range"},
        {"\"time\":1.5", TALLY_INVALID_FIELD, "time: 1.5 has a fraction or an exponent"},
        {"\"time\":1e3", TALLY_INVALID_FIELD, "time: 1e3 has a fraction or an exponent"},
        {"\"time\":true", TALLY_INVALID_FIELD, "time: true is neither text nor an integer"},
        {"\"time\":\"2023-01-31T13:45:00\"", TALLY_INVALID_FIELD,
         "time: \"2023-01-31T13:45:00\" is not a date-time: "},
        {"\"time\":\"\"", TALLY_INVALID_FIELD, "time: \"\" is not a date-time: "},
        {"\"time\":\"1675172700123\"", TALLY_INVALID_FIELD, "time: \"1675172700123\" is not a"},
        {"\"credits\":null", TALLY_NOT_STORED, ""},
        {"\"credits\":1000000000", TALLY_NOT_STORED, ""},
        {"\"credits\":-1000000000.000000", TALLY_NOT_STORED, ""},
        {"\"credits\":\"1e9\"", TALLY_NOT_STORED, ""},
        {"\"credits\":0.1000000", TALLY_NOT_STORED, ""},
        {"\"credits\":1000000001", TALLY_OUT_OF_RANGE, "credits: 1000000001 is out of range"},
        {"\"credits\":-1000000000.000001", TALLY_OUT_OF_RANGE, "credits: -1000000000.000001 is"},
        {"\"credits\":1e400", TALLY_OUT_OF_RANGE, "credits: 1e400 is out of range"},
        {"\"credits\":18446744073709551617", TALLY_OUT_OF_RANGE, "credits: 18446744073709551617"},
        {"\"credits\":0.0000001", TALLY_INVALID_FIELD, "credits: 0.0000001 has more than 6 frac"},
        {"\"credits\":\"\"", TALLY_INVALID_FIELD, "credits: \"\" is not a number"},
        {"\"credits\":\"+1\"", TALLY_INVALID_FIELD, "credits: \"+1\" is not a number"},
        {"\"credits\":\" 1\"", TALLY_INVALID_FIELD, "credits: \" 1\" is not a number"},
        {"\"credits\":\"NaN\"", TALLY_INVALID_FIELD, "credits: \"NaN\" is not a number"},
        {"\"credits\":\"1,5\"", TALLY_INVALID_FIELD, "credits: \"1,5\" is not a number"},
        {"\"credits\":{}", TALLY_INVALID_FIELD, "credits: an object is not a number"},
        {"\"credits\":false", TALLY_INVALID_FIELD, "credits: false is not a number"},
        {"\"documents\":null", TALLY_NOT_STORED, ""},
        {"\"documents\":0", TALLY_NOT_STORED, ""},
        {"\"documents\":-0", TALLY_NOT_STORED, ""},
        {"\"documents\":4294967295", TALLY_NOT_STORED, ""},
        {"\"documents\":4294967296", TALLY_OUT_OF_RANGE, "documents: 4294967296 is out of range"},
        {"\"documents\":-1", TALLY_OUT_OF_RANGE, "documents: -1 is out of range (0 to 4294967295)"},
        {"\"documents\":18446744073709551616", TALLY_OUT_OF_RANGE, "documents: 18446744073709551"},
        {"\"documents\":1.0", TALLY_INVALID_FIELD, "documents: 1.0 has a fraction or an exponent"},
        {"\"documents\":1e2", TALLY_INVALID_FIELD, "documents: 1e2 has a fraction or an exponent"},
        {"\"documents\":-0.0", TALLY_INVALID_FIELD, "documents: -0.0 has a fraction or an"},
        {"\"documents\":\"1\"", TALLY_INVALID_FIELD, "documents: \"1\" is text, not an integer"},
        {"\"documents\":true", TALLY_INVALID_FIELD, "documents: true is not an integer"},
        {"\"documents\":[1]", TALLY_INVALID_FIELD, "documents: an array is not an integer"},
        {"\"processing_ms\":1099511627777", TALLY_OUT_OF_RANGE, "processing_ms: 1099511627777 is"},
        {"\"user_id\":null", TALLY_NOT_STORED, ""},
        {"\"user_id\":\"\"", TALLY_NOT_STORED, ""},
        {"\"user_id\":1", TALLY_INVALID_FIELD, "user_id: 1 is not text"},
        {"\"user_id\":\"a\\u0000\"", TALLY_INVALID_FIELD, "user_id: \"a\\u0000\" holds U+0000"},
        {"\"pages\":1,\"pages\":1", TALLY_INVALID_FIELD, "pages: given twice"},
        {"\"pages\":1,\"p\\u0061ges\":1", TALLY_INVALID_FIELD, "pages: given twice"},
        {"\"\\u0070\\u0061\\u0067\\u0065\\u0073\":-1", TALLY_OUT_OF_RANGE, "pages: -1 is out of"},
        {"\"pages\":null,\"pages\":null", TALLY_INVALID_FIELD, "pages: given twice"},
        {"\"\\u0069d\":\"other\"", TALLY_INVALID_FIELD, "id: given twice"},
        {"\"customer_id\":\"" CUSTOMER "\"", TALLY_INVALID_FIELD, "customer_id: given twice"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char body[1024];
        struct decoded decoded;
        const struct ty_outcome *outcome;

        snprintf(body, sizeof(body), "[{\"id\":\"e1\"," IDS ",%s}]", cases[i].member);
        decoded = decode_json(body);
        cr_assert_eq(decoded.status, TY_DECODE_OK, "%s: %s", body, decoded.error.message);
        cr_assert_eq(decoded.batch.record_count, 1, "%s", body);
        outcome = &decoded.batch.outcomes[0];
        cr_assert_eq(outcome->result, cases[i].result, "%s: %s", body, outcome->message);
        if (outcome->result != TALLY_NOT_STORED) {
            cr_assert_eq(strncmp(outcome->message, cases[i].message, strlen(cases[i].message)), 0,
                         "%s: %s", body, outcome->message);
            cr_assert(text_is(outcome->id, "e1"), "%s", body);
        }
        finish(&decoded);
    }
}

/* The required fields, in every form that is one and the near misses. A UUID that is taken is the
 * same whatever its case; its spellings elsewhere (braces, URN, no hyphens) are not. */
Test(json_events, required_fields_take_their_form_only)
{
    static const struct {
        const char *members;
        const char *outcome; /* as describe() writes it */
    } cases[] = {
        {"\"id\":\"x\"," IDS, "."},
        {"\"id\":\" \"," IDS, "."},
        {"\"id\":\"\xf4\x8f\xbf\xbf\"," IDS, "."},
        {"\"id\":\"\\uFFFF\"," IDS, "."},
        {"\"id\":\"\"," IDS, "out_of_range()"},
        {"\"id\":\"a\\u0000\"," IDS, "invalid_field()"},
        {"\"id\":1," IDS, "invalid_field()"},
        {"\"id\":true," IDS, "invalid_field()"},
        {"\"id\":[\"x\"]," IDS, "invalid_field()"},
        {"\"id\":null," IDS, "missing_field()"},
        {"\"ID\":\"x\"," IDS, "missing_field()"},
        {IDS, "missing_field()"},
        {"\"id\":\"x\"," CUSTOMER_IS("\"" CUSTOMER "\""), "."},
        {"\"id\":\"x\"," CUSTOMER_IS("\"00000000-0000-0000-0000-000000000000\""), "."},
        {"\"id\":\"x\"," CUSTOMER_IS("\"FFFFFFFF-ffff-FFFF-ffff-FFFFFFFFFFFF\""), "."},
        {"\"id\":\"x\"," CUSTOMER_IS("\"\\u0030190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6071\""), "."},
        {"\"id\":\"x\"," CUSTOMER_IS("null"), "missing_field(x)"},
        {"\"id\":\"x\"," CUSTOMER_IS("\"\""), "invalid_field(x)"},
        {"\"id\":\"x\"," CUSTOMER_IS("7"), "invalid_field(x)"},
        {"\"id\":\"x\"," CUSTOMER_IS("{}"), "invalid_field(x)"},
        {"\"id\":\"x\"," CUSTOMER_IS("\"0190a5b27c3d7e4f8a1b2c3d4e5f6071\""), "invalid_field(x)"},
        {"\"id\":\"x\"," CUSTOMER_IS("\"{" CUSTOMER "}\""), "invalid_field(x)"},
        {"\"id\":\"x\"," CUSTOMER_IS("\"urn:uuid:" CUSTOMER "\""), "invalid_field(x)"},
        {"\"id\":\"x\"," CUSTOMER_IS("\"" CUSTOMER " \""), "invalid_field(x)"},
        {"\"id\":\"x\"," CUSTOMER_IS("\"0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f607\""),
         "invalid_field(x)"},
        {"\"id\":\"x\"," CUSTOMER_IS("\"0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f607g\""),
         "invalid_field(x)"},
        {"\"id\":\"x\"," CUSTOMER_IS("\"0190a5b2-7c3d-7e4f8a1b--2c3d4e5f6071\""),
         "invalid_field(x)"},
        {"\"id\":\"x\"," CUSTOMER_IS("\"0123456789abcdef\""), "invalid_field(x)"},
        {"\"id\":\"x\",\"customer_id\":\"" CUSTOMER "\"", "missing_field(x)"},
        {"\"id\":\"x\",\"customer_id\":\"" CUSTOMER "\",\"workflow_id\":\"?\"", "invalid_field(x)"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char body[1024], outcome[256];
        struct decoded decoded;

        snprintf(body, sizeof(body), "{%s}", cases[i].members);
        decoded = decode_json(body);
        cr_assert_eq(decoded.status, TY_DECODE_OK, "%s: %s", body, decoded.error.message);
        describe(&decoded.batch, outcome, sizeof(outcome));
        cr_assert_str_eq(outcome, cases[i].outcome, "%s: %s", body, outcome);
        finish(&decoded);
    }
}

static int64_t credits_of(const char *value)
{
    char body[1024];
    struct decoded decoded;
    int64_t credits;

    snprintf(body, sizeof(body), "{\"id\":\"e\"," IDS ",\"credits\":%s}", value);
    decoded = decode_json(body);
    cr_assert_eq(decoded.status, TY_DECODE_OK, "%s: %s", value, decoded.error.message);
    cr_assert_eq(decoded.batch.event_count, 1, "%s: %s", value, decoded.batch.outcomes->message);
    credits = decoded.batch.events->credits;
    finish(&decoded);
    return credits;
}

/* Credits become money: no notation may move them by a millionth, where a double would. */
Test(json_events, credits_are_exact_in_every_notation)
{
    static const char *const notations[] = {
        "%s", "\"%s\"", "%se0", "%sE+00", "\"%se-0\"",
    };
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (unsigned round = 0; round < 3000; round++) {
        uint64_t size = UINT64_C(1) << ty_random_below(&random, 51);
        int64_t micros =
            (int64_t)ty_random_below(&random, TY_MIN(size, (uint64_t)TALLY_CREDITS_MICRO_MAX + 1));
        char number[TY_DECIMAL_TEXT_BYTES], value[128];

        micros = round % 2 ? -micros : micros;
        ty_decimal_format(micros, number);
        snprintf(value, sizeof(value), notations[round % TY_COUNT_OF(notations)], number);
        cr_assert_eq(credits_of(value), micros, "%s", value);
        snprintf(value, sizeof(value), "%llde-6", (long long)micros);
        cr_assert_eq(credits_of(value), micros, "%s", value);
        snprintf(value, sizeof(value), "%lld000000000000000000000.00E-27", (long long)micros);
        cr_assert_eq(credits_of(micros == 0 ? "-0.000e-27" : value), micros, "%s", value);
    }
    cr_assert_eq(credits_of("999999999.999999"), INT64_C(999999999999999));
    cr_assert_eq(credits_of("-1e+9"), -TALLY_CREDITS_MICRO_MAX);
    cr_assert_eq(credits_of("0.1"), 100000);
}

/* The length of an id is of its UTF-8 bytes, however they were written. */
Test(json_events, texts_are_measured_unescaped)
{
    static const struct {
        const char *unit;
        unsigned count;
        bool taken;
    } cases[] = {{"a", 128, true},
                 {"a", 129, false},
                 {"\\u0061", 128, true},
                 {"\\u0061", 129, false},
                 {"\xc3\xa9", 64, true},
                 {"\xc3\xa9", 65, false},
                 {"\\ud83d\\ude00", 32, true},
                 {"\\ud83d\\ude00", 33, false}};
    static const char *const fields[] = {"id", "user_id"};

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        for (size_t f = 0; f < TY_COUNT_OF(fields); f++) {
            struct decoded decoded;
            char value[2048] = "", body[4096];

            for (unsigned n = 0; n < cases[i].count; n++)
                strcat(value, cases[i].unit);
            snprintf(body, sizeof(body), "{%s\"%s\":\"%s\"," IDS "}", f == 0 ? "" : "\"id\":\"e\",",
                     fields[f], value);
            decoded = decode_json(body);
            cr_assert_eq(decoded.status, TY_DECODE_OK);
            cr_assert_eq(decoded.batch.event_count, cases[i].taken, "%s", body);
            if (!cases[i].taken)
                cr_assert_eq(decoded.batch.outcomes[0].result, TALLY_OUT_OF_RANGE);
            else
                cr_assert_eq(
                    (f == 0 ? decoded.batch.events->id : decoded.batch.events->user).length, 128);
            finish(&decoded);
        }
}

/* The three shapes of a body, and everything that is none of them. */
Test(json_events, shapes_of_a_body)
{
    static const struct {
        const char *body;
        const char *outcomes; /* as describe() writes them; NULL: refused */
        size_t byte;
        const char *error;
    } cases[] = {
        {GOOD("a"), ".", 0, NULL},
        {"{}", "missing_field()", 0, NULL},
        {"{\"id\":\"a\"}", "missing_field(a)", 0, NULL},
        {"[]", "", 0, NULL},
        {" [ ] ", "", 0, NULL},
        {"[" GOOD("a") "]", ".", 0, NULL},
        {"[" GOOD("a") " , " GOOD("b") "\n]", ". .", 0, NULL},
        {"{\"records\":[]}", "", 0, NULL},
        {"{\"records\":[" GOOD("a") "," GOOD("b") "]}", ". .", 0, NULL},
        {"{\"r\\u0065cords\":[" GOOD("a") "]}", ".", 0, NULL},
        {"{\"id\":7,\"x\":[{}],\"records\":[" GOOD("a") "],\"pages\":-1}", ".", 0, NULL},
        {"\xef\xbb\xbf[" GOOD("a") "]", ".", 0, NULL},
        {"[[],{},0,\"\",null,true,-1.5e3," GOOD("a") "]",
         "invalid_field() missing_field() invalid_field() invalid_field() invalid_field() "
         "invalid_field() invalid_field() .",
         0, NULL},
        {"", NULL, 0, "the text ends where a value should be"},
        {" \r\n", NULL, 3, "the text ends where a value should be"},
        {"\xef\xbb\xbf", NULL, 3, "the text ends where a value should be"},
        {"\xef\xbb\xbf\xef\xbb\xbf[]", NULL, 3, "no JSON value begins here"},
        {"nonsense", NULL, 0, NULL},
        {"7", NULL, 0, "the body must be an event"},
        {" \"text\"", NULL, 1, "the body must be an event"},
        {"null", NULL, 0, "the body must be an event"},
        {"true", NULL, 0, "the body must be an event"},
        {"{\"records\":{}}", NULL, 11, "\"records\" must be an array"},
        {"{\"records\":null}", NULL, 11, "\"records\" must be an array"},
        {"{\"records\": 5}", NULL, 12, "\"records\" must be an array"},
        {"{\"records\":[],\"records\":[]}", NULL, 15, "\"records\" is given twice"},
        {"{\"records\":[],\"record\\u0073\":1}", NULL, 15, "\"records\" is given twice"},
        {"{\"records\":[]", NULL, 13, "the text ends inside an object or array"},
        {"{\"records\":[]]", NULL, 13, "a comma or } is missing here"},
        {"{\"records\":[],}", NULL, 14, "a name in double quotes"},
        {"[]x", NULL, 2, "more text after the end"},
        {"[][]", NULL, 2, "more text after the end"},
        {GOOD("a") GOOD("b"), NULL, GOOD_BYTES, "more text after the end"},
        {GOOD("a") "\n" GOOD("b"), NULL, GOOD_BYTES + 1, "more text after the end"},
        {"[" GOOD("a") ",]", NULL, GOOD_BYTES + 2, "no JSON value begins here"},
        {"[" GOOD("a") " " GOOD("b") "]", NULL, GOOD_BYTES + 2, "a comma or ] is missing here"},
        {"[" GOOD("a") ",{\"id\":01}]", NULL, GOOD_BYTES + 8,
         "a number must not have leading zeros"},
        {"[" GOOD("a") ",{\"x\":\"\xff\"}]", NULL, GOOD_BYTES + 8, "malformed UTF-8"},
        {"id=a&customer_id=b", NULL, 0, "no JSON value begins here"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct decoded decoded = decode_json(cases[i].body);
        char outcomes[512];

        if (cases[i].outcomes != NULL) {
            cr_assert_eq(decoded.status, TY_DECODE_OK, "%s: %s at %zu", cases[i].body,
                         decoded.error.message, decoded.error.byte);
            describe(&decoded.batch, outcomes, sizeof(outcomes));
            cr_assert_str_eq(outcomes, cases[i].outcomes);
        } else {
            cr_assert_eq(decoded.status, TY_DECODE_REFUSED, "%s was taken", cases[i].body);
            cr_assert_eq(decoded.error.byte, cases[i].byte, "%s: %s at %zu", cases[i].body,
                         decoded.error.message, decoded.error.byte);
            if (cases[i].error != NULL)
                cr_assert_not_null(strstr(decoded.error.message, cases[i].error), "%s: %s",
                                   cases[i].body, decoded.error.message);
        }
        finish(&decoded);
    }
}

static const char *const bodies[] = {
    "{\"id\":\"e\\u00e9\\n\\ud83d\\ude00\"," IDS ",\"time\":\"2023-01-31T13:45:00Z\",\"credits\":"
    "-1.5e1,\"pages\":12,\"x\":[true,false,null,{\"y\":\"\xe2\x82\xac\"}]}",
    "[" GOOD("a") ",{\"id\":\"b\"," IDS ",\"documents\":3,\"credits\":\"0.25\"},17," GOOD("c") "]",
    "{\"meta\":{\"a\":[1]},\"records\":[" GOOD("a") "," GOOD("b") "],\"more\":-0.5}",
};

/* An upload that broke off must never count in part: the client sends all of it again. */
Test(json_events, every_prefix_of_a_body_is_refused)
{
    for (size_t i = 0; i < TY_COUNT_OF(bodies); i++)
        for (size_t length = 0; length < strlen(bodies[i]); length++) {
            struct decoded decoded = decode_bytes(ty_json_events_decode, bodies[i], length);

            cr_assert_eq(decoded.status, TY_DECODE_REFUSED, "%.*s", (int)length, bodies[i]);
            cr_assert_leq(decoded.error.byte, length);
            cr_assert_not_null(decoded.error.message);
            finish(&decoded);
        }
}

/* A bad record never stops a good one, and never moves its index. */
Test(json_events, bad_neighbours_never_lose_good_records)
{
    static const struct {
        const char *record, *outcome;
    } bad[] = {
        {"{}", "missing_field()"},
        {"[]", "invalid_field()"},
        {"[[[{}]]]", "invalid_field()"},
        {"null", "invalid_field()"},
        {"-1e99", "invalid_field()"},
        {"\"\\u0000\"", "invalid_field()"},
        {"{\"id\":\"x\"}", "missing_field(x)"},
        {"{\"id\":\"x\",\"id\":\"y\"," IDS "}", "invalid_field(x)"},
        {"{\"id\":\"\"," IDS "}", "out_of_range()"},
        {"{\"id\":null," IDS "}", "missing_field()"},
        {"{\"pages\":-1,\"id\":\"x\"," IDS "}", "out_of_range(x)"},
        {"{\"customer_id\":5,\"pages\":{\"id\":\"z\"},\"id\":\"x\"}", "invalid_field(x)"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(bad); i++) {
        char body[2048], want[256], outcomes[256];
        struct decoded decoded;

        snprintf(body, sizeof(body), "[%s," GOOD("a") ",%s,%s," GOOD("b") ",%s]", bad[i].record,
                 bad[i].record, bad[i].record, bad[i].record);
        snprintf(want, sizeof(want), "%s . %s %s . %s", bad[i].outcome, bad[i].outcome,
                 bad[i].outcome, bad[i].outcome);
        decoded = decode_json(body);
        cr_assert_eq(decoded.status, TY_DECODE_OK, "%s: %s", body, decoded.error.message);
        describe(&decoded.batch, outcomes, sizeof(outcomes));
        cr_assert_str_eq(outcomes, want);
        cr_assert_eq(decoded.batch.event_count, 2);
        cr_assert_eq(decoded.batch.events[0].record, 1);
        cr_assert_eq(decoded.batch.events[1].record, 4);
        cr_assert(text_is(decoded.batch.events[0].id, "a"));
        cr_assert(text_is(decoded.batch.events[1].id, "b"));
        finish(&decoded);
    }
}
