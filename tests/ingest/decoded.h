/*
 * decoded.h: a body of JSON and what the event decoders made of it, for their tests.
 */
#ifndef TY_TESTS_INGEST_DECODED_H
#define TY_TESTS_INGEST_DECODED_H

#include "ingest/json_events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUSTOMER "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6071"
#define WORKFLOW "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6072"
#define IDS      "\"customer_id\":\"" CUSTOMER "\",\"workflow_id\":\"" WORKFLOW "\""
#define GOOD(id) "{\"id\":\"" id "\"," IDS "}"

#define GOOD_BYTES (sizeof(GOOD("a")) - 1)

/* A body and what became of it. */
struct decoded {
    char *body; /* of exactly its length, so that AddressSanitizer sees a read past the end */
    struct ty_batch batch;
    enum ty_decode_status status;
    struct ty_decode_error error;
};

typedef enum ty_decode_status decoder(const char *data, size_t length, struct ty_batch *batch,
                                      struct ty_decode_error *error);

static inline struct decoded decode_bytes(decoder *decode, const char *body, size_t length)
{
    struct decoded decoded = {.body = malloc(length == 0 ? 1 : length)};

    memcpy(decoded.body, body, length);
    decoded.status = decode(decoded.body, length, &decoded.batch, &decoded.error);
    return decoded;
}

static inline struct decoded decode_json(const char *body)
{
    return decode_bytes(ty_json_events_decode, body, strlen(body));
}

static inline struct decoded decode_lines(const char *body)
{
    return decode_bytes(ty_ndjson_events_decode, body, strlen(body));
}

static inline void finish(struct decoded *decoded)
{
    ty_batch_fini(&decoded->batch);
    free(decoded->body);
}

static inline bool text_is(struct ty_text text, const char *want)
{
    return text.length == strlen(want) && memcmp(text.data, want, text.length) == 0;
}

/* Describes the outcomes in one line, "." for an event: ". . invalid_field(e3)". */
static inline void describe(const struct ty_batch *batch, char *out, size_t bytes)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < batch->record_count; i++) {
        const struct ty_outcome *outcome = &batch->outcomes[i];

        if (outcome->result == TALLY_NOT_STORED)
            used += (size_t)snprintf(out + used, bytes - used, "%s.", i == 0 ? "" : " ");
        else
            used += (size_t)snprintf(out + used, bytes - used, "%s%s(%.*s)", i == 0 ? "" : " ",
                                     tally_result_name(outcome->result), (int)outcome->id.length,
                                     outcome->id.length == 0 ? "" : outcome->id.data);
    }
}

#endif
