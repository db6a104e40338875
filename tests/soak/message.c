#include "tests/soak/message.h"

#include "engine/calendar.h"
#include "engine/timestamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_TEXT_BYTES 24 /* "2023-03-05T10:15:00.123Z" */
#define TEXT_ID_BYTES   25
#define LATE_DAYS       28 /* of a month, as every month has them */

static void put_big_endian(uint8_t *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

/* --- Events --- */

/* The mixer of SplitMix64 (see tests/support/random.h). */
static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

void soak_plan_months(struct soak_plan *plan, int64_t now_ms)
{
    int32_t month = ty_month_of_day(ty_day_of_ms(now_ms));

    for (int32_t i = 0; i < SOAK_MONTHS; i++)
        plan->month_ms[i] =
            (int64_t)ty_first_day_of_month(month + i - SOAK_PRESENT_MONTH) * TY_MS_PER_DAY;
}

struct soak_event soak_event_make(const struct soak_plan *plan, uint64_t number, size_t index,
                                  int64_t now_ms)
{
    uint64_t dice = mix(number * plan->batch + index + ((uint64_t)plan->stream << 56));
    unsigned series = (unsigned)((plan->stream * 7919 + index) % (SOAK_CUSTOMERS * SOAK_WORKFLOWS));
    struct soak_event event = {.customer = series / SOAK_WORKFLOWS,
                               .workflow = series % SOAK_WORKFLOWS,
                               .month = SOAK_PRESENT_MONTH,
                               .documents = 1 + (unsigned)(index * 7 % 9),
                               .time_ms = now_ms};

    if (dice % SOAK_LATE_ONE_IN == 0) {
        event.month = (unsigned)(dice >> 16) % SOAK_PRESENT_MONTH;
        event.time_ms = plan->month_ms[event.month] +
                        (int64_t)((dice >> 24) % (uint64_t)(LATE_DAYS * TY_MS_PER_DAY));
    } else if (now_ms >= plan->month_ms[SOAK_PRESENT_MONTH + 1]) {
        event.month = SOAK_PRESENT_MONTH + 1;
    }
    return event;
}

static struct ty_uuid uuid_id(const struct soak_plan *plan, uint64_t number, size_t index)
{
    struct ty_uuid id;

    put_big_endian(id.bytes, UINT64_C(0x50a0000000004000) | plan->stream, 8);
    put_big_endian(id.bytes + 8, number * plan->batch + index, 8);
    return id;
}

static char *put_hex(char *to, uint64_t value, unsigned digits)
{
    for (unsigned i = 0; i < digits; i++)
        to[i] = "0123456789abcdef"[value >> 4 * (digits - 1 - i) & 15];
    return to + digits;
}

size_t soak_event_id(const struct soak_plan *plan, uint64_t number, size_t index,
                     char id[SOAK_ID_BYTES_MAX])
{
    struct ty_uuid uuid;
    char *at = id;

    if (plan->id != SOAK_ID_TEXT) {
        uuid = uuid_id(plan, number, index);
        ty_uuid_format(&uuid, id);
        return TY_UUID_TEXT_LENGTH;
    }
    memcpy(at, "soak.", 5);
    at = put_hex(at + 5, plan->stream, 2);
    *at++ = '.';
    at = put_hex(at, number, 12);
    *at++ = '.';
    put_hex(at, index, 4);
    return TEXT_ID_BYTES;
}

struct ty_uuid soak_customer(unsigned customer)
{
    struct ty_uuid uuid = {{0xc0, [6] = 0x40, [8] = 0x80}};

    put_big_endian(uuid.bytes + 12, customer, 4);
    return uuid;
}

struct ty_uuid soak_workflow(unsigned customer, unsigned workflow)
{
    struct ty_uuid uuid = {{0xf0, [6] = 0x40, [8] = 0x80}};

    put_big_endian(uuid.bytes + 9, customer, 4);
    uuid.bytes[15] = (uint8_t)workflow;
    return uuid;
}

/* What an id takes in a message. */
static size_t id_bytes(enum soak_id kind)
{
    return kind == SOAK_ID_TEXT         ? TEXT_ID_BYTES
           : kind == SOAK_ID_UUID_BYTES ? sizeof(struct ty_uuid)
                                        : TY_UUID_TEXT_LENGTH;
}

/* --- JSON --- */

static void put_json(struct ty_load_message *message, size_t index, enum soak_id kind,
                     const struct soak_event *event)
{
    struct ty_uuid customer = soak_customer(event->customer);
    struct ty_uuid workflow = soak_workflow(event->customer, event->workflow);
    char customer_text[TY_UUID_TEXT_LENGTH], workflow_text[TY_UUID_TEXT_LENGTH];
    unsigned documents = event->documents;

    ty_uuid_format(&customer, customer_text);
    ty_uuid_format(&workflow, workflow_text);
    ty_buffer_append_text(&message->bytes, "{\"id\":\"");
    message->ids[index] = message->bytes.length;
    ty_buffer_append_format(&message->bytes,
                            "%*s\",\"customer_id\":\"%.*s\",\"workflow_id\":\"%.*s\",\"time\":\"",
                            (int)id_bytes(kind), "", TY_UUID_TEXT_LENGTH, customer_text,
                            TY_UUID_TEXT_LENGTH, workflow_text);
    message->times[index] = message->bytes.length;
    ty_buffer_append_format(
        &message->bytes,
        "%*s\",\"credits\":%u.%06u,\"documents\":%u,\"pages\":%u,\"processing_ms\":%u}",
        TIME_TEXT_BYTES, "", documents, documents, documents, 2 * documents, 3 * documents);
}

/* --- msgpack (github.com/msgpack/msgpack, spec.md); no number here is above 127 --- */

static void put_head(struct ty_buffer *out, uint8_t type, uint64_t value, unsigned bytes)
{
    uint8_t head[9] = {type};

    put_big_endian(head + 1, value, bytes);
    ty_buffer_append(out, head, 1 + bytes);
}

static void put_text(struct ty_buffer *out, const char *text)
{
    ty_buffer_append_char(out, (char)(0xa0 | strlen(text))); /* fixstr: at most 31 bytes */
    ty_buffer_append_text(out, text);
}

/* Bytes, or their text. */
static void put_uuid(struct ty_buffer *out, struct ty_uuid uuid, bool binary)
{
    char text[TY_UUID_TEXT_LENGTH];

    put_head(out, binary ? 0xc4 : 0xd9, binary ? sizeof(uuid.bytes) : sizeof(text), 1);
    ty_uuid_format(&uuid, text);
    ty_buffer_append(out, binary ? (const void *)uuid.bytes : text,
                     binary ? sizeof(uuid.bytes) : sizeof(text));
}

static void put_id(struct ty_load_message *message, size_t index, enum soak_id kind)
{
    static const char blank[SOAK_ID_BYTES_MAX];
    size_t length = id_bytes(kind);

    put_head(&message->bytes, kind == SOAK_ID_UUID_BYTES ? 0xc4 : 0xd9, length, 1);
    message->ids[index] = message->bytes.length;
    ty_buffer_append(&message->bytes, blank, length);
}

static void put_numbers(struct ty_buffer *out, unsigned documents, bool named)
{
    char credits[16];

    snprintf(credits, sizeof(credits), "%u.%06u", documents, documents);
    put_text(out, named ? "credits" : credits);
    if (named)
        put_text(out, credits);
    if (named)
        put_text(out, "documents");
    ty_buffer_append_char(out, (char)documents);
    if (named)
        put_text(out, "pages");
    ty_buffer_append_char(out, (char)(2 * documents));
    if (named)
        put_text(out, "processing_ms");
    ty_buffer_append_char(out, (char)(3 * documents));
}

static void put_array(struct ty_load_message *message, size_t index, enum soak_id kind,
                      const struct soak_event *event)
{
    ty_buffer_append_char(&message->bytes, (char)0x97);
    put_id(message, index, kind);
    put_uuid(&message->bytes, soak_customer(event->customer), true);
    put_uuid(&message->bytes, soak_workflow(event->customer, event->workflow), true);
    put_numbers(&message->bytes, event->documents, false);
}

static void put_map(struct ty_load_message *message, size_t index, enum soak_id kind,
                    bool with_time, const struct soak_event *event)
{
    struct ty_buffer *out = &message->bytes;

    ty_buffer_append_char(out, (char)(with_time ? 0x88 : 0x87));
    put_text(out, "id");
    put_id(message, index, kind);
    put_text(out, "customer_id");
    put_uuid(out, soak_customer(event->customer), false);
    put_text(out, "workflow_id");
    put_uuid(out, soak_workflow(event->customer, event->workflow), false);
    if (with_time) {
        put_text(out, "time");
        message->times[index] = out->length + 1;
        put_head(out, 0xcf, 0, 8);
    }
    put_numbers(out, event->documents, true);
}

/* --- The whole --- */

static void put_event(struct ty_load_message *message, const struct soak_plan *plan, size_t index)
{
    struct soak_event event = soak_event_make(plan, 0, index, 0);
    struct ty_buffer *out = &message->bytes;

    if (plan->format == TY_LOAD_JSON) {
        ty_buffer_append_char(out, index == 0 ? '[' : ',');
        put_json(message, index, plan->id, &event);
        return;
    }
    if (plan->format == TY_LOAD_MSGPACK) {
        put_map(message, index, plan->id, true, &event);
        return;
    }
    ty_buffer_append_char(out, (char)0x92);
    message->times[index] = out->length + 2;
    put_head(out, 0xd7, 0, 1); /* EventTime: extension 0 of 8 bytes */
    ty_buffer_append(out, "\0\0\0\0\0\0\0\0", 8);
    if (plan->format == TY_LOAD_FORWARD_ARRAYS)
        put_array(message, index, plan->id, &event);
    else
        put_map(message, index, plan->id, false, &event);
}

static void put_body(struct ty_load_message *message, const struct soak_plan *plan)
{
    struct ty_buffer *out = &message->bytes;
    bool forward = plan->format >= TY_LOAD_FORWARD_ARRAYS;

    if (forward) {
        ty_buffer_append_char(out, (char)0x93);
        put_text(out, "tally.soak");
    }
    if (plan->format != TY_LOAD_JSON)
        put_head(out, 0xdd, plan->batch, 4);
    for (size_t i = 0; i < plan->batch; i++)
        put_event(message, plan, i);
    if (plan->format == TY_LOAD_JSON)
        ty_buffer_append_char(out, ']');
    if (forward) {
        ty_buffer_append_char(out, (char)0x81);
        put_text(out, "chunk");
        ty_buffer_append_char(out, (char)0xb0);
        message->chunk = out->length;
        ty_buffer_append_text(out, "0123456789abcdef");
    }
}

bool soak_message_make(struct ty_load_message *message, const struct soak_plan *plan)
{
    size_t length;

    message->ids = calloc(plan->batch, sizeof(*message->ids));
    message->times = calloc(plan->batch, sizeof(*message->times));
    if (message->ids == NULL || message->times == NULL)
        return false;
    put_body(message, plan);
    if (plan->format >= TY_LOAD_FORWARD_ARRAYS)
        return ty_buffer_ok(&message->bytes);
    /* The head needs the body's length, which is known once a body has been made. */
    length = message->bytes.length;
    message->bytes.length = 0;
    ty_buffer_append_format(
        &message->bytes,
        "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/%s\r\n"
        "Content-Length: %zu\r\n\r\n",
        plan->format == TY_LOAD_JSON ? "json" : "msgpack", length);
    put_body(message, plan);
    return ty_buffer_ok(&message->bytes);
}

/* --- Stamping --- */

/* A time in the form of the stream; returns its length. */
static size_t format_time(enum ty_load_format format, int64_t time_ms, char out[25])
{
    if (format == TY_LOAD_JSON) {
        ty_timestamp_format(time_ms, out);
        return TIME_TEXT_BYTES;
    }
    if (format == TY_LOAD_MSGPACK)
        put_big_endian((uint8_t *)out, (uint64_t)time_ms, 8);
    else /* seconds and nanoseconds, 4 bytes each */
        put_big_endian((uint8_t *)out,
                       (uint64_t)(time_ms / 1000) << 32 | (uint64_t)(time_ms % 1000 * 1000000), 8);
    return 8;
}

void soak_message_stamp(struct ty_load_message *message, const struct soak_plan *plan,
                        uint64_t number, int64_t now_ms)
{
    char now[TY_TIMESTAMP_TEXT_BYTES], other[TY_TIMESTAMP_TEXT_BYTES];
    size_t length = format_time(plan->format, now_ms, now);

    for (size_t i = 0; i < plan->batch; i++) {
        struct soak_event event = soak_event_make(plan, number, i, now_ms);
        char *id = message->bytes.data + message->ids[i];
        bool is_late = event.time_ms != now_ms;

        if (plan->id == SOAK_ID_UUID_BYTES) {
            struct ty_uuid uuid = uuid_id(plan, number, i);

            memcpy(id, uuid.bytes, sizeof(uuid.bytes));
        } else {
            soak_event_id(plan, number, i, id);
        }
        if (is_late)
            format_time(plan->format, event.time_ms, other);
        memcpy(message->bytes.data + message->times[i], is_late ? other : now, length);
    }
    if (message->chunk != 0)
        ty_load_message_chunk(number, message->bytes.data + message->chunk);
}
