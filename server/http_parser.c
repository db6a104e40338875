#include "server/http_parser.h"

#include <stdio.h>
#include <string.h>

#include "server/http_head.h"

enum {
    BLANK_BYTES_MAX = 4,   /* empty lines before a request line that are passed over */
    CHUNK_OVERHEAD_MAX = 8 /* raw bytes of a chunked body for each byte it may hold */
};

static const struct {
    const char *name;
    int status;
} faults[TY_HTTP_FAULT_COUNT] = {
    [TY_HTTP_FAULT_NONE] = {"none", 400},
    [TY_HTTP_FAULT_MALFORMED] = {"malformed", 400},
    [TY_HTTP_FAULT_TIMEOUT] = {"timeout", 408},
    [TY_HTTP_FAULT_BODY_SIZE] = {"body_size", 413},
    [TY_HTTP_FAULT_URL_SIZE] = {"url_size", 414},
    [TY_HTTP_FAULT_EXPECTATION] = {"expectation", 417},
    [TY_HTTP_FAULT_HEADER_SIZE] = {"header_size", 431},
    [TY_HTTP_FAULT_CODING] = {"coding", 501},
    [TY_HTTP_FAULT_MEMORY] = {"memory", 503},
    [TY_HTTP_FAULT_VERSION] = {"version", 505},
    [TY_HTTP_FAULT_TRUNCATED] = {"truncated", 400},
};

const char *ty_http_fault_name(enum ty_http_fault_kind kind)
{
    return faults[kind].name;
}

int ty_http_fault_status(enum ty_http_fault_kind kind)
{
    return faults[kind].status;
}

/* Remembers the first fault; the return value is what an llhttp callback returns to stop. */
static int fail(struct ty_http_parser *parser, enum ty_http_fault_kind kind, const char *detail)
{
    if (parser->fault == TY_HTTP_FAULT_NONE) {
        parser->fault = kind;
        parser->detail = detail;
    }
    return -1;
}

static int fail_limit(struct ty_http_parser *parser, enum ty_http_fault_kind kind, const char *what,
                      size_t limit, const char *unit)
{
    snprintf(parser->text, sizeof(parser->text), "%s: at most %zu %s are allowed", what, limit,
             unit);
    return fail(parser, kind, parser->text);
}

static int fail_memory(struct ty_http_parser *parser)
{
    return fail(parser, TY_HTTP_FAULT_MEMORY, "no memory for this request; try again later");
}

/* ---- what llhttp calls ---- */

static struct ty_http_parser *parser_of(llhttp_t *llhttp)
{
    return TY_CONTAINER_OF(llhttp, struct ty_http_parser, llhttp);
}

static int on_url(llhttp_t *llhttp, const char *data, size_t length)
{
    struct ty_http_parser *parser = parser_of(llhttp);
    size_t limit = parser->limits->url_bytes_max;
    char *room;

    if (length > limit - parser->url_length)
        return fail_limit(parser, TY_HTTP_FAULT_URL_SIZE, "the request target is too long", limit,
                          "bytes");
    room = ty_http_message_extend_head(parser->message, length);
    if (room == NULL)
        return fail_memory(parser);
    memcpy(room, data, length);
    parser->url_length += length;
    return 0;
}

static int on_header_field(llhttp_t *llhttp, const char *data, size_t length)
{
    struct ty_http_parser *parser = parser_of(llhttp);
    struct ty_http_message *message = parser->message;
    struct ty_http_header *header;
    char *room;

    if (parser->is_head_done)
        return 0; /* a trailer: read for its framing only */
    if (!parser->is_in_header) {
        if (message->request.header_count == parser->limits->header_count_max)
            return fail_limit(parser, TY_HTTP_FAULT_HEADER_SIZE, "too many headers",
                              parser->limits->header_count_max, "header lines");
        if (ty_http_message_add_header(message) == NULL)
            return fail_memory(parser);
        parser->is_in_header = true;
    }
    room = ty_http_message_extend_head(message, length);
    if (room == NULL)
        return fail_memory(parser);
    header = &message->headers[message->request.header_count - 1];
    if (header->name.data == NULL)
        header->name.data = room;
    header->name.length += length;
    for (size_t i = 0; i < length; i++)
        room[i] = (char)(data[i] >= 'A' && data[i] <= 'Z' ? data[i] | 0x20 : data[i]);
    return 0;
}

