#include "server/config_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads one byte more than is allowed, to tell whether there is more. */
static size_t read_all(FILE *file, char *text)
{
    size_t length = fread(text, 1, TY_CONFIG_BYTES_MAX + 1, file);

    text[length] = '\0';
    return length;
}

static char *fail(char *text, char *problem, size_t problem_size, const char *why)
{
    snprintf(problem, problem_size, "%s", why);
    free(text);
    return NULL;
}

static char *read_file(FILE *file, char *problem, size_t problem_size)
{
    char *text = malloc(TY_CONFIG_BYTES_MAX + 2);
    size_t length;

    if (text == NULL)
        return fail(text, problem, problem_size, "no memory");
    length = read_all(file, text);
    if (ferror(file))
        return fail(text, problem, problem_size, strerror(errno));
    if (length > TY_CONFIG_BYTES_MAX)
        return fail(text, problem, problem_size, "it is larger than 1 MiB");
    if (strlen(text) != length)
        return fail(text, problem, problem_size, "it holds a zero byte: it is no text");
    return text;
}

char *ty_config_file_read(const char *path, char *problem, size_t problem_size)
{
    FILE *file = fopen(path, "re");
    char *text;

    if (file == NULL)
        return fail(NULL, problem, problem_size, strerror(errno));
    text = read_file(file, problem, problem_size);
    fclose(file);
    return text;
}

/* --- Lines --- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts blanks off both ends. */
static char *trim(char *text)
{
    size_t length;

    while (is_blank(*text))
        text++;
    length = strlen(text);
    while (length > 0 && is_blank(text[length - 1]))
        length--;
    text[length] = '\0';
    return text;
}

static char *cut_line(struct ty_config_lines *lines)
{
    char *line = lines->at;
    size_t length = strcspn(line, "\n");

    lines->at = line + length + (line[length] == '\n');
    line[length] = '\0';
    lines->number++;
    return line;
}

/* A # begins a comment where a word could begin: within one it may be part of a path. */
static void cut_comment(char *line)
{
    for (char *at = line; *at != '\0'; at++)
        if (*at == '#' && (at == line || is_blank(at[-1]))) {
            *at = '\0';
            return;
        }
}

static const char *split(struct ty_config_lines *lines, char *line)
{
    char *equals = strchr(line, '=');

    if (equals == NULL)
        return "a line is 'name = value', a # with a comment, or empty";
    *equals = '\0';
    lines->name = trim(line);
    lines->value = trim(equals + 1);
    if (lines->name[0] == '\0')
        return "a name is missing before '='";
    if (lines->value[0] == '"' || lines->value[0] == '\'')
        return "a value stands without quotes";
    return NULL;
}

bool ty_config_file_next(struct ty_config_lines *lines)
{
    while (*lines->at != '\0') {
        char *line = cut_line(lines);

        cut_comment(line);
        line = trim(line);
        if (*line == '\0')
            continue;
        lines->problem = split(lines, line);
        return true;
    }
    return false;
}
