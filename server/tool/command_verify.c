/*
 * `tally verify`: whether a data directory is what was stored. Each shard is checked in a child
 * process (verify_child.h), since LMDB may end its process where its own pages are damaged.
 */
#include "server/tool/command.h"
#include "server/tool/progress.h"
#include "server/tool/verify_child.h"
#include "shard/directory_lock.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHARDS_MAX   256
#define LINES_MAX    1000 /* problems that are shown; all are counted */
#define MEMORY_BYTES (UINT64_C(512) << 20)

struct verify_options {
    int64_t window_ms;
    uint64_t memory_bytes;
    bool json;
    bool quiet;
};

struct verify {
    const struct verify_options *options;
    const char *directory;
    unsigned shard, shard_count;
    unsigned leftovers; /* of them; empty */
    uint64_t file_bytes[SHARDS_MAX];
    uint64_t before_bytes; /* of the shards that are done */
    uint64_t before_events;
    struct ty_progress progress;
    struct ty_progress_state state;
    struct ty_verify_counts counts;  /* of all shards */
    struct ty_database_record first; /* what shard 0 says */
    uint64_t shown;
    json_t *problems; /* with --json */
};

/* --- Problems --- */

static void format_uuids(const struct ty_verify_problem *problem, char customer[37],
                         char workflow[37])
{
    tally_uuid_format(problem->customer.bytes, customer);
    tally_uuid_format(problem->workflow.bytes, workflow);
}

static void keep_json(struct verify *verify, const struct ty_verify_problem *problem)
{
    json_t *object = json_pack("{s:i, s:s, s:s}", "shard", (int)verify->shard, "check",
                               problem->check, "problem", problem->text);
    char customer[37], workflow[37];

    if (object == NULL) /* The text is no UTF-8: an id's bytes, cut. */
        object = json_pack("{s:i, s:s, s:s}", "shard", (int)verify->shard, "check", problem->check,
                           "problem", "(not UTF-8)");
    if (problem->has_series) {
        format_uuids(problem, customer, workflow);
        json_object_set_new(object, "customer_id", json_string(customer));
        json_object_set_new(object, "workflow_id", json_string(workflow));
    }
    if (problem->period[0] != '\0')
        json_object_set_new(object, "period", json_string(problem->period));
    json_array_append_new(verify->problems, object);
}

static void print_problem(struct verify *verify, const struct ty_verify_problem *problem)
{
    char customer[37], workflow[37];

    ty_progress_clear(&verify->progress);
    printf("shard %u, %s: ", verify->shard, problem->check);
    ty_terminal_print_text(stdout, problem->text);
    if (problem->has_series) {
        format_uuids(problem, customer, workflow);
        printf(" (customer %s, workflow %s)", customer, workflow);
    }
    putchar('\n');
}

static void take_problem(void *context, const struct ty_verify_problem *problem)
{
    struct verify *verify = context;

    verify->counts.problems++;
    if (verify->shown == LINES_MAX)
        return;
    verify->shown++;
    if (verify->options->json)
        keep_json(verify, problem);
    else
        print_problem(verify, problem);
}

/* A problem that is found here, not by the child. */
static void complain(struct verify *verify, const char *format, const char *text)
{
    struct ty_verify_problem problem = {.check = "shard"};

    snprintf(problem.text, sizeof(problem.text), format, text);
    take_problem(verify, &problem);
}

/* --- Shards --- */

static void take_progress(void *context, uint64_t done, uint64_t total, uint64_t events)
{
    struct verify *verify = context;
    double part = total == 0 ? 1 : (double)done / (double)total;

    verify->state.bytes = verify->before_bytes +
                          (uint64_t)(TY_MIN(part, 1.0) * (double)verify->file_bytes[verify->shard]);
    verify->state.events = verify->before_events + events;
    verify->state.rejected = 0;
    ty_progress_update(&verify->progress, &verify->state, ty_progress_clock_ms());
}

