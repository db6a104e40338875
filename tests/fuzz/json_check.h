/*
 * json_check.h: what must hold for a batch after any body, shared by the JSON fuzz targets.
 */
#ifndef TY_TESTS_FUZZ_JSON_CHECK_H
#define TY_TESTS_FUZZ_JSON_CHECK_H

#include "engine/utf8.h"
#include "ingest/decode.h"
#include "ingest/json_scan.h"
#include "ingest/results_json.h"

#include <string.h>

static inline void check_text(struct ty_text text, size_t least, size_t most)
{
    TY_ASSERT(text.length >= least && text.length <= most);
    TY_ASSERT(text.length == 0 || ty_utf8_check(text.data, text.length) == text.length);
}

static inline void check_events(const struct ty_batch *batch)
{
    for (size_t i = 0; i < batch->event_count; i++) {
        const struct ty_event *event = &batch->events[i];

        check_text(event->id, 1, TALLY_ID_BYTES_MAX);
        check_text(event->user, 0, TALLY_USER_BYTES_MAX);
        TY_ASSERT(event->credits >= -TALLY_CREDITS_MICRO_MAX);
        TY_ASSERT(event->credits <= TALLY_CREDITS_MICRO_MAX);
        TY_ASSERT(event->processing_ms <= TALLY_PROCESSING_MS_MAX);
        TY_ASSERT(event->record < batch->record_count);
        TY_ASSERT(i == 0 || event->record > event[-1].record);
        TY_ASSERT(batch->outcomes[event->record].result == TALLY_NOT_STORED);
    }
}

/* Every record is an event or has a code and a readable message; undecided ones become accepted. */
static inline void check_outcomes(struct ty_batch *batch)
{
    size_t events = 0;

    for (size_t i = 0; i < batch->record_count; i++) {
        struct ty_outcome *outcome = &batch->outcomes[i];

        if (outcome->result == TALLY_NOT_STORED) {
            outcome->result = TALLY_ACCEPTED;
            events++;
            continue;
        }
        TY_ASSERT(outcome->result >= TALLY_MISSING_FIELD && outcome->result <= TALLY_OUT_OF_RANGE);
        TY_ASSERT(outcome->message != NULL);
        check_text((struct ty_text){outcome->message, strlen(outcome->message)}, 1, 600);
        check_text(outcome->id, 0, TALLY_ID_BYTES_MAX);
    }
    TY_ASSERT(events == batch->event_count);
}

/* The answer about any body must itself be JSON. */
static inline void check_answer(const struct ty_batch *batch)
{
    static const tally_options options = TALLY_OPTIONS_INIT;
    struct ty_buffer buffer = {0};
    struct ty_json json;

    ty_results_json_write(&buffer, batch, true, &options);
    TY_ASSERT(ty_buffer_ok(&buffer));
    ty_json_init(&json, buffer.data, buffer.length);
    TY_ASSERT(ty_json_skip(&json) && ty_json_end(&json));
    ty_buffer_fini(&buffer);
}

static inline void check_decoded(struct ty_batch *batch, enum ty_decode_status status,
                                 const struct ty_decode_error *error, size_t size)
{
    TY_ASSERT(status == TY_DECODE_OK || status == TY_DECODE_REFUSED);
    TY_ASSERT(batch->record_count <= TY_DECODE_RECORDS_MAX);
    if (status == TY_DECODE_REFUSED) {
        TY_ASSERT(error->message != NULL && error->byte <= size);
        return;
    }
    check_events(batch);
    check_outcomes(batch);
    check_answer(batch);
}

#endif
