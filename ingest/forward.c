#include "ingest/forward.h"

#include "engine/timestamp.h"
#include "ingest/inflate.h"
#include "ingest/msgpack_events.h"

#include <string.h>

#define SECONDS_MAX (TY_TIMESTAMP_MS_MAX / 1000)

/* [time, [id, customer, workflow, 0, 0, 0, 0]] with an id of one byte: no good entry is shorter. */
#define GOOD_ENTRY_BYTES_MIN (1 + 1 + 1 + 2 + 2 * 18 + 4)

static const char too_many[] = "the message has more than 1048576 entries";
static const char bad_entry[] = "the entry is not [time, record]";
static const char bad_time[] =
    "the entry's time is neither an EventTime nor a number of seconds up to the year 9999";
static const char bad_tail[] = "the packed entries end inside one, or hold what is no msgpack";
static const char bad_gzip[] = "the packed entries are no gzip, or damaged, from here on";
static const char bad_message[] =
    "the message is none of [tag, time, record], [tag, [[time, record], ...]] and [tag, packed]";

/* --- Times --- */

static bool time_of_seconds(double seconds, int64_t *time_ms)
{
    if (!(seconds >= -(double)SECONDS_MAX && seconds <= (double)SECONDS_MAX))
        return false; /* NaN too */
    /* To microseconds first: 1.001 is less than one and a thousandth in binary. */
    *time_ms = (int64_t)(seconds * 1e6 + (seconds < 0 ? -0.5 : 0.5)) / 1000;
    return true;
}

static bool time_of_value(const struct ty_msgpack_value *value, int64_t *time_ms)
{
    switch (value->kind) {
    case TY_MSGPACK_NIL:
        *time_ms = 0;
        break;
    case TY_MSGPACK_INTEGER:
        if (value->magnitude > (uint64_t)SECONDS_MAX)
            return false;
        *time_ms = (int64_t)value->magnitude * (value->negative ? -1000 : 1000);
        break;
    case TY_MSGPACK_FLOAT:
    case TY_MSGPACK_DOUBLE:
        if (!time_of_seconds(value->number, time_ms))
            return false;
        break;
    default:
        if (!ty_msgpack_event_time(value, time_ms))
            return false;
    }
    if (*time_ms == 0)
        *time_ms = TALLY_TIME_OF_ARRIVAL;
    return true;
}

/* --- Entries --- */

/* What is taken of an entry before its record. The scanner then stands before the record. */
struct entry {
    const char *problem; /* NULL: it is [time, record] */
    int64_t time_ms;
    uint32_t values_after; /* behind the record, ignored */
};

/* Takes an entry's time. Fluent Bit's [time, {metadata}] is taken for its time. */
static bool take_time(struct ty_msgpack *msgpack, struct entry *entry)
{
    struct ty_msgpack_value value;
    uint32_t values_after = 0;

    if (!ty_msgpack_next(msgpack, &value))
        return false;
    if (value.kind == TY_MSGPACK_ARRAY && value.count == 2) {
        values_after = 1;
        if (!ty_msgpack_next(msgpack, &value))
            return false;
    }
    if (!time_of_value(&value, &entry->time_ms)) {
        entry->problem = bad_time;
        entry->time_ms = TALLY_TIME_OF_ARRIVAL;
        return false;
    }
    return ty_msgpack_skip_values(msgpack, values_after);
}

/* Takes the head and time of the next entry, which is whole. After a problem the scanner stands
 * before the entry. */
static void begin_entry(struct ty_msgpack *msgpack, enum ty_forward_mode mode, struct entry *entry)
{
    const uint8_t *before = msgpack->at;
    struct ty_msgpack_value head = {.kind = TY_MSGPACK_ARRAY, .count = 2};

    *entry = (struct entry){.time_ms = TALLY_TIME_OF_ARRIVAL};
    if (mode != TY_FORWARD_MESSAGE && !ty_msgpack_next(msgpack, &head))
        entry->problem = bad_entry;
    else if (head.kind != TY_MSGPACK_ARRAY || head.count < 2)
        entry->problem = bad_entry;
    else if (!take_time(msgpack, entry) && entry->problem == NULL)
        entry->problem = bad_entry;
    entry->values_after = head.count - 2;
    if (entry->problem != NULL)
        ty_msgpack_go_back(msgpack, before);
}

/* A message's time and record stand side by side, an entry's in an array. */
static bool skip_entry(struct ty_msgpack *msgpack, enum ty_forward_mode mode)
{
    return ty_msgpack_skip_values(msgpack, mode == TY_FORWARD_MESSAGE ? 2 : 1);
}

