#include "server/tool/terminal.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_MAX 1000 /* A wider one is a mistake, and bars are for people. */

static int inspect_width(int fd)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;
    long width;

    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col < WIDTH_MAX ? size.ws_col : WIDTH_MAX;
    width = columns != NULL ? strtol(columns, NULL, 10) : 0;
    return width > 0 && width <= WIDTH_MAX ? (int)width : TY_TERMINAL_DEFAULT_WIDTH;
}

static bool is_screen(int fd)
{
    const char *term = getenv("TERM");

    return isatty(fd) && term != NULL && strcmp(term, "dumb") != 0;
}

static bool wants_colour(int fd)
{
    const char *no_color = getenv("NO_COLOR");

    return is_screen(fd) && (no_color == NULL || *no_color == '\0');
}

struct ty_terminal ty_terminal_inspect(FILE *file)
{
    int fd = fileno(file);

    return (struct ty_terminal){
        .width = inspect_width(fd),
        .unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
        .colour = wants_colour(fd),
        .screen = is_screen(fd),
    };
}

/* C0 controls, DEL, and the C1 controls in UTF-8 (C2 80 to C2 9F). */
static bool is_control(const unsigned char *at)
{
    return at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f);
}

void ty_terminal_print_text(FILE *file, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (!is_control(at)) {
            fputc(*at, file);
            continue;
        }
        fputc('?', file);
        if (at[0] == 0xc2)
            at++;
    }
}
