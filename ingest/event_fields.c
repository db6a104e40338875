#include "ingest/event_fields.h"

#include "engine/decimal.h"
#include "engine/timestamp.h"
#include "engine/utf8.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_BYTES_MAX ((size_t)40)               /* of a value, in a message */
#define GIVEN_BYTES     (SHOWN_BYTES_MAX * 6 + 64) /* each may become "\u001f" */

/* The table below spells these out. */
_Static_assert(TALLY_ID_BYTES_MAX == 128 && TALLY_USER_BYTES_MAX == 128, "allowed texts");
_Static_assert(TALLY_CREDITS_MICRO_MAX == INT64_C(1000000000) * TY_MICROS, "allowed texts");
_Static_assert(TALLY_PROCESSING_MS_MAX == INT64_C(1099511627776), "allowed texts");
_Static_assert(TALLY_TIME_MS_MIN == INT64_C(946684800000), "allowed texts");
_Static_assert(TY_TIMESTAMP_MS_MAX == INT64_C(253402300799999), "allowed texts");

/* Why a value was not taken. */
struct problem {
    tally_result result;
    const char *wrong;  /* a phrase that follows what was given: "is not a UUID" */
    const char *detail; /* more about it, or "" */
};

typedef bool setter(struct ty_record *record, const struct ty_value *value,
                    struct problem *problem);

static bool invalid(struct problem *problem, const char *wrong)
{
    *problem = (struct problem){TALLY_INVALID_FIELD, wrong, ""};
    return false;
}

static bool out_of_range(struct problem *problem, const char *wrong)
{
    *problem = (struct problem){TALLY_OUT_OF_RANGE, wrong, ""};
    return false;
}

static bool read_text(const struct ty_value *value, size_t bytes_max, struct ty_text *text,
                      struct problem *problem)
{
    if (value->kind != TY_VALUE_TEXT)
        return invalid(problem, "is not text");
    if (value->text.length > bytes_max)
        return out_of_range(problem, "is too long");
    if (value->text.length != 0 && memchr(value->text.data, '\0', value->text.length) != NULL)
        return invalid(problem, "holds U+0000");
    *text = value->text;
    return true;
}

/* The id of 16 bytes is that of its text, so that both forms count once. */
static bool take_binary_id(struct ty_record *record, const struct ty_value *value,
                           struct problem *problem)
{
    char *text = ty_arena_alloc(&record->batch->arena, TY_UUID_TEXT_LENGTH);
    struct ty_uuid uuid;

    if (text == NULL) {
        record->batch->failed = true;
        return invalid(problem, "found no memory");
    }
    memcpy(uuid.bytes, value->text.data, sizeof(uuid.bytes));
    ty_uuid_format(&uuid, text);
    record->event->id = (struct ty_text){.data = text, .length = TY_UUID_TEXT_LENGTH};
    return true;
}

static bool set_id(struct ty_record *record, const struct ty_value *value, struct problem *problem)
{
    if (value->kind == TY_VALUE_BYTES && value->text.length == sizeof(struct ty_uuid))
        return take_binary_id(record, value, problem);
    if (value->kind == TY_VALUE_TEXT && value->text.length == 0)
        return out_of_range(problem, "is empty");
    return read_text(value, TALLY_ID_BYTES_MAX, &record->event->id, problem);
}

static bool set_user_id(struct ty_record *record, const struct ty_value *value,
                        struct problem *problem)
{
    return read_text(value, TALLY_USER_BYTES_MAX, &record->event->user, problem);
}

static bool read_uuid(const struct ty_value *value, struct ty_uuid *uuid, struct problem *problem)
{
    if (value->kind == TY_VALUE_BYTES && value->text.length == sizeof(uuid->bytes)) {
        memcpy(uuid->bytes, value->text.data, sizeof(uuid->bytes));
        return true;
    }
    if (value->kind == TY_VALUE_TEXT && ty_uuid_parse(value->text.data, value->text.length, uuid))
        return true;
    return invalid(problem, "is not a UUID");
}

