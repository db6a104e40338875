/*
 * json_record.h: from JSON's values to the fields of an event, for every format that is JSON.
 *
 * The functions take what the scanner stands before. Texts are borrowed from its input where they
 * hold no escapes and are in the batch's arena otherwise. False means that the JSON is malformed
 * (the scanner's error is set) or that memory is out (the batch has failed); the record has then
 * not been ended, and nothing more can be read.
 *
 * Threads: one owner of the scanner, the record and its batch at a time.
 */
#ifndef TY_INGEST_JSON_RECORD_H
#define TY_INGEST_JSON_RECORD_H

#include "ingest/event_fields.h"
#include "ingest/json_scan.h"

/* Room for a name of up to 15 bytes of which each is escaped ("\u0069"). */
#define TY_JSON_NAME_BYTES_MAX ((size_t)6 * 15)

/* ty_json_record_name returns a member's name for comparisons: as it stands, or unescaped in
 * `room`. A name too long to match anything comes back empty, which matches nothing either. */
struct ty_text ty_json_record_name(const struct ty_json_string *name,
                                   char room[TY_JSON_NAME_BYTES_MAX]);

/* ty_json_record_value takes a value. Objects and arrays are checked, and passed. */
bool ty_json_record_value(struct ty_json *json, struct ty_batch *batch, struct ty_value *value);

/* Every field of an event, as a set: a bit for each enum ty_field. */
#define TY_JSON_RECORD_ALL ((1u << TY_FIELD_COUNT) - 1)

/* ty_json_record_members takes an object, the fields of the set `fields` into the record; what is
 * not in the set, and other members, are ignored. */
bool ty_json_record_members(struct ty_json *json, struct ty_record *record, uint32_t fields);

/* ty_json_record_read takes any value as a record, as ty_json_record_members() does with all
 * fields; one that is no object is noted as TALLY_INVALID_FIELD. */
bool ty_json_record_read(struct ty_json *json, struct ty_record *record);

/* What to say of a value of that kind, which is no object and should have been a record. */
const char *ty_json_record_no_object(enum ty_json_kind kind);

#endif
