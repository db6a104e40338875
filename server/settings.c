#include "server/settings.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "server/http_server.h"

#define MEMBER(member)                                                                             \
    .offset = offsetof(struct ty_options, member), .size = sizeof(((struct ty_options *)0)->member)

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

const struct ty_setting ty_settings[] = {
    {.name = "data",
     .value = "DIR",
     .initial = "tally-data",
     .section = "Data",
     .help = "data directory, created when missing",
     .kind = TY_SETTING_TEXT,
     MEMBER(database.directory)},
    {.name = "shards",
     .value = "N",
     .initial = "auto",
     .none = "auto",
     .help = "shards, each with a file and two threads, fixed when the database is created; auto: "
             "as it was created, a new one with one less than the cores, at least 1",
     .kind = TY_SETTING_COUNT,
     .min = 1,
     .max = 256,
     MEMBER(database.shards)},
    {.name = "map-size",
     .value = "SIZE",
     .initial = "64GiB",
     .help = "what each shard's file may grow to",
     .kind = TY_SETTING_SIZE,
     .min = 4 * MIB,
     MEMBER(database.map_bytes)},
    {.name = "no-sync",
     .initial = "off",
     .help = "do not wait for the disk: a power cut may lose data",
     .kind = TY_SETTING_SWITCH,
     .bit = TALLY_NO_SYNC,
     MEMBER(database.flags)},

    {.name = "http",
     .value = "HOST:PORT",
     .initial = "127.0.0.1:8480",
     .section = "Where to listen (loopback only: there is no authentication; port 0: any free)",
     .help = "HTTP; unix:PATH: a Unix socket",
     .kind = TY_SETTING_ADDRESS,
     .may_be_path = true,
     MEMBER(http_address)},
    {.name = "forward",
     .value = "HOST:PORT",
     .initial = "127.0.0.1:24224",
     .none = "off",
     .help = "the Fluentd Forward protocol, or off",
     .kind = TY_SETTING_ADDRESS,
     MEMBER(forward_address)},
    {.name = "forward-socket",
     .value = "PATH",
     .initial = "off",
     .none = "off",
     .help = "the same on a Unix socket, or off",
     .kind = TY_SETTING_TEXT,
     MEMBER(forward_socket)},

    {.name = "dedup-window",
     .value = "TIME",
     .initial = "35d",
     .section = "What is kept, and for how long",
     .help = "how long an id is remembered after arrival; 0 switches deduplication off",
     .kind = TY_SETTING_DURATION,
     MEMBER(database.dedup_window_ms)},
    {.name = "dedup-memory",
     .value = "SIZE",
     .initial = "1GiB",
     .help = "memory for remembered ids; when they outgrow it the window shortens",
     .kind = TY_SETTING_SIZE,
     .min = MIB,
     MEMBER(database.dedup_memory_bytes)},
    {.name = "journal-retention",
     .value = "TIME",
     .initial = "35d",
     .help = "how long single events are kept",
     .kind = TY_SETTING_DURATION,
     MEMBER(database.journal_retention_ms)},
    {.name = "journal-bytes",
     .value = "SIZE",
     .initial = "16GiB",
     .help = "how large they may grow together, at most half the map",
     .kind = TY_SETTING_SIZE,
     .min = MIB,
     MEMBER(database.journal_bytes_max)},
    {.name = "hot-memory",
     .value = "SIZE",
     .initial = "64MiB",
     .help = "memory for recent totals, a soft bound",
     .kind = TY_SETTING_SIZE,
     .min = MIB,
     MEMBER(database.hot_bytes)},
    {.name = "rejects-bytes",
     .value = "SIZE",
     .initial = "64MiB",
     .help = "disk for records of streams that cannot be counted, the newest",
     .kind = TY_SETTING_SIZE,
     .min = MIB,
     MEMBER(database.reject_bytes_max)},

    {.name = "future",
     .value = "TIME",
     .initial = "24h",
     .section = "What is taken",
     .help = "how far ahead of the clock an event may be",
     .kind = TY_SETTING_DURATION,
     MEMBER(database.future_ms_max)},
    {.name = "series-max",
     .value = "N",
     .initial = "10000000",
     .help = "series that may exist",
     .kind = TY_SETTING_COUNT,
     .min = 1,
     .max = UINT32_MAX - 1,
     MEMBER(database.series_max)},
    {.name = "body-max",
     .value = "SIZE",
     .initial = "8MiB",
     .help = "largest request body",
     .kind = TY_SETTING_SIZE,
     .min = KIB,
     .max = 16 * GIB,
     MEMBER(http.limits.body_bytes_max)},
    {.name = "forward-message-max",
     .value = "SIZE",
     .initial = "16MiB",
     .help = "largest Forward message; a longer one closes its connection",
     .kind = TY_SETTING_SIZE,
     .min = KIB,
     .max = GIB,
     MEMBER(forward.message_bytes_max)},

    {.name = "io-threads",
     .value = "N",
     .initial = "1",
     .section = "Connections",
     .help = "threads that serve connections",
     .kind = TY_SETTING_COUNT,
     .min = 1,
     .max = 64,
     MEMBER(io_threads)},
    {.name = "connections-max",
     .value = "N",
     .initial = "4096",
     .help = "HTTP connections at once, for each of --io-threads",
     .kind = TY_SETTING_COUNT,
     .min = 1,
     .max = 1000000,
     MEMBER(http.connections_max)},
    {.name = "drain",
     .value = "TIME",
     .initial = "10s",
     .help = "how long a stop waits for requests in flight",
     .kind = TY_SETTING_DURATION,
     MEMBER(drain_ms)},
    {0},
};

