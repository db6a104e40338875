/*
 * http_message.h: one HTTP request, how it is read, and the memory that it lives in.
 *
 * A message is filled by the parser and reused for the next request. Threads: one owner at a time.
 */
#ifndef TY_SERVER_HTTP_MESSAGE_H
#define TY_SERVER_HTTP_MESSAGE_H

#include "engine/base.h"

/* Zero bytes that follow every body, so that a scanner may look a little past its end. */
#define TY_HTTP_BODY_SPARE 64

enum ty_http_method {
    TY_HTTP_GET,
    TY_HTTP_HEAD,
    TY_HTTP_POST,
    TY_HTTP_PUT,
    TY_HTTP_DELETE,
    TY_HTTP_PATCH,
    TY_HTTP_OPTIONS,
    TY_HTTP_OTHER
};

struct ty_http_header {
    struct ty_text name;  /* in lower case */
    struct ty_text value; /* without white space around it */
};

/* One complete request. Everything it points to lives as long as the message that holds it. */
struct ty_http_request {
    enum ty_http_method method;
    struct ty_text path;  /* raw, still percent-encoded; begins with '/', or is "*" */
    struct ty_text query; /* raw, without its '?'; empty when there is none */
    struct ty_text body;  /* contiguous; data is never NULL; TY_HTTP_BODY_SPARE zeros follow */
    const struct ty_http_header *headers; /* in the order of arrival */
    size_t header_count;
    bool is_http10;
    bool keep_alive;       /* the client wants to go on with this connection */
    bool expects_continue; /* "Expect: 100-continue" */
};

/* The value of the first header of that name (given in lower case); data is NULL: no such header.*/
struct ty_text ty_http_request_header(const struct ty_http_request *request, const char *name);

/*
 * ty_http_request_next_header finds the next header whose name begins with `prefix` (lower case, ""
 * for all). `at` is 0 for the first call and moves by itself. NULL: no more.
 */
const struct ty_http_header *ty_http_request_next_header(const struct ty_http_request *request,
                                                         const char *prefix, size_t *at);

/* Holds one request and its memory. All zero is a valid, empty message. */
struct ty_http_message {
    struct ty_http_request request;
    /* Private to http_message.c. */
    char *head; /* the request target, then name and value of each header */
    size_t head_length, head_capacity;
    struct ty_http_header *headers;
    size_t header_capacity;
    char *body;
    size_t body_capacity;
    size_t body_declared; /* what Content-Length said; 0: not said */
};

/* Bytes of memory that the message's body holds at this moment. */
size_t ty_http_message_body_capacity(const struct ty_http_message *message);

/* ty_http_message_reset empties the message and keeps up to `keep_bytes` of body memory and the
 * (small) memory of the head for the next request. */
void ty_http_message_reset(struct ty_http_message *message, size_t keep_bytes);

/* ty_http_message_fini frees all memory; the message is empty and usable again. */
void ty_http_message_fini(struct ty_http_message *message);

/* ty_http_message_extend_head makes the head longer by `bytes` and returns where they go; texts
 * that point into the head are moved with it. NULL: no memory. For the parser. */
char *ty_http_message_extend_head(struct ty_http_message *message, size_t bytes);

/* ty_http_message_add_header adds an empty header at the end. NULL: no memory. For the parser. */
struct ty_http_header *ty_http_message_add_header(struct ty_http_message *message);

/* ty_http_message_reserve_body makes room for `bytes` more of the body and for the spare bytes
 * after it: doubling, but never past what was declared, so that the usual upload ends in a block of
 * its own size. Returns false: no memory. For the parser. */
bool ty_http_message_reserve_body(struct ty_http_message *message, size_t bytes);

#endif
