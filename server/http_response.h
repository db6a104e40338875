/*
 * http_response.h: the bytes of an answer: status line, headers, problem documents.
 *
 * Threads: nothing here has state of its own.
 */
#ifndef TY_SERVER_HTTP_RESPONSE_H
#define TY_SERVER_HTTP_RESPONSE_H

#include <time.h>

#include "engine/buffer.h"

/* "Not Found" for 404 (RFC 9110, section 15); "Unknown" for what is not listed. A constant. */
const char *ty_http_status_phrase(int status);

/* The Date header's text, made anew only when the second changes. All zero is valid. */
struct ty_http_date {
    time_t second;
    char text[32];
};

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, section 5.6.7) for `now`; valid until the next call.
 */
const char *ty_http_date_text(struct ty_http_date *date, time_t now);

/* What stands before the body of an answer. Texts are borrowed. */
struct ty_http_head {
    int status;
    size_t content_length;    /* written unless the status allows none (1xx, 204) */
    const char *content_type; /* NULL: none */
    const char *connection;   /* "close", "keep-alive", or NULL: none */
    const char *server_name;  /* NULL: none */
    const char *date;
    const char *extra; /* whole header lines with their CRLFs, or NULL */
};

/* ty_http_response_head appends the status line, the headers and the empty line to `out`. */
void ty_http_response_head(struct ty_buffer *out, const struct ty_http_head *head);

/* One entry of a problem's "errors": {"loc":[where,name],"msg":message}. */
struct ty_http_problem_error {
    const char *where;   /* "query", "path", "header", "body" */
    struct ty_text name; /* the parameter; empty: only `where` is in loc */
    const char *message;
};

/* An RFC 9457 problem. Texts may hold any bytes: what is not UTF-8 is replaced by U+FFFD. */
struct ty_http_problem {
    int status;
    const char *detail;                         /* what is wrong, what is allowed */
    const struct ty_http_problem_error *errors; /* of error_count; may be NULL */
    size_t error_count;
    const char *members; /* more JSON members as they are ("\"outcome\":\"unknown\""), or NULL */
};

/* ty_http_problem_body appends the problem as JSON to `out`. */
void ty_http_problem_body(struct ty_buffer *out, const struct ty_http_problem *problem);

#endif
