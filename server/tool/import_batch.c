#include "server/tool/import_batch.h"

#include "ingest/json_events.h"
#include "ingest/results_json.h"
#include <stdlib.h>
#include <string.h>

/* Of a batch's arena; messages are short and few. */
#define ARENA_KEEP_BYTES (64u << 10)

void ty_import_batch_reset(struct ty_import_batch *batch)
{
    batch->body.length = 0;
    batch->raw.length = 0;
    batch->record_count = 0;
    batch->sent_count = 0;
    batch->accepted = 0;
    batch->duplicates = 0;
    batch->rejected = 0;
    ty_arena_reset(&batch->arena, ARENA_KEEP_BYTES);
    json_decref(batch->answer);
    batch->answer = NULL;
}

void ty_import_batch_fini(struct ty_import_batch *batch)
{
    ty_buffer_fini(&batch->body);
    ty_buffer_fini(&batch->raw);
    free(batch->records);
    free(batch->sent);
    ty_arena_fini(&batch->arena);
    json_decref(batch->answer);
    memset(batch, 0, sizeof(*batch));
}

bool ty_import_batch_ok(const struct ty_import_batch *batch)
{
    return !batch->failed && ty_buffer_ok(&batch->body) && ty_buffer_ok(&batch->raw);
}

bool ty_import_batch_is_full(const struct ty_import_batch *batch, size_t events)
{
    return batch->sent_count >= events || batch->record_count >= 2 * events ||
           batch->body.length + batch->raw.length >= TY_IMPORT_BATCH_BYTES;
}

/* Makes room for one more record in both arrays. */
static bool grow(struct ty_import_batch *batch)
{
    size_t capacity = batch->record_capacity == 0 ? 256 : 2 * batch->record_capacity;
    struct ty_import_record *records;
    size_t *sent;

    if (batch->record_count < batch->record_capacity)
        return true;
    records = realloc(batch->records, capacity * sizeof(*records));
    if (records != NULL)
        batch->records = records;
    sent = realloc(batch->sent, capacity * sizeof(*sent));
    if (sent != NULL)
        batch->sent = sent;
    if (records == NULL || sent == NULL) {
        batch->failed = true;
        return false;
    }
    batch->record_capacity = capacity;
    return true;
}

static struct ty_import_record *add(struct ty_import_batch *batch, enum ty_import_kind kind,
                                    const char *file, uint64_t line, struct ty_text raw)
{
    struct ty_import_record *record;

    if (!grow(batch))
        return NULL;
    record = &batch->records[batch->record_count++];
    *record = (struct ty_import_record){
        .kind = kind,
        .file = file,
        .line = line,
        .from = batch->raw.length,
        .length = raw.length,
    };
    ty_buffer_append(&batch->raw, raw.data, raw.length);
    return record;
}

void ty_import_batch_add_sent(struct ty_import_batch *batch, const char *file, uint64_t line,
                              struct ty_text raw, size_t raw_in_body)
{
    struct ty_import_record *record = add(batch, TY_IMPORT_SENT, file, line, raw);

    if (record == NULL)
        return;
    batch->sent[batch->sent_count++] = batch->record_count - 1;
    if (raw_in_body == 0)
        return;
    record->in_body = true;
    record->from = batch->body.length - raw_in_body;
    record->length = raw_in_body;
}

void ty_import_batch_add_rejected(struct ty_import_batch *batch, const char *file, uint64_t line,
                                  struct ty_text raw, const char *message)
{
    struct ty_import_record *record = add(batch, TY_IMPORT_REJECTED, file, line, raw);
    struct ty_text copy =
        ty_arena_copy(&batch->arena, (struct ty_text){message, strlen(message) + 1});

    if (record == NULL || copy.data == NULL) {
        batch->failed = true;
        return;
    }
    record->code = tally_result_name(TALLY_INVALID_FIELD);
    record->message = copy.data;
    batch->rejected++;
}