static bool set_customer_id(struct ty_record *record, const struct ty_value *value,
                            struct problem *problem)
{
    return read_uuid(value, &record->event->customer, problem);
}

static bool set_workflow_id(struct ty_record *record, const struct ty_value *value,
                            struct problem *problem)
{
    return read_uuid(value, &record->event->workflow, problem);
}

/* The value of an integer, saturated far outside of every field's bounds. */
static int64_t signed_value(const struct ty_value *value)
{
    int64_t magnitude = (int64_t)TY_MIN(value->magnitude, (uint64_t)INT64_MAX);

    return value->negative ? -magnitude : magnitude;
}

static bool is_float(const struct ty_value *value)
{
    return value->kind == TY_VALUE_DOUBLE || value->kind == TY_VALUE_FLOAT;
}

static bool set_time(struct ty_record *record, const struct ty_value *value,
                     struct problem *problem)
{
    if (value->kind == TY_VALUE_TEXT) {
        const char *wrong =
            ty_timestamp_parse(value->text.data, value->text.length, &record->event->time_ms);

        if (wrong == NULL)
            return true;
        *problem = (struct problem){TALLY_INVALID_FIELD, "is not a date-time: ", wrong};
        return false;
    }
    if (value->kind == TY_VALUE_NUMBER)
        return invalid(problem, "has a fraction or an exponent");
    if (is_float(value))
        return invalid(problem, "is a binary float");
    if (value->kind != TY_VALUE_INTEGER)
        return invalid(problem, "is neither text nor an integer");
    if (signed_value(value) < TY_TIMESTAMP_MS_MIN || signed_value(value) > TY_TIMESTAMP_MS_MAX)
        return out_of_range(problem, "is out of range");
    record->event->time_ms = signed_value(value);
    return true;
}

static enum ty_decimal_status read_decimal(const struct ty_value *value, int64_t *micros)
{
    switch (value->kind) {
    case TY_VALUE_DOUBLE:
        return ty_decimal_from_double(value->number, micros);
    case TY_VALUE_FLOAT:
        return ty_decimal_from_float((float)value->number, micros);
    case TY_VALUE_NUMBER:
    case TY_VALUE_TEXT:
        return ty_decimal_parse(value->text.data, value->text.length, micros);
    default:
        return TY_DECIMAL_MALFORMED;
    }
}

static bool read_micros(const struct ty_value *value, int64_t *micros, struct problem *problem)
{
    if (value->kind == TY_VALUE_INTEGER) {
        if (value->magnitude > TALLY_CREDITS_MICRO_MAX / TY_MICROS)
            return out_of_range(problem, "is out of range");
        *micros = signed_value(value) * TY_MICROS;
        return true;
    }
    switch (read_decimal(value, micros)) {
    case TY_DECIMAL_OK:
        if (*micros < -TALLY_CREDITS_MICRO_MAX || *micros > TALLY_CREDITS_MICRO_MAX)
            return out_of_range(problem, "is out of range");
        return true;
    case TY_DECIMAL_TOO_LARGE:
        return out_of_range(problem, "is out of range");
    case TY_DECIMAL_TOO_FINE:
        return invalid(problem, "has more than 6 fractional digits");
    case TY_DECIMAL_MALFORMED:
        break;
    }
    return invalid(problem, "is not a number");
}

static bool set_credits(struct ty_record *record, const struct ty_value *value,
                        struct problem *problem)
{
    return read_micros(value, &record->event->credits, problem);
}

static bool read_count(const struct ty_value *value, uint64_t max, uint64_t *count,
                       struct problem *problem)
{
    switch (value->kind) {
    case TY_VALUE_INTEGER:
        if (value->magnitude > max || (value->negative && value->magnitude != 0))
            return out_of_range(problem, "is out of range");
        *count = value->magnitude;
        return true;
    case TY_VALUE_NUMBER:
        return invalid(problem, "has a fraction or an exponent");
    case TY_VALUE_TEXT:
        return invalid(problem, "is text, not an integer");
    case TY_VALUE_DOUBLE:
    case TY_VALUE_FLOAT:
        return invalid(problem, "is a binary float, not an integer");
    default:
        return invalid(problem, "is not an integer");
    }
}

