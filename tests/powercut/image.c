#include "tests/powercut/cuts.h"

struct script_totals want;

static void check_series(struct ty_database *database, uint32_t c, uint32_t w,
                         tally_frequency frequency)
{
    struct ty_uuid customer = script_customer(c), workflow = script_workflow(w);
    struct ty_shard_view view = ty_shard_view(ty_database_shard_of(database, &customer));
    struct ty_series *series = ty_series_find(view.series, &customer, &workflow);
    struct ty_range range = {
        .frequency = frequency,
        .first = ty_period_of_ms(frequency, SCRIPT_FIRST_MS),
        .last = ty_period_of_ms(frequency, SCRIPT_FIRST_MS + (SCRIPT_HOURS - 1) * HOUR_MS)};
    struct ty_total got[SCRIPT_HOURS] = {{0}}, sums[SCRIPT_HOURS] = {{0}};
    tally_error error = {""};

    CHECK(ty_usage_totals(&view, series, &range, got, &error) == TALLY_OK, "%s", error.message);
    for (int64_t hour = 0; hour < SCRIPT_HOURS; hour++)
        ty_total_add(
            &sums[ty_period_of_ms(frequency, SCRIPT_FIRST_MS + hour * HOUR_MS) - range.first],
            &want.hours[c][w][hour]);
    for (int64_t i = 0; i < ty_range_count(&range); i++)
        CHECK(ty_total_equal(&got[i], &sums[i]),
              "customer %u, workflow %u, %s period %lld has %llu events and should have %llu", c, w,
              ty_frequency_name(frequency), (long long)(range.first + i),
              (unsigned long long)got[i].events, (unsigned long long)sums[i].events);
}

static void check_totals(struct ty_database *database)
{
    for (uint32_t c = 0; c < SCRIPT_CUSTOMERS; c++)
        for (uint32_t w = 0; w < SCRIPT_WORKFLOWS; w++)
            for (int frequency = TALLY_MONTHLY; frequency <= TALLY_HOURLY; frequency++)
                check_series(database, c, w, (tally_frequency)frequency);
}

struct reject_scan {
    const struct reject_reference *reference;
    size_t left;
    bool is_same;
};

static bool compare_reject(void *context, const struct ty_kept_reject *found)
{
    struct reject_scan *scan = context;

    scan->is_same =
        scan->left != 0 && reject_reference_matches(scan->reference, scan->left - 1, found);
    scan->left -= scan->is_same;
    return scan->is_same;
}

static bool has_rejects(struct ty_database *database, const struct reject_reference *reference)
{
    struct ty_store *store = ty_shard_view(ty_database_shard(database, 0)).store;
    struct reject_scan scan = {reference, reference->kept_count, true};
    uint64_t before = UINT64_MAX;
    struct ty_snapshot *snapshot;
    tally_error error = {""};
    tally_status status;

    CHECK(ty_snapshot_begin(store, &snapshot, &error) == TALLY_OK, "%s", error.message);
    status = ty_snapshot_each_reject(snapshot, &before, compare_reject, &scan, &error);
    ty_snapshot_end(store, snapshot);
    CHECK(status == TALLY_OK, "%s", error.message);
    return scan.is_same && scan.left == 0;
}

static void learn_rejects(struct reject_reference *reference, uint32_t number, int64_t received_ms)
{
    const struct script_batch *batch = &test.batches[number];

    for (uint32_t i = 0; i < batch->reject_count; i++)
        reject_reference_keep(reference, &batch->rejects[i], received_ms);
}

/* Finds the rejects of the acknowledged batches, and those of the one in flight all or not. */
static void check_rejects(struct ty_database *database, const struct progress *progress,
                          struct reject_reference *reference)
{
    uint32_t done = progress->counts[MARK_REJECTS_DONE];

    for (uint32_t i = 0; i < done; i++)
        learn_rejects(reference, i, test.batches[i].wall_ms);
    if (has_rejects(database, reference))
        return;
    CHECK(progress->counts[MARK_REJECTS_BEGUN] > done, "the rejects are others than were kept");
    learn_rejects(reference, done, test.batches[done].wall_ms);
    CHECK(has_rejects(database, reference), "the rejects in flight are neither there nor not");
}

/* How many journal values a shard must have. */
static uint64_t count_commits(const struct ty_database *database, unsigned shard, uint32_t batches)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < batches; i++)
        count += script_stores(&test.script, i, database, shard);
    return count;
}

