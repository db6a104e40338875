#include "server/tool/flags.h"

#include "engine/base.h"
#include "server/tool/command.h"
#include "tests/support/capture.h"
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdlib.h>
#include <string.h>

#define CUSTOMER "d04270a6-6316-4d4b-b2c5-bff0ff515908"
#define ARGC_MAX 8
#define VARIABLE "TALLY_TEST_PLACE"

struct options {
    const char *customer;
    const char *place;
    const char *freq;
    uint64_t batch;
    int64_t wait_ms;
    int64_t watch_ms;
    uint64_t memory_bytes;
    bool extended;
    bool exact;
};

static const char *const choices[] = {"monthly", "hourly", NULL};

#define AT(member) .offset = offsetof(struct options, member)

static const struct ty_flag flags[] = {
    {.name = "customer", .kind = TY_FLAG_UUID, .value = "UUID", .required = true, AT(customer)},
    {.name = "place", .kind = TY_FLAG_TEXT, .value = "FILE", .variable = VARIABLE, AT(place)},
    {.name = "freq", .kind = TY_FLAG_CHOICE, .value = "FREQ", .choices = choices, AT(freq)},
    {.name = "batch", .kind = TY_FLAG_COUNT, .value = "N", .min = 1, .max = 100, AT(batch)},
    {.name = "wait", .kind = TY_FLAG_DURATION, .value = "TIME", AT(wait_ms)},
    {.name = "watch",
     .kind = TY_FLAG_DURATION,
     .value = "TIME",
     .implied = "2s",
     .min = 100,
     .max = 60000,
     AT(watch_ms)},
    {.name = "memory", .kind = TY_FLAG_SIZE, .value = "SIZE", AT(memory_bytes)},
    {.name = "extended", .kind = TY_FLAG_SWITCH, AT(extended)},
    {.name = "exact", .kind = TY_FLAG_SWITCH, AT(exact)},
    {0}};

static int parse(const char *const *words, struct options *options, struct ty_arguments *arguments)
{
    static char *argv[ARGC_MAX + 2];
    int argc = 1;

    argv[0] = (char *)"usage";
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)words[argc - 1];
    argv[argc] = NULL;
    return ty_flags_parse(flags, argc, argv, options, arguments);
}

/* Someone who leaves a flag out must get what the manual calls the default. */
Test(tool_flags, what_is_not_given_stays)
{
    struct options options = {.freq = "monthly", .batch = 7, .wait_ms = 5};

    unsetenv(VARIABLE);
    cr_assert_eq(parse((const char *[]){"--customer", CUSTOMER, NULL}, &options, NULL), -1);
    cr_assert_str_eq(options.customer, CUSTOMER);
    cr_assert_str_eq(options.freq, "monthly");
    cr_assert_eq(options.batch, 7);
    cr_assert_eq(options.wait_ms, 5);
    cr_assert_null(options.place);
    cr_assert_not(options.extended);
}

/* A value that lands in the wrong place, or in the wrong unit, is a wrong answer. */
Test(tool_flags, every_kind_of_value_arrives)
{
    struct options options = {0};

    cr_assert_eq(
        parse((const char *[]){"--customer=" CUSTOMER, "--batch=100", "--wait=90s",
                               "--memory=64MiB", "--extended", "--freq=hourly", "--watch", NULL},
              &options, NULL),
        -1);
    cr_assert_str_eq(options.customer, CUSTOMER);
    cr_assert_eq(options.batch, 100);
    cr_assert_eq(options.wait_ms, 90000);
    cr_assert_eq(options.memory_bytes, UINT64_C(64) << 20);
    cr_assert(options.extended);
    cr_assert_not(options.exact);
    cr_assert_str_eq(options.freq, "hourly");
    cr_assert_eq(options.watch_ms, 2000);
}

/* A value that is implied is no reason to refuse another one, and none to eat the next flag. */
Test(tool_flags, an_implied_value_can_be_replaced)
{
    struct options options = {0};

    cr_assert_eq(
        parse((const char *[]){"--watch=500ms", "--customer", CUSTOMER, NULL}, &options, NULL), -1);
    cr_assert_eq(options.watch_ms, 500);
}

