/*
 * verify_ids.c: the sealed runs of remembered ids of a shard that is verified: each against the
 * record, its lists against its pages, and all of them against the journal.
 *
 * The tree's keys go run by run, lists before pages. What the record does not name is what a crash
 * left, or a run that has gone: the server deletes it.
 *
 * Ids of the journal that the record says are sealed must be in a run; the others must not be in
 * one from before they arrived. Both are taken in while the journal is read, as far as memory
 * allows, and looked for here.
 */
#include "query/verify_internal.h"

#include <inttypes.h>

#define SECOND_MS        1000
#define BYTES_PER_ID_MIN 16 /* that an event takes in the journal */

static int64_t second_behind(int64_t ms)
{
    return (ms + SECOND_MS - 1) / SECOND_MS;
}

/* --- What is looked for --- */

void ty_verify_ids_begin(struct ty_verifier *verifier)
{
    const struct ty_id_runs_record *record = &verifier->runs;
    int64_t first_ms = INT64_MAX;

    for (uint32_t i = 0; i < record->count; i++) {
        first_ms = TY_MIN(first_ms, record->runs[i].first_ms);
        verifier->runs_until_ms = TY_MAX(verifier->runs_until_ms, record->runs[i].last_ms);
    }
    verifier->sought_base = record->count == 0 ? 0 : first_ms / SECOND_MS;
    if (verifier->has_runs && verifier->has_state && verifier->options->dedup_window_ms > 0)
        ty_verify_sought_init(&verifier->sought, verifier->state.journal_bytes / BYTES_PER_ID_MIN,
                              verifier->options->memory_bytes / 4);
}

/* Whether an id must be in a run, or could wrongly be in one. */
static bool is_sought(const struct ty_verifier *verifier, uint64_t sequence)
{
    const struct ty_id_runs_record *record = &verifier->runs;
    int64_t window_ms = verifier->options->dedup_window_ms, arrived_ms = verifier->arrival_ms;

    if (!verifier->has_runs || !verifier->has_state || window_ms <= 0)
        return false;
    if (sequence <= record->sealed_sequence)
        return arrived_ms > record->forgotten_until_ms &&
               arrived_ms >= verifier->state.arrival_ms - window_ms;
    return record->count != 0 && arrived_ms - window_ms <= verifier->runs_until_ms + SECOND_MS;
}

void ty_verify_seek_id(struct ty_verifier *verifier, const struct ty_series *series,
                       uint64_t sequence, const struct ty_key *key)
{
    int64_t second = second_behind(verifier->arrival_ms) - verifier->sought_base;

    if (!is_sought(verifier, sequence))
        return;
    second = TY_MIN(TY_MAX(second, 0), (int64_t)UINT32_MAX);
    if (!ty_verify_sought_add(&verifier->sought,
                              &(struct ty_verify_sought){.key = key->high,
                                                         .sequence = sequence,
                                                         .second = (uint32_t)second,
                                                         .series = series->id}))
        verifier->counts->uncompared_ids++;
}

/* A run remembers a key since a second. An event that arrived later, within the window, should not
 * have counted; one that did not is the very one. Those that the runs have from a time in which no
 * ids were remembered are not looked at: they may be there more than once. */
static void compare(struct ty_verifier *verifier, uint32_t run, const struct ty_key *key,
                    int64_t second)
{
    struct ty_verify_sought *found = ty_verify_sought_find(&verifier->sought, key->high);

    if (found == NULL || found->sequence == TY_VERIFY_SETTLED)
        return;
    second -= verifier->sought_base;
    if (found->sequence <= verifier->runs.sealed_sequence) {
        if (second >= found->second)
            found->sequence = TY_VERIFY_SETTLED;
    } else if (second < found->second &&
               SECOND_MS * (found->second - second) <=
                   verifier->options->dedup_window_ms - TY_VERIFY_ROUNDED_MS) {
        ty_verify_tell(verifier, ty_series_get(&verifier->series, found->series), "",
                       "journal value %" PRIu64
                       ": an id of it counts a second time, run %u remembers it from before",
                       found->sequence, run);
        found->sequence = TY_VERIFY_SETTLED;
    }
}

static void check_lost(struct ty_verifier *verifier)
{
    const struct ty_verify_sought_ids *sought = &verifier->sought;

    for (size_t i = 0; i < sought->capacity && !verifier->ids_damaged; i++) {
        const struct ty_verify_sought *id = &sought->table[i];

        if (id->sequence != 0 && id->sequence <= verifier->runs.sealed_sequence)
            ty_verify_tell(verifier, ty_series_get(&verifier->series, id->series), "",
                           "journal value %" PRIu64
                           ": an id of it is in no run, but ids are sealed up to value %" PRIu64,
                           id->sequence, verifier->runs.sealed_sequence);
    }
}

