#include <criterion/criterion.h>
#include <stdio.h>

#include "server/http_parser.h"
#include "tests/support/http_dump.h"

static const struct ty_http_limits limits = {
    .url_bytes_max = 64,
    .header_bytes_max = 256,
    .header_count_max = 8,
    .body_bytes_max = 100,
};

#define H "Host: a\r\n"

/* Parses whole, and checks that every cut into two and byte by byte come to the same. */
static struct http_dump parse_every_way(const char *data, size_t length)
{
    struct http_dump whole = http_dump_parse(data, length, &limits, length, length);

    for (size_t cut = 0; cut <= length; cut++) {
        bool single = cut == length; /* the last round goes byte by byte */
        struct http_dump other =
            http_dump_parse(data, length, &limits, single ? 0 : cut, single ? 1 : length);

        cr_assert_str_eq(other.text.data, whole.text.data, "cut at %zu", cut);
        cr_assert_eq(other.requests, whole.requests);
        cr_assert_eq(other.fault != 0, whole.fault != 0, "cut at %zu of \"%s\": %s", cut, data,
                     other.detail);
        cr_assert_eq(other.is_partial, whole.is_partial, "cut at %zu", cut);
        ty_buffer_fini(&other.text);
    }
    return whole;
}

static const char *const valid[] = {
    "GET / HTTP/1.1\r\n" H "\r\n",
    "HEAD /a/b?c=d&e=%20 HTTP/1.1\r\nhOsT: a:80\r\nAccept:*/*\r\nX: \t padded \t \r\nE:\r\n\r\n",
    "POST /p HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello",
    "POST /p HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
    "POST /c HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n"
    "3\r\nabc\r\n00a;x=\"y;z\"\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
    "PUT http://host:1/x?y HTTP/1.1\r\n" H "Upgrade: h2c\r\nConnection: Upgrade\r\n"
    "Content-Length: 2\r\n\r\nab",
    "GET http://host?y HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\n" H "\r\n",
    "\r\n\r\nDELETE /x HTTP/1.1\r\n" H "Expect: 100-Continue\r\n\r\n",
    "GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "PATCH /x HTTP/1.1\r\nHost:\r\nCookie: a\x80\xff\r\n\r\n",
    "REPORT /x? HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
};

/* If this fails, requests change with how the network cuts them into packets. */
Test(http_parser, any_cut_of_valid_requests_gives_the_same_requests)
{
    struct ty_buffer all = {0};

    for (size_t i = 0; i < TY_COUNT_OF(valid); i++) {
        struct http_dump dump = parse_every_way(valid[i], strlen(valid[i]));

        cr_assert_eq(dump.fault, TY_HTTP_FAULT_NONE, "%s: %s", valid[i], dump.detail);
        cr_assert_eq(dump.requests, 1, "%s", valid[i]);
        cr_assert_eq(dump.is_partial, false, "%s", valid[i]);
        ty_buffer_append_text(&all, valid[i]);
        ty_buffer_fini(&dump.text);
    }
    struct http_dump dump = parse_every_way(all.data, all.length);

    cr_assert_eq(dump.requests, TY_COUNT_OF(valid));
    ty_buffer_fini(&dump.text);
    ty_buffer_fini(&all);
}

static struct ty_http_message parse_one(const char *data)
{
    struct ty_http_message message = {0};
    struct ty_http_parser parser;
    size_t at = 0, used;
    enum ty_http_step step = TY_HTTP_STEP_HEAD;

    ty_http_parser_init(&parser, &limits);
    while (step == TY_HTTP_STEP_HEAD) {
        step = ty_http_parser_feed(&parser, &message, data + at, strlen(data) - at, &used);
        at += used;
    }
    cr_assert_eq(step, TY_HTTP_STEP_REQUEST, "%d %s: %s", (int)step, data, parser.detail);
    cr_assert_eq(at, strlen(data));
    return message;
}

#define ASSERT_TEXT(text, expected)                                                                \
    cr_assert((text).length == strlen(expected) &&                                                 \
                  memcmp((text).data, expected, strlen(expected)) == 0,                            \
              "\"%.*s\" is not \"%s\"", (int)(text).length, (text).data, expected)

