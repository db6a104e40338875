#include "ingest/void_request.h"

#include "engine/buffer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUSTOMER "\"customer_id\":\"0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6071\""
#define REASON   "\"reason\":\"ran twice\""
/* A body that is good but for what stands in the array of ids. */
#define WITH_IDS(ids) "{" CUSTOMER "," REASON ",\"ids\":[" ids "]}"

/* A body and what became of it. */
struct parsed {
    char *body; /* of exactly its length, so that AddressSanitizer sees a read past the end */
    struct ty_arena arena;
    struct ty_void_request request;
    struct ty_void_problem problem;
    enum ty_void_parse result;
};

static struct parsed parse_bytes(const char *body, size_t length)
{
    struct parsed parsed = {.body = malloc(length == 0 ? 1 : length)};

    memcpy(parsed.body, body, length);
    parsed.result =
        ty_void_request_parse(parsed.body, length, &parsed.arena, &parsed.request, &parsed.problem);
    return parsed;
}

static struct parsed parse(const char *body)
{
    return parse_bytes(body, strlen(body));
}

static void finish(struct parsed *parsed)
{
    ty_arena_fini(&parsed->arena);
    free(parsed->body);
}

static bool text_is(struct ty_text text, const char *want)
{
    return text.length == strlen(want) &&
           (text.length == 0 || memcmp(text.data, want, text.length) == 0);
}

static void assert_good(const struct parsed *parsed)
{
    cr_assert_eq(parsed->result, TY_VOID_PARSED, "%s: %s",
                 parsed->problem.member == NULL ? "body" : parsed->problem.member,
                 parsed->problem.message);
    cr_assert_null(parsed->problem.member);
    cr_assert_str_eq(parsed->problem.message, "");
}

/* `member` is the one that the answer is to name, NULL: the body; `part` stands in the message. */
static void assert_wrong(const char *body, const char *member, const char *part)
{
    struct parsed parsed = parse(body);

    cr_assert_eq(parsed.result, TY_VOID_WRONG, "%.200s", body);
    if (member == NULL)
        cr_assert_null(parsed.problem.member, "%.200s: %s", body, parsed.problem.member);
    else
        cr_assert(parsed.problem.member != NULL && strcmp(parsed.problem.member, member) == 0,
                  "%.200s: %s", body,
                  parsed.problem.member == NULL ? "body" : parsed.problem.member);
    cr_assert_not_null(strstr(parsed.problem.message, part), "%.200s: %s", body,
                       parsed.problem.message);
    finish(&parsed);
}

/* Another event than the one that was meant would leave the invoice. */
Test(void_request, every_member_arrives_as_it_was_sent)
{
    static const struct ty_uuid customer = {.bytes = {0x01, 0x90, 0xa5, 0xb2, 0x7c, 0x3d, 0x7e,
                                                      0x4f, 0x8a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f,
                                                      0x60, 0x71}};
    struct parsed parsed =
        parse("{\"customer_id\":\"0190A5B2-7c3d-7e4f-8a1b-2c3d4e5f6071\",\"ids\":"
              "[\"job-1\",{\"id\":\"job-2\",\"source\":\"/workflows\"},"
              "{\"source\":\"\",\"id\":\"job-3\"}],\"reason\":\"ran twice\"}");

    assert_good(&parsed);
    cr_assert_eq(memcmp(&parsed.request.customer, &customer, sizeof(customer)), 0);
    cr_assert(text_is(parsed.request.reason, "ran twice"));
    cr_assert_eq(parsed.request.count, 3u);
    cr_assert(text_is(parsed.request.ids[0].id, "job-1"));
    cr_assert(text_is(parsed.request.ids[0].source, ""));
    cr_assert(text_is(parsed.request.ids[1].id, "job-2"));
    cr_assert(text_is(parsed.request.ids[1].source, "/workflows"));
    cr_assert(text_is(parsed.request.ids[2].id, "job-3"));
    cr_assert(text_is(parsed.request.ids[2].source, ""));
    finish(&parsed);
}

