#include "engine/event.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>
#include <xxhash.h>

static const struct ty_secret secret = {.bytes = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                                  12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
                                                  23, 24, 25, 26, 27, 28, 29, 30, 31, 32}};

static struct ty_text text_of(const char *text)
{
    return (struct ty_text){text, strlen(text)};
}

static struct ty_event example(void)
{
    struct ty_event event = {.id = text_of("e-1"),
                             .source = text_of("billing"),
                             .user = text_of("ada"),
                             .time_ms = INT64_C(1675172700000),
                             .credits = 5000000,
                             .processing_ms = 1200,
                             .documents = 1,
                             .pages = 3};

    memset(event.customer.bytes, 0xc0, 16);
    memset(event.workflow.bytes, 0xf0, 16);
    ty_event_hash(&event, &secret);
    return event;
}

static bool same_key(const struct ty_event *a, const struct ty_event *b)
{
    return a->key.high == b->key.high && a->key.low == b->key.low;
}

/* Two events that share a key are one event: what is source and what is id must not blur. */
Test(event, keys_tell_where_the_source_ends)
{
    static const char *const pairs[][2] = {
        {"x-1", "2"}, {"x", "1-2"}, {"x-", "12"}, {"", "x-12"}, {"x-1-", "2"}, {"x-12", ""},
    };
    struct ty_event events[TY_COUNT_OF(pairs)];

    for (size_t i = 0; i < TY_COUNT_OF(pairs); i++) {
        events[i] = example();
        events[i].source = text_of(pairs[i][0]);
        events[i].id = text_of(pairs[i][1]);
        ty_event_hash(&events[i], &secret);
        for (size_t j = 0; j < i; j++)
            cr_assert(!same_key(&events[i], &events[j]), "pairs %zu and %zu", i, j);
    }
}

/* Ids count once a customer: the same id of another customer or source is another event; nothing
 * else is part of the key, or a conflict would pass for a new event. */
Test(event, keys_depend_on_customer_source_and_id_only)
{
    struct ty_event base = example(), event;

    event = base;
    event.customer.bytes[15] ^= 1;
    ty_event_hash(&event, &secret);
    cr_assert(!same_key(&event, &base));
    cr_assert_eq(event.content, base.content, "and the content does not hold them");
    event = base;
    event.id = text_of("e-2");
    ty_event_hash(&event, &secret);
    cr_assert(!same_key(&event, &base));
    cr_assert_eq(event.content, base.content);
    event = base;
    event.source = text_of("");
    ty_event_hash(&event, &secret);
    cr_assert(!same_key(&event, &base));
    event = base;
    event.workflow.bytes[0] ^= 1;
    event.credits++;
    event.record = 99;
    event.user = text_of("bob");
    event.time_ms++;
    ty_event_hash(&event, &secret);
    cr_assert(same_key(&event, &base));
}

/* A correction under a used id must be an id_conflict, whichever field it changes. */
Test(event, contents_differ_when_any_one_field_differs)
{
    struct ty_event base = example(), events[12];
    size_t count = 0;

    events[count++] = base;
    events[count] = base;
    events[count++].workflow.bytes[7] ^= 0x80;
    events[count] = base;
    events[count++].time_ms += 1;
    events[count] = base;
    events[count++].time_ms = TALLY_TIME_OF_ARRIVAL;
    events[count] = base;
    events[count++].time_ms = 0;
    events[count] = base;
    events[count++].credits = -base.credits;
    events[count] = base;
    events[count++].documents = base.pages;
    events[count] = base;
    events[count++].pages = base.documents;
    events[count] = base;
    events[count++].processing_ms += 1;
    events[count] = base;
    events[count++].user = text_of("adb");
    events[count] = base;
    events[count++].user = text_of("");
    cr_assert(count <= TY_COUNT_OF(events));
    for (size_t i = 0; i < count; i++) {
        ty_event_hash(&events[i], &secret);
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(events[i].content, events[j].content, "changes %zu and %zu", i, j);
    }
}

/* A retry is a duplicate: equal fields give equal hashes, wherever the texts lie. */
Test(event, hashes_do_not_depend_on_where_the_texts_lie)
{
    struct ty_event a = example(), b = example();
    char copy[] = "?e-1?";

    b.id = (struct ty_text){copy + 1, 3};
    b.record = 1000;
    ty_event_hash(&b, &secret);
    cr_assert(same_key(&a, &b));
    cr_assert_eq(a.content, b.content);
    a.user = (struct ty_text){NULL, 0};
    b.user = text_of("");
    ty_event_hash(&a, &secret);
    ty_event_hash(&b, &secret);
    cr_assert_eq(a.content, b.content, "no user and an empty one are the same");
}

static size_t put(uint8_t *out, const void *data, size_t length)
{
    memcpy(out, data, length);
    return length;
}

/* The hashes of the journal's events are made again at every start: if they came out otherwise,
 * every id of the window would be forgotten. This is the message of event.h, put together here. */
Test(event, hashes_the_message_that_the_header_describes)
{
    struct ty_event event = example();
    const uint64_t numbers[] = {(uint64_t)event.time_ms, (uint64_t)event.credits, event.documents,
                                event.pages, event.processing_ms};
    uint8_t message[256], hash[16];
    uint64_t seed;
    size_t length = put(message, event.customer.bytes, 16);

    length += put(message + length, "\0\7billing\0\3e-1", 14);
    crypto_shorthash_siphashx24(hash, message, length, secret.bytes);
    cr_assert_eq(memcmp(&event.key.high, hash, 8), 0);
    cr_assert_eq(memcmp(&event.key.low, hash + 8, 8), 0);

    length = put(message, event.workflow.bytes, 16);
    for (size_t i = 0; i < TY_COUNT_OF(numbers); i++)
        for (int byte = 0; byte < 8; byte++)
            message[length++] = (uint8_t)(numbers[i] >> (8 * byte));
    length += put(message + length, "\0\3ada", 5);
    memcpy(&seed, secret.bytes + 16, 8);
    cr_assert_eq(event.content, XXH3_64bits_withSeed(message, length, seed));
}

/* Who does not know the secret cannot aim two ids at one key. */
Test(event, keys_and_contents_depend_on_the_secret)
{
    struct ty_event a = example(), b = example();
    struct ty_secret other = secret;

    other.bytes[0] ^= 1;
    ty_event_hash(&b, &other);
    cr_assert(!same_key(&a, &b));
    other = secret;
    other.bytes[16] ^= 1;
    ty_event_hash(&b, &other);
    cr_assert_neq(a.content, b.content);
}

/* The longest fields that are allowed fit. */
Test(event, hashes_the_longest_fields)
{
    static char longest[TALLY_SOURCE_BYTES_MAX];
    struct ty_event a = example(), b;

    memset(longest, 'x', sizeof(longest));
    a.id = (struct ty_text){longest, TALLY_ID_BYTES_MAX};
    a.source = (struct ty_text){longest, TALLY_SOURCE_BYTES_MAX};
    a.user = (struct ty_text){longest, TALLY_USER_BYTES_MAX};
    b = a;
    b.source.length--;
    b.user.length--;
    ty_event_hash(&a, &secret);
    ty_event_hash(&b, &secret);
    cr_assert(!same_key(&a, &b));
    cr_assert_neq(a.content, b.content);
}
