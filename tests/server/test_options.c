#include "server/options.h"

#include <criterion/criterion.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "server/settings.h"
#include "tests/support/capture.h"
#include "tests/support/temporary_directory.h"

static char printed[8192];

/* Parses "tallyd" and the words given, up to NULL; what it prints on `fd` goes to `printed`. */
static enum ty_options_result parse_words(int fd, const char *const *words,
                                          struct ty_options *options)
{
    struct ty_capture capture;
    enum ty_options_result result;
    char copies[16][1100];
    char *arguments[17] = {copies[0]};
    int count = 1;

    snprintf(copies[0], sizeof(copies[0]), "tallyd");
    for (; words[count - 1] != NULL; count++) {
        snprintf(copies[count], sizeof(copies[count]), "%s", words[count - 1]);
        arguments[count] = copies[count];
    }
    capture = ty_capture_begin(fd);
    optind = 0; /* getopt(3): begin anew */
    result = ty_options_parse(count, arguments, options);
    ty_capture_end(&capture, printed, sizeof(printed));
    return result;
}

static enum ty_options_result parse(struct ty_options *options, const char *flag, const char *value)
{
    const char *const words[] = {flag, value, NULL};

    return parse_words(STDERR_FILENO, words, options);
}

/* Without flags it must do what --help says. */
Test(options, the_defaults_are_those_of_the_help)
{
    static const char *const none[] = {NULL};
    struct ty_options options;

    cr_assert_eq(parse_words(STDERR_FILENO, none, &options), TY_OPTIONS_RUN);
    cr_assert_str_eq(printed, "");
    cr_assert_str_eq(options.database.directory, "tally-data");
    cr_assert_str_eq(options.http_address, "127.0.0.1:8480");
    cr_assert_eq(options.io_threads, 1);
    cr_assert_eq(options.drain_ms, 10000);
    cr_assert_eq(options.http.limits.body_bytes_max, (size_t)8 << 20);
    cr_assert_eq(options.http.connections_max, 4096);
    cr_assert_str_eq(options.http.server_name, "tally/0.1.0");
    cr_assert_str_eq(options.forward_address, "127.0.0.1:24224");
    cr_assert_null(options.forward_socket);
    cr_assert_eq(options.forward.message_bytes_max, ty_forward_options_default().message_bytes_max);
    /* The library's own defaults. */
    cr_assert(options.database.shards == 0 && options.database.flags == 0);
    cr_assert_eq(options.database.dedup_window_ms, TALLY_DEDUP_WINDOW_MS);
    cr_assert_eq(options.database.dedup_memory_bytes, TALLY_DEDUP_MEMORY_BYTES);
    cr_assert_eq(options.database.journal_retention_ms, TALLY_RETENTION_MS);
    cr_assert_eq(options.database.journal_bytes_max, TALLY_JOURNAL_BYTES);
    cr_assert_eq(options.database.map_bytes, TALLY_MAP_BYTES);
    cr_assert_eq(options.database.hot_bytes, TALLY_HOT_BYTES);
    cr_assert_eq(options.database.reject_bytes_max, TALLY_REJECT_BYTES);
    cr_assert_eq(options.database.series_max, TALLY_SERIES_MAX);
    cr_assert_eq(options.database.future_ms_max, TALLY_FUTURE_MS_MAX);
}

