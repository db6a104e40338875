/*
 * feed.h: the single events of the journal, page by page: for audits and exports.
 *
 * Order. A shard's events in the order of its commits; those of one commit series by series, each
 * series' in order of arrival. The shards one after the other, round and round: at the end of the
 * last one the feed goes on with what has come to the first meanwhile. Every event that the journal
 * keeps is given exactly once, however pages are cut, and while events arrive.
 *
 * Work. A page reads a bounded part of the journal, so it may be short or empty before the end,
 * above all when only one customer is asked for. No snapshot outlives a page.
 *
 * Threads: any; reads wait for the disk.
 */
#ifndef TY_QUERY_FEED_H
#define TY_QUERY_FEED_H

#include "shard/database.h"
#include "storage/store.h"

#define TY_FEED_SHARDS_MAX 256

/* Where a reader stands. All zero is the beginning: the oldest event that each shard keeps. */
struct ty_feed_cursor {
    unsigned shard; /* the one to read next */
    uint64_t index; /* events and voids of its next value that were given before */
    uint64_t sequences[TY_FEED_SHARDS_MAX]; /* next value of each shard; 0: its oldest */
};

/* 256 numbers of 20 digits, two more, and what separates them. */
#define TY_FEED_CURSOR_TEXT_BYTES (21 * (TY_FEED_SHARDS_MAX + 2) + 1)

/*
 * Cursors as text: "shard.index.sequence.sequence...", digits and dots only, a sequence for each
 * shard. ty_feed_cursor_parse returns NULL and fills *cursor, or what is wrong, as a constant
 * sentence fit for a client. ty_feed_cursor_format ends the text with a zero byte and returns its
 * length.
 */
const char *ty_feed_cursor_parse(struct ty_text text, unsigned shards,
                                 struct ty_feed_cursor *cursor);
size_t ty_feed_cursor_format(const struct ty_feed_cursor *cursor, unsigned shards,
                             char text[TY_FEED_CURSOR_TEXT_BYTES]);

/* Events by what became of them. */
enum ty_feed_status { TY_FEED_ANY, TY_FEED_ACCEPTED, TY_FEED_VOIDED };

/* A span of time, both ends inclusive, in milliseconds. */
struct ty_feed_span {
    int64_t first_ms;
    int64_t last_ms;
};

/* Which events: those that match all that is given. The same from page to page, but for `limit`. */
struct ty_feed_query {
    size_t limit;                        /* events of a page, at least 1 */
    const struct ty_uuid *customer;      /* NULL: everybody's */
    struct ty_text id;                   /* NULL data: any */
    struct ty_text source;               /* NULL data: any; empty: events without one */
    const struct ty_feed_span *counted;  /* when the event counts; NULL: whenever */
    const struct ty_feed_span *received; /* when it, or the void, was stored; NULL: whenever */
    enum ty_feed_status status;
    bool voids; /* entries for voids, too, in the places of the commits that they came with */
};

/* One event, with its texts borrowed for the time of the callback. */
struct ty_feed_event {
    const struct ty_event *event; /* all but record and hashes; time_ms as given, or _OF_ARRIVAL */
    int64_t received_ms;          /* its commit's wall clock: what it counts at without a time */
    const struct ty_void_note *voided; /* when and why it was voided; NULL: it counts */
    bool is_void;                      /* this is not the event's own entry, but that of its void */
};

/* What a page was. */
struct ty_feed_page {
    size_t count;
    bool end;     /* nothing was left: what the next page has arrived later */
    bool trimmed; /* values between the cursor and the first of the page are no longer kept */
};

/*
 * ty_feed_read gives the events from *cursor on to `each` and moves *cursor behind the last one.
 * `each` returns false to end the page after the event that it was given.
 *
 *   TALLY_INVALID   The cursor is not of this database: it is ahead of the journal.
 *   TALLY_CORRUPT   The value that comes first is damaged; the text names it. *cursor has moved
 *                   behind it, for who wants to go on without its events. What comes before a
 *                   damaged value is always given first, in a page of its own.
 *   TALLY_BUSY, TALLY_NO_MEMORY, TALLY_FAILED, TALLY_IO   with the reason; *cursor is untouched.
 */
tally_status ty_feed_read(const struct ty_database *database, const struct ty_feed_query *query,
                          struct ty_feed_cursor *cursor,
                          bool (*each)(void *context, const struct ty_feed_event *event),
                          void *context, struct ty_feed_page *page, tally_error *error);

#endif