/* Clients write members in any order, with white space, more members, and a byte order mark. */
Test(void_request, order_space_and_strange_members_do_not_matter)
{
    static const char *const bodies[] = {
        "{" REASON ",\"ids\":[\"a\"]," CUSTOMER "}",
        "{\"ids\":[\"a\"]," CUSTOMER "," REASON "}",
        " \t\r\n{ " CUSTOMER " , " REASON " ,\n\"ids\" : [ \"a\" ] } \n",
        "\xef\xbb\xbf" WITH_IDS("\"a\""),
        "{\"comment\":{\"ids\":[1,2,{\"reason\":0}]},\"n\":null," CUSTOMER "," REASON
        ",\"ids\":[\"a\"],\"Reason\":7,\"id\":\"\",\"idss\":[]}",
        WITH_IDS("{\"ID\":3,\"note\":[\"id\",{\"id\":1}],\"id\":\"a\",\"sources\":false}"),
        WITH_IDS("{\"\":0,\"a_name_longer_than_any_that_is_known_\\u0061\":1,\"id\":\"a\"}"),
    };

    for (size_t i = 0; i < TY_COUNT_OF(bodies); i++) {
        struct parsed parsed = parse(bodies[i]);

        assert_good(&parsed);
        cr_assert_eq(parsed.request.count, 1u, "%s", bodies[i]);
        cr_assert(text_is(parsed.request.ids[0].id, "a"), "%s", bodies[i]);
        cr_assert(text_is(parsed.request.ids[0].source, ""), "%s", bodies[i]);
        cr_assert(text_is(parsed.request.reason, "ran twice"), "%s", bodies[i]);
        finish(&parsed);
    }
}

/* Nothing to void is nothing wrong: a program sends the list that it has. And an object without a
 * source, right behind one with it, must not get that one's. */
Test(void_request, a_list_is_as_long_as_it_is)
{
    struct parsed parsed = parse(WITH_IDS(""));

    assert_good(&parsed);
    cr_assert_eq(parsed.request.count, 0u);
    finish(&parsed);
    parsed = parse(WITH_IDS(
        "{\"id\":\"a\",\"source\":\"s\"},{\"id\":\"b\"},\"c\",{\"source\":\"t\",\"id\":\"d\"}"));
    assert_good(&parsed);
    cr_assert(text_is(parsed.request.ids[0].source, "s"));
    cr_assert(text_is(parsed.request.ids[1].source, ""));
    cr_assert(text_is(parsed.request.ids[2].source, ""));
    cr_assert(text_is(parsed.request.ids[3].source, "t"));
    finish(&parsed);
}

/* JSON libraries escape as they like: "\u00e9" and its two bytes are one id, or nothing is found.
 */
Test(void_request, escapes_mean_what_they_stand_for)
{
    struct parsed parsed =
        parse("{\"\\u0069ds\":[\"\\u0061\\/\\u00e9\\ud83d\\ude00\",{\"i\\u0064\":\"\\\"b\\\"\","
              "\"sourc\\u0065\":\"c\\\\\\n\"}],\"customer\\u005fid\":"
              "\"0190a5b2\\u002d7c3d-7e4f-8a1b-2c3d4e5f6071\",\"reaso\\u006e\":\"\\t\"}");

    assert_good(&parsed);
    cr_assert_eq(parsed.request.count, 2u);
    cr_assert(text_is(parsed.request.ids[0].id, "a/\xc3\xa9\xf0\x9f\x98\x80"));
    cr_assert(text_is(parsed.request.ids[1].id, "\"b\""));
    cr_assert(text_is(parsed.request.ids[1].source, "c\\\n"));
    cr_assert(text_is(parsed.request.reason, "\t"));
    cr_assert_eq(parsed.request.customer.bytes[15], 0x71);
    finish(&parsed);
}

