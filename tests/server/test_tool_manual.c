#include "server/tool/manual.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static const char *const choices[] = {"a", "b", NULL};

static const struct ty_flag flags[] = {
    {.name = "kind",
     .kind = TY_FLAG_CHOICE,
     .value = "KIND",
     .choices = choices,
     .variable = "TALLY_KIND",
     .help = "a or b (a)"},
    {.name = "watch", .kind = TY_FLAG_DURATION, .value = "TIME", .implied = "2s", .help = "again"},
    {.name = "data", .kind = TY_FLAG_TEXT, .value = "DIR", .help = "where"},
    {.name = "limit", .kind = TY_FLAG_COUNT, .value = "N", .help = "how many"},
    {.name = "dry-run", .kind = TY_FLAG_SWITCH, .help = "nothing"},
    {0}};

static const struct ty_command command = {
    .name = "count",
    .usage = "[FLAG ...] FILE",
    .description = "Counts. It is\nquick; a long paragraph like this one is filled anew, so that "
                   "nobody counts columns by hand.\n",
    .words = "FILE",
    .flags = flags,
    .notes =
        ".dots and 'quotes' at a begin, a\n.\n\n  tally count --dry-run \\\n\n      a-b\n\nEnd.\n",
    .refused = "it did not count",
};

static char *print(void (*printer)(const struct ty_command *, FILE *))
{
    char *text = NULL;
    size_t length;
    FILE *file = open_memstream(&text, &length);

    printer(&command, file);
    fclose(file);
    return text;
}

/* The page is what people see first; nothing of the tables may be missing or torn. */
Test(tool_manual, a_page_has_all_of_a_command)
{
    char *text = print(ty_manual_print_page);

    cr_assert_str_eq(text,
                     "tally count [FLAG ...] FILE\n"
                     "\n"
                     "Counts. It is quick; a long paragraph like this one is filled anew, so that\n"
                     "nobody counts columns by hand.\n"
                     "\n"
                     "  --kind KIND     a or b (a); else the variable TALLY_KIND\n"
                     "  --watch[=TIME]  again\n"
                     "  --data DIR      where\n"
                     "  --limit N       how many\n"
                     "  --dry-run       nothing\n"
                     "  -h, --help      this page\n"
                     "\n"
                     ".dots and 'quotes' at a begin, a .\n"
                     "\n"
                     "  tally count --dry-run \\\n"
                     "\n"
                     "      a-b\n"
                     "\n"
                     "End.\n"
                     "\n"
                     "Exit codes:\n"
                     "  0  done\n"
                     "  1  it did not count\n"
                     "  2  the command line is wrong\n"
                     "  3  no answer from the server, or the data directory cannot be opened\n",
                     "%s", text);
    free(text);
}

/* A dot at a line's begin or a backslash would make part of the manual vanish. */
Test(tool_manual, mdoc_escapes_what_roff_would_take)
{
    char *text = print(ty_manual_print_mdoc);

    cr_assert_str_eq(text,
                     ".Ss tally count\n"
                     ".Bd -ragged -offset indent\n"
                     ".Nm\n"
                     ".Cm count\n"
                     "[FLAG ...] FILE\n"
                     ".Ed\n"
                     ".Pp\n"
                     "Counts.\n"
                     "It is quick; a long paragraph like this one is filled anew, so that nobody\n"
                     "counts columns by hand.\n"
                     ".Bl -tag -width Ds\n"
                     ".It Fl Fl kind Ar \\&KIND\n"
                     "a or b (a); else the variable\n"
                     ".Ev TALLY_KIND\n"
                     ".It Fl Fl watch Ns Oo = Ns Ar \\&TIME Oc\n"
                     "again\n"
                     ".It Fl Fl data Ar \\&DIR\n"
                     "where\n"
                     ".It Fl Fl limit Ar \\&N\n"
                     "how many\n"
                     ".It Fl Fl dry-run\n"
                     "nothing\n"
                     ".El\n"
                     ".Pp\n"
                     "\\&.dots and 'quotes' at a begin, a .\n"
                     ".Bd -literal -offset indent\n"
                     "  tally count \\-\\-dry-run \\e\n"
                     "\n"
                     "      a-b\n"
                     ".Ed\n"
                     ".Pp\n"
                     "End.\n"
                     ".Pp\n"
                     "Exit code 1 means here:\n"
                     "it did not count\n",
                     "%s", text);
    free(text);
}

/* A shell that completes the wrong thing is worse than one that completes nothing. */
Test(tool_manual, words_say_what_may_follow)
{
    char *text = print(ty_manual_print_words);

    cr_assert_str_eq(text,
                     "- FILE\n"
                     "--kind = a b\n"
                     "--watch\n"
                     "--data DIR\n"
                     "--limit ?\n"
                     "--dry-run\n"
                     "--help\n",
                     "%s", text);
    free(text);
}
