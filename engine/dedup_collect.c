/*
 * dedup_collect.c: the oldest of the remembered ids, sorted by key (dedup.h).
 */
#include "engine/dedup_internal.h"

bool ty_dedup_oldest(const struct ty_dedup *dedup, uint64_t count, uint32_t ticks,
                     struct ty_dedup_span *span)
{
    const struct ty_dedup_log *log = &dedup->log;
    const struct ty_dedup_tick *behind = ty_dedup_log_behind(log, count, ticks);

    if (behind == NULL || behind->first == log->oldest)
        return false;
    *span = (struct ty_dedup_span){.end = behind->first,
                                   .count = behind->first - log->oldest,
                                   .sequence = behind->sequence - 1,
                                   .first_ms = ty_dedup_log_arrived_ms(log, log->oldest),
                                   .last_ms = ty_dedup_log_arrived_ms(log, behind->first - 1)};
    return true;
}

uint32_t ty_dedup_part_max(const struct ty_dedup *dedup, uint32_t part)
{
    return dedup->tables[part].used;
}

/* The positions of the span's records in a table, as contents for the moment. Without a branch,
 * which would be mispredicted half of the time: hence one more place is written than counts. */
static uint32_t gather(const struct ty_dedup *dedup, const struct ty_dedup_span *span,
                       const struct ty_dedup_table *table, struct ty_id *ids)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < table->capacity; i++) {
        uint32_t cut = table->places[i].position;
        uint64_t position = ty_dedup_log_position(&dedup->log, cut);

        ids[count].content = position;
        count += (cut != 0) & (position != 0) & (position < span->end);
    }
    return count;
}

/* Records are fetched so many ahead of their turn. */
#define RECORDS_AHEAD 24

static void fetch_record(const struct ty_dedup_log *log, uint64_t position)
{
    const char *record = (const char *)ty_dedup_log_at(log, position);

    ty_prefetch(record);
    /* One of four lies across two lines. */
    ty_prefetch(record + sizeof(struct ty_dedup_record) - 1);
}

static void read_records(const struct ty_dedup_log *log, struct ty_id *ids, uint32_t count)
{
    for (uint32_t i = 0; i < TY_MIN(count, RECORDS_AHEAD); i++)
        fetch_record(log, ids[i].content);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t position = ids[i].content;
        const struct ty_dedup_record *record = ty_dedup_log_at(log, position);

        if (i + RECORDS_AHEAD < count)
            fetch_record(log, ids[i + RECORDS_AHEAD].content);
        ids[i] = (struct ty_id){.key = record->key,
                                .content = record->content,
                                .arrived_ms = ty_dedup_log_arrived_ms(log, position)};
    }
}

/* Keys are as good as random: the eight bits behind those that chose the table spread them evenly.
 */
static unsigned spread_of(const struct ty_id *id)
{
    return id->key.high >> (64 - TY_DEDUP_PART_BITS - 8) & 255;
}

/* Nearly in order, by their spread. */
static void copy_spread(const struct ty_id *from, uint32_t count, struct ty_id *to)
{
    uint32_t next[256] = {0}, first = 0;

    for (uint32_t i = 0; i < count; i++)
        next[spread_of(&from[i])]++;
    for (unsigned spread = 0; spread < 256; spread++) {
        first += next[spread];
        next[spread] = first - next[spread];
    }
    for (uint32_t i = 0; i < count; i++)
        to[next[spread_of(&from[i])]++] = from[i];
}

static void sort_by_insertion(struct ty_id *ids, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct ty_id id = ids[i];
        uint32_t at = i;

        for (; at > 0 && ty_key_compare(&ids[at - 1].key, &id.key) > 0; at--)
            ids[at] = ids[at - 1];
        ids[at] = id;
    }
}

uint32_t ty_dedup_collect(const struct ty_dedup *dedup, const struct ty_dedup_span *span,
                          uint32_t part, struct ty_id *ids)
{
    const struct ty_dedup_table *table = &dedup->tables[part];
    struct ty_id *unsorted = ids + table->used;
    uint32_t count = gather(dedup, span, table, unsorted);

    read_records(&dedup->log, unsorted, count);
    copy_spread(unsorted, count, ids);
    sort_by_insertion(ids, count);
    return count;
}

bool ty_dedup_forget(struct ty_dedup *dedup, const struct ty_dedup_span *span, uint64_t most)
{
    ty_dedup_log_forget(&dedup->log, span->end, most);
    return dedup->log.oldest >= span->end;
}
