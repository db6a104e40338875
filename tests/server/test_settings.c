#include "server/settings.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct ty_setting *find(const char *name)
{
    const struct ty_setting *setting = ty_settings_find(name);

    cr_assert_not_null(setting, "%s", name);
    return setting;
}

/* The table's own rules: what parsing and printing count on. */
Test(settings, the_table_is_sound)
{
    size_t count = 0;

    for (const struct ty_setting *s = ty_settings; s->name != NULL; s++, count++) {
        char allowed[TY_SETTINGS_ALLOWED_BYTES];
        struct ty_options options = {0};

        cr_assert_eq(ty_settings_find(s->name), s, "%s stands twice", s->name);
        cr_assert_eq(strspn(s->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(s->name), "%s",
                     s->name);
        cr_assert(s->initial != NULL && s->help != NULL, "%s", s->name);
        cr_assert_eq(s->kind == TY_SETTING_SWITCH, s->value == NULL, "%s", s->name);
        cr_assert(ty_settings_set(s, s->initial, &options, allowed), "%s", s->name);
        cr_assert_leq(s->offset + s->size, sizeof(options));
        cr_assert(s->size == sizeof(uint64_t) || s->size == sizeof(uint32_t), "%s", s->name);
    }
    cr_assert_lt(count, TY_SETTINGS_MAX);
    cr_assert_null(ty_settings_find("config"));
    cr_assert_null(ty_settings_find(""));
}

/* The variable that the documentation names must be the one that is read. */
Test(settings, variables_are_named_after_flags)
{
    char name[TY_SETTINGS_VARIABLE_BYTES];

    ty_settings_variable(find("dedup-window"), name);
    cr_assert_str_eq(name, "TALLY_DEDUP_WINDOW");
    ty_settings_variable(find("http"), name);
    cr_assert_str_eq(name, "TALLY_HTTP");
}

/* A value that is refused must leave the setting as it was, and say what would be right. */
Test(settings, a_wrong_value_changes_nothing)
{
    static const struct {
        const char *name;
        const char *text;
        const char *allowed;
    } cases[] = {
        {"data", "", "a path"},
        {"http", "",
         "an address such as 127.0.0.1:8480 or [::1]:8480 (port 0: any free one), or "
         "unix:PATH"},
        {"http", "localhost", NULL},
        {"http", "127.0.0.1:65536", NULL},
        {"http", "unix:", NULL},
        {"http", "off", NULL},
        {"forward", "24224",
         "an address such as 127.0.0.1:8480 or [::1]:8480 (port 0: any free "
         "one), or off"},
        {"forward", "unix:/run/forward", NULL},
        {"forward-socket", "", "a path, or off"},
        {"shards", "0", "a whole number from 1 to 256, or auto"},
        {"shards", "257", NULL},
        {"shards", "-1", NULL},
        {"shards", "1.5", NULL},
        {"shards", "", NULL},
        {"shards", "99999999999999999999", NULL},
        {"io-threads", "auto", "a whole number from 1 to 64"},
        {"series-max", "4294967295", "a whole number from 1 to 4294967294"},
        {"dedup-window", "24", "a time such as 500ms, 90s, 24h or 35d"},
        {"map-size", "4194303", "a size such as 64MiB or 1GiB, at least 4MiB"},
        {"body-max", "1023", "a size such as 64MiB or 1GiB, at least 1KiB and at most 16GiB"},
        {"body-max", "17GiB", NULL},
        {"no-sync", "yes", "on or off"},
        {"no-sync", "", NULL},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_options options, before;
        char allowed[TY_SETTINGS_ALLOWED_BYTES] = "";

        memset(&options, 0x5a, sizeof(options));
        before = options;
        cr_assert(!ty_settings_set(find(cases[i].name), cases[i].text, &options, allowed),
                  "%s '%s'", cases[i].name, cases[i].text);
        cr_assert_eq(memcmp(&options, &before, sizeof(options)), 0, "%s", cases[i].name);
        if (cases[i].allowed != NULL)
            cr_assert_str_eq(allowed, cases[i].allowed);
        cr_assert(strlen(allowed) > 0);
    }
}

/* Words that mean nothing at all are read as such, and not as paths and addresses. */
Test(settings, some_have_a_word_for_none)
{
    struct ty_options options = {.forward_address = "x", .forward_socket = "y"};
    char allowed[TY_SETTINGS_ALLOWED_BYTES];

    options.database.shards = 3;
    cr_assert(ty_settings_set(find("forward"), "off", &options, allowed));
    cr_assert_null(options.forward_address);
    cr_assert(ty_settings_set(find("forward-socket"), "off", &options, allowed));
    cr_assert_null(options.forward_socket);
    cr_assert(ty_settings_set(find("shards"), "auto", &options, allowed));
    cr_assert_eq(options.database.shards, 0);
    cr_assert(ty_settings_set(find("data"), "off", &options, allowed));
    cr_assert_str_eq(options.database.directory, "off");
}

/* A switch must change its own bit only, both ways. */
Test(settings, a_switch_is_turned_on_and_off)
{
    struct ty_options options = {0};
    char allowed[TY_SETTINGS_ALLOWED_BYTES];

    options.database.flags = ~TALLY_NO_SYNC;
    cr_assert(ty_settings_set(find("no-sync"), "on", &options, allowed));
    cr_assert_eq(options.database.flags, ~0u);
    cr_assert(ty_settings_set(find("no-sync"), "off", &options, allowed));
    cr_assert_eq(options.database.flags, ~TALLY_NO_SYNC);
}

/* Help wider than a terminal is broken where it must not be. */
Test(settings, help_is_wrapped_and_has_the_defaults)
{
    char *text;
    size_t length;
    FILE *file = open_memstream(&text, &length);

    ty_settings_print_flag(file, "a", "B",
                           "some words that do not fit the line, which is not long "
                           "enough",
                           "7");
    ty_settings_print_flag(file, "a-name-that-fills-the-whole-column", NULL, "help", NULL);
    fclose(file);
    cr_assert_str_eq(text,
                     "  --a B                      some words that do not fit the line, which is "
                     "not\n"
                     "                             long enough (7)\n"
                     "  --a-name-that-fills-the-whole-column\n"
                     "                             help\n");
    free(text);
}
