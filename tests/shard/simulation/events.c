#include <string.h>

#include "engine/calendar.h"
#include "engine/period.h"
#include "tests/shard/simulation/simulation.h"

static void set_id(struct simulation *simulation, struct ty_batch *batch, struct ty_event *event)
{
    char text[64];
    uint64_t number = simulation->next_id++;

    if (number % 3 == 0)
        snprintf(text, sizeof(text), "%08llx-0000-4000-8000-00000000000a",
                 (unsigned long long)number);
    else
        snprintf(text, sizeof(text), "event-%llu", (unsigned long long)number);
    event->id = ty_arena_copy(&batch->arena, (struct ty_text){text, strlen(text)});
}

static int64_t choose_time(struct simulation *simulation)
{
    int64_t now = simulation->wall_ms;

    switch (below(simulation, 12)) {
    case 0:
        return TALLY_TIME_OF_ARRIVAL;
    case 1: /* a late one, anywhere in the last 100 days */
        return now - (int64_t)below(simulation, 100 * (uint64_t)DAY_MS);
    case 2: /* near a boundary of a month */
        return ty_first_day_of_month(ty_month_of_day(ty_day_of_ms(now))) * DAY_MS +
               (int64_t)below(simulation, 5) - 2;
    case 3: /* too far ahead, or only just not */
        return now + DAY_MS + (int64_t)below(simulation, 3) - 1;
    case 4:
        return one_in(simulation, 4) ? TALLY_TIME_MS_MIN - 1 : now;
    default:
        return now - (int64_t)below(simulation, (uint64_t)HOUR_MS);
    }
}

static void fill_event(struct simulation *simulation, struct ty_batch *batch,
                       struct ty_event *event)
{
    static const char users[] = "somebody@example.org";

    event->customer = make_uuid(0xc, below(simulation, CUSTOMERS));
    event->workflow = make_uuid(0x3, below(simulation, WORKFLOWS));
    set_id(simulation, batch, event);
    event->time_ms = choose_time(simulation);
    event->credits = (int64_t)below(simulation, 20000000) - 1000000;
    event->documents = (uint32_t)below(simulation, 5);
    event->pages = (uint32_t)below(simulation, 50);
    event->processing_ms =
        one_in(simulation, 50) ? (uint64_t)TALLY_PROCESSING_MS_MAX : below(simulation, 10000);
    if (one_in(simulation, 5))
        event->user = (struct ty_text){users, sizeof(users) - 1};
}

/* An event that came before, as it was or (then a conflict) changed in one place. */
static void repeat_event(struct simulation *simulation, struct ty_event *event)
{
    const struct reference *reference = &simulation->reference;
    size_t recent = TY_MIN(reference->count, (size_t)300);
    size_t index = one_in(simulation, 4) ? below(simulation, reference->count)
                                         : reference->count - 1 - below(simulation, recent);
    uint32_t record = event->record;

    *event = reference->events[index]->event;
    event->record = record;
    if (one_in(simulation, 3))
        event->credits++;
}

void simulation_fill_batch(struct simulation *simulation, struct ty_batch *batch)
{
    uint64_t count = below(simulation, EVENTS_MAX + 1);

    for (uint64_t i = 0; i < count; i++) {
        struct ty_event *event = ty_batch_add(batch);

        if (i > 0 && one_in(simulation, 10)) { /* twice in one batch */
            *event = event[-1];
            event->record++;
        } else if (simulation->reference.count != 0 && one_in(simulation, 5)) {
            repeat_event(simulation, event);
        } else {
            fill_event(simulation, batch, event);
        }
    }
    ty_batch_seal(batch, &simulation->database.record.secret);
}

void simulation_fill_rejects(struct simulation *simulation, struct ty_part *part,
                             struct ty_reject rejects[REJECTS_MAX])
{
    part->rejects = rejects;
    part->reject_count = one_in(simulation, 4) ? 1 + below(simulation, REJECTS_MAX) : 0;
    for (size_t i = 0; i < part->reject_count; i++)
        rejects[i] =
            reject_reference_make(&simulation->rejects, &simulation->random, simulation->wall_ms);
}