/* Whoever corrects a command line at its end expects that to count. */
Test(tool_flags, the_last_one_counts)
{
    struct options options = {0};

    parse((const char *[]){"--batch=1", "--customer", CUSTOMER, "--batch=2", NULL}, &options, NULL);
    cr_assert_eq(options.batch, 2);
}

/* Hands that know other programs shorten what is clear. */
Test(tool_flags, a_clear_beginning_stands_for_the_flag, .init = cr_redirect_stderr)
{
    struct options options = {0};

    cr_assert_eq(parse((const char *[]){"--cust", CUSTOMER, "--exa", NULL}, &options, NULL), -1);
    cr_assert(options.exact);
    cr_assert_eq(parse((const char *[]){"--cust", CUSTOMER, "--ex", NULL}, &options, NULL),
                 TY_EXIT_USAGE);
    fflush(stderr);
    cr_assert_stderr_eq_str("tally usage: --ex may be --extended --exact; write more of it\n"
                            "Try 'tally help usage'.\n");
}

/* The command line is nearer than the environment, and so must win; an empty variable is none. */
Test(tool_flags, a_variable_stands_in)
{
    struct options options = {0};

    setenv(VARIABLE, "there", 1);
    parse((const char *[]){"--customer", CUSTOMER, NULL}, &options, NULL);
    cr_assert_str_eq(options.place, "there");
    parse((const char *[]){"--customer", CUSTOMER, "--place=here", NULL}, &options, NULL);
    cr_assert_str_eq(options.place, "here");
    setenv(VARIABLE, "", 1);
    options.place = NULL;
    parse((const char *[]){"--customer", CUSTOMER, NULL}, &options, NULL);
    cr_assert_null(options.place);
}

/* `import a.csv --batch 5 -` reads two sources: each must be found, and in order. */
Test(tool_flags, words_are_found_between_flags)
{
    struct options options = {0};
    struct ty_arguments words;

    cr_assert_eq(parse((const char *[]){"a.csv", "--customer", CUSTOMER, "-", "--batch=5", "--",
                                        "--exact", NULL},
                       &options, &words),
                 -1);
    cr_assert_eq(words.count, 3);
    cr_assert_str_eq(words.words[0], "a.csv");
    cr_assert_str_eq(words.words[1], "-");
    cr_assert_str_eq(words.words[2], "--exact");
    cr_assert_eq(options.batch, 5);
    cr_assert_not(options.exact);
}

/* A script must learn from the exit code that its command line is at fault, a person from the
 * message what is wrong with it. */
