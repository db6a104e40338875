/*
 * tally_void.c: voids of the embedded API (include/tally.h).
 */
#include <string.h>

#include "query/tally_internal.h"
#include "query/void_find.h"
#include "shard/waiter.h"

struct request {
    struct ty_voiding voiding;
    struct ty_waiter waiter;
    struct ty_arena arena;
    struct ty_uuid customer;
    struct ty_text reason;
    struct ty_void_wanted *wanted;
    size_t count;
};

/* --- What is asked for --- */

static tally_status check_reason(const char *reason, tally_error *error)
{
    size_t length = reason == NULL ? 0 : strlen(reason);

    if (length != 0 &&
        ty_tally_check_text(reason, length, TALLY_VOID_REASON_BYTES_MAX) == TALLY_ACCEPTED)
        return TALLY_OK;
    return ty_fail(error, TALLY_INVALID, "reason: a text of 1 to %d bytes of UTF-8 is required",
                   TALLY_VOID_REASON_BYTES_MAX);
}

static tally_status check_id(const tally_event_id *id, size_t index, tally_error *error)
{
    if (id->id_length == 0 ||
        ty_tally_check_text(id->id, id->id_length, TALLY_ID_BYTES_MAX) != TALLY_ACCEPTED)
        return ty_fail(error, TALLY_INVALID,
                       "ids[%zu].id: a text of 1 to %d bytes of UTF-8 without zero is required",
                       index, TALLY_ID_BYTES_MAX);
    if (ty_tally_check_text(id->source, id->source_length, TALLY_SOURCE_BYTES_MAX) !=
        TALLY_ACCEPTED)
        return ty_fail(error, TALLY_INVALID,
                       "ids[%zu].source: a text of at most %d bytes of UTF-8 without zero is "
                       "allowed",
                       index, TALLY_SOURCE_BYTES_MAX);
    return TALLY_OK;
}

static tally_status take_ids(struct request *request, const tally_event_id *ids, size_t count,
                             tally_error *error)
{
    tally_status status = TALLY_OK;

    if (count > TALLY_VOIDS_MAX)
        return ty_fail(error, TALLY_INVALID, "%zu ids; at most %d are allowed", count,
                       TALLY_VOIDS_MAX);
    request->wanted = ty_arena_alloc(&request->arena, (count + 1) * sizeof(*request->wanted));
    if (request->wanted == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for the voids");
    for (size_t i = 0; i < count && status == TALLY_OK; i++) {
        request->wanted[i] = (struct ty_void_wanted){
            .id = {ids[i].id, ids[i].id_length}, .source = {ids[i].source, ids[i].source_length}};
        status = check_id(&ids[i], i, error);
    }
    request->count = count;
    return status;
}

/* --- Voiding --- */

static void voided(struct ty_voiding *voiding)
{
    ty_waiter_wake(&TY_CONTAINER_OF(voiding, struct request, voiding)->waiter);
}

static tally_status find(struct ty_database *database, struct request *request, tally_error *error)
{
    struct ty_shard_view view = ty_shard_view(ty_database_shard_of(database, &request->customer));
    int64_t oldest_ms;

    return ty_void_find(&view, ty_database_secret(database), &request->customer, request->wanted,
                        request->count, &request->arena, &oldest_ms, error);
}

static tally_status carry_out(struct ty_database *database, struct request *request,
                              tally_error *error)
{
    struct ty_voiding *voiding = &request->voiding;

    if (!ty_void_list(request->wanted, request->count, request->reason, &request->arena, voiding))
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for the voids");
    voiding->done = voided;
    ty_database_void(database, &request->customer, voiding);
    ty_waiter_await(&request->waiter);
    ty_void_take_results(request->wanted, request->count, voiding);
    if (voiding->status == TALLY_OK)
        return TALLY_OK;
    return ty_fail(error, voiding->status, "%s",
                   voiding->problem != NULL ? voiding->problem : tally_strerror(voiding->status));
}

/* --- What became of it --- */

static tally_void_result result_of(const struct ty_void_wanted *wanted)
{
    if (!wanted->found)
        return TALLY_VOID_UNKNOWN_ID;
    switch (wanted->what.result) {
    case TY_VOID_DONE:
        return TALLY_VOIDED;
    case TY_VOID_ALREADY:
        return TALLY_ALREADY_VOIDED;
    case TY_VOID_TRIMMED:
        return TALLY_VOID_UNKNOWN_ID;
    case TY_VOID_OVERFLOW:
        return TALLY_VOID_OVERFLOW;
    case TY_VOID_NOT_STORED:
        break;
    }
    return TALLY_NOT_VOIDED;
}

static void set_results(const struct request *request, bool decided, size_t count,
                        tally_void_result *results)
{
    for (size_t i = 0; results != NULL && i < count; i++)
        results[i] = decided ? result_of(&request->wanted[i]) : TALLY_NOT_VOIDED;
}

tally_status tally_void(tally *db, const uint8_t customer_id[16], const tally_event_id *ids,
                        size_t count, const char *reason, tally_void_result *results,
                        tally_error *error)
{
    struct request request = {.reason = {reason, reason == NULL ? 0 : strlen(reason)},
                              .waiter = TY_WAITER_INIT};
    bool decided = false;
    tally_status status = check_reason(reason, error);

    memcpy(request.customer.bytes, customer_id, 16);
    if (status == TALLY_OK)
        status = take_ids(&request, ids, count, error);
    if (status == TALLY_OK)
        status = find(db->database, &request, error);
    if (status == TALLY_OK) {
        status = carry_out(db->database, &request, error);
        decided = status == TALLY_OK || status == TALLY_CORRUPT;
    }
    set_results(&request, decided, count, results);
    ty_arena_fini(&request.arena);
    return status;
}
