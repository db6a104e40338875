#include "server/tool/csv_events.h"

#include "engine/utf8.h"
#include "ingest/json_scan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Columns without which there is no event. */
static const enum ty_field required_fields[] = {TY_FIELD_ID, TY_FIELD_CUSTOMER_ID,
                                                TY_FIELD_WORKFLOW_ID};

#define ALL_FIELDS                                                                                 \
    "id, customer_id, workflow_id, time, credits, documents, pages, processing_ms, user_id"

/* A cell's value: a part of `data`, or unquoted at the end of `room`, which must not move while the
 * value is in use. */
static struct ty_text cell_value(const char *data, const struct ty_csv_cell *cell,
                                 struct ty_buffer *room)
{
    char *out;
    size_t length;

    if (!cell->doubled)
        return (struct ty_text){data + cell->from, cell->length};
    out = ty_buffer_reserve(room, cell->length);
    if (out == NULL)
        return (struct ty_text){"", 0};
    length = ty_csv_unquote(data, cell, out);
    room->length += length;
    return (struct ty_text){out, length};
}

static bool same(struct ty_text a, struct ty_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* What is shown of a text in a message: not all of a long one. */
static int shown(struct ty_text text)
{
    return (int)ty_utf8_shorten(text.data, text.length, 60);
}

static bool add_rename(struct ty_csv_renames *renames, struct ty_text item, char *error)
{
    const char *equals = memrchr(item.data, '=', item.length);
    struct ty_csv_rename *rename = &renames->items[renames->count];
    size_t field_length;

    if (equals == NULL || equals == item.data) {
        snprintf(error, TY_CSV_ERROR_BYTES, "'%.*s' is not of the form NAME=FIELD", shown(item),
                 item.data);
        return false;
    }
    field_length = (size_t)(item.data + item.length - equals) - 1;
    rename->name = (struct ty_text){item.data, (size_t)(equals - item.data)};
    rename->field = ty_event_fields_find(equals + 1, field_length);
    if (rename->field == TY_FIELD_UNKNOWN && field_length > 0) {
        snprintf(error, TY_CSV_ERROR_BYTES,
                 "'%.*s': an event has no such field; there are " ALL_FIELDS
                 ", and nothing (NAME=) to ignore the column",
                 shown(item), item.data);
        return false;
    }
    for (size_t i = 0; i < renames->count; i++)
        if (same(renames->items[i].name, rename->name)) {
            snprintf(error, TY_CSV_ERROR_BYTES, "the column '%.*s' is given twice",
                     shown(rename->name), rename->name.data);
            return false;
        }
    renames->count++;
    return true;
}

static bool unquote(struct ty_csv_renames *renames, const char *text,
                    const struct ty_csv_cell *cell, struct ty_text *item)
{
    char *out = ty_arena_alloc(&renames->names, cell->length);

    if (out == NULL)
        return false;
    *item = (struct ty_text){out, ty_csv_unquote(text, cell, out)};
    return true;
}

bool ty_csv_renames_add(struct ty_csv_renames *renames, const char *text,
                        char error[TY_CSV_ERROR_BYTES])
{
    struct ty_csv_cell cells[TY_CSV_RENAMES_MAX];
    struct ty_csv_scan scan;
    size_t length = strlen(text);

    ty_csv_init(&scan, ',', cells, TY_COUNT_OF(cells));
    ty_csv_scan(&scan, text, length, true);
    if (scan.wrong != NULL) {
        snprintf(error, TY_CSV_ERROR_BYTES, "'%.60s' is malformed: %s", text, scan.wrong);
        return false;
    }
    if (scan.at < length || renames->count + scan.cell_count > TY_CSV_RENAMES_MAX) {
        snprintf(error, TY_CSV_ERROR_BYTES, "'%.60s': %s", text,
                 scan.at < length ? "holds a line end" : "more than 100 columns");
        return false;
    }
    for (size_t i = 0; i < scan.cell_count; i++) {
        struct ty_text item = {text + cells[i].from, cells[i].length};

        if (cells[i].doubled && !unquote(renames, text, &cells[i], &item)) {
            snprintf(error, TY_CSV_ERROR_BYTES, "out of memory");
            return false;
        }
        if (!add_rename(renames, item, error))
            return false;
    }
    return true;
}

void ty_csv_renames_fini(struct ty_csv_renames *renames)
{
    ty_arena_fini(&renames->names);
    renames->count = 0;
}

static const struct ty_csv_rename *find_rename(const struct ty_csv_renames *renames,
                                               struct ty_text name)
{
    for (size_t i = 0; i < renames->count; i++)
        if (same(renames->items[i].name, name))
            return &renames->items[i];
    return NULL;
}

/* The header's names, separate; false when memory is out. Unquoted ones are in `room`. */
static bool read_names(const char *text, const struct ty_csv_scan *scan, struct ty_text *names,
                       struct ty_buffer *room)
{
    size_t bytes = 0;

    for (size_t i = 0; i < scan->cell_count; i++)
        bytes += scan->cells[i].length;
    /* All at once, so that no name moves. */
    if (ty_buffer_reserve(room, bytes) == NULL)
        return false;
    for (size_t i = 0; i < scan->cell_count; i++)
        names[i] = cell_value(text, &scan->cells[i], room);
    return true;
}

static bool check_header(const char *text, const struct ty_csv_scan *scan, char *error)
{
    if (ty_utf8_check(text, scan->at) != scan->at) {
        snprintf(error, TY_CSV_ERROR_BYTES,
                 "the header is not UTF-8%s (convert the file: iconv -f %s -t UTF-8)",
                 memchr(text, '\0', scan->at) != NULL ? " but UTF-16" : "",
                 memchr(text, '\0', scan->at) != NULL ? "UTF-16" : "WINDOWS-1252");
        return false;
    }
    if (scan->wrong != NULL) {
        snprintf(error, TY_CSV_ERROR_BYTES, "the header is malformed in column %zu: %s",
                 scan->wrong_cell + 1, scan->wrong);
        return false;
    }
    if (scan->cell_count > TY_CSV_COLUMNS_MAX) {
        snprintf(error, TY_CSV_ERROR_BYTES, "the header has %zu columns; at most %d are allowed",
                 scan->cell_count, TY_CSV_COLUMNS_MAX);
        return false;
    }
    return true;
}

/* Gives each column its field. `from` remembers which column a field has, 1 being the first. */
static bool assign(struct ty_csv_columns *columns, const struct ty_csv_renames *renames,
                   const struct ty_text *names, size_t from[TY_FIELD_COUNT],
                   struct ty_buffer *ignored, char *error)
{
    for (size_t i = 0; i < columns->count; i++) {
        const struct ty_csv_rename *rename = find_rename(renames, names[i]);
        enum ty_field field =
            rename != NULL ? rename->field : ty_event_fields_find(names[i].data, names[i].length);

        columns->fields[i] = field;
        if (field == TY_FIELD_UNKNOWN && rename == NULL) {
            ty_buffer_append_text(ignored, ignored->length > 0 ? ", " : "");
            ty_buffer_append(ignored, names[i].data, names[i].length);
            if (names[i].length == 0)
                ty_buffer_append_format(ignored, "column %zu (no name)", i + 1);
        }
        if (field == TY_FIELD_UNKNOWN)
            continue;
        if (from[field] != 0) {
            snprintf(error, TY_CSV_ERROR_BYTES,
                     "the header has two columns for %s, number %zu and number %zu (--column "
                     "NAME= ignores one)",
                     ty_event_fields_name(field), from[field], i + 1);
            return false;
        }
        from[field] = i + 1;
    }
    return true;
}

static bool check_renames(const struct ty_csv_renames *renames, const struct ty_text *names,
                          size_t count, char *error)
{
    for (size_t i = 0; i < renames->count; i++) {
        bool found = false;

        for (size_t j = 0; j < count && !found; j++)
            found = same(renames->items[i].name, names[j]);
        if (!found) {
            snprintf(error, TY_CSV_ERROR_BYTES,
                     "the header has no column '%.*s', which --column names",
                     shown(renames->items[i].name), renames->items[i].name.data);
            return false;
        }
    }
    return true;
}

/* A file with another delimiter has one column whose name holds it. */
static const char *guess_delimiter(const struct ty_text *names, size_t count)
{
    static const char *const hints[] = {
        " (did you mean --delimiter ';'?)",
        " (did you mean --delimiter tab?)",
        " (did you mean --delimiter '|'?)",
        " (did you mean --delimiter ','?)",
    };
    static const char delimiters[] = ";\t|,";

    for (size_t i = 0; count == 1 && i < TY_COUNT_OF(hints); i++)
        if (memchr(names[0].data, delimiters[i], names[0].length) != NULL)
            return hints[i];
    return "";
}

static bool check_required(const struct ty_text *names, size_t count,
                           const size_t from[TY_FIELD_COUNT], char *error)
{
    for (size_t i = 0; i < TY_COUNT_OF(required_fields); i++) {
        int length;

        if (from[required_fields[i]] != 0)
            continue;
        length = snprintf(error, TY_CSV_ERROR_BYTES,
                          "the header has no column for %s, which is required%s; its columns are",
                          ty_event_fields_name(required_fields[i]), guess_delimiter(names, count));
        for (size_t j = 0; j < count && length < TY_CSV_ERROR_BYTES; j++)
            length += snprintf(error + length, (size_t)(TY_CSV_ERROR_BYTES - length), "%s '%.*s'",
                               j == 0 ? "" : ",", shown(names[j]), names[j].data);
        return false;
    }
    return true;
}

bool ty_csv_columns_read(struct ty_csv_columns *columns, const struct ty_csv_renames *renames,
                         const char *text, const struct ty_csv_scan *scan,
                         struct ty_buffer *ignored, char error[TY_CSV_ERROR_BYTES])
{
    size_t from[TY_FIELD_COUNT] = {0};
    struct ty_buffer room = {0};
    struct ty_text *names;
    bool is_good = false;

    if (!check_header(text, scan, error))
        return false;
    names = calloc(scan->cell_count, sizeof(*names));
    columns->count = scan->cell_count;
    if (names == NULL || !read_names(text, scan, names, &room))
        snprintf(error, TY_CSV_ERROR_BYTES, "the header does not fit into memory");
    else
        is_good = check_renames(renames, names, columns->count, error) &&
                  assign(columns, renames, names, from, ignored, error) &&
                  check_required(names, columns->count, from, error);
    free(names);
    ty_buffer_fini(&room);
    return is_good;
}

static bool is_text_field(enum ty_field field)
{
    return field == TY_FIELD_ID || field == TY_FIELD_CUSTOMER_ID || field == TY_FIELD_WORKFLOW_ID ||
           field == TY_FIELD_USER_ID;
}

/* Whether all of the text is one number by JSON's grammar. */
static bool is_number(struct ty_text text)
{
    struct ty_json_number number;
    struct ty_json json;

    /* ty_json_peek() would pass white space. */
    if (text.data[0] != '-' && (text.data[0] < '0' || text.data[0] > '9'))
        return false;
    ty_json_init(&json, text.data, text.length);
    return ty_json_peek(&json) == TY_JSON_NUMBER && ty_json_number(&json, &number) &&
           number.text.length == text.length;
}

static void append_value(struct ty_buffer *out, enum ty_field field, struct ty_text value)
{
    if (!is_text_field(field) && is_number(value))
        ty_buffer_append(out, value.data, value.length);
    else
        ty_buffer_append_json(out, value);
}

static bool append_cell(struct ty_buffer *out, enum ty_field field, struct ty_text value,
                        bool is_first, char *error)
{
    if (ty_utf8_check(value.data, value.length) != value.length) {
        snprintf(error, TY_CSV_ERROR_BYTES, "%s: the cell is not UTF-8 (byte %zu of it)",
                 ty_event_fields_name(field), ty_utf8_check(value.data, value.length));
        return false;
    }
    ty_buffer_append_text(out, is_first ? "{\"" : ",\"");
    ty_buffer_append_text(out, ty_event_fields_name(field));
    ty_buffer_append(out, "\":", 2);
    append_value(out, field, value);
    return true;
}

bool ty_csv_event_append(const struct ty_csv_columns *columns, const char *text,
                         const struct ty_csv_scan *scan, struct ty_buffer *out,
                         struct ty_buffer *room, char error[TY_CSV_ERROR_BYTES])
{
    const size_t start = out->length;
    bool is_first = true;

    if (scan->cell_count != columns->count) {
        snprintf(error, TY_CSV_ERROR_BYTES, "the row has %zu cells, but there are %zu columns",
                 scan->cell_count, columns->count);
        return false;
    }
    for (size_t i = 0; i < columns->count; i++) {
        struct ty_text value;

        if (columns->fields[i] == TY_FIELD_UNKNOWN || scan->cells[i].length == 0)
            continue;
        room->length = 0;
        value = cell_value(text, &scan->cells[i], room);
        if (!append_cell(out, columns->fields[i], value, is_first, error)) {
            out->length = start;
            return false;
        }
        is_first = false;
    }
    ty_buffer_append_text(out, is_first ? "{}\n" : "}\n");
    return true;
}
