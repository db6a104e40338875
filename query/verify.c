/*
 * verify.c: the checks of `tally verify`, a row of a table each (`checks`, at the end).
 *
 * The order matters: series first, since what is found later is told by their customers; the
 * journal before the blocks, which are compared with what it holds.
 */
#include "query/verify_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "storage/partition.h"

/* --- Telling --- */

void ty_verify_tell(struct ty_verifier *verifier, const struct ty_series *series,
                    const char *period, const char *format, ...)
{
    struct ty_verify_problem problem = {.has_series = series != NULL};
    va_list arguments;

    snprintf(problem.check, sizeof(problem.check), "%s", verifier->check);
    snprintf(problem.period, sizeof(problem.period), "%s", period);
    if (series != NULL) {
        problem.customer = series->customer;
        problem.workflow = series->workflow;
    }
    va_start(arguments, format);
    vsnprintf(problem.text, sizeof(problem.text), format, arguments);
    va_end(arguments);
    verifier->counts->problems++;
    verifier->options->report(verifier->options->context, &problem);
}

const char *ty_verify_date(tally_frequency frequency, int64_t period,
                           char text[TY_PERIOD_TEXT_BYTES])
{
    ty_period_format(frequency, period, text);
    return text;
}

bool ty_verify_is_day(int32_t day)
{
    return day >= 0 && day <= ty_day_of_ms(TY_TIMESTAMP_MS_MAX);
}

bool ty_verify_is_month(int32_t month)
{
    return month >= 0 && month <= ty_month_of_day(ty_day_of_ms(TY_TIMESTAMP_MS_MAX));
}

static void progress(void *context, uint64_t bytes)
{
    struct ty_verifier *verifier = context;

    verifier->done += bytes;
    verifier->options->progress(verifier->options->context, verifier->check, verifier->done,
                                verifier->total, verifier->counts->events);
}

/* --- Records --- */

static tally_status check_records(struct ty_verifier *verifier, struct ty_database_record *database,
                                  tally_error *error)
{
    tally_error problem;
    bool found;
    tally_status status;

    /* Every commit writes the state, and none the database record, so that one of them tells. */
    if (ty_audit_is_newer(verifier->store))
        return ty_fail(error, TALLY_NEWER,
                       "a newer version of Tally wrote the data, and this one cannot judge it: use "
                       "that");
    status = ty_store_get_database(verifier->store, database, &verifier->has_database, &problem);
    if (status != TALLY_OK)
        ty_verify_tell(verifier, NULL, "", "%s", problem.message);
    else if (!verifier->has_database)
        ty_verify_tell(verifier, NULL, "", "there is no database record: the shard was never made");
    else if (database->shard != verifier->options->shard)
        ty_verify_tell(verifier, NULL, "", "the directory of shard %u holds shard %u",
                       verifier->options->shard, database->shard);
    verifier->has_database &= status == TALLY_OK;
    verifier->database = database;
    status = ty_store_get_state(verifier->store, &verifier->state, &problem);
    verifier->has_state = status == TALLY_OK;
    if (status != TALLY_OK)
        ty_verify_tell(verifier, NULL, "", "%s", problem.message);
    else if (verifier->state.replay_from > verifier->state.last_sequence + 1)
        ty_verify_tell(verifier, NULL, "",
                       "the state record says that blocks lack events from value %" PRIu64
                       " on, but the last one is %" PRIu64,
                       verifier->state.replay_from, verifier->state.last_sequence);
    status = ty_store_get_rejects(verifier->store, &verifier->rejects, &problem);
    verifier->has_rejects = status == TALLY_OK;
    if (status != TALLY_OK)
        ty_verify_tell(verifier, NULL, "", "%s", problem.message);
    status = ty_store_get_id_runs(verifier->store, &verifier->runs, &found, &problem);
    verifier->has_runs = status == TALLY_OK;
    verifier->ids_damaged = status != TALLY_OK;
    if (status != TALLY_OK)
        ty_verify_tell(verifier, NULL, "", "%s", problem.message);
    ty_verify_ids_begin(verifier);
    return TALLY_OK;
}

/* --- Series --- */

/* That it lies where its customer is asked for, and where its ids are remembered. */
static void check_home(struct ty_verifier *verifier, const struct ty_series *series, uint32_t id,
                       const struct ty_uuid *customer)
{
    unsigned home;

    if (!verifier->has_database)
        return;
    home = ty_partition_shard(verifier->database, customer);
    if (home != verifier->database->shard)
        ty_verify_tell(verifier, series, "", "series %u lies on shard %u, its customer on shard %u",
                       id, verifier->database->shard, home);
}

