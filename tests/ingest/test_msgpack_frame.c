#include "ingest/msgpack_frame.h"

#include "tests/ingest/packed.h"

#include <criterion/criterion.h>

/* Feeds a value in pieces that end at the given places; *at is where it was found to end. */
static enum ty_frame_status feed(const char *data, const size_t *ends, size_t count, size_t *at)
{
    struct ty_msgpack_frame frame = {0};
    enum ty_frame_status status = TY_FRAME_PARTIAL;

    for (size_t i = 0; i < count && status == TY_FRAME_PARTIAL; i++) {
        char *piece = memcpy(malloc(ends[i] + 1), data, ends[i]); /* for AddressSanitizer */

        status = ty_msgpack_frame_advance(&frame, piece, ends[i]);
        free(piece);
    }
    *at = frame.at;
    return status;
}

/* A message that ends a byte too early or late takes the next one with it. */
Test(msgpack_frame, a_value_ends_where_msgpack_c_says_whatever_the_pieces)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int round = 0; round < 300; round++) {
        struct packed packed;
        size_t length, at, ends[2];

        pack_begin(&packed);
        pack_random(&packed, &random, 1);
        length = packed.buffer.size;
        msgpack_pack_int(&packed.to, 7); /* what follows */
        for (int cut = 0; cut < 20; cut++) {
            ends[0] = ty_random_below(&random, length);
            ends[1] = packed.buffer.size;
            cr_assert_eq(feed(packed.buffer.data, ends, 1, &at), TY_FRAME_PARTIAL,
                         "%zu of %zu bytes", ends[0], length);
            cr_assert_eq(feed(packed.buffer.data, ends, 2, &at), TY_FRAME_COMPLETE);
            cr_assert_eq(at, length, "%zu instead of %zu, cut at %zu", at, length, ends[0]);
        }
        pack_free(&packed);
    }
}

/* Every head byte by byte: the slowest sender there is. */
Test(msgpack_frame, one_byte_at_a_time_is_enough)
{
    struct ty_msgpack_frame frame = {0};
    struct packed packed;
    size_t length = 0;

    pack_begin(&packed);
    msgpack_pack_array(&packed.to, 3);
    pack_text(&packed, "usage");
    msgpack_pack_array(&packed.to, 70000);
    for (int i = 0; i < 70000; i++)
        msgpack_pack_int(&packed.to, i);
    msgpack_pack_map(&packed.to, 0);
    while (ty_msgpack_frame_advance(&frame, packed.buffer.data, length) == TY_FRAME_PARTIAL)
        length++;
    cr_assert_eq(length, packed.buffer.size);
    cr_assert_eq(frame.at, packed.buffer.size);
    pack_free(&packed);
}

/* A hostile length must cost nothing but the wait for its bytes. */
Test(msgpack_frame, announced_lengths_are_believed_but_not_allocated)
{
    static const struct {
        const char *bytes;
        size_t length, at;
    } cases[] = {
        {"\xdb\xff\xff\xff\xff", 5, 5 + (size_t)UINT32_MAX},
        {"\xc6\xff\xff\xff\xff", 5, 5 + (size_t)UINT32_MAX},
        {"\xc9\xff\xff\xff\xff", 5, 6 + (size_t)UINT32_MAX},
        {"\xdd\xff\xff\xff\xff", 5, 5},
        {"\xdf\xff\xff\xff\xff", 5, 5},
        {"\xd8", 1, 18},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_msgpack_frame frame = {0};

        cr_assert_eq(ty_msgpack_frame_advance(&frame, cases[i].bytes, cases[i].length),
                     TY_FRAME_PARTIAL, "case %zu", i);
        cr_assert_eq(frame.at, cases[i].at, "case %zu: %zu", i, frame.at);
    }
}

/* What is no msgpack is found at its byte, for the log line that says why a stream was closed. */
Test(msgpack_frame, the_unused_byte_is_found)
{
    struct ty_msgpack_frame frame = {0};

    cr_assert_eq(ty_msgpack_frame_advance(&frame, "\x92\x01\xc1", 3), TY_FRAME_BROKEN);
    cr_assert_eq(frame.at, 2);
}

/* Nesting is counted, not stacked: a million brackets are no more than a million bytes. */
Test(msgpack_frame, depth_costs_nothing)
{
    enum { DEPTH = 1000000 };
    char *data = memset(malloc(DEPTH + 1), 0x91, DEPTH);
    struct ty_msgpack_frame frame = {0};

    data[DEPTH] = 1;
    cr_assert_eq(ty_msgpack_frame_advance(&frame, data, DEPTH + 1), TY_FRAME_COMPLETE);
    cr_assert_eq(frame.at, DEPTH + 1);
    free(data);
}
