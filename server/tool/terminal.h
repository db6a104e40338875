/*
 * terminal.h: what the output can show: how wide it is, whether it takes UTF-8 and colours.
 *
 * Threads: the program has one.
 */
#ifndef TY_SERVER_TOOL_TERMINAL_H
#define TY_SERVER_TOOL_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

#define TY_TERMINAL_DEFAULT_WIDTH 80

struct ty_terminal {
    int width;    /* in columns */
    bool unicode; /* the locale's encoding is UTF-8 */
    bool colour;
    bool screen; /* a terminal that can be cleared (ECMA-48) */
};

/*
 * ty_terminal_inspect looks at the file and the environment. The width is the terminal's, else
 * COLUMNS, else TY_TERMINAL_DEFAULT_WIDTH. Colours are for a terminal only, and not when NO_COLOR
 * is set to anything (https://no-color.org) or TERM is "dumb". main() has called setlocale().
 */
struct ty_terminal ty_terminal_inspect(FILE *file);

/*
 * ty_terminal_print_text writes text that came from elsewhere, with every control character
 * (escape sequences begin with one) replaced by a question mark.
 */
void ty_terminal_print_text(FILE *file, const char *text);

#endif
