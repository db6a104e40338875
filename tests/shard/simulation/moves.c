/*
 * moves.c: what a life left on disk, dumped and loaded into another number of shards, which live on
 * for a while there: `tally verify` finds nothing wrong with that either.
 */
#include <stdio.h>
#include <string.h>

#include "engine/calendar.h"
#include "storage/partition.h"
#include "tests/shard/simulation/simulation.h"
#include "tests/support/dump_move.h"

#define MOVED_MAX  5 /* shards */
#define MOVES_MAX  2
#define STEPS_MAX  60
#define PATH_BYTES 160

/* --- Moving --- */

static void path_of(const char *directory, unsigned shard, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%.120s/shard-%03u", directory, shard);
}

/* False: the new shards would have more runs of ids than they can. */
static bool move(struct simulation *simulation, const char *from, unsigned from_count,
                 const char *to, unsigned count)
{
    char paths[MOVED_MAX][PATH_BYTES];
    const char *views[MOVED_MAX];
    tally_error error = {""};
    tally_status status;
    bool dumped;

    for (unsigned i = 0; i < from_count; i++) {
        path_of(from, i, paths[i]);
        views[i] = paths[i];
    }
    status = ty_move_shards(views, from_count, to, count, &dumped, &error);
    CHECK(simulation,
          status == TALLY_OK || (dumped && strstr(error.message, "runs of remembered") != NULL),
          "%s", error.message);
    return status == TALLY_OK;
}

/* --- A life there --- */

struct moved {
    struct ty_database_record record;
    struct ty_shard *shards[MOVED_MAX];
    char paths[MOVED_MAX][PATH_BYTES];
    unsigned count;
};

/* What of a batch is another shard's is lost; ids that came before do again. */
static void commit(struct simulation *simulation, struct moved *moved, unsigned shard)
{
    struct ty_batch batch = {0};
    struct ty_part part = {.batch = &batch};
    struct ty_close close = {.customer = make_uuid(0xc, below(simulation, CUSTOMERS)),
                             .through = ty_month_of_day(ty_day_of_ms(simulation->wall_ms)) - 1};
    uint32_t indexes[EVENTS_MAX];

    simulation_fill_batch(simulation, &batch);
    part.indexes = indexes;
    for (uint32_t i = 0; i < batch.event_count; i++)
        if (ty_partition_shard(&moved->record, &batch.events[i].customer) == shard)
            indexes[part.count++] = i;
    if (one_in(simulation, 6) && ty_partition_shard(&moved->record, &close.customer) == shard)
        part.close = &close;
    ty_shard_commit(moved->shards[shard], &part);
    CHECK(simulation, part.status == TALLY_OK, "%s", part.problem);
    ty_batch_fini(&batch);
}

/* With memory for few ids, or for all; the window is as it was. */
static void open_moved(struct simulation *simulation, struct moved *moved)
{
    static const uint64_t memories[] = {3500, 20000, 300000, 64 << 20};
    struct ty_shard_options options = simulation->options;
    tally_error error = {""};
    bool found;

    options.map_bytes = 256 << 20;
    options.faults = NULL;
    options.dedup_memory_bytes = memories[below(simulation, TY_COUNT_OF(memories))];
    for (unsigned i = 0; i < moved->count; i++) {
        options.path = moved->paths[i];
        CHECK(simulation,
              ty_shard_read_database(&options, &moved->record, &found, &error) == TALLY_OK &&
                  found && moved->record.shard == i && moved->record.shard_count == moved->count,
              "%s", error.message);
        CHECK(simulation,
              ty_shard_open(&options, &moved->record, false, &moved->shards[i], &error) == TALLY_OK,
              "%s", error.message);
    }
}

static void live(struct simulation *simulation, struct moved *moved)
{
    open_moved(simulation, moved);
    for (uint64_t n = below(simulation, STEPS_MAX); n > 0; n--) {
        unsigned shard = (unsigned)below(simulation, moved->count);

        simulation_pass_time(simulation);
        if (one_in(simulation, 5))
            (void)ty_shard_maintain(moved->shards[shard]);
        else
            commit(simulation, moved, shard);
    }
    for (unsigned i = 0; i < moved->count; i++)
        ty_shard_close(moved->shards[i], one_in(simulation, 2));
}

void simulation_move(struct simulation *simulation)
{
    struct ty_temporary_directory directories[MOVES_MAX];
    const char *from = simulation->directory.path;
    unsigned count = simulation->database.shard_count;
    unsigned moves = 1 + (unsigned)below(simulation, MOVES_MAX), made = 0;
    struct moved moved;

    while (made < moves) {
        moved = (struct moved){.count = 1 + (unsigned)below(simulation, MOVED_MAX)};
        ty_temporary_directory_create(&directories[made]);
        for (unsigned i = 0; i < moved.count; i++)
            path_of(directories[made].path, i, moved.paths[i]);
        if (!move(simulation, from, count, directories[made++].path, moved.count))
            break;
        from = directories[made - 1].path;
        count = moved.count;
        simulation->moves++;
        for (unsigned i = 0; i < count; i++)
            simulation_verify_shard(simulation, moved.paths[i], i);
        live(simulation, &moved);
        for (unsigned i = 0; i < count; i++)
            simulation_verify_shard(simulation, moved.paths[i], i);
    }
    while (made > 0)
        ty_temporary_directory_remove(&directories[--made]);
}
