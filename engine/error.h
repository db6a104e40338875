/*
 * error.h: a status together with a sentence for people.
 *
 * Threads: pure functions.
 */
#ifndef TY_ENGINE_ERROR_H
#define TY_ENGINE_ERROR_H

#include "tally.h"

/* ty_fail fills error->message (error may be NULL) as printf does and returns `status`. */
tally_status ty_fail(tally_error *error, tally_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
