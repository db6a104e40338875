/*
 * tally.h: the usage-metering engine in your own process.
 *
 * Tally takes usage events ("customer C ran workflow W: 5 credits, 1 document, 3 pages, 1.2 s"),
 * stores each exactly once, and answers what a customer used per hour, day, ISO week or month.
 * This header is the whole public interface; nothing else of the project is meant to be included.
 *
 *     tally *db;
 *     tally_error error;
 *     tally_options options = TALLY_OPTIONS_INIT;
 *     tally_range year = {TALLY_MONTHLY, "2023-01", "2023-12"};
 *     tally_row *rows;
 *     size_t count;
 *
 *     options.directory = "usage";
 *     if (tally_open(&options, &db, &error) != TALLY_OK)
 *         die(error.message);
 *     if (tally_ingest(db, events, event_count, results) != TALLY_OK)
 *         die("the batch has to be sent again");
 *     // Durable and visible from here on; what is asked for is exact, at once.
 *     if (tally_usage(db, customer, workflow, &year, &rows, &count, &error) != TALLY_OK)
 *         die(error.message);
 *     tally_free(rows);
 *     tally_close(db);
 *
 * Words. An *event* is one piece of work; a *customer* is billed; a *workflow* was run; a *series*
 * is one customer and one workflow; a *period* is an hour, a day, an ISO week or a month, in UTC.
 *
 * Ownership. What you pass is borrowed until the call returns, unless the function says otherwise.
 * Threads.   Every function may be called from any number of threads at once, tally_open() and
 *            tally_close() excepted: close a database after every other call on it has returned.
 * Fork.      Do not use a database in a child process; open it after fork().
 * C and C++. Plain C99; usable from C++.
 */
#ifndef TALLY_H
#define TALLY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TALLY_VERSION_MAJOR 0
#define TALLY_VERSION_MINOR 1
#define TALLY_VERSION_PATCH 0

#if defined(__GNUC__)
#define TALLY_API       __attribute__((visibility("default")))
#define TALLY_MUSTCHECK __attribute__((warn_unused_result))
#else
#define TALLY_API
#define TALLY_MUSTCHECK
#endif

/* A database: opened by tally_open(), closed by tally_close(). */
typedef struct tally tally;

/* What a call came to. Numbers are stable; new ones are appended. */
typedef enum tally_status {
    TALLY_OK = 0,
    TALLY_INVALID = 1,   /* an argument is wrong; the error text says which and what is allowed */
    TALLY_BUSY = 2,      /* too much in flight; what was not stored may be sent again in a moment */
    TALLY_FULL = 3,      /* the disk or the map is full; what was not stored may be sent again */
    TALLY_NO_MEMORY = 4, /* an allocation failed; what was not stored may be sent again */
    TALLY_UNKNOWN = 5,   /* a commit failed halfway: retry the whole batch with the same ids */
    TALLY_FAILED = 6,    /* the database stopped after TALLY_UNKNOWN: close and reopen it */
    TALLY_LOCKED = 7,    /* another process (or handle) has the directory open */
    TALLY_NEWER = 8,     /* the directory was written by a newer version of Tally */
    TALLY_CORRUPT = 9,   /* stored bytes do not match their checksum; the text names them */
    TALLY_IO = 10        /* the operating system refused; the text says what and why */
} tally_status;

/* "TALLY_FULL: the disk or the map is full": a constant text, never NULL. */
TALLY_API const char *tally_strerror(tally_status status);

/* A longer explanation for people, filled by functions that can fail in many ways. */
typedef struct tally_error {
    char message[256];
} tally_error;

/*
 * How to open a database. Start from TALLY_OPTIONS_INIT, then set what you need: a field left at
 * zero (or -1 where it says so) means its default.
 */
