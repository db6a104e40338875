/*
 * reshard_journal.c: journal values of a dump into another number of shards (dump.h): each is split
 * by the customers of its events.
 */
#include "storage/load_internal.h"
#include "storage/store_internal.h"

static void end_group(struct ty_load_target *to)
{
    if (to->in_group)
        ty_journal_end_group(&to->value, to->group);
    to->in_group = false;
}

static struct ty_load_target *enter_value(struct ty_load *load, unsigned target,
                                          const struct ty_journal_header *header)
{
    struct ty_load_target *to = &load->targets[target];

    if (to->in_value)
        return to;
    to->value.length = 0;
    ty_journal_begin(&to->value, header);
    to->in_value = true;
    return to;
}

static void split_event(struct ty_load_target *to, uint32_t series,
                        const struct ty_journal_cursor *cursor,
                        const struct ty_journal_record *record)
{
    if (!to->in_group || to->group_series != series) {
        end_group(to);
        to->group = ty_journal_begin_group(&to->value, series);
        to->group_series = series;
        to->in_group = true;
    }
    ty_journal_put_event(&to->value, &record->event, cursor->header.received_ms);
}

static void split_void(struct ty_load *load, unsigned source, const struct ty_moved_series *series,
                       const struct ty_journal_cursor *cursor,
                       const struct ty_journal_record *record)
{
    struct ty_load_target *to = &load->targets[series->target];
    const struct ty_void what = {
        .event = record->event,
        .place = {.sequence =
                      ty_reshard_exactly(load, source, series->target, record->voided_sequence),
                  .series = series->to,
                  .index = record->index},
        .received_ms = record->voided_received_ms,
        .reason = record->reason,
    };

    end_group(to);
    ty_journal_put_void(&to->value, &what, cursor->header.received_ms);
}

static tally_status split_value(struct ty_load *load, unsigned source,
                                struct ty_journal_cursor *cursor, tally_error *error)
{
    struct ty_journal_record record;

    while (ty_journal_next(cursor, &record)) {
        const struct ty_moved_series *series = ty_reshard_series(load, source, record.series);
        struct ty_load_target *to;

        if (series == NULL)
            return ty_load_malformed(error, "an event of an unknown series");
        to = enter_value(load, series->target, &cursor->header);
        if (record.kind == TY_JOURNAL_SERIES) {
            end_group(to);
            ty_journal_put_series(&to->value, series->to, &record.customer, &record.workflow);
        } else if (record.kind == TY_JOURNAL_EVENT) {
            split_event(to, series->to, cursor, &record);
        } else if (record.kind == TY_JOURNAL_VOID) {
            split_void(load, source, series, cursor, &record);
        } else {
            return ty_fail(error, TALLY_NEWER, "the journal has records that cannot be moved");
        }
    }
    return cursor->problem == NULL ? TALLY_OK : ty_load_malformed(error, cursor->problem);
}

static tally_status put_value(struct ty_load *load, unsigned source, unsigned target,
                              uint64_t sequence, tally_error *error)
{
    struct ty_moved_values *moved = &load->moved[(size_t)source * load->target_count + target];
    struct ty_load_target *to = &load->targets[target];
    uint64_t placed = ++to->state.last_sequence;
    uint8_t key[8];
    void *grown;

    end_group(to);
    to->in_value = false;
    ty_journal_finish(&to->value, placed);
    grown = ty_load_grow(moved->values, moved->count, &moved->capacity, sizeof(*moved->values));
    if (grown == NULL || !ty_buffer_ok(&to->value))
        return ty_load_no_memory(error);
    moved->values = grown;
    moved->values[moved->count++] = (struct ty_moved_value){.from = sequence, .to = placed};
    to->state.journal_bytes += to->value.length;
    if (sequence >= load->sources[source].state.replay_from && to->state.replay_from == 0)
        to->state.replay_from = placed;
    if (to->unsealed_from == 0 && (load->sources[source].ids == NULL ||
                                   sequence > load->sources[source].ids->sealed_sequence))
        to->unsealed_from = placed;
    ty_put_u64_be(key, placed);
    return ty_load_put(load, target, "journal",
                       &(struct ty_entry){key, sizeof(key), to->value.data, to->value.length}, true,
                       error);
}

tally_status ty_reshard_value(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                              tally_error *error)
{
    struct ty_load_source *from = &load->sources[source];
    uint64_t sequence = ty_get_u64_be(entry->key);
    struct ty_journal_cursor cursor;
    tally_status status;

    if (!from->has_state || (from->last_sequence != 0 && sequence != from->last_sequence + 1))
        return ty_load_malformed(error, "journal values are missing, or come before the state");
    from->last_sequence = sequence;
    if (!ty_journal_open(&cursor, sequence, entry->value, entry->value_length))
        return ty_load_malformed(error, cursor.problem);
    status = split_value(load, source, &cursor, error);
    for (unsigned i = 0; i < load->target_count && status == TALLY_OK; i++)
        if (load->targets[i].in_value)
            status = put_value(load, source, i, sequence, error);
    return status;
}
