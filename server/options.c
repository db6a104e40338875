#include "server/options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/config_file.h"
#include "server/settings.h"

#define TEXT_OF(value)  TEXT_OF_(value)
#define TEXT_OF_(value) #value
#define VERSION                                                                                    \
    TEXT_OF(TALLY_VERSION_MAJOR) "." TEXT_OF(TALLY_VERSION_MINOR) "." TEXT_OF(TALLY_VERSION_PATCH)

/* --- Numbers --- */

struct unit {
    const char *name;
    uint64_t factor;
};

/* A whole number, a unit of the list or none, nothing else. */
static bool parse_with_unit(const char *text, const struct unit *units, size_t count,
                            uint64_t *value)
{
    uint64_t number = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
            return false;
    if (at == text)
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(at, units[i].name) == 0)
            return !__builtin_mul_overflow(number, units[i].factor, value);
    return false;
}

bool ty_options_duration(const char *text, int64_t *ms)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    uint64_t value;

    if (strcmp(text, "0") == 0) {
        *ms = 0;
        return true;
    }
    /* A thousand years are enough, and leave room for arithmetic. */
    if (!parse_with_unit(text, units, TY_COUNT_OF(units), &value) || value > 31536000000000)
        return false;
    *ms = (int64_t)value;
    return true;
}

bool ty_options_size(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {{"", 1},
                                        {"KiB", UINT64_C(1) << 10},
                                        {"MiB", UINT64_C(1) << 20},
                                        {"GiB", UINT64_C(1) << 30}};

    return parse_with_unit(text, units, TY_COUNT_OF(units), bytes);
}

bool ty_options_count(const char *text, uint64_t *count)
{
    static const struct unit none[] = {{"", 1}};

    return parse_with_unit(text, none, 1, count);
}

/* --- Where values come from --- */

/* The value that counts so far. */
struct given {
    const char *text;
    const char *file; /* NULL: not from a file */
    unsigned line;
    const char *origin; /* for --check, when not from a file: "default", "environment", "flag" */
};

struct parsing {
    struct ty_options *options;
    struct given given[TY_SETTINGS_MAX];      /* by the setting's place in the table */
    const char *flag_values[TY_SETTINGS_MAX]; /* from the command line; NULL: not there */
    const char *config;                       /* NULL: none */
    bool check;
};

static size_t index_of(const struct ty_setting *setting)
{
    return (size_t)(setting - ty_settings);
}

static bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool complain(const char *format, ...)
{
    va_list arguments;

    fputs("tallyd: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("\nTry 'tallyd --help'.\n", stderr);
    return false;
}

/* Takes a value; `where` is what it was called where it stands. */
static bool take(struct parsing *parsing, const struct ty_setting *setting, struct given given,
                 const char *where)
{
    char allowed[TY_SETTINGS_ALLOWED_BYTES];

    if (!ty_settings_set(setting, given.text, parsing->options, allowed))
        return complain("%s '%s' is wrong; it takes %s", where, given.text, allowed);
    parsing->given[index_of(setting)] = given;
    return true;
}

static bool take_defaults(struct parsing *parsing)
{
    for (const struct ty_setting *setting = ty_settings; setting->name != NULL; setting++) {
        struct given given = {.text = setting->initial, .origin = "default"};

        if (!take(parsing, setting, given, setting->name))
            return false;
    }
    return true;
}

static bool take_line(struct parsing *parsing, const struct ty_config_lines *line)
{
    const struct ty_setting *setting;
    const struct given *before;
    char where[4096];

    if (line->problem != NULL)
        return complain("%s:%u: %s", parsing->config, line->number, line->problem);
    setting = ty_settings_find(line->name);
    if (setting == NULL)
        return complain("%s:%u: there is no setting '%s'", parsing->config, line->number,
                        line->name);
    before = &parsing->given[index_of(setting)];
    if (before->file != NULL)
        return complain("%s:%u: %s stands in line %u already", parsing->config, line->number,
                        line->name, before->line);
    snprintf(where, sizeof(where), "%s:%u: %s", parsing->config, line->number, line->name);
    return take(parsing, setting,
                (struct given){.text = line->value, .file = parsing->config, .line = line->number},
                where);
}

static bool take_file(struct parsing *parsing)
{
    struct ty_config_lines lines = {0};
    char problem[128];

    if (parsing->config == NULL)
        return true;
    parsing->options->config_text = ty_config_file_read(parsing->config, problem, sizeof(problem));
    if (parsing->options->config_text == NULL)
        return complain("cannot read %s: %s", parsing->config, problem);
    lines.at = parsing->options->config_text;
    while (ty_config_file_next(&lines))
        if (!take_line(parsing, &lines))
            return false;
    return true;
}

/* An empty variable counts as none: that is how many a supervisor leaves one out. */
static const char *variable(const char *name)
{
    const char *text = getenv(name);

    return text != NULL && text[0] != '\0' ? text : NULL;
}

static bool take_environment(struct parsing *parsing)
{
    for (const struct ty_setting *setting = ty_settings; setting->name != NULL; setting++) {
        char name[TY_SETTINGS_VARIABLE_BYTES];
        struct given given = {.origin = "environment"};

        ty_settings_variable(setting, name);
        given.text = variable(name);
        if (given.text != NULL && !take(parsing, setting, given, name))
            return false;
    }
    return true;
}

static bool take_flag(struct parsing *parsing, const struct ty_setting *setting, const char *text)
{
    char name[64];

    snprintf(name, sizeof(name), "--%s", setting->name);
    return take(parsing, setting, (struct given){.text = text, .origin = "flag"}, name);
}

static bool take_flags(struct parsing *parsing)
{
    for (const struct ty_setting *setting = ty_settings; setting->name != NULL; setting++) {
        const char *text = parsing->flag_values[index_of(setting)];

        if (text != NULL && !take_flag(parsing, setting, text))
            return false;
    }
    return true;
}

/* --- The command line --- */

/* getopt_long() returns a setting's place in the table, one of these, or '?' (63) when it has
 * complained. */
enum { FLAG_CONFIG = TY_SETTINGS_MAX, FLAG_CHECK, FLAG_HELP, FLAG_VERSION };

static void list_flags(struct option flags[TY_SETTINGS_MAX + 5])
{
    static const struct option others[] = {{"config", required_argument, NULL, FLAG_CONFIG},
                                           {"check", no_argument, NULL, FLAG_CHECK},
                                           {"help", no_argument, NULL, FLAG_HELP},
                                           {"version", no_argument, NULL, FLAG_VERSION},
                                           {NULL, 0, NULL, 0}};
    int count = 0;

    for (; ty_settings[count].name != NULL; count++) {
        bool is_switch = ty_settings[count].kind == TY_SETTING_SWITCH;

        flags[count] =
            (struct option){ty_settings[count].name,
                            is_switch ? optional_argument : required_argument, NULL, count};
    }
    memcpy(&flags[count], others, sizeof(others));
}

static void print_help(void)
{
    fputs("Usage: tallyd [option ...]\n"
          "\n"
          "Tally's server: takes usage events, stores each exactly once, answers rollups.\n"
          "\n",
          stdout);
    ty_settings_print_flag(stdout, "config", "FILE",
                           "settings from a file: lines 'name = value', the names those of the "
                           "flags below, # begins a comment; what flags and the environment say "
                           "counts more",
                           NULL);
    ty_settings_print_flag(stdout, "check", NULL,
                           "print every setting and where it comes from, and exit", NULL);
    fputs("  --help, --version\n", stdout);
    ty_settings_print_help(stdout);
    fputs("\n"
          "TIME is a number with ms, s, m, h or d; SIZE with KiB, MiB or GiB, or bytes.\n"
          "TALLY_DEDUP_WINDOW and so on in the environment stand for --dedup-window and\n"
          "so on, TALLY_CONFIG for --config.\n"
          "SIGTERM or SIGINT: finishes the requests in flight, then exits with 0.\n"
          "Exit codes: 0 stopped, 1 failed, 2 wrong option.\n",
          stdout);
}

/* What a flag other than those of settings asks for. */
static enum ty_options_result do_other(struct parsing *parsing, int flag)
{
    switch (flag) {
    case FLAG_CONFIG:
        parsing->config = optarg;
        return TY_OPTIONS_RUN;
    case FLAG_CHECK:
        parsing->check = true;
        return TY_OPTIONS_RUN;
    case FLAG_HELP:
        print_help();
        return TY_OPTIONS_EXIT;
    case FLAG_VERSION:
        fputs("tallyd " VERSION "\n", stdout);
        return TY_OPTIONS_EXIT;
    default:
        fputs("Try 'tallyd --help'.\n", stderr);
        return TY_OPTIONS_WRONG;
    }
}

/* Only notes the values, but refuses at once what no source can put right. */
static enum ty_options_result read_flags(struct parsing *parsing, int argc, char **argv)
{
    struct option flags[TY_SETTINGS_MAX + 5];
    int flag;

    list_flags(flags);
    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        enum ty_options_result result = TY_OPTIONS_RUN;

        if (flag >= TY_SETTINGS_MAX) {
            result = do_other(parsing, flag);
        } else {
            const char *text = optarg != NULL ? optarg : "on"; /* a switch alone */

            parsing->flag_values[flag] = text;
            if (!take_flag(parsing, &ty_settings[flag], text))
                result = TY_OPTIONS_WRONG;
        }
        if (result != TY_OPTIONS_RUN)
            return result;
    }
    if (optind == argc)
        return TY_OPTIONS_RUN;
    complain("unexpected argument '%s'", argv[optind]);
    return TY_OPTIONS_WRONG;
}

