/*
 * cloud_event.h: one CloudEvent from its attributes and data to an event of a batch, for every mode
 * in which it may come (cloudevents.h says what the rules are).
 *
 *     begin; see, then set or take, for each attribute as it comes; end
 *
 * Functions that return false for malformed JSON do so as json_record.h says.
 * Threads: one owner of an event and its batch at a time.
 */
#ifndef TY_INGEST_CLOUD_EVENT_H
#define TY_INGEST_CLOUD_EVENT_H

#include "ingest/event_fields.h"
#include "ingest/json_scan.h"

enum ty_cloud_attribute {
    TY_CLOUD_SPECVERSION,
    TY_CLOUD_ID,
    TY_CLOUD_SOURCE,
    TY_CLOUD_TYPE,
    TY_CLOUD_TIME,
    TY_CLOUD_SUBJECT,
    TY_CLOUD_HEADER_COUNT, /* what comes before may be a header, too */
    TY_CLOUD_DATACONTENTTYPE = TY_CLOUD_HEADER_COUNT,
    TY_CLOUD_DATA,
    TY_CLOUD_DATA_BASE64,
    TY_CLOUD_ATTRIBUTE_COUNT /* stands for every other attribute */
};

/* An event on its way into a batch. */
struct ty_cloud_event {
    struct ty_record record;
    uint32_t seen;   /* a bit for each attribute that was given */
    uint32_t filled; /* the same for good ones that were not null; DATA for data_base64, too */
    struct ty_uuid subject;
};

/* ty_cloud_event_begin adds an event to the batch. False: no memory, the batch has failed. */
bool ty_cloud_event_begin(struct ty_cloud_event *event, struct ty_batch *batch);

/* ty_cloud_event_find returns the attribute of that name, or TY_CLOUD_ATTRIBUTE_COUNT. */
enum ty_cloud_attribute ty_cloud_event_find(struct ty_text name);

/* ty_cloud_event_see notes that an attribute was given. False: its value is to be passed over,
 * since it is of no interest, or was given before (which is noted as wrong). */
bool ty_cloud_event_see(struct ty_cloud_event *event, enum ty_cloud_attribute attribute);

/* ty_cloud_event_set checks and stores the value of an attribute other than data, data_base64. */
void ty_cloud_event_set(struct ty_cloud_event *event, enum ty_cloud_attribute attribute,
                        const struct ty_value *value);

/* ty_cloud_event_take_data takes the next value as data. False: malformed, or no memory. */
bool ty_cloud_event_take_data(struct ty_cloud_event *event, struct ty_json *json);

/* ty_cloud_event_take_base64 takes it as data_base64. False as above, for the value itself; what it
 * encodes harms its own event only. */
bool ty_cloud_event_take_base64(struct ty_cloud_event *event, struct ty_json *json);

/* ty_cloud_event_end leaves the event in the batch, or turns it into a reject, as
 * ty_event_fields_end() does. */
void ty_cloud_event_end(struct ty_cloud_event *event);

#endif
