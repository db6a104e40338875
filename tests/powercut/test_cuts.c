/*
 * test_cuts.c: a database is created and works under a recorder of its writes and syncs; then disks
 * are made as a power cut at any moment could have left them, and each is opened by the real code.
 *
 * Each must open; hold every acknowledged batch and reject exactly, the one in flight wholly or not
 * at all on each shard, and nothing else; know the ids again when everything is sent once more; and
 * go on. Some of the cuts strike a second life: the process is killed somewhere, and the next
 * one, which finds in the page cache what the disk does not have, works on until the power fails.
 * What breaks for a user when this fails: an invoice after a power cut.
 *
 *   test_powercut_cuts SEED|random CUTS SHARDS [LIE]
 *
 * SHARDS 0: 1 to 3. With a LIE, a disk that breaks a promise, it must find something wrong:
 * `syncs`, `write-syncs`, `directory-syncs`, `sectors`. The seed is printed.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/period.h"
#include "query/usage.h"
#include "storage/snapshot.h"
#include "tests/powercut/disk.h"
#include "tests/powercut/script.h"
#include "tests/support/shard_world.h"

#define BATCHES      50
#define CUTS         40 /* of a first life */
#define SECOND_LIVES 4
#define SECOND_CUTS  5 /* of a second life */
#define HOUR_MS      INT64_C(3600000)
#define CLOSE_AFTER  12  /* batches: then January is closed for some customers */
#define CLOSED       3   /* of those */
#define JANUARY      636 /* the month before SCRIPT_START_MS */

/* What the producer has been told, as marks in the stream. */
enum mark {
    MARK_CREATED,
    MARK_BEGUN,
    MARK_DONE,
    MARK_REJECTS_BEGUN,
    MARK_REJECTS_DONE,
    MARK_CLOSE_BEGUN, /* for how many customers */
    MARK_CLOSE_DONE,
    MARKS
};

/* By mark, for how many batches, or customers. */
struct progress {
    uint32_t counts[MARKS];
};

static struct {
    uint64_t seed;
    struct ty_random random;
    struct disk_lies lies;
    struct ty_world world;
    struct ty_faults faults;
    _Atomic bool is_killed; /* no transaction begins: closing leaves everything as it is */
    struct script script;
    const struct script_batch *batches;
    char what[200]; /* is being looked at */
    uint64_t cuts, second_cuts, unborn, stored, lost, revisions;
} test;

static struct script_totals want;

#define CHECK(condition, ...) ((condition) ? (void)0 : fail(#condition, __VA_ARGS__))

__attribute__((format(printf, 2, 3))) static void fail(const char *condition, const char *format,
                                                       ...)
{
    va_list arguments;

    fprintf(stderr, "seed %llu, %s: %s: ", (unsigned long long)test.seed, test.what, condition);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    _exit(1);
}

static uint64_t below(uint64_t n)
{
    return ty_random_below(&test.random, n);
}

static bool one_in(uint64_t n)
{
    return ty_random_one_in(&test.random, n);
}

/* --- A database --- */

static int hit_fault(void *context, enum ty_fault_point point)
{
    (void)context;
    return point == TY_FAULT_BEGIN && atomic_load(&test.is_killed) ? EIO : 0;
}

static void set_wall(int64_t wall_ms)
{
    int64_t passed_ms = wall_ms - atomic_load(&test.world.wall_ms);

    ty_world_pass(&test.world, TY_MAX(passed_ms, 0));
    atomic_store(&test.world.wall_ms, wall_ms);
}

/* So few that runs are sealed and merged all the time. */
#define SEAL_IDS 8

static struct ty_database *open_database(const char *root)
{
    tally_options options = test.script.options;
    struct ty_database *database = NULL;
    tally_error error = {""};
    char path[1100];
    tally_status status;

    snprintf(path, sizeof(path), "%s/db", root);
    options.directory = path;
    status = ty_database_open(&options,
                              &(struct ty_database_hooks){.clock = &test.world.clock,
                                                          .faults = &test.faults,
                                                          .seal_ids = SEAL_IDS},
                              &database, &error);
    CHECK(status == TALLY_OK, "%s", error.message);
    /* The arrival clock catches up with the wall: the script knows of one clock only. */
    atomic_fetch_add(&test.world.mono_ns, HOUR_MS * 1000000);
    return database;
}

static void close_database(struct ty_database *database, bool is_killed)
{
    atomic_store(&test.is_killed, is_killed);
    ty_database_close(database);
    atomic_store(&test.is_killed, false);
}

