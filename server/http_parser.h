/*
 * http_parser.h: bytes in, complete HTTP/1.1 requests out. Pure: no sockets, no clock.
 *
 * Framing is llhttp's in strict mode (RFC 9112). On top of it come the things that llhttp leaves to
 * its user: limits on every part, Host rules, obs-fold and bare line ends, transfer codings other
 * than chunked, HTTP/0.9, CONNECT. How the input is cut into pieces never changes what comes out.
 *
 * Threads: one owner at a time; different parsers are independent.
 */
#ifndef TY_SERVER_HTTP_PARSER_H
#define TY_SERVER_HTTP_PARSER_H

#include <llhttp.h>

#include "server/http_message.h"

/* Most bytes (or headers) of each part; every one must be at least 1. */
struct ty_http_limits {
    size_t url_bytes_max;    /* the request target; above: 414 */
    size_t header_bytes_max; /* all header lines together, and separately trailers; above: 431 */
    size_t header_count_max; /* above: 431 */
    size_t body_bytes_max;   /* above: 413, before any of it is read if the length was declared */
};

/* What was wrong with a request, for counters. */
enum ty_http_fault_kind {
    TY_HTTP_FAULT_NONE,
    TY_HTTP_FAULT_MALFORMED,   /* 400 */
    TY_HTTP_FAULT_TIMEOUT,     /* 408 */
    TY_HTTP_FAULT_BODY_SIZE,   /* 413 */
    TY_HTTP_FAULT_URL_SIZE,    /* 414 */
    TY_HTTP_FAULT_EXPECTATION, /* 417 */
    TY_HTTP_FAULT_HEADER_SIZE, /* 431 */
    TY_HTTP_FAULT_CODING,      /* 501 */
    TY_HTTP_FAULT_MEMORY,      /* 503 */
    TY_HTTP_FAULT_VERSION,     /* 505 */
    TY_HTTP_FAULT_TRUNCATED,   /* the client closed in the middle of a request */
    TY_HTTP_FAULT_COUNT
};

/* "malformed", "timeout", …: the kind's name in metrics; a constant. */
const char *ty_http_fault_name(enum ty_http_fault_kind kind);

/* The status code that a fault is answered with; 400 for what has none of its own. */
int ty_http_fault_status(enum ty_http_fault_kind kind);

enum ty_http_step {
    TY_HTTP_STEP_MORE, /* all bytes are taken; the request goes on */
    TY_HTTP_STEP_HEAD, /* the head is complete, a body follows; go on with the rest of the bytes */
    TY_HTTP_STEP_REQUEST, /* a request is complete; go on with the rest and the next message */
    TY_HTTP_STEP_FAULT    /* this and all later bytes are useless: see fault and detail */
};

struct ty_http_parser {
    enum ty_http_fault_kind fault; /* set by TY_HTTP_STEP_FAULT */
    const char *detail;            /* what is wrong and what is allowed; a constant or in `text` */
    /* Private. */
    llhttp_t llhttp;
    const struct ty_http_limits *limits;
    struct ty_http_message *message;
    size_t head_bytes; /* raw bytes of this head so far */
    size_t body_bytes; /* raw bytes of this body so far, its framing included */
    size_t url_length;
    bool is_started;     /* a byte of a request has arrived */
    bool is_in_header;   /* the last of the message's headers is still being read */
    bool is_head_done;   /* the empty line has been read */
    bool is_done;        /* the whole request has been read */
    bool is_line_done;   /* the request line has been read */
    char previous;       /* the last raw byte of the head */
    char protocol_first; /* the first letter of the request line's last word so far */
    unsigned char blank; /* bytes of empty lines before the request line */
    char text[120];      /* where a detail is assembled */
};

/* ty_http_parser_init begins a connection. `limits` is borrowed for the parser's life. */
void ty_http_parser_init(struct ty_http_parser *parser, const struct ty_http_limits *limits);

/*
 * ty_http_parser_feed takes up to `length` bytes of input for the request that is being read into
 * `message`, and says in `used` how many it took. The message must be the same one, and must not be
 * touched, from the first byte of a request to its last; it must be empty (reset) at the first.
 * After TY_HTTP_STEP_REQUEST the message is the caller's. A request whose keep_alive is false is
 * the last: what follows it must not be fed.
 */
enum ty_http_step ty_http_parser_feed(struct ty_http_parser *parser,
                                      struct ty_http_message *message, const char *data,
                                      size_t length, size_t *used);

/* True between the first byte of a request and its last: closing here cuts a request. */
bool ty_http_parser_in_request(const struct ty_http_parser *parser);

/* True while the body of a request is being read. */
bool ty_http_parser_in_body(const struct ty_http_parser *parser);

#endif
