#include "ingest/percent.h"

#include <criterion/criterion.h>
#include <string.h>

/* If this fails, names with escapes reach the wrong customer, or none. */
Test(percent, escapes_are_decoded_and_bad_ones_refused)
{
    static const struct {
        const char *text, *decoded; /* NULL: refused */
    } cases[] = {{"", ""},         {"a%2Fb", "a/b"}, {"%c3%A4", "\xc3\xa4"}, {"a+b", "a+b"},
                 {"%25%32", "%2"}, {"%", NULL},      {"%4", NULL},           {"%4g", NULL},
                 {"%g4", NULL},    {"a%00", NULL},   {"%%41", NULL}};

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_text text = {cases[i].text, strlen(cases[i].text)};
        char out[16];
        size_t length = 0;
        bool ok = ty_percent_decode(text, out, &length);

        cr_assert_eq(ok, cases[i].decoded != NULL, "%s", cases[i].text);
        if (ok)
            cr_assert(length == strlen(cases[i].decoded) &&
                          memcmp(out, cases[i].decoded, length) == 0,
                      "%s", cases[i].text);
    }
}