/* The header whose value is being read. llhttp lets a header without a name pass. */
static struct ty_http_header *named_header(struct ty_http_parser *parser)
{
    struct ty_http_message *message = parser->message;

    if (parser->is_in_header && message->headers[message->request.header_count - 1].name.length > 0)
        return &message->headers[message->request.header_count - 1];
    fail(parser, TY_HTTP_FAULT_MALFORMED, "a header must have a name");
    return NULL;
}

static int on_header_value(llhttp_t *llhttp, const char *data, size_t length)
{
    struct ty_http_parser *parser = parser_of(llhttp);
    struct ty_http_message *message = parser->message;
    struct ty_http_header *header;
    char *room;

    if (parser->is_head_done)
        return 0;
    header = named_header(parser);
    if (header == NULL)
        return -1;
    room = ty_http_message_extend_head(message, length);
    if (room == NULL)
        return fail_memory(parser);
    if (header->value.data == NULL)
        header->value.data = room;
    header->value.length += length;
    memcpy(room, data, length);
    return 0;
}

static int on_header_value_complete(llhttp_t *llhttp)
{
    struct ty_http_parser *parser = parser_of(llhttp);
    struct ty_http_message *message = parser->message;
    struct ty_http_header *header;
    struct ty_text *value;

    if (parser->is_head_done)
        return 0;
    header = named_header(parser);
    if (header == NULL)
        return -1;
    value = &header->value;
    if (value->data == NULL)
        value->data = message->head + message->head_length;
    while (value->length > 0 &&
           (value->data[value->length - 1] == ' ' || value->data[value->length - 1] == '\t'))
        value->length--;
    parser->is_in_header = false;
    return 0;
}

static enum ty_http_method method_of(const llhttp_t *llhttp)
{
    switch (llhttp->method) {
    case HTTP_GET:
        return TY_HTTP_GET;
    case HTTP_HEAD:
        return TY_HTTP_HEAD;
    case HTTP_POST:
        return TY_HTTP_POST;
    case HTTP_PUT:
        return TY_HTTP_PUT;
    case HTTP_DELETE:
        return TY_HTTP_DELETE;
    case HTTP_PATCH:
        return TY_HTTP_PATCH;
    case HTTP_OPTIONS:
        return TY_HTTP_OPTIONS;
    default:
        return TY_HTTP_OTHER;
    }
}

static int on_headers_complete(llhttp_t *llhttp)
{
    struct ty_http_parser *parser = parser_of(llhttp);
    struct ty_http_message *message = parser->message;
    struct ty_http_request *request = &message->request;
    struct ty_text target = {message->head, parser->url_length};
    size_t body_max = parser->limits->body_bytes_max;
    enum ty_http_fault_kind kind;
    const char *detail;

    if (llhttp->http_major != 1)
        return fail(parser,
                    llhttp->http_major > 1 ? TY_HTTP_FAULT_VERSION : TY_HTTP_FAULT_MALFORMED,
                    "the version must be HTTP/1.1 or HTTP/1.0");
    if (llhttp->method == HTTP_CONNECT)
        return fail(parser, TY_HTTP_FAULT_MALFORMED, "CONNECT is not served: this is no proxy");
    request->method = method_of(llhttp);
    request->is_http10 = llhttp->http_minor == 0;
    request->keep_alive = llhttp_should_keep_alive(llhttp) != 0;
    kind = ty_http_head_finish(request, target, &detail);
    if (kind != TY_HTTP_FAULT_NONE)
        return fail(parser, kind, detail);
    if ((llhttp->flags & F_CONTENT_LENGTH) != 0) {
        if (llhttp->content_length > body_max)
            return fail_limit(parser, TY_HTTP_FAULT_BODY_SIZE, "the body is too long", body_max,
                              "bytes");
        message->body_declared = (size_t)llhttp->content_length;
    }
    llhttp->upgrade = 0; /* an Upgrade that is not taken up is ignored (RFC 9110, section 7.8) */
    parser->is_head_done = true;
    return HPE_PAUSED;
}

