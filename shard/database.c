#include "shard/database_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/directory_lock.h"
#include "shard/system_clock.h"
#include "storage/directory.h"
#include "storage/partition.h"

#define SHARDS_MAX       256
#define REJECT_BYTES_MIN ((uint64_t)131072) /* room for the longest */

/* --- Options --- */

static unsigned default_shards(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return cores <= 2 ? 1 : (unsigned)TY_MIN(cores - 1, SHARDS_MAX);
}

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value < 0 ? fallback : value;
}

static uint64_t or_default_size(uint64_t value, uint64_t fallback)
{
    return value == 0 ? fallback : value;
}

/* The options of each shard; what is shared is divided by their number. */
static struct ty_shard_options shard_options(const tally_options *options, uint64_t shards)
{
    uint64_t map_bytes = or_default_size(options->map_bytes, TALLY_MAP_BYTES);
    uint64_t journal = or_default_size(options->journal_bytes_max, TALLY_JOURNAL_BYTES) / shards;

    return (struct ty_shard_options){
        .map_bytes = map_bytes,
        .sync = (options->flags & TALLY_NO_SYNC) == 0,
        .dedup_window_ms = or_default(options->dedup_window_ms, TALLY_DEDUP_WINDOW_MS),
        .dedup_memory_bytes =
            or_default_size(options->dedup_memory_bytes, TALLY_DEDUP_MEMORY_BYTES) / shards,
        .journal_retention_ms = or_default(options->journal_retention_ms, TALLY_RETENTION_MS),
        /* Half of the map at most: blocks need room, and freed pages are not always contiguous. */
        .journal_bytes_max = TY_MIN(journal, map_bytes / 2),
        /* On one shard only; with all that LMDB rounds up, a quarter of its map at most. */
        .reject_bytes_max =
            TY_MIN(or_default_size(options->reject_bytes_max, TALLY_REJECT_BYTES), map_bytes / 8),
        .hot_bytes = or_default_size(options->hot_bytes, TALLY_HOT_BYTES) / shards,
        .series_max = (or_default_size(options->series_max, TALLY_SERIES_MAX) - 1) / shards + 1,
        .future_ms_max = or_default(options->future_ms_max, TALLY_FUTURE_MS_MAX),
        .checkpoint_ms = TY_CHECKPOINT_MS,
    };
}

static tally_status check_options(const tally_options *options, tally_error *error)
{
    if (options->directory == NULL || options->directory[0] == '\0')
        return ty_fail(error, TALLY_INVALID, "options.directory is required");
    if (strlen(options->directory) > 3900)
        return ty_fail(error, TALLY_INVALID, "options.directory is longer than 3900 bytes");
    if (options->shards > SHARDS_MAX)
        return ty_fail(error, TALLY_INVALID, "options.shards is %u; at most %d are allowed",
                       options->shards, SHARDS_MAX);
    if (options->map_bytes != 0 && options->map_bytes < (UINT64_C(1) << 22))
        return ty_fail(error, TALLY_INVALID, "options.map_bytes is %llu; at least 4 MiB are needed",
                       (unsigned long long)options->map_bytes);
    if (options->reject_bytes_max != 0 && options->reject_bytes_max < REJECT_BYTES_MIN)
        return ty_fail(error, TALLY_INVALID,
                       "options.reject_bytes_max is %llu; at least 128 KiB are needed",
                       (unsigned long long)options->reject_bytes_max);
    if ((options->flags & ~TALLY_NO_SYNC) != 0)
        return ty_fail(error, TALLY_INVALID, "options.flags has unknown bits: %#x", options->flags);
    return TALLY_OK;
}

/* --- Opening --- */

static void make_record(struct ty_database_record *record, unsigned shards)
{
    randombytes_buf(record->id, sizeof(record->id));
    randombytes_buf(record->secret.bytes, sizeof(record->secret.bytes));
    record->shard_count = (uint16_t)shards;
    for (unsigned i = 0; i < TY_PARTITIONS; i++)
        record->partition_shard[i] = (uint16_t)(i % shards);
}

