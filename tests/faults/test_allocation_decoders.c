/*
 * Every allocation of every decoder fails in its turn: the batch has then failed, so that nothing
 * of it is stored, or it is as good as ever. What breaks for a user otherwise: a part of a body is
 * counted, and the rest is not sent again.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "ingest/cloudevents.h"
#include "ingest/forward.h"
#include "ingest/json_events.h"
#include "ingest/msgpack_events.h"
#include "ingest/void_request.h"
#include "tests/faults/allocations.h"

#define RECORDS  3000
#define CUSTOMER "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6071"
#define WORKFLOW "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6072"

typedef enum ty_decode_status decoder(const char *data, size_t length, struct ty_batch *batch,
                                      struct ty_decode_error *error);

/* Decodes with every allocation failing, alone and with those that follow. */
static void decode_with_failures(const char *name, decoder *decode, const struct ty_buffer *body,
                                 size_t records)
{
    int64_t before = ty_allocations_live();

    cr_assert(ty_buffer_ok(body));
    for (int stays = 0; stays < 2; stays++)
        for (uint64_t n = 1, hit = 1; hit; n++) {
            struct ty_batch batch = {0};
            struct ty_decode_error error = {0};
            enum ty_decode_status status;

            ty_allocations_fail(n, stays != 0);
            status = decode(body->data, body->length, &batch, &error);
            hit = ty_allocations_stop();
            if (status == TY_DECODE_OK) {
                cr_assert(!batch.failed, "%s, allocation %llu", name, (unsigned long long)n);
                cr_assert_eq(batch.record_count, records, "%s, allocation %llu: %zu records", name,
                             (unsigned long long)n, batch.record_count);
                cr_assert_eq(batch.event_count, records, "%s, allocation %llu: %zu events", name,
                             (unsigned long long)n, batch.event_count);
            } else {
                cr_assert_eq(status, TY_DECODE_NO_MEMORY, "%s, allocation %llu: %s", name,
                             (unsigned long long)n, error.message);
                cr_assert(hit && batch.failed, "%s, allocation %llu", name, (unsigned long long)n);
            }
            cr_assert_lt(n, 1000);
            ty_batch_fini(&batch);
            cr_assert_eq(ty_allocations_live(), before, "%s, allocation %llu: memory is lost", name,
                         (unsigned long long)n);
        }
}

/* --- JSON --- */

static void append_record(struct ty_buffer *out, unsigned number)
{
    ty_buffer_append_format(out,
                            "{\"id\":\"a\\u00e9 \\\"%u\",\"customer_id\":\"" CUSTOMER
                            "\",\"workflow_id\":\"" WORKFLOW "\",\"user_id\":\"\\tx\","
                            "\"credits\":\"1.5\",\"time\":\"2023-02-01T00:00:00Z\"}",
                            number);
}

/* An array of events whose texts have escapes, and so need memory. */
Test(allocation_decoders, json_without_memory_is_taken_wholly_or_not_at_all)
{
    struct ty_buffer body = {0};

    for (unsigned i = 0; i < RECORDS; i++) {
        ty_buffer_append_char(&body, i == 0 ? '[' : ',');
        append_record(&body, i);
    }
    ty_buffer_append_char(&body, ']');
    decode_with_failures("json", ty_json_events_decode, &body, RECORDS);
    ty_buffer_fini(&body);
}

/* A line that needs memory must not be dropped while the others are counted. */
Test(allocation_decoders, lines_without_memory_are_taken_wholly_or_not_at_all)
{
    struct ty_buffer body = {0};

    for (unsigned i = 0; i < RECORDS; i++) {
        append_record(&body, i);
        ty_buffer_append_char(&body, '\n');
    }
    decode_with_failures("ndjson", ty_ndjson_events_decode, &body, RECORDS);
    ty_buffer_fini(&body);
}

/* --- CloudEvents --- */

static void append_cloud_event(struct ty_buffer *out, unsigned number)
{
    ty_buffer_append_format(out,
                            "{\"specversion\":\"1.0\",\"id\":\"\\u00e9%u\",\"source\":\"\\\"s\","
                            "\"type\":\"t\",\"subject\":\"" CUSTOMER "\",",
                            number);
    if (number % 2 == 0)
        ty_buffer_append_text(out, "\"data\":{\"workflow_id\":\"" WORKFLOW "\"}}");
    else /* {"workflow_id":"0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6072"} */
        ty_buffer_append_text(out,
                              "\"data_base64\":\"eyJ3b3JrZmxvd19pZCI6IjAxOTBhNWIyLTdjM2QtN2U0Zi"
                              "04YTFiLTJjM2Q0ZTVmNjA3MiJ9\"}");
}

/* The same for CloudEvents, with data as JSON and as base64. */
Test(allocation_decoders, cloud_events_without_memory_are_taken_wholly_or_not_at_all)
{
    struct ty_buffer body = {0};

    append_cloud_event(&body, 1);
    decode_with_failures("cloudevents", ty_cloudevents_decode, &body, 1);
    decode_with_failures("any cloudevents", ty_cloudevents_any_decode, &body, 1);
    body.length = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        ty_buffer_append_char(&body, i == 0 ? '[' : ',');
        append_cloud_event(&body, i);
    }
    ty_buffer_append_char(&body, ']');
    decode_with_failures("cloudevents-batch", ty_cloudevents_batch_decode, &body, RECORDS);
    ty_buffer_fini(&body);
}

