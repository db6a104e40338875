/*
 * journal_codec.h: the bytes of a journal value: everything that one commit stored
 * (docs/FORMAT.md, "Journal").
 *
 * A value is self-contained: a header (version, checksum, two times), then records of a tag, a
 * length and a payload: series that the commit created, groups of one series' events in order of
 * arrival, and then voids. Within a group every event is again a tag, a length and a payload, so
 * that other kinds of entry (erase, source position) can be added. The checksum (XXH3-64) covers
 * the sequence number and all of the value but itself.
 *
 * Threads: pure functions; a buffer or cursor has one owner.
 */
#ifndef TY_STORAGE_JOURNAL_CODEC_H
#define TY_STORAGE_JOURNAL_CODEC_H

#include "engine/buffer.h"
#include "engine/event.h"
#include "engine/void.h"

struct ty_journal_header {
    int64_t received_ms; /* the wall clock: what an event without a time counts at */
    int64_t arrival_ms;  /* the shard's arrival clock: what the dedup window goes by */
};

#define TY_JOURNAL_HEADER_BYTES 25

/* --- Writing, into a buffer that is empty at first. ty_buffer_ok() tells whether all fitted. ---
 */

void ty_journal_begin(struct ty_buffer *value, const struct ty_journal_header *header);
void ty_journal_put_series(struct ty_buffer *value, uint32_t id, const struct ty_uuid *customer,
                           const struct ty_uuid *workflow);
/* Events go into a group: begin it, put them, end it with what begin returned. */
size_t ty_journal_begin_group(struct ty_buffer *value, uint32_t series);
void ty_journal_put_event(struct ty_buffer *value, const struct ty_event *event,
                          int64_t received_ms);
void ty_journal_end_group(struct ty_buffer *value, size_t group);
/* After all groups: a void of an earlier commit's event, with all of that event. */
void ty_journal_put_void(struct ty_buffer *value, const struct ty_void *what, int64_t received_ms);
/* Completes the header; the value may then be stored under that sequence number. */
void ty_journal_finish(struct ty_buffer *value, uint64_t sequence);

/* --- Reading --- */

enum ty_journal_kind { TY_JOURNAL_SERIES, TY_JOURNAL_EVENT, TY_JOURNAL_VOID };

struct ty_journal_record {
    enum ty_journal_kind kind;
    uint32_t series;
    struct ty_uuid customer; /* of TY_JOURNAL_SERIES, with workflow */
    struct ty_uuid workflow;
    /* Of TY_JOURNAL_EVENT and, there the one that is void, of TY_JOURNAL_VOID: everything but
     * customer, workflow, record and hashes. The texts are borrowed from the value and from
     * `id_text`. */
    struct ty_event event;
    uint32_t index; /* of the event among those of its series in its value, from 0 */
    /* Of TY_JOURNAL_VOID: where and when the event was accepted, and why it is void. */
    uint64_t voided_sequence;
    int64_t voided_received_ms;
    struct ty_text reason;
    char id_text[TY_UUID_TEXT_LENGTH];
};

struct ty_journal_cursor {
    struct ty_journal_header header;
    const uint8_t *at, *end;
    const uint8_t *group_end; /* NULL outside a group */
    uint32_t group_series;
    uint32_t group_index; /* of the event that comes next */
    const char *problem;  /* what is wrong with the bytes, or NULL */
};

/* ty_journal_read_header reads the header without checking the rest (to find a place in the
 * journal). False: too short, or another version. */
bool ty_journal_read_header(const void *data, size_t length, struct ty_journal_header *header);

/* ty_journal_open starts reading a value (borrowed while reading); false with cursor->problem. */
bool ty_journal_open(struct ty_journal_cursor *cursor, uint64_t sequence, const void *data,
                     size_t length);

/* ty_journal_next fills the next record; false at the end, or with cursor->problem set. */
bool ty_journal_next(struct ty_journal_cursor *cursor, struct ty_journal_record *record);

/* ty_journal_skip_group passes over the events that are left of the group that was entered. */
void ty_journal_skip_group(struct ty_journal_cursor *cursor);

#endif
