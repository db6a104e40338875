#include "query/closing.h"

#include <stdio.h>
#include <string.h>

#include "engine/period.h"
#include "query/rollup.h"
#include "storage/snapshot.h"

#define MONTH_LENGTH 7

const char *ty_closing_parse(const char *text, size_t length, int32_t *month)
{
    int64_t period;
    const char *problem;

    if (length != MONTH_LENGTH)
        return "a month is allowed, like 2023-01";
    problem = ty_period_parse(TALLY_MONTHLY, text, length, &period);
    if (problem == NULL)
        *month = (int32_t)period;
    return problem;
}

void ty_closing_explain(const struct ty_close *close, char text[TY_CLOSING_TEXT_BYTES])
{
    char month[TY_PERIOD_TEXT_BYTES], allowed[TY_PERIOD_TEXT_BYTES];

    ty_period_format(TALLY_MONTHLY, close->through, month);
    switch (close->result) {
    case TY_CLOSE_EARLIER:
        ty_period_format(TALLY_MONTHLY, close->closed.through, allowed);
        snprintf(text, TY_CLOSING_TEXT_BYTES,
                 "the months of this customer are closed through %s, and stay so; that month or a "
                 "later one is allowed",
                 allowed);
        return;
    case TY_CLOSE_NOT_ENDED:
        ty_period_format(TALLY_MONTHLY, close->latest, allowed);
        snprintf(text, TY_CLOSING_TEXT_BYTES,
                 "%s has not ended (in UTC, by the clock of the database); %s is the latest that "
                 "is allowed",
                 month, allowed);
        return;
    case TY_CLOSE_UNKNOWN:
        snprintf(text, TY_CLOSING_TEXT_BYTES,
                 "no event of this customer was ever accepted, so there is nothing to close");
        return;
    default:
        snprintf(text, TY_CLOSING_TEXT_BYTES, "it was not stored");
    }
}

void ty_closing_fill(const struct ty_closed *closed, tally_closed *out)
{
    *out = (tally_closed){.closed_ms = closed->closed_ms, .revisions = closed->revisions};
    if (closed->through != TY_NOT_CLOSED)
        ty_period_format(TALLY_MONTHLY, closed->through, out->through);
}

/* --- Revisions --- */

static tally_status find_workflow(struct ty_snapshot *snapshot, const struct ty_uuid *customer,
                                  const struct ty_revision *revision, struct ty_uuid *workflow,
                                  tally_error *error)
{
    struct ty_uuid owner;
    tally_status status =
        ty_snapshot_get_series(snapshot, revision->series, &owner, workflow, error);

    if (status != TALLY_OK || ty_uuid_compare(&owner, customer) == 0)
        return status;
    return ty_fail(error, TALLY_CORRUPT, "revision %llu is of series %u, of another customer",
                   (unsigned long long)revision->number, revision->series);
}

static tally_status read_one(struct ty_snapshot *snapshot, const struct ty_uuid *customer,
                             uint64_t number, tally_revision *out, tally_error *error)
{
    struct ty_uuid workflow = {{0}};
    struct ty_revision revision;
    tally_status status = ty_snapshot_get_revision(snapshot, customer, number, &revision, error);

    if (status == TALLY_OK)
        status = find_workflow(snapshot, customer, &revision, &workflow, error);
    if (status != TALLY_OK)
        return status;
    *out = (tally_revision){.number = number,
                            .received_ms = revision.received_ms,
                            .events = revision.events,
                            .voided = revision.voided};
    memcpy(out->workflow_id, workflow.bytes, sizeof(out->workflow_id));
    ty_rollup_fill(&out->before, TALLY_MONTHLY, revision.month, &revision.before);
    ty_rollup_fill(&out->after, TALLY_MONTHLY, revision.month, &revision.after);
    return TALLY_OK;
}

static tally_status list(struct ty_snapshot *snapshot, const struct ty_uuid *customer,
                         uint64_t *after, uint64_t last, size_t limit,
                         bool (*each)(void *context, const tally_revision *revision), void *context,
                         tally_error *error)
{
    tally_revision revision;
    tally_status status;

    for (size_t count = 0; count < limit && *after < last; count++) {
        status = read_one(snapshot, customer, *after + 1, &revision, error);
        if (status == TALLY_CORRUPT && count != 0)
            return TALLY_OK; /* The next call meets it first. */
        if (status == TALLY_OK || status == TALLY_CORRUPT)
            ++*after;
        if (status != TALLY_OK)
            return status;
        if (!each(context, &revision))
            return TALLY_OK;
    }
    return TALLY_OK;
}

tally_status ty_revisions_list(const struct ty_database *database, const struct ty_uuid *customer,
                               uint64_t *after, size_t limit,
                               bool (*each)(void *context, const tally_revision *revision),
                               void *context, tally_closed *closed, bool *more, tally_error *error)
{
    struct ty_store *store = ty_shard_view(ty_database_shard_of(database, customer)).store;
    struct ty_snapshot *snapshot;
    struct ty_closed found;
    tally_status status = ty_snapshot_begin(store, &snapshot, error);

    *more = false;
    if (status != TALLY_OK)
        return status;
    status = ty_snapshot_get_closed(snapshot, customer, &found, error);
    if (status == TALLY_OK)
        status = list(snapshot, customer, after, found.revisions, limit, each, context, error);
    ty_snapshot_end(store, snapshot);
    if (status != TALLY_OK)
        return status;
    *more = *after < found.revisions;
    ty_closing_fill(&found, closed);
    return TALLY_OK;
}