static enum ty_decode_status decode_binary(const char *data, size_t length, struct ty_batch *batch,
                                           struct ty_decode_error *error)
{
    static const struct ty_cloudevents_header headers[] = {
        {{"specversion", 11}, {"1.0", 3}},
        {{"id", 2}, {"\"a%C3%A9\"", 9}},
        {{"source", 6}, {"%41%42", 6}},
        {{"type", 4}, {"t", 1}},
        {{"subject", 7}, {CUSTOMER, sizeof(CUSTOMER) - 1}},
    };

    return ty_cloudevents_binary_decode(headers, TY_COUNT_OF(headers), data, length, batch, error);
}

/* Values of headers are unquoted and decoded into memory. */
Test(allocation_decoders, a_cloud_event_in_headers_is_taken_or_not_at_all)
{
    struct ty_buffer body = {0};

    ty_buffer_append_text(&body, "{\"workflow_id\":\"" WORKFLOW "\"}");
    decode_with_failures("binary cloudevents", decode_binary, &body, 1);
    ty_buffer_fini(&body);
}

/* --- msgpack --- */

static void append_be32(struct ty_buffer *out, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                        (uint8_t)value};

    ty_buffer_append(out, bytes, sizeof(bytes));
}

/* [id, customer, workflow, "1.5", 1, 0, 0] */
static void append_packed_record(struct ty_buffer *out, unsigned number)
{
    ty_buffer_append_char(out, (char)0x97);
    ty_buffer_append_format(out, "%c%09u", 0xa0 | 9, number);
    ty_buffer_append_format(out, "%c%c" CUSTOMER, 0xd9, 36);
    ty_buffer_append_format(out, "%c%c" WORKFLOW, 0xd9, 36);
    ty_buffer_append_text(out, "\xa3"
                               "1.5\x01");
    ty_buffer_append(out, "\0\0", 2);
}

/* Records by position, which a service sends that has many. */
Test(allocation_decoders, msgpack_without_memory_is_taken_wholly_or_not_at_all)
{
    struct ty_buffer body = {0};

    ty_buffer_append_char(&body, (char)0xdd);
    append_be32(&body, RECORDS);
    for (unsigned i = 0; i < RECORDS; i++)
        append_packed_record(&body, i);
    decode_with_failures("msgpack", ty_msgpack_events_decode, &body, RECORDS);
    ty_buffer_fini(&body);
}

static enum ty_decode_status decode_forward(const char *data, size_t length, struct ty_batch *batch,
                                            struct ty_decode_error *error)
{
    struct ty_forward_message message;

    return ty_forward_decode(data, length, 1 << 20, batch, &message, error);
}

static void append_entries(struct ty_buffer *out)
{
    for (unsigned i = 0; i < RECORDS; i++) {
        ty_buffer_append(out, "\x92\xce", 2);
        append_be32(out, 1672876800);
        append_packed_record(out, i);
    }
}

/* ["t", packed, {"compressed": "gzip"}] or without the option. */
static void append_message(struct ty_buffer *out, const void *packed, size_t length, bool is_gzip)
{
    ty_buffer_append_char(out, is_gzip ? (char)0x93 : (char)0x92);
    ty_buffer_append_text(out, "\xa1t\xc6");
    append_be32(out, (uint32_t)length);
    ty_buffer_append(out, packed, length);
    if (is_gzip)
        ty_buffer_append_text(out, "\x81\xaa"
                                   "compressed\xa4gzip");
}

/* A message of Fluentd, and one that must be inflated first. */
Test(allocation_decoders, a_forward_message_without_memory_is_taken_wholly_or_not_at_all)
{
    static uint8_t gzip[1 << 20];
    struct ty_buffer entries = {0}, message = {0};
    z_stream stream = {.next_out = gzip, .avail_out = sizeof(gzip)};

    append_entries(&entries);
    append_message(&message, entries.data, entries.length, false);
    decode_with_failures("forward", decode_forward, &message, RECORDS);
    cr_assert_eq(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)entries.data;
    stream.avail_in = (uInt)entries.length;
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    message.length = 0;
    append_message(&message, gzip, stream.total_out, true);
    deflateEnd(&stream);
    decode_with_failures("compressed forward", decode_forward, &message, RECORDS);
    ty_buffer_fini(&entries);
    ty_buffer_fini(&message);
}

/* --- Voids --- */

/* A list of ids that was read halfway would void some of them, and say that it was all. */
Test(allocation_decoders, a_void_without_memory_is_taken_wholly_or_not_at_all)
{
    struct ty_buffer body = {0};
    int64_t before;

    ty_buffer_append_text(&body, "{\"customer_id\":\"" CUSTOMER "\",\"ids\":[");
    for (unsigned i = 0; i < RECORDS; i++)
        ty_buffer_append_format(&body, "%s\"a\\u00e9 %u\"", i == 0 ? "" : ",", i);
    ty_buffer_append_text(&body, "],\"reason\":\"\\t\"}");
    cr_assert(ty_buffer_ok(&body));
    before = ty_allocations_live();
    for (uint64_t n = 1, hit = 1; hit; n++) {
        struct ty_arena arena = {0};
        struct ty_void_request request;
        struct ty_void_problem problem;
        enum ty_void_parse result;

        ty_allocations_fail(n, false);
        result = ty_void_request_parse(body.data, body.length, &arena, &request, &problem);
        hit = ty_allocations_stop();
        cr_assert_eq(result, hit ? TY_VOID_NO_MEMORY : TY_VOID_PARSED, "allocation %llu: %s",
                     (unsigned long long)n, problem.message);
        cr_assert(hit || request.count == RECORDS, "%zu ids", request.count);
        cr_assert_lt(n, 1000);
        ty_arena_fini(&arena);
        cr_assert_eq(ty_allocations_live(), before, "allocation %llu: memory is lost",
                     (unsigned long long)n);
    }
    ty_buffer_fini(&body);
}
