#include "ingest/msgpack_events.h"

#include "tests/ingest/packed.h"

#include <criterion/criterion.h>
#include <math.h>

static struct decoded decode_packed(const struct packed *packed)
{
    return decode_bytes(ty_msgpack_events_decode, packed->buffer.data, packed->buffer.size);
}

static void check_one(const struct decoded *decoded, const char *id)
{
    const struct ty_event *event = decoded->batch.events;
    struct ty_uuid customer;

    cr_assert_eq(decoded->status, TY_DECODE_OK);
    cr_assert_eq(decoded->batch.event_count, 1, "%s",
                 decoded->batch.record_count == 0 ? "" : decoded->batch.outcomes[0].message);
    ty_uuid_parse(CUSTOMER, 36, &customer);
    cr_assert(text_is(event->id, id));
    cr_assert_eq(ty_uuid_compare(&event->customer, &customer), 0);
}

/* Every field of a full map must arrive exactly as it was sent. */
Test(msgpack_events, full_map_arrives_in_every_field)
{
    struct packed packed;
    struct decoded decoded;
    const struct ty_event *event;

    pack_begin(&packed);
    msgpack_pack_map(&packed.to, 12);
    pack_text(&packed, "id");
    pack_text(&packed, "e\xc3\xa9");
    pack_text(&packed, "customer_id");
    pack_text(&packed, CUSTOMER);
    pack_text(&packed, "workflow_id");
    pack_uuid_bytes(&packed, WORKFLOW);
    pack_text(&packed, "time");
    pack_event_time(&packed, 1675172700, 123999999);
    pack_text(&packed, "credits");
    msgpack_pack_double(&packed.to, -0.000001);
    pack_text(&packed, "documents");
    msgpack_pack_int(&packed.to, 3);
    pack_text(&packed, "pages");
    msgpack_pack_uint64(&packed.to, UINT32_MAX);
    pack_text(&packed, "processing_ms");
    msgpack_pack_uint64(&packed.to, TALLY_PROCESSING_MS_MAX);
    pack_text(&packed, "user_id");
    pack_text(&packed, "u 1");
    pack_text(&packed, "tags"); /* unknown, with a value of some depth */
    msgpack_pack_array(&packed.to, 2);
    pack_map(&packed, "x");
    msgpack_pack_nil(&packed.to);
    msgpack_pack_int(&packed.to, 5); /* a name that is no text */
    pack_text(&packed, "ignored");
    msgpack_pack_array(&packed.to, 1); /* another */
    pack_text(&packed, "id");
    pack_text(&packed, "ignored too");
    decoded = decode_packed(&packed);
    check_one(&decoded, "e\xc3\xa9");
    event = decoded.batch.events;
    cr_assert_eq(event->time_ms, INT64_C(1675172700123));
    cr_assert_eq(event->credits, -1);
    cr_assert_eq(event->documents, 3);
    cr_assert_eq(event->pages, UINT32_MAX);
    cr_assert_eq(event->processing_ms, TALLY_PROCESSING_MS_MAX);
    cr_assert(text_is(event->user, "u 1"));
    finish(&decoded);
    pack_free(&packed);
}

