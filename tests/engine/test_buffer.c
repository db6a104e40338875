#include "engine/buffer.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <string.h>

static struct ty_text text_of(const char *text)
{
    return (struct ty_text){text, strlen(text)};
}

static void assert_content(const struct ty_buffer *buffer, const char *expected)
{
    cr_assert(ty_buffer_ok(buffer));
    cr_assert_eq(buffer->length, strlen(expected), "%.*s", (int)buffer->length, buffer->data);
    cr_assert_eq(memcmp(buffer->data, expected, buffer->length), 0, "%.*s", (int)buffer->length,
                 buffer->data);
}

/* An answer of thousands of rows is put together piece by piece; none may be lost as it grows. */
Test(buffer, holds_everything_that_was_appended_in_order)
{
    static char model[400000];
    struct ty_buffer buffer = {0};
    struct ty_random random;
    size_t length = 0;

    ty_random_init(&random, ty_random_seed());
    while (length < sizeof(model) - 1000) {
        char piece[600];
        size_t bytes = (size_t)ty_random_below(&random, 500);

        memset(piece, 'a' + (int)ty_random_below(&random, 26), sizeof(piece));
        piece[bytes] = '\0';
        switch (ty_random_below(&random, 5)) {
        case 0:
            ty_buffer_append(&buffer, piece, bytes);
            break;
        case 1:
            ty_buffer_append_text(&buffer, piece);
            break;
        case 2:
            ty_buffer_append_format(&buffer, "%s", piece);
            break;
        case 3:
            memcpy(ty_buffer_reserve(&buffer, bytes), piece, bytes);
            buffer.length += bytes;
            break;
        default:
            ty_buffer_append_char(&buffer, 'Z');
            piece[0] = 'Z';
            bytes = 1;
        }
        memcpy(model + length, piece, bytes);
        length += bytes;
        cr_assert_eq(buffer.length, length);
    }
    cr_assert(ty_buffer_ok(&buffer));
    cr_assert_eq(memcmp(buffer.data, model, length), 0);
    ty_buffer_fini(&buffer);
    ty_buffer_append_text(&buffer, "again");
    assert_content(&buffer, "again");
    ty_buffer_fini(&buffer);
}

/* Ids come from outside: a quote or a control character in one must not break the answer. */
Test(buffer, escapes_json_strings_as_rfc_8259_asks)
{
    struct ty_buffer buffer = {0};

    ty_buffer_append_json(&buffer, text_of(""));
    ty_buffer_append_json(&buffer, text_of("plain"));
    ty_buffer_append_json(&buffer,
                          text_of("\"a\\b\"\b\f\n\r\t\x01\x1f\x7f/\xc3\xa9\xf0\x9f\x98\x80"));
    ty_buffer_append_json(&buffer, (struct ty_text){"\0x", 2});
    assert_content(&buffer, "\"\"\"plain\""
                            "\"\\\"a\\\\b\\\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f/\xc3\xa9\xf0\x9f"
                            "\x98\x80\""
                            "\"\\u0000x\"");
    ty_buffer_fini(&buffer);
}

/* Every byte that JSON does not allow raw is escaped, wherever it stands. */
Test(buffer, writes_no_control_character_raw)
{
    for (int byte = 0; byte < 0x80; byte++)
        for (size_t at = 0; at < 3; at++) {
            struct ty_buffer buffer = {0};
            char text[3] = {'a', 'b', 'c'};

            text[at] = (char)byte;
            ty_buffer_append_json(&buffer, (struct ty_text){text, 3});
            cr_assert_eq(buffer.data[0], '"');
            cr_assert_eq(buffer.data[buffer.length - 1], '"');
            for (size_t i = 1; i + 1 < buffer.length; i++) {
                cr_assert(buffer.data[i] >= 0x20, "byte %02x", (unsigned)byte);
                cr_assert(buffer.data[i] != '"' || buffer.data[i - 1] == '\\');
            }
            ty_buffer_fini(&buffer);
        }
}

/* Once memory was out the content is incomplete: it must not be sent, or grow a later part. */
Test(buffer, remembers_that_memory_was_out)
{
    struct ty_buffer buffer = {0};

    ty_buffer_append_text(&buffer, "before");
    cr_assert_null(ty_buffer_reserve(&buffer, SIZE_MAX / 2));
    cr_assert(!ty_buffer_ok(&buffer));
    ty_buffer_append_text(&buffer, "after");
    ty_buffer_append_char(&buffer, 'x');
    ty_buffer_append_format(&buffer, "%d", 1);
    ty_buffer_append_json(&buffer, text_of("y"));
    cr_assert_null(ty_buffer_reserve(&buffer, 1));
    cr_assert_eq(buffer.length, strlen("before"));
    ty_buffer_fini(&buffer);
    cr_assert(ty_buffer_ok(&buffer), "usable again");
}
