#include "ingest/msgpack_json.h"

#include "ingest/json_scan.h"
#include "tests/ingest/packed.h"

#include <criterion/criterion.h>

#define BYTES(string) string, sizeof(string) - 1

/* Appends to a buffer that holds something already, which must stay. */
static bool append(struct ty_buffer *out, const char *bytes, size_t length)
{
    char *exact = memcpy(malloc(length + 1), bytes, length);
    bool ok;

    exact = realloc(exact, length == 0 ? 1 : length); /* for AddressSanitizer */
    ty_buffer_append_text(out, "before ");
    ok = ty_msgpack_json_append(out, exact, length);
    free(exact);
    cr_assert(ty_buffer_ok(out) && out->length >= 7 && memcmp(out->data, "before ", 7) == 0);
    cr_assert(ok || out->length == 7);
    return ok;
}

/* What a person reads in the list of rejects must be what was sent. */
Test(msgpack_json, values_are_shown_as_they_were_sent)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *json; /* NULL: JSON cannot show it */
    } cases[] = {
        {BYTES("\xc0"), "null"},
        {BYTES("\xc2"), "false"},
        {BYTES("\xc3"), "true"},
        {BYTES("\x00"), "0"},
        {BYTES("\xe0"), "-32"},
        {BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615"},
        {BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), "-9223372036854775808"},
        {BYTES("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1"},
        {BYTES("\xca\x3d\xcc\xcc\xcd"), "0.1"},
        {BYTES("\xcb\x3f\xd3\x33\x33\x33\x33\x33\x34"), "0.30000000000000004"},
        {BYTES("\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c"), "1e+300"},
        {BYTES("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"), NULL}, /* infinity */
        {BYTES("\xca\x7f\xc0\x00\x00"), NULL},                 /* not a number */
        {BYTES("\xa0"), "\"\""},
        {BYTES("\xa3\x61\"\n"), "\"a\\\"\\n\""},
        {BYTES("\xa2\xc3\xa9"), "\"\xc3\xa9\""},
        {BYTES("\xa1\xff"), NULL}, /* no UTF-8 */
        {BYTES("\xc4\x10\x01\x90\xa5\xb2\x7c\x3d\x7e\x4f\x8a\x1b\x2c\x3d\x4e\x5f\x60\x71"),
         "\"" CUSTOMER "\""},
        {BYTES("\xc4\x01\x61"), NULL},
        {BYTES("\xd7\x00\x63\xd9\x1f\x80\x1d\xcd\x65\x00"), "\"2023-01-31T14:02:40.500Z\""},
        {BYTES("\xd7\x01\x63\xd9\x1f\x80\x1d\xcd\x65\x00"), NULL}, /* another extension */
        {BYTES("\xd6\xff\x63\xd9\x1f\x80"), NULL},
        {BYTES("\x90"), "[]"},
        {BYTES("\x93\x01\x92\xc0\x80\x02"), "[1,[null,{}],2]"},
        {BYTES("\x82\xa1\x61\x01\xa1\x62\x81\xa0\x90"), "{\"a\":1,\"b\":{\"\":[]}}"},
        {BYTES("\x81\x01\x02"), NULL}, /* a name that is no text */
        {BYTES("\x81\xa1\xff\x02"), NULL},
        {BYTES("\x92\x01\xc4\x01\x61"), NULL}, /* deep inside, too */
        {BYTES(""), NULL},
        {BYTES("\x01\x02"), NULL}, /* two values */
        {BYTES("\x92\x01"), NULL}, /* cut off */
        {BYTES("\xdd\xff\xff\xff\xff"), NULL},
        {BYTES("\x91\xc1"), NULL},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_buffer out = {0};
        bool ok = append(&out, cases[i].bytes, cases[i].length);

        cr_assert_eq(ok, cases[i].json != NULL, "case %zu", i);
        if (ok)
            cr_assert(text_is((struct ty_text){out.data + 7, out.length - 7}, cases[i].json),
                      "case %zu: %.*s", i, (int)out.length, out.data);
        ty_buffer_fini(&out);
    }
}

/* Hostile nesting must not reach the end of the stack. */
Test(msgpack_json, values_may_nest_64_deep)
{
    static char deep[1000000];
    struct ty_buffer out = {0};

    memset(deep, 0x91, sizeof(deep));
    deep[63] = '\x90';
    cr_assert(append(&out, deep, 64));
    cr_assert_eq(out.length, 7 + 2 * 64);
    ty_buffer_fini(&out);
    deep[63] = '\x91';
    deep[64] = '\x90';
    cr_assert(!append(&out, deep, 65));
    ty_buffer_fini(&out);
    deep[64] = '\x91';
    cr_assert(!append(&out, deep, sizeof(deep)));
    ty_buffer_fini(&out);
}

/* The list of rejects is one document of JSON, whatever is in it. */
Test(msgpack_json, what_is_appended_is_json)
{
    struct ty_random random;
    unsigned shown = 0;

    ty_random_init(&random, ty_random_seed());
    for (int round = 0; round < 2000; round++) {
        struct ty_buffer out = {0};
        struct packed packed;

        pack_begin(&packed);
        pack_random(&packed, &random, 4);
        if (append(&out, packed.buffer.data, packed.buffer.size)) {
            struct ty_json json;

            shown++;
            ty_json_init(&json, out.data + 7, out.length - 7);
            cr_assert(ty_json_skip(&json) && ty_json_end(&json), "%s", json.error);
        }
        ty_buffer_fini(&out);
        pack_free(&packed);
    }
    cr_assert_gt(shown, 100);
}

/* Floats are shown by the fewest digits that read back as themselves. */
Test(msgpack_json, floats_read_back)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int round = 0; round < 20000; round++) {
        uint64_t bits = ty_random_u64(&random);
        uint32_t narrow = (uint32_t)bits;
        struct ty_buffer out = {0};
        struct packed packed;
        double number;
        float single;

        memcpy(&number, &bits, sizeof(number));
        memcpy(&single, &narrow, sizeof(single));
        pack_begin(&packed);
        if (round % 2 == 0)
            msgpack_pack_double(&packed.to, number);
        else
            msgpack_pack_float(&packed.to, single);
        if (append(&out, packed.buffer.data, packed.buffer.size)) {
            ty_buffer_append_char(&out, '\0');
            if (round % 2 == 0)
                cr_assert_eq(strtod(out.data + 7, NULL), number, "%s", out.data);
            else
                cr_assert_eq(strtof(out.data + 7, NULL), single, "%s", out.data);
        }
        ty_buffer_fini(&out);
        pack_free(&packed);
    }
}