struct waiter {
    struct ty_keeping keeping; /* one of the two */
    struct ty_closing closing;
    pthread_mutex_t lock;
    pthread_cond_t decided;
    bool is_done;
};

static void wake(struct waiter *waiter)
{
    pthread_mutex_lock(&waiter->lock);
    waiter->is_done = true;
    pthread_cond_signal(&waiter->decided);
    pthread_mutex_unlock(&waiter->lock);
}

static void wait_for(struct waiter *waiter)
{
    pthread_mutex_lock(&waiter->lock);
    while (!waiter->is_done)
        pthread_cond_wait(&waiter->decided, &waiter->lock);
    pthread_mutex_unlock(&waiter->lock);
}

static void kept(struct ty_keeping *keeping)
{
    wake(TY_CONTAINER_OF(keeping, struct waiter, keeping));
}

static void closed(struct ty_closing *closing)
{
    wake(TY_CONTAINER_OF(closing, struct waiter, closing));
}

/* Whether a customer has used anything before January is closed. */
static bool is_known(uint32_t customer)
{
    for (uint32_t i = 0; i < CLOSE_AFTER; i++)
        for (uint32_t k = 0; k < test.batches[i].count; k++) {
            const struct script_event *event = &test.batches[i].events[k];

            if (event->first == TALLY_ACCEPTED && event->event.customer.bytes[15] == customer)
                return true;
        }
    return false;
}

static void close_january(struct ty_database *database, uint32_t customer)
{
    struct waiter waiter = {
        .closing = {.close = {.customer = script_customer(customer), .through = JANUARY},
                    .done = closed},
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .decided = PTHREAD_COND_INITIALIZER};
    const struct ty_closing *closing = &waiter.closing;

    ty_database_close_months(database, &waiter.closing);
    wait_for(&waiter);
    CHECK(closing->status == TALLY_OK, "%s", closing->problem);
    CHECK(closing->close.result == TY_CLOSE_DONE || closing->close.result == TY_CLOSE_ALREADY ||
              (closing->close.result == TY_CLOSE_UNKNOWN && !is_known(customer)),
          "closing is %d", closing->close.result);
}

static void send_rejects(struct ty_database *database, const struct script_batch *batch)
{
    struct waiter waiter = {
        .keeping = {.rejects = batch->rejects, .count = batch->reject_count, .done = kept},
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .decided = PTHREAD_COND_INITIALIZER};

    ty_database_keep_rejects(database, &waiter.keeping);
    wait_for(&waiter);
    CHECK(waiter.keeping.status == TALLY_OK, "%s", waiter.keeping.problem);
}

/* Sends the events of a batch whose ids are not older than a moment. Returns how many. */
static uint32_t send_events(struct ty_database *database, const struct script_batch *batch,
                            int64_t since_ms, const struct script_event **sent,
                            tally_result *results)
{
    struct ty_event *events = calloc(batch->count + 1, sizeof(*events));
    tally_status status;
    uint32_t count = 0;

    for (uint32_t i = 0; i < batch->count; i++)
        if (test.batches[batch->events[i].origin].wall_ms >= since_ms) {
            sent[count] = &batch->events[i];
            events[count++] = batch->events[i].event;
        }
    status = ty_world_submit(&test.world, database, events, count, results);
    CHECK(status == TALLY_OK, "%s", test.world.problem);
    free(events);
    return count;
}

/* --- A life: what is recorded --- */

static void play_batch(struct ty_database *database, uint32_t number)
{
    const struct script_batch *batch = &test.batches[number];
    const struct script_event *sent[64];
    tally_result results[64];
    uint32_t count;

    set_wall(batch->wall_ms);
    disk_record_mark(MARK_BEGUN, number + 1);
    count = send_events(database, batch, 0, sent, results);
    disk_record_mark(MARK_DONE, number + 1);
    for (uint32_t i = 0; i < count; i++)
        CHECK(results[i] == sent[i]->first || results[i] == sent[i]->again,
              "batch %u, event %s is %s and should be %s", number, sent[i]->id,
              tally_result_name(results[i]), tally_result_name(sent[i]->first));
    disk_record_mark(MARK_REJECTS_BEGUN, number + 1);
    send_rejects(database, batch);
    disk_record_mark(MARK_REJECTS_DONE, number + 1);
    for (uint32_t i = 0; i < CLOSED && number + 1 == CLOSE_AFTER; i++) {
        disk_record_mark(MARK_CLOSE_BEGUN, i + 1);
        close_january(database, i);
        disk_record_mark(MARK_CLOSE_DONE, i + 1);
    }
}