/* Every flag must reach the setting that it names, and no other. */
Test(options, every_flag_sets_its_setting)
{
    struct ty_options o;

#define CHECK(flag, value, member, want)                                                           \
    do {                                                                                           \
        cr_assert_eq(parse(&o, flag, value), TY_OPTIONS_RUN, "%s: %s", flag, printed);             \
        cr_assert_eq(o.member, want, "%s, %s", flag, #value);                                      \
    } while (0)
    CHECK("--shards", "3", database.shards, 3);
    CHECK("--shards", "256", database.shards, 256);
    CHECK("--io-threads", "4", io_threads, 4);
    CHECK("--dedup-window", "0", database.dedup_window_ms, 0);
    CHECK("--dedup-window", "15m", database.dedup_window_ms, 900000);
    CHECK("--dedup-memory", "64MiB", database.dedup_memory_bytes, UINT64_C(64) << 20);
    CHECK("--journal-retention", "35d", database.journal_retention_ms, TALLY_RETENTION_MS);
    CHECK("--journal-bytes", "2GiB", database.journal_bytes_max, UINT64_C(2) << 30);
    CHECK("--future", "90s", database.future_ms_max, 90000);
    CHECK("--series-max", "5", database.series_max, 5);
    CHECK("--series-max", "4294967294", database.series_max, UINT32_MAX - 1);
    CHECK("--hot-memory", "1MiB", database.hot_bytes, UINT64_C(1) << 20);
    CHECK("--map-size", "4194304", database.map_bytes, UINT64_C(4) << 20);
    CHECK("--shards", "auto", database.shards, 0);
    CHECK("--no-sync", NULL, database.flags, TALLY_NO_SYNC);
    CHECK("--no-sync=on", NULL, database.flags, TALLY_NO_SYNC);
    CHECK("--no-sync=off", NULL, database.flags, 0);
    CHECK("--forward", "off", forward_address, NULL);
    CHECK("--forward-socket", "off", forward_socket, NULL);
    CHECK("--body-max", "1KiB", http.limits.body_bytes_max, 1024);
    CHECK("--forward-message-max", "1GiB", forward.message_bytes_max, (size_t)1 << 30);
    CHECK("--rejects-bytes", "1GiB", database.reject_bytes_max, UINT64_C(1) << 30);
    CHECK("--connections-max", "7", http.connections_max, 7);
    CHECK("--drain", "500ms", drain_ms, 500);
    CHECK("--drain=2s", NULL, drain_ms, 2000);
#undef CHECK
    cr_assert_eq(parse(&o, "--data", "/var/lib/tally"), TY_OPTIONS_RUN);
    cr_assert_str_eq(o.database.directory, "/var/lib/tally");
    cr_assert_eq(parse(&o, "--http", "[::1]:0"), TY_OPTIONS_RUN);
    cr_assert_str_eq(o.http_address, "[::1]:0");
    cr_assert_eq(parse(&o, "--http", "unix:/run/tally/http.sock"), TY_OPTIONS_RUN);
    cr_assert_str_eq(o.http_address, "unix:/run/tally/http.sock");
    cr_assert_eq(parse(&o, "--forward", "127.0.0.1:0"), TY_OPTIONS_RUN);
    cr_assert_str_eq(o.forward_address, "127.0.0.1:0");
    cr_assert_eq(parse(&o, "--forward-socket", "/run/tally/forward.sock"), TY_OPTIONS_RUN);
    cr_assert_str_eq(o.forward_socket, "/run/tally/forward.sock");
}

/* Bodies and messages of the largest size must fit into the memory that all bodies share. */
Test(options, larger_bodies_and_messages_get_more_memory)
{
    struct ty_options options;

    cr_assert_eq(parse(&options, "--body-max", "512MiB"), TY_OPTIONS_RUN);
    cr_assert_geq(options.http.body_memory_max, (size_t)512 << 20);
    cr_assert_eq(parse(&options, "--forward-message-max", "512MiB"), TY_OPTIONS_RUN);
    cr_assert_geq(options.forward.pending_bytes_max, (size_t)512 << 20);
    cr_assert_geq(options.forward.memory_bytes_max, (size_t)512 << 20);
    cr_assert_geq(options.forward.inflated_bytes_max, (size_t)512 << 20);
    cr_assert_eq(parse(&options, "--body-max", "1MiB"), TY_OPTIONS_RUN);
    cr_assert_geq(options.http.body_memory_max, (size_t)1 << 20);
}

/* The last of two equal flags counts, and flags do not disturb each other. */
Test(options, flags_may_stand_together)
{
    static const char *const words[] = {"--shards", "2",          "--no-sync", "--drain",
                                        "1m",       "--shards",   "5",         "--data",
                                        "d",        "--body-max", "2MiB",      NULL};
    struct ty_options options;

    cr_assert_eq(parse_words(STDERR_FILENO, words, &options), TY_OPTIONS_RUN, "%s", printed);
    cr_assert_eq(options.database.shards, 5);
    cr_assert_eq(options.database.flags, TALLY_NO_SYNC);
    cr_assert_eq(options.drain_ms, 60000);
    cr_assert_str_eq(options.http_address, "127.0.0.1:8480");
}

/* A typing error must stop the start, and say what would be right. */
Test(options, wrong_values_are_named_with_what_is_allowed)
{
    static const struct {
        const char *flag;
        const char *value;
        const char *allowed;
    } cases[] = {
        {"--shards", "0", "a whole number from 1 to 256, or auto"},
        {"--io-threads", "65", "a whole number from 1 to 64"},
        {"--connections-max", "0", "a whole number from 1 to 1000000"},
        {"--dedup-window", "24 h", "a time such as 500ms, 90s, 24h or 35d"},
        {"--journal-retention", "1w", "a time such as 500ms, 90s, 24h or 35d"},
        {"--future", "-1s", "a time such as 500ms, 90s, 24h or 35d"},
        {"--drain", "soon", "a time such as 500ms, 90s, 24h or 35d"},
        {"--dedup-memory", "1GB", "a size such as 64MiB or 1GiB, at least 1MiB"},
        {"--journal-bytes", "0", "a size such as 64MiB or 1GiB, at least 1MiB"},
        {"--map-size", "64mib", "a size such as 64MiB or 1GiB, at least 4MiB"},
        {"--http", "localhost",
         "an address such as 127.0.0.1:8480 or [::1]:8480 (port 0: any free one), or unix:PATH"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_options options;
        char wanted[256];

        cr_assert_eq(parse(&options, cases[i].flag, cases[i].value), TY_OPTIONS_WRONG, "%s %s",
                     cases[i].flag, cases[i].value);
        snprintf(wanted, sizeof(wanted),
                 "tallyd: %s '%s' is wrong; it takes %s\nTry 'tallyd --help'.\n", cases[i].flag,
                 cases[i].value, cases[i].allowed);
        cr_assert_str_eq(printed, wanted);
    }
}

/* What is no option at all must not be passed over. */
Test(options, unknown_words_are_refused)
{
    static const struct {
        const char *words[3];
        const char *printed;
    } cases[] = {
        {{"--shard-count", "3", NULL}, "unrecognized option '--shard-count'"},
        {{"-x", NULL, NULL}, "invalid option"},
        {{"--data", NULL, NULL}, "option '--data' requires an argument"},
        {{"--no-sync=yes", NULL, NULL}, "tallyd: --no-sync 'yes' is wrong; it takes on or off"},
        {{"usage", NULL, NULL}, "tallyd: unexpected argument 'usage'"},
        {{"--no-sync", "usage", NULL}, "tallyd: unexpected argument 'usage'"},
        {{"--", "--no-sync", NULL}, "tallyd: unexpected argument '--no-sync'"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_options options;

        cr_assert_eq(parse_words(STDERR_FILENO, cases[i].words, &options), TY_OPTIONS_WRONG, "%s",
                     cases[i].words[0]);
        cr_assert_not_null(strstr(printed, cases[i].printed), "%s", printed);
        cr_assert_not_null(strstr(printed, "Try 'tallyd --help'.\n"), "%s", printed);
    }
}

/* The help must name every flag, fit a terminal, and go to standard output. */
Test(options, help_and_version_are_printed)
{
    static const char *const flags[] = {
        "--data DIR",
        "--config FILE",
        "--check",
        "--http HOST:PORT",
        "--forward HOST:PORT",
        "--forward-socket PATH",
        "--shards N",
        "--io-threads N",
        "--dedup-window TIME",
        "--dedup-memory SIZE",
        "--journal-retention TIME",
        "--journal-bytes SIZE",
        "--future TIME",
        "--series-max N",
        "--hot-memory SIZE",
        "--map-size SIZE",
        "--no-sync",
        "--body-max SIZE",
        "--connections-max N",
        "--drain TIME",
        "--help, --version",
    };
    static const char *const help[] = {"--help", NULL}, *const version[] = {"--version", NULL};
    struct ty_options options;

    cr_assert_eq(parse_words(STDOUT_FILENO, help, &options), TY_OPTIONS_EXIT);
    cr_assert_eq(strncmp(printed, "Usage: tallyd [option ...]\n", 27), 0);
    for (size_t i = 0; i < TY_COUNT_OF(flags); i++)
        cr_assert_not_null(strstr(printed, flags[i]), "%s", flags[i]);
    cr_assert_not_null(strstr(printed, "(4096)"), "the default of --connections-max");
    for (const char *line = printed; *line != '\0'; line = strchr(line, '\n') + 1)
        cr_assert_leq(strchr(line, '\n') - line, 80);
    cr_assert_eq(parse_words(STDOUT_FILENO, version, &options), TY_OPTIONS_EXIT);
    cr_assert_str_eq(printed, "tallyd 0.1.0\n");
}

/* --- Files and the environment --- */

static struct ty_temporary_directory directory;
static char path[sizeof(directory.path) + 16];

static void set_up(void)
{
    ty_temporary_directory_create(&directory);
    snprintf(path, sizeof(path), "%s/tally.conf", directory.path);
}

static void tear_down(void)
{
    ty_temporary_directory_remove(&directory);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

/* Each source must count more than the one below it, whichever of them say something. */
Test(options, flags_go_over_the_environment_over_the_file, .init = set_up, .fini = tear_down)
{
    for (unsigned sources = 0; sources < 8; sources++) {
        bool in_file = (sources & 1) != 0, in_variable = (sources & 2) != 0;
        bool in_flag = (sources & 4) != 0;
        const char *words[] = {"--config", path, in_flag ? "--shards" : NULL, "30", NULL};
        unsigned wanted = in_flag ? 30 : in_variable ? 20 : in_file ? 10 : 0;
        struct ty_options options;

        write_file(in_file ? "shards = 10\nio-threads = 2\n" : "io-threads = 2\n");
        if (in_variable)
            setenv("TALLY_SHARDS", "20", 1);
        else
            unsetenv("TALLY_SHARDS");
        cr_assert_eq(parse_words(STDERR_FILENO, words, &options), TY_OPTIONS_RUN, "%s", printed);
        cr_assert_eq(options.database.shards, wanted, "sources %u", sources);
        cr_assert_eq(options.io_threads, 2, "what only the file says counts");
        ty_options_fini(&options);
    }
}

/* A switch of the file can be turned off, too. */
Test(options, switches_have_the_same_precedence, .init = set_up, .fini = tear_down)
{
    const char *words[] = {"--config", path, NULL, NULL};
    struct ty_options options;

    write_file("no-sync = on\n");
    cr_assert_eq(parse_words(STDERR_FILENO, words, &options), TY_OPTIONS_RUN, "%s", printed);
    cr_assert_eq(options.database.flags, TALLY_NO_SYNC);
    ty_options_fini(&options);
    words[2] = "--no-sync=off";
    cr_assert_eq(parse_words(STDERR_FILENO, words, &options), TY_OPTIONS_RUN, "%s", printed);
    cr_assert_eq(options.database.flags, 0);
    ty_options_fini(&options);
}

/* Texts of a file must live as long as the options. */
Test(options, every_setting_can_stand_in_a_file_and_in_the_environment, .init = set_up,
     .fini = tear_down)
{
    const char *words[] = {"--config", path, NULL};
    struct ty_options options;

    write_file("data = /var/lib/tally\nhttp = unix:/run/http\nforward = off\n"
               "forward-socket = /run/forward\ndedup-window = 35d\nmap-size = 1GiB\n");
    cr_assert_eq(parse_words(STDERR_FILENO, words, &options), TY_OPTIONS_RUN, "%s", printed);
    cr_assert_str_eq(options.database.directory, "/var/lib/tally");
    cr_assert_str_eq(options.http_address, "unix:/run/http");
    cr_assert_null(options.forward_address);
    cr_assert_str_eq(options.forward_socket, "/run/forward");
    cr_assert_eq(options.database.dedup_window_ms, INT64_C(35) * 86400000);
    cr_assert_eq(options.database.map_bytes, UINT64_C(1) << 30);
    ty_options_fini(&options);
    for (const struct ty_setting *setting = ty_settings; setting->name != NULL; setting++) {
        char name[TY_SETTINGS_VARIABLE_BYTES];

        ty_settings_variable(setting, name);
        setenv(name, setting->initial, 1);
    }
    setenv("TALLY_DATA", "/elsewhere", 1);
    setenv("TALLY_DRAIN", "", 1); /* as if it were not there */
    setenv("TALLY_CONFIG", path, 1);
    words[0] = NULL;
    cr_assert_eq(parse_words(STDERR_FILENO, words, &options), TY_OPTIONS_RUN, "%s", printed);
    cr_assert_str_eq(options.database.directory, "/elsewhere");
    cr_assert_eq(options.drain_ms, 10000);
    cr_assert_eq(options.database.map_bytes, TALLY_MAP_BYTES, "the environment goes over the file");
    ty_options_fini(&options);
}

/* Whoever mistypes in a file is told the line, also where a flag would have counted more. */
Test(options, what_is_wrong_in_a_file_is_told_with_its_line, .init = set_up, .fini = tear_down)
{
    static const struct {
        const char *text;
        const char *problem;
    } cases[] = {
        {"# Tally\nshard = 3\n", ":2: there is no setting 'shard'"},
        {"config = /etc/other\n", ":1: there is no setting 'config'"},
        {"check = on\n", ":1: there is no setting 'check'"},
        {"--shards = 3\n", ":1: there is no setting '--shards'"},
        {"\n\nshards = many\n",
         ":3: shards 'many' is wrong; it takes a whole number from 1 to 256, or auto"},
        {"drain =\n", ":1: drain '' is wrong; it takes a time such as 500ms, 90s, 24h or 35d"},
        {"no-sync\n", ":1: a line is 'name = value', a # with a comment, or empty"},
        {"data = \"x\"\n", ":1: a value stands without quotes"},
        {"shards = 1\ndrain = 1s\nshards = 2\n", ":3: shards stands in line 1 already"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        const char *words[] = {"--shards", "3", "--drain", "5s", "--config", path, NULL};
        struct ty_options options;
        char wanted[sizeof(path) + 256];

        write_file(cases[i].text);
        cr_assert_eq(parse_words(STDERR_FILENO, words, &options), TY_OPTIONS_WRONG);
        snprintf(wanted, sizeof(wanted), "tallyd: %s%s\nTry 'tallyd --help'.\n", path,
                 cases[i].problem);
        cr_assert_str_eq(printed, wanted);
    }
}

/* A file that is named must be there. */
Test(options, a_file_that_cannot_be_read_is_told)
{
    const char *words[] = {"--config", "/nonexistent/tally.conf", NULL};
    struct ty_options options;

    cr_assert_eq(parse_words(STDERR_FILENO, words, &options), TY_OPTIONS_WRONG);
    cr_assert_str_eq(printed, "tallyd: cannot read /nonexistent/tally.conf: No such file or "
                              "directory\nTry 'tallyd --help'.\n");
}

/* The message must name the variable, since that is what has to be changed. */
Test(options, what_is_wrong_in_the_environment_is_told_with_its_variable)
{
    const char *words[] = {"--dedup-window", "1h", NULL};
    struct ty_options options;

    setenv("TALLY_DEDUP_WINDOW", "5", 1);
    cr_assert_eq(parse_words(STDERR_FILENO, words, &options), TY_OPTIONS_WRONG);
    cr_assert_str_eq(printed, "tallyd: TALLY_DEDUP_WINDOW '5' is wrong; it takes a time such as "
                              "500ms, 90s, 24h or 35d\nTry 'tallyd --help'.\n");
}

/* What --check prints must be what would be run, and work as a file itself. */
Test(options, check_prints_what_counts_and_where_it_comes_from, .init = set_up, .fini = tear_down)
{
    const char *words[] = {"--check", "--drain", "5s", "--config", path, NULL};
    const char *again[] = {"--config", path, NULL};
    char origin[sizeof(path) + 64];
    struct ty_options options;

    write_file("\nshards = 7\ndrain = 1s\n");
    setenv("TALLY_FUTURE", "2h", 1);
    cr_assert_eq(parse_words(STDOUT_FILENO, words, &options), TY_OPTIONS_EXIT);
    snprintf(origin, sizeof(origin), "\nshards = 7                               # %s:2\n", path);
    cr_assert_not_null(strstr(printed, origin), "%s", printed);
    cr_assert_not_null(strstr(printed, "\ndrain = 5s                               # flag\n"));
    cr_assert_not_null(
        strstr(printed, "\nfuture = 2h                              # environment\n"));
    cr_assert_not_null(strstr(printed, "\nmap-size = 64GiB                         # default\n"));
    unsetenv("TALLY_FUTURE");
    write_file(printed);
    cr_assert_eq(parse_words(STDERR_FILENO, again, &options), TY_OPTIONS_RUN, "%s", printed);
    cr_assert_eq(options.database.shards, 7);
    cr_assert_eq(options.drain_ms, 5000);
    cr_assert_eq(options.database.future_ms_max, 7200000);
    ty_options_fini(&options);
    words[2] = "soon";
    cr_assert_eq(parse_words(STDERR_FILENO, words, &options), TY_OPTIONS_WRONG);
}

/* --- Numbers --- */

/* A unit that is read wrongly makes a window of 24 milliseconds. */
Test(options, durations_have_units)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } cases[] = {
        {"0", 0},
        {"0s", 0},
        {"500ms", 500},
        {"90s", 90000},
        {"15m", 900000},
        {"24h", 86400000},
        {"35d", INT64_C(3024000000)},
        {"365000d", INT64_C(31536000000000)}, /* a thousand years */
        {"365001d", -1},
        {"00", -1},
        {"1", -1},
        {"", -1},
        {"ms", -1},
        {"1 s", -1},
        {" 1s", -1},
        {"1s ", -1},
        {"1S", -1},
        {"1.5h", -1},
        {"-1s", -1},
        {"+1s", -1},
        {"1h30m", -1},
        {"18446744073709551616ms", -1},
        {"0x1s", -1},
        {"99999999999999999999d", -1},
        {"213503982334602d", -1},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        int64_t ms = -77;
        bool taken = ty_options_duration(cases[i].text, &ms);

        cr_assert_eq(taken, cases[i].ms >= 0, "'%s'", cases[i].text);
        cr_assert_eq(ms, taken ? cases[i].ms : -77, "'%s': %lld", cases[i].text, (long long)ms);
    }
}

/* A size that is read wrongly fills the disk, or refuses every request. */
Test(options, sizes_have_binary_units)
{
    static const struct {
        const char *text;
        bool taken;
        uint64_t bytes;
    } cases[] = {
        {"0", true, 0},
        {"4096", true, 4096},
        {"1KiB", true, 1024},
        {"64MiB", true, UINT64_C(64) << 20},
        {"1GiB", true, UINT64_C(1) << 30},
        {"18446744073709551615", true, UINT64_MAX},
        {"17179869183GiB", true, UINT64_C(17179869183) << 30},
        {"17179869184GiB", false, 0},
        {"18446744073709551616", false, 0},
        {"", false, 0},
        {"KiB", false, 0},
        {"1kib", false, 0},
        {"1KB", false, 0},
        {"1K", false, 0},
        {"1 MiB", false, 0},
        {"-1", false, 0},
        {"1.5GiB", false, 0},
        {"1e6", false, 0},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        uint64_t bytes = 77;

        cr_assert_eq(ty_options_size(cases[i].text, &bytes), cases[i].taken, "'%s'", cases[i].text);
        cr_assert(!cases[i].taken || bytes == cases[i].bytes, "'%s'", cases[i].text);
    }
}
