/*
 * reject_reference.h: which rejects a shard should keep, in the plainest way: a list of them.
 *
 * No hashing, no index: whether a reject is kept already is a walk over the list.
 */
#ifndef TY_TESTS_SUPPORT_REJECT_REFERENCE_H
#define TY_TESTS_SUPPORT_REJECT_REFERENCE_H

#include "storage/reject_codec.h"
#include "tests/support/random.h"

struct reject_reference {
    char **records; /* all that were ever made; the texts of rejects point into them */
    size_t record_count, record_capacity;
    struct ty_kept_reject *kept; /* oldest first; records are whole */
    size_t kept_count, kept_capacity;
    uint64_t bytes, bytes_max;
    uint64_t last_seq, resent, dropped;
};

void reject_reference_fini(struct reject_reference *reference);

/* A reject: mostly a new one, sometimes one that is kept already, with another source, and
 * sometimes one that differs from such a one in code or time, or far behind what is kept of it. */
struct ty_reject reject_reference_make(struct reject_reference *reference, struct ty_random *random,
                                       int64_t now_ms);

/* The reject was stored, unless it had been. */
void reject_reference_keep(struct reject_reference *reference, const struct ty_reject *reject,
                           int64_t received_ms);

/* Whether what was found is kept reject `index`, whole or as far as it must be. */
bool reject_reference_matches(const struct reject_reference *reference, size_t index,
                              const struct ty_kept_reject *found);

#endif