/* The fast form and the checked one must not differ: both take random good records by position. */
Test(msgpack_events, arrays_mean_what_maps_mean)
{
    static const char *const names[] = {"id",        "customer_id", "workflow_id",   "credits",
                                        "documents", "pages",       "processing_ms", "user_id"};
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int round = 0; round < 3000; round++) {
        struct packed array, map;
        struct decoded a, m;
        unsigned count = 7 + (unsigned)ty_random_below(&random, 2);
        struct packed *both[2] = {&array, &map};
        uint64_t numbers[4];
        bool id_is_text = ty_random_one_in(&random, 3), nil = ty_random_one_in(&random, 4);
        bool uuid_is_text = ty_random_one_in(&random, 3);
        unsigned nil_at = 3 + (unsigned)ty_random_below(&random, 5);

        for (int i = 0; i < 4; i++)
            numbers[i] = ty_random_wide(&random) >> ty_random_below(&random, 40);
        for (int b = 0; b < 2; b++) {
            pack_begin(both[b]);
            msgpack_pack_array(&both[b]->to, 1);
            if (b == 0)
                msgpack_pack_array(&both[b]->to, count);
            else
                msgpack_pack_map(&both[b]->to, count);
            for (unsigned i = 0; i < count; i++) {
                if (b == 1)
                    pack_text(both[b], names[i]);
                if (nil && i == nil_at)
                    msgpack_pack_nil(&both[b]->to);
                else if (i == 7 || (i == 0 && id_is_text))
                    pack_text(both[b], "some text");
                else if (i < 3 && uuid_is_text)
                    pack_text(both[b], CUSTOMER);
                else if (i < 3)
                    pack_uuid_bytes(both[b], CUSTOMER);
                else
                    msgpack_pack_uint64(&both[b]->to, numbers[i - 3]);
            }
        }
        a = decode_packed(&array);
        m = decode_packed(&map);
        cr_assert_eq(a.status, TY_DECODE_OK);
        cr_assert_eq(m.status, TY_DECODE_OK);
        cr_assert_eq(a.batch.event_count, m.batch.event_count);
        if (a.batch.event_count == 1) {
            const struct ty_event *x = a.batch.events, *y = m.batch.events;

            cr_assert(x->id.length == y->id.length &&
                      memcmp(x->id.data, y->id.data, x->id.length) == 0);
            cr_assert(ty_uuid_compare(&x->customer, &y->customer) == 0 &&
                      ty_uuid_compare(&x->workflow, &y->workflow) == 0);
            cr_assert(x->credits == y->credits && x->documents == y->documents &&
                      x->pages == y->pages && x->processing_ms == y->processing_ms &&
                      x->time_ms == y->time_ms && x->user.length == y->user.length);
        } else {
            cr_assert_eq(a.batch.outcomes[0].result, m.batch.outcomes[0].result);
            cr_assert_str_eq(a.batch.outcomes[0].message, m.batch.outcomes[0].message);
        }
        finish(&a);
        finish(&m);
        pack_free(&array);
        pack_free(&map);
    }
}

/* An id sent once as 16 bytes and once as text must count once. */
Test(msgpack_events, a_binary_id_is_the_text_of_its_uuid)
{
    struct packed packed;
    struct decoded decoded;

    pack_begin(&packed);
    msgpack_pack_map(&packed.to, 3);
    pack_text(&packed, "id");
    pack_uuid_bytes(&packed, "ABCDEF01-2345-6789-abcd-ef0123456789");
    pack_text(&packed, "customer_id");
    pack_uuid_bytes(&packed, CUSTOMER);
    pack_text(&packed, "workflow_id");
    pack_uuid_bytes(&packed, WORKFLOW);
    decoded = decode_packed(&packed);
    check_one(&decoded, "abcdef01-2345-6789-abcd-ef0123456789");
    finish(&decoded);
    pack_free(&packed);
}

enum odd { FLOAT_TENTH, FLOAT_FINE, NOT_A_NUMBER, TRUE_VALUE, BAD_TEXT, BINARY, EXTENSION, NESTED };

static void pack_odd(struct packed *packed, enum odd odd)
{
    switch (odd) {
    case FLOAT_TENTH:
        msgpack_pack_float(&packed->to, 0.1f);
        return;
    case FLOAT_FINE:
        msgpack_pack_double(&packed->to, 1.0 / 3);
        return;
    case NOT_A_NUMBER:
        msgpack_pack_double(&packed->to, (double)NAN);
        return;
    case TRUE_VALUE:
        msgpack_pack_true(&packed->to);
        return;
    case BAD_TEXT:
        pack_text(packed, "\xff\xfe");
        return;
    case BINARY:
        msgpack_pack_bin_with_body(&packed->to, "abc", 3);
        return;
    case EXTENSION:
        pack_event_time(packed, 1, 2);
        return;
    case NESTED:
        msgpack_pack_map(&packed->to, 1);
        pack_text(packed, "id");
        pack_text(packed, "x");
    }
}

/* A wrong value is told by name, and what was given is shown; binary floats are exact or refused.
 */