Test(tool_flags, wrong_command_lines_are_refused)
{
    static const struct {
        const char *words[ARGC_MAX];
        const char *want; /* in the message */
    } cases[] = {
        {{NULL}, "it needs --customer UUID"},
        {{"--batch=5", NULL}, "it needs --customer UUID"},
        {{"--customer", NULL}, "--customer needs a value: --customer UUID"},
        {{"--customer", "--batch=5", NULL}, "write --customer=--batch=5"},
        {{"--customer=d04270a6", NULL}, "is 'd04270a6', and must be a UUID"},
        {{"--customer=", NULL}, "must be a UUID"},
        {{"--freq=yearly", NULL}, "is 'yearly', and must be one of monthly, hourly"},
        {{"--freq=", NULL}, "must be one of monthly, hourly"},
        {{"--batch=0", NULL}, "must be a whole number from 1 to 100"},
        {{"--batch=101", NULL}, "must be a whole number from 1 to 100"},
        {{"--batch=5k", NULL}, "must be a whole number"},
        {{"--batch=-1", NULL}, "must be a whole number"},
        {{"--batch=18446744073709551617", NULL}, "must be a whole number"},
        {{"--wait=5", NULL}, "must be a time such as"},
        {{"--watch=99ms", NULL}, "from 100 to 60000 milliseconds"},
        {{"--memory=5kb", NULL}, "must be a size"},
        {{"--exact=yes", NULL}, "--exact takes no value, and 'yes' was given"},
        {{"--costumer=x", NULL}, "there is no flag --costumer; did you mean --customer?"},
        {{"--unlike", NULL}, "there is no flag --unlike\n"},
        {{"--=5", NULL}, "there is no flag --\n"},
        {{"-x", NULL}, "Every flag begins with two dashes"},
        {{"more", NULL}, "what is meant by 'more'? It takes flags only"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct options options = {0};
        struct ty_capture capture;
        char message[1024];
        int code;

        unsetenv(VARIABLE);
        capture = ty_capture_begin(STDERR_FILENO);
        code = parse(cases[i].words, &options, NULL);
        ty_capture_end(&capture, message, sizeof(message));
        cr_assert_eq(code, TY_EXIT_USAGE, "case %zu", i);
        cr_assert(strstr(message, cases[i].want) != NULL, "case %zu: %s", i, message);
    }
}

/* A wrong value in the environment must be told as such: nobody finds it on the command line. */
Test(tool_flags, a_wrong_variable_is_named)
{
    static const struct ty_flag with_variable[] = {
        {.name = "batch", .kind = TY_FLAG_COUNT, .value = "N", .variable = VARIABLE, AT(batch)},
        {0}};
    char *argv[] = {(char *)"import", NULL};
    struct options options = {0};
    struct ty_capture capture = ty_capture_begin(STDERR_FILENO);
    char message[1024];
    int code;

    setenv(VARIABLE, "many", 1);
    code = ty_flags_parse(with_variable, 1, argv, &options, NULL);
    ty_capture_end(&capture, message, sizeof(message));
    cr_assert_eq(code, TY_EXIT_USAGE);
    cr_assert(strstr(message, "the variable " VARIABLE ", which stands in for --batch, is 'many'"),
              "%s", message);
}

/* Help must come even when the rest of the line is not finished yet. */
Test(tool_flags, help_needs_nothing_else)
{
    struct options options = {0};

    cr_assert_eq(parse((const char *[]){"--help", NULL}, &options, NULL), TY_EXIT_HELP);
    cr_assert_eq(parse((const char *[]){"--extended", "-h", "more", NULL}, &options, NULL),
                 TY_EXIT_HELP);
}

/* A guess that is far off sends people the wrong way; a near one saves them the help page. */
Test(tool_flags, guesses_are_near)
{
    static const char *const names[] = {"usage", "workflows", "import", "export", "status", NULL};
    static const struct {
        const char *word, *want;
    } cases[] = {
        {"usge", "usage"},
        {"Usage", "usage"},
        {"workflow", "workflows"},
        {"stauts", "status"},
        {"inport", "import"},
        {"exprot", "export"},
        {"x", NULL},
        {"backup", NULL},
        {"", NULL},
        {"rejects", NULL},
        {"importexportstatus", NULL},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        const char *guess = ty_flags_guess(cases[i].word, names);

        if (cases[i].want == NULL)
            cr_assert_null(guess, "'%s' for '%s'", guess, cases[i].word);
        else
            cr_assert(guess != NULL && strcmp(guess, cases[i].want) == 0, "'%s' for '%s'", guess,
                      cases[i].word);
    }
}

/* A line of help wider than the terminal is folded in the middle of a word. */
Test(tool_flags, help_fits_eighty_columns)
{
    static const struct ty_flag table[] = {
        {.name = "batch", .kind = TY_FLAG_COUNT, .value = "N", .help = "events a request (1000)"},
        {.name = "a-flag-with-a-very-long-name",
         .kind = TY_FLAG_TEXT,
         .value = "FILE",
         .help = "a text that is long enough to be broken at the eightieth column, which is not "
                 "where a word begins"},
        {.name = "watch", .kind = TY_FLAG_DURATION, .value = "TIME", .implied = "2s", .help = "w"},
        {0}};
    static char text[4096];
    struct ty_capture capture = ty_capture_begin(STDOUT_FILENO);

    ty_flags_print_help(table, stdout);
    ty_capture_end(&capture, text, sizeof(text));
    cr_assert_str_eq(text,
                     "  --batch N       events a request (1000)\n"
                     "  --a-flag-with-a-very-long-name FILE\n"
                     "                  a text that is long enough to be broken at the eightieth\n"
                     "                  column, which is not where a word begins\n"
                     "  --watch[=TIME]  w\n"
                     "  -h, --help      this page\n");
}
