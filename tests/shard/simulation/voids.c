#include <string.h>

#include "query/void_find.h"
#include "tests/shard/simulation/simulation.h"

static const char reason[] = "it never happened";

/* The newest event of a customer's id, whether the journal still has it or not. */
static struct reference_event *newest(const struct simulation *simulation,
                                      const struct ty_uuid *customer, struct ty_text id)
{
    struct reference_event *known = reference_newest_of_id(&simulation->reference, id);

    for (; known != NULL; known = known->older_of_id)
        if (ty_uuid_compare(&known->event.customer, customer) == 0 &&
            known->event.id.length == id.length && memcmp(known->id, id.data, id.length) == 0)
            return known;
    return NULL;
}

static const struct ty_event *choose_event(struct simulation *simulation)
{
    size_t events = simulation->reference.count, recent = TY_MIN(events, (size_t)200);
    size_t at =
        one_in(simulation, 4) ? below(simulation, events) : events - 1 - below(simulation, recent);

    return &simulation->reference.events[at]->event;
}

/* Ids that were used, mostly by this customer, now or long ago, and one that never was. */
static size_t choose_ids(struct simulation *simulation, const struct ty_uuid *customer,
                         struct ty_void_wanted wanted[VOIDS_MAX])
{
    size_t count = 1 + (size_t)below(simulation, VOIDS_MAX);

    for (size_t i = 0; i < count; i++) {
        const struct ty_event *event = choose_event(simulation);

        for (int n = 0; n < 20 && ty_uuid_compare(&event->customer, customer) != 0; n++)
            event = choose_event(simulation);
        wanted[i] = (struct ty_void_wanted){.id = event->id};
        if (i > 0 && one_in(simulation, 8))
            wanted[i].id = wanted[i - 1].id;
        if (one_in(simulation, 20))
            wanted[i].id = (struct ty_text){"never used", 10};
    }
    return count;
}

static void check_found(struct simulation *simulation, unsigned shard, uint64_t first,
                        const struct ty_void_wanted *wanted, const struct reference_event *known)
{
    CHECK(simulation, wanted->found == (known != NULL && known->sequence >= first),
          "event %.*s is %sfound", (int)wanted->id.length, wanted->id.data,
          wanted->found ? "" : "not ");
    if (!wanted->found)
        return;
    CHECK(simulation,
          known->shard == shard && known->sequence == wanted->what.place.sequence &&
              known->received_ms == wanted->what.received_ms &&
              reference_same_event(&known->event, &wanted->what.event),
          "event %.*s is found as another", (int)wanted->id.length, wanted->id.data);
}

void simulation_fill_voids(struct simulation *simulation, unsigned shard, struct ty_part *part,
                           struct void_work *work)
{
    struct ty_uuid customer = make_uuid(0xc, below(simulation, CUSTOMERS));
    struct ty_shard_view view = ty_shard_view(simulation->shards[shard]);
    struct ty_void_wanted wanted[VOIDS_MAX];
    uint64_t first = simulation_first_value(simulation, shard);
    tally_error error = {""};
    int64_t oldest_ms;
    size_t count;

    if (simulation->reference.count == 0 ||
        ty_database_shard_index(&simulation->database, &customer) != shard)
        return;
    count = choose_ids(simulation, &customer, wanted);
    CHECK(simulation,
          ty_void_find(&view, &simulation->database.record.secret, &customer, wanted, count,
                       &work->arena, &oldest_ms, &error) == TALLY_OK,
          "%s", error.message);
    part->voids = work->voids;
    for (size_t i = 0; i < count; i++) {
        struct reference_event *known = newest(simulation, &customer, wanted[i].id);

        check_found(simulation, shard, first, &wanted[i], known);
        if (!wanted[i].found)
            continue;
        work->known[part->void_count] = known;
        work->voids[part->void_count] = wanted[i].what;
        work->voids[part->void_count++].reason = (struct ty_text){reason, sizeof(reason) - 1};
    }
}

void simulation_learn_voids(struct simulation *simulation, unsigned shard, uint64_t sequence,
                            const struct void_work *work, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct reference_event *known = work->known[i];

        switch (work->voids[i].result) {
        case TY_VOID_DONE:
            CHECK(simulation, !known->voided, "an event is voided twice");
            known->voided = true;
            known->void_sequence = sequence;
            simulation->voids++;
            break;
        case TY_VOID_ALREADY:
            CHECK(simulation, known->voided, "an event is not void yet");
            simulation->void_again++;
            break;
        case TY_VOID_TRIMMED:
            CHECK(simulation, known->sequence < simulation_first_value(simulation, shard),
                  "an event is not trimmed");
            break;
        default:
            CHECK(simulation, false, "void %zu is %d", i, work->voids[i].result);
        }
    }
}

void simulation_take_void(struct simulation *simulation, unsigned shard, uint64_t sequence,
                          const struct ty_journal_record *record, struct void_work *work,
                          size_t count)
{
    CHECK(simulation, record->reason.length == sizeof(reason) - 1, "another reason");
    for (size_t i = 0; i < count; i++) {
        const struct ty_journal_place *place = &work->voids[i].place;

        if (place->sequence != record->voided_sequence || place->series != record->series ||
            place->index != record->index)
            continue;
        CHECK(simulation, !work->known[i]->voided && work->known[i]->shard == shard,
              "an event is voided twice");
        work->known[i]->voided = true;
        work->known[i]->void_sequence = sequence;
        simulation->voids++;
        return;
    }
    CHECK(simulation, false, "a void is stored, but nobody sent it");
}

void simulation_check_taken_voids(struct simulation *simulation, const struct void_work *work,
                                  size_t count, uint64_t first)
{
    for (size_t i = 0; i < count; i++)
        CHECK(simulation, work->known[i]->voided || work->known[i]->sequence < first,
              "a void was left out");
}
