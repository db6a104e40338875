#include <errno.h>
#include <string.h>

#include "tests/shard/simulation/simulation.h"

#define YEAR_MS     (365 * DAY_MS)
#define EARLIEST_MS (START_MS - 2 * YEAR_MS)
#define LATEST_MS   (START_MS + 3 * YEAR_MS)

/* --- Clocks --- */

static int64_t wall_ms(void *context)
{
    return ((struct simulation *)context)->wall_ms;
}

static int64_t mono_ns(void *context)
{
    return ((struct simulation *)context)->mono_ns;
}

/* Somebody sets the clock. */
static void jump(struct simulation *simulation)
{
    static const int64_t jumps[] = {HOUR_MS, DAY_MS, YEAR_MS};
    int64_t ms = jumps[below(simulation, TY_COUNT_OF(jumps))];

    if (one_in(simulation, 4))
        ms = (int64_t)below(simulation, 60 * (uint64_t)DAY_MS);
    simulation->wall_ms += one_in(simulation, 2) ? ms : -ms;
    simulation->jumps++;
}

void simulation_pass_time(struct simulation *simulation)
{
    int64_t ms = (int64_t)below(simulation, 2000);

    if (one_in(simulation, 10))
        ms = (int64_t)below(simulation, (uint64_t)HOUR_MS);
    if (one_in(simulation, 60))
        ms = (int64_t)below(simulation, 2 * (uint64_t)DAY_MS);
    simulation->wall_ms += ms;
    simulation->mono_ns += ms * 1000000;
    if (one_in(simulation, 60))
        jump(simulation);
    if (simulation->wall_ms < EARLIEST_MS || simulation->wall_ms > LATEST_MS)
        simulation->wall_ms = START_MS + (int64_t)simulation->steps;
}

void simulation_tick(struct simulation *simulation)
{
    simulation->wall_ms++;
    simulation->mono_ns += 1000000;
}

/* --- Faults --- */

static int hit_fault(void *context, enum ty_fault_point point)
{
    struct simulation *simulation = context;
    struct fault *fault = &simulation->fault;

    if (fault->countdown < 0 || (fault->point >= 0 && fault->point != (int)point))
        return 0;
    if (fault->countdown > 0) {
        fault->countdown--;
        return 0;
    }
    if (!fault->stays)
        fault->countdown = -1;
    fault->hit = true;
    simulation->hits[fault->operation][point]++;
    return fault->code;
}

void simulation_arm(struct simulation *simulation, enum operation operation)
{
    static const int codes[] = {ENOSPC, EIO, ENOMEM};
    struct fault *fault = &simulation->fault;

    *fault = (struct fault){.countdown = -1, .operation = operation};
    if (!one_in(simulation, operation == OPERATION_COMMIT ? 6 : 3))
        return;
    fault->point = (int)below(simulation, FAULT_POINTS + 1) - 1;
    fault->countdown = (int)below(simulation, fault->point < 0 ? 24 : 1 + 2 * below(simulation, 4));
    fault->code = codes[below(simulation, TY_COUNT_OF(codes))];
    fault->stays = one_in(simulation, 3);
}

void simulation_disarm(struct simulation *simulation)
{
    simulation->fault.countdown = -1;
}

/* --- Options --- */

static void set_window(struct simulation *simulation, int64_t window_ms)
{
    simulation->options.dedup_window_ms = window_ms;
    simulation->reference.window_ms = window_ms;
}