/* --- One run --- */

static void miss(struct ty_verifier *verifier, const char *what, uint32_t from, uint32_t until)
{
    const struct ty_id_run_record *record = verifier->run.record;

    verifier->ids_damaged = true;
    if (from + 1 == until)
        ty_verify_tell(verifier, NULL, "", "%s %u of run %u is missing", what, from, record->run);
    else
        ty_verify_tell(verifier, NULL, "", "%ss %u to %u of run %u are missing", what, from,
                       until - 1, record->run);
}

static void end_run(struct ty_verifier *verifier)
{
    struct ty_verify_run *run = &verifier->run;

    if (run->record == NULL)
        return;
    if (run->next_list < ty_id_run_lists(run->record))
        miss(verifier, "list", run->next_list, ty_id_run_lists(run->record));
    if (run->next_page < ty_id_run_pages(run->record))
        miss(verifier, "page", run->next_page, ty_id_run_pages(run->record));
    run->record = NULL;
}

/* Which of the record's runs has a number; the count: none. */
static uint32_t index_of(const struct ty_verifier *verifier, uint32_t number)
{
    uint32_t i = 0;

    while (i < verifier->runs.count && verifier->runs.runs[i].run != number)
        i++;
    return i;
}

/* Makes a run the one that is read; false: the record does not name it. */
static bool enter_run(struct ty_verifier *verifier, uint32_t number)
{
    struct ty_verify_run *run = &verifier->run;
    uint32_t index;

    if (run->record != NULL && run->record->run == number)
        return true;
    end_run(verifier);
    index = index_of(verifier, number);
    if (index == verifier->runs.count)
        return false;
    *run = (struct ty_verify_run){.record = &verifier->runs.runs[index]};
    verifier->run_seen[index] = true;
    return true;
}

/* A list or page takes its place; true: it has one. */
static bool take_place(struct ty_verifier *verifier, const char *what, uint32_t number,
                       uint32_t there, uint32_t *next)
{
    if (number >= there) {
        ty_verify_tell(verifier, NULL, "", "run %u has a %s %u, but only %u ids",
                       verifier->run.record->run, what, number, verifier->run.record->count);
        return false;
    }
    if (number > *next)
        miss(verifier, what, *next, number);
    *next = TY_MAX(*next, number + 1);
    return true;
}

/* All are full but for the last. */
static bool has_all(struct ty_verifier *verifier, const char *what, uint32_t number, uint32_t count,
                    uint32_t full)
{
    const struct ty_id_run_record *record = verifier->run.record;
    uint32_t wanted = TY_MIN(full, record->count - number * full);

    if (count == wanted)
        return true;
    ty_verify_tell(verifier, NULL, "", "%s %u of run %u has %u ids instead of %u", what, number,
                   record->run, count, wanted);
    return false;
}

void ty_verify_id_list(void *context, uint32_t number, uint32_t list, const uint64_t *prefixes,
                       uint32_t count)
{
    struct ty_verifier *verifier = context;
    struct ty_verify_run *run = &verifier->run;
    bool ascends = true;

    if (!enter_run(verifier, number)) {
        verifier->counts->id_leftovers++;
        return;
    }
    if (!take_place(verifier, "list", list, ty_id_run_lists(run->record), &run->next_list) ||
        !has_all(verifier, "list", list, count, TY_ID_LIST_IDS))
        return;
    for (uint32_t i = 0; i < count; i++) {
        ascends &= prefixes[i] >= run->last_prefix;
        run->last_prefix = prefixes[i];
    }
    if (!ascends)
        ty_verify_tell(verifier, NULL, "", "list %u of run %u is not in order", list, number);
}

/* What the lists have of an id; false: that list cannot be read, which has been told. */
static bool listed_prefix(struct ty_verifier *verifier, uint32_t index, uint64_t *prefix)
{
    struct ty_verify_run *run = &verifier->run;
    tally_error ignored;

    if (run->list_count == 0 || run->list != index / TY_ID_LIST_IDS) {
        run->list = index / TY_ID_LIST_IDS;
        if (ty_store_get_id_list(verifier->store, run->record, run->list, run->prefixes,
                                 &run->list_count, &ignored) != TALLY_OK)
            run->list_count = 0;
    }
    *prefix = run->prefixes[index % TY_ID_LIST_IDS];
    return index % TY_ID_LIST_IDS < run->list_count;
}