typedef struct tally_options {
    const char *directory;        /* required; created when missing; one process at a time */
    unsigned shards;              /* each has a file and two threads; fixed when the
                                     directory is created;
                                     0: as many as it has; a new one gets one less than
                                     the cores, at least 1 */
    int64_t dedup_window_ms;      /* how long an id is remembered after arrival; 0 switches
                                     deduplication off; -1: TALLY_DEDUP_WINDOW_MS */
    uint64_t dedup_memory_bytes;  /* RAM for remembered ids; 0: TALLY_DEDUP_MEMORY_BYTES */
    int64_t journal_retention_ms; /* how long events are kept one by one; -1: _RETENTION_MS */
    uint64_t journal_bytes_max;   /* the journal's size bound; 0: TALLY_JOURNAL_BYTES */
    uint64_t map_bytes;           /* address space a shard's file may grow to; 0: TALLY_MAP_BYTES */
    uint64_t hot_bytes;           /* RAM for recent totals, a soft bound; 0: TALLY_HOT_BYTES */
    uint64_t series_max;          /* series that may exist; 0: TALLY_SERIES_MAX */
    int64_t future_ms_max;        /* how far ahead of the clock an event may be; -1: 24 hours */
    unsigned flags;               /* TALLY_NO_SYNC, or 0 */
    uint64_t reject_bytes_max;    /* disk for rejected records of streams, the newest; for servers:
                                     tally_ingest() answers its own; 0: TALLY_REJECT_BYTES */
} tally_options;

#define TALLY_DEDUP_WINDOW_MS    (INT64_C(35) * 24 * 3600 * 1000)
#define TALLY_DEDUP_MEMORY_BYTES (UINT64_C(1) << 30)
#define TALLY_RETENTION_MS       (INT64_C(35) * 24 * 3600 * 1000)
#define TALLY_JOURNAL_BYTES      (UINT64_C(16) << 30)
#define TALLY_MAP_BYTES          (UINT64_C(64) << 30)
#define TALLY_HOT_BYTES          (UINT64_C(64) << 20)
#define TALLY_SERIES_MAX         UINT64_C(10000000)
#define TALLY_FUTURE_MS_MAX      (INT64_C(24) * 3600 * 1000)
#define TALLY_REJECT_BYTES       (UINT64_C(64) << 20)

/* Leave writes to the operating system's care: a process crash loses nothing, a power cut can
 * lose acknowledged events and even the file. For tests and throw-away imports only. */
#define TALLY_NO_SYNC 1u

#define TALLY_OPTIONS_INIT                                                                         \
    {                                                                                              \
        NULL, 0, -1, 0, -1, 0, 0, 0, 0, -1, 0, 0                                                   \
    }

/*
 * tally_open: open a database, or create it.
 *
 * Takes the directory's lock, recovers what the last process left (a kill or a power cut needs
 * nothing special) and starts two threads a shard. Returns when queries and events are
 * welcome; after a crash with millions of remembered ids that can take seconds.
 *
 *   options  Borrowed. `directory` is required.
 *   db       Filled on TALLY_OK; untouched otherwise.
 *   error    May be NULL. Filled on every result but TALLY_OK.
 *
 * Returns TALLY_OK, TALLY_INVALID, TALLY_LOCKED, TALLY_NEWER, TALLY_CORRUPT, TALLY_FULL,
 * TALLY_NO_MEMORY or TALLY_IO.
 */
TALLY_API TALLY_MUSTCHECK tally_status tally_open(const tally_options *options, tally **db,
                                                  tally_error *error);

/*
 * tally_close: finish what is in flight, write what is cheap to write, release everything.
 *
 * Takes the database; NULL is fine. Events are safe without it: it only makes the next start
 * shorter. No other call on the database may be running or start.
 */
TALLY_API void tally_close(tally *db);

/* No time was given: the event counts at its time of arrival. */
#define TALLY_TIME_OF_ARRIVAL INT64_MIN

/* Bounds of an event's fields; what is outside is rejected with TALLY_OUT_OF_RANGE. */
#define TALLY_ID_BYTES_MAX      128
#define TALLY_USER_BYTES_MAX    128
#define TALLY_SOURCE_BYTES_MAX  1024
#define TALLY_CREDITS_MICRO_MAX INT64_C(1000000000000000) /* 10^9 credits */
#define TALLY_PROCESSING_MS_MAX (INT64_C(1) << 40)
#define TALLY_TIME_MS_MIN       INT64_C(946684800000) /* 2000-01-01T00:00:00Z */

/*
 * One piece of work that a customer used. Texts need no terminating zero.
 *
 * (customer_id, source, id) is the idempotency key: within the dedup window it counts once,
 * however often it is sent.
 */
