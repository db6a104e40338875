/*
 * decode_json.c: how many events a second one thread reads from JSON bodies, before anything is
 * decided about them: what a server's connection threads do with POST /v1/events.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "ingest/json_events.h"

#define EVENT_BYTES_MAX ((size_t)512)

typedef enum ty_decode_status decoder(const char *data, size_t length, struct ty_batch *batch,
                                      struct ty_decode_error *error);

struct body {
    const char *name;
    decoder *decode;
    char *data;
    size_t length;
};

/* Appends event n as a client's library writes it, about 250 bytes; varied in every value. */
static void append_event(struct body *body, const struct bench_options *options, uint64_t n)
{
    uint64_t key = bench_mix(n + 1), other = bench_mix(key);
    uint64_t series = key % options->series;
    int length =
        snprintf(body->data + body->length, EVENT_BYTES_MAX,
                 "{\"id\":\"%016" PRIx64 "%08" PRIx64 "\","
                 "\"customer_id\":\"0190a5b2-7c3d-7e4f-8a1b-%012" PRIx64 "\","
                 "\"workflow_id\":\"0190a5b2-7c3d-7e4f-9a1b-%012" PRIx64 "\","
                 "\"time\":\"2023-01-%02" PRIu64 "T13:%02" PRIu64 ":%02" PRIu64 ".%03" PRIu64 "Z\","
                 "\"credits\":%" PRIu64 ".%02" PRIu64 ",\"documents\":1,\"pages\":%" PRIu64
                 ",\"processing_ms\":%" PRIu64 "}",
                 key, n, series / 4, series % 4, other % 28 + 1, other / 64 % 60, other / 4096 % 60,
                 other / 65536 % 1000, key / 256 % 40, other / 512 % 100, key / 1024 % 30 + 1,
                 other / 1024 % 90000);

    body->length += (size_t)length;
}

/* An array, or lines, of options->batch events. */
static struct body make_body(const char *name, bool lines, const struct bench_options *options)
{
    struct body body = {.name = name,
                        .decode = lines ? ty_ndjson_events_decode : ty_json_events_decode,
                        .data = malloc(options->batch * EVENT_BYTES_MAX + 2)};

    if (body.data == NULL)
        bench_fail("no memory for a body");
    if (!lines)
        body.data[body.length++] = '[';
    for (size_t i = 0; i < options->batch; i++) {
        append_event(&body, options, i);
        body.data[body.length++] = lines ? '\n' : ',';
    }
    if (!lines)
        body.data[body.length - 1] = ']';
    return body;
}

/* Decodes the body again and again, into one batch, as a server does. */
static void run(const struct body *body, const struct bench_options *options)
{
    struct ty_decode_error error;
    struct ty_batch batch = {0};
    struct bench_clock clock;
    uint64_t events = 0, rounds = 0;

    bench_start(&clock);
    for (; events < options->events; rounds++) {
        if (body->decode(body->data, body->length, &batch, &error) != TY_DECODE_OK ||
            batch.event_count != options->batch)
            bench_fail(body->name);
        events += batch.event_count;
        ty_batch_reset(&batch);
    }
    bench_report(&clock, body->name, events, "events");
    printf("%s: %zu bytes an event, %.0f MB/s\n", body->name, body->length / options->batch,
           (double)(body->length * rounds) / bench_seconds(&clock) / 1e6);
    ty_batch_fini(&batch);
}

int main(int argc, char **argv)
{
    struct bench_options options = bench_parse(argc, argv);

    for (int lines = 0; lines < 2; lines++) {
        struct body body = make_body(lines ? "decode_ndjson" : "decode_json", lines, &options);

        run(&body, &options);
        free(body.data);
    }
    return 0;
}
