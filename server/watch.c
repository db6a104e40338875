#include "server/watch.h"

#include "server/log.h"

#define SHORTENED_EVERY_NS INT64_C(60000000000) /* a lasting condition is not news each second */

struct sums {
    bool full;
    uint64_t forgotten;
    uint64_t damaged;
    int64_t window_ms; /* the shortest */
};

static void add_up(const struct ty_database *database, struct sums *sums)
{
    *sums = (struct sums){.window_ms = INT64_MAX};
    for (unsigned i = 0; i < ty_database_shard_count(database); i++) {
        struct ty_shard_stats *stats = ty_shard_stats(ty_database_shard(database, i));
        int64_t window_ms = ty_atomic_load(&stats->dedup_window_ms, memory_order_relaxed);

        sums->full |= ty_atomic_load(&stats->full, memory_order_relaxed) != 0;
        sums->forgotten += ty_atomic_load(&stats->dedup_forgotten_early, memory_order_relaxed);
        sums->damaged += ty_atomic_load(&stats->damaged_months, memory_order_relaxed);
        sums->window_ms = TY_MIN(sums->window_ms, window_ms);
    }
}

static void look_at_space(struct ty_watch *watch, bool full)
{
    if (full && !watch->full)
        ty_log_text("error", "space_low", "remedy",
                    "events are refused with 507, queries work; free disk space, raise --map-size "
                    "or lower --journal-bytes and restart");
    if (!full && watch->full)
        ty_log("info", "space_back", "full=%d", 0);
    watch->full = full;
}

void ty_watch_look(struct ty_watch *watch, const struct ty_database *database)
{
    struct ty_clock clock = ty_database_clock(database);
    int64_t now_ns = ty_clock_mono_ns(&clock);
    struct sums sums;

    add_up(database, &sums);
    look_at_space(watch, sums.full);
    if (sums.forgotten > watch->forgotten &&
        (watch->forgotten == 0 || now_ns - watch->shortened_logged_ns > SHORTENED_EVERY_NS)) {
        ty_log("warn", "dedup_window_shortened", "window_s=%lld forgotten=%llu remedy=%s",
               (long long)(sums.window_ms / 1000), (unsigned long long)sums.forgotten,
               "raise_--dedup-memory_or_lower_--dedup-window");
        watch->shortened_logged_ns = now_ns;
        watch->forgotten = sums.forgotten;
    }
    if (sums.damaged > watch->damaged && watch->damaged == 0)
        ty_log_text("error", "stored_values_damaged", "remedy",
                    "some months cannot be written; their events stay in the journal; restore the "
                    "data directory from a backup");
    watch->damaged = sums.damaged;
}
