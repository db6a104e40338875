/*
 * load_connection.h: one connection of `tally bench`: messages out, replies in, in order.
 *
 * Threads: one owner at a time.
 */
#ifndef TY_SERVER_TOOL_LOAD_CONNECTION_H
#define TY_SERVER_TOOL_LOAD_CONNECTION_H

#include "server/tool/load_message.h"
#include "server/tool/load_reply.h"

/* A message under way. */
struct ty_load_sent {
    uint64_t number;
    int64_t due_ns;
};

struct ty_load_connection {
    int fd; /* -1: not connected */
    struct ty_load_message message;
    size_t written;            /* of the message; all of it: another one may begin */
    struct ty_load_sent *sent; /* a ring of `outstanding_max` */
    unsigned outstanding_max;
    uint64_t sent_count;  /* since the beginning; the newest is number sent_count - 1 */
    uint64_t reply_count; /* those that have been answered or given up */
    char *input;
    size_t input_length;
    int64_t retry_at_ns; /* when to connect again */
};

/* ty_load_connection_init makes its message and its ring, not the connection. False: no memory. */
bool ty_load_connection_init(struct ty_load_connection *connection, const struct ty_load_plan *plan,
                             unsigned outstanding_max);
void ty_load_connection_fini(struct ty_load_connection *connection);

/* ty_load_connection_open connects (and waits for it); false with errno, or 0 in errno when the
 * address, "host:port" or "unix:PATH", is none. */
bool ty_load_connection_open(struct ty_load_connection *connection, const char *address);

/* ty_load_connection_drop closes it and returns how many messages will never be answered. */
uint64_t ty_load_connection_drop(struct ty_load_connection *connection);

/* Whether another message can be begun now. */
bool ty_load_connection_is_free(const struct ty_load_connection *connection);

/* ty_load_connection_begin begins a message; now_ms goes into its events. */
void ty_load_connection_begin(struct ty_load_connection *connection, uint64_t number,
                              int64_t due_ns, int64_t now_ms);

/* How many messages wait for their answer. */
uint64_t ty_load_connection_waiting(const struct ty_load_connection *connection);

/* ty_load_connection_write sends what it can of the message begun; false: the connection broke. */
bool ty_load_connection_write(struct ty_load_connection *connection);

/* ty_load_connection_read takes what has arrived; false: the connection broke or was closed. */
bool ty_load_connection_read(struct ty_load_connection *connection);

enum ty_load_step {
    TY_LOAD_NOTHING, /* no whole reply is there */
    TY_LOAD_ANSWERED,
    TY_LOAD_BROKEN /* it is no reply of a Tally server, or another message's */
};

/* ty_load_connection_next takes the next reply; *sent is the message that it answers. */
enum ty_load_step ty_load_connection_next(struct ty_load_connection *connection,
                                          struct ty_load_reply *reply, struct ty_load_sent *sent);

#endif
