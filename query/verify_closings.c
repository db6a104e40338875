/*
 * verify_closings.c: the closings and revisions of a shard that is verified: against the series,
 * against each other, and against the stored months.
 *
 * Revisions of a series and month follow each other: one begins with what the one before ended
 * with. The last one that a stored month is complete up to says what that month holds.
 */
#include "query/verify_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#define CHAINS_MIN 1024

/* --- The revisions of each series and month, as far as they were read --- */

struct ty_verify_chain {
    uint32_t series;
    int32_t month;
    bool used;              /* this place of the table is taken */
    bool has_stored;        /* some revision is in the stored month */
    bool readable;          /* the stored month can be read */
    uint64_t number;        /* of the last revision */
    struct ty_total last;   /* what that ended with */
    struct ty_total stored; /* what the last one ended with that is in the stored month */
    struct ty_month_block block;
};

static struct ty_verify_chain *place_of(const struct ty_verify_chains *chains, uint32_t series,
                                        int32_t month)
{
    uint64_t hash = ((uint64_t)series << 32 | (uint32_t)month) * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(hash >> 20) & (chains->capacity - 1);

    while (chains->table[i].used &&
           (chains->table[i].series != series || chains->table[i].month != month))
        i = (i + 1) & (chains->capacity - 1);
    return &chains->table[i];
}

static bool grow(struct ty_verify_chains *chains)
{
    struct ty_verify_chains larger = *chains;

    larger.capacity = chains->capacity == 0 ? CHAINS_MIN : 2 * chains->capacity;
    larger.table = calloc(larger.capacity, sizeof(*larger.table));
    if (larger.table == NULL)
        return false;
    for (size_t i = 0; i < chains->capacity; i++)
        if (chains->table[i].used)
            *place_of(&larger, chains->table[i].series, chains->table[i].month) = chains->table[i];
    free(chains->table);
    *chains = larger;
    return true;
}

void ty_verify_chains_fini(struct ty_verify_chains *chains)
{
    free(chains->table);
    *chains = (struct ty_verify_chains){0};
}

/* NULL: the memory is used up, and the revision is compared with no other. *is_new: it is the first
 * of its chain. */
static struct ty_verify_chain *chain_of(struct ty_verifier *verifier,
                                        const struct ty_revision *revision, bool *is_new)
{
    struct ty_verify_chains *chains = &verifier->chains;
    /* While it grows, the table is there one and a half times, and it is at least half empty. */
    size_t most = (size_t)(verifier->options->memory_bytes / 4 / (3 * sizeof(*chains->table)));
    struct ty_verify_chain *chain;
    tally_error ignored; /* The blocks' own check tells. */

    *is_new = false;
    if (chains->capacity != 0) {
        chain = place_of(chains, revision->series, revision->month);
        if (chain->used)
            return chain;
    }
    if (chains->count >= most || (2 * chains->count >= chains->capacity && !grow(chains)))
        return NULL;
    chains->count++;
    *is_new = true;
    chain = place_of(chains, revision->series, revision->month);
    *chain = (struct ty_verify_chain){
        .series = revision->series, .month = revision->month, .used = true};
    chain->readable = ty_store_get_month(verifier->store, revision->series, revision->month,
                                         &chain->block, &ignored) == TALLY_OK;
    return chain;
}

/* --- Closings --- */

static void name(const struct ty_uuid *customer, char text[TY_UUID_TEXT_LENGTH + 1])
{
    ty_uuid_format(customer, text);
    text[TY_UUID_TEXT_LENGTH] = '\0';
}

void ty_verify_closing(void *context, const struct ty_uuid *customer,
                       const struct ty_closed *closed)
{
    struct ty_verifier *verifier = context;
    struct ty_closed_customer *known = ty_series_closed_of(&verifier->series, customer, true);
    char text[TY_UUID_TEXT_LENGTH + 1];

    name(customer, text);
    verifier->counts->closings++;
    if (!ty_verify_is_month(closed->through))
        ty_verify_tell(verifier, NULL, "",
                       "customer %s is closed through month %d, which is no date", text,
                       closed->through);
    if (verifier->has_state && closed->sequence > verifier->state.last_sequence)
        ty_verify_tell(verifier, NULL, "",
                       "customer %s was closed after value %" PRIu64
                       ", but the last one is %" PRIu64,
                       text, closed->sequence, verifier->state.last_sequence);
    if (known != NULL) {
        known->stored = *closed; /* `working` counts the revisions that are found. */
        *ty_closings_change(&verifier->closings, known) = (struct ty_closed){0};
    } else if (!verifier->series_damaged) {
        ty_verify_tell(verifier, NULL, "", "customer %s has a closing, but no series", text);
    }
}

/* --- Revisions --- */

/* Whose and when. */
static void check_place(struct ty_verifier *verifier, const struct ty_series *series,
                        const struct ty_revision *revision, const struct ty_closed *closed,
                        const char *date)
{
    if (revision->month > closed->through)
        ty_verify_tell(verifier, series, date, "revision %" PRIu64 " is of %s, which is not closed",
                       revision->number, date);
    else if (revision->month == closed->through && revision->sequence != 0 &&
             revision->sequence <= closed->sequence)
        ty_verify_tell(verifier, series, date,
                       "revision %" PRIu64 " of %s is of journal value %" PRIu64
                       ", but the month was closed after value %" PRIu64,
                       revision->number, date, revision->sequence, closed->sequence);
    if (verifier->has_state && revision->sequence > verifier->state.last_sequence)
        ty_verify_tell(verifier, series, date,
                       "revision %" PRIu64 " is of journal value %" PRIu64
                       ", but the last one is %" PRIu64,
                       revision->number, revision->sequence, verifier->state.last_sequence);
    if (revision->after.events != revision->before.events + revision->events - revision->voided)
        ty_verify_tell(verifier, series, date,
                       "revision %" PRIu64 ": %" PRIu64 " events, %" PRIu64 " more and %" PRIu64
                       " voided, are not %" PRIu64,
                       revision->number, revision->before.events, revision->events,
                       revision->voided, revision->after.events);
}

