/*
 * fuzz_text.c: the small texts that clients send: periods, timestamps, decimals, UUIDs, query
 * strings. What is accepted must survive being written and read again.
 */
#include <string.h>

#include "engine/decimal.h"
#include "engine/period.h"
#include "engine/timestamp.h"
#include "engine/uuid.h"
#include "server/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_period(const char *text, size_t length)
{
    for (int frequency = TALLY_MONTHLY; frequency <= TALLY_HOURLY; frequency++) {
        char again[TY_PERIOD_TEXT_BYTES];
        int64_t period, same;

        if (ty_period_parse((tally_frequency)frequency, text, length, &period) != NULL)
            continue;
        length = ty_period_format((tally_frequency)frequency, period, again);
        TY_ASSERT(ty_period_parse((tally_frequency)frequency, again, length, &same) == NULL);
        TY_ASSERT(same == period);
        return;
    }
}

static void check_decimal(const char *text, size_t length)
{
    char again[TY_DECIMAL_TEXT_BYTES];
    int64_t micros, same;

    if (ty_decimal_parse(text, length, &micros) != TY_DECIMAL_OK)
        return;
    length = ty_decimal_format(micros, again);
    TY_ASSERT(ty_decimal_parse(again, length, &same) == TY_DECIMAL_OK && same == micros);
}

static void check_timestamp(const char *text, size_t length)
{
    char again[TY_TIMESTAMP_TEXT_BYTES];
    int64_t ms, same;

    if (ty_timestamp_parse(text, length, &ms) != NULL || ms < INT64_C(-62135596800000) ||
        ms > INT64_C(253402300799999))
        return; /* An offset may lead out of the years 1 to 9999. */
    ty_timestamp_format(ms, again);
    TY_ASSERT(ty_timestamp_parse(again, strlen(again), &same) == NULL && same == ms);
}

static void check_uuid(const char *text, size_t length)
{
    struct ty_uuid uuid, same;
    char again[TY_UUID_TEXT_LENGTH];

    if (!ty_uuid_parse(text, length, &uuid))
        return;
    ty_uuid_format(&uuid, again);
    TY_ASSERT(ty_uuid_parse_canonical(again, sizeof(again), &same));
    TY_ASSERT(ty_uuid_compare(&uuid, &same) == 0);
}

static void check_query(const char *text, size_t length)
{
    char buffer[64];
    struct ty_text value;

    if (ty_query_find((struct ty_text){text, length}, "start", buffer, sizeof(buffer), &value) ==
        TY_QUERY_FOUND)
        TY_ASSERT(value.length <= sizeof(buffer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;

    check_period(text, size);
    check_decimal(text, size);
    check_timestamp(text, size);
    check_uuid(text, size);
    check_query(text, size);
    return 0;
}