/* What is wrong with an id of a page, or NULL. */
static const char *check_id(struct ty_verifier *verifier, uint32_t index, const struct ty_id *id)
{
    struct ty_verify_run *run = &verifier->run;
    const struct ty_id_run_record *record = run->record;
    int64_t second = record->first_ms / SECOND_MS + id->arrived_ms / SECOND_MS;
    const char *problem = NULL;
    uint64_t prefix;

    if (run->has_last && ty_key_compare(&run->last, &id->key) >= 0)
        problem = "are not in order";
    else if (second < second_behind(record->first_ms) || second > second_behind(record->last_ms))
        problem = "did not arrive when those of the run did";
    else if (listed_prefix(verifier, index, &prefix) &&
             prefix != id->key.high >> TY_ID_PREFIX_SHIFT)
        problem = "are not those of the run's lists";
    run->last = id->key;
    run->has_last = true;
    compare(verifier, record->run, &id->key, second);
    return problem;
}

void ty_verify_id_page(void *context, uint32_t number, uint32_t page, const struct ty_id *ids,
                       uint32_t count)
{
    struct ty_verifier *verifier = context;
    struct ty_verify_run *run = &verifier->run;
    const char *problem = NULL;

    if (!enter_run(verifier, number)) {
        verifier->counts->id_leftovers++;
        return;
    }
    verifier->counts->sealed_ids += count;
    if (!take_place(verifier, "page", page, ty_id_run_pages(run->record), &run->next_page) ||
        !has_all(verifier, "page", page, count, TY_ID_PAGE_IDS))
        return;
    for (uint32_t i = 0; i < count; i++) {
        const char *wrong = check_id(verifier, page * TY_ID_PAGE_IDS + i, &ids[i]);

        problem = problem == NULL ? wrong : problem;
    }
    if (problem != NULL)
        ty_verify_tell(verifier, NULL, "", "page %u of run %u: its ids %s", page, number, problem);
}

void ty_verify_damaged_ids(struct ty_verifier *verifier, const struct ty_audit_damage *damage)
{
    bool is_page = damage->kind == TY_ID_PAGE;
    struct ty_verify_run *run = &verifier->run;
    uint32_t number = (uint32_t)damage->number, index = index_of(verifier, number), *next;

    verifier->ids_damaged = true;
    if (!is_page && damage->kind != TY_ID_PREFIXES) {
        ty_verify_tell(verifier, NULL, "", "an entry of run %u: %s", number, damage->problem);
        return;
    }
    ty_verify_tell(verifier, NULL, "", "%s %u of run %u: %s", is_page ? "page" : "list",
                   damage->part, number, damage->problem);
    if (index == verifier->runs.count || (verifier->run_seen[index] && run->record == NULL))
        return;
    /* It is there, and what comes next is not the first of its kind. */
    if (!verifier->run_seen[index])
        enter_run(verifier, number);
    next = is_page ? &run->next_page : &run->next_list;
    if (run->record->run == number && damage->part == *next)
        ++*next;
}

/* --- All of them --- */

/* Runs leave the window from the first on. */
static void check_record(struct ty_verifier *verifier)
{
    const struct ty_id_runs_record *record = &verifier->runs;

    if (verifier->has_state && record->sealed_sequence > verifier->state.last_sequence)
        ty_verify_tell(verifier, NULL, "",
                       "ids are sealed up to journal value %" PRIu64
                       ", but the last one is %" PRIu64,
                       record->sealed_sequence, verifier->state.last_sequence);
    for (uint32_t i = 0; i < record->count; i++) {
        const struct ty_id_run_record *run = &record->runs[i];

        if (run->first_ms > run->last_ms)
            ty_verify_tell(verifier, NULL, "", "run %u ends before it begins", run->run);
        if (i > 0 && run->last_ms < record->runs[i - 1].last_ms)
            ty_verify_tell(verifier, NULL, "", "run %u is older than run %u before it", run->run,
                           record->runs[i - 1].run);
        for (uint32_t other = 0; other < i; other++)
            if (record->runs[other].run == run->run)
                ty_verify_tell(verifier, NULL, "", "the record names run %u twice", run->run);
    }
}

void ty_verify_ids_end(struct ty_verifier *verifier)
{
    const struct ty_id_runs_record *record = &verifier->runs;

    end_run(verifier);
    check_record(verifier);
    for (uint32_t i = 0; i < record->count; i++)
        if (!verifier->run_seen[i] && record->runs[i].count != 0) {
            verifier->ids_damaged = true;
            ty_verify_tell(verifier, NULL, "", "run %u is missing: it has %u ids",
                           record->runs[i].run, record->runs[i].count);
        }
    check_lost(verifier);
    verifier->counts->id_runs = record->count;
    ty_verify_sought_fini(&verifier->sought);
}