/* If this fails, routes and handlers see another request than the client sent. */
Test(http_parser, parts_of_a_request_are_what_was_sent)
{
    struct ty_http_message message = parse_one(valid[1]);
    const struct ty_http_request *request = &message.request;

    cr_assert_eq(request->method, TY_HTTP_HEAD);
    ASSERT_TEXT(request->path, "/a/b");
    ASSERT_TEXT(request->query, "c=d&e=%20");
    cr_assert_eq(request->header_count, 4);
    ASSERT_TEXT(ty_http_request_header(request, "host"), "a:80");
    ASSERT_TEXT(ty_http_request_header(request, "x"), "padded");
    cr_assert_not_null(ty_http_request_header(request, "e").data);
    cr_assert_null(ty_http_request_header(request, "hos").data);
    cr_assert_eq(request->body.length, 0);
    cr_assert_not_null(request->body.data);
    ty_http_message_fini(&message);

    message = parse_one(valid[4]);
    ASSERT_TEXT(request->body, "abc0123456789");
    cr_assert_null(ty_http_request_header(request, "trailer").data);
    ty_http_message_fini(&message);

    message = parse_one(valid[5]);
    ASSERT_TEXT(request->path, "/x");
    ASSERT_TEXT(request->query, "y");
    ASSERT_TEXT(request->body, "ab");
    ty_http_message_fini(&message);

    message = parse_one(valid[6]);
    ASSERT_TEXT(request->path, "/");
    ASSERT_TEXT(request->query, "y");
    ty_http_message_fini(&message);
}

/* If this fails, CloudEvents attributes in ce- headers are lost. */
Test(http_parser, headers_are_found_by_their_prefix)
{
    struct ty_http_message message = parse_one("GET / HTTP/1.1\r\n" H "CE-Id: 1\r\nX: y\r\n"
                                               "ce-Source: s\r\nce: 3\r\n\r\n");
    const struct ty_http_header *header;
    size_t at = 0, count = 0;

    while ((header = ty_http_request_next_header(&message.request, "ce-", &at)) != NULL) {
        ASSERT_TEXT(header->name, count == 0 ? "ce-id" : "ce-source");
        ASSERT_TEXT(header->value, count == 0 ? "1" : "s");
        count++;
    }
    cr_assert_eq(count, 2);
    ty_http_message_fini(&message);
}

#define MALFORMED TY_HTTP_FAULT_MALFORMED

static const struct {
    const char *data;
    enum ty_http_fault_kind fault;
} refused[] = {
    /* Framing that two servers could read differently. */
    {"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
     MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\nabc", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\nabc", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 3x\r\n\r\nabc", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Content-Length : 3\r\n\r\nabc", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\n\r\n",
     MALFORMED},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n", TY_HTTP_FAULT_CODING},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
     TY_HTTP_FAULT_CODING},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", TY_HTTP_FAULT_CODING},
    /* Chunks. */
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
     MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc0\r\n\r\n", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", MALFORMED},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\n", MALFORMED},
    /* Lines. */
    {"GET / HTTP/1.1\n" H "\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\nHost: a\n\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\nHost: a\r\n\n", MALFORMED},
    {"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", MALFORMED},
    {"\nGET / HTTP/1.1\r\n" H "\r\n", MALFORMED},
    {"\rGET / HTTP/1.1\r\n" H "\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\n" H "X:\r\n b\r\n\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\n X: y\r\n" H "\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\n" H "no colon\r\n\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\n" H ": empty\r\n\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\n: empty\r\n\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\n" H ":\r\n\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\n" H "X(: y\r\n\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\n" H "X: a\x01"
     "b\r\n\r\n",
     MALFORMED},
    /* Host. */
    {"GET / HTTP/1.1\r\n\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\n" H H "\r\n", MALFORMED},
    {"GET / HTTP/1.0\r\n" H H "\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", MALFORMED},
    {"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", MALFORMED},
    /* Request line. */
    {"GET /\r\n\r\n", MALFORMED},
    {"GET / HTTP/0.9\r\n" H "\r\n", MALFORMED},
    {"GET / HTTP/2.0\r\n" H "\r\n", TY_HTTP_FAULT_VERSION},
    {"GET / HTTP/1.2\r\n" H "\r\n", TY_HTTP_FAULT_VERSION},
    {"GET / HTTP/11\r\n" H "\r\n", MALFORMED},
    {"GET / http/1.1\r\n" H "\r\n", MALFORMED},
    {"OPTIONS * RTSP/1.0\r\n" H "\r\n", MALFORMED},
    {"DESCRIBE / RTSP/1.0\r\n" H "\r\n", MALFORMED},
    {"SOURCE / ICE/1.0\r\n" H "\r\n", MALFORMED},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", MALFORMED},
    {"CONNECT a:1 HTTP/1.1\r\n" H "\r\n", MALFORMED},
    {"get / HTTP/1.1\r\n" H "\r\n", MALFORMED},
    {"NOSUCH / HTTP/1.1\r\n" H "\r\n", MALFORMED},
    {" GET / HTTP/1.1\r\n" H "\r\n", MALFORMED},
    {"GET /a#b HTTP/1.1\r\n" H "\r\n", MALFORMED},
    {"GET ftp://a/b HTTP/1.1\r\n" H "\r\n", MALFORMED},
    {"GET a HTTP/1.1\r\n" H "\r\n", MALFORMED},
    {"GET /a\x80 HTTP/1.1\r\n" H "\r\n", MALFORMED},
    {"GET /a b HTTP/1.1\r\n" H "\r\n", MALFORMED},
    {"\x16\x03\x01\x02", MALFORMED},
    {"HTTP/1.1 200 OK\r\n\r\n", MALFORMED},
    /* Expectations and limits. */
    {"POST / HTTP/1.1\r\n" H "Expect: the-worst\r\n\r\n", TY_HTTP_FAULT_EXPECTATION},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 101\r\n\r\n", TY_HTTP_FAULT_BODY_SIZE},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n65\r\n", TY_HTTP_FAULT_BODY_SIZE},
    {"GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\nI:\r\n\r\n",
     TY_HTTP_FAULT_HEADER_SIZE},
};

