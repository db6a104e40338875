/*
 * manual.h: what is written about the commands, all of it from their tables: help pages, the part
 * of tally(1) that lists them, and what a shell needs to complete a command line.
 *
 * Threads: the program has one.
 */
#ifndef TY_SERVER_TOOL_MANUAL_H
#define TY_SERVER_TOOL_MANUAL_H

#include "server/tool/command.h"
#include <stdio.h>

/* ty_manual_print_page writes a command's help page. */
void ty_manual_print_page(const struct ty_command *command, FILE *file);

/* ty_manual_print_exit_codes writes what they mean for a command; NULL: for any. */
void ty_manual_print_exit_codes(const struct ty_command *command, FILE *file);

/* ty_manual_print_mdoc writes a command's section of tally(1), in the language of mdoc(7). */
void ty_manual_print_mdoc(const struct ty_command *command, FILE *file);

/*
 * ty_manual_print_words writes a line for each flag of a command, for completion: "--name", then,
 * parted by spaces, what may follow as its value: "FILE" or "DIR" for such a path, "=" and the
 * choices, "?" for anything else; nothing behind a switch or an implied value. A line "-" tells the
 * same of the words that are no flags, if it takes any.
 */
void ty_manual_print_words(const struct ty_command *command, FILE *file);

#endif