static void reject(struct ty_batch *batch, const char *message)
{
    ty_batch_reject(batch, TALLY_INVALID_FIELD, (struct ty_text){.data = "", .length = 0}, message);
}

/* Takes an entry into the batch. The scanner stands on whole entries, so that only memory fails. */
static bool decode_entry(struct ty_msgpack *msgpack, enum ty_forward_mode mode,
                         struct ty_batch *batch)
{
    struct entry entry;

    begin_entry(msgpack, mode, &entry);
    if (entry.problem != NULL) {
        reject(batch, entry.problem);
        return skip_entry(msgpack, mode) && !batch->failed;
    }
    return ty_msgpack_events_record(msgpack, entry.time_ms, batch) &&
           ty_msgpack_skip_values(msgpack, entry.values_after);
}

static enum ty_decode_status decode_entries(struct ty_forward_message *message,
                                            struct ty_batch *batch)
{
    struct ty_msgpack msgpack;

    ty_msgpack_init(&msgpack, message->entries.data, message->entries.length);
    while (msgpack.at != msgpack.end)
        if (!decode_entry(&msgpack, message->mode, batch))
            return TY_DECODE_NO_MEMORY;
    return batch->failed ? TY_DECODE_NO_MEMORY : TY_DECODE_OK;
}

/* Makes room for so many entries, as far as there may be good ones among them. False: they are too
 * many. */
static bool reserve(struct ty_batch *batch, size_t count, size_t bytes)
{
    size_t wanted;

    if (count > TY_FORWARD_RECORDS_MAX)
        return false;
    wanted = batch->record_count + TY_MIN(count, bytes / GOOD_ENTRY_BYTES_MIN);
    /* Many small messages may share a batch: doubled, or each of them would copy what is there. */
    if (wanted > batch->record_capacity)
        ty_batch_reserve(batch, TY_MAX(wanted, 2 * batch->record_capacity));
    return true;
}

static enum ty_decode_status refuse(struct ty_decode_error *error, const char *message)
{
    *error = (struct ty_decode_error){.message = message};
    return TY_DECODE_REFUSED;
}

/* --- Packed entries --- */

/* Splits bytes into whole entries and the tail behind them, and makes room for them. False: they
 * are too many. */
static bool split(struct ty_text packed, struct ty_forward_message *message, struct ty_batch *batch)
{
    struct ty_msgpack msgpack;
    const uint8_t *end;
    size_t count = 0;

    ty_msgpack_init(&msgpack, packed.data, packed.length);
    for (end = msgpack.at; msgpack.at != msgpack.end && ty_msgpack_skip(&msgpack, NULL); count++)
        end = msgpack.at;
    message->entries = (struct ty_text){packed.data, (size_t)(end - msgpack.start)};
    if (end != msgpack.end)
        message->tail = (struct ty_text){(const char *)end, (size_t)(msgpack.end - end)};
    return reserve(batch, count, packed.length);
}

static enum ty_decode_status decode_packed(struct ty_text packed,
                                           struct ty_forward_message *message,
                                           struct ty_batch *batch, struct ty_decode_error *error)
{
    enum ty_decode_status status;

    if (!split(packed, message, batch))
        return refuse(error, too_many);
    status = decode_entries(message, batch);
    if (message->tail.data != NULL)
        reject(batch, bad_tail);
    return status;
}

static enum ty_decode_status decode_compressed(struct ty_text gzip, size_t inflated_bytes_max,
                                               struct ty_forward_message *message,
                                               struct ty_batch *batch,
                                               struct ty_decode_error *error)
{
    struct ty_inflated inflated;
    enum ty_decode_status status;

    switch (ty_inflate(&batch->arena, gzip, inflated_bytes_max, &inflated)) {
    case TY_INFLATE_OK:
        return decode_packed(inflated.data, message, batch, error);
    case TY_INFLATE_TOO_LONG:
        return refuse(error, "the compressed entries are longer than is allowed once inflated");
    case TY_INFLATE_NO_MEMORY:
        batch->failed = true;
        return TY_DECODE_NO_MEMORY;
    case TY_INFLATE_MALFORMED:
        break;
    }
    if (!split(inflated.data, message, batch))
        return refuse(error, too_many);
    /* An entry that began in a good member is in the damaged one too: then all of it is shown. */
    message->tail = message->tail.data == NULL ? inflated.rest : gzip;
    status = decode_entries(message, batch);
    reject(batch, bad_gzip);
    return status;
}

