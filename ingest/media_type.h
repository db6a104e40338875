/*
 * media_type.h: the value of Content-Type, and of whatever else names a media type
 * (RFC 9110, section 8.3.1). Types are compared in any case, parameters are ignored.
 *
 * Threads: pure functions.
 */
#ifndef TY_INGEST_MEDIA_TYPE_H
#define TY_INGEST_MEDIA_TYPE_H

#include "engine/base.h"

/* ty_media_type_is compares with a type in lower case. A value without data is none. */
bool ty_media_type_is(struct ty_text value, const char *type);

/* ty_media_type_is_json tells whether what the type names is JSON: its subtype is "json" or ends in
 * "+json" (RFC 6839, section 3.1). */
bool ty_media_type_is_json(struct ty_text value);

#endif
