#include "engine/uuid.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

/* A customer whose UUID came back changed would never find its usage again. */
Test(uuid, survives_being_formatted_and_parsed)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 20000; n++) {
        struct ty_uuid uuid, parsed;
        char text[TY_UUID_TEXT_LENGTH];

        ty_random_fill(&random, uuid.bytes, sizeof(uuid.bytes));
        ty_uuid_format(&uuid, text);
        cr_assert(ty_uuid_parse(text, sizeof(text), &parsed));
        cr_assert_eq(ty_uuid_compare(&uuid, &parsed), 0);
        for (size_t i = 0; i < sizeof(text); i++) {
            cr_assert_eq(text[i], tolower(text[i]), "the canonical form is lower case");
            if (ty_random_one_in(&random, 2))
                text[i] = (char)toupper(text[i]);
        }
        cr_assert(ty_uuid_parse(text, sizeof(text), &parsed), "any case is taken");
        cr_assert_eq(ty_uuid_compare(&uuid, &parsed), 0);
    }
}

/* The bytes are those of RFC 9562: a client that sends 16 raw bytes means the same customer. */
Test(uuid, has_the_bytes_of_the_text_in_order)
{
    static const uint8_t bytes[16] = {0xf8, 0x1d, 0x4f, 0xae, 0x7d, 0xec, 0x11, 0xd0,
                                      0xa7, 0x65, 0x00, 0xa0, 0xc9, 0x1e, 0x6b, 0xf6};
    struct ty_uuid uuid;
    const char *nil = "00000000-0000-0000-0000-000000000000";

    cr_assert(ty_uuid_parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 36, &uuid));
    cr_assert_eq(memcmp(uuid.bytes, bytes, sizeof(bytes)), 0);
    cr_assert(ty_uuid_parse(nil, 36, &uuid), "the nil UUID is a UUID");
}

/* A wrong character that slipped through would be some other customer's id. Every byte at every
 * place, in memory of exactly the text's size. */
Test(uuid, takes_only_digits_and_hyphens_at_their_places)
{
    static const char good[] = "01234567-89ab-cdef-0123-456789abcdef";
    char *text = malloc(TY_UUID_TEXT_LENGTH);

    for (size_t at = 0; at < TY_UUID_TEXT_LENGTH; at++)
        for (int byte = 0; byte < 256; byte++) {
            bool expected = good[at] == '-' ? byte == '-' : byte < 128 && isxdigit(byte);
            struct ty_uuid uuid, before;

            memset(&uuid, 0x5a, sizeof(uuid));
            before = uuid;
            memcpy(text, good, TY_UUID_TEXT_LENGTH);
            text[at] = (char)byte;
            cr_assert_eq(ty_uuid_parse(text, TY_UUID_TEXT_LENGTH, &uuid), expected,
                         "byte %02x at %zu", (unsigned)byte, at);
            if (!expected)
                cr_assert_eq(memcmp(&uuid, &before, sizeof(uuid)), 0, "the output is untouched");
        }
    free(text);
}

/* Cut or padded ids must be refused, not read beyond their end. */
Test(uuid, refuses_every_other_length_and_form)
{
    static const char *const bad[] = {
        "",
        "0123456789abcdef0123456789abcdef",
        "{01234567-89ab-cdef-0123-456789abcdef}",
        "urn:uuid:01234567-89ab-cdef-0123-456789abcdef",
        "01234567-89ab-cdef-0123-456789abcdef0",
        " 01234567-89ab-cdef-0123-456789abcdef",
        "0123456-789ab-cdef-0123-456789abcdef",
    };
    static const char good[] = "01234567-89ab-cdef-0123-456789abcdef";
    struct ty_uuid uuid;

    for (size_t i = 0; i < TY_COUNT_OF(bad); i++)
        cr_assert(!ty_uuid_parse(bad[i], strlen(bad[i]), &uuid), "%s", bad[i]);
    for (size_t length = 0; length < TY_UUID_TEXT_LENGTH; length++) {
        char *text = malloc(length + 1);

        memcpy(text, good, length);
        cr_assert(!ty_uuid_parse(text, length, &uuid), "%zu characters", length);
        free(text);
    }
}

/* An id that is a UUID is stored as its bytes: if one in upper case were taken for canonical, it
 * would come back as another id. Each hexadecimal digit at each place. */
Test(uuid, canonical_text_is_what_comes_back_byte_by_byte)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    static const char good[] = "01234567-89ab-cdef-0123-456789abcdef";
    struct ty_uuid uuid, before;
    char text[TY_UUID_TEXT_LENGTH], back[TY_UUID_TEXT_LENGTH];

    memset(&before, 0x5a, sizeof(before));
    for (size_t at = 0; at < TY_UUID_TEXT_LENGTH; at++)
        for (size_t i = 0; good[at] != '-' && i < strlen(digits); i++) {
            bool expected = !isupper(digits[i]);

            memcpy(text, good, sizeof(text));
            text[at] = digits[i];
            uuid = before;
            cr_assert_eq(ty_uuid_parse_canonical(text, sizeof(text), &uuid), expected,
                         "'%c' at %zu", digits[i], at);
            if (expected) {
                ty_uuid_format(&uuid, back);
                cr_assert_eq(memcmp(text, back, sizeof(text)), 0);
            } else {
                cr_assert_eq(ty_uuid_compare(&uuid, &before), 0, "the output is untouched");
            }
        }
    cr_assert(!ty_uuid_parse_canonical(good, sizeof(good) - 2, &uuid), "cut");
    cr_assert(!ty_uuid_parse_canonical("01234567-89ab-cdef-0123-456789abcdeg", 36, &uuid));
}

/* Lists of workflows are ordered by id: as numbers and as text alike. */
Test(uuid, orders_as_its_text_does)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 5000; n++) {
        struct ty_uuid a, b;
        char a_text[TY_UUID_TEXT_LENGTH], b_text[TY_UUID_TEXT_LENGTH];
        int by_bytes, by_text;

        ty_random_fill(&random, a.bytes, sizeof(a.bytes));
        b = a;
        b.bytes[ty_random_below(&random, 16)] = (uint8_t)ty_random_u64(&random);
        ty_uuid_format(&a, a_text);
        ty_uuid_format(&b, b_text);
        by_bytes = ty_uuid_compare(&a, &b);
        by_text = memcmp(a_text, b_text, sizeof(a_text));
        cr_assert_eq(by_bytes < 0, by_text < 0);
        cr_assert_eq(by_bytes == 0, by_text == 0);
    }
}
