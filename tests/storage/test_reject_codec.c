#include "storage/reject_codec.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "tests/support/random.h"

static uint8_t value[TY_REJECT_VALUE_BYTES_MAX + 1];
static uint8_t identity[TY_REJECT_IDENTITY_BYTES];

static struct ty_text text(const char *data)
{
    return (struct ty_text){data, strlen(data)};
}

static struct ty_reject example(void)
{
    return (struct ty_reject){.code = TALLY_MISSING_FIELD,
                              .time_ms = TALLY_TIME_OF_ARRIVAL,
                              .source = text("forward"),
                              .message = text("id: required"),
                              .record = text("\x81\xa1x\x01")};
}

static size_t encode(uint64_t seq, int64_t received_ms, const struct ty_reject *reject)
{
    size_t length = ty_reject_value_length(reject);

    cr_assert(length <= TY_REJECT_VALUE_BYTES_MAX, "%zu", length);
    value[length] = 0xee;
    ty_reject_encode(seq, received_ms, reject, identity, value);
    cr_assert_eq(value[length], 0xee, "more was written than said");
    return length;
}

static void check_text(struct ty_text got, struct ty_text want, const char *what)
{
    cr_assert_eq(got.length, want.length, "%s", what);
    cr_assert(want.length == 0 || memcmp(got.data, want.data, want.length) == 0, "%s", what);
}

static void check_decoded(uint64_t seq, size_t length, int64_t received_ms,
                          const struct ty_reject *want)
{
    struct ty_kept_reject kept;
    const char *problem = ty_reject_decode(seq, value, length, &kept);

    cr_assert(problem == NULL, "%s", problem);
    cr_assert_eq(kept.seq, seq);
    cr_assert_eq(kept.received_ms, received_ms);
    cr_assert_eq(kept.reject.code, want->code);
    cr_assert_eq(kept.reject.time_ms, want->time_ms);
    cr_assert_eq(kept.record_bytes, want->record.length);
    check_text(kept.reject.source, want->source, "source");
    check_text(kept.reject.message, want->message, "message");
    check_text(kept.reject.record,
               (struct ty_text){want->record.data,
                                TY_MIN(want->record.length, TY_REJECT_RECORD_BYTES_MAX)},
               "record");
}

/* The bytes that docs/FORMAT.md shows. Who has them on disk must be able to read them for good. */
Test(reject_codec, writes_the_documented_bytes)
{
    static const uint8_t want[] = {
        0x01, 0x48, 0x6a, 0x55, 0xe5, 0xc3, 0x5b, 0xa1, 0xee, 0x3a, 0xaa, 0x58, 0xf6, 0x10,
        0xc9, 0x91, 0xd0, 0x21, 0x5c, 0xc1, 0x40, 0xf8, 0x1b, 0xb8, 0x39, 0x7b, 0xec, 0x45,
        0x0a, 0x86, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x02,
        0x04, 0x07, 0x66, 0x6f, 0x72, 0x77, 0x61, 0x72, 0x64, 0x0c, 0x69, 0x64, 0x3a, 0x20,
        0x72, 0x65, 0x71, 0x75, 0x69, 0x72, 0x65, 0x64, 0x81, 0xa1, 0x78, 0x01};
    struct ty_reject reject = example();
    struct ty_secret secret;

    memset(secret.bytes, 9, sizeof(secret.bytes));
    ty_reject_identify(&reject, &secret, identity);
    cr_assert_eq(encode(3, INT64_C(1675209600123), &reject), sizeof(want));
    cr_assert_eq(memcmp(value, want, sizeof(want)), 0);
    check_decoded(3, sizeof(want), INT64_C(1675209600123), &reject);
    cr_assert_eq(memcmp(ty_reject_read_identity(value, sizeof(want)), identity, sizeof(identity)),
                 0);
}

/* A reject that cannot be read again is lost, whatever its texts are. */
Test(reject_codec, gives_back_what_was_put_in)
{
    static char bytes[3 * TY_REJECT_RECORD_BYTES_MAX];
    static const size_t lengths[] = {0, 1, 127, 128, TY_REJECT_TEXT_BYTES_MAX};
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    ty_random_fill(&random, bytes, sizeof(bytes));
    for (int i = 0; i < 300; i++) {
        struct ty_reject reject = {
            .code = (tally_result)(TALLY_MISSING_FIELD + ty_random_below(&random, 8)),
            .time_ms = (int64_t)ty_random_wide(&random),
            .source = {bytes, lengths[ty_random_below(&random, TY_COUNT_OF(lengths))]},
            .message = {bytes + 5, lengths[ty_random_below(&random, TY_COUNT_OF(lengths))]},
            .record = {bytes + 9, ty_random_below(&random, 400)}};
        uint64_t seq = ty_random_wide(&random);
        int64_t received_ms = (int64_t)ty_random_wide(&random);

        if (ty_random_one_in(&random, 10))
            reject.record.length = TY_REJECT_RECORD_BYTES_MAX - 2 + ty_random_below(&random, 5);
        check_decoded(seq, encode(seq, received_ms, &reject), received_ms, &reject);
    }
}

