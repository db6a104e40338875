#include "query/void_find.h"

#include <stdlib.h>
#include <string.h>

#include "storage/snapshot.h"

/* What is read in one snapshot: long ones keep pages from being used again. */
#define SLICE_BYTES ((size_t)64 << 20)

/* One of what is wanted, to be found by its key. */
struct place {
    struct ty_key key;
    struct ty_void_wanted *wanted;
    uint64_t sequence; /* of the value where it was found; 0: not yet */
};

struct search {
    const struct ty_secret *secret;
    struct ty_uuid customer;
    struct ty_arena *arena;
    struct ty_series **series; /* of the customer, by id */
    size_t series_count;
    struct place *places; /* by key */
    size_t place_count;
    size_t left; /* not found yet */
    size_t read; /* bytes, in this snapshot */
    bool failed; /* no memory */
    bool sliced; /* there is more to be read */
    int64_t oldest_ms;
};

static int compare_series(const void *a, const void *b)
{
    uint32_t left = (*(struct ty_series *const *)a)->id,
             right = (*(struct ty_series *const *)b)->id;

    return (left > right) - (left < right);
}

/* Older series never change, so that both walks from the same start see the same list. */
static bool list_series(struct search *search, const struct ty_shard_view *view)
{
    struct ty_series *newest = ty_series_newest_of(view->series, &search->customer);

    for (struct ty_series *each = newest; each != NULL; each = each->older_of_customer)
        search->series_count++;
    search->series = malloc(TY_MAX(search->series_count, (size_t)1) * sizeof(*search->series));
    if (search->series == NULL)
        return false;
    search->series_count = 0;
    for (struct ty_series *each = newest; each != NULL; each = each->older_of_customer)
        search->series[search->series_count++] = each;
    qsort(search->series, search->series_count, sizeof(*search->series), compare_series);
    return true;
}

static const struct ty_series *find_series(const struct search *search, uint32_t id)
{
    size_t low = 0, high = search->series_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (search->series[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < search->series_count && search->series[low]->id == id ? search->series[low] : NULL;
}

static int compare_places(const void *a, const void *b)
{
    return ty_key_compare(&((const struct place *)a)->key, &((const struct place *)b)->key);
}

static bool list_places(struct search *search, struct ty_void_wanted *wanted, size_t count)
{
    search->places = calloc(TY_MAX(count, (size_t)1), sizeof(*search->places));
    if (search->places == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct ty_event event = {
            .customer = search->customer, .id = wanted[i].id, .source = wanted[i].source};

        ty_event_hash(&event, search->secret);
        wanted[i].found = false;
        search->places[i] = (struct place){.key = event.key, .wanted = &wanted[i]};
    }
    search->place_count = search->left = count;
    qsort(search->places, count, sizeof(*search->places), compare_places);
    return true;
}

/* The first place with a key; the same may be wanted twice. */
static struct place *find_place(const struct search *search, const struct ty_key *key)
{
    size_t low = 0, high = search->place_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ty_key_compare(&search->places[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return &search->places[low];
}

static void copy_event(struct search *search, struct ty_void *what, const struct ty_event *event)
{
    what->event = *event;
    what->event.id = ty_arena_copy(search->arena, event->id);
    what->event.source = ty_arena_copy(search->arena, event->source);
    what->event.user = ty_arena_copy(search->arena, event->user);
    search->failed |= what->event.id.data == NULL;
}

/* Values come newest first, but the events of one in their order: the last of them stands. */
static void meet(struct search *search, uint64_t sequence, int64_t received_ms,
                 const struct ty_series *series, struct ty_journal_record *record)
{
    struct ty_event *event = &record->event;
    const struct place *end = search->places + search->place_count;

    event->customer = series->customer;
    event->workflow = series->workflow;
    ty_event_hash(event, search->secret);
    for (struct place *place = find_place(search, &event->key);
         place < end && ty_key_compare(&place->key, &event->key) == 0; place++) {
        if (place->sequence != 0 && place->sequence != sequence)
            continue;
        search->left -= place->sequence == 0;
        place->sequence = sequence;
        place->wanted->found = true;
        place->wanted->what = (struct ty_void){
            .place = {.sequence = sequence, .series = series->id, .index = record->index},
            .received_ms = received_ms};
        copy_event(search, &place->wanted->what, event);
    }
}

static bool read_value(void *context, uint64_t sequence, struct ty_journal_cursor *journal,
                       size_t length)
{
    struct search *search = context;
    struct ty_journal_record record;

    search->oldest_ms = journal->header.received_ms;
    while (ty_journal_next(journal, &record)) {
        const struct ty_series *series;

        if (record.kind != TY_JOURNAL_EVENT)
            continue;
        series = find_series(search, record.series);
        if (series == NULL)
            ty_journal_skip_group(journal);
        else
            meet(search, sequence, journal->header.received_ms, series, &record);
    }
    search->read += length;
    search->sliced = search->read >= SLICE_BYTES;
    return search->left != 0 && !search->failed && !search->sliced;
}

static tally_status read_slice(struct search *search, struct ty_store *store, uint64_t *before,
                               tally_error *error)
{
    struct ty_snapshot *snapshot;
    tally_status status = ty_snapshot_begin(store, &snapshot, error);

    search->read = 0;
    search->sliced = false;
    if (status != TALLY_OK)
        return status;
    status = ty_snapshot_each_journal_back(snapshot, before, read_value, search, error);
    ty_snapshot_end(store, snapshot);
    return status;
}

static tally_status look_through(struct search *search, struct ty_store *store, tally_error *error)
{
    uint64_t before = UINT64_MAX;
    tally_status status;

    do
        status = read_slice(search, store, &before, error);
    while (status == TALLY_OK && search->sliced && search->left != 0 && !search->failed);
    return status == TALLY_OK && search->failed
               ? ty_fail(error, TALLY_NO_MEMORY, "no memory for the events")
               : status;
}

tally_status ty_void_find(const struct ty_shard_view *view, const struct ty_secret *secret,
                          const struct ty_uuid *customer, struct ty_void_wanted *wanted,
                          size_t count, struct ty_arena *arena, int64_t *oldest_ms,
                          tally_error *error)
{
    struct search search = {.secret = secret, .customer = *customer, .arena = arena};
    tally_status status = TALLY_OK;

    if (!list_series(&search, view) || !list_places(&search, wanted, count))
        status = ty_fail(error, TALLY_NO_MEMORY, "no memory to look for events");
    else if (count != 0)
        status = look_through(&search, view->store, error);
    *oldest_ms = search.oldest_ms;
    free(search.series);
    free(search.places);
    return status;
}

/* --- From what was found to voids, and back --- */

bool ty_void_list(const struct ty_void_wanted *wanted, size_t count, struct ty_text reason,
                  struct ty_arena *arena, struct ty_voiding *voiding)
{
    struct ty_void *voids = ty_arena_alloc(arena, (count + 1) * sizeof(*voids));

    if (voids == NULL)
        return false;
    *voiding = (struct ty_voiding){.voids = voids};
    for (size_t i = 0; i < count; i++)
        if (wanted[i].found) {
            voids[voiding->count] = wanted[i].what;
            voids[voiding->count++].reason = reason;
        }
    return true;
}

void ty_void_take_results(struct ty_void_wanted *wanted, size_t count,
                          const struct ty_voiding *voiding)
{
    size_t next = 0;

    for (size_t i = 0; i < count; i++)
        if (wanted[i].found)
            wanted[i].what.result = voiding->voids[next++].result;
}