const struct ty_setting *ty_settings_find(const char *name)
{
    for (const struct ty_setting *setting = ty_settings; setting->name != NULL; setting++)
        if (strcmp(setting->name, name) == 0)
            return setting;
    return NULL;
}

void ty_settings_variable(const struct ty_setting *setting, char name[TY_SETTINGS_VARIABLE_BYTES])
{
    size_t length = (size_t)snprintf(name, TY_SETTINGS_VARIABLE_BYTES, "TALLY_%s", setting->name);

    for (size_t i = 0; i < length; i++)
        name[i] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
}

/* --- Values --- */

/* Integers of every width are stored through their size, so that a member's type is its own
 * affair. */
static void store(const struct ty_setting *setting, uint64_t value, struct ty_options *options)
{
    char *member = (char *)options + setting->offset;
    uint32_t narrow = (uint32_t)value;

    if (setting->size == sizeof(narrow))
        memcpy(member, &narrow, sizeof(narrow));
    else
        memcpy(member, &value, sizeof(value));
}

static void store_text(const struct ty_setting *setting, const char *text,
                       struct ty_options *options)
{
    memcpy((char *)options + setting->offset, &text, sizeof(text));
}

static bool is_within(const struct ty_setting *setting, uint64_t value)
{
    return value >= setting->min && (setting->max == 0 || value <= setting->max);
}

static bool set_number(const struct ty_setting *setting, const char *text,
                       struct ty_options *options)
{
    uint64_t value;
    int64_t ms;
    bool is_number;

    if (setting->kind == TY_SETTING_DURATION) {
        is_number = ty_options_duration(text, &ms);
        value = is_number ? (uint64_t)ms : 0;
    } else {
        is_number = setting->kind == TY_SETTING_SIZE ? ty_options_size(text, &value)
                                                     : ty_options_count(text, &value);
    }
    if (!is_number || !is_within(setting, value))
        return false;
    store(setting, value, options);
    return true;
}

static bool set_switch(const struct ty_setting *setting, const char *text,
                       struct ty_options *options)
{
    unsigned bits;

    if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)
        return false;
    memcpy(&bits, (char *)options + setting->offset, sizeof(bits));
    bits = strcmp(text, "on") == 0 ? bits | setting->bit : bits & ~setting->bit;
    store(setting, bits, options);
    return true;
}

static bool set_text(const struct ty_setting *setting, const char *text, struct ty_options *options)
{
    bool is_path = setting->may_be_path && strncmp(text, "unix:", 5) == 0 && text[5] != '\0';

    if (text[0] == '\0' ||
        (setting->kind == TY_SETTING_ADDRESS && !is_path && !ty_http_address_is_valid(text)))
        return false;
    store_text(setting, text, options);
    return true;
}

