/*
 * import_batch.h: records on their way to the server, and what became of each.
 *
 * A batch is filled record by record, those that cannot be sent included, so that everything comes
 * out in the order of the input. Its body is application/x-ndjson; the answer of POST /v1/events
 * decides it.
 *
 * Threads: the program has one.
 */
#ifndef TY_SERVER_TOOL_IMPORT_BATCH_H
#define TY_SERVER_TOOL_IMPORT_BATCH_H

#include "engine/arena.h"
#include "engine/buffer.h"
#include <jansson.h>

/* A batch is full at so many bytes, whatever its number of events: the server takes 8 MiB at first,
 * and escaping makes one more record of 1 MiB at most six times as long. */
#define TY_IMPORT_BATCH_BYTES (1u << 20)

enum ty_import_kind {
    TY_IMPORT_SENT,     /* a line of the body */
    TY_IMPORT_REJECTED, /* cannot be sent */
    TY_IMPORT_PIECE     /* more text of the record before, which was too long */
};

struct ty_import_record {
    enum ty_import_kind kind;
    const char *file; /* borrowed from the command line */
    uint64_t line;
    bool in_body; /* its text as it stands in the input is a part of the body, else of `raw` */
    size_t from;
    size_t length;
    /* Why it was rejected; the code is NULL if it was not. In the arena or the answer. */
    const char *code;
    const char *message;
    const char *id; /* NULL: it has none that could be read */
};

struct ty_import_batch {
    struct ty_buffer body;
    struct ty_buffer raw;
    struct ty_import_record *records;
    size_t record_count;
    size_t record_capacity;
    size_t *sent; /* for each line of the body its record */
    size_t sent_count;
    struct ty_arena arena;
    json_t *answer;    /* what codes, messages and ids point into */
    uint64_t position; /* bytes of the input that are done with once this batch is */
    uint64_t accepted; /* set with the answer */
    uint64_t duplicates;
    uint64_t rejected; /* counted as records are rejected, here and by the answer */
    bool failed;       /* no memory: it must not be sent */
};

/* ty_import_batch_reset empties it, and keeps memory for the next use. */
void ty_import_batch_reset(struct ty_import_batch *batch);

/* Frees what it holds; does nothing to a zeroed one. */
void ty_import_batch_fini(struct ty_import_batch *batch);

/* False once an allocation has failed. */
bool ty_import_batch_ok(const struct ty_import_batch *batch);

/* Whether it holds `events` lines, or TY_IMPORT_BATCH_BYTES. */
bool ty_import_batch_is_full(const struct ty_import_batch *batch, size_t events);

/*
 * ty_import_batch_add adds a record. Of one to be sent the line has been appended to the body
 * before; `raw` is its text for the file of rejects, copied, or the empty text where that is the
 * last `raw_in_body` bytes of the body, or nobody wants it. `message`, of a rejected one, is
 * copied.
 */
void ty_import_batch_add_sent(struct ty_import_batch *batch, const char *file, uint64_t line,
                              struct ty_text raw, size_t raw_in_body);
void ty_import_batch_add_rejected(struct ty_import_batch *batch, const char *file, uint64_t line,
                                  struct ty_text raw, const char *message);
void ty_import_batch_add_piece(struct ty_import_batch *batch, struct ty_text raw);

/* The text of a record as it stands in the input; empty if nobody wanted it. */
struct ty_text ty_import_batch_raw(const struct ty_import_batch *batch,
                                   const struct ty_import_record *record);

/*
 * ty_import_batch_decide takes the body of a 200 answer. False: it is none of a Tally server about
 * this batch (not JSON, a member is missing, counts do not add up, an index twice or out of range);
 * then nothing is decided.
 */
bool ty_import_batch_decide(struct ty_import_batch *batch, const char *answer, size_t length);

/*
 * ty_import_batch_check decides the batch without a server, by the decoder and the bounds of time
 * that a server with default options has: what is `accepted` would be accepted or is a duplicate.
 * False: no memory.
 */
bool ty_import_batch_check(struct ty_import_batch *batch, int64_t now_ms);

#endif
