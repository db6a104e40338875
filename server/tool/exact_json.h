/*
 * exact_json.h: JSON documents whose numbers keep every digit.
 *
 * jansson turns a number with a fraction into a double and refuses integers beyond 64 bits, but
 * Tally's sums are exact decimals of up to 128 bits: printed by way of a double, an invoice would
 * be off by cents. So each number is put in quotes before jansson reads the document, and arrives
 * as the text that the server wrote. The grammar of everything else is jansson's.
 *
 * Threads: pure functions.
 */
#ifndef TY_SERVER_TOOL_EXACT_JSON_H
#define TY_SERVER_TOOL_EXACT_JSON_H

#include "engine/base.h"
#include <jansson.h>

#define TY_EXACT_JSON_ERROR_BYTES 200

/*
 * ty_exact_json_parse reads a JSON document, in which every number becomes a JSON string of its
 * text: {"a":1.50} gives an object whose "a" is the string "1.50".
 *
 * Returns a document that the caller releases with json_decref(), or NULL with a sentence in
 * `error` that says what is wrong and where.
 */
json_t *ty_exact_json_parse(const char *text, size_t length, char error[TY_EXACT_JSON_ERROR_BYTES]);

/*
 * ty_exact_json_add adds a plain decimal ("21", "-0.000005": a sign, digits, at most six digits
 * after the point) to *micros, in millionths, without a double.
 *
 * Returns false, with *micros untouched, when the text is no such decimal or the sum would not fit
 * into 128 bits.
 */
bool ty_exact_json_add(const char *text, ty_int128 *micros);

#endif
