/*
 * tally_internal.h: what the files of the embedded API share. Not for others.
 */
#ifndef TY_QUERY_TALLY_INTERNAL_H
#define TY_QUERY_TALLY_INTERNAL_H

#include "shard/database.h"

struct tally {
    struct ty_database *database;
};

/* Whether a text of a caller is allowed: TALLY_ACCEPTED (an empty one, too), TALLY_OUT_OF_RANGE,
 * TALLY_INVALID_FIELD. */
tally_result ty_tally_check_text(const char *data, size_t length, size_t length_max);

#endif