/* That it goes on where the one before ended. */
static void check_chain(struct ty_verifier *verifier, const struct ty_series *series,
                        const struct ty_revision *revision, const char *date)
{
    bool is_new;
    struct ty_verify_chain *chain = chain_of(verifier, revision, &is_new);

    if (chain == NULL) {
        verifier->counts->uncompared_revisions++;
        return;
    }
    if (!is_new && !verifier->revisions_damaged && !ty_total_equal(&chain->last, &revision->before))
        ty_verify_tell(verifier, series, date,
                       "revision %" PRIu64 " of %s does not begin with what revision %" PRIu64
                       " ended with",
                       revision->number, date, chain->number);
    chain->number = revision->number;
    chain->last = revision->after;
    if (revision->sequence <= chain->block.stamp) {
        chain->has_stored = true;
        chain->stored = revision->after;
    }
}

static void check_order(struct ty_verifier *verifier, struct ty_closed_customer *customer,
                        const struct ty_revision *revision, const char *text)
{
    struct ty_closed *seen = &customer->working;

    if (!verifier->revisions_damaged && revision->number != seen->revisions + 1)
        ty_verify_tell(verifier, NULL, "",
                       "revision %" PRIu64 " of customer %s is missing: behind it comes %" PRIu64,
                       seen->revisions + 1, text, revision->number);
    if (revision->sequence != 0 && revision->sequence < seen->sequence)
        ty_verify_tell(verifier, NULL, "",
                       "revision %" PRIu64 " of customer %s is of journal value %" PRIu64
                       ", the one before of %" PRIu64,
                       revision->number, text, revision->sequence, seen->sequence);
    seen->revisions = revision->number;
    seen->sequence = TY_MAX(seen->sequence, revision->sequence);
}

void ty_verify_revision(void *context, const struct ty_uuid *customer,
                        const struct ty_revision *revision)
{
    struct ty_verifier *verifier = context;
    struct ty_closed_customer *closed = ty_series_closed_of(&verifier->series, customer, false);
    const struct ty_series *series = ty_series_get(&verifier->series, revision->series);
    char text[TY_UUID_TEXT_LENGTH + 1], date[TY_PERIOD_TEXT_BYTES] = "a month";

    name(customer, text);
    verifier->counts->revisions++;
    if (ty_verify_is_month(revision->month))
        ty_verify_date(TALLY_MONTHLY, revision->month, date);
    else
        ty_verify_tell(verifier, NULL, "", "revision %" PRIu64 " is of month %d, which is no date",
                       revision->number, revision->month);
    if (series == NULL || ty_uuid_compare(&series->customer, customer) != 0)
        ty_verify_tell(verifier, NULL, date,
                       "revision %" PRIu64 " of customer %s is of series %u, which is %s",
                       revision->number, text, revision->series,
                       series != NULL             ? "another customer's"
                       : verifier->series_damaged ? "damaged"
                                                  : "unknown");
    if (closed == NULL || !closed->changed) {
        if (!verifier->closings_damaged && !verifier->series_damaged)
            ty_verify_tell(verifier, NULL, date,
                           "customer %s has a revision %" PRIu64 ", but no closing", text,
                           revision->number);
        return;
    }
    check_order(verifier, closed, revision, text);
    check_place(verifier, series, revision, &closed->stored, date);
    check_chain(verifier, series, revision, date);
}

static void check_stored(struct ty_verifier *verifier, const struct ty_verify_chain *chain)
{
    char date[TY_PERIOD_TEXT_BYTES];

    if (!chain->used || !chain->has_stored || !chain->readable || verifier->revisions_damaged ||
        !ty_verify_is_month(chain->month) || ty_total_equal(&chain->stored, &chain->block.total))
        return;
    ty_verify_date(TALLY_MONTHLY, chain->month, date);
    ty_verify_tell(verifier, ty_series_get(&verifier->series, chain->series), date,
                   "%s is not what the last of its revisions ended with", date);
}

void ty_verify_revisions_end(struct ty_verifier *verifier)
{
    const struct ty_closed_customer *customer = verifier->closings.changed;
    char text[TY_UUID_TEXT_LENGTH + 1];

    for (; customer != NULL && !verifier->revisions_damaged; customer = customer->next_changed) {
        if (customer->working.revisions == customer->stored.revisions)
            continue;
        name(&customer->customer, text);
        ty_verify_tell(verifier, NULL, "",
                       "the last revision of customer %s is %" PRIu64 ", its closing says %" PRIu64,
                       text, customer->working.revisions, customer->stored.revisions);
    }
    for (size_t i = 0; i < verifier->chains.capacity; i++)
        check_stored(verifier, &verifier->chains.table[i]);
}

/* --- Damage --- */

void ty_verify_damaged_closing(struct ty_verifier *verifier, const struct ty_audit_damage *damage)
{
    char text[TY_UUID_TEXT_LENGTH + 1];

    name(&damage->customer, text);
    if (damage->tree == TY_AUDIT_CLOSINGS) {
        verifier->closings_damaged = true;
        ty_verify_tell(verifier, NULL, "", "the closing of customer %s: %s", text, damage->problem);
    } else {
        verifier->revisions_damaged = true;
        ty_verify_tell(verifier, NULL, "", "revision %" PRIu64 " of customer %s: %s",
                       damage->number, text, damage->problem);
    }
}
