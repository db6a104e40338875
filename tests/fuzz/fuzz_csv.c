/*
 * fuzz_csv.c: any bytes as a file of CSV, or of lines.
 *
 * The first byte chooses the format and the delimiter, the second how large the pieces are in which
 * the file is fed. The records must be the same as when it is fed at once, all of its text must be
 * in them but for blank lines, and what a row becomes must be one line of JSON.
 */
#include "ingest/json_scan.h"
#include "server/tool/csv_events.h"
#include "server/tool/import_records.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came out of a file, one after another: the records' texts, lines, verdicts and events. */
struct outcome {
    struct ty_buffer story;
    uint64_t last_line;
    size_t bytes; /* of records, without blank lines */
};

static void append_json_checked(struct ty_buffer *story, const struct ty_buffer *event)
{
    struct ty_json json;

    TY_ASSERT(event->data[event->length - 1] == '\n');
    TY_ASSERT(memchr(event->data, '\n', event->length) == event->data + event->length - 1);
    ty_json_init(&json, event->data, event->length);
    TY_ASSERT(ty_json_peek(&json) == TY_JSON_OBJECT);
    TY_ASSERT(ty_json_skip(&json) && ty_json_end(&json));
    ty_buffer_append(story, event->data, event->length);
}

static void check_cells(const struct ty_csv_scan *scan, size_t length)
{
    size_t count = TY_MIN(scan->cell_count, (size_t)TY_CSV_COLUMNS_MAX);

    TY_ASSERT(scan->cell_count > 0);
    for (size_t i = 0; i < count; i++) {
        TY_ASSERT(scan->cells[i].from <= length);
        TY_ASSERT(scan->cells[i].length <= length - scan->cells[i].from);
    }
}

/* As if every column were a field, whatever the header says. */
static void convert(const struct ty_records *records, struct ty_text text, struct ty_buffer *story)
{
    static struct ty_csv_columns columns;
    struct ty_buffer event = {0}, room = {0};
    char error[TY_CSV_ERROR_BYTES];

    columns.count = TY_MIN(records->scan.cell_count, (size_t)TY_FIELD_COUNT);
    for (size_t i = 0; i < columns.count; i++)
        columns.fields[i] = (enum ty_field)i;
    if (ty_csv_event_append(&columns, text.data, &records->scan, &event, &room, error))
        append_json_checked(story, &event);
    else
        ty_buffer_append_text(story, error);
    ty_buffer_fini(&event);
    ty_buffer_fini(&room);
}

static void take(const struct ty_records *records, const struct ty_raw_record *record,
                 enum ty_records_step step, struct outcome *outcome)
{
    TY_ASSERT(record->text.length > 0);
    outcome->bytes += record->text.length;
    if (step == TY_RECORDS_RECORD) {
        TY_ASSERT(record->line > outcome->last_line);
        outcome->last_line = record->line;
    }
    ty_buffer_append(&outcome->story, record->text.data, record->text.length);
    ty_buffer_append_format(&outcome->story, "|%llu|%s|", (unsigned long long)record->line,
                            record->wrong != NULL ? record->wrong : "");
    if (!records->is_csv || step == TY_RECORDS_PIECE)
        return;
    if (record->text.length <= TY_RECORD_BYTES_MAX)
        check_cells(&records->scan, record->text.length);
    if (record->wrong == NULL)
        convert(records, record->text, &outcome->story);
}

static void read_all(const uint8_t *data, size_t size, char delimiter, size_t piece,
                     struct outcome *outcome)
{
    static struct ty_records records; /* its window is used again */
    struct ty_raw_record record;
    enum ty_records_step step;
    size_t fed = 0;

    TY_ASSERT(ty_records_init(&records, delimiter));
    while ((step = ty_records_next(&records, &record)) != TY_RECORDS_END) {
        if (step == TY_RECORDS_MORE) {
            size_t room;
            char *to = ty_records_room(&records, &room);
            size_t now = TY_MIN(TY_MIN(piece, room), size - fed);

            if (now > 0)
                memcpy(to, data + fed, now);
            ty_records_fed(&records, now);
            fed += now;
            continue;
        }
        take(&records, &record, step, outcome);
    }
    TY_ASSERT(fed == size);
    TY_ASSERT(outcome->bytes <= size);
}

/* Any header is either taken or explained. */
static void read_header(const uint8_t *data, size_t size, char delimiter)
{
    static const struct ty_csv_renames renames;
    static struct ty_csv_cell cells[TY_CSV_COLUMNS_MAX];
    static struct ty_csv_columns columns;
    struct ty_buffer ignored = {0};
    char error[TY_CSV_ERROR_BYTES] = "";
    struct ty_csv_scan scan;

    ty_csv_init(&scan, delimiter, cells, TY_CSV_COLUMNS_MAX);
    ty_csv_scan(&scan, (const char *)data, size, true);
    if (!ty_csv_columns_read(&columns, &renames, (const char *)data, &scan, &ignored, error))
        TY_ASSERT(strncmp(error, "the header", 10) == 0);
    ty_buffer_fini(&ignored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char delimiters[] = {',', ';', '\t', 0};
    struct outcome whole = {0}, pieces = {0};
    char delimiter;

    if (size < 2)
        return 0;
    delimiter = delimiters[data[0] % sizeof(delimiters)];
    read_all(data + 2, size - 2, delimiter, SIZE_MAX, &whole);
    read_all(data + 2, size - 2, delimiter, (size_t)data[1] % 64 + 1, &pieces);
    TY_ASSERT(ty_buffer_ok(&whole.story) && ty_buffer_ok(&pieces.story));
    TY_ASSERT(whole.story.length == pieces.story.length);
    TY_ASSERT(whole.story.length == 0 ||
              memcmp(whole.story.data, pieces.story.data, whole.story.length) == 0);
    if (delimiter != 0)
        read_header(data + 2, size - 2, delimiter);
    ty_buffer_fini(&whole.story);
    ty_buffer_fini(&pieces.story);
    return 0;
}
