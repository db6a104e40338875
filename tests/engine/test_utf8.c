#include "engine/utf8.h"

#include <criterion/criterion.h>
#include <string.h>

/* The definition, bit by bit: decode by the lead byte's shape, then refuse what may not be. */
static unsigned reference_sequence(const unsigned char *at, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned length = at[0] < 0x80             ? 1
                      : (at[0] & 0xe0) == 0xc0 ? 2
                      : (at[0] & 0xf0) == 0xe0 ? 3
                      : (at[0] & 0xf8) == 0xf0 ? 4
                                               : 0;
    uint32_t value;

    if (length <= 1)
        return length;
    if (left < length)
        return 0;
    value = at[0] & (0x7fu >> length);
    for (unsigned i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (at[i] & 0x3f);
    }
    if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    return length;
}

/* Text that the checker lets through is written into answers; a broken byte there would make them
 * unreadable for every strict client. All lead bytes with all second bytes, and the edges after. */
Test(utf8, agrees_with_the_definition_on_every_pair_of_first_bytes)
{
    static const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
                                          0x9f, 0xa0, 0xbf, 0xc0, 0xff};

    for (unsigned first = 0; first < 256; first++)
        for (unsigned second = 0; second < 256; second++)
            for (size_t i = 0; i < sizeof(edges) * sizeof(edges); i++) {
                unsigned char text[4] = {(unsigned char)first, (unsigned char)second,
                                         edges[i / sizeof(edges)], edges[i % sizeof(edges)]};

                for (size_t left = 1; left <= 4; left++)
                    cr_assert_eq(ty_utf8_sequence((char *)text, (char *)text + left),
                                 reference_sequence(text, left), "%02x %02x %02x %02x, %zu left",
                                 text[0], text[1], text[2], text[3], left);
            }
}

/* An escape in an event's id must come out as the same bytes as the character itself, or the same
 * id would count twice. */
Test(utf8, every_code_point_survives_encoding)
{
    for (uint32_t value = 0; value <= 0x10ffff; value++) {
        char text[4];
        unsigned length;

        if (value >= 0xd800 && value <= 0xdfff)
            continue;
        length = ty_utf8_encode(value, text);
        cr_assert_eq(ty_utf8_sequence(text, text + length), length, "U+%04X", value);
    }
}

/* The place of a fault must be right wherever it stands in the eight bytes that are read at once.
 */
Test(utf8, check_finds_the_first_bad_byte_at_any_place)
{
    for (size_t length = 1; length <= 40; length++)
        for (size_t bad = 0; bad < length; bad++) {
            char text[40];

            memset(text, 'a', sizeof(text));
            text[bad] = '\xff';
            cr_assert_eq(ty_utf8_check(text, length), bad);
            text[bad] = 'b';
            cr_assert_eq(ty_utf8_check(text, length), length);
        }
    cr_assert_eq(ty_utf8_check("", 0), 0);
    cr_assert_eq(ty_utf8_check("aaaaaaa\xc3\xa9z", 10), 10);
    cr_assert_eq(ty_utf8_check("aaaaaaa\xc3", 8), 7);
}

/* A shortened value in a message must not end in half a character. */
Test(utf8, shorten_never_cuts_a_character)
{
    const char *text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"; /* 1, 2, 3 and 4 bytes */
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};

    for (size_t max = 0; max < TY_COUNT_OF(want); max++)
        cr_assert_eq(ty_utf8_shorten(text, 10, max), want[max], "at most %zu bytes", max);
}