/* Finds every acknowledged batch, and whether a shard has the one in flight. */
static bool find_flying(struct ty_database *database, unsigned shard,
                        const struct progress *progress)
{
    uint32_t done = progress->counts[MARK_DONE];
    uint64_t acknowledged = count_commits(database, shard, done);
    uint64_t most = count_commits(database, shard, progress->counts[MARK_BEGUN]);
    uint64_t found = ty_atomic_load(
        &ty_shard_stats(ty_database_shard(database, shard))->last_sequence, memory_order_relaxed);

    CHECK(found == acknowledged || found == most,
          "shard %u has %llu journal values; %llu are acknowledged, and %llu were sent", shard,
          (unsigned long long)found, (unsigned long long)acknowledged, (unsigned long long)most);
    for (uint32_t i = 0; i < done; i++)
        script_add(&test.script, i, database, shard, &want);
    if (most != acknowledged)
        ++*(found == most ? &test.stored : &test.lost);
    if (found == acknowledged)
        return false;
    script_add(&test.script, done, database, shard, &want);
    return true;
}

/* Sends a batch to an image and checks every answer. `is_stored` by shard. */
static void send_again(struct ty_database *database, uint32_t number, int64_t since_ms,
                       const bool *is_stored)
{
    const struct script_event *sent[64];
    tally_result results[64];
    uint32_t count = cuts_send_events(database, &test.batches[number], since_ms, sent, results);

    for (uint32_t i = 0; i < count; i++) {
        unsigned shard = ty_database_shard_index(database, &sent[i]->event.customer);
        tally_result right = is_stored[shard] ? sent[i]->again : sent[i]->first;

        CHECK(results[i] == right, "batch %u, event %s, sent again, is %s and should be %s", number,
              sent[i]->id, tally_result_name(results[i]), tally_result_name(right));
    }
    for (unsigned shard = 0; shard < ty_database_shard_count(database); shard++)
        if (!is_stored[shard])
            script_add(&test.script, number, database, shard, &want);
}

/* The producer sends everything of the last time again, and goes on. */
static void resend(struct ty_database *database, const struct progress *progress,
                   const bool *is_flying_stored, struct reject_reference *rejects)
{
    static const bool all[16] = {true, true, true, true}, none[16];
    uint32_t done = progress->counts[MARK_DONE], begun = progress->counts[MARK_BEGUN];
    int64_t since_ms = atomic_load(&test.world.wall_ms) - SCRIPT_WINDOW_MS / 2;

    for (uint32_t i = 0; i < TY_MIN(begun + 2, test.script.count); i++) {
        if (test.batches[i].wall_ms < since_ms)
            continue;
        if (i >= begun) {
            cuts_set_wall(test.batches[i].wall_ms);
            since_ms = 0;
        }
        send_again(database, i, since_ms, i < done ? all : i < begun ? is_flying_stored : none);
        cuts_send_rejects(database, &test.batches[i]);
        learn_rejects(rejects, i, atomic_load(&test.world.wall_ms));
    }
}

void cuts_check_image(const char *root, const struct progress *progress)
{
    struct reject_reference rejects = {.bytes_max = test.script.options.reject_bytes_max};
    uint32_t begun = progress->counts[MARK_BEGUN];
    struct ty_database *database;
    bool is_flying_stored[16] = {false}, none_stored[16] = {false};

    memset(&want, 0, sizeof(want));
    cuts_set_wall(begun == 0 ? SCRIPT_START_MS : test.batches[begun - 1].wall_ms);
    database = cuts_open(root);
    for (unsigned i = 0; i < ty_database_shard_count(database); i++)
        is_flying_stored[i] = find_flying(database, i, progress);
    check_totals(database);
    cuts_check_closings(database, progress, progress->counts[MARK_DONE], is_flying_stored);
    check_rejects(database, progress, &rejects);
    resend(database, progress, is_flying_stored, &rejects);
    check_totals(database);
    cuts_check_closings(database, progress, TY_MIN(begun + 2, test.script.count), none_stored);
    CHECK(has_rejects(database, &rejects), "rejects that were sent again");
    cuts_close(database, cuts_one_in(2));
    if (cuts_one_in(4)) {
        database = cuts_open(root);
        check_totals(database);
        CHECK(has_rejects(database, &rejects), "rejects after one more start");
        cuts_check_closings(database, progress, TY_MIN(begun + 2, test.script.count), none_stored);
        cuts_close(database, false);
    }
    reject_reference_fini(&rejects);
}
