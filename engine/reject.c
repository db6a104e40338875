#include "engine/reject.h"

#include <sodium/crypto_shorthash_siphash24.h>
#include <string.h>

_Static_assert(crypto_shorthash_siphashx24_BYTES == TY_REJECT_IDENTITY_BYTES,
               "the identity is one hash");
_Static_assert(crypto_shorthash_siphashx24_KEYBYTES <= TY_SECRET_BYTES, "the secret holds the key");

bool ty_reject_is_code(uint64_t code)
{
    return code >= TALLY_MISSING_FIELD && code <= TALLY_SERIES_LIMIT;
}

static uint8_t *put_u64(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        *out++ = (uint8_t)(value >> (8 * i));
    return out;
}

/* In two steps, so that a record of megabytes is not copied behind what stands before it. */
void ty_reject_identify(const struct ty_reject *reject, const struct ty_secret *secret,
                        uint8_t identity[TY_REJECT_IDENTITY_BYTES])
{
    static const uint8_t nothing[1];
    uint8_t message[3 * 8 + crypto_shorthash_siphashx24_BYTES], *out = message;
    const uint8_t *record = (const uint8_t *)reject->record.data;

    out = put_u64(out, (uint64_t)reject->code);
    out = put_u64(out, (uint64_t)reject->time_ms);
    out = put_u64(out, reject->record.length);
    crypto_shorthash_siphashx24(out, record == NULL ? nothing : record, reject->record.length,
                                secret->bytes);
    crypto_shorthash_siphashx24(identity, message, sizeof(message), secret->bytes);
}