static void play(struct disk *disk, const char *root, uint32_t from, uint32_t to)
{
    struct ty_database *database;

    set_wall(from == 0 ? SCRIPT_START_MS : test.batches[from].wall_ms);
    disk_record(disk, root);
    database = open_database(root);
    disk_record_mark(MARK_CREATED, 1);
    for (uint32_t i = from; i < to; i++) {
        if (test.batches[i].restart != NO_RESTART && i != from) {
            close_database(database, test.batches[i].restart == RESTART_KILLED);
            database = open_database(root);
        }
        play_batch(database, i);
    }
    close_database(database, one_in(2));
    disk_stop();
    CHECK(disk_is_complete(disk, root), "the record lacks something");
}

static struct progress find_progress(const struct disk *disk, size_t at)
{
    struct progress progress = {{0}};

    for (size_t i = 0; i < at; i++)
        if (disk->steps[i].kind == DISK_MARK) {
            uint32_t *count = &progress.counts[disk->steps[i].mark];

            *count = TY_MAX(*count, disk->steps[i].file);
        }
    return progress;
}

/* --- What an image must say --- */

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
        &ty_shard_stats(ty_database_shard(database, shard))->last_sequence, memory_order_acquire);

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
    uint32_t count = send_events(database, &test.batches[number], since_ms, sent, results);

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
            set_wall(test.batches[i].wall_ms);
            since_ms = 0;
        }
        send_again(database, i, since_ms, i < done ? all : i < begun ? is_flying_stored : none);
        send_rejects(database, &test.batches[i]);
        learn_rejects(rejects, i, atomic_load(&test.world.wall_ms));
    }
}

/* --- Closed months --- */

/* How many events of January a customer sent after it was closed, in the batches before `end`, and
 * in that one if it is stored. */
static uint64_t count_late(uint32_t customer, uint32_t end, bool with_end)
{
    uint64_t count = 0;

    for (uint32_t i = CLOSE_AFTER; i < end + with_end; i++)
        for (uint32_t k = 0; k < test.batches[i].count; k++) {
            const struct script_event *event = &test.batches[i].events[k];

            count += event->first == TALLY_ACCEPTED &&
                     event->event.customer.bytes[15] == customer &&
                     event->event.time_ms != TALLY_TIME_OF_ARRIVAL &&
                     event->event.time_ms < SCRIPT_START_MS;
        }
    return count;
}

static struct ty_total january_of(uint32_t customer, uint32_t workflow)
{
    struct ty_total sum = {0};

    for (int64_t hour = 0; hour < (SCRIPT_START_MS - SCRIPT_FIRST_MS) / HOUR_MS; hour++)
        ty_total_add(&sum, &want.hours[customer][workflow][hour]);
    return sum;
}

/* Each revision goes on where the one before ended, and the last with what January holds. Returns
 * how many events they tell of. */
static uint64_t follow_revisions(struct ty_snapshot *snapshot, uint32_t customer, uint64_t count)
{
    struct ty_uuid id = script_customer(customer), owner, workflow;
    struct ty_total ends[SCRIPT_WORKFLOWS] = {{0}};
    bool has_end[SCRIPT_WORKFLOWS] = {false};
    tally_error error = {""};
    uint64_t events = 0;

    for (uint64_t number = 1; number <= count; number++) {
        struct ty_revision revision;
        uint8_t w;

        CHECK(ty_snapshot_get_revision(snapshot, &id, number, &revision, &error) == TALLY_OK, "%s",
              error.message);
        CHECK(ty_snapshot_get_series(snapshot, revision.series, &owner, &workflow, &error) ==
                  TALLY_OK,
              "%s", error.message);
        w = workflow.bytes[15];
        CHECK(revision.month == JANUARY && ty_uuid_compare(&owner, &id) == 0, "another's");
        CHECK(!has_end[w] || ty_total_equal(&ends[w], &revision.before), "revision %llu of %u",
              (unsigned long long)number, customer);
        CHECK(revision.after.events == revision.before.events + revision.events, "its cause");
        has_end[w] = true;
        ends[w] = revision.after;
        events += revision.events;
    }
    for (uint32_t w = 0; w < SCRIPT_WORKFLOWS; w++) {
        struct ty_total january = january_of(customer, w);

        CHECK(!has_end[w] || ty_total_equal(&ends[w], &january), "the last of customer %u",
              customer);
    }
    return events;
}

