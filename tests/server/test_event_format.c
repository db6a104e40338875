#include "server/event_format.h"

#include <criterion/criterion.h>
#include <string.h>

#define WORKFLOW "\"workflow_id\":\"0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6072\""
#define SUBJECT  "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6071"
#define PLAIN    "{\"id\":\"plain\",\"customer_id\":\"" SUBJECT "\"," WORKFLOW "}"
#define CLOUD                                                                                      \
    "{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"s\",\"id\":\"cloud\",\"subject\":"       \
    "\"" SUBJECT "\",\"data\":{" WORKFLOW "}}"

static struct ty_text text(const char *value)
{
    return (struct ty_text){value, strlen(value)};
}

/* The id of the one event that a door makes of a request, "" for a reject, NULL for a 415. */
static const char *decode(enum ty_event_door door, const char *content_type, bool binary,
                          const char *body, char id[32])
{
    struct ty_http_header headers[] = {
        {text("host"), text("x")},         {text("content-type"), text(content_type)},
        {text("ce-type"), text("t")},      {text("ce-id"), text("binary")},
        {text("ce-source"), text("s")},    {text("ce-subject"), text(SUBJECT)},
        {text("ce-"), text("an odd one")}, {text("ce-specversion"), text("1.0")},
    };
    struct ty_http_request request = {.headers = headers,
                                      .header_count = TY_COUNT_OF(headers) - (binary ? 0 : 1),
                                      .body = text(body)};
    const struct ty_event_format *format = ty_event_format_find(&request, door);
    struct ty_decode_error error = {0};
    struct ty_batch batch = {0};

    if (format == NULL)
        return NULL;
    cr_assert_eq(ty_event_format_decode(format, &request, &batch, &error), TY_DECODE_OK, "%s: %s",
                 content_type, error.message);
    cr_assert_eq(batch.record_count, 1);
    id[0] = '\0';
    if (batch.event_count == 1)
        strncat(id, batch.events[0].id.data, batch.events[0].id.length);
    ty_batch_fini(&batch);
    return id;
}

/* A body that goes to the wrong decoder is counted as something that nobody sent. */
Test(event_format, headers_choose_the_decoder)
{
    static const struct {
        enum ty_event_door door;
        const char *content_type;
        bool binary;
        const char *body, *id; /* NULL: 415 */
    } cases[] = {
        {TY_EVENT_DOOR_TALLY, "application/json", false, PLAIN, "plain"},
        {TY_EVENT_DOOR_TALLY, "application/json", false, CLOUD, ""},
        {TY_EVENT_DOOR_TALLY, "application/x-ndjson;x=y", false, PLAIN "\n", "plain"},
        {TY_EVENT_DOOR_TALLY, "Application/CloudEvents+JSON; charset=utf-8", false, CLOUD, "cloud"},
        {TY_EVENT_DOOR_TALLY, "application/cloudevents-batch+json", false, "[" CLOUD "]", "cloud"},
        {TY_EVENT_DOOR_TALLY, "application/cloudevents+json", true, CLOUD, "cloud"},
        {TY_EVENT_DOOR_TALLY, "application/json", true, "{" WORKFLOW "}", "binary"},
        {TY_EVENT_DOOR_TALLY, "text/x+json", true, "{" WORKFLOW "}", "binary"},
        {TY_EVENT_DOOR_TALLY, "text/x+json", false, PLAIN, NULL},
        {TY_EVENT_DOOR_TALLY, "application/x-ndjson", true, PLAIN, NULL},
        {TY_EVENT_DOOR_TALLY, "application/msgpack", true, "\xc0", NULL},
        {TY_EVENT_DOOR_TALLY, "application/msgpack", false, "\x80", ""},
        {TY_EVENT_DOOR_TALLY, "application/x-msgpack", false, "\x80", ""},
        {TY_EVENT_DOOR_TALLY, "application/vnd.msgpack", false, "\x80", ""},
        {TY_EVENT_DOOR_TALLY, "application/cloudevents+xml", true, "{" WORKFLOW "}", NULL},
        {TY_EVENT_DOOR_TALLY, "", true, "{" WORKFLOW "}", NULL},
        {TY_EVENT_DOOR_TALLY, "", false, PLAIN, NULL},
        {TY_EVENT_DOOR_OPENMETER, "application/json", false, CLOUD, "cloud"},
        {TY_EVENT_DOOR_OPENMETER, "application/json", false, "[" CLOUD "]", "cloud"},
        {TY_EVENT_DOOR_OPENMETER, "application/json", false, PLAIN, ""},
        {TY_EVENT_DOOR_OPENMETER, "application/json", true, "{" WORKFLOW "}", "binary"},
        {TY_EVENT_DOOR_OPENMETER, "application/cloudevents+json", false, CLOUD, "cloud"},
        {TY_EVENT_DOOR_OPENMETER, "application/cloudevents-batch+json", false, "[" CLOUD "]",
         "cloud"},
        {TY_EVENT_DOOR_OPENMETER, "application/x-ndjson", false, PLAIN, NULL},
        {TY_EVENT_DOOR_OPENMETER, "application/msgpack", false, "\x80", NULL},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char room[32];
        const char *id =
            decode(cases[i].door, cases[i].content_type, cases[i].binary, cases[i].body, room);

        cr_assert_eq(id == NULL, cases[i].id == NULL, "%zu: %s", i, cases[i].content_type);
        if (id != NULL)
            cr_assert_str_eq(id, cases[i].id, "%zu: %s", i, cases[i].content_type);
    }
}

/* Who sent something else must read what each door takes. */
Test(event_format, what_is_allowed_names_every_type)
{
    static const char *const types[] = {"application/json", "application/cloudevents+json",
                                        "application/cloudevents-batch+json"};

    for (size_t i = 0; i < TY_COUNT_OF(types); i++) {
        cr_assert_not_null(strstr(ty_event_format_allowed(TY_EVENT_DOOR_TALLY), types[i]));
        cr_assert_not_null(strstr(ty_event_format_allowed(TY_EVENT_DOOR_OPENMETER), types[i]));
    }
    cr_assert_not_null(
        strstr(ty_event_format_allowed(TY_EVENT_DOOR_TALLY), "application/x-ndjson"));
    cr_assert_not_null(strstr(ty_event_format_allowed(TY_EVENT_DOOR_TALLY), "application/msgpack"));
}
