#include "ingest/cloudevents.h"

#include "tests/ingest/decoded.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <sodium.h>

#define OTHER   "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6073"
#define VERSION "\"specversion\":\"1.0\","
#define ID      "\"id\":\"e1\","
#define SOURCE  "\"source\":\"/s\","
#define TYPE    "\"type\":\"t\","
#define SUBJECT "\"subject\":\"" CUSTOMER "\","
#define NAMED   VERSION ID SOURCE TYPE /* required, but for subject and data */
#define FLOW    "\"workflow_id\":\"" WORKFLOW "\""
#define DATA    "\"data\":{" FLOW ",\"credits\":1.5}"
#define WHOLE   NAMED SUBJECT DATA

static struct decoded decode_one(const char *members)
{
    char body[4096];

    snprintf(body, sizeof(body), "{%s}", members);
    return decode_bytes(ty_cloudevents_decode, body, strlen(body));
}

/* What the decoder says of one event: "" when it is taken, else "code: message". */
static void judge(const struct decoded *decoded, char *verdict, size_t bytes)
{
    const struct ty_outcome *outcome = decoded->batch.outcomes;

    cr_assert_eq(decoded->status, TY_DECODE_OK, "%s", decoded->error.message);
    cr_assert_eq(decoded->batch.record_count, 1);
    verdict[0] = '\0';
    if (outcome->result != TALLY_NOT_STORED)
        snprintf(verdict, bytes, "%s: %s", tally_result_name(outcome->result), outcome->message);
}

static void expect_verdict(struct decoded decoded, const char *want, const char *what)
{
    char verdict[1024];

    judge(&decoded, verdict, sizeof(verdict));
    if (want[0] == '\0')
        cr_assert_str_eq(verdict, "", "%s: %s", what, verdict);
    else
        cr_assert_eq(strncmp(verdict, want, strlen(want)), 0, "%s: %s", what, verdict);
    finish(&decoded);
}

/* Every attribute and every field of data must arrive exactly as it was sent. */
Test(cloudevents, a_full_event_arrives_in_every_field)
{
    struct decoded decoded = decode_one(
        " \"data\" : {\"user_id\":\"u\\u00e9\",\"processing_ms\":7,\"pages\":3,\"documents\":2,"
        "\"credits\":\"-0.5\"," FLOW ",\"id\":[],\"time\":{},\"source\":9,\"x\":[{}]},"
        "\"subject\":\"0190A5B2-7C3D-7E4F-8A1B-2C3D4E5F6071\",\"type\":\"\\u0074\","
        "\"s\\u006furce\":\"urn:\\u00e9\",\"time\":\"2023-01-31T14:45:00.1239+01:00\","
        "\"datacontenttype\":\"application/vnd.x+json; charset=utf-8\",\"dataschema\":\"/x\","
        "\"traceparent\":\"00-1\",\"n\":1,\"i\\u0064\":\"e1\",\"specversion\":\"1.0\"");
    const struct ty_event *event = decoded.batch.events;
    struct ty_uuid customer, workflow;

    cr_assert_eq(decoded.status, TY_DECODE_OK, "%s", decoded.error.message);
    cr_assert_eq(decoded.batch.event_count, 1, "%s", decoded.batch.outcomes[0].message);
    ty_uuid_parse(CUSTOMER, 36, &customer);
    ty_uuid_parse(WORKFLOW, 36, &workflow);
    cr_assert(text_is(event->id, "e1"));
    cr_assert(text_is(event->source, "urn:\xc3\xa9"));
    cr_assert_eq(ty_uuid_compare(&event->customer, &customer), 0);
    cr_assert_eq(ty_uuid_compare(&event->workflow, &workflow), 0);
    cr_assert_eq(event->time_ms, INT64_C(1675172700123));
    cr_assert_eq(event->credits, -500000);
    cr_assert_eq(event->documents, 2);
    cr_assert_eq(event->pages, 3);
    cr_assert_eq(event->processing_ms, 7);
    cr_assert(text_is(event->user, "u\xc3\xa9"));
    finish(&decoded);
}