/* Finds every acknowledged closing, and of each late event that is stored a revision. */
static void check_closings(struct ty_database *database, const struct progress *progress,
                           uint32_t end, const bool *is_end_stored)
{
    for (uint32_t i = 0; i < CLOSED; i++) {
        struct ty_uuid customer = script_customer(i);
        unsigned shard = ty_database_shard_index(database, &customer);
        struct ty_store *store = ty_shard_view(ty_database_shard(database, shard)).store;
        struct ty_snapshot *snapshot;
        struct ty_closed found;
        tally_error error = {""};
        uint64_t events;

        CHECK(ty_snapshot_begin(store, &snapshot, &error) == TALLY_OK, "%s", error.message);
        CHECK(ty_snapshot_get_closed(snapshot, &customer, &found, &error) == TALLY_OK, "%s",
              error.message);
        events = follow_revisions(snapshot, i, found.revisions);
        ty_snapshot_end(store, snapshot);
        CHECK(found.through == JANUARY || progress->counts[MARK_CLOSE_DONE] <= i || !is_known(i),
              "a closing is lost");
        CHECK(found.through == TY_NOT_CLOSED || progress->counts[MARK_CLOSE_BEGUN] > i,
              "a closing that nobody asked for");
        if (found.through == TY_NOT_CLOSED)
            CHECK(found.revisions == 0, "revisions of an open month");
        else
            CHECK(events == count_late(i, end, is_end_stored[shard]),
                  "%llu events are told of, not %llu", (unsigned long long)events,
                  (unsigned long long)count_late(i, end, is_end_stored[shard]));
        test.revisions += found.revisions;
    }
}

static void check_image(const char *root, const struct progress *progress)
{
    struct reject_reference rejects = {.bytes_max = test.script.options.reject_bytes_max};
    uint32_t begun = progress->counts[MARK_BEGUN];
    struct ty_database *database;
    bool is_flying_stored[16] = {false}, none_stored[16] = {false};

    memset(&want, 0, sizeof(want));
    set_wall(begun == 0 ? SCRIPT_START_MS : test.batches[begun - 1].wall_ms);
    database = open_database(root);
    for (unsigned i = 0; i < ty_database_shard_count(database); i++)
        is_flying_stored[i] = find_flying(database, i, progress);
    check_totals(database);
    check_closings(database, progress, progress->counts[MARK_DONE], is_flying_stored);
    check_rejects(database, progress, &rejects);
    resend(database, progress, is_flying_stored, &rejects);
    check_totals(database);
    check_closings(database, progress, TY_MIN(begun + 2, test.script.count), none_stored);
    CHECK(has_rejects(database, &rejects), "rejects that were sent again");
    close_database(database, one_in(2));
    if (one_in(4)) {
        database = open_database(root);
        check_totals(database);
        CHECK(has_rejects(database, &rejects), "rejects after one more start");
        check_closings(database, progress, TY_MIN(begun + 2, test.script.count), none_stored);
        close_database(database, false);
    }
    reject_reference_fini(&rejects);
}

/* --- Cuts --- */

static void make_root(struct ty_temporary_directory *root, const char *name)
{
    snprintf(root->path, sizeof(root->path), "%.900s/%s", test.world.directory.path, name);
    CHECK(mkdir(root->path, 0750) == 0, "cannot make %s", root->path);
}

/* Cuts the power after `at` steps of a life and looks at what is left. */
static void cut_power(const struct disk *disk, size_t at, const char *life)
{
    struct progress progress = find_progress(disk, at);
    struct ty_temporary_directory root;
    const char *kept;

    make_root(&root, "image");
    kept = disk_write_cut(disk, at, &test.lies, &test.random, root.path);
    snprintf(test.what, sizeof(test.what),
             "cut %llu, after step %zu of %zu of a %s life (batch %u), keeping %s of what is not "
             "safe",
             (unsigned long long)test.cuts, at, disk->count, life, progress.counts[MARK_BEGUN],
             kept);
    check_image(root.path, &progress);
    ty_temporary_directory_remove(&root);
    test.cuts++;
    test.unborn += progress.counts[MARK_CREATED] == 0;
}