Test(msgpack_events, odd_values_are_judged_field_by_field)
{
    static const struct {
        const char *field;
        enum odd odd;
        const char *message; /* its beginning; NULL: taken */
    } cases[] = {
        {"credits", FLOAT_TENTH, NULL},
        {"credits", FLOAT_FINE, "credits: 0.33333333333333331 has more than 6 fractional digits"},
        {"credits", NOT_A_NUMBER, "credits: nan is not a number"},
        {"credits", TRUE_VALUE, "credits: true is not a number"},
        {"credits", BINARY, "credits: 3 bytes of binary is not a number"},
        {"documents", FLOAT_TENTH, "documents: 0.100000001 is a binary float, not an integer"},
        {"documents", EXTENSION, "documents: an extension is not an integer"},
        {"pages", NESTED, "pages: a map is not an integer"},
        {"user_id", BAD_TEXT, "user_id: a text that is not UTF-8 is not text"},
        {"user_id", BINARY, "user_id: 3 bytes of binary is not text"},
        {"time", EXTENSION, NULL},
        {"time", FLOAT_FINE, "time: 0.33333333333333331 is a binary float"},
        {"time", TRUE_VALUE, "time: true is neither text nor an integer"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct packed packed;
        struct decoded decoded;

        pack_begin(&packed);
        msgpack_pack_map(&packed.to, 4);
        pack_text(&packed, "id");
        pack_text(&packed, "e");
        pack_text(&packed, "customer_id");
        pack_text(&packed, CUSTOMER);
        pack_text(&packed, "workflow_id");
        pack_text(&packed, WORKFLOW);
        pack_text(&packed, cases[i].field);
        pack_odd(&packed, cases[i].odd);
        decoded = decode_packed(&packed);
        cr_assert_eq(decoded.status, TY_DECODE_OK);
        if (cases[i].message == NULL) {
            check_one(&decoded, "e");
        } else {
            const struct ty_outcome *outcome = decoded.batch.outcomes;

            cr_assert_eq(decoded.batch.event_count, 0, "case %zu", i);
            cr_assert_eq(strncmp(outcome->message, cases[i].message, strlen(cases[i].message)), 0,
                         "case %zu: %s", i, outcome->message);
            cr_assert(text_is(outcome->id, "e"));
        }
        finish(&decoded);
        pack_free(&packed);
    }
}

/* A bad record stops no good one beside it. */
Test(msgpack_events, records_are_decided_one_by_one)
{
    struct packed packed;
    struct decoded decoded;

    pack_begin(&packed);
    msgpack_pack_array(&packed.to, 6);
    pack_map(&packed, "a");
    msgpack_pack_nil(&packed.to);
    msgpack_pack_array(&packed.to, 9);
    for (int i = 0; i < 9; i++)
        msgpack_pack_int(&packed.to, i);
    msgpack_pack_map(&packed.to, 0);
    pack_text(&packed, "text");
    pack_array(&packed, "b");
    decoded = decode_packed(&packed);
    cr_assert_eq(decoded.status, TY_DECODE_OK);
    cr_assert_eq(decoded.batch.record_count, 6);
    cr_assert_eq(decoded.batch.event_count, 2);
    cr_assert_str_eq(decoded.batch.outcomes[1].message,
                     "the record is nil, not a map or an array of fields");
    cr_assert_eq(decoded.batch.outcomes[2].result, TALLY_INVALID_FIELD);
    cr_assert_eq(decoded.batch.outcomes[3].result, TALLY_MISSING_FIELD);
    cr_assert_eq(decoded.batch.events[1].record, 5);
    cr_assert_eq(decoded.batch.events[1].credits, 1000000);
    finish(&decoded);
    pack_free(&packed);
}

/* A body that is no document stores nothing, whatever its beginning. */
Test(msgpack_events, bodies_that_are_no_document_are_refused)
{
    static const struct {
        const char *body;
        size_t length;
        const char *message;
        size_t byte;
    } cases[] = {
        {"", 0, "the bytes end before the value does", 0},
        {"\xc1", 1, "this byte begins no msgpack value", 0},
        {"\x92\x01\xc1", 3, "this byte begins no msgpack value", 2},
        {"\x93\x01", 2, "the bytes end before the value does", 2},
        {"\xc0", 1, "the body is neither a map (an event) nor an array of events", 0},
        {"\x80\x80", 2, "more bytes follow the value", 1},
        {"\xdd\xff\xff\xff\xff", 5, TY_DECODE_RECORDS_MAX_TEXT, 5},
        {"\xdc\xff\xff", 3, "the bytes end before the value does", 3},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct decoded decoded =
            decode_bytes(ty_msgpack_events_decode, cases[i].body, cases[i].length);

        cr_assert_eq(decoded.status, TY_DECODE_REFUSED, "case %zu", i);
        cr_assert_str_eq(decoded.error.message, cases[i].message, "case %zu", i);
        cr_assert_eq(decoded.error.byte, cases[i].byte, "case %zu: %zu", i, decoded.error.byte);
        finish(&decoded);
    }
}

/* An empty batch is one, and is answered with zeros. */
Test(msgpack_events, an_empty_array_is_an_empty_batch)
{
    struct decoded decoded = decode_bytes(ty_msgpack_events_decode, "\x90", 1);

    cr_assert_eq(decoded.status, TY_DECODE_OK);
    cr_assert_eq(decoded.batch.record_count, 0);
    finish(&decoded);
}
