/*
 * reshard_ids.c: sealed runs of remembered ids into another number of shards (dump.h).
 *
 * A key does not say which customer it is of, so that every new shard gets every run. Numbers are
 * dealt out anew: the runs of the first old shard, in the order of their old numbers, then those of
 * the next, so that values come in the order of their keys.
 */
#include <stdlib.h>
#include <string.h>

#include "storage/load_internal.h"
#include "storage/store_internal.h"

/* --- Which runs there are --- */

static uint32_t run_count(const struct ty_load *load, unsigned sources)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < sources; i++)
        if (load->sources[i].ids != NULL)
            count += load->sources[i].ids->count;
    return count;
}

tally_status ty_reshard_ids_record(struct ty_load *load, unsigned source,
                                   const struct ty_entry *entry, tally_error *error)
{
    struct ty_load_source *from = &load->sources[source];
    uint32_t count;

    if (from->ids != NULL)
        return ty_load_malformed(error, "two records of remembered ids");
    from->ids = malloc(sizeof(*from->ids));
    if (from->ids == NULL)
        return ty_load_no_memory(error);
    if (!ty_id_runs_decode(entry->value, entry->value_length, from->ids))
        return ty_load_malformed(error, "a record of remembered ids");
    count = run_count(load, load->source_count);
    if (count > TY_ID_RUNS_MAX)
        return ty_fail(error, TALLY_INVALID,
                       "the shards have %u runs of remembered ids, and each new shard would need "
                       "all of them, but can have %u: load into as many shards as before, or dump "
                       "when a shorter dedup window has let some go",
                       count, TY_ID_RUNS_MAX);
    return TALLY_OK;
}

/* The new number of a run; false: the record does not name it, and it goes. */
static bool new_number(const struct ty_load *load, unsigned source, uint32_t run, uint32_t *number)
{
    const struct ty_id_runs_record *ids = load->sources[source].ids;
    bool found = false;

    *number = run_count(load, source);
    for (uint32_t i = 0; ids != NULL && i < ids->count; i++) {
        found |= ids->runs[i].run == run;
        *number += ids->runs[i].run < run;
    }
    return found;
}

/* --- Values --- */

static tally_status put(struct ty_load *load, const struct ty_entry *entry, tally_error *error)
{
    tally_status status = TALLY_OK;

    for (unsigned i = 0; i < load->target_count && status == TALLY_OK; i++)
        status = ty_load_put(load, i, "id_runs", entry, true, error);
    return status;
}

tally_status ty_reshard_ids(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                            tally_error *error)
{
    const uint8_t *old_key = entry->key;
    uint8_t key[TY_ID_KEY_BYTES];
    struct ty_buffer value = {0};
    uint32_t number;
    tally_status status;

    if (!new_number(load, source, ty_get_u32_be(old_key), &number))
        return TALLY_OK; /* Leftovers of a crash. */
    ty_id_key_encode(number, old_key[4], ty_get_u32_be(old_key + 5), key);
    ty_buffer_append(&value, entry->value, entry->value_length);
    if (!ty_buffer_ok(&value)) {
        ty_buffer_fini(&value);
        return ty_load_no_memory(error);
    }
    ty_id_value_seal(key, (uint8_t *)value.data, value.length);
    status = put(load, &(struct ty_entry){key, sizeof(key), value.data, value.length}, error);
    ty_buffer_fini(&value);
    return status;
}

/* --- The new records --- */

static int by_age(const void *a, const void *b)
{
    const struct ty_id_run_record *left = a, *right = b;

    if (left->last_ms != right->last_ms)
        return left->last_ms < right->last_ms ? -1 : 1;
    return left->run < right->run ? -1 : left->run > right->run;
}

/* All runs of a shard, with their new numbers. */
static void take_runs(const struct ty_load *load, unsigned source, struct ty_id_runs_record *record)
{
    const struct ty_id_runs_record *ids = load->sources[source].ids;

    record->forgotten_until_ms = TY_MAX(record->forgotten_until_ms, ids->forgotten_until_ms);
    for (uint32_t i = 0; i < ids->count; i++) {
        struct ty_id_run_record *run = &record->runs[record->count++];

        *run = ids->runs[i];
        (void)new_number(load, source, ids->runs[i].run, &run->run);
    }
}

bool ty_reshard_new_ids(const struct ty_load *load, unsigned target,
                        struct ty_id_runs_record *record)
{
    const struct ty_load_target *to = &load->targets[target];
    bool any = false;

    *record = (struct ty_id_runs_record){.forgotten_until_ms = INT64_MIN};
    for (unsigned i = 0; i < load->source_count; i++)
        if (load->sources[i].ids != NULL) {
            any = true;
            take_runs(load, i, record);
        }
    qsort(record->runs, record->count, sizeof(record->runs[0]), by_age);
    record->sealed_sequence =
        to->unsealed_from == 0 ? to->state.last_sequence : to->unsealed_from - 1;
    return any;
}