/* If this fails, a request that another server reads differently gets through (smuggling). */
Test(http_parser, malformed_requests_are_refused_however_they_are_cut)
{
    for (size_t i = 0; i < TY_COUNT_OF(refused); i++) {
        struct http_dump dump = parse_every_way(refused[i].data, strlen(refused[i].data));

        cr_assert_eq(dump.requests, 0, "taken: %s", refused[i].data);
        cr_assert_eq(dump.fault, refused[i].fault, "%s: %s, %s", refused[i].data,
                     ty_http_fault_name(dump.fault), dump.detail);
        cr_assert_neq(dump.detail[0], '\0');
        ty_buffer_fini(&dump.text);
    }
}

/* If this fails, a zero byte hides the rest of a line from whoever reads it as a C string. */
Test(http_parser, zero_bytes_are_refused_in_a_head_and_kept_in_a_body)
{
    static const char url[] = "GET /\0 HTTP/1.1\r\n" H "\r\n";
    static const char name[] = "GET / HTTP/1.1\r\n" H "A\0: b\r\n\r\n";
    static const char value[] = "GET / HTTP/1.1\r\n" H "A: b\0\r\n\r\n";
    static const char host[] = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";
    static const char body[] = "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\na\0b";
    const struct {
        const char *data;
        size_t length;
        unsigned requests;
    } cases[] = {{url, sizeof(url) - 1, 0},
                 {name, sizeof(name) - 1, 0},
                 {value, sizeof(value) - 1, 0},
                 {host, sizeof(host) - 1, 0},
                 {body, sizeof(body) - 1, 1}};

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct http_dump dump =
            http_dump_parse(cases[i].data, cases[i].length, &limits, SIZE_MAX, 1);

        cr_assert_eq(dump.requests, cases[i].requests, "case %zu", i);
        cr_assert_eq(dump.fault != 0, cases[i].requests == 0, "case %zu", i);
        ty_buffer_fini(&dump.text);
    }
}

/* Builds prefix + count × unit + suffix, and parses it in every way. */
static struct http_dump parse_repeated(const char *prefix, const char *unit, size_t count,
                                       const char *suffix)
{
    struct ty_buffer data = {0};
    struct http_dump dump;

    ty_buffer_append_text(&data, prefix);
    for (size_t i = 0; i < count; i++)
        ty_buffer_append_text(&data, unit);
    ty_buffer_append_text(&data, suffix);
    dump = parse_every_way(data.data, data.length);
    ty_buffer_fini(&data);
    ty_buffer_fini(&dump.text);
    return dump;
}

#define CHUNKED "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"

