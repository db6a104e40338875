#include "engine/uuid.h"

#include <endian.h>
#include <string.h>

/*
 * Digits are read eight at a time, as the bytes of one word: an event has up to three UUIDs, and
 * digit by digit they took a tenth of all the work of storing it. Every byte of the words below is
 * less than 0x80, so that no sum carries into the next byte.
 */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static uint64_t load_digits(const char *first, const char *second)
{
    uint32_t low, high;

    memcpy(&low, first, 4);
    memcpy(&high, second, 4);
    return le32toh(low) | (uint64_t)le32toh(high) << 32;
}

/* Non-zero when some byte is no hexadecimal digit; then the word's digits mean nothing. */
static uint64_t find_malformed(uint64_t word)
{
    uint64_t ascii = word & EACH(0x7f);  /* so that no sum below carries into the next byte */
    uint64_t digit = ascii ^ EACH(0x30); /* "0".."9" become 0..9 */
    uint64_t letter = (ascii | EACH(0x20)) ^ EACH(0x60); /* "A".."F", "a".."f" become 1..6 */
    uint64_t not_digit = digit + EACH(0x7f - 9);         /* the top bit: more than 9 */
    uint64_t is_letter = (letter + EACH(0x7f)) & ~(letter + EACH(0x7f - 6)); /* 1..6 */

    return (word | (not_digit & ~is_letter)) & EACH(0x80);
}

/* Eight digits to four bytes, in order. */
static void store_digits(uint64_t word, uint8_t bytes[4])
{
    uint64_t values = (word & EACH(0x0f)) + 9 * (word >> 6 & EACH(0x01));
    uint32_t packed;

    values = (values << 4 | values >> 8) & UINT64_C(0x00ff00ff00ff00ff);
    values = (values | values >> 8) & UINT64_C(0x0000ffff0000ffff);
    packed = htole32((uint32_t)(values | values >> 16));
    memcpy(bytes, &packed, 4);
}

/* Parses, and tells whether some digit was in upper case. */
static bool parse(const char *text, size_t length, struct ty_uuid *uuid, bool *upper)
{
    uint64_t words[4], malformed = 0, letters = 0;

    if (length != TY_UUID_TEXT_LENGTH || text[8] != '-' || text[13] != '-' || text[18] != '-' ||
        text[23] != '-')
        return false;
    words[0] = load_digits(text, text + 4);
    words[1] = load_digits(text + 9, text + 14);
    words[2] = load_digits(text + 19, text + 24);
    words[3] = load_digits(text + 28, text + 32);
    for (int i = 0; i < 4; i++) {
        malformed |= find_malformed(words[i]);
        letters |= words[i] & EACH(0x40) & ~(words[i] << 1); /* a letter without the bit 0x20 */
    }
    if (malformed != 0)
        return false;
    for (int i = 0; i < 4; i++)
        store_digits(words[i], uuid->bytes + 4 * i);
    *upper = letters != 0;
    return true;
}

bool ty_uuid_parse(const char *text, size_t length, struct ty_uuid *uuid)
{
    bool upper;

    return parse(text, length, uuid, &upper);
}

bool ty_uuid_parse_canonical(const char *text, size_t length, struct ty_uuid *uuid)
{
    struct ty_uuid parsed;
    bool upper;

    if (!parse(text, length, &parsed, &upper) || upper)
        return false;
    *uuid = parsed;
    return true;
}

/* Four bytes to eight digits, in order. */
static void format_digits(const uint8_t bytes[4], char digits[8])
{
    uint32_t packed;
    uint64_t values, letters;

    memcpy(&packed, bytes, 4);
    values = le32toh(packed);
    values = (values | values << 16) & UINT64_C(0x0000ffff0000ffff);
    values = (values | values << 8) & UINT64_C(0x00ff00ff00ff00ff);
    values = (values >> 4 | values << 8) & EACH(0x0f);
    letters = values + EACH(6); /* bit 4 is set from ten on */
    letters = letters >> 4 & EACH(0x01);
    values = htole64(values + EACH('0') + letters * ('a' - '0' - 10));
    memcpy(digits, &values, 8);
}

void ty_uuid_format(const struct ty_uuid *uuid, char text[TY_UUID_TEXT_LENGTH])
{
    char digits[32];

    for (int i = 0; i < 4; i++)
        format_digits(uuid->bytes + 4 * i, digits + 8 * i);
    memcpy(text, digits, 8);
    memcpy(text + 9, digits + 8, 4);
    memcpy(text + 14, digits + 12, 4);
    memcpy(text + 19, digits + 16, 4);
    memcpy(text + 24, digits + 20, 12);
    text[8] = text[13] = text[18] = text[23] = '-';
}
