#include "engine/base.h"
#include "tally.h"

#include <criterion/criterion.h>
#include <string.h>

/* A user who looks up a status in the header would find another text in the log. */
Test(names, every_status_has_a_text_that_begins_with_its_name)
{
    static const struct {
        tally_status status;
        const char *name;
    } cases[] = {
        {TALLY_OK, "TALLY_OK: "},
        {TALLY_INVALID, "TALLY_INVALID: "},
        {TALLY_BUSY, "TALLY_BUSY: "},
        {TALLY_FULL, "TALLY_FULL: the disk or the map is full"},
        {TALLY_NO_MEMORY, "TALLY_NO_MEMORY: "},
        {TALLY_UNKNOWN, "TALLY_UNKNOWN: "},
        {TALLY_FAILED, "TALLY_FAILED: "},
        {TALLY_LOCKED, "TALLY_LOCKED: "},
        {TALLY_NEWER, "TALLY_NEWER: "},
        {TALLY_CORRUPT, "TALLY_CORRUPT: "},
        {TALLY_IO, "TALLY_IO: "},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        const char *text = tally_strerror(cases[i].status);

        cr_assert_eq((size_t)cases[i].status, i, "the numbers are stable");
        cr_assert_eq(strncmp(text, cases[i].name, strlen(cases[i].name)), 0, "%zu: %s", i, text);
        cr_assert(strlen(text) > strlen(cases[i].name) - 1, "%s says nothing", text);
    }
}

/* Clients compare these words; a changed one breaks them. */
Test(names, every_result_has_the_word_of_the_http_api)
{
    static const char *const names[] = {
        "accepted", "duplicate",   "missing_field", "invalid_field", "out_of_range", "too_new",
        "too_old",  "id_conflict", "overflow",      "series_limit",  "not_stored",
    };

    for (size_t i = 0; i < TY_COUNT_OF(names); i++)
        cr_assert_str_eq(tally_result_name((tally_result)i), names[i]);
    cr_assert_eq(TY_COUNT_OF(names), TALLY_NOT_STORED + 1);
}

/* A program built with a newer header would crash on a number that this library does not know. */
Test(names, a_number_that_is_none_is_called_unknown)
{
    static const int numbers[] = {-1, 11, 12, 1000000};

    for (size_t i = 0; i < TY_COUNT_OF(numbers); i++) {
        cr_assert_str_eq(tally_strerror((tally_status)numbers[i]), "unknown status");
        cr_assert_str_eq(tally_result_name((tally_result)numbers[i]), "unknown");
    }
}
