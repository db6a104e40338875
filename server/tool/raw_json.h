/*
 * raw_json.h: the parts of a JSON document as they stand in it, byte by byte.
 *
 * What a client once sent is shown as it was: read and written again, numbers would lose digits,
 * and members given twice one of the two. Documents are those of a Tally server; one that is cut
 * off or malformed gives fewer parts, never bytes beyond its end.
 *
 * Threads: pure functions.
 */
#ifndef TY_SERVER_TOOL_RAW_JSON_H
#define TY_SERVER_TOOL_RAW_JSON_H

#include "engine/base.h"

/* The parts of an array or object, while they are gone through. */
struct ty_raw_json {
    const char *at;
    const char *end;
};

/* ty_raw_json_open begins with the parts of an array or object; others have none. */
struct ty_raw_json ty_raw_json_open(struct ty_text value);

/* ty_raw_json_next finds the next value; false at the end. Of an object *name is the name with its
 * quotes, of an array it is empty. Both are borrowed from the document. */
bool ty_raw_json_next(struct ty_raw_json *parts, struct ty_text *name, struct ty_text *value);

/* ty_raw_json_member finds the first member of an object with a name without escapes; false if
 * there is none. */
bool ty_raw_json_member(struct ty_text object, const char *name, struct ty_text *value);

/* ty_raw_json_number reads a member that is a whole number; 0 where there is none. */
uint64_t ty_raw_json_number(struct ty_text object, const char *name);

#endif
