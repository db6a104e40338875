/*
 * fuzz_cloudevents.c: any bytes as CloudEvents, in every mode. The first byte chooses it: s, b and
 * a for one event, a batch and either, anything else for binary mode, whose headers stand before
 * the body, a line "NAME:VALUE" each, and end with an empty line.
 */
#include "ingest/cloudevents.h"
#include "tests/fuzz/json_check.h"

#define HEADERS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes the headers off the input: how many there are. */
static size_t take_headers(const char **at, const char *end,
                           struct ty_cloudevents_header headers[HEADERS_MAX])
{
    size_t count = 0;

    while (count < HEADERS_MAX) {
        const char *line = *at;
        const char *feed = line == end ? NULL : memchr(line, '\n', (size_t)(end - line));
        const char *colon = feed == NULL ? NULL : memchr(line, ':', (size_t)(feed - line));

        if (feed == NULL)
            return count;
        *at = feed + 1;
        if (colon == NULL)
            return count;
        headers[count].name = (struct ty_text){line, (size_t)(colon - line)};
        headers[count++].value = (struct ty_text){colon + 1, (size_t)(feed - colon - 1)};
    }
    return count;
}

static enum ty_decode_status decode(char mode, const char *at, size_t size, struct ty_batch *batch,
                                    struct ty_decode_error *error)
{
    struct ty_cloudevents_header headers[HEADERS_MAX];
    const char *end = at + size;
    size_t count;

    switch (mode) {
    case 's':
        return ty_cloudevents_decode(at, size, batch, error);
    case 'b':
        return ty_cloudevents_batch_decode(at, size, batch, error);
    case 'a':
        return ty_cloudevents_any_decode(at, size, batch, error);
    default:
        count = take_headers(&at, end, headers);
        return ty_cloudevents_binary_decode(headers, count, at, (size_t)(end - at), batch, error);
    }
}

static void check_event(const struct ty_event *event, const struct ty_batch *batch)
{
    check_text(event->source, 1, TALLY_SOURCE_BYTES_MAX);
    TY_ASSERT(memchr(event->source.data, '\0', event->source.length) == NULL);
    TY_ASSERT(memchr(event->id.data, '\0', event->id.length) == NULL);
    TY_ASSERT(event->record < batch->record_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ty_decode_error error = {0};
    struct ty_batch batch = {0};
    enum ty_decode_status status;

    if (size == 0)
        return 0;
    status = decode((char)data[0], (const char *)data + 1, size - 1, &batch, &error);
    check_decoded(&batch, status, &error, size);
    for (size_t i = 0; status == TY_DECODE_OK && i < batch.event_count; i++)
        check_event(&batch.events[i], &batch);
    ty_batch_fini(&batch);
    return 0;
}
