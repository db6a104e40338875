/*
 * flags.h: a command's flags as a table: parsing, --help and completion come from it.
 *
 *     struct import_options { const char *rejects; uint64_t batch; bool dry_run; };
 *     static const struct ty_flag flags[] = {
 *         {.name = "rejects", .kind = TY_FLAG_TEXT, .value = "FILE",
 *          .offset = offsetof(struct import_options, rejects), .help = "where rejected lines go"},
 *         {.name = "batch", .kind = TY_FLAG_COUNT, .value = "N", .min = 1, .max = 10000,
 *          .offset = offsetof(struct import_options, batch), .help = "events a request (1000)"},
 *         {0}};
 *
 * Defaults are what the options hold before parsing. Threads: one, before others exist.
 */
#ifndef TY_SERVER_TOOL_FLAGS_H
#define TY_SERVER_TOOL_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum ty_flag_kind {
    TY_FLAG_SWITCH,   /* bool: true when given; takes no value */
    TY_FLAG_TEXT,     /* const char *: borrowed from argv */
    TY_FLAG_UUID,     /* const char *: a well-formed UUID */
    TY_FLAG_COUNT,    /* uint64_t: a whole number */
    TY_FLAG_DURATION, /* int64_t: milliseconds, from "500ms", "90s", "24h" */
    TY_FLAG_SIZE,     /* uint64_t: bytes, from "64MiB" */
    TY_FLAG_CHOICE    /* const char *: one of `choices` */
};

/* A table ends with a flag without a name. */
struct ty_flag {
    const char *name;
    enum ty_flag_kind kind;
    const char *value;          /* how --help calls it: "FILE"; NULL for a switch. Completion
                                   knows FILE and DIR */
    const char *help;           /* a phrase; with the default in parentheses */
    const char *const *choices; /* of TY_FLAG_CHOICE, ended by NULL */
    const char *variable;       /* environment variable that stands in for it; NULL: none */
    size_t offset;              /* of the member in the command's options */
    uint64_t min, max;          /* of a number, in its unit; max 0: no bound */
    const char *implied;        /* "2s": the value when none is given; then a value stands behind
                                   "=" only. NULL: it needs one */
    bool required;
};

#define TY_FLAGS_MAX 64 /* in a table */

/* What a command line was, beside its flags. */
struct ty_arguments {
    char **words; /* what is no flag, in order; borrowed from argv */
    size_t count;
};

/*
 * ty_flags_parse fills `options` from argv (argv[0] is the command's name). Flags and words may be
 * mixed; "--" ends the flags; a flag given twice counts last; a beginning that only one flag has
 * stands for it ("--cust"). What is not on the command line comes from the flag's variable, unless
 * that is empty. `arguments` NULL: the command takes no words.
 *
 * Returns -1 when the command shall go on, else what its run() returns: TY_EXIT_HELP when --help or
 * -h was asked for (main() then prints the page), TY_EXIT_USAGE after a message on stderr that
 * names the flag, what was given and what is allowed.
 */
int ty_flags_parse(const struct ty_flag *flags, int argc, char **argv, void *options,
                   struct ty_arguments *arguments);

/* ty_flags_print_help writes a line or more for each flag, for the middle of a help page. */
void ty_flags_print_help(const struct ty_flag *flags, FILE *file);

/* ty_flags_print_entry writes a name, then what it means, broken between words at 80 columns and
 * indented behind `width` columns for names. */
void ty_flags_print_entry(const char *name, const char *help, int width, FILE *file);

/* ty_flags_describe writes a flag as it is given: "--batch N", "--watch[=TIME]". */
#define TY_FLAGS_DESCRIPTION_BYTES 64
void ty_flags_describe(const struct ty_flag *flag, char text[TY_FLAGS_DESCRIPTION_BYTES]);

/* ty_flags_guess finds what somebody who wrote `word` may have meant: the name that is the fewest
 * typing mistakes away, or NULL if none is near. `names` is ended by NULL. */
const char *ty_flags_guess(const char *word, const char *const *names);

#endif
