/*
 * names.c: the public enums as text. A row each, counted by the compiler.
 */
#include "engine/base.h"
#include "tally.h"

const char *tally_strerror(tally_status status)
{
    static const char *const texts[] = {
        "TALLY_OK: done",
        "TALLY_INVALID: an argument is wrong",
        "TALLY_BUSY: too much is in flight; try again",
        "TALLY_FULL: the disk or the map is full",
        "TALLY_NO_MEMORY: an allocation failed",
        "TALLY_UNKNOWN: a commit failed halfway; retry with the same ids",
        "TALLY_FAILED: the database stopped after a failed commit; reopen it",
        "TALLY_LOCKED: the directory is in use by another process",
        "TALLY_NEWER: the data was written by a newer version",
        "TALLY_CORRUPT: stored bytes do not match their checksum",
        "TALLY_IO: the operating system refused",
    };
    _Static_assert(TY_COUNT_OF(texts) == TALLY_IO + 1, "a text for every status");

    return (unsigned)status < TY_COUNT_OF(texts) ? texts[status] : "unknown status";
}

const char *tally_result_name(tally_result result)
{
    static const char *const names[] = {
        "accepted", "duplicate",   "missing_field", "invalid_field", "out_of_range", "too_new",
        "too_old",  "id_conflict", "overflow",      "series_limit",  "not_stored",
    };
    _Static_assert(TY_COUNT_OF(names) == TALLY_NOT_STORED + 1, "a name for every result");

    return (unsigned)result < TY_COUNT_OF(names) ? names[result] : "unknown";
}