/* A process is killed after `at` steps; the next one works on a little, until the power fails. */
static void live_again(const struct disk *first, size_t at)
{
    struct progress progress;
    struct ty_temporary_directory root;
    struct disk disk;
    uint32_t from;

    disk_fork(first, at, at < first->count && one_in(2), &disk);
    progress = find_progress(&disk, disk.count);
    from = TY_MIN(progress.counts[MARK_DONE], progress.counts[MARK_REJECTS_DONE]);
    make_root(&root, "second");
    disk_write_out(&disk, root.path);
    snprintf(test.what, sizeof(test.what), "a second life from step %zu on", at);
    if (from < test.script.count)
        play(&disk, root.path, from, TY_MIN(from + 3, test.script.count));
    ty_temporary_directory_remove(&root);
    for (int i = 0; i < SECOND_CUTS; i++) {
        cut_power(&disk, at + below(disk.count - at + 1), "second");
        test.second_cuts++;
    }
    disk_fini(&disk);
}

/* Some cuts strike the creation, which has few steps. */
static size_t choose_step(const struct disk *disk)
{
    size_t created = 0;

    while (disk->steps[created].kind != DISK_MARK)
        created++;
    return one_in(5) ? below(created + 1) : below(disk->count + 1);
}

static void live_once(unsigned shards, uint64_t cuts)
{
    struct ty_temporary_directory root;
    struct disk disk = {0};

    ty_world_init(&test.world);
    script_make(&test.script, &test.random, shards == 0 ? 1 + (unsigned)below(3) : shards, BATCHES);
    test.batches = test.script.batches;
    snprintf(test.what, sizeof(test.what), "the first life");
    make_root(&root, "first");
    play(&disk, root.path, 0, BATCHES);
    ty_temporary_directory_remove(&root);
    for (int i = 0; i < CUTS && test.cuts < cuts; i++)
        cut_power(&disk, choose_step(&disk), "first");
    /* Rejects that were dropped may be kept once more by a second life. */
    for (int i = 0; i < SECOND_LIVES && !test.script.rejects_are_dropped && test.cuts < cuts; i++)
        live_again(&disk, choose_step(&disk));
    disk_fini(&disk);
    script_fini(&test.script);
    ty_world_fini(&test.world);
}

static void run(unsigned shards, uint64_t cuts)
{
    ty_random_init(&test.random, test.seed);
    test.faults.hit = hit_fault;
    while (test.cuts < cuts)
        live_once(shards, cuts);
    printf("%llu power cuts, %llu of them after a kill, %llu before the database was created; "
           "a shard had the batch in flight %llu times and had it not %llu times\n",
           (unsigned long long)test.cuts, (unsigned long long)test.second_cuts,
           (unsigned long long)test.unborn, (unsigned long long)test.stored,
           (unsigned long long)test.lost);
    if (cuts < 100)
        return;
    snprintf(test.what, sizeof(test.what), "at the end");
    CHECK(test.revisions != 0, "no month that was closed was ever changed");
    CHECK(test.stored != 0 && test.lost != 0 && test.unborn != 0 && test.second_cuts != 0,
          "something was never tried");
}

static bool set_lie(const char *name)
{
    if (strcmp(name, "syncs") == 0)
        test.lies.syncs = true;
    else if (strcmp(name, "write-syncs") == 0)
        test.lies.write_syncs = true;
    else if (strcmp(name, "directory-syncs") == 0)
        test.lies.directory_syncs = true;
    else if (strcmp(name, "sectors") == 0)
        test.lies.sector_bytes = 8;
    else
        return false;
    return true;
}

/* With a disk that lies the test must fail: by what it checks, or by a signal from pages that are
 * not there. */
static int run_lying(unsigned shards, uint64_t cuts)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        run(shards, cuts);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 2;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        fprintf(stderr, "the disk lied, and %llu power cuts showed nothing\n",
                (unsigned long long)cuts);
        return 1;
    }
    printf("the lie was found\n");
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t cuts = argc > 2 ? strtoull(argv[2], NULL, 10) : 200;
    unsigned shards = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;

    test.seed =
        argc > 1 && strcmp(argv[1], "random") != 0 ? strtoull(argv[1], NULL, 10) : ty_random_seed();
    if (shards > 16 || (argc > 4 && !set_lie(argv[4]))) {
        fprintf(stderr, "%s SEED|random CUTS SHARDS [syncs|write-syncs|directory-syncs|sectors]\n",
                argv[0]);
        return 2;
    }
    printf("seed %llu\n", (unsigned long long)test.seed);
    fflush(stdout);
    if (argc > 4)
        return run_lying(shards, cuts);
    run(shards, cuts);
    return 0;
}
