#include "query/rejects.h"

#include "storage/snapshot.h"

struct listing {
    bool (*each)(void *context, const struct ty_kept_reject *kept);
    void *context;
    size_t limit;
    size_t count;
    uint64_t last;
    bool ended; /* by `each` or the limit: one more is looked for, and not shown */
    bool more;
};

static bool visit(void *context, const struct ty_kept_reject *kept)
{
    struct listing *listing = context;

    if (listing->ended) {
        listing->more = true;
        return false;
    }
    listing->count++;
    listing->last = kept->seq;
    listing->ended = !listing->each(listing->context, kept) || listing->count == listing->limit;
    return true;
}

tally_status ty_rejects_list(const struct ty_database *database, uint64_t *before, size_t limit,
                             bool (*each)(void *context, const struct ty_kept_reject *kept),
                             void *context, bool *more, tally_error *error)
{
    struct listing listing = {
        .each = each, .context = context, .limit = limit, .last = *before, .ended = limit == 0};
    struct ty_store *store = ty_shard_view(ty_database_shard(database, 0)).store;
    struct ty_snapshot *snapshot;
    tally_status status = ty_snapshot_begin(store, &snapshot, error);

    *more = false;
    if (status != TALLY_OK)
        return status;
    status = ty_snapshot_each_reject(snapshot, before, visit, &listing, error);
    ty_snapshot_end(store, snapshot);
    if (status == TALLY_CORRUPT && listing.count != 0) { /* The next call meets it first. */
        listing.more = true;
        status = TALLY_OK;
    }
    if (status == TALLY_OK)
        *before = listing.last;
    *more = listing.more;
    return status;
}
