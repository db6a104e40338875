/*
 * http_dump.h: what a parser makes of some bytes, as text that two runs can be compared by.
 */
#ifndef TY_TESTS_SUPPORT_HTTP_DUMP_H
#define TY_TESTS_SUPPORT_HTTP_DUMP_H

#include <stdlib.h>
#include <string.h>

#include "engine/buffer.h"
#include "server/http_parser.h"

struct http_dump {
    struct ty_buffer text; /* one paragraph a request */
    unsigned requests;
    enum ty_http_fault_kind fault;
    char detail[160];
    bool is_partial; /* the input ended inside a request */
};

static inline void http_dump_text(struct ty_buffer *out, const char *label, struct ty_text text)
{
    ty_buffer_append_format(out, "%s %zu ", label, text.length);
    ty_buffer_append(out, text.data, text.length);
    ty_buffer_append_char(out, '\n');
}

static inline void http_dump_request(struct ty_buffer *out, const struct ty_http_request *request)
{
    ty_buffer_append_format(out, "method %d http10 %d keep %d expects %d\n", (int)request->method,
                            request->is_http10, request->keep_alive, request->expects_continue);
    http_dump_text(out, "path", request->path);
    http_dump_text(out, "query", request->query);
    for (size_t i = 0; i < request->header_count; i++) {
        http_dump_text(out, "name", request->headers[i].name);
        http_dump_text(out, "value", request->headers[i].value);
    }
    http_dump_text(out, "body", request->body);
    for (size_t i = 0; i < TY_HTTP_BODY_SPARE; i++)
        TY_ASSERT(request->body.data[request->body.length + i] == '\0');
}

/* Feeds one piece; each piece is a block of its own, so that reading past it is noticed. */
static inline void http_dump_feed(struct http_dump *dump, struct ty_http_parser *parser,
                                  struct ty_http_message *message, const char *data, size_t length,
                                  bool *is_last)
{
    char *piece = malloc(length == 0 ? 1 : length);
    size_t at = 0;

    if (length > 0)
        memcpy(piece, data, length);
    while (at < length && !*is_last) {
        size_t used;
        enum ty_http_step step =
            ty_http_parser_feed(parser, message, piece + at, length - at, &used);

        TY_ASSERT(used <= length - at);
        TY_ASSERT(step != TY_HTTP_STEP_MORE || used == length - at);
        at += used;
        if (step == TY_HTTP_STEP_REQUEST) {
            dump->requests++;
            http_dump_request(&dump->text, &message->request);
            *is_last = !message->request.keep_alive;
            ty_http_message_reset(message, 100);
        } else if (step == TY_HTTP_STEP_FAULT) {
            dump->fault = parser->fault;
            strncpy(dump->detail, parser->detail, sizeof(dump->detail) - 1);
            *is_last = true;
        }
    }
    free(piece);
}

/*
 * Parses `data` in pieces: first `first` bytes, then pieces of `step` bytes. The caller frees
 * dump.text.
 */
static inline struct http_dump http_dump_parse(const char *data, size_t length,
                                               const struct ty_http_limits *limits, size_t first,
                                               size_t step)
{
    struct http_dump dump = {0};
    struct ty_http_parser parser;
    struct ty_http_message message = {0};
    bool is_last = false;
    size_t at = TY_MIN(first, length);

    ty_http_parser_init(&parser, limits);
    http_dump_feed(&dump, &parser, &message, data, at, &is_last);
    while (at < length) {
        size_t piece = TY_MIN(step, length - at);

        http_dump_feed(&dump, &parser, &message, data + at, piece, &is_last);
        at += piece;
    }
    dump.is_partial = dump.fault == TY_HTTP_FAULT_NONE && ty_http_parser_in_request(&parser);
    ty_http_message_fini(&message);
    ty_buffer_append_char(&dump.text, '\0');
    return dump;
}

#endif