/* One record of megabytes must not push out thousands of others. */
Test(reject_codec, keeps_the_beginning_of_what_is_too_long)
{
    size_t length = 3 * TY_REJECT_RECORD_BYTES_MAX;
    char *bytes = calloc(1, length);
    struct ty_reject reject = {.code = TALLY_INVALID_FIELD,
                               .source = {bytes, TY_REJECT_TEXT_BYTES_MAX + 1},
                               .message = {bytes, length},
                               .record = {bytes, length}},
                     want = reject;

    cr_assert_not_null(bytes);
    want.source.length = want.message.length = TY_REJECT_TEXT_BYTES_MAX;
    check_decoded(1, encode(1, 2, &reject), 2, &want);
    free(bytes);
}

/* A bad disk must be told from a bad record, wherever it hits. */
Test(reject_codec, damage_of_every_byte_is_noticed)
{
    struct ty_reject reject = example();
    size_t length = encode(7, 1, &reject);
    struct ty_kept_reject kept;

    for (size_t i = 0; i < length; i++)
        for (int bit = 0; bit < 8; bit++) {
            value[i] ^= (uint8_t)(1 << bit);
            cr_assert_not_null(ty_reject_decode(7, value, length, &kept), "byte %zu", i);
            value[i] ^= (uint8_t)(1 << bit);
        }
    for (size_t shorter = 0; shorter < length; shorter++) {
        uint8_t *copy = malloc(shorter + 1); /* so that reading too far is found */

        cr_assert_not_null(copy);
        memcpy(copy + 1, value, shorter);
        cr_assert_not_null(ty_reject_decode(7, copy + 1, shorter, &kept), "%zu bytes", shorter);
        free(copy);
    }
    cr_assert_not_null(ty_reject_decode(8, value, length, &kept), "under another seq");
    cr_assert(ty_reject_decode(7, value, length, &kept) == NULL);
}

/* The checksum of docs/FORMAT.md. */
static void seal(uint64_t seq, uint8_t *bytes, size_t length)
{
    uint8_t prefix[9] = {0};
    uint64_t sum;

    for (int i = 0; i < 8; i++)
        prefix[i] = (uint8_t)(seq >> (56 - 8 * i));
    prefix[8] = bytes[0];
    sum = XXH3_64bits_withSeed(bytes + 9, length - 9, XXH3_64bits(prefix, sizeof(prefix)));
    for (int i = 0; i < 8; i++)
        bytes[1 + i] = (uint8_t)(sum >> (8 * i));
}

static void check_inside(const uint8_t *bytes, size_t length, struct ty_text text)
{
    const uint8_t *data = (const uint8_t *)text.data;

    cr_assert(data >= bytes && data <= bytes + length && text.length <= length &&
              data + text.length <= bytes + length);
}

/* Bytes that fit their checksum and yet are wrong, as another program may have written them: what
 * is taken lies inside, and is a reject. */
Test(reject_codec, wrong_lengths_never_lead_outside)
{
    struct ty_reject reject = example();
    size_t length = encode(7, 1, &reject), taken = 0, refused = 0;
    uint8_t *bytes = malloc(length); /* so that reading too far is found */
    struct ty_kept_reject kept;

    cr_assert_not_null(bytes);
    for (size_t i = 9; i < length; i++)
        for (unsigned byte = 0; byte < 256; byte++) {
            memcpy(bytes, value, length);
            bytes[i] = (uint8_t)byte;
            seal(7, bytes, length);
            if (ty_reject_decode(7, bytes, length, &kept) != NULL) {
                refused++;
                continue;
            }
            taken++;
            cr_assert(ty_reject_is_code((uint64_t)kept.reject.code));
            cr_assert(kept.reject.record.length <= kept.record_bytes);
            check_inside(bytes, length, kept.reject.source);
            check_inside(bytes, length, kept.reject.message);
            check_inside(bytes, length, kept.reject.record);
        }
    cr_assert(taken > 1000 && refused > 500, "%zu taken, %zu refused", taken, refused);
    free(bytes);
}

/* Whatever lies where a reject should be is an error, and nothing worse. */
Test(reject_codec, bytes_of_any_kind_do_no_harm)
{
    struct ty_kept_reject kept;
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int i = 0; i < 2000; i++) {
        size_t length = ty_random_below(&random, 120);
        uint8_t *bytes = malloc(length + 1);

        cr_assert_not_null(bytes);
        ty_random_fill(&random, bytes, length);
        if (length > 0)
            bytes[0] = 1;
        cr_assert_not_null(ty_reject_decode(1, bytes, length, &kept));
        ty_reject_read_identity(bytes, length);
        free(bytes);
    }
}
