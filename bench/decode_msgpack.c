/*
 * decode_msgpack.c: how many events a second one thread reads from msgpack, before anything is
 * decided about them: maps and arrays by position from a body, and entries of a Forward message.
 * A decoder that unpacks with msgpack-c, into a zone that is used again, and then sets the same
 * fields, runs on the same bytes beside it, for the ratio.
 */
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "engine/utf8.h"
#include "engine/uuid.h"
#include "ingest/event_fields.h"
#include "ingest/forward.h"
#include "ingest/msgpack_events.h"

#define INFLATED_MAX ((size_t)1 << 30)

enum form { MAPS, ARRAYS, FORWARD, FORMS };

static const char *const names[FORMS] = {"decode_msgpack_maps", "decode_msgpack_arrays",
                                         "decode_forward"};

static void pack_uuid(msgpack_packer *to, uint64_t high, uint64_t low, bool text)
{
    char words[TY_UUID_TEXT_LENGTH];
    struct ty_uuid uuid;

    memcpy(uuid.bytes, &high, 8);
    memcpy(uuid.bytes + 8, &low, 8);
    ty_uuid_format(&uuid, words);
    if (text)
        msgpack_pack_str_with_body(to, words, sizeof(words));
    else
        msgpack_pack_bin_with_body(to, uuid.bytes, sizeof(uuid.bytes));
}

static void pack_name(msgpack_packer *to, bool named, enum ty_field field)
{
    const char *name = ty_event_fields_name(field);

    if (named)
        msgpack_pack_str_with_body(to, name, strlen(name));
}

/* Packs event n: its UUIDs as text in a map, as a client's library writes them, and as binary in
 * an array. */
static void pack_record(msgpack_packer *to, const struct bench_options *options, bool named,
                        uint64_t n)
{
    uint64_t key = bench_mix(n + 1), series = key % options->series;

    if (named)
        msgpack_pack_map(to, 7);
    else
        msgpack_pack_array(to, 7);
    pack_name(to, named, TY_FIELD_ID);
    pack_uuid(to, key, n, named);
    pack_name(to, named, TY_FIELD_CUSTOMER_ID);
    pack_uuid(to, 0, series / 4, named);
    pack_name(to, named, TY_FIELD_WORKFLOW_ID);
    pack_uuid(to, 1, series % 4, named);
    pack_name(to, named, TY_FIELD_CREDITS);
    msgpack_pack_uint64(to, key / 256 % 40);
    pack_name(to, named, TY_FIELD_DOCUMENTS);
    msgpack_pack_uint64(to, 1);
    pack_name(to, named, TY_FIELD_PAGES);
    msgpack_pack_uint64(to, key / 1024 % 30 + 1);
    pack_name(to, named, TY_FIELD_PROCESSING_MS);
    msgpack_pack_uint64(to, key / 65536 % 90000);
}

static void make_body(msgpack_sbuffer *body, enum form form, const struct bench_options *options)
{
    msgpack_packer to;

    msgpack_sbuffer_init(body);
    msgpack_packer_init(&to, body, msgpack_sbuffer_write);
    if (form == FORWARD) {
        msgpack_pack_array(&to, 2);
        msgpack_pack_str_with_body(&to, "usage", 5);
    }
    msgpack_pack_array(&to, options->batch);
    for (uint64_t i = 0; i < options->batch; i++) {
        if (form == FORWARD) {
            uint8_t time[8] = {0x63, 0xd9, 0x1f, 0x80, 0, 0, 0, 0};

            msgpack_pack_array(&to, 2);
            msgpack_pack_ext_with_body(&to, time, sizeof(time), 0);
        }
        pack_record(&to, options, form == MAPS, i);
    }
}

static bool decode_ours(const msgpack_sbuffer *body, enum form form, struct ty_batch *batch)
{
    struct ty_forward_message message;
    struct ty_decode_error error;

    if (form == FORWARD)
        return ty_forward_decode(body->data, body->size, INFLATED_MAX, batch, &message, &error) ==
               TY_DECODE_OK;
    return ty_msgpack_events_decode(body->data, body->size, batch, &error) == TY_DECODE_OK;
}

