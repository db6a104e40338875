#include "server/tool/load_reply.h"

#include <criterion/criterion.h>
#include <string.h>

#define OK_BODY "{\"accepted\":12,\"duplicates\":3,\"rejected\":[]}"

/* A reply that is counted before it is whole would count the next one wrongly. */
Test(load_reply, http_is_taken_when_it_is_whole_and_not_before)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n" OK_BODY "HTTP/1.1";
    const size_t whole = sizeof(text) - 1 - 8;
    struct ty_load_reply reply = {0};

    cr_assert_eq(strlen(OK_BODY), 44);
    for (size_t length = 0; length < whole; length++) {
        char *exact = memcpy(malloc(length + 1), text, length); /* for AddressSanitizer */

        cr_assert_eq(ty_load_reply_http(exact, length, &reply), 0, "at %zu", length);
        free(exact);
    }
    cr_assert_eq(ty_load_reply_http(text, sizeof(text) - 1, &reply), whole);
    cr_assert_eq(reply.status, 200);
    cr_assert_eq(reply.accepted, 12);
    cr_assert_eq(reply.duplicates, 3);
}

/* A refusal is a result of the measurement, not the end of it; another program is. */
Test(load_reply, refusals_are_told_from_what_is_no_answer_of_tally)
{
    struct ty_load_reply reply = {0};
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}";
    static const char ssh[] = "SSH-2.0-OpenSSH\r\n\r\n\r\n";
    static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char page[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

    cr_assert_eq(ty_load_reply_http(busy, sizeof(busy) - 1, &reply), sizeof(busy) - 1);
    cr_assert_eq(reply.status, 503);
    cr_assert_eq(ty_load_reply_http(ssh, sizeof(ssh) - 1, &reply), TY_LOAD_REPLY_BROKEN);
    cr_assert_eq(ty_load_reply_http(chunked, sizeof(chunked) - 1, &reply), TY_LOAD_REPLY_BROKEN);
    cr_assert_eq(ty_load_reply_http(page, sizeof(page) - 1, &reply), TY_LOAD_REPLY_BROKEN);
}

/* An acknowledgement of another chunk must not stop the clock of this one. */
Test(load_reply, an_acknowledgement_gives_its_chunk)
{
    static const char text[] = "\x81\xa3"
                               "ack\xb0"
                               "0123456789abcdefX";
    struct ty_load_reply reply = {0};

    for (size_t length = 0; length < 22; length++) {
        char *exact = memcpy(malloc(length + 1), text, length);

        cr_assert_eq(ty_load_reply_ack(exact, length, &reply), 0, "at %zu", length);
        free(exact);
    }
    cr_assert_eq(ty_load_reply_ack(text, sizeof(text) - 1, &reply), 22);
    cr_assert_eq(memcmp(reply.chunk, "0123456789abcdef", 16), 0);
    cr_assert_eq(ty_load_reply_ack("\x82\xa3", 2, &reply), TY_LOAD_REPLY_BROKEN);
}