static tally_status open_shard(struct ty_database *database, struct ty_shard_options *options,
                               const char *directory, unsigned index, bool may_create,
                               tally_error *error)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/shard-%03u", directory, index);
    options->path = path;
    database->record.shard = (uint16_t)index;
    return ty_shard_open(options, &database->record, may_create, &database->shards[index], error);
}

/*
 * Before a database is created: shards beyond its own must not hold events. They would be those of
 * a database that has lost its shard 0, and a new and empty one in its place would hide that.
 */
static tally_status check_leftovers(struct ty_database *database, struct ty_shard_options *options,
                                    const char *directory, tally_error *error)
{
    for (unsigned i = database->shard_count; i < SHARDS_MAX; i++) {
        struct ty_shard_options leftover = *options;
        struct ty_shard *shard;
        char path[4096], file[sizeof(path) + sizeof("/data.mdb")];
        tally_status status;

        snprintf(path, sizeof(path), "%s/shard-%03u", directory, i);
        snprintf(file, sizeof(file), "%s/data.mdb", path);
        if (access(file, F_OK) != 0)
            continue;
        leftover.path = path;
        database->record.shard = (uint16_t)i;
        status = ty_shard_open(&leftover, &database->record, true, &shard, error);
        if (status != TALLY_OK)
            return status;
        ty_shard_close(shard, false);
    }
    return TALLY_OK;
}

/*
 * Shard 0 is created last: as long as it has no record the database does not exist, and what an
 * interrupted creation left is overwritten.
 */
static tally_status open_shards(struct ty_database *database, struct ty_shard_options *options,
                                const char *directory, bool may_create, tally_error *error)
{
    tally_status status = TALLY_OK;

    if (may_create)
        status = check_leftovers(database, options, directory, error);
    for (unsigned i = database->shard_count; i-- > 0 && status == TALLY_OK;)
        status = open_shard(database, options, directory, i, may_create, error);
    return status;
}

/* Finds the record of an existing database, or makes one. */
static tally_status find_record(struct ty_database *database, const tally_options *options,
                                struct ty_shard_options *shard, bool *found, tally_error *error)
{
    char path[4096];
    unsigned wanted = options->shards;
    tally_status status;

    snprintf(path, sizeof(path), "%s/shard-000", options->directory);
    shard->path = path;
    status = ty_shard_read_database(shard, &database->record, found, error);
    if (status != TALLY_OK)
        return status;
    if (!*found)
        make_record(&database->record, wanted == 0 ? default_shards() : wanted);
    else if (wanted != 0 && wanted != database->record.shard_count)
        return ty_fail(
            error, TALLY_INVALID,
            "shards is %u, but the database was created with %u, for good: leave it open "
            "(options.shards 0, tallyd --shards auto), or dump it and load it anew",
            wanted, database->record.shard_count);
    return TALLY_OK;
}

static tally_status start_writers(struct ty_database *database, tally_error *error)
{
    for (unsigned i = 0; i < database->shard_count; i++) {
        database->writers[i] = ty_writer_start(database->shards[i]);
        if (database->writers[i] == NULL)
            return ty_fail(error, TALLY_NO_MEMORY, "cannot start a writer thread");
    }
    return TALLY_OK;
}

