#include "tests/support/reference.h"

#include <stdlib.h>
#include <string.h>

void reference_fini(struct reference *reference)
{
    for (size_t i = 0; i < reference->count; i++)
        free(reference->events[i]);
    free(reference->events);
    *reference = (struct reference){0};
}

static bool same_text(struct ty_text a, struct ty_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static bool same_key(const struct ty_event *a, const struct ty_event *b)
{
    return ty_uuid_compare(&a->customer, &b->customer) == 0 && same_text(a->id, b->id) &&
           same_text(a->source, b->source);
}

static bool same_content(const struct ty_event *a, const struct ty_event *b)
{
    return ty_uuid_compare(&a->workflow, &b->workflow) == 0 && a->time_ms == b->time_ms &&
           a->credits == b->credits && a->documents == b->documents && a->pages == b->pages &&
           a->processing_ms == b->processing_ms && same_text(a->user, b->user);
}

bool reference_same_event(const struct ty_event *a, const struct ty_event *b)
{
    return same_key(a, b) && same_content(a, b);
}

/* --- Chains --- */

static size_t mix(size_t hash, const void *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ ((const uint8_t *)data)[i]) * 16777619u;
    return hash;
}

static size_t chain_of_id(struct ty_text id)
{
    return mix(2166136261u, id.data, id.length) % REFERENCE_CHAINS;
}

static size_t chain_of_series(const struct ty_uuid *customer, const struct ty_uuid *workflow)
{
    size_t hash = mix(2166136261u, customer->bytes, sizeof(customer->bytes));

    return mix(hash, workflow->bytes, sizeof(workflow->bytes)) % REFERENCE_CHAINS;
}

struct reference_event *reference_newest_of_id(const struct reference *reference, struct ty_text id)
{
    return reference->by_id[chain_of_id(id)];
}

/* --- Deciding --- */

static tally_result check_time(const struct reference *reference, const struct ty_event *event,
                               int64_t received_ms)
{
    int64_t time_ms = event->time_ms == TALLY_TIME_OF_ARRIVAL ? received_ms : event->time_ms;

    if (time_ms < TALLY_TIME_MS_MIN)
        return TALLY_TOO_OLD;
    return time_ms > received_ms + reference->future_ms_max ? TALLY_TOO_NEW : TALLY_ACCEPTED;
}

unsigned reference_decide(const struct reference *reference, const struct ty_event *event,
                          const struct reference_commit *commit)
{
    int64_t sure_ms = TY_MIN(reference->window_ms, commit->remembered_ms);
    const struct reference_event *known = reference_newest_of_id(reference, event->id);
    unsigned allowed = 0;

    /* Newest first: an id that was forgotten and used again stands for its last content. */
    for (; reference->window_ms > 0 && known != NULL; known = known->older_of_id) {
        int64_t age_ms = commit->arrival_ms - known->arrival_ms;

        if (!same_key(&known->event, event) || age_ms > reference->window_ms + reference->slack_ms)
            continue;
        allowed |= 1u << (same_content(&known->event, event) ? TALLY_DUPLICATE : TALLY_ID_CONFLICT);
        if (!known->lapsed && age_ms <= sure_ms)
            return allowed;
    }
    return allowed | 1u << check_time(reference, event, commit->received_ms);
}

static void link_event(struct reference *reference, struct reference_event *stored)
{
    struct reference_event **of_id = &reference->by_id[chain_of_id(stored->event.id)];
    struct reference_event **of_series =
        &reference->by_series[chain_of_series(&stored->event.customer, &stored->event.workflow)];

    stored->older_of_id = *of_id;
    *of_id = stored;
    stored->older_of_series = *of_series;
    *of_series = stored;
    reference->events[reference->count++] = stored;
}

void reference_add(struct reference *reference, const struct ty_event *event,
                   const struct reference_commit *commit)
{
    struct reference_event *stored = calloc(1, sizeof(*stored));

    if (reference->count == reference->capacity) {
        reference->capacity = TY_MAX(reference->capacity * 2, (size_t)1024);
        reference->events =
            realloc(reference->events, reference->capacity * sizeof(*reference->events));
    }
    TY_ASSERT(stored != NULL && reference->events != NULL && event->source.length == 0);
    stored->event = *event;
    memcpy(stored->id, event->id.data, event->id.length);
    stored->event.id.data = stored->id;
    if (event->user.length != 0)
        memcpy(stored->user, event->user.data, event->user.length);
    stored->event.user.data = stored->user;
    stored->time_ms =
        event->time_ms == TALLY_TIME_OF_ARRIVAL ? commit->received_ms : event->time_ms;
    stored->received_ms = commit->received_ms;
    stored->arrival_ms = commit->arrival_ms;
    stored->shard = commit->shard;
    stored->sequence = commit->sequence;
    link_event(reference, stored);
}

void reference_lapse(struct reference *reference, unsigned shard, int64_t arrival_ms,
                     int64_t remembered_ms)
{
    int64_t sure_ms = TY_MIN(reference->window_ms, remembered_ms);

    for (size_t i = 0; i < reference->count; i++) {
        struct reference_event *known = reference->events[i];

        if (known->shard == shard && arrival_ms - known->arrival_ms >= sure_ms)
            known->lapsed = true;
    }
}

struct ty_total reference_total(const struct reference *reference, const struct ty_uuid *customer,
                                const struct ty_uuid *workflow, int64_t start_ms, int64_t end_ms)
{
    const struct reference_event *stored =
        reference->by_series[chain_of_series(customer, workflow)];
    struct ty_total total = {0};

    for (; stored != NULL; stored = stored->older_of_series) {
        if (stored->voided || stored->time_ms < start_ms || stored->time_ms >= end_ms ||
            ty_uuid_compare(&stored->event.customer, customer) != 0 ||
            ty_uuid_compare(&stored->event.workflow, workflow) != 0)
            continue;
        total.events++;
        total.credits += stored->event.credits;
        total.documents += stored->event.documents;
        total.pages += stored->event.pages;
        total.processing_ms += (ty_int128)stored->event.processing_ms;
    }
    return total;
}