/* A 400 that does not say which member is missing, and what it is, is answered by guessing. */
Test(void_request, a_missing_member_is_named)
{
    assert_wrong("{}", "customer_id", "required");
    assert_wrong("{\"ids\":[\"a\"]," REASON "}", "customer_id", "UUID");
    assert_wrong("{" CUSTOMER "," REASON "}", "ids", "required: an array of ids");
    assert_wrong("{" CUSTOMER ",\"ids\":[]}", "reason", "1 to 256 bytes");
    assert_wrong("{\"Customer_id\":1," REASON ",\"ids\":[]}", "customer_id", "required");
    assert_wrong(WITH_IDS("{}"), "ids", "no member 'id'");
    assert_wrong(WITH_IDS("\"a\",{\"source\":\"s\"}"), "ids", "no member 'id'");
    assert_wrong(WITH_IDS("{\"Id\":\"a\"}"), "ids", "no member 'id'");
}

/* Of two values one would be taken in silence, and perhaps not the one that was meant. */
Test(void_request, a_member_given_twice_is_refused)
{
    static const char *const members[] = {"customer_id", "ids", "reason"};
    char body[400];

    for (size_t i = 0; i < TY_COUNT_OF(members); i++) {
        const char *again[] = {CUSTOMER, "\"ids\":[\"a\"]", REASON};

        snprintf(body, sizeof(body), "{%s,%s,%s,%s}", CUSTOMER, "\"ids\":[\"a\"]", REASON,
                 again[i]);
        assert_wrong(body, members[i], "more than once");
    }
    assert_wrong("{" CUSTOMER "," REASON ",\"ids\":[],\"\\u0069ds\":[]}", "ids", "more than once");
    assert_wrong(WITH_IDS("{\"id\":\"a\",\"id\":\"a\"}"), "ids", "two members 'id'");
    assert_wrong(WITH_IDS("{\"id\":\"a\",\"source\":\"\",\"source\":\"s\"}"), "ids",
                 "two members 'source'");
}

/* A value of another type must not be taken for an id, nor pass for nothing. */
Test(void_request, a_value_of_another_type_is_refused)
{
    static const char *const values[] = {"null", "true", "false", "0", "-1.5e3", "{}", "[]"};
    char body[400];

    for (size_t i = 0; i < TY_COUNT_OF(values); i++) {
        snprintf(body, sizeof(body), "{\"customer_id\":%s,\"ids\":[]," REASON "}", values[i]);
        assert_wrong(body, "customer_id", "a text of at most 36 bytes");
        snprintf(body, sizeof(body), "{" CUSTOMER ",\"ids\":[],\"reason\":%s}", values[i]);
        assert_wrong(body, "reason", "a text of at most 256 bytes");
        snprintf(body, sizeof(body), WITH_IDS("{\"id\":\"a\",\"source\":%s}"), values[i]);
        assert_wrong(body, "ids", "a text of at most 1024 bytes");
        snprintf(body, sizeof(body), WITH_IDS("{\"id\":%s}"), values[i]);
        assert_wrong(body, "ids", "a text of at most 128 bytes");
        if (strcmp(values[i], "[]") != 0) {
            snprintf(body, sizeof(body), "{" CUSTOMER ",\"ids\":%s," REASON "}", values[i]);
            assert_wrong(body, "ids", "an array of ids is allowed");
        }
        if (strcmp(values[i], "{}") != 0) {
            snprintf(body, sizeof(body), WITH_IDS("\"a\",%s"), values[i]);
            assert_wrong(body, "ids", "a text of at most 128 bytes");
        }
    }
    assert_wrong("{" CUSTOMER ",\"ids\":\"a\"," REASON "}", "ids", "an array of ids is allowed");
}

/* Some other customer's events, or nobody's, would be looked for. */
Test(void_request, a_customer_is_a_uuid)
{
    static const char *const wrong[] = {
        "",
        "acme",
        "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f607",
        "0190a5b27c3d7e4f8a1b2c3d4e5f6071",
        "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f607g",
        "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f60\\u0000",
    };
    char body[400];

    for (size_t i = 0; i < TY_COUNT_OF(wrong); i++) {
        snprintf(body, sizeof(body), "{\"customer_id\":\"%s\",\"ids\":[]," REASON "}", wrong[i]);
        assert_wrong(body, "customer_id",
                     strstr(wrong[i], "u0000") != NULL ? "U+0000" : "not a UUID");
    }
    assert_wrong("{\"customer_id\":\"0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f60711\",\"ids\":[]," REASON
                 "}",
                 "customer_id", "37 bytes; a text of 0 to 36 bytes");
}

