/*
 * event.h: one usage event after decoding, and the two hashes that make it count once.
 *
 * Threads: pure functions; ty_event_hash() reads an immutable secret.
 */
#ifndef TY_ENGINE_EVENT_H
#define TY_ENGINE_EVENT_H

#include "engine/uuid.h"
#include "tally.h"

#define TY_SECRET_BYTES 32

/* The database's own random bytes: they key every hash that outsiders could aim at. */
struct ty_secret {
    uint8_t bytes[TY_SECRET_BYTES];
};

/*
 * The identity of an event's (customer, source, id): a SipHash-128 keyed by the database's secret.
 * Two ids never meet by chance (below 1e-20 among 10^9 ids), and cannot be made to meet by who does
 * not know the secret.
 */
struct ty_key {
    uint64_t high;
    uint64_t low;
};

/* ty_key_compare orders keys as numbers of 128 bits: less than, equal to, greater than 0. */
static inline int ty_key_compare(const struct ty_key *a, const struct ty_key *b)
{
    if (a->high != b->high)
        return a->high < b->high ? -1 : 1;
    return a->low < b->low ? -1 : a->low > b->low;
}

enum ty_id_form {
    TY_ID_UNKNOWN, /* nobody has looked yet */
    TY_ID_TEXT,
    TY_ID_UUID /* in lower case, as ty_uuid_format() gives it back */
};

/* A checked event. Texts are borrowed from the batch that holds it. */
struct ty_event {
    struct ty_uuid customer;
    struct ty_uuid workflow;
    struct ty_text id;     /* 1..TALLY_ID_BYTES_MAX bytes, valid UTF-8 */
    struct ty_text source; /* 0..TALLY_SOURCE_BYTES_MAX bytes */
    struct ty_text user;   /* 0..TALLY_USER_BYTES_MAX bytes */
    int64_t time_ms;       /* or TALLY_TIME_OF_ARRIVAL */
    int64_t credits;       /* micros, within ±TALLY_CREDITS_MICRO_MAX */
    uint64_t processing_ms;
    uint32_t documents;
    uint32_t pages;
    uint32_t record; /* the place in the batch that it came from */
    /* Filled by ty_event_hash(), by whoever brings the event, so that the writer has less to do;
     * the form of the id by the decoder, if it knows. Who changes the id makes it unknown again. */
    enum ty_id_form id_form;
    struct ty_uuid id_uuid; /* TY_ID_UUID: the id as bytes */
    uint64_t content;       /* hash of everything but the key */
    struct ty_key key;
};

/* ty_event_prefetch starts loading an event. */
static inline void ty_event_prefetch(const struct ty_event *event)
{
    for (size_t at = 0; at < sizeof(*event); at += TY_CACHE_LINE)
        ty_prefetch((const char *)event + at);
}

/* When an event counts that was received at a time: at its own, or without one then. */
static inline int64_t ty_event_counts_at_ms(const struct ty_event *event, int64_t received_ms)
{
    return event->time_ms == TALLY_TIME_OF_ARRIVAL ? received_ms : event->time_ms;
}

/*
 * ty_event_hash fills event->key, event->content and, where it is unknown, the form of the id.
 *
 * Key: SipHash-2-4 with 128 bits of output (libsodium's crypto_shorthash_siphashx24) over customer,
 * length and bytes of source, length and bytes of id: length-prefixed, so that source "x-1" with
 * id "2" is not source "x" with id "1-2". Content: XXH3-64, seeded from the secret, over every
 * other field after normalisation: an omitted field equals its default, an omitted time equals
 * only an omitted time. The same function serves arrival and replay: change it and every id
 * of the window is forgotten.
 */
void ty_event_hash(struct ty_event *event, const struct ty_secret *secret);

#endif
