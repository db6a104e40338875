#include "engine/dedup_log.h"

#include <stdlib.h>
#include <sys/mman.h>

#define TICK_MS   INT64_C(1000)
#define TICKS_MIN 1024
/* A sixteenth of the log at most, so that whole ticks can be told from others in a small one too.
 */
#define TICK_RECORDS_MAX (UINT64_C(1) << 18)

/* --- Life --- */

static bool init_memory(struct ty_dedup_log *log)
{
    uint64_t chunks = log->records_max / TY_DEDUP_CHUNK_RECORDS + 2;
    void *memory;

    log->bytes = chunks * TY_DEDUP_CHUNK_BYTES;
    memory = mmap(NULL, log->bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    log->memory = memory;
    /* Huge pages, where there are some: touching small ones for the first time is dear. */
    madvise(log->memory, log->bytes, MADV_HUGEPAGE);
    return true;
}

bool ty_dedup_log_init(struct ty_dedup_log *log, uint64_t records_max)
{
    uint64_t ring = 1;

    *log = (struct ty_dedup_log){.records_max = records_max,
                                 .tick_records = TY_MIN(records_max / 16, TICK_RECORDS_MAX),
                                 .forgotten_until_ms = INT64_MIN,
                                 .tick_capacity = TICKS_MIN};
    while (ring < records_max / TY_DEDUP_CHUNK_RECORDS + 2)
        ring *= 2;
    log->chunk_mask = (uint32_t)ring - 1;
    log->chunk_slots = calloc(ring, sizeof(*log->chunk_slots));
    log->free_slots = calloc(ring, sizeof(*log->free_slots));
    log->ticks = calloc(log->tick_capacity, sizeof(*log->ticks));
    /* Any start but 0, which means "none", at the start of a chunk. */
    log->oldest = log->head = TY_DEDUP_CHUNK_RECORDS;
    if (log->ticks != NULL)
        log->ticks[0].first = log->head;
    return log->ticks != NULL && log->chunk_slots != NULL && log->free_slots != NULL &&
           init_memory(log);
}

void ty_dedup_log_fini(struct ty_dedup_log *log)
{
    if (log->memory != NULL)
        munmap(log->memory, log->bytes);
    free(log->chunk_slots);
    free(log->free_slots);
    free(log->ticks);
}

/* --- Records --- */

static void forget_oldest(struct ty_dedup_log *log)
{
    log->entries -= !ty_dedup_is_void(ty_dedup_log_at(log, log->oldest));
    if (++log->oldest % TY_DEDUP_CHUNK_RECORDS == 0)
        log->free_slots[log->free_count++] =
            log->chunk_slots[(log->oldest / TY_DEDUP_CHUNK_RECORDS - 1) & log->chunk_mask];
}

/* A place for the next record; the newest chunk has room for it, or a free one is taken. */
static struct ty_dedup_record *next_place(struct ty_dedup_log *log)
{
    if (log->head % TY_DEDUP_CHUNK_RECORDS == 0)
        log->chunk_slots[log->head / TY_DEDUP_CHUNK_RECORDS & log->chunk_mask] =
            log->free_count != 0 ? log->free_slots[--log->free_count] : log->used_slots++;
    return ty_dedup_log_at(log, log->head++);
}

/* --- Ticks --- */

static struct ty_dedup_tick *tick_at(const struct ty_dedup_log *log, uint32_t number)
{
    return &log->ticks[number & (log->tick_capacity - 1)];
}

/* Makes room for one more tick; false when memory is out. */
static bool grow_ticks(struct ty_dedup_log *log)
{
    uint32_t capacity = log->tick_capacity * 2;
    struct ty_dedup_tick *ticks = calloc(capacity, sizeof(*ticks));

    if (ticks == NULL)
        return false;
    for (uint32_t n = log->oldest_tick; n != log->newest_tick + 1; n++)
        ticks[n & (capacity - 1)] = *tick_at(log, n);
    free(log->ticks);
    log->ticks = ticks;
    log->tick_capacity = capacity;
    return true;
}

/* Begins a new tick when the newest is long. Without memory the old one just lasts longer: its ids
 * are then remembered a little longer than they must be. */
static void begin_tick(struct ty_dedup_log *log, int64_t arrival_ms, uint64_t sequence)
{
    struct ty_dedup_tick *tick = tick_at(log, log->newest_tick);

    if (tick->first == log->head) {
        tick->first_ms = arrival_ms;
        tick->sequence = sequence;
    } else if (arrival_ms - tick->first_ms >= TICK_MS ||
               log->head - tick->first >= log->tick_records) {
        if (log->newest_tick - log->oldest_tick + 1 == log->tick_capacity && !grow_ticks(log))
            return;
        tick = tick_at(log, ++log->newest_tick);
        *tick = (struct ty_dedup_tick){
            .first_ms = arrival_ms, .first = log->head, .sequence = sequence};
    }
    tick->last_ms = arrival_ms;
}

/* Drops ticks that have no record left. */
static void drop_ticks(struct ty_dedup_log *log)
{
    while (log->oldest_tick != log->newest_tick &&
           tick_at(log, log->oldest_tick + 1)->first <= log->oldest)
        log->oldest_tick++;
}

/* Forgets whole ticks. */
static void forget_expired(struct ty_dedup_log *log, int64_t arrival_ms, int64_t window_ms)
{
    while (log->oldest_tick != log->newest_tick &&
           tick_at(log, log->oldest_tick)->last_ms < arrival_ms - window_ms) {
        while (log->oldest < tick_at(log, log->oldest_tick + 1)->first)
            forget_oldest(log);
        log->oldest_tick++;
    }
}

void ty_dedup_log_advance(struct ty_dedup_log *log, int64_t arrival_ms, int64_t window_ms,
                          uint64_t sequence)
{
    begin_tick(log, arrival_ms, sequence);
    forget_expired(log, arrival_ms, window_ms);
}

void ty_dedup_log_go_on(struct ty_dedup_log *log, int64_t arrival_ms, int64_t window_ms)
{
    tick_at(log, log->newest_tick)->last_ms = arrival_ms;
    forget_expired(log, arrival_ms, window_ms);
}

void ty_dedup_log_forget(struct ty_dedup_log *log, uint64_t end, uint64_t most)
{
    end = TY_MIN(TY_MIN(end, log->head), log->oldest + most);
    while (log->oldest < end)
        forget_oldest(log);
    drop_ticks(log);
}

const struct ty_dedup_tick *ty_dedup_log_behind(const struct ty_dedup_log *log, uint64_t records,
                                                uint32_t ticks)
{
    uint32_t n = log->oldest_tick;

    if (tick_at(log, log->newest_tick)->first < log->oldest + records &&
        log->newest_tick - n < ticks)
        return NULL;
    while (tick_at(log, ++n)->first < log->oldest + records && n - log->oldest_tick < ticks)
        ;
    return tick_at(log, n);
}

int64_t ty_dedup_log_arrived_ms(const struct ty_dedup_log *log, uint64_t position)
{
    uint32_t low = log->oldest_tick, count = log->newest_tick - log->oldest_tick;

    while (count > 0) { /* The last tick that begins at or before the position. */
        uint32_t half = (count + 1) / 2;

        if (tick_at(log, low + half)->first <= position) {
            low += half;
            count -= half;
        } else {
            count = half - 1;
        }
    }
    return tick_at(log, low)->last_ms;
}

/* The log has as many records as memory allows: the oldest goes, before its time. */
static void forget_for_memory(struct ty_dedup_log *log)
{
    log->forgotten_early += !ty_dedup_is_void(ty_dedup_log_at(log, log->oldest));
    log->forgotten_until_ms = tick_at(log, log->oldest_tick)->last_ms;
    forget_oldest(log);
    drop_ticks(log);
}

uint64_t ty_dedup_log_append(struct ty_dedup_log *log, const struct ty_key *key, uint64_t content)
{
    if (log->head - log->oldest >= log->records_max)
        forget_for_memory(log);
    if ((uint32_t)log->head == 0) /* Cut to 32 bits it would mean "none": left out. */
        *next_place(log) = (struct ty_dedup_record){0};
    *next_place(log) = (struct ty_dedup_record){.key = *key, .content = content};
    log->entries++;
    return log->head - 1;
}

/* The place of the newest record is free again, and its chunk if that is empty now. */
static void take_back_newest(struct ty_dedup_log *log)
{
    if (--log->head % TY_DEDUP_CHUNK_RECORDS == 0)
        log->free_slots[log->free_count++] =
            log->chunk_slots[log->head / TY_DEDUP_CHUNK_RECORDS & log->chunk_mask];
}

/* Void records at the end, from `first` on. */
static void take_back_voids(struct ty_dedup_log *log, uint64_t first)
{
    while (log->head > TY_MAX(log->oldest, first) &&
           ty_dedup_is_void(ty_dedup_log_at(log, log->head - 1)))
        take_back_newest(log);
}

void ty_dedup_log_void(struct ty_dedup_log *log, uint64_t position)
{
    struct ty_dedup_tick *newest = tick_at(log, log->newest_tick), *before;

    *ty_dedup_log_at(log, position) = (struct ty_dedup_record){0};
    log->entries--;
    take_back_voids(log, newest->first);
    /* The newest tick is empty: it goes on where records are left, in place of those that have none
     * either. */
    while (log->head == newest->first && log->newest_tick != log->oldest_tick) {
        before = tick_at(log, log->newest_tick - 1);
        take_back_voids(log, before->first);
        newest->first = log->head;
        if (log->head > before->first)
            return;
        *before = *newest;
        newest = before;
        log->newest_tick--;
    }
}
