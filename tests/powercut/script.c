#include "tests/powercut/script.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_MS    INT64_C(3600000)
#define EVENTS_MAX 30

struct maker {
    struct script *script;
    struct ty_random *random;
    uint64_t next_id;
    int64_t wall_ms;
};

static uint64_t below(struct maker *maker, uint64_t n)
{
    return ty_random_below(maker->random, n);
}

static bool one_in(struct maker *maker, uint64_t n)
{
    return ty_random_one_in(maker->random, n);
}

static struct ty_uuid make_uuid(uint8_t kind, uint32_t number)
{
    struct ty_uuid uuid = {{kind}};

    uuid.bytes[15] = (uint8_t)number;
    return uuid;
}

struct ty_uuid script_customer(uint32_t number)
{
    return make_uuid(0xc0, number);
}

struct ty_uuid script_workflow(uint32_t number)
{
    return make_uuid(0x30, number);
}

/* --- Making --- */

static void set_id(struct maker *maker, struct script_event *made)
{
    unsigned long long number = maker->next_id++;

    if (number % 3 == 0)
        snprintf(made->id, sizeof(made->id), "%08llx-0000-4000-8000-00000000000a", number);
    else
        snprintf(made->id, sizeof(made->id), "event-%llu", number);
    made->event.id = (struct ty_text){made->id, strlen(made->id)};
}

static int64_t choose_time(struct maker *maker)
{
    switch (below(maker, 10)) {
    case 0:
        return TALLY_TIME_OF_ARRIVAL;
    case 1: /* a late one */
        return maker->wall_ms - (int64_t)below(maker, 5 * 24 * (uint64_t)HOUR_MS);
    case 2: /* near a boundary of a month */
        return SCRIPT_START_MS + (int64_t)below(maker, 5) - 2;
    default:
        return maker->wall_ms - (int64_t)below(maker, (uint64_t)HOUR_MS);
    }
}

static void make_new(struct maker *maker, struct script_event *made, uint32_t batch)
{
    static const char user[] = "somebody@example.org";
    /* New series come all the time. */
    uint32_t customers = 2 + batch * (SCRIPT_CUSTOMERS - 2) / maker->script->count;
    bool is_old = one_in(maker, 40);

    made->event =
        (struct ty_event){.customer = script_customer((uint32_t)below(maker, customers)),
                          .workflow = script_workflow((uint32_t)below(maker, SCRIPT_WORKFLOWS)),
                          .time_ms = is_old ? TALLY_TIME_MS_MIN - 1 : choose_time(maker),
                          .credits = (int64_t)below(maker, 20000000) - 1000000,
                          .documents = (uint32_t)below(maker, 5),
                          .pages = (uint32_t)below(maker, 50),
                          .processing_ms = below(maker, 10000)};
    if (one_in(maker, 5))
        made->event.user = (struct ty_text){user, sizeof(user) - 1};
    set_id(maker, made);
    made->first = is_old ? TALLY_TOO_OLD : TALLY_ACCEPTED;
    made->again = is_old ? TALLY_TOO_OLD : TALLY_DUPLICATE;
    made->origin = batch;
}

/* An event that was stored a short while ago or in this batch, as it was or with another content.
 */
static bool make_repeated(struct maker *maker, struct script_event *made, uint32_t batch)
{
    uint32_t from = batch - (uint32_t)below(maker, TY_MIN(batch, 8u) + 1);
    const struct script_batch *source = &maker->script->batches[from];
    const struct script_event *old;

    if (source->count == 0)
        return false;
    old = &source->events[below(maker, source->count)];
    if (old->first == TALLY_TOO_OLD || old == made ||
        maker->wall_ms - maker->script->batches[old->origin].wall_ms > SCRIPT_WINDOW_MS / 2)
        return false;
    *made = *old;
    made->event.id.data = made->id;
    if (old->first == TALLY_ACCEPTED)
        made->first = made->again = TALLY_DUPLICATE;
    if (old->first != TALLY_ID_CONFLICT && one_in(maker, 3)) {
        made->event.credits += 1;
        made->first = made->again = TALLY_ID_CONFLICT;
    }
    return true;
}

static void make_events(struct maker *maker, struct script_batch *batch, uint32_t number)
{
    uint32_t count = (uint32_t)below(maker, EVENTS_MAX);

    batch->events = calloc(count + 1, sizeof(*batch->events));
    TY_ASSERT(batch->events != NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct script_event *made = &batch->events[i];

        if (!one_in(maker, 5) || !make_repeated(maker, made, number))
            make_new(maker, made, number);
        batch->count++;
    }
}