static void add_counts(struct verify *verify, const struct ty_verify_counts *counts)
{
    struct ty_verify_counts *all = &verify->counts;

    all->series += counts->series;
    all->values += counts->values;
    all->events += counts->events;
    all->voids += counts->voids;
    all->days += counts->days;
    all->months += counts->months;
    all->rejects += counts->rejects;
    all->closings += counts->closings;
    all->revisions += counts->revisions;
    all->exact += counts->exact;
    all->partial += counts->partial;
    all->uncompared += counts->uncompared;
    all->uncompared_revisions += counts->uncompared_revisions;
    all->id_runs += counts->id_runs;
    all->sealed_ids += counts->sealed_ids;
    all->uncompared_ids += counts->uncompared_ids;
    all->id_leftovers += counts->id_leftovers;
    all->repeated_ids += counts->repeated_ids;
    all->stale_reject_ids += counts->stale_reject_ids;
    all->id_window_ms = TY_MIN(all->id_window_ms, counts->id_window_ms);
}

/* Where more shards were wanted first, and their creation was interrupted, those that are too many
 * stay. They are empty, and no server opens them again. */
static void take_superfluous(struct verify *verify, const struct ty_verify_child_result *result)
{
    const struct ty_verify_counts *counts = &result->counts;
    char text[40];

    if (counts->series == 0 && counts->values == 0 && counts->rejects == 0) {
        verify->leftovers++;
        return;
    }
    snprintf(text, sizeof(text), "%u", result->database.shard_count);
    complain(verify, "it is not empty, but the database has %s shards", text);
}

/* Shards of one copy belong together. */
static void compare_records(struct verify *verify, const struct ty_verify_child_result *result)
{
    const struct ty_database_record *record = &result->database;
    char text[80];

    if (record->shard_count == 0)
        return;
    if (verify->first.shard_count == 0)
        verify->first = *record;
    if (memcmp(record->id, verify->first.id, sizeof(record->id)) != 0)
        complain(verify, "it belongs to another database than %s", "the shards before it");
    snprintf(text, sizeof(text), "%u shards, %u are here", record->shard_count,
             verify->shard_count);
    if (record->shard_count > verify->shard_count)
        complain(verify, "it says that the database has %s", text);
    snprintf(text, sizeof(text), "%u shards, those before it say %u", record->shard_count,
             verify->first.shard_count);
    if (record->shard_count != verify->first.shard_count)
        complain(verify, "it says that the database has %s", text);
    if (verify->shard >= record->shard_count)
        take_superfluous(verify, result);
}

static bool check_shard(struct verify *verify)
{
    struct ty_verify_child_result result;
    const struct ty_verify_options options = {.shard = verify->shard,
                                              .dedup_window_ms = verify->options->window_ms,
                                              .memory_bytes = verify->options->memory_bytes};
    const struct ty_verify_child_watch watch = {verify, take_problem, take_progress};
    char path[4096];

    snprintf(path, sizeof(path), "%s/shard-%03u", verify->directory, verify->shard);
    if (!ty_verify_child_run(path, &options, &watch, &result)) {
        ty_progress_clear(&verify->progress);
        fprintf(stderr, "tally verify: cannot start a process for the check: %s\n",
                strerror(errno));
        return false;
    }
    if (result.newer) { /* No damage: a copy would not help. */
        ty_progress_clear(&verify->progress);
        fprintf(stderr, "tally verify: shard %u: %s\n", verify->shard, result.problem);
        return false;
    }
    if (result.problem[0] != '\0')
        complain(verify, "%s", result.problem);
    add_counts(verify, &result.counts);
    compare_records(verify, &result);
    verify->before_bytes += verify->file_bytes[verify->shard];
    verify->before_events += result.counts.events;
    return true;
}

/* --- The end --- */

/* What is said only where there is something to say. */
static void print_notes(const struct verify *verify)
{
    const struct ty_verify_counts *counts = &verify->counts;

    if (verify->leftovers != 0)
        printf("shards that are empty and no part of the database: %u, left from when it was "
               "created\n",
               verify->leftovers);
    if (counts->id_runs != 0)
        printf("remembered ids: %" PRIu64 " sealed in %" PRIu64 " runs, %" PRIu64
               " of the journal not looked for there for lack of memory\n",
               counts->sealed_ids, counts->id_runs, counts->uncompared_ids);
    if (counts->id_leftovers != 0)
        printf("remembered ids: %" PRIu64
               " values of runs that are unfinished or have gone; the server deletes them\n",
               counts->id_leftovers);
    if (counts->repeated_ids != 0)
        printf("events whose id had counted before, so early that it may have been forgotten: "
               "%" PRIu64 "; see --dedup-memory of tallyd\n",
               counts->repeated_ids);
    if (counts->stale_reject_ids != 0)
        printf("the index of rejects has %" PRIu64
               " entries that lead to none: damaged once; a reject may be kept twice for it\n",
               counts->stale_reject_ids);
    if (counts->uncompared_revisions != 0)
        printf("revisions compared with no others for lack of memory: %" PRIu64 "\n",
               counts->uncompared_revisions);
    if (counts->id_window_ms < verify->options->window_ms)
        printf("repeated ids were looked for within %.1f hours only, for lack of memory\n",
               (double)counts->id_window_ms / 3600000);
}

