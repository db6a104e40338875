/*
 * fuzz_forward.c: any bytes as a stream of Forward messages, decoded into one batch as the server
 * does: every message accounts for its records, and those found again afterwards are the same.
 */
#include "ingest/forward.h"
#include "ingest/msgpack_events.h"
#include "ingest/msgpack_frame.h"
#include "tests/fuzz/json_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INFLATED_MAX ((size_t)1 << 20)

/* A walk over a message's records, beside the batch that they went into. */
struct walk {
    const struct ty_batch *batch;
    const struct ty_forward_message *message;
    size_t count;
    size_t event; /* the next one */
};

/* An event must come out of its record's bytes again; what became a reject has none. */
static void check_event(struct walk *walk, int64_t time_ms, struct ty_text record)
{
    const struct ty_event *want = &walk->batch->events[walk->event++], *event;
    struct ty_batch batch = {0};
    struct ty_msgpack msgpack;

    ty_msgpack_init(&msgpack, record.data, record.length);
    TY_ASSERT(ty_msgpack_events_record(&msgpack, time_ms, &batch));
    TY_ASSERT(msgpack.at == msgpack.end && batch.event_count == 1);
    event = batch.events;
    TY_ASSERT(event->time_ms == want->time_ms && event->credits == want->credits);
    TY_ASSERT(event->documents == want->documents && event->pages == want->pages);
    TY_ASSERT(event->processing_ms == want->processing_ms);
    TY_ASSERT(ty_uuid_compare(&event->customer, &want->customer) == 0);
    TY_ASSERT(ty_uuid_compare(&event->workflow, &want->workflow) == 0);
    TY_ASSERT(event->id.length == want->id.length);
    TY_ASSERT(memcmp(event->id.data, want->id.data, event->id.length) == 0);
    ty_batch_fini(&batch);
}

static bool check_record(void *context, size_t index, int64_t time_ms, struct ty_text record)
{
    struct walk *walk = context;
    size_t place = walk->message->first_record + index;

    TY_ASSERT(index == walk->count++ && place < walk->batch->record_count);
    TY_ASSERT(record.data != NULL);
    if (walk->batch->outcomes[place].result == TALLY_NOT_STORED)
        check_event(walk, time_ms, record);
    return true;
}

static void check_message(const struct ty_batch *batch, size_t records_before, size_t events_before,
                          enum ty_decode_status status, const struct ty_forward_message *message)
{
    struct walk walk = {.batch = batch, .message = message, .event = events_before};
    struct ty_buffer ack = {0};

    TY_ASSERT(status != TY_DECODE_NO_MEMORY);
    TY_ASSERT(message->first_record == records_before);
    TY_ASSERT(message->record_count == batch->record_count - records_before);
    if (status == TY_DECODE_REFUSED) {
        TY_ASSERT(message->record_count == 0 && batch->event_count == events_before);
        return;
    }
    if (message->mode == TY_FORWARD_IGNORED)
        TY_ASSERT(message->record_count == 0 && message->chunk.data == NULL);
    if (message->mode == TY_FORWARD_MESSAGE || message->mode == TY_FORWARD_UNKNOWN)
        TY_ASSERT(message->record_count == 1);
    ty_forward_each_record(message, check_record, &walk);
    TY_ASSERT(walk.count == message->record_count && walk.event == batch->event_count);
    if (message->chunk.data == NULL)
        return;
    ty_forward_append_ack(message, &ack);
    struct ty_msgpack_frame frame = {0};
    TY_ASSERT(ty_msgpack_frame_advance(&frame, ack.data, ack.length) == TY_FRAME_COMPLETE);
    TY_ASSERT(frame.at == ack.length);
    ty_buffer_fini(&ack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ty_batch batch = {0};
    size_t at = 0;

    for (;;) {
        size_t records = batch.record_count, events = batch.event_count;
        struct ty_msgpack_frame frame = {0};
        struct ty_forward_message message;
        struct ty_decode_error error = {0};
        enum ty_decode_status status;

        if (ty_msgpack_frame_advance(&frame, data + at, size - at) != TY_FRAME_COMPLETE)
            break;
        status = ty_forward_decode(data + at, frame.at, INFLATED_MAX, &batch, &message, &error);
        TY_ASSERT(status != TY_DECODE_REFUSED || error.message != NULL);
        check_message(&batch, records, events, status, &message);
        at += frame.at;
    }
    check_events(&batch);
    check_outcomes(&batch);
    ty_batch_fini(&batch);
    return 0;
}