static bool set(const struct ty_setting *setting, const char *text, struct ty_options *options)
{
    bool is_text = setting->kind == TY_SETTING_TEXT || setting->kind == TY_SETTING_ADDRESS;
    bool is_none = setting->none != NULL && strcmp(text, setting->none) == 0;

    if (setting->kind == TY_SETTING_SWITCH)
        return set_switch(setting, text, options);
    if (is_none && is_text)
        store_text(setting, NULL, options);
    else if (is_none)
        store(setting, 0, options);
    else
        return is_text ? set_text(setting, text, options) : set_number(setting, text, options);
    return true;
}

/* --- What a setting takes --- */

static void append(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(char *text, const char *format, ...)
{
    size_t length = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + length, TY_SETTINGS_ALLOWED_BYTES - length, format, arguments);
    va_end(arguments);
}

/* Every bound of a size is a whole number of one of the units. */
static void append_size(char *text, uint64_t bytes)
{
    if (bytes >= GIB)
        append(text, "%lluGiB", (unsigned long long)(bytes / GIB));
    else if (bytes >= MIB)
        append(text, "%lluMiB", (unsigned long long)(bytes / MIB));
    else
        append(text, "%lluKiB", (unsigned long long)(bytes / KIB));
}

static void describe_size(const struct ty_setting *setting, char *text)
{
    append(text, "a size such as 64MiB or 1GiB, at least ");
    append_size(text, setting->min);
    if (setting->max == 0)
        return;
    append(text, " and at most ");
    append_size(text, setting->max);
}

static void describe(const struct ty_setting *setting, char *text)
{
    text[0] = '\0';
    switch (setting->kind) {
    case TY_SETTING_TEXT:
        append(text, "a path");
        break;
    case TY_SETTING_ADDRESS:
        append(text, "an address such as 127.0.0.1:8480 or [::1]:8480 (port 0: any free one)%s",
               setting->may_be_path ? ", or unix:PATH" : "");
        break;
    case TY_SETTING_COUNT:
        append(text, "a whole number from %llu to %llu", (unsigned long long)setting->min,
               (unsigned long long)setting->max);
        break;
    case TY_SETTING_DURATION:
        append(text, "a time such as 500ms, 90s, 24h or 35d");
        break;
    case TY_SETTING_SIZE:
        describe_size(setting, text);
        break;
    case TY_SETTING_SWITCH:
        append(text, "on or off");
    }
    if (setting->none != NULL)
        append(text, ", or %s", setting->none);
}

bool ty_settings_set(const struct ty_setting *setting, const char *text, struct ty_options *options,
                     char allowed[TY_SETTINGS_ALLOWED_BYTES])
{
    if (set(setting, text, options))
        return true;
    describe(setting, allowed);
    return false;
}

/* --- Help --- */

enum { HELP_COLUMN = 29, COLUMNS = 80 };

/* Writes words, wrapped, from HELP_COLUMN on. */
static void print_wrapped(FILE *file, const char *words)
{
    int column = HELP_COLUMN;

    while (*words != '\0') {
        int length = (int)strcspn(words, " ");

        if (column > HELP_COLUMN && column + 1 + length > COLUMNS) {
            fprintf(file, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        column += fprintf(file, "%s%.*s", column > HELP_COLUMN ? " " : "", length, words);
        words += length + (words[length] == ' ');
    }
    fputc('\n', file);
}

void ty_settings_print_flag(FILE *file, const char *name, const char *value, const char *help,
                            const char *initial)
{
    char text[512];
    int column =
        fprintf(file, "  --%s%s%s", name, value != NULL ? " " : "", value != NULL ? value : "");

    snprintf(text, sizeof(text), initial != NULL ? "%s (%s)" : "%s", help, initial);
    fprintf(file, column < HELP_COLUMN ? "%*s" : "\n%*s",
            column < HELP_COLUMN ? HELP_COLUMN - column : HELP_COLUMN, "");
    print_wrapped(file, text);
}

void ty_settings_print_help(FILE *file)
{
    for (const struct ty_setting *setting = ty_settings; setting->name != NULL; setting++) {
        if (setting->section != NULL)
            fprintf(file, "\n%s\n", setting->section);
        ty_settings_print_flag(file, setting->name, setting->value, setting->help,
                               setting->initial);
    }
}
