#include "server/tool/load_message.h"

#include "engine/timestamp.h"
#include "engine/uuid.h"

#include <stdlib.h>
#include <string.h>

#define TIME_TEXT_BYTES 24 /* "2023-03-05T10:15:00.123Z" */

/* What an event of the load says. */
struct sample {
    struct ty_uuid customer, workflow;
    uint32_t credits, documents, pages, processing_ms;
};

static void put_big_endian(uint8_t *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

/* Event `index` of a message. Neighbours differ in series, as they do when many customers work. */
static struct sample make_sample(const struct ty_load_plan *plan, size_t index)
{
    uint64_t series = (plan->stream * 7919 + index) % (plan->customers * plan->workflows);
    struct sample sample = {.customer = {{0xc0, [6] = 0x40, [8] = 0x80}},
                            .workflow = {{0xf0, [6] = 0x40, [8] = 0x80}},
                            .credits = 1 + (uint32_t)(index % 9),
                            .documents = 1,
                            .pages = 1 + (uint32_t)(index % 12),
                            .processing_ms = 300 + (uint32_t)(index * 37 % 2000)};

    put_big_endian(sample.customer.bytes + 9, series / plan->workflows, 7);
    put_big_endian(sample.workflow.bytes + 9, series % plan->workflows, 7);
    return sample;
}

/* --- JSON --- */

static void put_json(struct ty_load_message *message, size_t index, const struct sample *sample)
{
    struct ty_buffer *out = &message->bytes;
    char customer[TY_UUID_TEXT_LENGTH], workflow[TY_UUID_TEXT_LENGTH];

    ty_uuid_format(&sample->customer, customer);
    ty_uuid_format(&sample->workflow, workflow);
    ty_buffer_append_text(out, "{\"id\":\"");
    message->ids[index] = out->length;
    ty_buffer_append_format(
        out, "%*s\",\"customer_id\":\"%.*s\",\"workflow_id\":\"%.*s\",\"time\":\"",
        TY_UUID_TEXT_LENGTH, "", TY_UUID_TEXT_LENGTH, customer, TY_UUID_TEXT_LENGTH, workflow);
    message->times[index] = out->length;
    ty_buffer_append_format(
        out, "%*s\",\"credits\":%u,\"documents\":%u,\"pages\":%u,\"processing_ms\":%u}",
        TIME_TEXT_BYTES, "", sample->credits, sample->documents, sample->pages,
        sample->processing_ms);
}

static void put_json_events(struct ty_load_message *message)
{
    bool lines = message->plan.format == TY_LOAD_NDJSON;

    for (size_t i = 0; i < message->plan.batch; i++) {
        struct sample sample = make_sample(&message->plan, i);

        ty_buffer_append_text(&message->bytes, lines ? "" : i == 0 ? "[" : ",");
        put_json(message, i, &sample);
        ty_buffer_append_text(&message->bytes, lines ? "\n" : "");
    }
    ty_buffer_append_text(&message->bytes, lines ? "" : "]");
}

/* --- msgpack (github.com/msgpack/msgpack, spec.md) --- */

static void put_head(struct ty_buffer *out, uint8_t type, uint64_t value, unsigned bytes)
{
    uint8_t head[9] = {type};

    put_big_endian(head + 1, value, bytes);
    ty_buffer_append(out, head, 1 + bytes);
}

static void put_array_head(struct ty_buffer *out, size_t count)
{
    put_head(out, 0xdd, count, 4);
}

static void put_text(struct ty_buffer *out, const char *text)
{
    ty_buffer_append_char(out, (char)(0xa0 | strlen(text))); /* fixstr: at most 31 bytes */
    ty_buffer_append_text(out, text);
}

static void put_uint(struct ty_buffer *out, uint32_t value)
{
    if (value < 128)
        ty_buffer_append_char(out, (char)value);
    else
        put_head(out, 0xcd, value, 2);
}

static void put_uuid_bytes(struct ty_buffer *out, const struct ty_uuid *uuid)
{
    put_head(out, 0xc4, sizeof(uuid->bytes), 1);
    ty_buffer_append(out, uuid->bytes, sizeof(uuid->bytes));
}

static void put_uuid_text(struct ty_buffer *out, const struct ty_uuid *uuid)
{
    char text[TY_UUID_TEXT_LENGTH];

    ty_uuid_format(uuid, text);
    put_head(out, 0xd9, sizeof(text), 1);
    ty_buffer_append(out, text, sizeof(text));
}

static void put_array(struct ty_load_message *message, size_t index, const struct sample *sample)
{
    static const struct ty_uuid none;
    struct ty_buffer *out = &message->bytes;

    ty_buffer_append_char(out, (char)0x97);
    message->ids[index] = out->length + 2;
    put_uuid_bytes(out, &none);
    put_uuid_bytes(out, &sample->customer);
    put_uuid_bytes(out, &sample->workflow);
    put_uint(out, sample->credits);
    put_uint(out, sample->documents);
    put_uint(out, sample->pages);
    put_uint(out, sample->processing_ms);
}

static void put_map(struct ty_load_message *message, size_t index, const struct sample *sample)
{
    static const struct ty_uuid none;
    struct ty_buffer *out = &message->bytes;
    bool with_time = message->plan.format == TY_LOAD_MSGPACK;

    ty_buffer_append_char(out, (char)(with_time ? 0x88 : 0x87));
    put_text(out, "id");
    message->ids[index] = out->length + 2;
    put_uuid_text(out, &none);
    put_text(out, "customer_id");
    put_uuid_text(out, &sample->customer);
    put_text(out, "workflow_id");
    put_uuid_text(out, &sample->workflow);
    if (with_time) {
        put_text(out, "time");
        message->times[index] = out->length + 1;
        put_head(out, 0xcf, 0, 8);
    }
    put_text(out, "credits");
    put_uint(out, sample->credits);
    put_text(out, "documents");
    put_uint(out, sample->documents);
    put_text(out, "pages");
    put_uint(out, sample->pages);
    put_text(out, "processing_ms");
    put_uint(out, sample->processing_ms);
}

static void put_msgpack_events(struct ty_load_message *message)
{
    put_array_head(&message->bytes, message->plan.batch);
    for (size_t i = 0; i < message->plan.batch; i++) {
        struct sample sample = make_sample(&message->plan, i);

        put_map(message, i, &sample);
    }
}

/* [tag, [[EventTime, record], ...], {"chunk": ...}] */
static void put_forward(struct ty_load_message *message)
{
    struct ty_buffer *out = &message->bytes;

    ty_buffer_append_char(out, (char)0x93);
    put_text(out, "tally.bench");
    put_array_head(out, message->plan.batch);
    for (size_t i = 0; i < message->plan.batch; i++) {
        struct sample sample = make_sample(&message->plan, i);

        ty_buffer_append_char(out, (char)0x92);
        message->times[i] = out->length + 2;
        put_head(out, 0xd7, 0, 1); /* EventTime: extension 0 of 8 bytes */
        ty_buffer_append(out, "\0\0\0\0\0\0\0\0", 8);
        if (message->plan.format == TY_LOAD_FORWARD_ARRAYS)
            put_array(message, i, &sample);
        else
            put_map(message, i, &sample);
    }
    ty_buffer_append_char(out, (char)0x81);
    put_text(out, "chunk");
    ty_buffer_append_char(out, (char)0xb0);
    message->chunk = out->length;
    ty_buffer_append_text(out, "0123456789abcdef");
}

/* --- The whole --- */

static const char *content_type(enum ty_load_format format)
{
    switch (format) {
    case TY_LOAD_JSON:
        return "application/json";
    case TY_LOAD_NDJSON:
        return "application/x-ndjson";
    default:
        return "application/msgpack";
    }
}

static void put_body(struct ty_load_message *message)
{
    if (message->plan.format >= TY_LOAD_FORWARD_ARRAYS)
        put_forward(message);
    else if (message->plan.format == TY_LOAD_MSGPACK)
        put_msgpack_events(message);
    else
        put_json_events(message);
}

/* The head needs the body's length, which is known once a body has been made. */
static void put_http(struct ty_load_message *message)
{
    size_t length;

    put_body(message);
    length = message->bytes.length;
    message->bytes.length = 0;
    ty_buffer_append_format(&message->bytes,
                            "POST /v1/events HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\n"
                            "Content-Length: %zu\r\n\r\n",
                            message->plan.host, content_type(message->plan.format), length);
    put_body(message);
}

bool ty_load_message_make(struct ty_load_message *message, const struct ty_load_plan *plan)
{
    message->plan = *plan;
    message->ids = calloc(plan->batch, sizeof(*message->ids));
    message->times = calloc(plan->batch, sizeof(*message->times));
    if (message->ids == NULL || message->times == NULL)
        return false;
    if (plan->format >= TY_LOAD_FORWARD_ARRAYS)
        put_forward(message);
    else
        put_http(message);
    return ty_buffer_ok(&message->bytes);
}

/* --- Stamping --- */

void ty_load_message_chunk(uint64_t number, char chunk[16])
{
    for (unsigned i = 0; i < 16; i++)
        chunk[i] = "0123456789abcdef"[number >> 4 * (15 - i) & 15];
}

static void stamp_id(const struct ty_load_message *message, size_t index, uint64_t event)
{
    uint8_t *to = (uint8_t *)message->bytes.data + message->ids[index];
    struct ty_uuid id;

    put_big_endian(id.bytes, message->plan.run, 8);
    put_big_endian(id.bytes + 8, event, 8);
    if (message->plan.format == TY_LOAD_FORWARD_ARRAYS)
        memcpy(to, id.bytes, sizeof(id.bytes));
    else
        ty_uuid_format(&id, (char *)to);
}

static void stamp_times(struct ty_load_message *message, int64_t now_ms)
{
    char *data = message->bytes.data;
    char text[TY_TIMESTAMP_TEXT_BYTES];
    uint8_t binary[8];
    size_t length = TIME_TEXT_BYTES;
    const void *from = text;

    if (message->plan.format == TY_LOAD_JSON || message->plan.format == TY_LOAD_NDJSON) {
        ty_timestamp_format(now_ms, text);
    } else {
        length = sizeof(binary);
        from = binary;
        if (message->plan.format == TY_LOAD_MSGPACK)
            put_big_endian(binary, (uint64_t)now_ms, 8);
        else
            put_big_endian(
                binary, (uint64_t)(now_ms / 1000) << 32 | (uint64_t)(now_ms % 1000 * 1000000), 8);
    }
    for (size_t i = 0; i < message->plan.batch; i++)
        memcpy(data + message->times[i], from, length);
}

void ty_load_message_stamp(struct ty_load_message *message, uint64_t number, int64_t now_ms)
{
    for (size_t i = 0; i < message->plan.batch; i++)
        stamp_id(message, i, number * message->plan.batch + i);
    stamp_times(message, now_ms);
    if (message->chunk != 0)
        ty_load_message_chunk(number, message->bytes.data + message->chunk);
}

void ty_load_message_fini(struct ty_load_message *message)
{
    ty_buffer_fini(&message->bytes);
    free(message->ids);
    free(message->times);
    *message = (struct ty_load_message){0};
}
