/*
 * csv_events.h: rows of CSV as usage events in JSON.
 *
 * A header (or a list given by hand) says which column holds which field of event_fields.h; columns
 * of other names are ignored. An empty cell is an absent field. What a cell holds is not judged
 * here but by whoever decodes the event, so that a bad value is told in the same words everywhere:
 *
 *     id, customer_id, workflow_id, user_id    text, always
 *     the others     a number where the cell is one by JSON's grammar, text otherwise
 *
 * Threads: pure but for what is passed.
 */
#ifndef TY_SERVER_TOOL_CSV_EVENTS_H
#define TY_SERVER_TOOL_CSV_EVENTS_H

#include "engine/arena.h"
#include "engine/buffer.h"
#include "ingest/event_fields.h"
#include "server/tool/csv.h"
#include "server/tool/import_records.h"

#define TY_CSV_RENAMES_MAX 100
#define TY_CSV_ERROR_BYTES 500

/* What the command line says about columns: NAME=FIELD, or NAME= for a column to ignore. */
struct ty_csv_rename {
    struct ty_text name;
    enum ty_field field; /* TY_FIELD_UNKNOWN: ignore the column */
};
struct ty_csv_renames {
    struct ty_csv_rename items[TY_CSV_RENAMES_MAX];
    size_t count;
    struct ty_arena names; /* memory of those that had doubled quotes */
};

/*
 * ty_csv_renames_add reads "NAME=FIELD" or several parted by commas, each by the rules of a cell of
 * CSV: '"Kunde, Nr.=customer_id",Datum=time'. The field follows the last '='. The text is borrowed
 * for the renames' life.
 *
 * False, with a sentence in `error`: malformed, no such field, a name given twice, too many.
 */
bool ty_csv_renames_add(struct ty_csv_renames *renames, const char *text,
                        char error[TY_CSV_ERROR_BYTES]);

/* Frees what the renames hold; does nothing to zeroed ones. */
void ty_csv_renames_fini(struct ty_csv_renames *renames);

/* Which field each column holds. */
struct ty_csv_columns {
    enum ty_field fields[TY_CSV_COLUMNS_MAX]; /* TY_FIELD_UNKNOWN: ignored */
    size_t count;
};

/*
 * ty_csv_columns_read takes the cells of a complete header `text` (without a byte order mark) in
 * `scan`. `ignored` gets the names of the columns that are ignored though nobody said so, parted by
 * ", ", control characters included: for people.
 *
 * False, with a sentence in `error` that begins with "the header": it is malformed or no UTF-8, two
 * columns hold one field, a required field has no column, a rename names no column, there are too
 * many columns.
 */
bool ty_csv_columns_read(struct ty_csv_columns *columns, const struct ty_csv_renames *renames,
                         const char *text, const struct ty_csv_scan *scan,
                         struct ty_buffer *ignored, char error[TY_CSV_ERROR_BYTES]);

/*
 * ty_csv_event_append appends one line of JSON, its LF included, for the well-formed row `text`
 * whose cells are in `scan`. `room` is memory of the caller's that is used again and again.
 *
 * False, with nothing appended and a phrase in `error`: the row has more or fewer cells than there
 * are columns, or a cell that is not ignored is no UTF-8.
 */
bool ty_csv_event_append(const struct ty_csv_columns *columns, const char *text,
                         const struct ty_csv_scan *scan, struct ty_buffer *out,
                         struct ty_buffer *room, char error[TY_CSV_ERROR_BYTES]);

#endif
