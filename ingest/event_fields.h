/*
 * event_fields.h: the fields of an event, once for every format that carries them by name.
 *
 * A decoder reads a record's names and values and hands them over, already typed, one by one; what
 * is required, allowed, given twice or out of range is decided here, so that JSON and msgpack
 * cannot differ:
 *
 *     struct ty_record record;
 *     struct ty_value value;
 *
 *     if (ty_event_fields_begin(&record, batch)) {
 *         while (another name and value)
 *             ty_event_fields_set(&record, ty_event_fields_find(name, length), &value);
 *         ty_event_fields_end(&record);
 *     }
 *
 * The first thing wrong with a record is what its outcome reports.
 * Threads: one owner of a record and its batch at a time.
 */
#ifndef TY_INGEST_EVENT_FIELDS_H
#define TY_INGEST_EVENT_FIELDS_H

#include "engine/batch.h"

enum ty_field {
    TY_FIELD_ID,
    TY_FIELD_CUSTOMER_ID,
    TY_FIELD_WORKFLOW_ID,
    TY_FIELD_TIME,
    TY_FIELD_CREDITS,
    TY_FIELD_DOCUMENTS,
    TY_FIELD_PAGES,
    TY_FIELD_PROCESSING_MS,
    TY_FIELD_USER_ID,
    TY_FIELD_COUNT,
    TY_FIELD_UNKNOWN = TY_FIELD_COUNT
};

#define TY_FIELD_NAME_BYTES_MAX 13 /* "processing_ms" */

enum ty_value_kind {
    TY_VALUE_NULL,
    TY_VALUE_TEXT,    /* text: well-formed UTF-8 (utf8.h), unescaped */
    TY_VALUE_BYTES,   /* text: any bytes; 16 of them make a UUID */
    TY_VALUE_INTEGER, /* negative, magnitude; text: as it was written, or empty */
    TY_VALUE_NUMBER,  /* text: a number by JSON's grammar with a fraction or an exponent */
    TY_VALUE_DOUBLE,  /* number: a binary float of 64 bits */
    TY_VALUE_FLOAT,   /* number: one of 32 bits */
    TY_VALUE_OTHER    /* text: what it is, in words ("an array"); never allowed for any field */
};

/* One value of a record. The text must live as long as the batch. */
struct ty_value {
    enum ty_value_kind kind;
    bool negative;
    uint64_t magnitude; /* UINT64_MAX also stands for every larger one */
    struct ty_text text;
    double number; /* of a binary float */
};

/* A record on its way into a batch. */
struct ty_record {
    struct ty_batch *batch;
    struct ty_event *event; /* the batch's newest */
    uint32_t seen;          /* a bit for each enum ty_field that was given */
    uint32_t filled;        /* the same for those that were not null */
    tally_result result;    /* TALLY_ACCEPTED while nothing is wrong */
    const char *message;
};

/* ty_event_fields_find returns the field of that name, or TY_FIELD_UNKNOWN. */
enum ty_field ty_event_fields_find(const char *name, size_t length);

/* The field's name, as it stands in documents and messages. Not for TY_FIELD_UNKNOWN. */
const char *ty_event_fields_name(enum ty_field field);

/* ty_event_fields_begin adds an event to the batch. False: no memory, the batch has failed. */
bool ty_event_fields_begin(struct ty_record *record, struct ty_batch *batch);

/*
 * ty_event_fields_set checks a value and stores it in the event; an unknown field is ignored.
 *
 * Problems are noted in the record: TALLY_INVALID_FIELD for a wrong type or form and for a field
 * given twice, TALLY_OUT_OF_RANGE for a good form outside the bounds (of length, too). The message
 * names the field, what was given (shortened, control characters and quotes escaped) and what is
 * allowed. Once something is wrong, only the id is still looked at.
 *
 *   id, user_id         TEXT of 1..128 (0..128) bytes without U+0000; for the id 16 BYTES stand
 *                       for the canonical text of that UUID
 *   customer_id, workflow_id   TEXT (a UUID), or 16 BYTES
 *   time                TEXT (RFC 3339), or INTEGER milliseconds from year 1 to 9999; whether
 *                       it is too old or too new is decided later, against the clock
 *   credits             INTEGER, NUMBER, DOUBLE, FLOAT, or TEXT of a number, by engine/decimal.h
 *   documents, pages, processing_ms   INTEGER; -0 is 0
 *   any                 NULL: as if the field had not been given (but it may not be given again)
 */
void ty_event_fields_set(struct ty_record *record, enum ty_field field,
                         const struct ty_value *value);

/* ty_event_fields_fail notes something else that is wrong with the record, unless there is such a
 * thing already. `message` is constant text or text in the batch's arena. */
void ty_event_fields_fail(struct ty_record *record, tally_result result, const char *message);

/*
 * ty_event_fields_fail_value does so for a value that is no field of the table above, in the same
 * words: "NAME: what was given WRONG (ALLOWED)". The three are borrowed for the call.
 */
void ty_event_fields_fail_value(struct ty_record *record, const char *name,
                                const struct ty_value *value, tally_result result,
                                const char *wrong, const char *allowed);

/*
 * ty_event_fields_end leaves the event in the batch, or turns it into a reject: for what was noted,
 * or because a required field is missing (TALLY_MISSING_FIELD). The reject carries the record's id
 * if a good one was given.
 */
void ty_event_fields_end(struct ty_record *record);

#endif