static int on_chunk_header(llhttp_t *llhttp)
{
    struct ty_http_parser *parser = parser_of(llhttp);
    size_t limit = parser->limits->body_bytes_max;

    if (llhttp->content_length > limit - parser->message->request.body.length)
        return fail_limit(parser, TY_HTTP_FAULT_BODY_SIZE, "the body is too long", limit, "bytes");
    return 0;
}

static int on_body(llhttp_t *llhttp, const char *data, size_t length)
{
    struct ty_http_parser *parser = parser_of(llhttp);
    struct ty_http_message *message = parser->message;

    if (!ty_http_message_reserve_body(message, length))
        return fail_memory(parser);
    memcpy(message->body + message->request.body.length, data, length);
    message->request.body.length += length;
    return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
    parser_of(llhttp)->is_done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- feeding ---- */

void ty_http_parser_init(struct ty_http_parser *parser, const struct ty_http_limits *limits)
{
    *parser = (struct ty_http_parser){.limits = limits};
}

static void begin_request(struct ty_http_parser *parser, struct ty_http_message *message)
{
    ty_http_parser_init(parser, parser->limits);
    llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
    parser->message = message;
    parser->is_started = true;
}

/* Passes over the few empty lines that old clients send after a body (RFC 9112, section 2.2). */
static size_t skip_blank(struct ty_http_parser *parser, const char *data, size_t length)
{
    size_t at = 0;

    while (at < length && parser->blank < BLANK_BYTES_MAX &&
           data[at] == (parser->blank % 2 == 0 ? '\r' : '\n')) {
        parser->blank++;
        at++;
    }
    return at;
}

/*
 * Looks at the raw bytes of a head for what llhttp lets pass: a line that continues the one above
 * (obs-fold, RFC 9112, section 5.2), line ends that are not CR LF, and protocols that are not HTTP.
 */
static bool scan_head(struct ty_http_parser *parser, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = data[i];

        if ((c == '\n') != (parser->previous == '\r')) {
            fail(parser, TY_HTTP_FAULT_MALFORMED, "a line must end with CR LF");
            return false;
        }
        if (parser->previous == '\n' && (c == ' ' || c == '\t')) {
            fail(parser, TY_HTTP_FAULT_MALFORMED, "a header must stand on one line (obs-fold)");
            return false;
        }
        if (!parser->is_line_done) {
            if (parser->previous == ' ')
                parser->protocol_first = c;
            if (c == '\n' && parser->protocol_first != '\0') {
                parser->is_line_done = true;
                if (parser->protocol_first != 'H') {
                    fail(parser, TY_HTTP_FAULT_MALFORMED, "the protocol must be HTTP/1.1");
                    return false;
                }
            }
        }
        parser->previous = c;
    }
    return true;
}

/* Turns what llhttp says into a fault, unless a callback of ours has already found one. */
static void fail_llhttp(struct ty_http_parser *parser, llhttp_errno_t error, char first)
{
    const char *reason = llhttp_get_error_reason(&parser->llhttp);

    if (parser->fault != TY_HTTP_FAULT_NONE)
        return;
    if (error == HPE_INVALID_VERSION && reason != NULL &&
        strcmp(reason, "Invalid HTTP version") == 0) {
        fail(parser, TY_HTTP_FAULT_VERSION, "the version must be HTTP/1.1 or HTTP/1.0");
        return;
    }
    if (error == HPE_PAUSED_H2_UPGRADE) {
        fail(parser, TY_HTTP_FAULT_MALFORMED, "HTTP/2 is not spoken here: use HTTP/1.1");
        return;
    }
    if (error == HPE_INVALID_METHOD && first == 0x16) {
        fail(parser, TY_HTTP_FAULT_MALFORMED, "this looks like TLS; this port speaks plain HTTP");
        return;
    }
    snprintf(parser->text, sizeof(parser->text), "this is not valid HTTP/1.1: %s",
             reason == NULL || reason[0] == '\0' ? llhttp_errno_name(error) : reason);
    fail(parser, TY_HTTP_FAULT_MALFORMED, parser->text);
}