/* --- All together --- */

/* Lines of a file of settings, which is what it can be used as. */
static void print_settings(const struct parsing *parsing)
{
    for (const struct ty_setting *setting = ty_settings; setting->name != NULL; setting++) {
        const struct given *given = &parsing->given[index_of(setting)];
        int width = printf("%s = %s", setting->name, given->text);

        printf("%*s # ", width < 40 ? 40 - width : 0, "");
        if (given->file != NULL)
            printf("%s:%u\n", given->file, given->line);
        else
            printf("%s\n", given->origin);
    }
}

/* What follows from the settings: what is allowed for one must fit into what all share. */
static void derive(struct ty_options *options)
{
    struct ty_http_options *http = &options->http;
    struct ty_forward_options *forward = &options->forward;
    size_t message = forward->message_bytes_max;

    http->body_memory_max = TY_MAX(http->body_memory_max, 4 * http->limits.body_bytes_max);
    forward->inflated_bytes_max = TY_MAX(forward->inflated_bytes_max, 4 * message);
    forward->pending_bytes_max = TY_MAX(forward->pending_bytes_max, message);
    forward->memory_bytes_max = TY_MAX(forward->memory_bytes_max, 4 * message);
}

enum ty_options_result ty_options_parse(int argc, char **argv, struct ty_options *options)
{
    struct parsing parsing = {.options = options, .config = variable("TALLY_CONFIG")};
    enum ty_options_result result;

    *options = (struct ty_options){.database = TALLY_OPTIONS_INIT,
                                   .http = ty_http_options_default(),
                                   .forward = ty_forward_options_default()};
    options->http.server_name = "tally/" VERSION;
    result = read_flags(&parsing, argc, argv);
    if (result == TY_OPTIONS_RUN && !(take_defaults(&parsing) && take_file(&parsing) &&
                                      take_environment(&parsing) && take_flags(&parsing)))
        result = TY_OPTIONS_WRONG;
    if (result != TY_OPTIONS_RUN) {
        ty_options_fini(options);
        return result;
    }
    derive(options);
    if (!parsing.check)
        return TY_OPTIONS_RUN;
    print_settings(&parsing);
    ty_options_fini(options);
    return TY_OPTIONS_EXIT;
}

void ty_options_fini(struct ty_options *options)
{
    free(options->config_text);
    options->config_text = NULL;
}