/* Different sizes of everything, so that each life of a database exercises other bounds. */
static void choose_options(struct simulation *simulation)
{
    static const int64_t windows[] = {0, 60 * 1000, HOUR_MS, DAY_MS};
    /* The first map is full at once or soon, the first memory holds some thousand ids. */
    static const uint64_t maps[] = {2200 << 10, 16 << 20, 256 << 20, 256 << 20};
    static const uint64_t memories[] = {300000, 64 << 20, 64 << 20};
    /* Small runs are sealed all the time, the last never. */
    static const uint64_t seals[] = {1, 20, 100, 1 << 20};

    simulation->options = (struct ty_shard_options){
        .map_bytes = maps[below(simulation, TY_COUNT_OF(maps))],
        .sync = false,
        .dedup_memory_bytes = memories[below(simulation, TY_COUNT_OF(memories))],
        .dedup_seal_ids = seals[below(simulation, TY_COUNT_OF(seals))],
        .journal_retention_ms = (int64_t)below(simulation, 2 * (uint64_t)DAY_MS),
        .journal_bytes_max = one_in(simulation, 2) ? 4096 : UINT64_C(1) << 20,
        .reject_bytes_max = one_in(simulation, 2) ? 3000 : UINT64_C(200000),
        .hot_bytes = one_in(simulation, 2) ? 20000 : UINT64_C(64) << 20,
        .series_max = 1000,
        .future_ms_max = DAY_MS,
        .checkpoint_ms = (int64_t)below(simulation, 60000),
        .clock = {wall_ms, mono_ns, simulation},
        .faults = &simulation->faults,
    };
    set_window(simulation, windows[below(simulation, TY_COUNT_OF(windows))]);
    /* Ids are forgotten by seconds, and in runs by another (storage/id_page_codec.h). */
    simulation->reference.slack_ms = 2000;
    simulation->reference.future_ms_max = simulation->options.future_ms_max;
    simulation->rejects.bytes_max = simulation->options.reject_bytes_max;
}

/* Options that may change from start to start. The bound of rejects stays: lowered, it is reached
 * in slices, and the list of the reference knows none. */
static void change_options(struct simulation *simulation)
{
    uint64_t reject_bytes_max = simulation->options.reject_bytes_max;
    int64_t window_ms = simulation->options.dedup_window_ms;

    choose_options(simulation);
    if (simulation->keeps_window)
        set_window(simulation, window_ms);
    simulation->window_kept_ms =
        TY_MIN(simulation->window_kept_ms, simulation->options.dedup_window_ms);
    simulation->options.reject_bytes_max = reject_bytes_max;
    simulation->rejects.bytes_max = reject_bytes_max;
}

int64_t simulation_remembered_ms(const struct simulation *simulation, unsigned shard)
{
    const struct ty_shard *of = simulation->shards[shard];

    return ty_atomic_load(&of->stats.dedup_window_ms, memory_order_relaxed);
}

/* --- Opening --- */

static void close_shards(struct simulation *simulation, bool flush)
{
    for (unsigned i = 0; i < simulation->database.shard_count; i++) {
        if (simulation->shards[i] != NULL)
            simulation->seals +=
                ty_atomic_load(&simulation->shards[i]->stats.dedup_seals, memory_order_relaxed);
        ty_shard_close(simulation->shards[i], flush);
        simulation->shards[i] = NULL;
    }
}

/* As a database does: shard 0 last, since its record is what makes the database exist. */
static bool try_open(struct simulation *simulation, tally_error *error)
{
    tally_status status = TALLY_OK;

    for (unsigned i = simulation->database.shard_count; i-- > 0 && status == TALLY_OK;) {
        simulation->options.path = simulation->paths[i];
        simulation->database.record.shard = (uint16_t)i;
        status = ty_shard_open(&simulation->options, &simulation->database.record,
                               !simulation->created, &simulation->shards[i], error);
    }
    if (status == TALLY_OK)
        return true;
    CHECK(simulation, error->message[0] != '\0', "an open that failed says nothing");
    CHECK(simulation,
          status == TALLY_FULL || status == TALLY_NO_MEMORY || status == TALLY_IO ||
              status == TALLY_FAILED,
          "%s: %s", tally_strerror(status), error->message);
    close_shards(simulation, false);
    simulation->opens_failed++;
    return false;
}

static void open_shards(struct simulation *simulation)
{
    tally_error error = {""};
    bool opened;

    simulation_arm(simulation, OPERATION_OPEN);
    opened = try_open(simulation, &error);
    CHECK(simulation, opened || simulation->fault.hit, "%s", error.message);
    simulation_disarm(simulation);
    if (!opened)
        CHECK(simulation, try_open(simulation, &error), "%s", error.message);
    simulation->created = true;
    for (unsigned i = 0; i < simulation->database.shard_count; i++)
        ty_shard_check(simulation->shards[i]);
}

