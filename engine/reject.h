/*
 * reject.h: a record of a stream that could not be counted, on its way to be kept.
 *
 * HTTP answers its rejects to the client; a stream (Forward) has no such answer, so that they are
 * stored, listed by GET /v1/rejects and acknowledged.
 *
 * Threads: pure functions.
 */
#ifndef TY_ENGINE_REJECT_H
#define TY_ENGINE_REJECT_H

#include "engine/event.h"
#include "tally.h"

/* What is kept of a record; of a longer one the beginning. */
#define TY_REJECT_RECORD_BYTES_MAX ((size_t)65536)
/* What is kept of source and message; of a longer one the beginning. */
#define TY_REJECT_TEXT_BYTES_MAX ((size_t)1024)

/* Texts are borrowed. `code`, `time_ms` and `record` are its identity: the same reject sent again
 * is kept once, whoever sends it. */
struct ty_reject {
    tally_result code;      /* why; one of ty_reject_is_code() */
    int64_t time_ms;        /* of the entry that held it, or TALLY_TIME_OF_ARRIVAL */
    struct ty_text source;  /* for people: "forward 10.0.0.7 usage.app" */
    struct ty_text message; /* for people: what is wrong, and what is allowed */
    struct ty_text record;  /* the msgpack value, byte for byte as it came */
};

/* ty_reject_is_code tells whether a number is a tally_result that says why an event is rejected:
 * TALLY_MISSING_FIELD and what follows, TALLY_NOT_STORED excepted. */
bool ty_reject_is_code(uint64_t code);

#define TY_REJECT_IDENTITY_BYTES 16

/*
 * ty_reject_identify computes a reject's identity: a SipHash-2-4 with 128 bits of output
 * (libsodium's crypto_shorthash_siphashx24), keyed by the secret as the ids of events are, over
 * code, time, length of the record, and the same hash of the record. The whole record goes in, also
 * of one that is kept in part. Changing it would keep each resent reject once more.
 */
void ty_reject_identify(const struct ty_reject *reject, const struct ty_secret *secret,
                        uint8_t identity[TY_REJECT_IDENTITY_BYTES]);

#endif
