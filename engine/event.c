#include "engine/event.h"

#define XXH_INLINE_ALL
#include <endian.h>
#include <sodium/crypto_shorthash_siphash24.h>
#include <string.h>
#include <xxhash.h>

_Static_assert(crypto_shorthash_siphashx24_BYTES == sizeof(struct ty_key), "the key is 128 bits");
_Static_assert(crypto_shorthash_siphashx24_KEYBYTES + sizeof(uint64_t) <= TY_SECRET_BYTES,
               "the secret holds the SipHash key and the content seed");

/* The widest message: customer, two lengths, the longest source and id. */
#define KEY_BYTES_MAX (16 + 2 + TALLY_SOURCE_BYTES_MAX + 2 + TALLY_ID_BYTES_MAX)

static size_t put_bytes(uint8_t *out, const void *data, size_t length)
{
    if (length != 0)
        memcpy(out, data, length);
    return length;
}

/* A length of two bytes, then the bytes. */
static size_t put_text(uint8_t *out, struct ty_text text)
{
    out[0] = (uint8_t)(text.length >> 8);
    out[1] = (uint8_t)text.length;
    return 2 + put_bytes(out + 2, text.data, text.length);
}

static size_t put_u64(uint8_t *out, uint64_t value)
{
    value = htole64(value);
    memcpy(out, &value, sizeof(value));
    return sizeof(value);
}

static void hash_key(struct ty_event *event, const struct ty_secret *secret)
{
    uint8_t message[KEY_BYTES_MAX];
    uint8_t hash[crypto_shorthash_siphashx24_BYTES];
    size_t length = put_bytes(message, event->customer.bytes, 16);

    TY_ASSERT(event->source.length <= TALLY_SOURCE_BYTES_MAX);
    TY_ASSERT(event->id.length <= TALLY_ID_BYTES_MAX);
    length += put_text(message + length, event->source);
    length += put_text(message + length, event->id);
    crypto_shorthash_siphashx24(hash, message, length, secret->bytes);
    memcpy(&event->key.high, hash, 8);
    memcpy(&event->key.low, hash + 8, 8);
}

static void hash_content(struct ty_event *event, const struct ty_secret *secret)
{
    uint8_t message[16 + 6 * 8 + 2 + TALLY_USER_BYTES_MAX];
    uint64_t seed;
    size_t length = put_bytes(message, event->workflow.bytes, 16);

    TY_ASSERT(event->user.length <= TALLY_USER_BYTES_MAX);
    /* TALLY_TIME_OF_ARRIVAL is no time that can be given, so it stands for "omitted". */
    length += put_u64(message + length, (uint64_t)event->time_ms);
    length += put_u64(message + length, (uint64_t)event->credits);
    length += put_u64(message + length, event->documents);
    length += put_u64(message + length, event->pages);
    length += put_u64(message + length, event->processing_ms);
    length += put_text(message + length, event->user);
    memcpy(&seed, secret->bytes + crypto_shorthash_siphashx24_KEYBYTES, sizeof(seed));
    event->content = XXH3_64bits_withSeed(message, length, seed);
}

void ty_event_hash(struct ty_event *event, const struct ty_secret *secret)
{
    if (event->id_form == TY_ID_UNKNOWN)
        event->id_form = ty_uuid_parse_canonical(event->id.data, event->id.length, &event->id_uuid)
                             ? TY_ID_UUID
                             : TY_ID_TEXT;
    hash_key(event, secret);
    hash_content(event, secret);
}