/* Puts a text of so many bytes into a body; `escaped`: all of them are written as escapes. */
static struct parsed parse_text(const char *before, size_t bytes, bool escaped, const char *behind)
{
    struct ty_buffer body = {0};
    struct parsed parsed;

    ty_buffer_append_text(&body, before);
    for (size_t i = 0; i < bytes; i++)
        ty_buffer_append_text(&body, escaped ? "\\u0078" : "x");
    ty_buffer_append_text(&body, behind);
    parsed = parse_bytes(body.data, body.length);
    ty_buffer_fini(&body);
    return parsed;
}

/* What was accepted as an event can be voided, whatever its length; bytes count, not escapes. */
Test(void_request, texts_have_their_bounds)
{
    static const struct {
        const char *before, *behind;
        const char *member;
        size_t least, most;
    } texts[] = {
        {"{" CUSTOMER "," REASON ",\"ids\":[\"", "\"]}", "ids", 1, TALLY_ID_BYTES_MAX},
        {"{" CUSTOMER "," REASON ",\"ids\":[{\"id\":\"", "\"}]}", "ids", 1, TALLY_ID_BYTES_MAX},
        {"{" CUSTOMER "," REASON ",\"ids\":[{\"id\":\"a\",\"source\":\"", "\"}]}", "ids", 0,
         TALLY_SOURCE_BYTES_MAX},
        {"{" CUSTOMER ",\"ids\":[],\"reason\":\"", "\"}", "reason", 1, TY_VOID_REASON_BYTES_MAX},
    };

    for (size_t i = 0; i < TY_COUNT_OF(texts); i++)
        for (int escaped = 0; escaped <= 1; escaped++)
            for (size_t bytes = 0; bytes <= texts[i].most + 1;
                 bytes += bytes == 1 ? texts[i].most - 1 : 1) {
                struct parsed parsed = parse_text(texts[i].before, bytes, escaped, texts[i].behind);
                char want[64];

                if (bytes >= texts[i].least && bytes <= texts[i].most) {
                    assert_good(&parsed);
                } else {
                    cr_assert_eq(parsed.result, TY_VOID_WRONG, "text %zu, %zu bytes", i, bytes);
                    snprintf(want, sizeof(want), "%zu bytes; a text of %zu to %zu bytes", bytes,
                             texts[i].least, texts[i].most);
                    cr_assert_str_eq(parsed.problem.member, texts[i].member);
                    cr_assert_not_null(strstr(parsed.problem.message, want), "%s",
                                       parsed.problem.message);
                }
                finish(&parsed);
            }
}

/* A zero would end the text in whatever shows it later: nobody could tell two ids apart. */
Test(void_request, a_zero_is_refused_everywhere)
{
    assert_wrong(WITH_IDS("\"a\\u0000\""), "ids", "U+0000 is not allowed");
    assert_wrong(WITH_IDS("\"\\u0000\""), "ids", "U+0000 is not allowed");
    assert_wrong(WITH_IDS("{\"id\":\"\\u0000a\"}"), "ids", "U+0000 is not allowed");
    assert_wrong(WITH_IDS("{\"id\":\"a\",\"source\":\"\\u0000\"}"), "ids", "U+0000 is not allowed");
    assert_wrong("{" CUSTOMER ",\"ids\":[],\"reason\":\"x\\u0000y\"}", "reason",
                 "U+0000 is not allowed");
}

static struct parsed parse_many(size_t count, const char *behind)
{
    struct ty_buffer body = {0};
    struct parsed parsed;

    ty_buffer_append_text(&body, "{" CUSTOMER "," REASON ",\"ids\":[");
    for (size_t i = 0; i < count; i++)
        ty_buffer_append_format(&body, i % 3 == 0 ? "%s{\"id\":\"job-%zu\"}" : "%s\"job-%zu\"",
                                i == 0 ? "" : ",", i);
    ty_buffer_append_text(&body, behind);
    cr_assert(ty_buffer_ok(&body));
    parsed = parse_bytes(body.data, body.length);
    ty_buffer_fini(&body);
    return parsed;
}