static bool set_documents(struct ty_record *record, const struct ty_value *value,
                          struct problem *problem)
{
    uint64_t count;

    if (!read_count(value, UINT32_MAX, &count, problem))
        return false;
    record->event->documents = (uint32_t)count;
    return true;
}

static bool set_pages(struct ty_record *record, const struct ty_value *value,
                      struct problem *problem)
{
    uint64_t count;

    if (!read_count(value, UINT32_MAX, &count, problem))
        return false;
    record->event->pages = (uint32_t)count;
    return true;
}

static bool set_processing_ms(struct ty_record *record, const struct ty_value *value,
                              struct problem *problem)
{
    return read_count(value, TALLY_PROCESSING_MS_MAX, &record->event->processing_ms, problem);
}

#define UUID_ALLOWED "36 characters: 8-4-4-4-12 hexadecimal digits"

static const struct {
    const char *name;
    setter *set;
    const char *allowed;
    const char *missing; /* the message for a required field that is absent; NULL: optional */
} fields[TY_FIELD_COUNT] = {
    [TY_FIELD_ID] = {"id", set_id, "text of 1 to 128 bytes of UTF-8, without U+0000",
                     "id: missing; it is required (text of 1 to 128 bytes)"},
    [TY_FIELD_CUSTOMER_ID] = {"customer_id", set_customer_id, UUID_ALLOWED,
                              "customer_id: missing; it is required (a UUID)"},
    [TY_FIELD_WORKFLOW_ID] = {"workflow_id", set_workflow_id, UUID_ALLOWED,
                              "workflow_id: missing; it is required (a UUID)"},
    [TY_FIELD_TIME] = {"time", set_time,
                       "a date-time as in RFC 3339 with its zone, or integer milliseconds since "
                       "1970, 946684800000 to 253402300799999",
                       NULL},
    [TY_FIELD_CREDITS] = {"credits", set_credits,
                          "a number, or text that holds one, -1000000000 to 1000000000, with at "
                          "most 6 fractional digits",
                          NULL},
    [TY_FIELD_DOCUMENTS] = {"documents", set_documents, "0 to 4294967295", NULL},
    [TY_FIELD_PAGES] = {"pages", set_pages, "0 to 4294967295", NULL},
    [TY_FIELD_PROCESSING_MS] = {"processing_ms", set_processing_ms, "0 to 1099511627776", NULL},
    [TY_FIELD_USER_ID] = {"user_id", set_user_id,
                          "text of at most 128 bytes of UTF-8, without U+0000", NULL},
};

static enum ty_field found_if(const char *name, enum ty_field field, size_t length)
{
    return memcmp(name, fields[field].name, length) == 0 ? field : TY_FIELD_UNKNOWN;
}

enum ty_field ty_event_fields_find(const char *name, size_t length)
{
    switch (length) {
    case 2:
        return found_if(name, TY_FIELD_ID, 2);
    case 4:
        return found_if(name, TY_FIELD_TIME, 4);
    case 5:
        return found_if(name, TY_FIELD_PAGES, 5);
    case 7:
        return found_if(name, *name == 'c' ? TY_FIELD_CREDITS : TY_FIELD_USER_ID, 7);
    case 9:
        return found_if(name, TY_FIELD_DOCUMENTS, 9);
    case 11:
        return found_if(name, *name == 'c' ? TY_FIELD_CUSTOMER_ID : TY_FIELD_WORKFLOW_ID, 11);
    case 13:
        return found_if(name, TY_FIELD_PROCESSING_MS, 13);
    default:
        return TY_FIELD_UNKNOWN;
    }
}

const char *ty_event_fields_name(enum ty_field field)
{
    TY_ASSERT(field < TY_FIELD_COUNT);
    return fields[field].name;
}

/* Copies text with quotes, backslashes and control characters escaped; returns its new end. */
static char *put_escaped(char *to, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte < 0x20 || byte == 0x7f)
            to += sprintf(to, "\\u%04x", byte);
        else if (byte == '"' || byte == '\\')
            to += sprintf(to, "\\%c", byte);
        else
            *to++ = (char)byte;
    }
    return to;
}

