/*
 * load_message.h: the messages that `tally bench` sends, cheap enough not to be measured
 * themselves.
 *
 * A message is made once for each connection; before each sending only what must differ is written
 * over: ids, times, the chunk. So each has the same length and the same series.
 *
 * Threads: one owner at a time.
 */
#ifndef TY_SERVER_TOOL_LOAD_MESSAGE_H
#define TY_SERVER_TOOL_LOAD_MESSAGE_H

#include "engine/buffer.h"

enum ty_load_format {
    TY_LOAD_JSON,           /* HTTP: an array of objects, application/json */
    TY_LOAD_NDJSON,         /* HTTP: an object a line, application/x-ndjson */
    TY_LOAD_MSGPACK,        /* HTTP: an array of maps, application/msgpack */
    TY_LOAD_FORWARD_ARRAYS, /* Forward mode, records by position, UUIDs as 16 bytes of binary */
    TY_LOAD_FORWARD_MAPS    /* Forward mode, records as maps, UUIDs as text */
};

struct ty_load_plan {
    enum ty_load_format format;
    size_t batch; /* events a message, 1 or more */
    uint64_t customers;
    uint64_t workflows; /* of each customer */
    uint64_t run;       /* first half of every id: no run repeats another's ids */
    const char *host;   /* of the Host header */
    uint64_t stream;    /* of several connections: which series it begins with */
};

struct ty_load_message {
    struct ty_load_plan plan;
    struct ty_buffer bytes;
    size_t *ids;   /* where each event's id begins */
    size_t *times; /* where each event's time begins */
    size_t chunk;  /* where the chunk's 16 digits begin; 0: none */
};

/* ty_load_message_make fills a zeroed message; false: no memory. */
bool ty_load_message_make(struct ty_load_message *message, const struct ty_load_plan *plan);

/* ty_load_message_stamp makes it the message number `number` of the run, sent at now_ms. */
void ty_load_message_stamp(struct ty_load_message *message, uint64_t number, int64_t now_ms);

/* The 16 digits that a message's chunk has, without a zero byte. */
void ty_load_message_chunk(uint64_t number, char chunk[16]);

/* ty_load_message_fini frees it; a zeroed one is fine. */
void ty_load_message_fini(struct ty_load_message *message);

#endif
