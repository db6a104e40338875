/*
 * config_file.h: files of settings.
 *
 *     # A line is a comment, empty, or a setting. Blanks around name and value do not count.
 *     dedup-window = 35d   # so is what follows a blank and a #
 *
 * Threads: any, each with its own file.
 */
#ifndef TY_SERVER_CONFIG_FILE_H
#define TY_SERVER_CONFIG_FILE_H

#include "engine/base.h"

#define TY_CONFIG_BYTES_MAX (1 << 20)

/* ty_config_file_read returns a file's text, ended by a zero byte, for the caller to free with
 * free(). NULL, with why in `problem`: it cannot be read, is larger than TY_CONFIG_BYTES_MAX, or
 * holds a zero byte. */
char *ty_config_file_read(const char *path, char *problem, size_t problem_size);

/* A place in a text, for ty_config_file_next(). Start with {.at = text}. */
struct ty_config_lines {
    char *at;
    unsigned number;     /* of the line that was read last, from 1 */
    char *name;          /* what the line says; texts end by a zero byte written into the text */
    char *value;         /* may be empty */
    const char *problem; /* set when the line says nothing that is allowed; else NULL */
};

/* ty_config_file_next reads on to the next line that is a setting, or is wrong. False at the end.
 */
bool ty_config_file_next(struct ty_config_lines *lines);

#endif
