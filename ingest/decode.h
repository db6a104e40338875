/*
 * decode.h: what every decoder of event bodies answers.
 */
#ifndef TY_INGEST_DECODE_H
#define TY_INGEST_DECODE_H

#include "engine/base.h"

/*
 * The most records that one body may hold. A body of good events in JSON (115 bytes at least) gets
 * there beyond the default limit of bytes (8 MiB); one of msgpack (45 bytes) may do so within it,
 * and is told to be sent in parts, since a batch of some thousands is as fast. The bound keeps
 * millions of "{}" from holding a loop, which writes a line of the answer for each.
 */
#define TY_DECODE_RECORDS_MAX      100000
#define TY_DECODE_RECORDS_MAX_TEXT "more than 100000 records in one body; send several bodies"

enum ty_decode_status {
    TY_DECODE_OK,        /* every record is in the batch, as an event or as a reject */
    TY_DECODE_REFUSED,   /* the body is no such document: 400, nothing of it may be stored */
    TY_DECODE_NO_MEMORY, /* the batch has failed: nothing of it may be stored; may be sent again */
};

/* Why a body was refused. */
struct ty_decode_error {
    const char *message; /* constant text, a phrase: "the text ends inside a string" */
    size_t byte;         /* where, counted from 0 at the start of the body */
};

#endif
