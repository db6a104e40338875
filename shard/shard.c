#include "shard/shard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/shard_internal.h"

#define NS_PER_MS 1000000

int64_t ty_shard_mono_ms(const struct ty_shard *shard)
{
    return ty_clock_mono_ns(&shard->options.clock) / NS_PER_MS;
}

static tally_status load_day(void *context, uint32_t series, int32_t day,
                             struct ty_day_block *block)
{
    struct ty_shard *shard = context;

    return ty_store_get_day(shard->store, series, day, block, &shard->error);
}

static tally_status load_month(void *context, uint32_t series, int32_t month,
                               struct ty_month_block *block)
{
    struct ty_shard *shard = context;

    return ty_store_get_month(shard->store, series, month, block, &shard->error);
}

/* --- The database record --- */

static tally_status create(struct ty_shard *shard, const struct ty_database_record *database,
                           tally_error *error)
{
    tally_status status = ty_store_begin(shard->store, error);

    if (status != TALLY_OK)
        return status;
    status = ty_store_put_database(shard->store, database, error);
    if (status != TALLY_OK) {
        ty_store_abort(shard->store);
        return status;
    }
    status = ty_store_commit(shard->store, error);
    /* Whether the record is there or not, opening again is all there is to do. */
    return status == TALLY_UNKNOWN ? TALLY_IO : status;
}

static tally_status read_database(struct ty_store *store, struct ty_database_record *stored,
                                  bool *found, bool *empty, tally_error *error)
{
    struct ty_state_record state;
    tally_status status = ty_store_begin(store, error);

    if (status != TALLY_OK)
        return status;
    status = ty_store_get_database(store, stored, found, error);
    if (status == TALLY_OK)
        status = ty_store_get_state(store, &state, error);
    *empty = status == TALLY_OK && state.last_sequence == 0;
    ty_store_abort(store);
    return status;
}

static struct ty_store_options store_options(const struct ty_shard_options *options)
{
    return (struct ty_store_options){.path = options->path,
                                     .map_bytes = options->map_bytes,
                                     .sync = options->sync,
                                     .faults = options->faults};
}

tally_status ty_shard_read_database(const struct ty_shard_options *options,
                                    struct ty_database_record *database, bool *found,
                                    tally_error *error)
{
    struct ty_store_options store = store_options(options);
    struct ty_store *opened;
    char path[4096];
    bool empty;
    tally_status status;

    *found = false;
    snprintf(path, sizeof(path), "%s/data.mdb", options->path);
    if (access(path, F_OK) != 0)
        return TALLY_OK;
    status = ty_store_open(&store, &opened, error);
    if (status != TALLY_OK)
        return status;
    status = read_database(opened, database, found, &empty, error);
    ty_store_close(opened);
    return status;
}

/* Makes sure that the store is this shard of this database. */
static tally_status agree_on_database(struct ty_shard *shard,
                                      const struct ty_database_record *database, bool may_create,
                                      tally_error *error)
{
    struct ty_database_record stored;
    bool found = false, empty = false, same;
    tally_status status = read_database(shard->store, &stored, &found, &empty, error);

    if (status != TALLY_OK)
        return status;
    shard->secret = database->secret;
    same = found && stored.shard == database->shard &&
           memcmp(stored.id, database->id, sizeof(stored.id)) == 0;
    if (same)
        return TALLY_OK;
    if (may_create && (!found || empty))
        return create(shard, database, error);
    return ty_fail(error, TALLY_CORRUPT,
                   found ? "%s belongs to another database or is another shard of it"
                         : "%s is empty, but the database has a shard there",
                   shard->options.path);
}

/* --- Opening --- */

static tally_status init_memory(struct ty_shard *shard, tally_error *error)
{
    struct ty_cold_loader loader = {load_day, load_month, shard};
    uint64_t seed;

    memcpy(&seed, shard->secret.bytes, sizeof(seed));
    ty_hot_init(&shard->hot, loader);
    if (shard->options.dedup_window_ms > 0) {
        const struct ty_id_index_options ids = {.window_ms = shard->options.dedup_window_ms,
                                                .bytes_max = shard->options.dedup_memory_bytes,
                                                .seal_ids = shard->options.dedup_seal_ids};

        shard->ids = ty_id_index_new(&ids, shard->store);
        if (shard->ids == NULL)
            return ty_fail(error, TALLY_NO_MEMORY, "no memory for the remembered ids");
    }
    if (!ty_series_table_init(&shard->series, seed, shard->options.series_max))
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for the series");
    return TALLY_OK;
}

tally_status ty_shard_open(const struct ty_shard_options *options,
                           const struct ty_database_record *database, bool may_create,
                           struct ty_shard **out, tally_error *error)
{
    struct ty_store_options store = store_options(options);
    struct ty_shard *shard = aligned_alloc(TY_CACHE_LINE, sizeof(*shard));
    tally_status status;