typedef struct tally_event {
    uint8_t customer_id[16]; /* a UUID in network byte order */
    uint8_t workflow_id[16];
    const char *id; /* 1..TALLY_ID_BYTES_MAX bytes of UTF-8, none of them 0 */
    size_t id_length;
    const char *source; /* where the id comes from; usually NULL and 0 */
    size_t source_length;
    const char *user_id; /* who used it; kept with the event; NULL and 0 for nobody */
    size_t user_id_length;
    int64_t time_ms;       /* since the Unix epoch, or TALLY_TIME_OF_ARRIVAL */
    int64_t credits_micro; /* millionths of a credit; may be negative (an adjustment) */
    uint32_t documents;
    uint32_t pages;
    uint64_t processing_ms; /* of the whole event */
} tally_event;

/* What became of one event of a batch. Numbers are stable; new ones are appended. */
typedef enum tally_result {
    TALLY_ACCEPTED = 0,
    TALLY_DUPLICATE = 1,     /* counted before with the same content: a success */
    TALLY_MISSING_FIELD = 2, /* from here on: rejected, nothing of the event was stored */
    TALLY_INVALID_FIELD = 3,
    TALLY_OUT_OF_RANGE = 4,
    TALLY_TOO_NEW = 5,      /* further ahead of the clock than options.future_ms_max */
    TALLY_TOO_OLD = 6,      /* before TALLY_TIME_MS_MIN */
    TALLY_ID_CONFLICT = 7,  /* the id was used for other content; the first stays */
    TALLY_OVERFLOW = 8,     /* the sum of its 15-minute slot would leave 64 bits */
    TALLY_SERIES_LIMIT = 9, /* a new series, but options.series_max exist */
    TALLY_NOT_STORED = 10   /* the call failed before this event was decided: send it again */
} tally_result;

/* The code as the HTTP API writes it: "accepted", "id_conflict", ... Constant, never NULL. */
TALLY_API const char *tally_result_name(tally_result result);

/*
 * tally_ingest: store a batch of events and count them.
 *
 * Events are decided one by one, in order; one that is rejected never stops another.
 *
 *   events   Borrowed until the call returns, with every text in them.
 *   count    Any number, 0 too; a few thousand a call are fastest.
 *   results  `count` of them, in the order of the events. May be NULL. On TALLY_OK none is
 *            TALLY_NOT_STORED; after a failure the decided ones are right and stay so.
 *
 * Threads: any number at once; calls that wait together share one fsync.
 * Durable: on return of TALLY_OK every accepted event is on disk and in every query that starts
 *          from now on. Blocks for that long.
 * Returns: TALLY_OK, TALLY_BUSY, TALLY_FULL, TALLY_NO_MEMORY, TALLY_IO, TALLY_CORRUPT (a stored
 * value that an event needs is damaged), TALLY_UNKNOWN or TALLY_FAILED. After a failure send the
 * whole batch again with the same ids: what was stored answers TALLY_DUPLICATE.
 */
TALLY_API TALLY_MUSTCHECK tally_status tally_ingest(tally *db, const tally_event *events,
                                                    size_t count, tally_result *results);

typedef enum tally_frequency {
    TALLY_MONTHLY = 0,
    TALLY_WEEKLY = 1, /* ISO 8601 weeks, from Monday */
    TALLY_DAILY = 2,
    TALLY_HOURLY = 3
} tally_frequency;

/* The most periods that one query may span. */
#define TALLY_ROWS_MAX 10000

/* A signed 128-bit integer, two's complement: high * 2^64 + low. */
typedef struct tally_int128 {
    uint64_t low;
    int64_t high;
} tally_int128;

#define TALLY_NUMBER_TEXT_BYTES 48

/*
 * tally_number_format writes value / 10^decimals as decimal text without trailing zeros, ended by
 * a zero byte: (21000000, 6) is "21". `decimals` is 0 or 6. Returns the length.
 */
TALLY_API size_t tally_number_format(tally_int128 value, unsigned decimals,
                                     char text[TALLY_NUMBER_TEXT_BYTES]);

/* What one period holds. Sums are exact. */
typedef struct tally_row {
    char date[16];    /* "2023-01", "2023-W05", "2023-01-31" or "2023-01-31T13Z" */
    int64_t start_ms; /* [start_ms, end_ms) in milliseconds since the Unix epoch */
    int64_t end_ms;
    uint64_t events;
    tally_int128 credits_micro;
    tally_int128 documents;
    tally_int128 pages;
    tally_int128 processing_ms;
} tally_row;