/* All ids of a long list are voided, each in its place; a longer one is refused as a whole. */
Test(void_request, ten_thousand_ids_fit_and_no_more)
{
    struct parsed parsed = parse_many(TY_VOID_REQUEST_IDS_MAX, "]}");
    char want[32];

    assert_good(&parsed);
    cr_assert_eq(parsed.request.count, TY_VOID_REQUEST_IDS_MAX);
    for (size_t i = 0; i < parsed.request.count; i++) {
        snprintf(want, sizeof(want), "job-%zu", i);
        cr_assert(text_is(parsed.request.ids[i].id, want), "%s", want);
        cr_assert(text_is(parsed.request.ids[i].source, ""), "%s", want);
    }
    finish(&parsed);

    parsed = parse_many(TY_VOID_REQUEST_IDS_MAX + 1, "]}");
    cr_assert_eq(parsed.result, TY_VOID_WRONG);
    cr_assert_str_eq(parsed.problem.member, "ids");
    cr_assert_str_eq(parsed.problem.message, "more than 10000");
    finish(&parsed);
}

/* A body that is no JSON: where it breaks is told by the byte, or its sender cannot find it. One
 * that is no object is told what is allowed. */
Test(void_request, what_is_no_object_is_told_with_its_place)
{
    static const char *const others[] = {"[]", "null",  "true",
                                         "7",  "\"a\"", "[" WITH_IDS("\"a\"") "]"};
    static const struct {
        const char *body;
        const char *place;
    } cases[] = {
        {"", "(at byte 0)"},
        {"  ", "(at byte 2)"},
        {"\xef\xbb\xbf", "(at byte 3)"},
        {"{", "(at byte 1)"},
        {"{]", "(at byte 1)"},
        {"{\"x\":1,}", "(at byte 7)"},
        {"{\"x\" 1}", "(at byte 5)"},
        {"{\"x\":}", "(at byte 5)"},
        {"{\"reason\":}", "(at byte 10)"},
        {"{\"ids\":x}", "(at byte 7)"},
        {"{\"ids\":[}", "(at byte 8)"},
        {"{\"ids\":[,\"a\"]}", "(at byte 8)"},
        {"{\"ids\":[\"a\" \"b\"]}", "(at byte 12)"},
        {"{\"ids\":[{\"id\":\"a\"]}", "(at byte 17)"},
        {"{\"ids\":[{\"id\" \"a\"}]}", "(at byte 14)"},
        {"{\"ids\":[{\"x\":01}]}", "(at byte 13)"},
        {"{\"reason\":\"\\q\"}", "(at byte 11)"},
        {"{\"reason\":\"\\ud800\"}", "(at byte 11)"},
        {"{\"reason\":\"\xff\"}", "(at byte 11)"},
        {"{\"reason\":\"a\nb\"}", "(at byte 12)"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        assert_wrong(cases[i].body, NULL, cases[i].place);
    for (size_t i = 0; i < TY_COUNT_OF(others); i++)
        assert_wrong(others[i], NULL, "an object is allowed");
    assert_wrong(WITH_IDS("\"a\"") ",", NULL, "(at byte ");
    assert_wrong(WITH_IDS("\"a\"") WITH_IDS("\"a\""), NULL, "(at byte ");
}

/* A body that was cut off on its way must not void the ids that arrived. */
Test(void_request, every_cut_is_noticed)
{
    static const char body[] = WITH_IDS("\"a\\n\",{\"id\":\"b\",\"source\":\"c\"}");

    for (size_t length = 0; length < strlen(body); length++) {
        struct parsed parsed = parse_bytes(body, length);

        cr_assert_eq(parsed.result, TY_VOID_WRONG, "%.*s", (int)length, body);
        cr_assert_null(parsed.problem.member, "%.*s", (int)length, body);
        cr_assert_not_null(strstr(parsed.problem.message, "(at byte "), "%s",
                           parsed.problem.message);
        finish(&parsed);
    }
}
