#include "server/rejects_json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define RECEIVED_MS INT64_C(1675252800123)

static struct ty_buffer out;

static void fini(void)
{
    ty_buffer_fini(&out);
}

TestSuite(rejects_json, .fini = fini);

static struct ty_text text(const char *data)
{
    return (struct ty_text){data, strlen(data)};
}

static struct ty_kept_reject example(void)
{
    return (struct ty_kept_reject){.seq = 12,
                                   .received_ms = RECEIVED_MS,
                                   .reject = {.code = TALLY_MISSING_FIELD,
                                              .time_ms = TALLY_TIME_OF_ARRIVAL,
                                              .source = text("forward 10.0.0.7 usage.app"),
                                              .message = text("id: required"),
                                              .record = text("\x81\xa5pages\x03")},
                                   .record_bytes = 8};
}

static const char *text_of(const struct ty_kept_reject *kept)
{
    out.length = 0;
    ty_rejects_json_append(&out, kept);
    ty_buffer_append_char(&out, '\0');
    cr_assert(ty_buffer_ok(&out));
    return out.data;
}

#define BEGIN                                                                                      \
    "{\"seq\":12,\"received\":\"2023-02-01T12:00:00.123Z\","                                       \
    "\"source\":\"forward 10.0.0.7 usage.app\",\"code\":\"missing_field\","                        \
    "\"message\":\"id: required\","

/* What an operator sees: who sent what, and what was wrong with it. */
Test(rejects_json, shows_the_record_as_json)
{
    struct ty_kept_reject kept = example();

    cr_assert_str_eq(text_of(&kept), BEGIN "\"encoding\":\"json\",\"record\":{\"pages\":3}}");
}

/* A record that JSON cannot show must not make the answer unreadable, nor be mistaken for text. */
Test(rejects_json, shows_other_bytes_in_base64)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *base64;
    } cases[] = {
        {"\x81\xa1\xff\x01", 4, "gaH/AQ=="}, /* a name that is no UTF-8 */
        {"\x81\xa5pages", 7, "gaVwYWdlcw=="} /* cut short */,
        {"\x01\x02", 2, "AQI="} /* two values */,
        {"", 0, ""},
    };
    char want[400];

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_kept_reject kept = example();

        kept.reject.record = (struct ty_text){cases[i].bytes, cases[i].length};
        kept.record_bytes = cases[i].length;
        snprintf(want, sizeof(want), BEGIN "\"encoding\":\"base64\",\"record\":\"%s\"}",
                 cases[i].base64);
        cr_assert_str_eq(text_of(&kept), want);
    }
}

/* Of a long record only the beginning is there: whoever resends it must know that. */
Test(rejects_json, says_what_was_cut)
{
    struct ty_kept_reject kept = example();

    kept.record_bytes = 5000000;
    kept.reject.record = text("\x03"); /* by itself a value, and yet not the record */
    cr_assert_str_eq(text_of(&kept), BEGIN "\"encoding\":\"base64\",\"record\":\"Aw==\","
                                           "\"truncated\":true,\"record_bytes\":5000000}");
}

/* The entry's time tells when it happened, whatever its sender made of it. */
Test(rejects_json, shows_the_entrys_time)
{
    static const struct {
        int64_t time_ms;
        const char *want;
    } cases[] = {
        {0, "\"time\":\"1970-01-01T00:00:00.000Z\","},
        {INT64_C(-62135596800000), "\"time\":\"0001-01-01T00:00:00.000Z\","},
        {INT64_C(253402300799999), "\"time\":\"9999-12-31T23:59:59.999Z\","},
        {INT64_C(253402300800000), "\"time\":253402300800000,"},
        {INT64_MIN + 1, "\"time\":-9223372036854775807,"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_kept_reject kept = example();

        kept.reject.time_ms = cases[i].time_ms;
        cr_assert_not_null(strstr(text_of(&kept), cases[i].want), "%s", out.data);
    }
}

/* Tags come from anywhere; the answer is JSON whatever they hold. */
Test(rejects_json, replaces_what_is_no_text)
{
    char bytes[TY_REJECT_TEXT_BYTES_MAX];
    struct ty_kept_reject kept = example();

    kept.reject.source = text("a\xff\xc3\xa9\xc3\"\n");
    kept.reject.message = (struct ty_text){NULL, 0};
    cr_assert_not_null(
        strstr(text_of(&kept), "\"source\":\"a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\\\"\\n\","), "%s",
        out.data);
    cr_assert_not_null(strstr(out.data, "\"message\":\"\","));
    memset(bytes, 0xff, sizeof(bytes));
    kept.reject.source = kept.reject.message = (struct ty_text){bytes, sizeof(bytes)};
    cr_assert_eq(strlen(text_of(&kept)) > 6 * sizeof(bytes), true);
}

/* The pages' ends, by which a client knows whether to go on. */
Test(rejects_json, a_page_says_where_to_go_on)
{
    ty_rejects_json_begin(&out);
    ty_rejects_json_end(&out, true, UINT64_MAX);
    ty_buffer_append_char(&out, '\0');
    cr_assert_str_eq(out.data, "{\"rejects\":[],\"next\":18446744073709551615}");
    out.length = 0;
    ty_rejects_json_begin(&out);
    ty_rejects_json_end(&out, false, 3);
    ty_buffer_append_char(&out, '\0');
    cr_assert_str_eq(out.data, "{\"rejects\":[],\"next\":null}");
}
