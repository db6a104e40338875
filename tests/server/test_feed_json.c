#include "server/feed_json.h"

#include <criterion/criterion.h>
#include <string.h>

#define RECEIVED_MS INT64_C(1675252800123)

static struct ty_buffer out;

static void fini(void)
{
    ty_buffer_fini(&out);
}

TestSuite(feed_json, .fini = fini);

static const char *text_of(const struct ty_event *event, bool counted)
{
    struct ty_feed_event given = {.event = event, .received_ms = RECEIVED_MS};

    out.length = 0;
    ty_feed_json_event(&out, &given, counted);
    ty_buffer_append_char(&out, '\0');
    cr_assert(ty_buffer_ok(&out));
    return out.data;
}

static struct ty_text text(const char *data)
{
    return (struct ty_text){data, strlen(data)};
}

#define UUIDS                                                                                      \
    "\"customer_id\":\"0c000000-0000-0000-0000-000000000000\","                                    \
    "\"workflow_id\":\"0f000000-0000-0000-0000-000000000000\","

static struct ty_event make_event(void)
{
    return (struct ty_event){.customer = {{0x0c}},
                             .workflow = {{0x0f}},
                             .id = text("a"),
                             .time_ms = TALLY_TIME_OF_ARRIVAL};
}

/* What was not given is not made up: an audit must see what was sent. */
Test(feed_json, an_event_of_defaults_is_short)
{
    struct ty_event event = make_event();

    cr_assert_str_eq(
        text_of(&event, false),
        "{\"id\":\"a\"," UUIDS "\"received\":\"2023-02-01T12:00:00.123Z\","
        "\"credits\":0,\"documents\":0,\"pages\":0,\"processing_ms\":0,\"status\":\"accepted\"}");
}

/* An export that is imported elsewhere counts the event at the same time only if it is told. */
Test(feed_json, the_time_that_counts_is_filled_in_when_asked_for)
{
    struct ty_event event = make_event();

    cr_assert_not_null(strstr(text_of(&event, true), "\"time\":\"2023-02-01T12:00:00.123Z\","
                                                     "\"received\":\"2023-02-01T12:00:00.123Z\""));
    event.time_ms = 1675209599999;
    cr_assert_not_null(strstr(text_of(&event, true), "\"time\":\"2023-01-31T23:59:59.999Z\","));
    cr_assert_str_eq(text_of(&event, true), text_of(&event, false));
}

/* Every field, at its extremes, and texts that JSON must escape. */
Test(feed_json, all_fields_are_exact)
{
    struct ty_event event = make_event();

    event.id = text("\"\\\n\x01é");
    event.source = text("urn:x");
    event.user = text("añn");
    event.time_ms = INT64_C(253402300799999);
    event.credits = -TALLY_CREDITS_MICRO_MAX + 1;
    event.documents = event.pages = UINT32_MAX;
    event.processing_ms = TALLY_PROCESSING_MS_MAX;
    cr_assert_str_eq(
        text_of(&event, false),
        "{\"id\":\"\\\"\\\\\\n\\u0001é\",\"source\":\"urn:x\"," UUIDS
        "\"time\":\"9999-12-31T23:59:59.999Z\","
        "\"received\":\"2023-02-01T12:00:00.123Z\",\"credits\":-999999999.999999,"
        "\"documents\":4294967295,\"pages\":4294967295,"
        "\"processing_ms\":1099511627776,\"user_id\":\"añn\",\"status\":\"accepted\"}");
}

/* Who audits a bill must see that an event does not count, since when and why. */
Test(feed_json, a_void_is_told_with_its_reason)
{
    struct ty_event event = make_event();
    struct ty_void_note note = {7, RECEIVED_MS + 1000, {"a \"mistake\"", 11}};
    struct ty_feed_event given = {.event = &event, .received_ms = RECEIVED_MS, .voided = &note};
    const char *told = ",\"status\":\"voided\",\"voided\":\"2023-02-01T12:00:01.123Z\","
                       "\"reason\":\"a \\\"mistake\\\"\"}";

    out.length = 0;
    ty_feed_json_event(&out, &given, false);
    ty_buffer_append_char(&out, '\0');
    cr_assert_not_null(strstr(out.data, told), "%s", out.data);
    given.is_void = true;
    out.length = 0;
    ty_feed_json_event(&out, &given, false);
    ty_buffer_append_char(&out, '\0');
    cr_assert_not_null(strstr(out.data, ",\"status\":\"void\",\"voided\":"), "%s", out.data);
}

/* How a client knows that it has everything, or that something is gone. */
Test(feed_json, a_page_says_how_to_go_on)
{
    static const struct {
        struct ty_feed_page page;
        const char *text;
    } cases[] = {
        {{.end = false}, "{\"events\":[],\"next\":\"0.1.2\",\"end\":false}"},
        {{.end = true}, "{\"events\":[],\"next\":\"0.1.2\",\"end\":true}"},
        {{.end = true, .trimmed = true},
         "{\"events\":[],\"next\":\"0.1.2\",\"end\":true,\"trimmed\":true}"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        out.length = 0;
        ty_feed_json_begin(&out);
        ty_feed_json_end(&out, "0.1.2", &cases[i].page);
        ty_buffer_append_char(&out, '\0');
        cr_assert_str_eq(out.data, cases[i].text);
    }
}