static tally_status open_locked(struct ty_database *database, const tally_options *options,
                                const struct ty_database_hooks *hooks, tally_error *error)
{
    struct ty_shard_options shard = shard_options(options, 1);
    bool found = false;
    tally_status status = find_record(database, options, &shard, &found, error);

    if (status != TALLY_OK)
        return status;
    database->shard_count = database->record.shard_count;
    database->shards = calloc(database->shard_count, sizeof(struct ty_shard *));
    database->writers = calloc(database->shard_count, sizeof(struct ty_writer *));
    if (database->shards == NULL || database->writers == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for %u shards", database->shard_count);
    shard = shard_options(options, database->shard_count);
    shard.clock = database->clock;
    shard.faults = hooks->faults;
    shard.dedup_seal_ids = hooks->seal_ids;
    status = open_shards(database, &shard, options->directory, !found, error);
    return status == TALLY_OK ? start_writers(database, error) : status;
}

/*
 * A commit allocates and frees some hundred KiB (LMDB's dirty pages). By default glibc returns such
 * memory to the kernel at once, and every page of the next commit then costs a page fault, which
 * is more than the write itself. Freeing one large block raises glibc's dynamic thresholds for
 * good (mallopt(3), M_MMAP_THRESHOLD), as any program does that ever frees one. Idle shards
 * give memory back on their own (ty_shard_maintain).
 */
static void raise_malloc_thresholds(void)
{
    void *volatile block = malloc((size_t)31 << 20); /* never touched, so it costs nothing */

    free(block);
}

tally_status ty_database_open(const tally_options *options, const struct ty_database_hooks *hooks,
                              struct ty_database **out, tally_error *error)
{
    static const struct ty_database_hooks none;
    struct ty_database *database;
    tally_status status = check_options(options, error);

    if (hooks == NULL)
        hooks = &none;
    if (status != TALLY_OK)
        return status;
    if (sodium_init() < 0)
        return ty_fail(error, TALLY_IO, "the system gives no random numbers");
    database = calloc(1, sizeof(*database));
    if (database == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for the database");
    database->clock = hooks->clock == NULL ? ty_system_clock() : *hooks->clock;
    database->lock_fd = -1;
    raise_malloc_thresholds();
    status = ty_directory_lock(options->directory, &database->lock_fd, error);
    if (status == TALLY_OK && (options->flags & TALLY_NO_SYNC) == 0)
        status = ty_directory_sync_parent(options->directory, error);
    if (status == TALLY_OK)
        status = open_locked(database, options, hooks, error);
    if (status != TALLY_OK) {
        ty_database_close(database);
        return status;
    }
    *out = database;
    return TALLY_OK;
}

void ty_database_close(struct ty_database *database)
{
    if (database == NULL)
        return;
    for (unsigned i = 0; database->writers != NULL && i < database->shard_count; i++)
        ty_writer_stop(database->writers[i]);
    for (unsigned i = 0; database->shards != NULL && i < database->shard_count; i++)
        ty_shard_close(database->shards[i], true);
    free(database->shards);
    free(database->writers);
    ty_batch_pool_fini(&database->batches);
    if (database->lock_fd >= 0)
        close(database->lock_fd);
    free(database);
}

struct ty_batch *ty_database_take_batch(struct ty_database *database)
{
    return ty_batch_take(&database->batches);
}

void ty_database_give_batch(struct ty_database *database, struct ty_batch *batch)
{
    ty_batch_give(&database->batches, batch);
}

/* --- Shards --- */

const struct ty_secret *ty_database_secret(const struct ty_database *database)
{
    return &database->record.secret;
}

struct ty_clock ty_database_clock(const struct ty_database *database)
{
    return database->clock;
}

unsigned ty_database_shard_count(const struct ty_database *database)
{
    return database->shard_count;
}

struct ty_shard *ty_database_shard(const struct ty_database *database, unsigned index)
{
    TY_ASSERT(index < database->shard_count);
    return database->shards[index];
}

unsigned ty_database_shard_index(const struct ty_database *database, const struct ty_uuid *customer)
{
    return ty_partition_shard(&database->record, customer);
}

struct ty_shard *ty_database_shard_of(const struct ty_database *database,
                                      const struct ty_uuid *customer)
{
    return database->shards[ty_database_shard_index(database, customer)];
}

bool ty_database_failed(const struct ty_database *database)
{
    for (unsigned i = 0; i < database->shard_count; i++)
        if (ty_atomic_load(&ty_shard_stats(database->shards[i])->failed, memory_order_relaxed))
            return true;
    return false;
}
