/*
 * load_reply.h: what a server answers to the messages of `tally bench`.
 *
 * Threads: pure functions.
 */
#ifndef TY_SERVER_TOOL_LOAD_REPLY_H
#define TY_SERVER_TOOL_LOAD_REPLY_H

#include <stddef.h>
#include <stdint.h>

struct ty_load_reply {
    int status;          /* of HTTP */
    uint64_t accepted;   /* of HTTP, when the status is 200 */
    uint64_t duplicates; /* the same */
    char chunk[16];      /* of an acknowledgement */
};

#define TY_LOAD_REPLY_BROKEN SIZE_MAX

/*
 * Both look at the beginning of `data` and return the length of the whole reply there, 0 when more
 * bytes are needed, or TY_LOAD_REPLY_BROKEN for what a Tally server never sends.
 *
 * ty_load_reply_http: an HTTP/1.1 response with Content-Length, the counts in its JSON.
 * ty_load_reply_ack: {"ack": chunk} in msgpack, for chunks of 16 bytes of text.
 */
size_t ty_load_reply_http(const char *data, size_t length, struct ty_load_reply *reply);
size_t ty_load_reply_ack(const char *data, size_t length, struct ty_load_reply *reply);

#endif
