#include "storage/reject_codec.h"

#include "storage/value_header.h"

#define VERSION   1
#define KEY_BYTES 8
#define BODY_AT   TY_VALUE_BODY_AT /* it begins with the identity */

static struct ty_text cut(struct ty_text text, size_t bytes_max)
{
    return (struct ty_text){text.data, TY_MIN(text.length, bytes_max)};
}

/* The parts of a reject that are kept. */
static struct ty_reject cut_all(const struct ty_reject *reject)
{
    struct ty_reject kept = *reject;

    kept.source = cut(kept.source, TY_REJECT_TEXT_BYTES_MAX);
    kept.message = cut(kept.message, TY_REJECT_TEXT_BYTES_MAX);
    kept.record = cut(kept.record, TY_REJECT_RECORD_BYTES_MAX);
    return kept;
}

static size_t varint_length(uint64_t value)
{
    uint8_t bytes[TY_VARINT_BYTES_MAX];

    return (size_t)(ty_put_varint(bytes, value) - bytes);
}

size_t ty_reject_value_length(const struct ty_reject *reject)
{
    struct ty_reject kept = cut_all(reject);

    return TY_REJECT_FIXED_BYTES + varint_length(reject->record.length) +
           varint_length(kept.source.length) + kept.source.length +
           varint_length(kept.message.length) + kept.message.length + kept.record.length;
}

static uint8_t *put_text(uint8_t *out, struct ty_text text)
{
    return ty_put_bytes(ty_put_varint(out, text.length), text.data, text.length);
}

void ty_reject_encode(uint64_t seq, int64_t received_ms, const struct ty_reject *reject,
                      const uint8_t identity[TY_REJECT_IDENTITY_BYTES], uint8_t *out)
{
    struct ty_reject kept = cut_all(reject);
    uint8_t key[KEY_BYTES], *end = out + BODY_AT;

    TY_ASSERT(ty_reject_is_code((uint64_t)reject->code));
    end = ty_put_bytes(end, identity, TY_REJECT_IDENTITY_BYTES);
    end = ty_put_u64(end, (uint64_t)received_ms);
    end = ty_put_u64(end, (uint64_t)reject->time_ms);
    *end++ = (uint8_t)reject->code;
    end = ty_put_varint(end, reject->record.length);
    end = put_text(end, kept.source);
    end = put_text(end, kept.message);
    end = ty_put_bytes(end, kept.record.data, kept.record.length);
    ty_put_u64_be(key, seq);
    ty_value_seal(key, sizeof(key), VERSION, out, (size_t)(end - out));
}

static struct ty_text get_text(struct ty_reader *reader, uint64_t length)
{
    if (length > (uint64_t)(reader->end - reader->at))
        reader->failed = true;
    return (struct ty_text){(const char *)ty_get_bytes(reader, (size_t)length), (size_t)length};
}

/* What follows the identity, up to the end. */
static bool get_body(struct ty_reader *reader, struct ty_kept_reject *kept)
{
    struct ty_reject *reject = &kept->reject;
    uint64_t code;

    kept->received_ms = (int64_t)ty_get_u64(reader);
    reject->time_ms = (int64_t)ty_get_u64(reader);
    code = ty_get_u8(reader);
    reject->code = (tally_result)code;
    kept->record_bytes = ty_get_varint(reader);
    reject->source = get_text(reader, ty_get_varint(reader));
    reject->message = get_text(reader, ty_get_varint(reader));
    reject->record = get_text(reader, (uint64_t)(reader->end - reader->at));
    return !reader->failed && ty_reject_is_code(code) &&
           reject->record.length <= kept->record_bytes;
}

const char *ty_reject_decode(uint64_t seq, const void *data, size_t length,
                             struct ty_kept_reject *kept)
{
    struct ty_reader reader;
    uint8_t key[KEY_BYTES];
    const char *problem;

    *kept = (struct ty_kept_reject){.seq = seq};
    ty_put_u64_be(key, seq);
    if (length < TY_REJECT_FIXED_BYTES)
        return "shorter than its header";
    problem = ty_value_open(key, sizeof(key), VERSION, data, length, &reader);
    if (problem != NULL)
        return problem;
    ty_get_bytes(&reader, TY_REJECT_IDENTITY_BYTES);
    return get_body(&reader, kept) ? NULL : "malformed";
}

const uint8_t *ty_reject_read_identity(const void *data, size_t length)
{
    return length < TY_REJECT_FIXED_BYTES ? NULL : (const uint8_t *)data + BODY_AT;
}
