#include "engine/utf8.h"

#include <string.h>

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The second byte carries the whole check: its range depends on the first (table 3-7). */
static bool is_second(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xe0: /* shorter forms reach up to U+07FF */
        return second >= 0xa0 && second <= 0xbf;
    case 0xed: /* U+D800 and up are surrogates */
        return second >= 0x80 && second <= 0x9f;
    case 0xf0: /* shorter forms reach up to U+FFFF */
        return second >= 0x90 && second <= 0xbf;
    case 0xf4: /* U+110000 and up do not exist */
        return second >= 0x80 && second <= 0x8f;
    default:
        return is_continuation(second);
    }
}

unsigned ty_utf8_sequence(const char *at, const char *end)
{
    const unsigned char *byte = (const unsigned char *)at;
    size_t left = (size_t)(end - at);
    unsigned length;

    if (byte[0] < 0x80)
        return 1;
    if (byte[0] < 0xc2 || byte[0] > 0xf4)
        return 0;
    length = byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;
    if (left < length || !is_second(byte[0], byte[1]))
        return 0;
    for (unsigned i = 2; i < length; i++)
        if (!is_continuation(byte[i]))
            return 0;
    return length;
}

size_t ty_utf8_check(const char *data, size_t length)
{
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    size_t i = 0;

    while (i < length) {
        uint64_t word;
        unsigned step;

        if (length - i >= sizeof(word)) {
            memcpy(&word, data + i, sizeof(word));
            if ((word & high_bits) == 0) {
                i += sizeof(word);
                continue;
            }
        }
        step = ty_utf8_sequence(data + i, data + length);
        if (step == 0)
            return i;
        i += step;
    }
    return length;
}

size_t ty_utf8_shorten(const char *data, size_t length, size_t bytes_max)
{
    if (length <= bytes_max)
        return length;
    while (bytes_max > 0 && is_continuation((unsigned char)data[bytes_max]))
        bytes_max--;
    return bytes_max;
}

unsigned ty_utf8_encode(uint32_t code_point, char out[4])
{
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    unsigned length = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;

    for (unsigned i = length; i > 1; i--) {
        out[i - 1] = (char)(unsigned char)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    out[0] = (char)(unsigned char)(lead[length] | code_point);
    return length;
}