/* If this fails, one client can make the server hold or read without end. */
Test(http_parser, every_part_has_an_exact_limit)
{
    static const struct {
        const char *prefix, *unit, *suffix;
        size_t fits; /* repetitions that are allowed; one more is refused */
        enum ty_http_fault_kind fault;
    } cases[] = {
        {"GET /", "a", " HTTP/1.1\r\n" H "\r\n", 63, TY_HTTP_FAULT_URL_SIZE},
        /* The header lines' limit counts the request line's other words too: 27 bytes here. */
        {"GET / HTTP/1.1\r\n" H, "A", ":\r\n\r\n", 256 - 29, TY_HTTP_FAULT_HEADER_SIZE},
        {"GET / HTTP/1.1\r\n" H "A:", " ", "\r\n\r\n", 256 - 30, TY_HTTP_FAULT_HEADER_SIZE},
        {"GET / HTTP/1.1\r\n" H "A:", "b", "\r\n\r\n", 256 - 30, TY_HTTP_FAULT_HEADER_SIZE},
        {CHUNKED, "1\r\nx\r\n", "0\r\n\r\n", 100, TY_HTTP_FAULT_BODY_SIZE},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct http_dump dump =
            parse_repeated(cases[i].prefix, cases[i].unit, cases[i].fits, cases[i].suffix);

        cr_assert_eq(dump.requests, 1, "case %zu: %s", i, dump.detail);
        dump = parse_repeated(cases[i].prefix, cases[i].unit, cases[i].fits + 1, cases[i].suffix);
        cr_assert_eq(dump.requests, 0, "case %zu", i);
        cr_assert_eq(dump.fault, cases[i].fault, "case %zu: %s", i, dump.detail);
    }
}

/* If this fails, a client can send framing for ever that counts as no byte of a body. */
Test(http_parser, framing_without_content_ends)
{
    static const char *const floods[][2] = {{CHUNKED, "0"},
                                            {CHUNKED "1;", "a"},
                                            {CHUNKED "1;a=\"", "b"},
                                            {CHUNKED "0\r\n", "T: t\r\n"}};
    static const size_t steps[] = {1, 7, 100000};

    for (size_t i = 0; i < TY_COUNT_OF(floods); i++) {
        struct ty_buffer data = {0};

        ty_buffer_append_text(&data, floods[i][0]);
        for (unsigned j = 0; j < 3000; j++)
            ty_buffer_append_text(&data, floods[i][1]);
        for (size_t j = 0; j < TY_COUNT_OF(steps); j++) {
            struct http_dump dump = http_dump_parse(data.data, data.length, &limits, 0, steps[j]);

            cr_assert_eq(dump.fault, TY_HTTP_FAULT_BODY_SIZE, "flood %zu: %s", i, dump.detail);
            ty_buffer_fini(&dump.text);
        }
        ty_buffer_fini(&data);
    }
}

/* If this fails, a limit answers before the client has reached it, or reads on after it. */
Test(http_parser, a_limit_strikes_without_the_end_of_its_part)
{
    struct http_dump dump = parse_repeated("GET /", "a", 64, "");

    cr_assert_eq(dump.fault, TY_HTTP_FAULT_URL_SIZE);
    dump = parse_repeated("GET / HTTP/1.1\r\nA:", "b", 400, "");
    cr_assert_eq(dump.fault, TY_HTTP_FAULT_HEADER_SIZE);
    dump = parse_repeated("GET / HTTP/1.1\r\nA:", " ", 400, "");
    cr_assert_eq(dump.fault, TY_HTTP_FAULT_HEADER_SIZE);
    dump = parse_repeated("GET", " ", 400, "");
    cr_assert_eq(dump.fault, TY_HTTP_FAULT_HEADER_SIZE);
    dump = parse_repeated("", "\r\n", 400, "");
    cr_assert_eq(dump.fault, TY_HTTP_FAULT_HEADER_SIZE);
}

/* If this fails, a client that only says how much it will send already takes that memory. */
Test(http_parser, a_declared_length_is_not_believed_before_it_arrives)
{
    static const char head[] = "POST / HTTP/1.1\r\n" H "Content-Length: 8000000\r\n\r\n";
    const struct ty_http_limits large = {64, 256, 8, 8 << 20};
    struct ty_http_message message = {0};
    struct ty_http_parser parser;
    static char body[100000];
    size_t used, sent = 0, moves = 0, capacity = 0;
    enum ty_http_step step;

    ty_http_parser_init(&parser, &large);
    step = ty_http_parser_feed(&parser, &message, head, sizeof(head) - 1, &used);
    cr_assert_eq(step, TY_HTTP_STEP_HEAD);
    while (sent < 8000000) {
        step = ty_http_parser_feed(&parser, &message, body, sizeof(body), &used);
        sent += used;
        cr_assert_leq(ty_http_message_body_capacity(&message), sent * 2 + (64 << 10));
        moves += ty_http_message_body_capacity(&message) != capacity;
        capacity = ty_http_message_body_capacity(&message);
    }
    cr_assert_eq(step, TY_HTTP_STEP_REQUEST);
    cr_assert_eq(message.request.body.length, 8000000);
    cr_assert_eq(capacity, 8000000 + TY_HTTP_BODY_SPARE, "the block is the body's own size");
    cr_assert_leq(moves, 10, "growing is not quadratic");
    ty_http_message_fini(&message);
}