/*
 * tally_average_time_per_page fills *seconds_micro with processing time over pages, in millionths
 * of a second, rounded half to even. Returns 0, with the output untouched, when the row has no
 * pages (or the average would not fit); else 1.
 */
TALLY_API int tally_average_time_per_page(const tally_row *row, int64_t *seconds_micro);

/*
 * A range of periods. `start` and `end` are text as in the HTTP API: "2023-01", "2023-W05",
 * "2023-01-31", "2023-01-31T13Z"; more precision is discarded. Both ends are inclusive.
 * `end` NULL means the current period.
 */
typedef struct tally_range {
    tally_frequency frequency;
    const char *start;
    const char *end;
} tally_range;

/*
 * tally_usage: the rollups of one series, one row a period, in order, zeros included.
 *
 *   rows     Filled on TALLY_OK with an array to be freed by tally_free(); never NULL then.
 *   count    Filled with its length, 1..TALLY_ROWS_MAX.
 *   error    May be NULL. Filled on every result but TALLY_OK.
 *
 * A series never seen has zeros. An event is in the answer wholly or not at all, and every event
 * acknowledged before the call is. Threads: any number; never waits for a writer.
 * Returns: TALLY_OK, TALLY_INVALID (a period is malformed, the end is before the start, more than
 * TALLY_ROWS_MAX rows), TALLY_BUSY (too many readers at once), TALLY_NO_MEMORY, TALLY_FAILED,
 * TALLY_CORRUPT or TALLY_IO.
 */
TALLY_API TALLY_MUSTCHECK tally_status tally_usage(tally *db, const uint8_t customer_id[16],
                                                   const uint8_t workflow_id[16],
                                                   const tally_range *range, tally_row **rows,
                                                   size_t *count, tally_error *error);

/*
 * tally_workflows: the workflows that a customer used in a range: at least one accepted event,
 * whatever its sums.
 *
 *   ids      Filled with an array of UUIDs in ascending order, to be freed by tally_free(); may be
 *            NULL when *count is 0.
 *
 * Otherwise as tally_usage(), the bound on rows excepted.
 */
TALLY_API TALLY_MUSTCHECK tally_status tally_workflows(tally *db, const uint8_t customer_id[16],
                                                       const tally_range *range,
                                                       uint8_t (**ids)[16], size_t *count,
                                                       tally_error *error);

/* --- Events that should not have been counted --- */

/* An event of a customer, by its id and the source that it was sent with. */
typedef struct tally_event_id {
    const char *id; /* as in tally_event */
    size_t id_length;
    const char *source;
    size_t source_length;
} tally_event_id;

/* What became of one void. Numbers are stable; new ones are appended. */
typedef enum tally_void_result {
    TALLY_VOIDED = 0,
    TALLY_ALREADY_VOIDED = 1,  /* it was void before: a success */
    TALLY_VOID_UNKNOWN_ID = 2, /* no such event is kept: the journal goes back only so far */
    TALLY_VOID_OVERFLOW = 3,   /* the sum of its slot would leave 64 bits without it */
    TALLY_NOT_VOIDED = 4       /* the call failed before this one was decided: call again */
} tally_void_result;

#define TALLY_VOID_REASON_BYTES_MAX 256

/* The most events that one call voids. */
#define TALLY_VOIDS_MAX 10000

/*
 * tally_void: take events of a customer out of every total again.
 *
 * Exactly what each of them added is subtracted. The event itself is kept, marked as void; its id
 * stays known, so that a retry of it is TALLY_DUPLICATE and it cannot become valid again. What it
 * changed in a closed month is in a revision.
 *
 *   ids      Borrowed until the call returns, with their texts. At most TALLY_VOIDS_MAX.
 *   reason   1..TALLY_VOID_REASON_BYTES_MAX bytes of UTF-8, ended by a zero byte: kept with each.
 *   results  `count` of them, in the order of the ids. May be NULL.
 *   error    May be NULL. Filled on every result but TALLY_OK.
 *
 * Reads the journal from its newest value back to where the last of the events is found: seconds,
 * when that is long and far back. Threads: any number at once. Durable: on return of TALLY_OK.
 * Returns: TALLY_OK, TALLY_INVALID (a text or the number of ids is not allowed: nothing was
 * voided), and what tally_ingest() and tally_usage() return. After a failure call again: what was
 * voided answers TALLY_ALREADY_VOIDED.
 */