/* Numbers may be missing: commits that failed used them up. What a lost series had counted is found
 * without it. */
static void visit_series(void *context, uint32_t id, const struct ty_uuid *customer,
                         const struct ty_uuid *workflow)
{
    struct ty_verifier *verifier = context;
    const struct ty_series *same = ty_series_find(&verifier->series, customer, workflow);

    verifier->counts->series++;
    if (same != NULL)
        ty_verify_tell(verifier, same, "", "series %u and %u are of the same customer and workflow",
                       same->id, id);
    else if (ty_series_add(&verifier->series, customer, workflow, id) == NULL)
        verifier->series_damaged = true;
    check_home(verifier, ty_series_get(&verifier->series, id), id, customer);
}

/* --- Rejects --- */

static void visit_reject(void *context, const struct ty_kept_reject *kept, size_t length)
{
    struct ty_verifier *verifier = context;

    verifier->counts->rejects++;
    verifier->reject_count++;
    verifier->reject_bytes += length + TY_STORE_REJECT_OVERHEAD;
    if (verifier->has_rejects && kept->seq > verifier->rejects.last_seq)
        ty_verify_tell(verifier, NULL, "",
                       "there is a reject %" PRIu64 ", but the last one is %" PRIu64, kept->seq,
                       verifier->rejects.last_seq);
}

/* An entry that leads nowhere is one that damage left. At most a reject is kept twice for it, so
 * that it is no reason to restore a copy. */
static void visit_reject_id(void *context, const uint8_t identity[TY_REJECT_IDENTITY_BYTES])
{
    struct ty_verifier *verifier = context;
    tally_error problem;
    bool kept;

    if (ty_store_is_reject_kept(verifier->store, identity, &kept, &problem) != TALLY_OK)
        ty_verify_tell(verifier, NULL, "", "%s", problem.message);
    else
        verifier->counts->stale_reject_ids += !kept;
}

static void check_reject_sums(struct ty_verifier *verifier)
{
    const struct ty_rejects_record *record = &verifier->rejects;

    if (!verifier->has_rejects)
        return;
    if (verifier->reject_count != record->count)
        ty_verify_tell(verifier, NULL, "",
                       "%" PRIu64 " rejects are kept, their record says %" PRIu64,
                       verifier->reject_count, record->count);
    else if (verifier->reject_bytes != record->bytes)
        ty_verify_tell(verifier, NULL, "",
                       "the kept rejects take %" PRIu64 " bytes, their record says %" PRIu64,
                       verifier->reject_bytes, record->bytes);
}

/* --- Damage --- */

static void visit_damage(void *context, const struct ty_audit_damage *damage)
{
    struct ty_verifier *verifier = context;
    char received[TY_TIMESTAMP_TEXT_BYTES] = "";

    if (damage->tree == TY_AUDIT_BLOCKS) {
        ty_verify_damaged_block(verifier, damage);
    } else if (damage->tree == TY_AUDIT_CLOSINGS || damage->tree == TY_AUDIT_REVISIONS) {
        ty_verify_damaged_closing(verifier, damage);
    } else if (damage->tree == TY_AUDIT_IDS) {
        ty_verify_damaged_ids(verifier, damage);
    } else if (damage->tree == TY_AUDIT_VOIDS) {
        verifier->marks++;
        ty_verify_tell(verifier, NULL, "", "the mark of an event of journal value %" PRIu64 ": %s",
                       damage->number, damage->problem);
    } else if (damage->tree == TY_AUDIT_REJECT_IDS) {
        verifier->counts->stale_reject_ids++;
    } else if (damage->tree == TY_AUDIT_SERIES) {
        verifier->series_damaged = true;
        ty_verify_tell(verifier, NULL, "", "series %" PRIu64 ": %s", damage->number,
                       damage->problem);
    } else if (damage->tree == TY_AUDIT_REJECTS) {
        verifier->reject_count++;
        verifier->reject_bytes += damage->length + TY_STORE_REJECT_OVERHEAD;
        ty_verify_tell(verifier, NULL, "", "reject %" PRIu64 ": %s", damage->number,
                       damage->problem);
    } else {
        if (verifier->arrival_ms > 0 && verifier->arrival_ms <= TY_TIMESTAMP_MS_MAX)
            ty_timestamp_format(verifier->arrival_ms, received);
        verifier->journal_damaged = true;
        if (verifier->next_value == 0 || damage->number >= verifier->next_value)
            ty_verify_sequence(verifier, damage->number);
        ty_verify_tell(verifier, NULL, "", "journal value %" PRIu64 ": %s%s%s", damage->number,
                       damage->problem, received[0] == '\0' ? "" : "; the one before arrived at ",
                       received);
    }
}

