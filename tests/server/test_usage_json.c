#include "engine/period.h"
#include "server/usage_json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct ty_buffer out;

static void fini(void)
{
    ty_buffer_fini(&out);
}

TestSuite(usage_json, .fini = fini);

static const char *text(void)
{
    ty_buffer_append_char(&out, '\0');
    cr_assert(ty_buffer_ok(&out));
    return out.data;
}

static tally_row row_of(const char *date, int64_t credits_micro)
{
    tally_row row = {.events = 1,
                     .credits_micro = {(uint64_t)credits_micro, credits_micro < 0 ? -1 : 0}};

    strncpy(row.date, date, sizeof(row.date) - 1);
    return row;
}

static struct ty_uuid uuid_of(const char *id)
{
    struct ty_uuid uuid;

    cr_assert(ty_uuid_parse(id, strlen(id), &uuid));
    return uuid;
}

/* The example of the API's own document, which its clients were written against. */
Test(usage_json, rows_are_those_of_the_document)
{
    const tally_row rows[] = {row_of("2023-01", 21000000), row_of("2023-02", 102000000),
                              row_of("2023-03", 54000000)};

    ty_usage_json_rows(&out, rows, 3, false);
    cr_assert_str_eq(text(), "[{\"date\":\"2023-01\",\"processed_credits\":21},"
                             "{\"date\":\"2023-02\",\"processed_credits\":102},"
                             "{\"date\":\"2023-03\",\"processed_credits\":54}]");
}

/* The example of the list, with its URLs. */
Test(usage_json, the_list_is_that_of_the_document)
{
    const struct ty_uuid customer = uuid_of("d04270a6-6316-4d4b-b2c5-bff0ff515908");
    const struct ty_uuid workflows[] = {uuid_of("6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"),
                                        uuid_of("b6a9d5cc-56f8-4bb5-8816-00b2c4c7c6dc")};
    struct ty_range range = {.frequency = TALLY_MONTHLY};

    cr_assert_null(ty_period_parse(TALLY_MONTHLY, "2023-01", 7, &range.first));
    cr_assert_null(ty_period_parse(TALLY_MONTHLY, "2023-12-31", 10, &range.last));
    ty_usage_json_list(&out, &customer, workflows, 2, &range, true, NULL);
    cr_assert_str_eq(text(),
                     "[{\"workflow_id\":\"6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c\",\"usage_url\":"
                     "\"/reseller/customers/d04270a6-6316-4d4b-b2c5-bff0ff515908/usage/workflows/"
                     "workflow_id/6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c/monthly?start=2023-01&"
                     "end=2023-12\"},"
                     "{\"workflow_id\":\"b6a9d5cc-56f8-4bb5-8816-00b2c4c7c6dc\",\"usage_url\":"
                     "\"/reseller/customers/d04270a6-6316-4d4b-b2c5-bff0ff515908/usage/workflows/"
                     "workflow_id/b6a9d5cc-56f8-4bb5-8816-00b2c4c7c6dc/monthly?start=2023-01&"
                     "end=2023-12\"}]");
}

/* What was not asked for is not in the URL; what was is there in canonical form. */
Test(usage_json, urls_carry_what_was_given)
{
    static const struct {
        tally_frequency frequency;
        const char *first, *last;
        bool end_given;
        const char *extended;
        const char *tail;
    } cases[] = {
        {TALLY_MONTHLY, "2023-01", "2023-02", false, NULL, "monthly?start=2023-01"},
        {TALLY_WEEKLY, "2023-W05", "2023-W06", true, "true",
         "weekly?start=2023-W05&end=2023-W06&extended=true"},
        {TALLY_DAILY, "2023-01-31", "2023-01-31", false, "0", "daily?start=2023-01-31&extended=0"},
        {TALLY_HOURLY, "2023-01-31T13Z", "2023-01-31T14Z", true, "1",
         "hourly?start=2023-01-31T13Z&end=2023-01-31T14Z&extended=1"},
    };
    const struct ty_uuid id = {{0}};

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_range range = {.frequency = cases[i].frequency};
        char url[400];

        ty_period_parse(range.frequency, cases[i].first, strlen(cases[i].first), &range.first);
        ty_period_parse(range.frequency, cases[i].last, strlen(cases[i].last), &range.last);
        snprintf(url, sizeof(url),
                 "[{\"workflow_id\":\"00000000-0000-0000-0000-000000000000\",\"usage_url\":"
                 "\"/reseller/customers/00000000-0000-0000-0000-000000000000/usage/workflows/"
                 "workflow_id/00000000-0000-0000-0000-000000000000/%s\"}]",
                 cases[i].tail);
        out.length = 0;
        ty_usage_json_list(&out, &id, &id, 1, &range, cases[i].end_given, cases[i].extended);
        cr_assert_str_eq(text(), url);
    }
}