/* --- Messages --- */

static bool is_text(const struct ty_msgpack_value *value)
{
    return value->kind == TY_MSGPACK_TEXT || value->kind == TY_MSGPACK_BYTES;
}

static bool equals(struct ty_text text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

/* What the option says. */
struct option {
    struct ty_text chunk;      /* as msgpack; its data is NULL when there is none */
    struct ty_text compressed; /* empty when nothing is said */
};

/* Takes a name and its value. */
static bool take_pair(struct ty_msgpack *msgpack, struct option *option)
{
    struct ty_msgpack at_name = *msgpack, at_value;
    struct ty_msgpack_value name, value;
    struct ty_text bytes;

    if (!ty_msgpack_skip(msgpack, NULL))
        return false;
    at_value = *msgpack;
    if (!ty_msgpack_skip(msgpack, &bytes) || !ty_msgpack_next(&at_name, &name) ||
        !ty_msgpack_next(&at_value, &value))
        return false;
    if (name.kind != TY_MSGPACK_TEXT)
        return true;
    if (equals(name.text, "chunk") && value.kind != TY_MSGPACK_NIL)
        option->chunk = bytes;
    else if (equals(name.text, "compressed") && is_text(&value))
        option->compressed = value.text;
    return true;
}

/* Takes what stands at an option's place; what is no map says nothing. */
static void take_option(struct ty_msgpack *msgpack, struct option *option)
{
    struct ty_msgpack_value head;

    *option = (struct option){.chunk = {.data = NULL}};
    if (!ty_msgpack_next(msgpack, &head) || head.kind != TY_MSGPACK_MAP)
        return;
    for (uint32_t i = 0; i < head.count; i++)
        if (!take_pair(msgpack, option))
            return;
}

/* A message on its way: the scanner stands behind its second element's head. */
struct parse {
    struct ty_msgpack msgpack;
    struct ty_msgpack second_at; /* before the second element */
    struct ty_msgpack_value second;
    uint32_t count; /* elements of the message */
    struct ty_text whole;
    size_t inflated_bytes_max;
    struct ty_forward_message *message;
    struct ty_batch *batch;
    struct ty_decode_error *error;
};

static void take_chunk(struct parse *parse, uint32_t elements_before)
{
    struct option option;

    if (parse->count <= elements_before)
        return;
    take_option(&parse->msgpack, &option);
    parse->message->chunk = option.chunk;
}

/* The entries are decoded where they stand; the message was framed, so that they are whole. */
static enum ty_decode_status parse_entries(struct parse *parse)
{
    const uint8_t *start = parse->msgpack.at;

    parse->message->mode = TY_FORWARD_ENTRIES;
    if (!reserve(parse->batch, parse->second.count, ty_msgpack_count_max(&parse->msgpack)))
        return refuse(parse->error, too_many);
    for (uint32_t i = 0; i < parse->second.count; i++)
        if (!decode_entry(&parse->msgpack, TY_FORWARD_ENTRIES, parse->batch))
            return TY_DECODE_NO_MEMORY;
    parse->message->entries =
        (struct ty_text){(const char *)start, (size_t)(parse->msgpack.at - start)};
    take_chunk(parse, 2);
    return TY_DECODE_OK;
}

static enum ty_decode_status parse_packed(struct parse *parse)
{
    struct option option = {.chunk = {.data = NULL}};
    bool is_gzip;

    if (parse->count > 2)
        take_option(&parse->msgpack, &option);
    is_gzip = equals(option.compressed, "gzip");
    if (!is_gzip && option.compressed.length != 0 && !equals(option.compressed, "text"))
        return refuse(parse->error, "the entries are compressed, but not with gzip");
    parse->message->chunk = option.chunk;
    parse->message->mode = is_gzip ? TY_FORWARD_COMPRESSED : TY_FORWARD_PACKED;
    return is_gzip ? decode_compressed(parse->second.text, parse->inflated_bytes_max,
                                       parse->message, parse->batch, parse->error)
                   : decode_packed(parse->second.text, parse->message, parse->batch, parse->error);
}

static enum ty_decode_status parse_message(struct parse *parse)
{
    const uint8_t *start = parse->second_at.at;

    parse->message->mode = TY_FORWARD_MESSAGE;
    parse->msgpack = parse->second_at;
    if (!ty_msgpack_skip_values(&parse->msgpack, 2))
        return refuse(parse->error, parse->msgpack.error);
    parse->message->entries =
        (struct ty_text){(const char *)start, (size_t)(parse->msgpack.at - start)};
    take_chunk(parse, 3);
    return decode_entries(parse->message, parse->batch);
}

/* An array that is no Forward message is kept as one reject; if an option can be found at its end,
 * its producer waits for an acknowledgement. */
static enum ty_decode_status parse_unknown(struct parse *parse)
{
    struct ty_msgpack_value head;

    parse->message->mode = TY_FORWARD_UNKNOWN;
    parse->message->tag = (struct ty_text){.data = "", .length = 0};
    parse->message->tail = parse->whole;
    ty_msgpack_init(&parse->msgpack, parse->whole.data, parse->whole.length);
    if (parse->count > 2 && ty_msgpack_next(&parse->msgpack, &head) &&
        ty_msgpack_skip_values(&parse->msgpack, parse->count - 1))
        take_chunk(parse, 2);
    reject(parse->batch, bad_message);
    return parse->batch->failed ? TY_DECODE_NO_MEMORY : TY_DECODE_OK;
}

static enum ty_decode_status parse_array(struct parse *parse)
{
    struct ty_msgpack_value tag;

    if (parse->count < 2 || !ty_msgpack_next(&parse->msgpack, &tag) || !is_text(&tag))
        return parse_unknown(parse);
    parse->message->tag = tag.text;
    parse->second_at = parse->msgpack;
    if (!ty_msgpack_next(&parse->msgpack, &parse->second))
        return refuse(parse->error, parse->msgpack.error);
    switch (parse->second.kind) {
    case TY_MSGPACK_ARRAY:
        return parse_entries(parse);
    case TY_MSGPACK_TEXT:
    case TY_MSGPACK_BYTES:
        return parse_packed(parse);
    case TY_MSGPACK_MAP:
    case TY_MSGPACK_BOOLEAN:
        return parse_unknown(parse);
    default:
        return parse->count < 3 ? parse_unknown(parse) : parse_message(parse);
    }
}

enum ty_decode_status ty_forward_decode(const void *data, size_t length, size_t inflated_bytes_max,
                                        struct ty_batch *batch, struct ty_forward_message *message,
                                        struct ty_decode_error *error)
{
    struct parse parse = {.whole = {.data = data, .length = length},
                          .inflated_bytes_max = inflated_bytes_max,
                          .message = message,
                          .batch = batch,
                          .error = error};
    struct ty_msgpack_value head;
    enum ty_decode_status status;

    *message = (struct ty_forward_message){.mode = TY_FORWARD_IGNORED,
                                           .tag = {.data = "", .length = 0},
                                           .first_record = batch->record_count};
    ty_msgpack_init(&parse.msgpack, data, length);
    if (!ty_msgpack_next(&parse.msgpack, &head))
        return refuse(error, parse.msgpack.error);
    if (head.kind != TY_MSGPACK_ARRAY)
        return TY_DECODE_OK;
    parse.count = head.count;
    status = parse_array(&parse);
    message->record_count = batch->record_count - message->first_record;
    return batch->failed ? TY_DECODE_NO_MEMORY : status;
}

/* --- Afterwards --- */

void ty_forward_each_record(const struct ty_forward_message *message,
                            bool (*each)(void *context, size_t index, int64_t time_ms,
                                         struct ty_text record),
                            void *context)
{
    struct ty_msgpack msgpack;
    size_t index = 0;

    ty_msgpack_init(&msgpack, message->entries.data, message->entries.length);
    for (; msgpack.at != msgpack.end; index++) {
        struct ty_msgpack before = msgpack;
        struct ty_text record;
        struct entry entry;

        if (!skip_entry(&msgpack, message->mode))
            return;
        record = (struct ty_text){(const char *)before.at, (size_t)(msgpack.at - before.at)};
        begin_entry(&before, message->mode, &entry);
        if (entry.problem == NULL && !ty_msgpack_skip(&before, &record))
            return;
        if (!each(context, index, entry.time_ms, record))
            return;
    }
    if (message->tail.data != NULL)
        each(context, index, TALLY_TIME_OF_ARRIVAL, message->tail);
}

void ty_forward_append_ack(const struct ty_forward_message *message, struct ty_buffer *out)
{
    static const char head[] = "\x81\xa3"
                               "ack"; /* a map of one pair, whose name is "ack" */

    ty_buffer_append(out, head, sizeof(head) - 1);
    ty_buffer_append(out, message->chunk.data, message->chunk.length);
}
