#include "engine/reject.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define TIME_MS INT64_C(1675209600000)

static const struct ty_secret secret = {.bytes = {1, 2, 3}};

static struct ty_text text(const char *data)
{
    return (struct ty_text){data, strlen(data)};
}

static struct ty_reject example(void)
{
    return (struct ty_reject){.code = TALLY_OUT_OF_RANGE,
                              .time_ms = TIME_MS,
                              .source = text("forward 10.0.0.7 usage"),
                              .message = text("pages: at most 4294967295"),
                              .record = text("\x81\xa5pages\xff")};
}

static bool is_same(const struct ty_reject *a, const struct ty_secret *secret_a,
                    const struct ty_reject *b, const struct ty_secret *secret_b)
{
    uint8_t first[TY_REJECT_IDENTITY_BYTES], second[TY_REJECT_IDENTITY_BYTES];

    ty_reject_identify(a, secret_a, first);
    ty_reject_identify(b, secret_b, second);
    return memcmp(first, second, sizeof(first)) == 0;
}

/* A stream that is sent again comes over another connection: it must not be listed twice. */
Test(reject, is_the_same_whoever_sends_it)
{
    struct ty_reject a = example(), b = example();

    b.source = text("forward unix usage");
    b.message = text("something else");
    cr_assert(is_same(&a, &secret, &b, &secret));
}

/* Two broken records are two, also when they differ in one place: none may hide another. */
Test(reject, is_another_when_code_time_or_record_differ)
{
    static const struct ty_secret other = {.bytes = {1, 2, 4}};
    struct ty_reject a = example(), b;

    b = example();
    b.code = TALLY_INVALID_FIELD;
    cr_assert_not(is_same(&a, &secret, &b, &secret), "code");
    b = example();
    b.time_ms++;
    cr_assert_not(is_same(&a, &secret, &b, &secret), "time");
    b.time_ms = TALLY_TIME_OF_ARRIVAL;
    cr_assert_not(is_same(&a, &secret, &b, &secret), "no time");
    b = example();
    b.record.length--;
    cr_assert_not(is_same(&a, &secret, &b, &secret), "length");
    b.record = text("\x81\xa5pages\xfe");
    cr_assert_not(is_same(&a, &secret, &b, &secret), "record");
    b.record = (struct ty_text){NULL, 0};
    cr_assert_not(is_same(&a, &secret, &b, &secret), "no record");
    b = example();
    cr_assert_not(is_same(&a, &secret, &b, &other), "secret");
}

/* Of a long record only the beginning is kept, but two that begin alike are still two. */
Test(reject, the_whole_record_counts)
{
    size_t length = TY_REJECT_RECORD_BYTES_MAX + 1;
    char *first = calloc(1, length), *second = calloc(1, length);
    struct ty_reject a = example(), b = example();

    cr_assert(first != NULL && second != NULL);
    a.record = (struct ty_text){first, length};
    b.record = (struct ty_text){second, length};
    cr_assert(is_same(&a, &secret, &b, &secret));
    second[length - 1] = 1;
    cr_assert_not(is_same(&a, &secret, &b, &secret));
    free(first);
    free(second);
}

/* The identity is stored: a change of it would list every reject that is sent again once more. */
Test(reject, the_identity_does_not_change)
{
    static const uint8_t want[] = {0x3a, 0xaa, 0x58, 0xf6, 0x10, 0xc9, 0x91, 0xd0,
                                   0x21, 0x5c, 0xc1, 0x40, 0xf8, 0x1b, 0xb8, 0x39};
    struct ty_reject reject = {.code = TALLY_MISSING_FIELD,
                               .time_ms = TALLY_TIME_OF_ARRIVAL,
                               .record = text("\x81\xa1x\x01")};
    struct ty_secret nines;
    uint8_t got[TY_REJECT_IDENTITY_BYTES];

    memset(nines.bytes, 9, sizeof(nines.bytes));
    ty_reject_identify(&reject, &nines, got);
    cr_assert_eq(memcmp(got, want, sizeof(want)), 0);
}

/* What was counted, or was never decided, is no reject. */
Test(reject, knows_the_codes_of_rejects)
{
    for (unsigned code = 0; code <= TALLY_NOT_STORED + 1u; code++) {
        bool want = code != TALLY_ACCEPTED && code != TALLY_DUPLICATE && code < TALLY_NOT_STORED;

        cr_assert_eq(ty_reject_is_code(code), want, "%u", code);
    }
    cr_assert_not(ty_reject_is_code(UINT64_C(1) << 32 | TALLY_MISSING_FIELD));
}
