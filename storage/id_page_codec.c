#include "storage/id_page_codec.h"

#include "storage/value_header.h"

#define VERSION   1
#define BODY_AT   TY_VALUE_BODY_AT
#define ID_BYTES  28
#define SECOND_MS 1000

void ty_id_key_encode(uint32_t run, enum ty_id_kind kind, uint32_t number,
                      uint8_t key[TY_ID_KEY_BYTES])
{
    uint8_t *out = ty_put_u32_be(key, run);

    *out++ = (uint8_t)kind;
    ty_put_u32_be(out, number);
}

void ty_id_value_seal(const uint8_t key[TY_ID_KEY_BYTES], uint8_t *value, size_t length)
{
    ty_value_seal(key, TY_ID_KEY_BYTES, VERSION, value, length);
}

/* Leaves the reader at the body. */
static const char *open_value(const uint8_t key[TY_ID_KEY_BYTES], const void *value, size_t length,
                              struct ty_reader *reader)
{
    return ty_value_open(key, TY_ID_KEY_BYTES, VERSION, value, length, reader);
}

const char *ty_id_value_check(const uint8_t key[TY_ID_KEY_BYTES], const void *value, size_t length)
{
    struct ty_reader reader;

    return open_value(key, value, length, &reader);
}

/* --- Pages --- */

/* In whole seconds since 1970, whatever the run. */
static int64_t second_behind(int64_t ms)
{
    return (ms + SECOND_MS - 1) / SECOND_MS;
}

size_t ty_id_page_encode(const uint8_t key[TY_ID_KEY_BYTES], int64_t first_ms,
                         const struct ty_id *ids, uint32_t count,
                         uint8_t value[TY_ID_PAGE_BYTES_MAX])
{
    uint8_t *out = value + BODY_AT;

    TY_ASSERT(count <= TY_ID_PAGE_IDS);
    for (uint32_t i = 0; i < count; i++) {
        TY_ASSERT(ids[i].arrived_ms >= first_ms);
        out = ty_put_u64(out, ids[i].key.high);
        out = ty_put_u64(out, ids[i].key.low);
        out = ty_put_u64(out, ids[i].content);
        out = ty_put_u32(out, (uint32_t)(second_behind(ids[i].arrived_ms) - first_ms / SECOND_MS));
    }
    ty_id_value_seal(key, value, (size_t)(out - value));
    return (size_t)(out - value);
}

static void get_id(struct ty_reader *reader, int64_t first_ms, struct ty_id *id)
{
    id->key.high = ty_get_u64(reader);
    id->key.low = ty_get_u64(reader);
    id->content = ty_get_u64(reader);
    id->arrived_ms = SECOND_MS * (first_ms / SECOND_MS + (int64_t)ty_get_u32(reader));
}

static const char *open_page(const uint8_t key[TY_ID_KEY_BYTES], const void *value, size_t length,
                             struct ty_reader *reader)
{
    const char *problem = open_value(key, value, length, reader);

    if (problem == NULL && ((length - BODY_AT) % ID_BYTES != 0 || length > TY_ID_PAGE_BYTES_MAX))
        problem = "no whole number of ids";
    return problem;
}

const char *ty_id_page_decode(const uint8_t key[TY_ID_KEY_BYTES], int64_t first_ms,
                              const void *value, size_t length, struct ty_id ids[TY_ID_PAGE_IDS],
                              uint32_t *count)
{
    struct ty_reader reader;
    const char *problem = open_page(key, value, length, &reader);

    if (problem != NULL)
        return problem;
    *count = (uint32_t)((length - BODY_AT) / ID_BYTES);
    for (uint32_t i = 0; i < *count; i++)
        get_id(&reader, first_ms, &ids[i]);
    return NULL;
}

/* The key of an id of the page, borrowed at its bytes. */
static struct ty_key key_at(const uint8_t *body, uint32_t index)
{
    struct ty_reader reader = ty_reader_of(body + (size_t)index * ID_BYTES, 16);
    uint64_t high = ty_get_u64(&reader);

    return (struct ty_key){.high = high, .low = ty_get_u64(&reader)};
}

const char *ty_id_page_find(const uint8_t key[TY_ID_KEY_BYTES], int64_t first_ms, const void *value,
                            size_t length, const struct ty_key *wanted, bool *found,
                            struct ty_id *id)
{
    struct ty_reader reader;
    const char *problem = open_page(key, value, length, &reader);
    uint32_t low = 0, high = (uint32_t)((length - BODY_AT) / ID_BYTES);

    *found = false;
    if (problem != NULL)
        return problem;
    while (low < high) { /* Below `low` all keys are less, from `high` on none is. */
        uint32_t middle = (low + high) / 2;
        struct ty_key at = key_at(reader.at, middle);

        if (ty_key_compare(&at, wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == (length - BODY_AT) / ID_BYTES)
        return NULL;
    ty_get_bytes(&reader, (size_t)low * ID_BYTES);
    get_id(&reader, first_ms, id);
    *found = ty_key_compare(&id->key, wanted) == 0;
    return NULL;
}

/* --- Prefixes: each as a varint of what it is more than the one before --- */

#define PREFIX_MAX (UINT64_MAX >> TY_ID_PREFIX_SHIFT)
#define NOT_A_LIST "no list of prefixes"

void ty_id_list_encode(const uint8_t key[TY_ID_KEY_BYTES], const uint64_t *prefixes, uint32_t count,
                       struct ty_buffer *out)
{
    size_t start = out->length;
    uint8_t scratch[10];
    uint64_t before = 0;

    TY_ASSERT(count <= TY_ID_LIST_IDS);
    ty_buffer_append(out, "\0\0\0\0\0\0\0\0", BODY_AT);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *end = ty_put_varint(scratch, prefixes[i] - before);

        ty_buffer_append(out, scratch, (size_t)(end - scratch));
        before = prefixes[i];
    }
    if (ty_buffer_ok(out))
        ty_id_value_seal(key, (uint8_t *)out->data + start, out->length - start);
}

const char *ty_id_list_decode(const uint8_t key[TY_ID_KEY_BYTES], const void *value, size_t length,
                              uint64_t prefixes[TY_ID_LIST_IDS], uint32_t *count)
{
    struct ty_reader reader;
    const char *problem = open_value(key, value, length, &reader);
    uint64_t prefix = 0;

    *count = 0;
    if (problem != NULL)
        return problem;
    while (reader.at < reader.end && *count < TY_ID_LIST_IDS) {
        uint64_t more = ty_get_varint(&reader);

        if (more > PREFIX_MAX - prefix) /* Beyond 64 bits it would descend. */
            return NOT_A_LIST;
        prefix += more;
        prefixes[(*count)++] = prefix;
    }
    return reader.failed || reader.at != reader.end ? NOT_A_LIST : NULL;
}