/* What was given, in a form that is safe to print whatever it holds. */
static void describe(const struct ty_value *value, char given[GIVEN_BYTES])
{
    const char *quote = value->kind == TY_VALUE_TEXT ? "\"" : "";
    size_t length = value->text.length;
    size_t shown = length == 0 ? 0 : ty_utf8_shorten(value->text.data, length, SHOWN_BYTES_MAX);
    char *to = given;

    if (value->kind == TY_VALUE_BYTES) {
        sprintf(given, "%zu bytes of binary", length);
    } else if (is_float(value)) {
        sprintf(given, "%.*g", value->kind == TY_VALUE_DOUBLE ? 17 : 9, value->number);
    } else if (value->kind == TY_VALUE_INTEGER && length == 0) {
        sprintf(given, "%s%llu", value->negative ? "-" : "", (unsigned long long)value->magnitude);
    } else {
        to += sprintf(to, "%s", quote);
        to = put_escaped(to, value->text.data, shown);
        if (shown < length)
            to += sprintf(to, "...%s (%zu bytes)", quote, length);
        else
            to += sprintf(to, "%s", quote);
    }
}

bool ty_event_fields_begin(struct ty_record *record, struct ty_batch *batch)
{
    *record = (struct ty_record){.batch = batch, .result = TALLY_ACCEPTED};
    record->event = ty_batch_add(batch);
    return record->event != NULL;
}

void ty_event_fields_fail(struct ty_record *record, tally_result result, const char *message)
{
    if (record->result != TALLY_ACCEPTED)
        return;
    record->result = result;
    record->message = message;
}

static void fail_value(struct ty_record *record, const char *name, const struct ty_value *value,
                       const struct problem *problem, const char *allowed)
{
    char given[GIVEN_BYTES];

    if (record->result != TALLY_ACCEPTED)
        return;
    describe(value, given);
    ty_event_fields_fail(record, problem->result,
                         ty_arena_format(&record->batch->arena, "%s: %s %s%s (%s)", name, given,
                                         problem->wrong, problem->detail, allowed));
}

void ty_event_fields_fail_value(struct ty_record *record, const char *name,
                                const struct ty_value *value, tally_result result,
                                const char *wrong, const char *allowed)
{
    fail_value(record, name, value, &(struct problem){result, wrong, ""}, allowed);
}

static void fail_twice(struct ty_record *record, enum ty_field field)
{
    if (record->result == TALLY_ACCEPTED)
        ty_event_fields_fail(record, TALLY_INVALID_FIELD,
                             ty_arena_format(&record->batch->arena,
                                             "%s: given twice (a field may be given once)",
                                             fields[field].name));
}

void ty_event_fields_set(struct ty_record *record, enum ty_field field,
                         const struct ty_value *value)
{
    struct problem problem;

    if (field >= TY_FIELD_COUNT)
        return;
    if ((record->seen & 1u << field) != 0) {
        fail_twice(record, field);
        return;
    }
    record->seen |= 1u << field;
    if (value->kind == TY_VALUE_NULL)
        return;
    if (record->result != TALLY_ACCEPTED && field != TY_FIELD_ID)
        return;
    if (fields[field].set(record, value, &problem))
        record->filled |= 1u << field;
    else
        fail_value(record, fields[field].name, value, &problem, fields[field].allowed);
}

void ty_event_fields_end(struct ty_record *record)
{
    struct ty_text id = record->event->id;

    for (unsigned i = 0; i < TY_FIELD_COUNT && record->result == TALLY_ACCEPTED; i++)
        if (fields[i].missing != NULL && (record->filled & 1u << i) == 0)
            ty_event_fields_fail(record, TALLY_MISSING_FIELD, fields[i].missing);
    if (record->result == TALLY_ACCEPTED)
        return;
    ty_batch_drop_last(record->batch);
    ty_batch_reject(record->batch, record->result, id, record->message);
}