static void print_summary(const struct verify *verify, int64_t took_ms)
{
    const struct ty_verify_counts *counts = &verify->counts;

    if (counts->problems > verify->shown)
        printf("... and %" PRIu64 " more problems\n", counts->problems - verify->shown);
    printf("%u %s in %.1f s: %" PRIu64 " series, %" PRIu64 " days, %" PRIu64 " months, %" PRIu64
           " journal values with %" PRIu64 " events and %" PRIu64 " voids, %" PRIu64
           " rejects, %" PRIu64 " closings, %" PRIu64 " revisions\n",
           verify->shard_count, verify->shard_count == 1 ? "shard" : "shards",
           (double)took_ms / 1000, counts->series, counts->days, counts->months, counts->values,
           counts->events, counts->voids, counts->rejects, counts->closings, counts->revisions);
    printf("days compared with the journal: %" PRIu64 " exactly, %" PRIu64
           " as far as it reaches, %" PRIu64 " left out for lack of memory\n",
           counts->exact, counts->partial, counts->uncompared);
    print_notes(verify);
    if (counts->problems == 0) {
        puts("No problems found.");
        return;
    }
    printf("%" PRIu64 " %s found.\n", counts->problems,
           counts->problems == 1 ? "problem" : "problems");
    puts("What to do: restore the newest copy that 'tally verify' finds no problem in, and send\n"
         "again what came since; the same ids count once. Until then the server refuses what is\n"
         "damaged and answers the rest. Look at the disk and its cables too: what rotted once\n"
         "rots again.");
}

static bool print_json(const struct verify *verify)
{
    const struct ty_verify_counts *counts = &verify->counts;
    json_t *document = json_pack(
        "{s:b, s:I, s:O, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:I, s:I, s:I, s:I, s:I, s:I}",
        "ok", counts->problems == 0, "problem_count", (json_int_t)counts->problems, "problems",
        verify->problems, "shards", (int)verify->shard_count, "series", (json_int_t)counts->series,
        "days", (json_int_t)counts->days, "months", (json_int_t)counts->months, "journal_values",
        (json_int_t)counts->values, "events", (json_int_t)counts->events, "voids",
        (json_int_t)counts->voids, "rejects", (json_int_t)counts->rejects, "closings",
        (json_int_t)counts->closings, "revisions", (json_int_t)counts->revisions,
        "revisions_uncompared", (json_int_t)counts->uncompared_revisions, "days_exact",
        (json_int_t)counts->exact, "days_partial", (json_int_t)counts->partial, "days_uncompared",
        (json_int_t)counts->uncompared, "id_runs", (json_int_t)counts->id_runs, "sealed_ids",
        (json_int_t)counts->sealed_ids, "ids_uncompared", (json_int_t)counts->uncompared_ids,
        "id_leftovers", (json_int_t)counts->id_leftovers, "ids_repeated",
        (json_int_t)counts->repeated_ids, "reject_ids_stale", (json_int_t)counts->stale_reject_ids);
    bool ok = document != NULL && json_dumpf(document, stdout, JSON_COMPACT) == 0;

    putchar('\n');
    json_decref(document);
    return ok;
}

/* --- The directory --- */

