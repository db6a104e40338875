#include "ingest/msgpack_scan.h"

#include "tests/ingest/packed.h"

#include <criterion/criterion.h>
#include <math.h>

static void check_text(struct ty_text text, const char *data, size_t length)
{
    cr_assert(text.length == length && (length == 0 || memcmp(text.data, data, length) == 0));
}

/* Compares a value, and all in it, with what msgpack-c made of the same bytes. */
static void check(struct ty_msgpack *msgpack, const msgpack_object *want)
{
    struct ty_msgpack_value value;

    cr_assert(ty_msgpack_next(msgpack, &value), "%s", msgpack->error);
    switch (want->type) {
    case MSGPACK_OBJECT_NIL:
        cr_assert_eq(value.kind, TY_MSGPACK_NIL);
        return;
    case MSGPACK_OBJECT_BOOLEAN:
        cr_assert_eq(value.kind, TY_MSGPACK_BOOLEAN);
        cr_assert_eq(value.truth, want->via.boolean);
        return;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        cr_assert_eq(value.kind, TY_MSGPACK_INTEGER);
        cr_assert(!value.negative && value.magnitude == want->via.u64);
        return;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        cr_assert_eq(value.kind, TY_MSGPACK_INTEGER);
        cr_assert(value.negative && value.magnitude == -(uint64_t)want->via.i64);
        return;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        cr_assert_eq(value.kind,
                     want->type == MSGPACK_OBJECT_FLOAT32 ? TY_MSGPACK_FLOAT : TY_MSGPACK_DOUBLE);
        cr_assert(value.number == want->via.f64 || isnan(want->via.f64));
        return;
    case MSGPACK_OBJECT_STR:
        cr_assert_eq(value.kind, TY_MSGPACK_TEXT);
        check_text(value.text, want->via.str.ptr, want->via.str.size);
        return;
    case MSGPACK_OBJECT_BIN:
        cr_assert_eq(value.kind, TY_MSGPACK_BYTES);
        check_text(value.text, want->via.bin.ptr, want->via.bin.size);
        return;
    case MSGPACK_OBJECT_EXT:
        cr_assert_eq(value.kind, TY_MSGPACK_EXTENSION);
        cr_assert_eq(value.type, want->via.ext.type);
        check_text(value.text, want->via.ext.ptr, want->via.ext.size);
        return;
    case MSGPACK_OBJECT_ARRAY:
        cr_assert_eq(value.kind, TY_MSGPACK_ARRAY);
        cr_assert_eq(value.count, want->via.array.size);
        for (uint32_t i = 0; i < value.count; i++)
            check(msgpack, &want->via.array.ptr[i]);
        return;
    case MSGPACK_OBJECT_MAP:
        cr_assert_eq(value.kind, TY_MSGPACK_MAP);
        cr_assert_eq(value.count, want->via.map.size);
        for (uint32_t i = 0; i < value.count; i++) {
            check(msgpack, &want->via.map.ptr[i].key);
            check(msgpack, &want->via.map.ptr[i].val);
        }
        return;
    }
}

/* Every value must arrive as it was sent, whoever packed it. */
Test(msgpack_scan, values_are_those_that_msgpack_c_reads)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int round = 0; round < 300; round++) {
        struct ty_msgpack msgpack;
        struct packed packed;
        msgpack_unpacked unpacked;
        struct ty_text bytes;

        pack_begin(&packed);
        pack_random(&packed, &random, 1);
        msgpack_unpacked_init(&unpacked);
        cr_assert_eq(msgpack_unpack_next(&unpacked, packed.buffer.data, packed.buffer.size, NULL),
                     MSGPACK_UNPACK_SUCCESS);
        ty_msgpack_init(&msgpack, packed.buffer.data, packed.buffer.size);
        check(&msgpack, &unpacked.data);
        cr_assert(msgpack.at == msgpack.end);
        ty_msgpack_init(&msgpack, packed.buffer.data, packed.buffer.size);
        cr_assert(ty_msgpack_skip(&msgpack, &bytes));
        cr_assert_eq(bytes.length, packed.buffer.size);
        msgpack_unpacked_destroy(&unpacked);
        pack_free(&packed);
    }
}

/* Values of a body that was cut off: an error, never a byte from beyond. */
Test(msgpack_scan, every_prefix_ends_with_an_error)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int round = 0; round < 100; round++) {
        struct packed packed;

        pack_begin(&packed);
        do {
            packed.buffer.size = 0;
            pack_random(&packed, &random, 2);
        } while (packed.buffer.size > 3000);
        for (size_t length = 0; length < packed.buffer.size; length++) {
            char *exact = memcpy(malloc(length + 1), packed.buffer.data, length);
            struct ty_msgpack_value value;
            struct ty_msgpack msgpack;

            exact = realloc(exact, length == 0 ? 1 : length);
            ty_msgpack_init(&msgpack, exact, length);
            cr_assert(!ty_msgpack_skip(&msgpack, NULL) && msgpack.error != NULL);
            ty_msgpack_init(&msgpack, exact, length);
            while (ty_msgpack_next(&msgpack, &value))
                ;
            cr_assert(msgpack.error != NULL);
            free(exact);
        }
        pack_free(&packed);
    }
}

/* Both ends of what an integer can be. */
Test(msgpack_scan, integers_at_their_bounds)
{
    static const struct {
        const char *bytes;
        size_t length;
        bool negative;
        uint64_t magnitude;
    } cases[] = {
        {"\x7f", 1, false, 127},
        {"\xe0", 1, true, 32},
        {"\xff", 1, true, 1},
        {"\xd0\x80", 2, true, 128},
        {"\xd0\x7f", 2, false, 127},
        {"\xd1\x80\x00", 3, true, 32768},
        {"\xd2\x80\x00\x00\x00", 5, true, UINT64_C(2147483648)},
        {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9, true, UINT64_C(1) << 63},
        {"\xd3\xff\xff\xff\xff\xff\xff\xff\xff", 9, true, 1},
        {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, false, UINT64_MAX},
        {"\xcc\xff", 2, false, 255},
        {"\xcd\xff\xff", 3, false, 65535},
        {"\xce\xff\xff\xff\xff", 5, false, UINT32_MAX},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_msgpack_value value;
        struct ty_msgpack msgpack;

        ty_msgpack_init(&msgpack, cases[i].bytes, cases[i].length);
        cr_assert(ty_msgpack_next(&msgpack, &value));
        cr_assert_eq(value.kind, TY_MSGPACK_INTEGER, "case %zu", i);
        cr_assert_eq(value.negative, cases[i].negative, "case %zu", i);
        cr_assert_eq(value.magnitude, cases[i].magnitude, "case %zu", i);
    }
}