    if (shard == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for a shard");
    memset(shard, 0, sizeof(*shard));
    shard->options = *options;
    shard->commit = &shard->commits[0];
    status = ty_store_open(&store, &shard->store, error);
    if (status == TALLY_OK)
        status = agree_on_database(shard, database, may_create, error);
    if (status == TALLY_OK)
        status = init_memory(shard, error);
    if (status == TALLY_OK)
        status = ty_shard_recover(shard, error);
    if (status != TALLY_OK) {
        ty_shard_close(shard, false);
        return status;
    }
    (void)ty_shard_is_full(shard);
    ty_shard_publish_gauges(shard);
    *out = shard;
    return TALLY_OK;
}

static void free_commit(struct ty_commit *commit)
{
    free(commit->candidates);
    free(commit->groups);
    free(commit->ordered);
    free((void *)commit->voids);
    free(commit->revisions);
    ty_buffer_fini(&commit->journal);
    ty_hot_aside_fini(&commit->aside);
    ty_puts_fini(&commit->puts);
}

void ty_shard_close(struct ty_shard *shard, bool flush)
{
    tally_error ignored;

    if (shard == NULL)
        return;
    if (flush && !shard->failed) /* When it fails, the next start replays more: no harm. */
        (void)ty_shard_flush(shard, &ignored);
    if (shard->hot.cold.context != NULL)
        ty_hot_fini(&shard->hot);
    ty_series_table_fini(&shard->series);
    ty_id_index_free(shard->ids);
    ty_store_close(shard->store);
    for (size_t i = 0; i < TY_COUNT_OF(shard->commits); i++)
        free_commit(&shard->commits[i]);
    free(shard);
}

struct ty_shard_view ty_shard_view(struct ty_shard *shard)
{
    return (struct ty_shard_view){&shard->series, &shard->hot, shard->store};
}

struct ty_shard_stats *ty_shard_stats(struct ty_shard *shard)
{
    return &shard->stats;
}

static void set(_Atomic uint64_t *gauge, uint64_t value)
{
    ty_atomic_store(gauge, value, memory_order_relaxed);
}

void ty_shard_publish_rejects(struct ty_shard *shard, const struct ty_rejects_record *rejects)
{
    const struct ty_rejects_record *before = &shard->rejects;
    uint64_t kept = rejects->last_seq - before->last_seq;
    uint64_t dropped = before->count + kept - rejects->count;

    if (kept != 0)
        ty_atomic_add(&shard->stats.rejects_kept, kept, memory_order_relaxed);
    if (dropped != 0)
        ty_atomic_add(&shard->stats.rejects_dropped, dropped, memory_order_relaxed);
    shard->rejects = *rejects;
}

void ty_shard_publish_gauges(struct ty_shard *shard)
{
    struct ty_shard_stats *stats = &shard->stats;
    struct ty_id_gauges ids = {0};
    struct ty_space space;

    if (shard->ids != NULL)
        ids = ty_id_index_gauges(shard->ids);
    ty_store_size(shard->store, &space);
    set(&stats->series, ty_atomic_load(&shard->series.count, memory_order_relaxed));
    set(&stats->hot_bytes, shard->hot.bytes);
    set(&stats->dirty_months, shard->hot.dirty_count);
    set(&stats->dedup_entries, ids.entries);
    set(&stats->dedup_bytes, ids.bytes);
    ty_atomic_store(&stats->dedup_window_ms, ids.window_ms, memory_order_relaxed);
    ty_atomic_store(&stats->dedup_window_wanted_ms, shard->options.dedup_window_ms,
                    memory_order_relaxed);
    set(&stats->dedup_forgotten_early, ids.forgotten_early);
    set(&stats->dedup_runs, ids.runs);
    set(&stats->dedup_seals, ids.seals);
    set(&stats->journal_bytes, shard->state.journal_bytes);
    set(&stats->last_sequence, shard->state.last_sequence);
    set(&stats->rejects, shard->rejects.count);
    set(&stats->reject_bytes, shard->rejects.bytes);
    set(&stats->replay_values,
        shard->state.last_sequence + 1 -
            TY_MIN(shard->state.replay_from, shard->state.last_sequence + 1));
    set(&stats->file_bytes, space.file_bytes);
    set(&stats->map_bytes, space.map_bytes);
    set(&stats->full, shard->full);
    set(&stats->failed, shard->failed);
}

void ty_shard_check(const struct ty_shard *shard)
{
    ty_hot_check(&shard->hot);
    TY_ASSERT(shard->hot.touched == NULL && shard->hot.writing == NULL);
    TY_ASSERT(shard->hot.revised == NULL && shard->commit->closings.changed == NULL);
    TY_ASSERT(shard->state.replay_from <= shard->state.last_sequence + 1);
    TY_ASSERT(ty_hot_lacks_from(&shard->hot, shard->state.last_sequence + 1) >=
              shard->state.replay_from);
}