/* Time goes by: mostly little, sometimes enough for checkpoints, sometimes for ids to be forgotten
 * and the journal to be trimmed. */
static void pass_time(struct maker *maker)
{
    int64_t most_ms = 3000;

    if (one_in(maker, 6))
        most_ms = 5 * 60000;
    if (one_in(maker, 12))
        most_ms = 2 * SCRIPT_WINDOW_MS;
    maker->wall_ms += 1 + (int64_t)below(maker, (uint64_t)most_ms);
}

static void make_batch(struct maker *maker, uint32_t number)
{
    struct script_batch *batch = &maker->script->batches[number];

    pass_time(maker);
    batch->wall_ms = maker->wall_ms;
    if (number > 0 && one_in(maker, 12))
        batch->restart = one_in(maker, 2) ? RESTART_CLEAN : RESTART_KILLED;
    make_events(maker, batch, number);
    batch->reject_count = one_in(maker, 3) ? (uint32_t)below(maker, SCRIPT_REJECTS + 1) : 0;
    for (uint32_t i = 0; i < batch->reject_count; i++) {
        batch->rejects[i] =
            reject_reference_make(&maker->script->rejects, maker->random, maker->wall_ms);
        reject_reference_keep(&maker->script->rejects, &batch->rejects[i], maker->wall_ms);
    }
}

/* Different bounds, so that each life exercises others. */
static void choose_options(struct maker *maker, unsigned shards)
{
    tally_options *options = &maker->script->options;

    *options = (tally_options)TALLY_OPTIONS_INIT;
    options->shards = shards;
    options->map_bytes = UINT64_C(64) << 20;
    options->dedup_window_ms = SCRIPT_WINDOW_MS;
    options->dedup_memory_bytes = UINT64_C(8) << 20;
    options->journal_retention_ms = one_in(maker, 2) ? 0 : INT64_C(86400000);
    options->journal_bytes_max = one_in(maker, 2) ? 4096 : UINT64_C(1) << 20;
    options->hot_bytes = one_in(maker, 2) ? 20000 : UINT64_C(8) << 20;
    options->reject_bytes_max = UINT64_C(1) << (one_in(maker, 2) ? 17 : 23);
    maker->script->rejects.bytes_max = options->reject_bytes_max;
}

void script_make(struct script *script, struct ty_random *random, unsigned shards, uint32_t count)
{
    struct maker maker = {.script = script, .random = random, .wall_ms = SCRIPT_START_MS};

    memset(script, 0, sizeof(*script));
    script->count = count;
    script->batches = calloc(count, sizeof(*script->batches));
    TY_ASSERT(script->batches != NULL);
    choose_options(&maker, shards);
    for (uint32_t i = 0; i < count; i++)
        make_batch(&maker, i);
    script->rejects_are_dropped = script->rejects.dropped != 0;
}

void script_fini(struct script *script)
{
    for (uint32_t i = 0; i < script->count; i++)
        free(script->batches[i].events);
    free(script->batches);
    reject_reference_fini(&script->rejects);
}

/* --- What must be --- */

static bool is_on(const struct ty_database *database, const struct script_event *event,
                  unsigned shard)
{
    return ty_database_shard_index(database, &event->event.customer) == shard;
}

bool script_stores(const struct script *script, uint32_t batch, const struct ty_database *database,
                   unsigned shard)
{
    const struct script_batch *sent = &script->batches[batch];

    for (uint32_t i = 0; i < sent->count; i++)
        if (sent->events[i].first == TALLY_ACCEPTED && is_on(database, &sent->events[i], shard))
            return true;
    return false;
}

void script_add(const struct script *script, uint32_t batch, const struct ty_database *database,
                unsigned shard, struct script_totals *totals)
{
    const struct script_batch *sent = &script->batches[batch];

    for (uint32_t i = 0; i < sent->count; i++) {
        const struct ty_event *event = &sent->events[i].event;
        int64_t time_ms = event->time_ms == TALLY_TIME_OF_ARRIVAL ? sent->wall_ms : event->time_ms;
        int64_t hour = (time_ms - SCRIPT_FIRST_MS) / HOUR_MS;
        struct ty_total *total;

        if (sent->events[i].first != TALLY_ACCEPTED || !is_on(database, &sent->events[i], shard))
            continue;
        TY_ASSERT(hour >= 0 && hour < SCRIPT_HOURS);
        total = &totals->hours[event->customer.bytes[15]][event->workflow.bytes[15]][hour];
        total->events++;
        total->credits += event->credits;
        total->documents += event->documents;
        total->pages += event->pages;
        total->processing_ms += (ty_int128)event->processing_ms;
    }
}
