#include "server/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/timestamp.h"
#include "shard/system_clock.h"

#define LINE_BYTES 1024

static const char *people_program; /* NULL: this is the log of a server */
static bool is_journal;

/* The journal says to which file it has connected a service's stderr; it may have been redirected
 * since. */
void ty_log_open(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    is_journal = stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
                 fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
                 status.st_ino == inode;
}

void ty_log_for_people(const char *program)
{
    people_program = program;
}

static bool is_silent(const char *level)
{
    return people_program != NULL && strcmp(level, "error") != 0;
}

/* The priorities of syslog(3). */
static const char *priority(const char *level)
{
    if (!is_journal)
        return "";
    return strcmp(level, "error") == 0 ? "<3>" : strcmp(level, "warn") == 0 ? "<4>" : "<6>";
}

/* Cuts what is too long and writes the line with one call, so that lines of threads do not mix. */
static void write_line(char line[LINE_BYTES], int length)
{
    if (length < 0)
        return;
    length = TY_MIN(length, LINE_BYTES - 2);
    line[length] = '\n';
    if (write(STDERR_FILENO, line, (size_t)length + 1) < 0)
        return; /* Nowhere left to say so. */
}

static int begin_line(char line[LINE_BYTES], const char *level, const char *event)
{
    struct ty_clock clock = ty_system_clock();
    char time[TY_TIMESTAMP_TEXT_BYTES];

    if (people_program != NULL)
        return snprintf(line, LINE_BYTES, "%s: %s:", people_program, event);
    ty_timestamp_format(ty_clock_wall_ms(&clock), time);
    return snprintf(line, LINE_BYTES, "%sts=%s level=%s event=%s", priority(level), time, level,
                    event);
}

void ty_log(const char *level, const char *event, const char *format, ...)
{
    char line[LINE_BYTES];
    int length;
    va_list arguments;

    if (is_silent(level))
        return;
    length = begin_line(line, level, event);
    if (format[0] != '\0') {
        line[length++] = ' ';
        va_start(arguments, format);
        length += vsnprintf(line + length, (size_t)(LINE_BYTES - length), format, arguments);
        va_end(arguments);
    }
    write_line(line, length);
}

/* Appends text in quotes to `out`, of `size` bytes, and returns the new length. */
static int quote(char *out, int length, int size, const char *text)
{
    out[length++] = '"';
    for (; *text != '\0' && length < size - 4; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            out[length++] = '\\';
        out[length++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
    }
    out[length++] = '"';
    return length;
}

const char *ty_log_value(const char *text, char out[TY_LOG_VALUE_BYTES])
{
    bool plain = text[0] != '\0';

    for (const char *at = text; *at != '\0'; at++)
        plain &= (unsigned char)*at > 0x20 && *at != 0x7f && strchr("\"=\\", *at) == NULL;
    if (plain)
        snprintf(out, TY_LOG_VALUE_BYTES, "%s", text);
    else
        out[quote(out, 0, TY_LOG_VALUE_BYTES, text)] = '\0';
    return out;
}

void ty_log_text(const char *level, const char *event, const char *key, const char *text)
{
    char line[LINE_BYTES];
    int length;

    if (is_silent(level))
        return;
    if (people_program != NULL) {
        write_line(line, snprintf(line, LINE_BYTES, "%s: %s", people_program, text));
        return;
    }
    length = begin_line(line, level, event);
    length += snprintf(line + length, (size_t)(LINE_BYTES - length), " %s=", key);
    write_line(line, quote(line, length, LINE_BYTES, text));
}

void ty_log_emergency(const char *line)
{
    char copy[LINE_BYTES];
    size_t length = 0;

    for (const char *at = priority("error"); *at != '\0'; at++)
        copy[length++] = *at;
    for (; *line != '\0' && length < LINE_BYTES - 2; line++)
        copy[length++] = *line;
    write_line(copy, (int)length);
}
