/*
 * message.h: the messages that the soak test's producer sends.
 *
 * A message is a function of its stream, its number and the time at which it was first made, byte
 * by byte. So it can be sent again, after a restart or as a retry, without having been kept, and
 * what it adds to which month can be counted when it is acknowledged.
 *
 * Every event has pages = 2 x documents, 3 ms of processing time for each document and credits =
 * 1.000001 x documents, so every sum has too, unless an event was counted in part. Most events are
 * of now, one in SOAK_LATE_ONE_IN belongs into one of the twelve months before.
 *
 * Threads: one owner at a time.
 */
#ifndef TY_TESTS_SOAK_MESSAGE_H
#define TY_TESTS_SOAK_MESSAGE_H

#include "engine/uuid.h"
#include "server/tool/load_message.h"

#define SOAK_CUSTOMERS     250
#define SOAK_WORKFLOWS     4  /* of each customer */
#define SOAK_MONTHS        14 /* twelve past ones, that of the start, and the one after */
#define SOAK_PRESENT_MONTH 12
#define SOAK_LATE_ONE_IN   512
#define SOAK_ID_BYTES_MAX  36

enum soak_id {
    SOAK_ID_UUID_TEXT,
    SOAK_ID_UUID_BYTES,
    SOAK_ID_TEXT /* no UUID: "soak.02.00000000002a.0007" */
};

struct soak_plan {
    enum ty_load_format format;
    enum soak_id id;
    size_t batch;                  /* events a message */
    unsigned stream;               /* tells the ids of connections apart */
    int64_t month_ms[SOAK_MONTHS]; /* when each begins; by soak_plan_months() */
};

/* What an event says. */
struct soak_event {
    unsigned customer, workflow; /* 0.. */
    unsigned month;     /* 0..SOAK_MONTHS - 1, the SOAK_PRESENT_MONTH is that of the start */
    unsigned documents; /* 1 to 9 */
    int64_t time_ms;
};

/* soak_event_make returns event `index` of message `number`, made at now_ms. */
struct soak_event soak_event_make(const struct soak_plan *plan, uint64_t number, size_t index,
                                  int64_t now_ms);

/* soak_event_id writes an event's id as text, not ended by a zero byte, and returns its length. */
size_t soak_event_id(const struct soak_plan *plan, uint64_t number, size_t index,
                     char id[SOAK_ID_BYTES_MAX]);

/* The UUIDs of customers and workflows; workflows of different customers differ. */
struct ty_uuid soak_customer(unsigned customer);
struct ty_uuid soak_workflow(unsigned customer, unsigned workflow);

/* soak_plan_months sets the months of a run that starts at now_ms. */
void soak_plan_months(struct soak_plan *plan, int64_t now_ms);

/* soak_message_make fills a zeroed message with what all messages of the stream have in common;
 * false: no memory. Free it with ty_load_message_fini(). */
bool soak_message_make(struct ty_load_message *message, const struct soak_plan *plan);

/* soak_message_stamp makes it message `number`, as it was or would be made at now_ms. */
void soak_message_stamp(struct ty_load_message *message, const struct soak_plan *plan,
                        uint64_t number, int64_t now_ms);

#endif
