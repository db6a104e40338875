#include "server/tool/load_message.h"

#include "ingest/forward.h"
#include "ingest/json_events.h"
#include "ingest/msgpack_events.h"

#include <criterion/criterion.h>
#include <string.h>

#define BATCH  ((size_t)37)
#define NOW_MS INT64_C(1700000000123)

static struct ty_load_message make(enum ty_load_format format)
{
    struct ty_load_plan plan = {.format = format,
                                .batch = BATCH,
                                .customers = 5,
                                .workflows = 3,
                                .run = 0x0123456789abcdef,
                                .host = "localhost",
                                .stream = 2};
    struct ty_load_message message = {0};

    cr_assert(ty_load_message_make(&message, &plan), "no memory");
    return message;
}

/* What a server would make of the message. */
static void decode(const struct ty_load_message *message, struct ty_batch *batch)
{
    struct ty_text whole = {.data = message->bytes.data, .length = message->bytes.length};
    struct ty_forward_message forward;
    struct ty_decode_error error = {0};
    const char *body = memmem(whole.data, whole.length, "\r\n\r\n", 4);
    size_t length = body == NULL ? 0 : whole.length - (size_t)(body + 4 - whole.data);
    enum ty_decode_status status;

    if (message->plan.format >= TY_LOAD_FORWARD_ARRAYS)
        status = ty_forward_decode(whole.data, whole.length, 0, batch, &forward, &error);
    else if (message->plan.format == TY_LOAD_MSGPACK)
        status = ty_msgpack_events_decode(body + 4, length, batch, &error);
    else if (message->plan.format == TY_LOAD_NDJSON)
        status = ty_ndjson_events_decode(body + 4, length, batch, &error);
    else
        status = ty_json_events_decode(body + 4, length, batch, &error);
    cr_assert_eq(status, TY_DECODE_OK, "format %d: %s", message->plan.format,
                 error.message == NULL ? "" : error.message);
}

/* A load of rejected events would measure how fast a server complains. */
Test(load_message, every_format_carries_the_same_good_events)
{
    for (enum ty_load_format format = 0; format <= TY_LOAD_FORWARD_MAPS; format++) {
        struct ty_load_message message = make(format), reference = make(TY_LOAD_JSON);
        struct ty_batch batch = {0}, expected = {0};

        ty_load_message_stamp(&message, 7, NOW_MS);
        ty_load_message_stamp(&reference, 7, NOW_MS);
        decode(&message, &batch);
        decode(&reference, &expected);
        cr_assert_eq(batch.event_count, BATCH, "format %d: %zu events", format, batch.event_count);
        for (size_t i = 0; i < BATCH; i++) {
            const struct ty_event *a = &batch.events[i], *b = &expected.events[i];

            cr_assert(a->id.length == b->id.length &&
                          memcmp(a->id.data, b->id.data, a->id.length) == 0,
                      "format %d, event %zu: id", format, i);
            cr_assert_eq(ty_uuid_compare(&a->customer, &b->customer), 0, "format %d", format);
            cr_assert_eq(ty_uuid_compare(&a->workflow, &b->workflow), 0, "format %d", format);
            cr_assert_eq(a->time_ms, NOW_MS, "format %d: %lld", format, (long long)a->time_ms);
            cr_assert_eq(a->credits, b->credits, "format %d", format);
            cr_assert_eq(a->documents, b->documents, "format %d", format);
            cr_assert_eq(a->pages, b->pages, "format %d", format);
            cr_assert_eq(a->processing_ms, b->processing_ms, "format %d", format);
        }
        ty_batch_fini(&batch);
        ty_batch_fini(&expected);
        ty_load_message_fini(&message);
        ty_load_message_fini(&reference);
    }
}

/* Equal ids would be duplicates, which cost a server nothing. */
Test(load_message, no_two_messages_share_an_id)
{
    struct ty_load_message message = make(TY_LOAD_JSON);
    struct ty_batch first = {0}, second = {0};
    char *copy;

    ty_load_message_stamp(&message, 1, NOW_MS);
    copy = malloc(message.bytes.length);
    memcpy(copy, message.bytes.data, message.bytes.length);
    decode(&message, &first);
    for (size_t i = 0; i < BATCH; i++)
        first.events[i].id.data = copy + (first.events[i].id.data - message.bytes.data);
    ty_load_message_stamp(&message, 2, NOW_MS);
    decode(&message, &second);
    for (size_t i = 0; i < BATCH; i++)
        for (size_t j = 0; j < BATCH; j++) {
            cr_assert(memcmp(first.events[i].id.data, second.events[j].id.data, 36) != 0);
            cr_assert(i == j || memcmp(first.events[i].id.data, first.events[j].id.data, 36) != 0);
        }
    ty_batch_fini(&first);
    ty_batch_fini(&second);
    ty_load_message_fini(&message);
    free(copy);
}