void ty_import_batch_add_piece(struct ty_import_batch *batch, struct ty_text raw)
{
    add(batch, TY_IMPORT_PIECE, NULL, 0, raw);
}

struct ty_text ty_import_batch_raw(const struct ty_import_batch *batch,
                                   const struct ty_import_record *record)
{
    const struct ty_buffer *buffer = record->in_body ? &batch->body : &batch->raw;

    return (struct ty_text){record->length > 0 ? buffer->data + record->from : "", record->length};
}

/* Reads a count; false if it is none, or larger than the batch. */
static bool read_count(const struct ty_import_batch *batch, const char *name, uint64_t *count)
{
    json_t *value = json_object_get(batch->answer, name);

    *count = (uint64_t)json_integer_value(value);
    return json_is_integer(value) && *count <= batch->sent_count;
}

static bool decide_rejected(struct ty_import_batch *batch, json_t *item)
{
    json_t *index = json_object_get(item, "index");
    const char *code = json_string_value(json_object_get(item, "code"));
    const char *message = json_string_value(json_object_get(item, "message"));
    struct ty_import_record *record;

    if (!json_is_integer(index) || (uint64_t)json_integer_value(index) >= batch->sent_count ||
        code == NULL || message == NULL)
        return false;
    record = &batch->records[batch->sent[json_integer_value(index)]];
    if (record->code != NULL)
        return false;
    record->code = code;
    record->message = message;
    record->id = json_string_value(json_object_get(item, "id"));
    return true;
}

static bool decide(struct ty_import_batch *batch)
{
    json_t *rejected = json_object_get(batch->answer, "rejected");
    json_t *item;
    size_t i;

    if (!read_count(batch, "accepted", &batch->accepted) ||
        !read_count(batch, "duplicates", &batch->duplicates) || !json_is_array(rejected) ||
        batch->accepted + batch->duplicates + json_array_size(rejected) != batch->sent_count)
        return false;
    json_array_foreach(rejected, i, item)
    {
        if (!decide_rejected(batch, item))
            return false;
    }
    batch->rejected += json_array_size(rejected);
    return true;
}

bool ty_import_batch_decide(struct ty_import_batch *batch, const char *answer, size_t length)
{
    batch->answer = json_loadb(answer, length, JSON_ALLOW_NUL, NULL);
    if (batch->answer != NULL && decide(batch))
        return true;
    for (size_t i = 0; i < batch->sent_count; i++)
        batch->records[batch->sent[i]].code = NULL;
    batch->accepted = batch->duplicates = 0;
    json_decref(batch->answer);
    batch->answer = NULL;
    return false;
}

/* What the shard would say of an event whose fields are good. */
static tally_result check_event(const struct ty_event *event, int64_t now_ms)
{
    if (event->time_ms == TALLY_TIME_OF_ARRIVAL)
        return TALLY_ACCEPTED;
    if (event->time_ms < TALLY_TIME_MS_MIN)
        return TALLY_TOO_OLD;
    return event->time_ms - now_ms > TALLY_FUTURE_MS_MAX ? TALLY_TOO_NEW : TALLY_ACCEPTED;
}

bool ty_import_batch_check(struct ty_import_batch *batch, int64_t now_ms)
{
    static const tally_options options = TALLY_OPTIONS_INIT;
    struct ty_buffer answer = {0};
    struct ty_batch events = {0};
    struct ty_decode_error error;
    bool is_decided = ty_ndjson_events_decode(batch->body.data, batch->body.length, &events,
                                              &error) == TY_DECODE_OK;

    if (is_decided) {
        for (size_t i = 0; i < events.event_count; i++)
            events.outcomes[events.events[i].record] = (struct ty_outcome){
                .result = check_event(&events.events[i], now_ms),
                .id = events.events[i].id,
            };
        ty_results_json_write(&answer, &events, false, &options);
        is_decided =
            ty_buffer_ok(&answer) && ty_import_batch_decide(batch, answer.data, answer.length);
    }
    ty_buffer_fini(&answer);
    ty_batch_fini(&events);
    return is_decided;
}