/* The library's value as event_fields takes it. */
static struct ty_value value_of(const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return (struct ty_value){.kind = TY_VALUE_INTEGER, .magnitude = object->via.u64};
    case MSGPACK_OBJECT_BIN:
        return (struct ty_value){.kind = TY_VALUE_BYTES,
                                 .text = {object->via.bin.ptr, object->via.bin.size}};
    case MSGPACK_OBJECT_STR:
        if (ty_utf8_check(object->via.str.ptr, object->via.str.size) != object->via.str.size)
            bench_fail("UTF-8");
        return (struct ty_value){.kind = TY_VALUE_TEXT,
                                 .text = {object->via.str.ptr, object->via.str.size}};
    default:
        bench_fail("a value of another kind");
    }
}

static void set_array(struct ty_record *record, const msgpack_object_array *array)
{
    static const enum ty_field places[] = {
        TY_FIELD_ID,        TY_FIELD_CUSTOMER_ID, TY_FIELD_WORKFLOW_ID,  TY_FIELD_CREDITS,
        TY_FIELD_DOCUMENTS, TY_FIELD_PAGES,       TY_FIELD_PROCESSING_MS};

    for (uint32_t i = 0; i < array->size; i++) {
        struct ty_value value = value_of(&array->ptr[i]);

        ty_event_fields_set(record, places[i], &value);
    }
}

static void set_map(struct ty_record *record, const msgpack_object_map *map)
{
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object_str *name = &map->ptr[i].key.via.str;
        struct ty_value value = value_of(&map->ptr[i].val);

        ty_event_fields_set(record, ty_event_fields_find(name->ptr, name->size), &value);
    }
}

static bool decode_theirs(const msgpack_sbuffer *body, enum form form, msgpack_zone *zone,
                          struct ty_batch *batch)
{
    const msgpack_object_array *records;
    msgpack_object object;
    size_t at = 0;

    msgpack_zone_clear(zone);
    if (msgpack_unpack(body->data, body->size, &at, zone, &object) != MSGPACK_UNPACK_SUCCESS)
        return false;
    records = form == FORWARD ? &object.via.array.ptr[1].via.array : &object.via.array;
    ty_batch_reserve(batch, records->size);
    for (uint32_t i = 0; i < records->size; i++) {
        const msgpack_object *value =
            form == FORWARD ? &records->ptr[i].via.array.ptr[1] : &records->ptr[i];
        struct ty_record record;

        if (!ty_event_fields_begin(&record, batch))
            return false;
        if (value->type == MSGPACK_OBJECT_MAP)
            set_map(&record, &value->via.map);
        else
            set_array(&record, &value->via.array);
        ty_event_fields_end(&record);
    }
    return true;
}

/* Decodes the body again and again, into one batch, as a server does; with a zone by msgpack-c. */
static void run(const msgpack_sbuffer *body, enum form form, const struct bench_options *options,
                msgpack_zone *zone)
{
    struct ty_batch batch = {0};
    struct bench_clock clock;
    uint64_t events = 0;
    char name[64];

    snprintf(name, sizeof(name), "%s%s", names[form], zone == NULL ? "" : ", msgpack-c");
    bench_start(&clock);
    for (; events < options->events; events += options->batch) {
        bool ok = zone == NULL ? decode_ours(body, form, &batch)
                               : decode_theirs(body, form, zone, &batch);

        if (!ok || batch.event_count != options->batch)
            bench_fail(name);
        ty_batch_reset(&batch);
    }
    bench_report(&clock, name, events, "events");
    ty_batch_fini(&batch);
}

int main(int argc, char **argv)
{
    struct bench_options options = bench_parse(argc, argv);
    msgpack_zone zone;

    if (!msgpack_zone_init(&zone, 1 << 20))
        bench_fail("no memory for a zone");
    for (enum form form = MAPS; form < FORMS; form++) {
        msgpack_sbuffer body;

        make_body(&body, form, &options);
        run(&body, form, &options, NULL);
        run(&body, form, &options, &zone);
        printf("%s: %zu bytes an event\n", names[form], body.size / options.batch);
        msgpack_sbuffer_destroy(&body);
    }
    msgpack_zone_destroy(&zone);
    return 0;
}
