/*
 * reject_codec.h: the bytes of a kept reject (docs/FORMAT.md, "Rejects").
 *
 * Threads: pure functions.
 */
#ifndef TY_STORAGE_REJECT_CODEC_H
#define TY_STORAGE_REJECT_CODEC_H

#include "engine/reject.h"

/* A kept reject. Its texts are borrowed from the stored value. */
struct ty_kept_reject {
    uint64_t seq; /* counted from 1, in the order in which rejects were first kept */
    int64_t received_ms;
    struct ty_reject reject; /* its record is cut at TY_REJECT_RECORD_BYTES_MAX */
    uint64_t record_bytes;   /* how long the record was */
};

/* Before the texts: version, checksum, identity, two times, code; then three varints at most. */
#define TY_REJECT_FIXED_BYTES (1 + 8 + TY_REJECT_IDENTITY_BYTES + 8 + 8 + 1)
#define TY_REJECT_VALUE_BYTES_MAX                                                                  \
    (TY_REJECT_FIXED_BYTES + 3 * 10 + 2 * TY_REJECT_TEXT_BYTES_MAX + TY_REJECT_RECORD_BYTES_MAX)

/* ty_reject_value_length returns how long the value will be, at most TY_REJECT_VALUE_BYTES_MAX. */
size_t ty_reject_value_length(const struct ty_reject *reject);

/* ty_reject_encode writes the value that is stored under seq: exactly ty_reject_value_length()
 * bytes. What is longer than may be kept is cut. */
void ty_reject_encode(uint64_t seq, int64_t received_ms, const struct ty_reject *reject,
                      const uint8_t identity[TY_REJECT_IDENTITY_BYTES], uint8_t *out);

/* ty_reject_decode reads a value. Returns NULL, or a constant sentence that says what is wrong with
 * the bytes; what it fills is then of no use. */
const char *ty_reject_decode(uint64_t seq, const void *data, size_t length,
                             struct ty_kept_reject *kept);

/* ty_reject_read_identity finds the identity in a value without checking the rest; NULL: the value
 * is too short to have one. */
const uint8_t *ty_reject_read_identity(const void *data, size_t length);

#endif
