/*
 * percent.h: percent-encoding (RFC 3986, section 2.1), in targets and header values.
 */
#ifndef TY_INGEST_PERCENT_H
#define TY_INGEST_PERCENT_H

#include "engine/base.h"

/*
 * ty_percent_decode replaces %XX by its byte while copying `text` to `out`, which has room for
 * text.length bytes (`out` may be text.data itself). '+' stays '+': a caller that reads form
 * encoding does that itself. Returns false for a '%' without two hex digits and for %00.
 * Threads: a pure function.
 */
bool ty_percent_decode(struct ty_text text, char *out, size_t *length);

#endif
