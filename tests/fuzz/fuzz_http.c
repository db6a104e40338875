/*
 * fuzz_http.c: any bytes into the HTTP parser. What comes out must not depend on how the bytes are
 * cut, and must keep the limits. The first byte chooses the cut, the rest is the input.
 */
#include <stdint.h>

#include "ingest/percent.h"
#include "server/http_parser.h"
#include "tests/support/http_dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ty_http_limits limits = {
    .url_bytes_max = 100,
    .header_bytes_max = 400,
    .header_count_max = 12,
    .body_bytes_max = 300,
};

static void check_same(const struct http_dump *whole, const struct http_dump *cut)
{
    TY_ASSERT(whole->requests == cut->requests);
    TY_ASSERT(whole->text.length == cut->text.length);
    TY_ASSERT(memcmp(whole->text.data, cut->text.data, whole->text.length) == 0);
    TY_ASSERT(whole->is_partial == cut->is_partial);
    /* Which of two faults is found first may differ, that there is one may not. */
    TY_ASSERT((whole->fault == TY_HTTP_FAULT_NONE) == (cut->fault == TY_HTTP_FAULT_NONE));
}

static void decode_in_place(const char *input, size_t length)
{
    char *text = malloc(length + 1);
    size_t written = 0;

    memcpy(text, input, length);
    if (ty_percent_decode((struct ty_text){text, length}, text, &written)) {
        TY_ASSERT(written <= length);
        TY_ASSERT(memchr(input, '%', length) != NULL || written == length);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *input = (const char *)data + 1;
    struct http_dump whole, bytes, cut;

    if (size < 1 || size > 8192)
        return 0;
    size--;
    whole = http_dump_parse(input, size, &limits, size, 1);
    bytes = http_dump_parse(input, size, &limits, 0, 1);
    cut = http_dump_parse(input, size, &limits, data[0], (size_t)data[0] + 1);
    check_same(&whole, &bytes);
    check_same(&whole, &cut);
    decode_in_place(input, size);
    ty_buffer_fini(&whole.text);
    ty_buffer_fini(&bytes.text);
    ty_buffer_fini(&cut.text);
    return 0;
}