/* Runs llhttp over data that begins inside one part of the request; returns how much it took. */
static size_t run_llhttp(struct ty_http_parser *parser, const char *data, size_t length)
{
    llhttp_errno_t error = llhttp_execute(&parser->llhttp, data, length);
    char first = length == 0 ? '\0' : data[0];

    if (error == HPE_OK)
        return length;
    length = (size_t)(llhttp_get_error_pos(&parser->llhttp) - data);
    if (error == HPE_PAUSED && parser->fault == TY_HTTP_FAULT_NONE)
        llhttp_resume(&parser->llhttp);
    else
        fail_llhttp(parser, error, first);
    return length;
}

static size_t feed_head(struct ty_http_parser *parser, const char *data, size_t length)
{
    const struct ty_http_limits *limits = parser->limits;
    size_t most = limits->header_bytes_max + limits->url_bytes_max + 1 - parser->head_bytes;
    size_t taken = run_llhttp(parser, data, TY_MIN(length, most));

    if (parser->fault != TY_HTTP_FAULT_NONE || !scan_head(parser, data, taken))
        return taken;
    parser->head_bytes += taken;
    if (parser->head_bytes - parser->url_length > limits->header_bytes_max)
        fail_limit(parser, TY_HTTP_FAULT_HEADER_SIZE, "the header lines are too long",
                   limits->header_bytes_max, "bytes");
    return taken;
}

static size_t feed_body(struct ty_http_parser *parser, const char *data, size_t length)
{
    const struct ty_http_limits *limits = parser->limits;
    size_t taken = run_llhttp(parser, data, length);

    /* Chunk extensions, leading zeros and trailers have no other bound. */
    parser->body_bytes += taken;
    if (parser->body_bytes / CHUNK_OVERHEAD_MAX > limits->body_bytes_max + limits->header_bytes_max)
        fail(parser, TY_HTTP_FAULT_BODY_SIZE, "the framing of the chunked body is too long");
    return taken;
}

static enum ty_http_step finish_request(struct ty_http_parser *parser)
{
    struct ty_http_message *message = parser->message;

    if (!ty_http_message_reserve_body(message, 0)) {
        fail_memory(parser);
        return TY_HTTP_STEP_FAULT;
    }
    memset(message->body + message->request.body.length, 0, TY_HTTP_BODY_SPARE);
    parser->is_started = false;
    parser->blank = 0;
    return TY_HTTP_STEP_REQUEST;
}

enum ty_http_step ty_http_parser_feed(struct ty_http_parser *parser,
                                      struct ty_http_message *message, const char *data,
                                      size_t length, size_t *used)
{
    bool was_head = !parser->is_started || !parser->is_head_done;
    size_t at = 0;

    *used = 0;
    if (parser->fault != TY_HTTP_FAULT_NONE)
        return TY_HTTP_STEP_FAULT;
    if (!parser->is_started) {
        at = skip_blank(parser, data, length);
        *used = at;
        if (at == length)
            return TY_HTTP_STEP_MORE;
        if (parser->blank % 2 != 0) {
            fail(parser, TY_HTTP_FAULT_MALFORMED, "a line must end with CR LF");
            return TY_HTTP_STEP_FAULT;
        }
        begin_request(parser, message);
    }
    TY_ASSERT(parser->message == message);
    if (was_head) {
        while (at < length && !parser->is_head_done && parser->fault == TY_HTTP_FAULT_NONE)
            at += feed_head(parser, data + at, length - at);
        /* Without a body llhttp completes the request without another byte. */
        if (parser->is_head_done && parser->fault == TY_HTTP_FAULT_NONE &&
            (parser->llhttp.flags & F_CHUNKED) == 0 && message->body_declared == 0)
            feed_body(parser, data + at, 0);
    } else {
        at += feed_body(parser, data, length);
    }
    *used = at;
    if (parser->fault != TY_HTTP_FAULT_NONE)
        return TY_HTTP_STEP_FAULT;
    if (parser->is_done)
        return finish_request(parser);
    return was_head && parser->is_head_done ? TY_HTTP_STEP_HEAD : TY_HTTP_STEP_MORE;
}

bool ty_http_parser_in_request(const struct ty_http_parser *parser)
{
    return parser->is_started;
}

bool ty_http_parser_in_body(const struct ty_http_parser *parser)
{
    return parser->is_started && parser->is_head_done;
}