/* What was forgotten, for its age or for lack of memory, a start may find in storage again. */
static void lapse(struct simulation *simulation)
{
    for (unsigned i = 0; i < simulation->database.shard_count; i++)
        reference_lapse(&simulation->reference, i, simulation->shards[i]->arrival.now_ms,
                        simulation_remembered_ms(simulation, i));
}

void simulation_crash(struct simulation *simulation)
{
    simulation_disarm(simulation);
    lapse(simulation);
    close_shards(simulation, false);
    if (one_in(simulation, 4))
        simulation_verify(simulation);
    simulation->crashes++;
    open_shards(simulation);
}

void simulation_restart(struct simulation *simulation)
{
    lapse(simulation);
    simulation_arm(simulation, OPERATION_CLOSE);
    close_shards(simulation, one_in(simulation, 4) ? false : true);
    simulation_disarm(simulation);
    if (one_in(simulation, 4))
        simulation_verify(simulation);
    if (one_in(simulation, 2))
        change_options(simulation);
    simulation->restarts++;
    open_shards(simulation);
}

void simulation_maintain(struct simulation *simulation)
{
    bool failed = false;

    simulation_arm(simulation, OPERATION_MAINTAIN);
    for (unsigned i = 0; i < simulation->database.shard_count; i++) {
        (void)ty_shard_maintain(simulation->shards[i]);
        failed |= simulation->shards[i]->failed;
    }
    simulation_disarm(simulation);
    if (failed)
        simulation_crash(simulation);
}

/* --- A life --- */

static void make_record(struct simulation *simulation)
{
    struct ty_database *database = &simulation->database;

    *database = (struct ty_database){.lock_fd = -1, .shards = simulation->shards};
    database->shard_count = one_in(simulation, 2) ? SHARDS_MAX : 1;
    ty_random_fill(&simulation->random, database->record.id, sizeof(database->record.id));
    ty_random_fill(&simulation->random, &database->record.secret, sizeof(database->record.secret));
    database->record.shard_count = (uint16_t)database->shard_count;
    for (unsigned i = 0; i < TY_PARTITIONS; i++)
        database->record.partition_shard[i] = (uint16_t)(i % database->shard_count);
}

void simulation_begin(struct simulation *simulation)
{
    ty_temporary_directory_create(&simulation->directory);
    make_record(simulation);
    for (unsigned i = 0; i < SHARDS_MAX; i++)
        snprintf(simulation->paths[i], sizeof(simulation->paths[i]), "%.64s/shard-%03u",
                 simulation->directory.path, i);
    simulation->faults = (struct ty_faults){hit_fault, simulation};
    simulation->wall_ms = START_MS;
    simulation->mono_ns = 1;
    simulation->created = false;
    simulation_disarm(simulation);
    memset(simulation->readers, 0, sizeof(simulation->readers));
    memset(simulation->histories, 0, sizeof(simulation->histories));
    memset(simulation->arrival_ms, 0, sizeof(simulation->arrival_ms));
    memset(simulation->arrival_mono_ns, 0, sizeof(simulation->arrival_mono_ns));
    choose_options(simulation);
    simulation->keeps_window = one_in(simulation, 2);
    simulation->window_kept_ms = simulation->options.dedup_window_ms;
    open_shards(simulation);
}

void simulation_end(struct simulation *simulation)
{
    simulation->rejects_kept += simulation->rejects.last_seq;
    simulation->rejects_resent += simulation->rejects.resent;
    simulation->rejects_dropped += simulation->rejects.dropped;
    close_shards(simulation, one_in(simulation, 2));
    simulation_verify(simulation);
    simulation_move(simulation);
    reject_reference_fini(&simulation->rejects);
    reference_fini(&simulation->reference);
    ty_temporary_directory_remove(&simulation->directory);
}