/* Counts the shards and their bytes. */
static bool find_shards(struct verify *verify)
{
    for (; verify->shard_count < SHARDS_MAX; verify->shard_count++) {
        char path[4096];
        struct stat status;

        snprintf(path, sizeof(path), "%s/shard-%03u/data.mdb", verify->directory,
                 verify->shard_count);
        if (stat(path, &status) != 0)
            break;
        verify->file_bytes[verify->shard_count] = (uint64_t)status.st_size;
        verify->state.bytes_total += (uint64_t)status.st_size;
    }
    if (verify->shard_count != 0)
        return true;
    fprintf(stderr, "tally verify: %s holds no database (no shard-000/data.mdb that can be read)\n",
            verify->directory);
    return false;
}

static int verify_directory(struct verify *verify)
{
    int64_t started_ms = ty_progress_clock_ms();

    ty_progress_begin(&verify->progress, stderr, ty_progress_choose_style(verify->options->quiet),
                      started_ms);
    for (; verify->shard < verify->shard_count; verify->shard++)
        if (!check_shard(verify))
            return TY_EXIT_UNREACHABLE;
    ty_progress_clear(&verify->progress);
    if (!verify->options->json)
        print_summary(verify, ty_progress_clock_ms() - started_ms);
    else if (!print_json(verify))
        return TY_EXIT_REFUSED;
    return verify->counts.problems == 0 ? TY_EXIT_OK : TY_EXIT_REFUSED;
}

static int run_locked(struct verify *verify)
{
    tally_error error;
    int lock, code;

    if (!find_shards(verify))
        return TY_EXIT_UNREACHABLE;
    if (ty_directory_lock(verify->directory, &lock, &error) != TALLY_OK) {
        fprintf(stderr,
                "tally verify: %s\n'tally backup' makes a copy while a server runs, which can be "
                "verified.\n",
                error.message);
        return TY_EXIT_UNREACHABLE;
    }
    code = verify_directory(verify);
    close(lock);
    return code;
}

static int run(const struct ty_command *self, int argc, char **argv)
{
    struct verify_options options = {.window_ms = TALLY_DEDUP_WINDOW_MS,
                                     .memory_bytes = MEMORY_BYTES};
    static struct verify verify;
    struct ty_arguments words;
    int code = ty_flags_parse(self->flags, argc, argv, &options, &words);

    if (code != -1)
        return code;
    if (words.count != 1) {
        fprintf(stderr, "tally verify: %s\nTry 'tally help verify'.\n",
                words.count == 0 ? "it needs a data directory" : "one directory, and no more");
        return TY_EXIT_USAGE;
    }
    verify.options = &options;
    verify.directory = words.words[0];
    verify.counts.id_window_ms = options.window_ms;
    verify.problems = json_array();
    code = verify.problems == NULL ? TY_EXIT_UNREACHABLE : run_locked(&verify);
    json_decref(verify.problems);
    return code;
}

#define AT(member) .offset = offsetof(struct verify_options, member)

static const struct ty_flag flags[] = {
    {.name = "dedup-window",
     .kind = TY_FLAG_DURATION,
     .value = "TIME",
     .help = "the server's: an id that counts twice within it is a problem (35d); 0: none is",
     AT(window_ms)},
    {.name = "memory",
     .kind = TY_FLAG_SIZE,
     .value = "SIZE",
     .min = 1 << 20,
     .help = "for the days and ids of the journal; what does not fit is compared less (512MiB)",
     AT(memory_bytes)},
    {.name = "json", .kind = TY_FLAG_SWITCH, .help = "one document", AT(json)},
    {.name = "quiet", .kind = TY_FLAG_SWITCH, .help = "no progress", AT(quiet)},
    {0}};

const struct ty_command ty_command_verify = {
    .name = "verify",
    .summary = "whether everything in a data directory is what was stored",
    .usage = "DIR [FLAG ...]",
    .words = "DIR",
    .description =
        "Reads a whole data directory that no server holds, and changes nothing in it.\n"
        "Every value is checked against its checksum and its key; days against their\n"
        "slots, months against their days, both against the events that the journal\n"
        "still has; sealed ids against those; and that no id counts twice. Prints a line for each "
        "problem, with\n"
        "the customer, workflow and period that it concerns, then what to do.\n"
        "\n"
        "A copy that 'tally backup' made while the server runs can be verified as well.\n",
    .flags = flags,
    .notes = "Every week, the newest copy:\n"
             "\n"
             "  tally verify /backup/tally-$(date +%F) --quiet || mail -s 'tally' ops\n",
    .refused = "problems were found, and are printed",
    .run = run,
};
