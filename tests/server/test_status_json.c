#include "server/status_json.h"

#include <criterion/criterion.h>
#include <string.h>

static struct ty_buffer out;

static void fini(void)
{
    ty_buffer_fini(&out);
}

TestSuite(status_json, .fini = fini);

static const char *text(void)
{
    ty_buffer_append_char(&out, '\0');
    cr_assert(ty_buffer_ok(&out));
    return out.data;
}

/* While the database is being recovered the process still answers who it is, and why it waits. */
Test(status_json, the_process_alone_is_an_object)
{
    struct ty_process_status process = {.version = "1.2.3",
                                        .pid = 42,
                                        .started_ms = 1675252800123,
                                        .uptime_ms = 77,
                                        .unready_reason = "a \"reason\"",
                                        .draining = true,
                                        .connections = 9,
                                        .forward = {true, 1, 2, 3, 4, 5, 6, 7}};

    ty_status_json_begin(&out, &process);
    ty_status_json_end(&out);
    cr_assert_str_eq(text(), "{\"version\":\"1.2.3\",\"pid\":42,"
                             "\"started\":\"2023-02-01T12:00:00.123Z\",\"uptime_ms\":77,"
                             "\"ready\":false,\"reason\":\"a \\\"reason\\\"\",\"draining\":true,"
                             "\"connections\":9,\"forward\":{\"connections\":1,\"messages\":2,"
                             "\"acks\":3,\"retries\":4,\"dropped_records\":5,"
                             "\"broken_streams\":6,\"pending_bytes\":7}}");
    out.length = 0;
    process.forward.served = false;
    ty_status_json_begin(&out, &process);
    cr_assert_not_null(strstr(text(), "\"connections\":9,\"forward\":null"));
}

static struct ty_shard_status make_status(void)
{
    struct ty_shard_status status = {
        .results = {[TALLY_ACCEPTED] = 10, [TALLY_NOT_STORED] = 2},
        .commits = 3,
        .commit_failures = 1,
        .queued_events = 4,
        .queued_batches = 5,
        .busy_batches = 6,
        .series = 7,
        .hot_bytes = 8,
        .dirty_months = 9,
        .damaged_months = 10,
        .dedup_entries = 11,
        .dedup_bytes = 12,
        .dedup_forgotten_early = 13,
        .dedup_window_ms = 14,
        .dedup_window_wanted_ms = 15,
        .journal_bytes = 16,
        .trimmed_values = 17,
        .replay_values = 18,
        .rejects = 23,
        .reject_bytes = 24,
        .rejects_dropped = 25,
        .file_bytes = 19,
        .map_bytes = 20,
        .disk_bytes = UINT64_MAX,
        .full = true,
        .journal = {.first = 21, .last = 22, .oldest_received_ms = 1675252800000},
    };

    return status;
}

#define MEMBERS                                                                                    \
    "\"queue\":{\"events\":4,\"batches\":5,\"refused_batches\":6},\"series\":7,"                   \
    "\"hot\":{\"bytes\":8,\"dirty_months\":9,\"damaged_months\":10},"                              \
    "\"dedup\":{\"entries\":11,\"bytes\":12,\"window_ms\":15,\"effective_window_ms\":14,"          \
    "\"forgotten_early\":13},\"journal\":{\"bytes\":16,\"trimmed_values\":17,\"replay_values\":"   \
    "18,"

#define STORAGE                                                                                    \
    "\"rejects\":{\"kept\":23,\"bytes\":24,\"dropped\":25},"                                       \
    "\"storage\":{\"file_bytes\":19,\"map_bytes\":20,\"disk_free_bytes\":18446744073709551615,"    \
    "\"full\":true,\"failed\":false}"

#define EVENTS(accepted, missing)                                                                  \
    "\"events\":{\"accepted\":" accepted ",\"duplicate\":0,\"missing_field\":" missing             \
    ",\"invalid_field\":0,\"out_of_range\":0,\"too_new\":0,\"too_old\":0,\"id_conflict\":0,"       \
    "\"overflow\":0,\"series_limit\":0,\"not_stored\":2}"

/* Every number must stand under its own name: the tool and scripts read them from here. */
Test(status_json, every_number_has_its_name)
{
    struct ty_process_status process = {.decoder_rejects = {[TALLY_MISSING_FIELD] = 4}};
    struct ty_shard_status total = make_status(), shard = make_status(), empty = make_status();
    struct ty_commit_time time = {.p50_us = 1, .p99_us = 16384, .max_us = -1};

    total.journal.first = total.journal.last = 0;
    strcpy(total.journal_problem.message, "broken");
    empty.journal = (struct ty_journal_extent){0};
    ty_status_json_database(&out, &process, &total, &time, (struct ty_shard_status[]){shard, empty},
                            2);
    cr_assert_str_eq(
        text(),
        "," EVENTS("10",
                   "4") ",\"commits\":{\"count\":3,\"failures\":1,\"p50_ms\":0.001,"
                        "\"p99_ms\":16.384,\"max_ms\":null}," MEMBERS
                        "\"oldest_received\":\"2023-02-01T12:00:00.000Z\","
                        "\"problem\":\"broken\"}," STORAGE ",\"shards\":[{\"shard\":0," EVENTS(
                            "10",
                            "0") ",\"commits\":{\"count\":3,\"failures\":1}," MEMBERS
                                 "\"first\":21,\"last\":22,"
                                 "\"oldest_received\":\"2023-02-01T12:00:00.000Z\","
                                 "\"problem\":null}," STORAGE "},"
                                 "{\"shard\":1," EVENTS(
                                     "10",
                                     "0") ",\"commits\":{\"count\":3,\"failures\":1}," MEMBERS
                                          "\"first\":null,\"last\":null,\"oldest_received\":null,"
                                          "\"problem\":null}," STORAGE "}]");
}
