#include "server/rejects_json.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "engine/timestamp.h"
#include "engine/utf8.h"
#include "ingest/msgpack_json.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static void append_time(struct ty_buffer *out, const char *name, int64_t ms)
{
    char text[TY_TIMESTAMP_TEXT_BYTES];

    if (ms < TY_TIMESTAMP_MS_MIN || ms > TY_TIMESTAMP_MS_MAX) {
        ty_buffer_append_format(out, ",\"%s\":%" PRId64, name, ms);
        return;
    }
    ty_timestamp_format(ms, text);
    ty_buffer_append_format(out, ",\"%s\":\"%s\"", name, text);
}

/* A tag is whatever its sender made of it, and a text may have been cut within a character. */
static void append_text(struct ty_buffer *out, const char *name, struct ty_text text)
{
    char clean[TY_REJECT_TEXT_BYTES_MAX * (sizeof(REPLACEMENT) - 1)];
    const char *at = text.length == 0 ? clean : text.data, *end = at + text.length;
    size_t length = 0;

    TY_ASSERT(text.length <= TY_REJECT_TEXT_BYTES_MAX);
    while (at < end) {
        unsigned bytes = ty_utf8_sequence(at, end);

        if (bytes == 0) {
            memcpy(clean + length, REPLACEMENT, sizeof(REPLACEMENT) - 1);
            length += sizeof(REPLACEMENT) - 1;
            at++;
        } else {
            memcpy(clean + length, at, bytes);
            length += bytes;
            at += bytes;
        }
    }
    ty_buffer_append_format(out, ",\"%s\":", name);
    ty_buffer_append_json(out, (struct ty_text){clean, length});
}

static void append_base64(struct ty_buffer *out, struct ty_text record)
{
    size_t room = sodium_base64_encoded_len(record.length, sodium_base64_VARIANT_ORIGINAL);
    char *text;

    ty_buffer_append_text(out, ",\"encoding\":\"base64\",\"record\":\"");
    text = ty_buffer_reserve(out, room);
    if (text == NULL)
        return;
    sodium_bin2base64(text, room, (const unsigned char *)record.data, record.length,
                      sodium_base64_VARIANT_ORIGINAL);
    out->length += room - 1; /* without the zero byte at its end */
    ty_buffer_append_char(out, '"');
}

static void append_record(struct ty_buffer *out, const struct ty_kept_reject *kept)
{
    struct ty_text record = kept->reject.record;
    size_t start = out->length;

    if (kept->record_bytes != record.length) {
        append_base64(out, record);
        ty_buffer_append_format(out, ",\"truncated\":true,\"record_bytes\":%" PRIu64,
                                kept->record_bytes);
        return;
    }
    ty_buffer_append_text(out, ",\"encoding\":\"json\",\"record\":");
    if (ty_msgpack_json_append(out, record.data, record.length))
        return;
    out->length = start;
    append_base64(out, record);
}

void ty_rejects_json_append(struct ty_buffer *out, const struct ty_kept_reject *kept)
{
    const struct ty_reject *reject = &kept->reject;

    ty_buffer_append_format(out, "{\"seq\":%" PRIu64, kept->seq);
    append_time(out, "received", kept->received_ms);
    if (reject->time_ms != TALLY_TIME_OF_ARRIVAL)
        append_time(out, "time", reject->time_ms);
    append_text(out, "source", reject->source);
    ty_buffer_append_format(out, ",\"code\":\"%s\"", tally_result_name(reject->code));
    append_text(out, "message", reject->message);
    append_record(out, kept);
    ty_buffer_append_char(out, '}');
}

void ty_rejects_json_begin(struct ty_buffer *out)
{
    ty_buffer_append_text(out, "{\"rejects\":[");
}

void ty_rejects_json_end(struct ty_buffer *out, bool more, uint64_t next)
{
    if (more)
        ty_buffer_append_format(out, "],\"next\":%" PRIu64 "}", next);
    else
        ty_buffer_append_text(out, "],\"next\":null}");
}
