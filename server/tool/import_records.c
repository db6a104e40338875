#include "server/tool/import_records.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES ((size_t)TY_RECORD_BYTES_MAX + TY_RECORDS_READ_BYTES)

static const char byte_order_mark[] = "\xef\xbb\xbf";

bool ty_records_init(struct ty_records *records, char delimiter)
{
    char *window = records->window != NULL ? records->window : malloc(WINDOW_BYTES);

    memset(records, 0, sizeof(*records));
    records->window = window;
    records->is_csv = delimiter != 0;
    records->line = 1;
    if (records->is_csv)
        ty_csv_init(&records->scan, delimiter, records->cells, TY_CSV_COLUMNS_MAX);
    return window != NULL;
}

void ty_records_fini(struct ty_records *records)
{
    free(records->window);
    memset(records, 0, sizeof(*records));
}

char *ty_records_room(struct ty_records *records, size_t *bytes)
{
    if (WINDOW_BYTES - records->to < TY_RECORDS_READ_BYTES) {
        memmove(records->window, records->window + records->from, records->to - records->from);
        records->to -= records->from;
        records->from = 0;
    }
    *bytes = WINDOW_BYTES - records->to;
    TY_ASSERT(*bytes >= TY_RECORDS_READ_BYTES);
    return records->window + records->to;
}

void ty_records_fed(struct ty_records *records, size_t bytes)
{
    TY_ASSERT(bytes <= WINDOW_BYTES - records->to);
    records->to += bytes;
    records->has_ended = records->has_ended || bytes == 0;
}

/* Passes the mark. False: too few bytes are there to tell. */
static bool begin(struct ty_records *records)
{
    const size_t length = sizeof(byte_order_mark) - 1;
    size_t there = records->to - records->from;

    if (there < length && !records->has_ended)
        return false;
    if (there >= length && memcmp(records->window + records->from, byte_order_mark, length) == 0)
        records->from += length;
    records->has_begun = true;
    return true;
}

/* Looks for the record's end. Returns whether it was found; records->looked is how far it goes, or
 * how far was looked. */
static bool find_end(struct ty_records *records)
{
    const char *const data = records->window + records->from;
    const size_t length = records->to - records->from;
    const char *feed;

    if (records->is_csv) {
        bool found = ty_csv_scan(&records->scan, data, length, records->has_ended);

        records->looked = records->scan.at;
        return found;
    }
    feed = memchr(data + records->looked, '\n', length - records->looked);
    records->looked = feed == NULL ? length : (size_t)(feed - data) + 1;
    return feed != NULL || records->has_ended;
}

static uint64_t count_feeds(struct ty_text text)
{
    const char *const end = text.data + text.length;
    uint64_t count = 0;

    for (const char *at = text.data; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        count++;
    return count;
}

/* What is blank for the server's decoder of lines is blank here, or indices would not match. A line
 * of spaces is a row of CSV, if a wrong one. */
static bool is_blank(struct ty_text text, bool is_csv)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.data[i] != '\n' && text.data[i] != '\r' &&
            (is_csv || (text.data[i] != ' ' && text.data[i] != '\t')))
            return false;
    return true;
}

/* Takes what was looked at as a record or a piece of one. */
static void take(struct ty_records *records, struct ty_raw_record *record)
{
    *record = (struct ty_raw_record){
        .text = {records->window + records->from, records->looked},
        .line = records->line,
    };
    records->line += count_feeds(record->text);
    records->from += records->looked;
    records->looked = 0;
}

/* A record of CSV is right, unless the scanner says otherwise. */
static void judge(const struct ty_records *records, struct ty_raw_record *record)
{
    if (!records->is_csv)
        return;
    record->wrong = records->scan.wrong;
    record->wrong_cell = records->scan.wrong_cell;
    if (record->wrong == NULL && records->scan.cell_count > TY_CSV_COLUMNS_MAX)
        record->wrong = "more than 1024 cells";
}

/* Takes a piece of a record that is too long. */
static enum ty_records_step take_piece(struct ty_records *records, bool is_last,
                                       struct ty_raw_record *record)
{
    bool is_first = !records->is_long;

    take(records, record);
    ty_csv_forget(&records->scan);
    records->is_long = !is_last;
    record->wrong = records->is_csv
                        ? "longer than 1 MiB (is a quote opened here that is never closed?)"
                        : "longer than 1 MiB";
    return is_first ? TY_RECORDS_RECORD : TY_RECORDS_PIECE;
}

/* Goes to the next record's end, or to the end of what is there. */
static enum ty_records_step step(struct ty_records *records, struct ty_raw_record *record)
{
    bool found;

    /* The cells of the last record were still of use. */
    if (records->is_csv && records->looked == 0 && !records->is_long)
        ty_csv_begin(&records->scan);
    found = find_end(records);
    if (records->is_long || records->looked > TY_RECORD_BYTES_MAX)
        return take_piece(records, found, record);
    if (!found)
        return TY_RECORDS_MORE;
    take(records, record);
    judge(records, record);
    return TY_RECORDS_RECORD;
}

enum ty_records_step ty_records_next(struct ty_records *records, struct ty_raw_record *record)
{
    if (!records->has_begun && !begin(records))
        return TY_RECORDS_MORE;
    for (;;) {
        enum ty_records_step result;

        if (records->from == records->to && records->looked == 0)
            return records->has_ended ? TY_RECORDS_END : TY_RECORDS_MORE;
        result = step(records, record);
        if (result == TY_RECORDS_RECORD && record->wrong == NULL &&
            is_blank(record->text, records->is_csv))
            continue;
        return result;
    }
}
