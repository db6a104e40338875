#include "server/revisions_json.h"

#include <criterion/criterion.h>
#include <string.h>

static struct ty_buffer out;

static void fini(void)
{
    ty_buffer_fini(&out);
}

TestSuite(revisions_json, .fini = fini);

static const struct ty_uuid customer = {.bytes = {0x6a, 15, [15] = 1}};

static const char *text(void)
{
    ty_buffer_append_char(&out, '\0');
    cr_assert(ty_buffer_ok(&out));
    return out.data;
}

/* What was closed, as the answer to a closing. */
Test(revisions_json, tells_what_is_closed)
{
    tally_closed closed = {.through = "2023-01", .closed_ms = INT64_C(1675252800123)};

    ty_revisions_json_closed(&out, &customer, &closed, false);
    cr_assert_str_eq(text(), "{\"customer_id\":\"6a0f0000-0000-0000-0000-000000000001\","
                             "\"closed_through\":\"2023-01\","
                             "\"closed_at\":\"2023-02-01T12:00:00.123Z\"}");
}

/* A list of a customer without closed months is a list all the same. */
Test(revisions_json, tells_that_nothing_is_closed)
{
    tally_closed closed = {.closed_ms = 0};

    ty_revisions_json_closed(&out, &customer, &closed, true);
    ty_buffer_append_text(&out, ",\"revisions\":[");
    ty_revisions_json_end(&out, false, 7);
    cr_assert_str_eq(text(), "{\"customer_id\":\"6a0f0000-0000-0000-0000-000000000001\","
                             "\"closed_through\":null,\"closed_at\":null,\"revisions\":[],"
                             "\"next\":null}");
}

/* Numbers of any size are exact, since they go on invoices. */
Test(revisions_json, a_revision_has_both_totals_exactly)
{
    tally_revision revision = {.number = 12,
                               .workflow_id = {0x0f, [15] = 9},
                               .received_ms = INT64_C(1675252800123),
                               .events = 3,
                               .voided = UINT64_MAX,
                               .before = {.date = "2023-01"},
                               .after = {.date = "2023-01",
                                         .events = 2,
                                         .credits_micro = {UINT64_MAX, -1}, /* -1 */
                                         .documents = {0, 1},               /* 2^64 */
                                         .pages = {3, 0},
                                         .processing_ms = {1000, 0}}};

    ty_revisions_json_append(&out, &revision, true);
    ty_revisions_json_append(&out, &revision, false);
    ty_revisions_json_end(&out, true, 12);
#define ONE                                                                                        \
    "{\"revision\":12,\"workflow_id\":\"0f000000-0000-0000-0000-000000000009\","                   \
    "\"month\":\"2023-01\",\"received\":\"2023-02-01T12:00:00.123Z\","                             \
    "\"old\":{\"num_events\":0,\"processed_credits\":0,\"num_documents\":0,\"num_pages\":0,"       \
    "\"average_time_per_page\":null,\"processing_ms\":0},"                                         \
    "\"new\":{\"num_events\":2,\"processed_credits\":-0.000001,"                                   \
    "\"num_documents\":18446744073709551616,\"num_pages\":3,"                                      \
    "\"average_time_per_page\":0.333333,\"processing_ms\":1000},"                                  \
    "\"cause\":{\"events\":3,\"voided\":18446744073709551615}}"
    cr_assert_str_eq(text(), ONE "," ONE "],\"next\":12}");
}
