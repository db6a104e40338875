/*
 * settings.h: every setting of tallyd, once: its name as a flag, in a file and in the environment,
 * its default, what it takes, and where it goes.
 *
 * Threads: used before threads exist.
 */
#ifndef TY_SERVER_SETTINGS_H
#define TY_SERVER_SETTINGS_H

#include <stdio.h>

#include "server/options.h"

enum ty_setting_kind {
    TY_SETTING_TEXT,     /* const char *: borrowed */
    TY_SETTING_ADDRESS,  /* const char *: host:port */
    TY_SETTING_COUNT,    /* an unsigned integer, within min and max */
    TY_SETTING_DURATION, /* a 64-bit integer: milliseconds, at most max unless that is 0 */
    TY_SETTING_SIZE,     /* an unsigned integer: bytes, within min and max unless that is 0 */
    TY_SETTING_SWITCH    /* `bit` of an unsigned integer */
};

struct ty_setting {
    const char *name;    /* "dedup-window" */
    const char *value;   /* how --help calls it: "TIME"; NULL for a switch */
    const char *initial; /* the default, as one would write it */
    const char *none;    /* the word for NULL or 0, such as "off"; NULL: there is no such word */
    const char *section; /* the heading over it in --help; NULL: that of the one before */
    const char *help;
    enum ty_setting_kind kind;
    bool may_be_path; /* of an address: "unix:PATH" as well */
    unsigned bit;
    size_t offset; /* of the member in ty_options, and its size */
    size_t size;
    uint64_t min, max;
};

/* In the order of --help; ended by one without a name. TY_SETTINGS_MAX is room for all. */
#define TY_SETTINGS_MAX 48
extern const struct ty_setting ty_settings[];

/* ty_settings_find returns NULL when there is no setting of that name. */
const struct ty_setting *ty_settings_find(const char *name);

/*
 * ty_settings_set puts the value that `text` means into the options; a text is borrowed. Returns
 * false, with the options untouched, when it means none: `allowed` is then what the setting takes,
 * to go on after "it takes".
 */
#define TY_SETTINGS_ALLOWED_BYTES 160
bool ty_settings_set(const struct ty_setting *setting, const char *text, struct ty_options *options,
                     char allowed[TY_SETTINGS_ALLOWED_BYTES]);

/* ty_settings_variable writes the environment variable of a setting: "TALLY_DEDUP_WINDOW". */
#define TY_SETTINGS_VARIABLE_BYTES 64
void ty_settings_variable(const struct ty_setting *setting, char name[TY_SETTINGS_VARIABLE_BYTES]);

/* ty_settings_print_flag writes the lines of --help for one flag: "--name VALUE" and its help,
 * wrapped to 80 columns; `initial` may be NULL. */
void ty_settings_print_flag(FILE *file, const char *name, const char *value, const char *help,
                            const char *initial);

/* ty_settings_print_help writes all settings for --help, with headings. */
void ty_settings_print_help(FILE *file);

#endif