/* --- The table --- */

static void no_end(struct ty_verifier *verifier)
{
    (void)verifier;
}

/* A check walks a tree, then looks at what came together. */
static const struct {
    enum ty_audit_tree tree;
    void (*end)(struct ty_verifier *verifier);
} checks[] = {
    {TY_AUDIT_SERIES, no_end},
    {TY_AUDIT_JOURNAL, ty_verify_journal_ends},
    {TY_AUDIT_VOIDS, ty_verify_marks_end},
    {TY_AUDIT_IDS, ty_verify_ids_end},
    {TY_AUDIT_BLOCKS, ty_verify_lost_days},
    {TY_AUDIT_REJECTS, check_reject_sums},
    {TY_AUDIT_REJECT_IDS, no_end},
    {TY_AUDIT_CLOSINGS, no_end},
    {TY_AUDIT_REVISIONS, ty_verify_revisions_end},
};

static void run_check(struct ty_verifier *verifier, size_t i)
{
    const struct ty_audit audit = {.context = verifier,
                                   .series = visit_series,
                                   .journal = ty_verify_value,
                                   .day = ty_verify_day,
                                   .month = ty_verify_month,
                                   .reject = visit_reject,
                                   .closing = ty_verify_closing,
                                   .revision = ty_verify_revision,
                                   .id_list = ty_verify_id_list,
                                   .id_page = ty_verify_id_page,
                                   .voided = ty_verify_mark,
                                   .reject_id = visit_reject_id,
                                   .damage = visit_damage,
                                   .progress = progress};
    tally_error problem;

    verifier->check = ty_audit_name(checks[i].tree);
    progress(verifier, 0);
    if (ty_audit_walk(verifier->store, checks[i].tree, &audit, &problem) != TALLY_OK)
        ty_verify_tell(verifier, NULL, "", "%s", problem.message);
    checks[i].end(verifier);
}

static tally_status init_memory(struct ty_verifier *verifier, tally_error *error)
{
    const struct ty_verify_options *options = verifier->options;
    int64_t window_ms = options->dedup_window_ms - TY_VERIFY_ROUNDED_MS;

    /* The other quarter is for ids that are looked for in runs, later for revisions. */
    ty_verify_days_init(&verifier->days, options->memory_bytes / 2);
    if (window_ms > 0)
        verifier->dedup = ty_dedup_new(window_ms, options->memory_bytes / 4);
    if (!ty_series_table_init(&verifier->series, 0, UINT32_MAX) ||
        (window_ms > 0 && verifier->dedup == NULL))
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for the check");
    return TALLY_OK;
}

static tally_status verify(struct ty_verifier *verifier, struct ty_database_record *database,
                           tally_error *error)
{
    tally_status status = init_memory(verifier, error);

    if (status != TALLY_OK)
        return status;
    verifier->total = ty_audit_bytes(verifier->store);
    verifier->check = "records";
    status = check_records(verifier, database, error);
    for (size_t i = 0; i < TY_COUNT_OF(checks) && status == TALLY_OK; i++)
        run_check(verifier, i);
    return status;
}

tally_status ty_verify_shard(const char *path, const struct ty_verify_options *options,
                             struct ty_database_record *database, struct ty_verify_counts *counts,
                             tally_error *error)
{
    struct ty_store_options store = {.path = path, .read_only = true};
    static struct ty_verifier verifier; /* Its months are many; there is one owner. */
    tally_status status;

    verifier = (struct ty_verifier){.options = options, .counts = counts};
    *counts = (struct ty_verify_counts){0};
    memset(database, 0, sizeof(*database));
    status = ty_store_open(&store, &verifier.store, error);
    if (status != TALLY_OK)
        return status;
    status = ty_store_begin(verifier.store, error);
    if (status == TALLY_OK)
        status = verify(&verifier, database, error);
    ty_store_close(verifier.store);
    ty_verify_days_fini(&verifier.days);
    ty_verify_chains_fini(&verifier.chains);
    ty_verify_sought_fini(&verifier.sought);
    ty_dedup_free(verifier.dedup);
    ty_series_table_fini(&verifier.series);
    return status;
}
