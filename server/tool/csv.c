#include "server/tool/csv.h"

#include <string.h>

void ty_csv_init(struct ty_csv_scan *scan, char delimiter, struct ty_csv_cell *cells,
                 size_t cells_max)
{
    memset(scan, 0, sizeof(*scan));
    scan->delimiter = delimiter;
    scan->cells = cells;
    scan->cells_max = cells_max;
    scan->is_special[(unsigned char)delimiter] = true;
    scan->is_special['\r'] = true;
    scan->is_special['\n'] = true;
    scan->is_special['"'] = true;
    ty_csv_begin(scan);
}

void ty_csv_begin(struct ty_csv_scan *scan)
{
    scan->at = 0;
    scan->wrong = NULL;
    scan->wrong_cell = 0;
    scan->cell_count = 0;
    scan->state = TY_CSV_CELL;
    scan->cell = (struct ty_csv_cell){0};
    scan->is_closed = false;
}

void ty_csv_forget(struct ty_csv_scan *scan)
{
    scan->at = 0;
    scan->cell.from = 0;
}

/* Notes what is malformed, of which the first is told. Its cell goes on as one without quotes. */
static void note_wrong(struct ty_csv_scan *scan, const char *wrong)
{
    scan->state = TY_CSV_PLAIN;
    scan->is_closed = false;
    if (scan->wrong != NULL)
        return;
    scan->wrong = wrong;
    scan->wrong_cell = scan->cell_count;
}

/* The cell ends before `end`, unless a quote has closed it before. */
static void end_cell(struct ty_csv_scan *scan, size_t end)
{
    if (!scan->is_closed)
        scan->cell.length = (uint32_t)end - scan->cell.from;
    if (scan->cell_count < scan->cells_max)
        scan->cells[scan->cell_count] = scan->cell;
    scan->cell_count++;
    scan->cell = (struct ty_csv_cell){0};
    scan->is_closed = false;
}

/* A quote before `end` has closed the cell. */
static void close_quotes(struct ty_csv_scan *scan, size_t end)
{
    scan->cell.length = (uint32_t)(end - 1) - scan->cell.from;
    scan->is_closed = true;
}

static bool is_separator(const struct ty_csv_scan *scan, char byte)
{
    return byte == scan->delimiter || byte == '\n' || byte == '\r';
}

/* Takes the separator at `at`, which ends a cell (a CR only if an LF follows). Returns true when
 * the record is over, as every function here that takes something does. */
static bool take_separator(struct ty_csv_scan *scan, char byte, size_t at)
{
    scan->at = at + 1;
    if (byte == '\r') {
        scan->state = TY_CSV_RETURN;
        return false;
    }
    end_cell(scan, at);
    scan->state = TY_CSV_CELL;
    return byte == '\n';
}

static bool begin_cell(struct ty_csv_scan *scan, const char *data)
{
    bool is_quoted = data[scan->at] == '"';

    scan->at += is_quoted;
    scan->cell.from = (uint32_t)scan->at;
    scan->state = is_quoted ? TY_CSV_QUOTED : TY_CSV_PLAIN;
    return false;
}

static bool take_plain(struct ty_csv_scan *scan, const char *data, size_t length)
{
    size_t at = scan->at;

    while (at < length && !scan->is_special[(unsigned char)data[at]])
        at++;
    scan->at = at;
    if (at == length)
        return false;
    if (is_separator(scan, data[at]))
        return take_separator(scan, data[at], at);
    note_wrong(scan,
               "a quote stands inside a cell that does not begin with one (put the whole cell "
               "in quotes, and write each quote in it twice)");
    scan->at++;
    return false;
}

static bool take_quoted(struct ty_csv_scan *scan, const char *data, size_t length)
{
    const char *quote = memchr(data + scan->at, '"', length - scan->at);

    scan->at = quote == NULL ? length : (size_t)(quote - data) + 1;
    if (quote != NULL)
        scan->state = TY_CSV_QUOTE;
    return false;
}

static bool take_after_quote(struct ty_csv_scan *scan, const char *data)
{
    size_t at = scan->at;

    if (data[at] == '"') {
        scan->cell.doubled = true;
        scan->at++;
        scan->state = TY_CSV_QUOTED;
        return false;
    }
    if (is_separator(scan, data[at])) {
        close_quotes(scan, at);
        return take_separator(scan, data[at], at);
    }
    note_wrong(scan, "text follows the closing quote of a cell (write each quote inside of quotes "
                     "twice)");
    return false;
}

static bool take_after_return(struct ty_csv_scan *scan, const char *data)
{
    if (data[scan->at] == '\n') {
        end_cell(scan, scan->at - 1);
        scan->at++;
        return true;
    }
    note_wrong(scan, "a CR without LF (lines end with LF or CRLF; put a cell that holds a CR in "
                     "quotes)");
    return false;
}

/* The input ended inside a record, behind its last byte; a line end may be missing there. */
static void take_end(struct ty_csv_scan *scan)
{
    size_t at = scan->at;

    if (scan->state == TY_CSV_CELL)
        scan->cell.from = (uint32_t)at;
    if (scan->state == TY_CSV_QUOTE)
        close_quotes(scan, at);
    if (scan->state == TY_CSV_QUOTED)
        note_wrong(scan, "a cell begins with a quote that is never closed");
    end_cell(scan, scan->state == TY_CSV_RETURN ? at - 1 : at);
}

bool ty_csv_scan(struct ty_csv_scan *scan, const char *data, size_t length, bool ended)
{
    bool is_over = false;

    while (scan->at < length && !is_over)
        switch (scan->state) {
        case TY_CSV_CELL:
            is_over = begin_cell(scan, data);
            break;
        case TY_CSV_PLAIN:
            is_over = take_plain(scan, data, length);
            break;
        case TY_CSV_QUOTED:
            is_over = take_quoted(scan, data, length);
            break;
        case TY_CSV_QUOTE:
            is_over = take_after_quote(scan, data);
            break;
        case TY_CSV_RETURN:
            is_over = take_after_return(scan, data);
            break;
        }
    if (!is_over && ended) {
        take_end(scan);
        is_over = true;
    }
    return is_over;
}

size_t ty_csv_unquote(const char *data, const struct ty_csv_cell *cell, char *out)
{
    const char *at = data + cell->from;
    const char *const end = at + cell->length;
    size_t length = 0;

    while (at < end) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        size_t part = quote == NULL ? (size_t)(end - at) : (size_t)(quote - at) + 1;

        memcpy(out + length, at, part);
        length += part;
        /* The second one of two is passed over. */
        at += part + (quote != NULL);
    }
    return length;
}
