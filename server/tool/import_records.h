/*
 * import_records.h: the records of a file that is fed in pieces: rows of CSV, or lines.
 *
 * The reader owns a window of fixed size, however large the file:
 *
 *     while ((step = ty_records_next(&records, &record)) != TY_RECORDS_END)
 *         if (step == TY_RECORDS_MORE)
 *             ty_records_fed(&records, read(fd, ty_records_room(&records, &bytes), bytes));
 *         else
 *             use record
 *
 * Blank lines are passed over, and counted in line numbers only. A UTF-8 byte order mark at the
 * very start is passed over. Threads: one owner at a time.
 */
#ifndef TY_SERVER_TOOL_IMPORT_RECORDS_H
#define TY_SERVER_TOOL_IMPORT_RECORDS_H

#include "server/tool/csv.h"

/* A longer record cannot be taken. An event has less than 1 KiB; an opened quote that is never
 * closed would otherwise eat the file into memory. */
#define TY_RECORD_BYTES_MAX (1u << 20)

/* At least so much is asked for at once. */
#define TY_RECORDS_READ_BYTES (256u << 10)

/* More columns than that make a row one that cannot be taken. */
#define TY_CSV_COLUMNS_MAX 1024

enum ty_records_step {
    TY_RECORDS_MORE,   /* feed the reader */
    TY_RECORDS_RECORD, /* a record, or the first piece of one that is too long */
    TY_RECORDS_PIECE,  /* another piece of the record that is too long, at most its bound long */
    TY_RECORDS_END,    /* nothing is left */
};

/* Borrowed from the reader until its next call. */
struct ty_raw_record {
    struct ty_text text; /* as it stands there, its line end included if it has one */
    uint64_t line;       /* the number of its first line, from 1 */
    const char *wrong;   /* constant text: why it cannot be taken; NULL if it can */
    size_t wrong_cell;   /* of malformed CSV: the cell, from 0 */
};

struct ty_records {
    char *window;
    size_t from; /* the next record begins here; its state is in `scan` or `looked` */
    size_t to;
    bool is_csv;
    bool has_begun;          /* it is known whether there is a byte order mark */
    bool has_ended;          /* nothing will be fed any more */
    bool is_long;            /* inside of a record that is too long */
    uint64_t line;           /* of the next record */
    size_t looked;           /* lines: how much of the record was looked at */
    struct ty_csv_scan scan; /* CSV: after TY_RECORDS_RECORD its cells, offsets in the text */
    struct ty_csv_cell cells[TY_CSV_COLUMNS_MAX];
};

/* ty_records_init gets ready for a file: CSV if `delimiter` (see ty_csv_init()) is not zero, lines
 * otherwise. False: no memory. Works on one that was used before, too. */
bool ty_records_init(struct ty_records *records, char delimiter);

/* Frees the window; does nothing to a zeroed reader. */
void ty_records_fini(struct ty_records *records);

/* After TY_RECORDS_MORE: where the next bytes go, and how many fit (TY_RECORDS_READ_BYTES at
 * least); and that so many of them came, 0 at the end of the file. */
char *ty_records_room(struct ty_records *records, size_t *bytes);
void ty_records_fed(struct ty_records *records, size_t bytes);

enum ty_records_step ty_records_next(struct ty_records *records, struct ty_raw_record *record);

#endif
