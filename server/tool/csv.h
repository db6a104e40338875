/*
 * csv.h: one record of CSV, found in bytes that may arrive in pieces.
 *
 * The form is that of RFC 4180: cells parted by a delimiter, records ended by CRLF or LF, a cell in
 * quotes may hold all three, and a quote written twice. Every byte is looked at once, however small
 * the pieces; nothing is copied or allocated. What RFC 4180 does not allow is told, not guessed: a
 * quote inside a cell without quotes, text behind the closing quote, a CR without LF. Such a cell
 * is read as one without quotes, so that the record still ends where its line does.
 *
 *     ty_csv_init(&scan, ',', cells, TY_COUNT_OF(cells));
 *     while (!ty_csv_scan(&scan, data, length, ended))
 *         read more, data[0] staying the record's first byte;
 *     use scan.cells[0..scan.cell_count), drop scan.at bytes, and
 *     ty_csv_begin(&scan);
 *
 * Threads: one owner at a time.
 */
#ifndef TY_SERVER_TOOL_CSV_H
#define TY_SERVER_TOOL_CSV_H

#include "engine/base.h"

/* A cell's place in its record, without its quotes. */
struct ty_csv_cell {
    uint32_t from;
    uint32_t length;
    bool doubled; /* holds quotes written twice: see ty_csv_unquote() */
};

enum ty_csv_state {
    TY_CSV_CELL,   /* before a cell */
    TY_CSV_PLAIN,  /* in a cell without quotes */
    TY_CSV_QUOTED, /* in a cell with quotes */
    TY_CSV_QUOTE,  /* behind a quote in it, which closes it or is the first of two */
    TY_CSV_RETURN  /* behind a CR outside of quotes */
};

struct ty_csv_scan {
    size_t at;         /* bytes of the record that were looked at; in the end its length */
    const char *wrong; /* what is malformed: constant text, a phrase; NULL while all is well */
    size_t wrong_cell; /* in which cell, from 0 */
    size_t cell_count; /* counted on where the room for cells ends */
    struct ty_csv_cell *cells;
    size_t cells_max;
    enum ty_csv_state state;
    struct ty_csv_cell cell; /* the one that is being passed */
    bool is_closed;          /* its length is known, by the quote that closed it */
    char delimiter;
    bool is_special[256]; /* bytes at which a cell without quotes may end */
};

/* ty_csv_init gets ready for the first record. `cells` is borrowed. The delimiter is any byte of
 * ASCII but a quote, CR, LF and zero. */
void ty_csv_init(struct ty_csv_scan *scan, char delimiter, struct ty_csv_cell *cells,
                 size_t cells_max);

/* ty_csv_begin gets ready for the next record. */
void ty_csv_begin(struct ty_csv_scan *scan);

/* ty_csv_forget lets the caller drop the bytes looked at so far though the record goes on: for one
 * too long to be kept, whose end is still to be found. Its cells and `wrong` mean nothing. */
void ty_csv_forget(struct ty_csv_scan *scan);

/*
 * ty_csv_scan goes on at scan->at. `data` is the record from its first byte on, `length` what there
 * is of it and perhaps of what follows, at most UINT32_MAX; `ended` says that nothing will follow.
 *
 * Returns true when the record is complete: scan->at is its length, line end included, and the
 * cells are filled, as many as there is room for (of a malformed one, as far as they go). False:
 * more bytes are needed. An empty line is a record of one empty cell; so are no bytes at all that
 * have ended, which a caller will not ask for.
 */
bool ty_csv_scan(struct ty_csv_scan *scan, const char *data, size_t length, bool ended);

/* ty_csv_unquote writes a cell with `doubled` set to `out`, which has room for cell->length bytes,
 * each doubled quote as one, and returns its length. `data` is the record. */
size_t ty_csv_unquote(const char *data, const struct ty_csv_cell *cell, char *out);

#endif
