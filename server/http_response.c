#include "server/http_response.h"

#include <string.h>

#include "engine/digits.h"

static const struct {
    int status;
    const char *phrase;
} phrases[] = {
    {200, "OK"},
    {400, "Bad Request"},
    {404, "Not Found"},
    {422, "Unprocessable Content"},
    {503, "Service Unavailable"},
    {429, "Too Many Requests"},
    {100, "Continue"},
    {101, "Switching Protocols"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *ty_http_status_phrase(int status)
{
    for (size_t i = 0; i < TY_COUNT_OF(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Unknown";
}

static char *put_text(char *at, const char *text, size_t length)
{
    memcpy(at, text, length);
    return at + length;
}

const char *ty_http_date_text(struct ty_http_date *date, time_t now)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;
    char *at = date->text;

    if (date->second == now && date->text[0] != '\0')
        return date->text;
    gmtime_r(&now, &tm);
    date->second = now;
    at = put_text(at, days + (ptrdiff_t)tm.tm_wday * 3, 3);
    at = put_text(at, ", ", 2);
    at = ty_put_digits(at, (unsigned)tm.tm_mday, 2);
    *at++ = ' ';
    at = put_text(at, months + (ptrdiff_t)tm.tm_mon * 3, 3);
    *at++ = ' ';
    at = ty_put_digits(at, (unsigned)tm.tm_year + 1900, 4);
    *at++ = ' ';
    at = ty_put_digits(at, (unsigned)tm.tm_hour, 2);
    *at++ = ':';
    at = ty_put_digits(at, (unsigned)tm.tm_min, 2);
    *at++ = ':';
    at = ty_put_digits(at, (unsigned)tm.tm_sec, 2);
    put_text(at, " GMT", 5);
    return date->text;
}

static void append_number(struct ty_buffer *out, size_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    ty_buffer_append(out, digits + at, sizeof(digits) - at);
}

static void append_header(struct ty_buffer *out, const char *name_colon, const char *value)
{
    if (value == NULL)
        return;
    ty_buffer_append_text(out, name_colon);
    ty_buffer_append_text(out, value);
    ty_buffer_append(out, "\r\n", 2);
}

void ty_http_response_head(struct ty_buffer *out, const struct ty_http_head *head)
{
    ty_buffer_append_text(out, "HTTP/1.1 ");
    append_number(out, (size_t)head->status);
    ty_buffer_append_char(out, ' ');
    append_header(out, ty_http_status_phrase(head->status), "");
    append_header(out, "Server: ", head->server_name);
    append_header(out, "Date: ", head->date);
    append_header(out, "Content-Type: ", head->content_type);
    if (head->status >= 200 && head->status != 204) {
        ty_buffer_append_text(out, "Content-Length: ");
        append_number(out, head->content_length);
        ty_buffer_append(out, "\r\n", 2);
    }
    append_header(out, "Connection: ", head->connection);
    if (head->extra != NULL)
        ty_buffer_append_text(out, head->extra);
    ty_buffer_append(out, "\r\n", 2);
}

/* Bytes of the well-formed UTF-8 character that `text` begins with (Unicode, table 3-7); 0: none.
 */
static size_t character_length(const unsigned char *text, size_t length)
{
    unsigned char first = text[0], low = 0x80, high = 0xbf;
    size_t bytes;

    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    bytes = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (length < bytes || text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return bytes;
}

/* Appends any bytes as a JSON string: what is not UTF-8 becomes U+FFFD. */
static void append_json_lossy(struct ty_buffer *out, struct ty_text text)
{
    struct ty_buffer clean = {0};
    size_t step;

    for (size_t i = 0; i < text.length; i += TY_MAX(step, (size_t)1)) {
        step = character_length((const unsigned char *)text.data + i, text.length - i);
        if (step > 0)
            ty_buffer_append(&clean, text.data + i, step);
        else
            ty_buffer_append_text(&clean, "\xef\xbf\xbd");
    }
    if (!ty_buffer_ok(&clean))
        out->failed = true;
    ty_buffer_append_json(out, (struct ty_text){clean.data, clean.length});
    ty_buffer_fini(&clean);
}

static void append_json_word(struct ty_buffer *out, const char *word)
{
    append_json_lossy(out, (struct ty_text){word, strlen(word)});
}

static void append_error(struct ty_buffer *out, const struct ty_http_problem_error *error)
{
    ty_buffer_append_text(out, "{\"loc\":[");
    append_json_word(out, error->where);
    if (error->name.length > 0) {
        ty_buffer_append_char(out, ',');
        append_json_lossy(out, error->name);
    }
    ty_buffer_append_text(out, "],\"msg\":");
    append_json_word(out, error->message);
    ty_buffer_append_char(out, '}');
}

void ty_http_problem_body(struct ty_buffer *out, const struct ty_http_problem *problem)
{
    ty_buffer_append_text(out, "{\"type\":\"about:blank\",\"title\":");
    append_json_word(out, ty_http_status_phrase(problem->status));
    ty_buffer_append_text(out, ",\"status\":");
    append_number(out, (size_t)problem->status);
    ty_buffer_append_text(out, ",\"detail\":");
    append_json_word(out, problem->detail);
    if (problem->members != NULL) {
        ty_buffer_append_char(out, ',');
        ty_buffer_append_text(out, problem->members);
    }
    if (problem->error_count > 0) {
        ty_buffer_append_text(out, ",\"errors\":[");
        for (size_t i = 0; i < problem->error_count; i++) {
            if (i > 0)
                ty_buffer_append_char(out, ',');
            append_error(out, &problem->errors[i]);
        }
        ty_buffer_append_char(out, ']');
    }
    ty_buffer_append_text(out, "}\n");
}
