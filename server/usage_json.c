#include "server/usage_json.h"

#include <string.h>

#include "engine/decimal.h"
#include "engine/period.h"

void ty_usage_json_number(struct ty_buffer *out, const char *name, tally_int128 value,
                          unsigned decimals)
{
    char text[TALLY_NUMBER_TEXT_BYTES];
    size_t length = tally_number_format(value, decimals, text);

    ty_buffer_append_text(out, name);
    ty_buffer_append(out, text, length);
}

static void append_average(struct ty_buffer *out, const tally_row *row)
{
    char text[TY_DECIMAL_TEXT_BYTES];
    int64_t micros;

    ty_buffer_append_text(out, ",\"average_time_per_page\":");
    if (!tally_average_time_per_page(row, &micros)) {
        ty_buffer_append_text(out, "null");
        return;
    }
    ty_buffer_append(out, text, ty_decimal_format(micros, text));
}

void ty_usage_json_sums(struct ty_buffer *out, const tally_row *row)
{
    ty_usage_json_number(out, ",\"processed_credits\":", row->credits_micro, 6);
    ty_usage_json_number(out, ",\"num_documents\":", row->documents, 0);
    ty_usage_json_number(out, ",\"num_pages\":", row->pages, 0);
    append_average(out, row);
}

void ty_usage_json_rows(struct ty_buffer *out, const tally_row *rows, size_t count, bool extended)
{
    ty_buffer_append_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        ty_buffer_append_text(out, i == 0 ? "{\"date\":\"" : ",{\"date\":\"");
        ty_buffer_append_text(out, rows[i].date);
        if (extended) {
            ty_buffer_append_char(out, '"');
            ty_usage_json_sums(out, &rows[i]);
        } else {
            ty_usage_json_number(out, "\",\"processed_credits\":", rows[i].credits_micro, 6);
        }
        ty_buffer_append_char(out, '}');
    }
    ty_buffer_append_char(out, ']');
}

void ty_usage_json_list(struct ty_buffer *out, const struct ty_uuid *customer,
                        const struct ty_uuid *workflows, size_t count, const struct ty_range *range,
                        bool end_given, const char *extended)
{
    char customer_text[TY_UUID_TEXT_LENGTH], workflow[TY_UUID_TEXT_LENGTH];
    char start[TY_PERIOD_TEXT_BYTES], end[TY_PERIOD_TEXT_BYTES];

    ty_uuid_format(customer, customer_text);
    ty_period_format(range->frequency, range->first, start);
    ty_period_format(range->frequency, range->last, end);
    ty_buffer_append_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        ty_uuid_format(&workflows[i], workflow);
        ty_buffer_append_format(out,
                                "%s{\"workflow_id\":\"%.36s\",\"usage_url\":\"/reseller/customers/"
                                "%.36s/usage/workflows/workflow_id/%.36s/%s?start=%s",
                                i == 0 ? "" : ",", workflow, customer_text, workflow,
                                ty_frequency_name(range->frequency), start);
        if (end_given)
            ty_buffer_append_format(out, "&end=%s", end);
        if (extended != NULL)
            ty_buffer_append_format(out, "&extended=%s", extended);
        ty_buffer_append_text(out, "\"}");
    }
    ty_buffer_append_char(out, ']');
}
