/*
 * usage_json.h: rollups and lists of workflows as the API's JSON.
 *
 * Threads: pure functions; the buffer has one owner.
 */
#ifndef TY_SERVER_USAGE_JSON_H
#define TY_SERVER_USAGE_JSON_H

#include "engine/buffer.h"
#include "engine/uuid.h"
#include "query/range.h"

/* ty_usage_json_rows appends [{"date":"2023-01","processed_credits":21}, ...], and with `extended`
 * "num_documents", "num_pages" and "average_time_per_page" (seconds, or null without pages). */
void ty_usage_json_rows(struct ty_buffer *out, const tally_row *rows, size_t count, bool extended);

/* What a row has of those with `extended`, behind other members; and one exact number, behind its
 * name (",\"pages\":"). */
void ty_usage_json_sums(struct ty_buffer *out, const tally_row *row);
void ty_usage_json_number(struct ty_buffer *out, const char *name, tally_int128 value,
                          unsigned decimals);

/*
 * ty_usage_json_list appends [{"workflow_id":"...","usage_url":"..."}, ...]. The URLs carry start,
 * and end and extended if they were given: `end_given`; `extended` as text, or NULL.
 */
void ty_usage_json_list(struct ty_buffer *out, const struct ty_uuid *customer,
                        const struct ty_uuid *workflows, size_t count, const struct ty_range *range,
                        bool end_given, const char *extended);

#endif
