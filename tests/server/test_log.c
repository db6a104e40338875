#include "engine/timestamp.h"
#include "server/log.h"
#include "tests/support/capture.h"

#include <criterion/criterion.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wformat-zero-length" /* "": no further pairs */

static char printed[8192];
static struct ty_capture capture;

static void begin(void)
{
    capture = ty_capture_begin(STDERR_FILENO);
}

/* Ends the capture and returns the line behind its time, which is checked. */
static const char *end(void)
{
    size_t length = ty_capture_end(&capture, printed, sizeof(printed));
    const char *space = strchr(printed, ' ');
    int64_t ms = 0;

    cr_assert(length > 0 && printed[length - 1] == '\n', "'%s'", printed);
    cr_assert_eq(strchr(printed, '\n'), printed + length - 1, "one line: '%s'", printed);
    cr_assert_eq(strncmp(printed, "ts=", 3), 0, "'%s'", printed);
    cr_assert_not_null(space);
    cr_assert_null(ty_timestamp_parse(printed + 3, (size_t)(space - printed) - 3, &ms));
    cr_assert_gt(ms, INT64_C(1600000000000));
    return space + 1;
}

/* Whoever reads the log with a program needs the same pairs in every line. */
Test(log, a_line_has_time_level_event_and_pairs)
{
    begin();
    ty_log("info", "listening", "http=%s:%d", "127.0.0.1", 8480);
    cr_assert_str_eq(end(), "level=info event=listening http=127.0.0.1:8480\n");
    begin();
    ty_log("warn", "stopped", "%s", "");
    cr_assert_str_eq(end(), "level=warn event=stopped \n");
    begin();
    ty_log("error", "stopped", "");
    cr_assert_str_eq(end(), "level=error event=stopped\n");
}

/* A problem's text is somebody else's: it must neither end its pair nor begin a line. */
Test(log, text_is_quoted_and_escaped)
{
    static const struct {
        const char *text;
        const char *quoted;
    } cases[] = {
        {"", "\"\""},
        {"No such file or directory", "\"No such file or directory\""},
        {"say \"no\"", "\"say \\\"no\\\"\""},
        {"C:\\tally", "\"C:\\\\tally\""},
        {"a\nlevel=error event=forged", "\"a level=error event=forged\""},
        {"\t\r\x1b[31m\x7f", "\"   [31m \""},
        {"\xc3\xa4\xe2\x82\xac", "\"\xc3\xa4\xe2\x82\xac\""},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char wanted[256];

        snprintf(wanted, sizeof(wanted), "level=error event=query_failed problem=%s\n",
                 cases[i].quoted);
        begin();
        ty_log_text("error", "query_failed", "problem", cases[i].text);
        cr_assert_str_eq(end(), wanted);
    }
}

/* A line that is too long is cut, and stays one line, with its quotes. */
Test(log, long_lines_are_cut)
{
    static char longest[5000];

    for (size_t length = 900; length < 1100; length++) {
        size_t written;
        const char *line;

        memset(longest, length % 3 == 0 ? '"' : 'x', length);
        longest[length] = '\0';
        begin();
        ty_log_text("error", "failed", "problem", longest);
        line = end();
        written = strlen(line);
        cr_assert_lt(strlen(printed), 1024);
        cr_assert_eq(line[written - 2], '"', "%zu: ...%s", length, line + written - 6);
        begin();
        ty_log("info", "event", "text=%s", longest);
        end();
        cr_assert_lt(strlen(printed), 1025);
    }
    memset(longest, 'y', sizeof(longest) - 1);
    begin();
    ty_log("info", "event", "text=%s", longest);
    cr_assert_eq(strncmp(end(), "level=info event=event text=yyyy", 32), 0);
}

/* A data directory may have any name; the line must still be pairs. */
Test(log, a_value_is_quoted_only_where_it_must_be)
{
    char value[TY_LOG_VALUE_BYTES], text[TY_LOG_VALUE_BYTES * 2];

    cr_assert_str_eq(ty_log_value("/var/lib/tally", value), "/var/lib/tally");
    cr_assert_str_eq(ty_log_value("my data", value), "\"my data\"");
    cr_assert_str_eq(ty_log_value("a=\"b\"", value), "\"a=\\\"b\\\"\"");
    cr_assert_str_eq(ty_log_value("", value), "\"\"");
    memset(text, ' ', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    cr_assert_lt(strlen(ty_log_value(text, value)), sizeof(value));
}

/* Someone at a terminal wants to read what went wrong, not a server's news in logfmt. */
Test(log, people_read_errors_as_sentences)
{
    ty_log_for_people("tally");
    begin();
    ty_log("info", "listening", "http=%s", "127.0.0.1:8480");
    ty_log_text("warn", "dedup_window_shortened", "remedy", "none");
    ty_log_text("error", "cannot_open", "problem", "the directory \"x\" is in use");
    ty_log("error", "commit_failed", "shard=%d", 3);
    ty_capture_end(&capture, printed, sizeof(printed));
    cr_assert_str_eq(printed, "tally: the directory \"x\" is in use\n"
                              "tally: commit_failed: shard=3\n");
}
