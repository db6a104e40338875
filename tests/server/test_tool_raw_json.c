#include "server/tool/raw_json.h"

#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct ty_text text_of(const char *text)
{
    return (struct ty_text){text, strlen(text)};
}

static void check(struct ty_text text, const char *want)
{
    cr_assert_eq(text.length, strlen(want), "'%.*s', not '%s'", (int)text.length, text.data, want);
    cr_assert_eq(memcmp(text.data, want, text.length), 0, "'%.*s', not '%s'", (int)text.length,
                 text.data, want);
}

/* Whoever repairs a rejected record needs it as it was sent, to the last digit. */
Test(tool_raw_json, parts_are_as_they_stand)
{
    struct ty_raw_json parts = ty_raw_json_open(
        text_of(" { \"a\" : 1.50 ,\"b\":\"x\\\"}\\\\\",\"c\":[1, {\"]\":2}],\"d\":{\"a\":[]},"
                "\"e\":null,\"a\":2 } "));
    static const char *const want[][2] = {{"\"a\"", "1.50"},           {"\"b\"", "\"x\\\"}\\\\\""},
                                          {"\"c\"", "[1, {\"]\":2}]"}, {"\"d\"", "{\"a\":[]}"},
                                          {"\"e\"", "null"},           {"\"a\"", "2"}};
    struct ty_text name, value;

    for (size_t i = 0; i < TY_COUNT_OF(want); i++) {
        cr_assert(ty_raw_json_next(&parts, &name, &value), "part %zu", i);
        check(name, want[i][0]);
        check(value, want[i][1]);
    }
    cr_assert_not(ty_raw_json_next(&parts, &name, &value));
    cr_assert_not(ty_raw_json_next(&parts, &name, &value));
}

/* An array of rejects is gone through in order, and an empty one has none. */
Test(tool_raw_json, arrays_have_values_without_names)
{
    struct ty_raw_json parts = ty_raw_json_open(text_of("[{\"seq\":1},\n{\"seq\":2}]"));
    struct ty_text name, value;

    cr_assert(ty_raw_json_next(&parts, &name, &value));
    check(name, "");
    check(value, "{\"seq\":1}");
    cr_assert(ty_raw_json_next(&parts, &name, &value));
    check(value, "{\"seq\":2}");
    cr_assert_not(ty_raw_json_next(&parts, &name, &value));
    parts = ty_raw_json_open(text_of("[ ]"));
    cr_assert_not(ty_raw_json_next(&parts, &name, &value));
    parts = ty_raw_json_open(text_of("7"));
    cr_assert_not(ty_raw_json_next(&parts, &name, &value));
}

/* A record may have members of the same names; those of the reject around it are meant. */
Test(tool_raw_json, members_of_the_object_itself_are_found)
{
    struct ty_text object = text_of("{\"record\":{\"seq\":9},\"seqs\":8,\"seq\":7}");
    struct ty_text value;

    cr_assert(ty_raw_json_member(object, "seq", &value));
    check(value, "7");
    cr_assert_not(ty_raw_json_member(object, "code", &value));
}

/* An answer that was cut off, or is no JSON, must not lead beyond its end. */
Test(tool_raw_json, broken_documents_stay_within_bounds)
{
    static const char alphabet[] = "{}[]\":,\\ 1a";
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int round = 0; round < 20000; round++) {
        size_t length = ty_random_below(&random, 24);
        char *text = malloc(length + 1); /* its end is guarded by AddressSanitizer */
        struct ty_raw_json parts;
        struct ty_text name, value;
        size_t count = 0;

        for (size_t i = 0; i < length; i++)
            text[i] = alphabet[ty_random_below(&random, sizeof(alphabet) - 1)];
        text = realloc(text, length > 0 ? length : 1);
        parts = ty_raw_json_open((struct ty_text){text, length});
        while (ty_raw_json_next(&parts, &name, &value)) {
            cr_assert(value.data >= text && value.data + value.length <= text + length);
            cr_assert(name.data >= text && name.data + name.length <= text + length);
            cr_assert(count++ < length, "it ends");
        }
        free(text);
    }
}
