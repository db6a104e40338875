/*
 * command.h: what a command of the `tally` program is, and the exit codes all of them share.
 *
 * A command is one file, command_<name>.c, with one constant struct ty_command; main.c lists them.
 * Its help page, its part of the manual tally(1) and its completion are written from that struct
 * and its table of flags (manual.h).
 *
 * Threads: the program's main one.
 */
#ifndef TY_SERVER_TOOL_COMMAND_H
#define TY_SERVER_TOOL_COMMAND_H

#include "server/tool/flags.h"

enum ty_exit {
    TY_EXIT_OK = 0,
    TY_EXIT_REFUSED = 1,     /* the server answered no, or the answer could not be shown */
    TY_EXIT_USAGE = 2,       /* the command line is wrong; nothing was sent */
    TY_EXIT_UNREACHABLE = 3, /* no answer from the server; the directory cannot be opened */

    TY_EXIT_HELP = 100 /* what run() returns for its page to be printed; main() makes it 0 */
};

/*
 * Texts are English, in paragraphs parted by an empty line, which are filled anew. A line that
 * begins with a space stands as it is, such as an example: at most 80 columns.
 */
struct ty_command {
    const char *name;
    const char *summary;         /* a phrase, for the list of commands */
    const char *usage;           /* what stands behind the name: "--start DATE [FLAG ...]" */
    const char *description;     /* what it does; ended by a newline */
    const char *words;           /* what its words are, for completion: "FILE", or "= a b" for one
                                    of a choice; NULL: it takes none */
    const struct ty_flag *flags; /* ended by a flag without a name */
    const char *notes;           /* what comes behind the flags, such as examples; or NULL */
    const char *refused;         /* what exit code 1 means here; NULL: what it means everywhere */

    /* Runs the command with its own argv ("usage", "--customer", ...); returns a ty_exit. */
    int (*run)(const struct ty_command *self, int argc, char **argv);
};

extern const struct ty_command ty_command_backup;
extern const struct ty_command ty_command_bench;
extern const struct ty_command ty_command_close;
extern const struct ty_command ty_command_dump;
extern const struct ty_command ty_command_export;
extern const struct ty_command ty_command_import;
extern const struct ty_command ty_command_load;
extern const struct ty_command ty_command_rejects;
extern const struct ty_command ty_command_revisions;
extern const struct ty_command ty_command_status;
extern const struct ty_command ty_command_usage;
extern const struct ty_command ty_command_verify;
extern const struct ty_command ty_command_void;
extern const struct ty_command ty_command_workflows;

#endif
