/*
 * inflate.h: gzip into an arena.
 *
 * Threads: pure functions of their arguments.
 */
#ifndef TY_INGEST_INFLATE_H
#define TY_INGEST_INFLATE_H

#include "engine/arena.h"

enum ty_inflate_status {
    TY_INFLATE_OK,
    TY_INFLATE_MALFORMED, /* no gzip, cut off, or a checksum is wrong */
    TY_INFLATE_TOO_LONG,  /* more than bytes_max */
    TY_INFLATE_NO_MEMORY
};

struct ty_inflated {
    struct ty_text data; /* in the arena: whole members, each with its checksum right */
    struct ty_text rest; /* of the gzip, from the member on that is malformed; else empty */
};

/*
 * ty_inflate inflates gzip (RFC 1952), one member or several behind one another, to at most
 * `bytes_max` bytes, which is less than 2^32 - 1. No bytes at all are taken for no members, as
 * Fluentd does. *inflated is filled on TY_INFLATE_OK and TY_INFLATE_MALFORMED: what a damaged
 * member seems to hold is not handed out, since nobody knows what of it was changed.
 */
enum ty_inflate_status ty_inflate(struct ty_arena *arena, struct ty_text gzip, size_t bytes_max,
                                  struct ty_inflated *inflated);

#endif