/* Credits are a JSON number that is exact, whatever a double could hold. */
Test(usage_json, credits_are_exact_decimals)
{
    static const struct {
        tally_int128 micros;
        const char *number;
    } cases[] = {
        {{0, 0}, "0"},
        {{100000, 0}, "0.1"},
        {{1, 0}, "0.000001"},
        {{UINT64_MAX, -1}, "-0.000001"},
        {{UINT64_C(0) - 2500000, -1}, "-2.5"},
        {{UINT64_C(9007199254740993000), 0}, "9007199254740.993"},
        {{0, 1}, "18446744073709.551616"},
        {{UINT64_MAX, INT64_MAX}, "170141183460469231731687303715884.105727"},
        {{0, INT64_MIN}, "-170141183460469231731687303715884.105728"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        tally_row row = row_of("2023-W05", 0);
        char wanted[128];

        row.credits_micro = cases[i].micros;
        snprintf(wanted, sizeof(wanted), "[{\"date\":\"2023-W05\",\"processed_credits\":%s}]",
                 cases[i].number);
        out.length = 0;
        ty_usage_json_rows(&out, &row, 1, false);
        cr_assert_str_eq(text(), wanted);
    }
}

/* The further indicators; an average of no pages is null, not a division by zero. */
Test(usage_json, extended_rows_have_counts_and_the_average)
{
    static const struct {
        uint64_t documents, pages, processing_ms;
        const char *members;
    } cases[] = {
        {0, 0, 0, "\"num_documents\":0,\"num_pages\":0,\"average_time_per_page\":null"},
        {7, 0, 1200, "\"num_documents\":7,\"num_pages\":0,\"average_time_per_page\":null"},
        {1, 3, 1200, "\"num_documents\":1,\"num_pages\":3,\"average_time_per_page\":0.4"},
        {1, 3, 1000, "\"num_documents\":1,\"num_pages\":3,\"average_time_per_page\":0.333333"},
        {1, 3, 2000, "\"num_documents\":1,\"num_pages\":3,\"average_time_per_page\":0.666667"},
        {2, 5, 0, "\"num_documents\":2,\"num_pages\":5,\"average_time_per_page\":0"},
        {2, 1, 61000, "\"num_documents\":2,\"num_pages\":1,\"average_time_per_page\":61"},
        {UINT64_MAX, UINT64_MAX, 1,
         "\"num_documents\":18446744073709551615,\"num_pages\":18446744073709551615,"
         "\"average_time_per_page\":0"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        tally_row row = row_of("2023-01-31T13Z", -1500000);
        char wanted[256];

        row.documents.low = cases[i].documents;
        row.pages.low = cases[i].pages;
        row.processing_ms.low = cases[i].processing_ms;
        snprintf(wanted, sizeof(wanted),
                 "[{\"date\":\"2023-01-31T13Z\",\"processed_credits\":-1.5,%s}]", cases[i].members);
        out.length = 0;
        ty_usage_json_rows(&out, &row, 1, true);
        cr_assert_str_eq(text(), wanted);
    }
}

/* Nothing used: an empty array, not nothing. */
Test(usage_json, nothing_is_an_empty_array)
{
    const struct ty_uuid customer = {{1}};
    struct ty_range range = {.frequency = TALLY_DAILY};

    ty_usage_json_list(&out, &customer, NULL, 0, &range, false, NULL);
    ty_usage_json_rows(&out, NULL, 0, true);
    cr_assert_str_eq(text(), "[][]");
}