TALLY_API TALLY_MUSTCHECK tally_status tally_void(tally *db, const uint8_t customer_id[16],
                                                  const tally_event_id *ids, size_t count,
                                                  const char *reason, tally_void_result *results,
                                                  tally_error *error);

/* --- Months that were billed --- */

/* How far a customer's months are closed. */
typedef struct tally_closed {
    char through[16];   /* the last closed month, "2023-01"; "" when none is */
    int64_t closed_ms;  /* when that month was closed, in milliseconds since the Unix epoch */
    uint64_t revisions; /* what changed in closed months since, so far: tally_revisions() */
} tally_closed;

/*
 * tally_close_months: close all months of a customer up to and including one of them.
 *
 * Call it when a month has been billed. Nothing is refused because of it: an event or a void of a
 * closed month counts as ever, and what it changed is in a revision, so that the next invoice can
 * correct the one before. Months of workflows that are used later are closed, too. Closed months
 * stay closed. Closing through the same month again changes nothing and is a success.
 *
 *   through  "2023-01": a month that has ended, in UTC.
 *   closed   Filled on TALLY_OK. May be NULL.
 *   error    May be NULL. Filled on every result but TALLY_OK.
 *
 * Durable: on return of TALLY_OK. Everything that was acknowledged before the call counts before.
 * Returns: TALLY_OK, TALLY_INVALID (no such month, it has not ended, a later one is closed, or no
 * event of the customer was ever accepted), and what tally_ingest() returns but TALLY_CORRUPT.
 */
TALLY_API TALLY_MUSTCHECK tally_status tally_close_months(tally *db, const uint8_t customer_id[16],
                                                          const char *through, tally_closed *closed,
                                                          tally_error *error);

/* What one commit changed in a closed month of one workflow: the total before, and after. */
typedef struct tally_revision {
    uint64_t number; /* of the customer, counted from 1 */
    uint8_t workflow_id[16];
    int64_t received_ms; /* when: the wall clock, in milliseconds since the Unix epoch */
    uint64_t events;     /* that came */
    uint64_t voided;     /* that were voided: tally_void() */
    tally_row before;    /* of the whole month, which its date is */
    tally_row after;
} tally_revision;

/* The most revisions that one call lists. */
#define TALLY_REVISIONS_MAX 10000

/*
 * tally_revisions: what changed in closed months of a customer, the oldest first.
 *
 *   after      0, or the number of the last revision that is known already.
 *
 *   revisions  Filled on TALLY_OK with an array to be freed by tally_free(); may be NULL when
 *              *count is 0.
 *
 *   count      Filled with its length, TALLY_REVISIONS_MAX at most: call again with the last one's
 *              number while it is less than closed->revisions.
 *
 *   closed     Filled on TALLY_OK: as of the same moment. May be NULL.
 *
 *   error      May be NULL. Filled on every result but TALLY_OK.
 *
 * Of one series and month each revision goes on where the one before ended. A revision is listed
 * from its commit on, a moment before tally_usage() returns the total that it tells of. A customer
 * never seen has none. Threads: any number; never waits for a writer.
 * Returns: TALLY_OK, TALLY_BUSY (too many readers at once), TALLY_NO_MEMORY, TALLY_FAILED,
 * TALLY_CORRUPT (a revision that is damaged is named; the ones behind it can be had with `after`)
 * or TALLY_IO.
 */
TALLY_API TALLY_MUSTCHECK tally_status tally_revisions(tally *db, const uint8_t customer_id[16],
                                                       uint64_t after, tally_revision **revisions,
                                                       size_t *count, tally_closed *closed,
                                                       tally_error *error);

/* tally_free frees what tally_usage(), tally_workflows() and tally_revisions() returned; NULL is
 * fine. */
TALLY_API void tally_free(void *memory);

/*
 * UUIDs as text. Both take the 36-character form; tally_uuid_parse returns 1, or 0 with the output
 * untouched. tally_uuid_format ends the text with a zero byte.
 */
TALLY_API int tally_uuid_parse(const char *text, uint8_t uuid[16]);
TALLY_API void tally_uuid_format(const uint8_t uuid[16], char text[37]);

#ifdef __cplusplus
}
#endif

#endif