/* A wrong attribute must be named, and a good one never refused. */
Test(cloudevents, attributes_are_judged_one_by_one)
{
    static const struct {
        const char *members, *verdict;
    } cases[] = {
        {WHOLE, ""},
        {WHOLE ",\"time\":null,\"datacontenttype\":null,\"data_base64\":null", ""},
        {WHOLE ",\"Time\":1,\"ID\":2,\"x\":{\"id\":3}", ""},
        {WHOLE ",\"datacontenttype\":\"text/json\"", ""},
        {NAMED DATA ",\"subject\":\"" CUSTOMER "\"", ""},
        {"", "missing_field: specversion: missing"},
        {ID SOURCE TYPE SUBJECT DATA, "missing_field: specversion: missing"},
        {VERSION SOURCE TYPE SUBJECT DATA, "missing_field: id: missing"},
        {VERSION ID TYPE SUBJECT DATA, "missing_field: source: missing"},
        {VERSION ID SOURCE SUBJECT DATA, "missing_field: type: missing"},
        {NAMED DATA, "missing_field: subject: missing; it is required (the customer, a UUID) "
                     "unless data has customer_id"},
        {NAMED SUBJECT "\"x\":1", "missing_field: data: missing; it is required (an object with"},
        {"\"specversion\":null," ID SOURCE TYPE SUBJECT DATA,
         "missing_field: specversion: missing"},
        {VERSION "\"id\":null," SOURCE TYPE SUBJECT DATA, "missing_field: id: missing"},
        {VERSION ID "\"source\":null," TYPE SUBJECT DATA, "missing_field: source: missing"},
        {VERSION ID SOURCE "\"type\":null," SUBJECT DATA, "missing_field: type: missing"},
        {NAMED "\"subject\":null," DATA, "missing_field: subject: missing"},
        {NAMED SUBJECT "\"data\":null", "missing_field: data: missing"},
        {"\"specversion\":\"0.3\"," ID SOURCE TYPE SUBJECT DATA,
         "invalid_field: specversion: \"0.3\" is not supported (the text \"1.0\")"},
        {"\"specversion\":1.0," ID SOURCE TYPE SUBJECT DATA,
         "invalid_field: specversion: 1.0 is not supported"},
        {"\"specversion\":\"1.0.2\"," ID SOURCE TYPE SUBJECT DATA,
         "invalid_field: specversion: \"1.0.2\" is not supported"},
        {VERSION "\"id\":5," SOURCE TYPE SUBJECT DATA, "invalid_field: id: 5 is not text"},
        {VERSION "\"id\":\"\"," SOURCE TYPE SUBJECT DATA, "out_of_range: id: \"\" is empty"},
        {VERSION ID "\"source\":[]," TYPE SUBJECT DATA,
         "invalid_field: source: an array is not text (text of 1 to 1024 bytes of UTF-8"},
        {VERSION ID "\"source\":\"\"," TYPE SUBJECT DATA,
         "out_of_range: source: \"\" is empty (text of 1"},
        {VERSION ID "\"source\":\"a\\u0000\"," TYPE SUBJECT DATA,
         "invalid_field: source: \"a\\u0000\" holds U+0000"},
        {VERSION ID SOURCE "\"type\":true," SUBJECT DATA,
         "invalid_field: type: true is not text (text that is not empty)"},
        {VERSION ID SOURCE "\"type\":\"\"," SUBJECT DATA, "out_of_range: type: \"\" is empty"},
        {WHOLE ",\"time\":1675172700123",
         "invalid_field: time: 1675172700123 is not text (a date-time as in RFC 3339 with its"},
        {WHOLE ",\"time\":\"2023-02-30T00:00:00Z\"",
         "invalid_field: time: \"2023-02-30T00:00:00Z\" is not a date-time: "},
        {NAMED DATA ",\"subject\":\"x\"",
         "invalid_field: subject: \"x\" is not a UUID (the customer: 36"},
        {NAMED DATA ",\"subject\":\"\"", "invalid_field: subject: \"\" is not a UUID"},
        {NAMED DATA ",\"subject\":7", "invalid_field: subject: 7 is not a UUID"},
        {WHOLE ",\"datacontenttype\":\"application/xml\"",
         "invalid_field: datacontenttype: \"application/xml\" is not JSON (application/json, or"},
        {WHOLE ",\"datacontenttype\":\"\"", "invalid_field: datacontenttype: \"\" is not JSON"},
        {WHOLE ",\"datacontenttype\":{}", "invalid_field: datacontenttype: an object is not JSON"},
        {WHOLE ",\"specversion\":\"1.0\"", "invalid_field: specversion: given twice (an attribute"},
        {WHOLE ",\"id\":null", "invalid_field: id: given twice"},
        {WHOLE ",\"source\":\"/s\"", "invalid_field: source: given twice"},
        {WHOLE ",\"type\":\"t\"", "invalid_field: type: given twice"},
        {WHOLE ",\"s\\u0075bject\":\"x\"", "invalid_field: subject: given twice"},
        {WHOLE ",\"time\":null,\"time\":\"x\"", "invalid_field: time: given twice"},
        {WHOLE ",\"datacontenttype\":null,\"datacontenttype\":\"x/json\"",
         "invalid_field: datacontenttype: given twice"},
        {WHOLE "," DATA, "invalid_field: data: given twice"},
        {WHOLE ",\"data_base64\":null,\"data_base64\":{}",
         "invalid_field: data_base64: given twice"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        expect_verdict(decode_one(cases[i].members), cases[i].verdict, cases[i].members);
}

/* Data has the rules of every other event, but for what the attributes say. */
Test(cloudevents, data_is_an_object_with_the_fields_of_an_event)
{
    static const struct {
        const char *data, *verdict;
    } cases[] = {
        {"\"data\":{" FLOW ",\"id\":\"\",\"time\":\"x\",\"id\":2,\"type\":1}", ""},
        {"\"data\":{" FLOW ",\"customer_id\":\"" CUSTOMER "\"}", ""},
        {"\"data\":{" FLOW ",\"customer_id\":null}", ""},
        {"\"data\":{" FLOW ",\"customer_id\":\"" OTHER "\"}",
         "invalid_field: customer_id: that of data is not the subject"},
        {"\"data\":{" FLOW ",\"customer_id\":\"x\"}",
         "invalid_field: customer_id: \"x\" is not a UUID"},
        {"\"data\":{}", "missing_field: workflow_id: missing"},
        {"\"data\":{" FLOW "," FLOW "}", "invalid_field: workflow_id: given twice"},
        {"\"data\":{" FLOW ",\"pages\":-1}", "out_of_range: pages: -1 is out of range"},
        {"\"data\":{" FLOW ",\"credits\":0.0000001}", "invalid_field: credits: 0.0000001 has more"},
        {"\"data\":[]", "invalid_field: data: an array is not an object (an object with workflow"},
        {"\"data\":\"{}\"", "invalid_field: data: \"{}\" is not an object"},
        {"\"data\":1.5", "invalid_field: data: 1.5 is not an object"},
        {"\"data\":false", "invalid_field: data: false is not an object"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char members[1024];

        snprintf(members, sizeof(members), NAMED SUBJECT "%s", cases[i].data);
        expect_verdict(decode_one(members), cases[i].verdict, members);
        snprintf(members, sizeof(members), "%s," NAMED "\"subject\":\"" CUSTOMER "\"",
                 cases[i].data);
        expect_verdict(decode_one(members), cases[i].verdict, members);
    }
}

/* Producers that keep the customer in the data must not need a subject. */
Test(cloudevents, the_customer_of_data_stands_for_a_missing_subject)
{
    struct decoded decoded = decode_one("\"data\":{" FLOW ",\"customer_id\":\"" OTHER
                                        "\"},\"subject\":null," NAMED "\"x\":0");
    struct ty_uuid customer;

    cr_assert_eq(decoded.batch.event_count, 1, "%s", decoded.batch.outcomes[0].message);
    ty_uuid_parse(OTHER, 36, &customer);
    cr_assert_eq(ty_uuid_compare(&decoded.batch.events[0].customer, &customer), 0);
    finish(&decoded);
}

/* Binary data that holds JSON counts like JSON; anything else harms only its own event. */
Test(cloudevents, base64_of_json_is_data)
{
    static const struct {
        const char *json, *verdict;
    } cases[] = {
        {"{" FLOW ",\"credits\":2}", ""},
        {" {" FLOW ",\"user_id\":\"\\u00e9\"}\n", ""},
        {"null", "missing_field: data: missing"},
        {"[]", "invalid_field: data: an array is not an object"},
        {"{" FLOW ",\"pages\":\"1\"}", "invalid_field: pages: \"1\" is text"},
        {"", "invalid_field: data_base64: no JSON: the text ends where a value should be (at byte"},
        {"{" FLOW "} 1", "invalid_field: data_base64: no JSON: "},
        {"{" FLOW ",", "invalid_field: data_base64: no JSON: "},
        {"\xff\xfe", "invalid_field: data_base64: no JSON: "},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char encoded[512], members[1024];
        const char *json = cases[i].json;

        sodium_bin2base64(encoded, sizeof(encoded), (const unsigned char *)json, strlen(json),
                          sodium_base64_VARIANT_ORIGINAL);
        snprintf(members, sizeof(members), NAMED SUBJECT "\"data_base64\":\"%s\"", encoded);
        expect_verdict(decode_one(members), cases[i].verdict, json);
    }
}

/* What is no base64, or comes beside data, must not be counted as something else. */
Test(cloudevents, wrong_base64_is_told)
{
    static const struct {
        const char *data, *verdict;
    } cases[] = {
        {"\"data_base64\":\"e30\"", "invalid_field: data_base64: \"e30\" is not base64 (the"},
        {"\"data_base64\":\"e30=\\n\"",
         "invalid_field: data_base64: \"e30=\\u000a\" is not base64"},
        {"\"data_base64\":\"e3*=\"", "invalid_field: data_base64: \"e3*=\" is not base64"},
        {"\"data_base64\":\"e30=e30=\"", "invalid_field: data_base64: \"e30=e30=\" is not base64"},
        {"\"data_base64\":\"e\\u00330=\"", "missing_field: workflow_id: missing"},
        {"\"data_base64\":{}", "invalid_field: data_base64: an object is not text (base64 of a"},
        {DATA ",\"data_base64\":\"e30=\"",
         "invalid_field: data_base64: \"e30=\" is given beside data (one of the two)"},
        {"\"data_base64\":\"e30=\"," DATA,
         "invalid_field: data: an object is given beside data_base64 (one of the two)"},
        {"\"data\":null,\"data_base64\":\"e30=\"", "missing_field: workflow_id: missing"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char members[1024];

        snprintf(members, sizeof(members), NAMED SUBJECT "%s", cases[i].data);
        expect_verdict(decode_one(members), cases[i].verdict, members);
    }
}

/* The longest source that the key can hold is taken, one byte more is not. */
Test(cloudevents, source_is_bounded)
{
    for (size_t length = TALLY_SOURCE_BYTES_MAX; length <= TALLY_SOURCE_BYTES_MAX + 1; length++) {
        char source[TALLY_SOURCE_BYTES_MAX + 2] = "", members[2048];

        memset(source, 'x', length);
        snprintf(members, sizeof(members), VERSION ID TYPE SUBJECT DATA ",\"source\":\"%s\"",
                 source);
        expect_verdict(decode_one(members),
                       length <= TALLY_SOURCE_BYTES_MAX ? "" : "out_of_range: source: \"xxxx",
                       "source");
    }
}

/* A reject that lacks its id cannot be found by who sent it. */
Test(cloudevents, a_reject_carries_its_id_wherever_it_stands)
{
    struct decoded decoded = decode_one("\"type\":1,\"data\":[],\"id\":\"late\"");

    cr_assert_eq(decoded.batch.outcomes[0].result, TALLY_INVALID_FIELD);
    cr_assert(text_is(decoded.batch.outcomes[0].id, "late"));
    finish(&decoded);
}

/* One bad event must not cost a batch its good ones. */
Test(cloudevents, a_batch_is_judged_event_by_event)
{
    static const char body[] =
        "\xef\xbb\xbf[{" WHOLE "},{},7,null,\"x\",[{" WHOLE "}],true,{" WHOLE "},{\"id\":\"e9\"}]";
    struct decoded decoded = decode_bytes(ty_cloudevents_batch_decode, body, strlen(body));
    char outcomes[512];

    cr_assert_eq(decoded.status, TY_DECODE_OK, "%s", decoded.error.message);
    describe(&decoded.batch, outcomes, sizeof(outcomes));
    cr_assert_str_eq(outcomes, ". missing_field() invalid_field() invalid_field() invalid_field() "
                               "invalid_field() invalid_field() . missing_field(e9)");
    cr_assert_str_eq(decoded.batch.outcomes[5].message, "an array is no record (an object is)");
    finish(&decoded);
}

/* A body of the wrong shape must be refused as a whole, with a hint to what would be right. */
Test(cloudevents, bodies_of_the_wrong_shape_are_refused)
{
    static const struct {
        decoder *decode;
        const char *body, *error;
    } cases[] = {
        {ty_cloudevents_decode, "[]", "application/cloudevents-batch+json"},
        {ty_cloudevents_decode, "1", "one CloudEvent"},
        {ty_cloudevents_decode, "", "the text ends where a value should be"},
        {ty_cloudevents_decode, "x", "no JSON value begins here"},
        {ty_cloudevents_decode, "{" WHOLE, "the text ends inside an object"},
        {ty_cloudevents_decode, "{" WHOLE "} {}", "text"},
        {ty_cloudevents_decode, "{" NAMED SUBJECT "\"data\":{\"pages\":01}}", ""},
        {ty_cloudevents_decode, "{" NAMED SUBJECT "\"data\":{\"x\":\"\\ud800\"}}", ""},
        {ty_cloudevents_batch_decode, "{" WHOLE "}", "application/cloudevents+json"},
        {ty_cloudevents_batch_decode, "null", "an array of CloudEvents"},
        {ty_cloudevents_batch_decode, "[{" WHOLE "},]", ""},
        {ty_cloudevents_batch_decode, "[{" WHOLE "}", "the text ends inside an object or array"},
        {ty_cloudevents_any_decode, "\"x\"", "a CloudEvent (an object), or an array of them"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct decoded decoded =
            decode_bytes(cases[i].decode, cases[i].body, strlen(cases[i].body));

        cr_assert_eq(decoded.status, TY_DECODE_REFUSED, "%s", cases[i].body);
        cr_assert_not_null(strstr(decoded.error.message, cases[i].error), "%s: %s", cases[i].body,
                           decoded.error.message);
        cr_assert_leq(decoded.error.byte, strlen(cases[i].body));
        finish(&decoded);
    }
}

/* OpenMeter's clients send one event or many under the same content type. */
Test(cloudevents, either_form_is_taken_where_both_are_allowed)
{
    struct decoded one = decode_bytes(ty_cloudevents_any_decode, "{" WHOLE "}", sizeof(WHOLE) + 1);
    struct decoded many =
        decode_bytes(ty_cloudevents_any_decode, "[{" WHOLE "}]", sizeof(WHOLE) + 3);

    cr_assert_eq(one.batch.event_count, 1);
    cr_assert_eq(many.batch.event_count, 1);
    finish(&one);
    finish(&many);
}

/* --- Binary mode --- */

#define HEADERS_MAX 12

/* Decodes a body with headers given as "name: value" lines. */
static struct decoded decode_binary(const char *lines, const char *body)
{
    struct ty_cloudevents_header headers[HEADERS_MAX];
    struct decoded decoded = {.body = strdup(body)};
    char *text = strdup(lines), *rest = text, *line;
    size_t count = 0;

    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        char *value = strstr(line, ": ");

        cr_assert(value != NULL && count < HEADERS_MAX, "%s", line);
        headers[count].name = (struct ty_text){line, (size_t)(value - line)};
        headers[count++].value = (struct ty_text){value + 2, strlen(value + 2)};
    }
    decoded.status = ty_cloudevents_binary_decode(headers, count, decoded.body, strlen(body),
                                                  &decoded.batch, &decoded.error);
    free(text);
    return decoded;
}

#define HEADERS       "specversion: 1.0\nid: e1\nsource: /s\ntype: t\nsubject: " CUSTOMER "\n"
#define WITH(headers) "specversion: 1.0\ntype: t\nsubject: " CUSTOMER "\n" headers
#define BODY          "{" FLOW ",\"pages\":4}"

/* An event in binary mode must count exactly as the same event in structured mode. */
Test(cloudevents, binary_mode_takes_attributes_from_headers)
{
    struct decoded decoded = decode_binary(
        WITH("source: urn:%C3%a9%20%25\nid: %65%2F1+2\ntime: 2023-01-31T13:45:00%2B00:00\n"
             "traceparent: 00-1\ndata: x\ndatacontenttype: text/xml\n"),
        BODY);
    const struct ty_event *event = decoded.batch.events;

    cr_assert_eq(decoded.status, TY_DECODE_OK, "%s", decoded.error.message);
    cr_assert_eq(decoded.batch.event_count, 1, "%s", decoded.batch.outcomes[0].message);
    cr_assert(text_is(event->source, "urn:\xc3\xa9 %"));
    cr_assert(text_is(event->id, "e/1+2"));
    cr_assert_eq(event->time_ms, INT64_C(1675172700000));
    cr_assert_eq(event->pages, 4);
    finish(&decoded);
}

/* Headers come in every older and newer way of writing them, and wrong ones are told. */
Test(cloudevents, headers_are_judged_one_by_one)
{
    static const struct {
        const char *headers, *verdict;
    } cases[] = {
        {HEADERS, ""},
        {WITH("id: \"e1\"\nsource: \"a \\\"b\\\\ %22\"\n"), ""},
        {WITH("id: caf\xc3\xa9\nsource: a\"b\n"), ""},
        {HEADERS "time: 2023-01-31T13:45:00Z\n", ""},
        {"", "missing_field: specversion: missing"},
        {"specversion: 1.0\nid: e1\ntype: t\nsubject: " CUSTOMER "\n",
         "missing_field: source: missing"},
        {"specversion: 1.0\nid: e1\nsource: s\ntype: t\n", "missing_field: subject: missing"},
        {"specversion: 1.0\nid: e1\nsource: s\ntype: t\nsubject: x\n",
         "invalid_field: subject: \"x\" is not a UUID"},
        {HEADERS "id: e1\n", "invalid_field: id: given twice"},
        {HEADERS "time: 1675172700123\n",
         "invalid_field: time: \"1675172700123\" is not a date-time"},
        {"specversion: 0.3\nid: e1\n", "invalid_field: specversion: \"0.3\" is not supported"},
        {WITH("source: s\nid: \n"), "out_of_range: id: \"\" is empty"},
        {WITH("source: s\nid: \"\"\n"), "out_of_range: id: \"\" is empty"},
        {WITH("source: s\nid: null\n"), ""},
        {WITH("id: e1\nsource: 100%\n"), "invalid_field: ce-source: a malformed header"},
        {WITH("id: e1\nsource: %0\n"), "invalid_field: ce-source: a malformed header"},
        {WITH("id: e1\nsource: %00\n"), "invalid_field: ce-source: a malformed header"},
        {WITH("id: e1\nsource: %C0%A0\n"), "invalid_field: ce-source: a malformed header"},
        {WITH("id: e1\nsource: %ed%a0%80\n"), "invalid_field: ce-source: a malformed header"},
        {WITH("id: e1\nsource: \xff\n"), "invalid_field: ce-source: a malformed header"},
        {WITH("id: e1\nsource: \"\n"), "invalid_field: ce-source: a malformed header"},
        {WITH("id: e1\nsource: \"a\n"), "invalid_field: ce-source: a malformed header"},
        {WITH("id: e1\nsource: \"a\\\n"), "invalid_field: ce-source: a malformed header"},
        {WITH("id: e1\nsource: \"a\" b\n"), "invalid_field: ce-source: a malformed header"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        expect_verdict(decode_binary(cases[i].headers, BODY), cases[i].verdict, cases[i].headers);
}

/* Quotes go first, and one round of percent-decoding follows: never less, never two. */
Test(cloudevents, header_values_are_decoded_once)
{
    static const char *const cases[][2] = {
        {"\"a \\\"b\\\\\"", "a \"b\\"}, {"\"%41\"", "A"},         {"%2541", "%41"},
        {"%22a%22", "\"a\""},           {"\"\\%34\\31\"", "431"}, {"a\"b\\c", "a\"b\\c"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char headers[256];
        struct decoded decoded;

        snprintf(headers, sizeof(headers), WITH("id: e1\nsource: %s\n"), cases[i][0]);
        decoded = decode_binary(headers, BODY);
        cr_assert_eq(decoded.batch.event_count, 1, "%s", cases[i][0]);
        cr_assert(text_is(decoded.batch.events[0].source, cases[i][1]), "%s gave %.*s", cases[i][0],
                  (int)decoded.batch.events[0].source.length, decoded.batch.events[0].source.data);
        finish(&decoded);
    }
}

/* A body that is no JSON is the sender's mistake as a whole; one that is no object is the event's.
 */
Test(cloudevents, the_body_of_binary_mode_is_the_data)
{
    static const struct {
        const char *body, *verdict; /* NULL: refused */
    } cases[] = {
        {"\xef\xbb\xbf " BODY "\n", ""},
        {"", "missing_field: data: missing"},
        {"null", "missing_field: data: missing"},
        {"[]", "invalid_field: data: an array is not an object"},
        {" ", NULL},
        {"{", NULL},
        {BODY BODY, NULL},
        {"workflow_id=1", NULL},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct decoded decoded = decode_binary(HEADERS, cases[i].body);

        if (cases[i].verdict != NULL) {
            expect_verdict(decoded, cases[i].verdict, cases[i].body);
            continue;
        }
        cr_assert_eq(decoded.status, TY_DECODE_REFUSED, "%s", cases[i].body);
        finish(&decoded);
    }
}

/* --- Against themselves --- */

/* An event written at random, structured and in binary mode, is the same event twice. */
Test(cloudevents, both_modes_agree_on_random_events)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int round = 0; round < 2000; round++) {
        char headers[2048] = WITH("id: e1\n"), members[2048] = VERSION TYPE SUBJECT ID DATA;
        char hex[64] = "", json[128] = "";
        struct decoded structured, binary;
        unsigned length = 1 + (unsigned)ty_random_below(&random, 12);

        for (unsigned i = 0; i < length; i++) {
            unsigned byte = 1 + (unsigned)ty_random_below(&random, 126);

            sprintf(hex + strlen(hex), "%%%02X", byte);
            sprintf(json + strlen(json), "\\u%04x", byte);
        }
        sprintf(headers + strlen(headers), "source: %s\n", hex);
        sprintf(members + strlen(members), ",\"source\":\"%s\"", json);
        structured = decode_one(members);
        binary = decode_binary(headers, "{" FLOW ",\"credits\":1.5}");
        cr_assert_eq(structured.batch.event_count, 1);
        cr_assert_eq(binary.batch.event_count, 1, "%s", binary.batch.outcomes[0].message);
        cr_assert_eq(structured.batch.events[0].source.length, length);
        cr_assert_eq(binary.batch.events[0].source.length, length);
        cr_assert_eq(memcmp(structured.batch.events[0].source.data,
                            binary.batch.events[0].source.data, length),
                     0);
        finish(&structured);
        finish(&binary);
    }
}
