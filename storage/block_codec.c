#include "storage/block_codec.h"

#include "storage/value_header.h"

#define VERSION      1
#define STAMP_AT     TY_VALUE_BODY_AT
#define COLUMNS_AT   17
#define BITMAP_BYTES (TY_SLOTS_PER_DAY / 8)
/* The length of a column is a varint padded to two bytes, so that it can be filled in. */
#define LENGTH_BYTES     2
#define COLUMN_BYTES_MAX ((1 << 14) - 1)

/* Column tags; never reused. */
enum {
    TAG_SLOTS = 1,
    TAG_EVENTS,
    TAG_CREDITS,
    TAG_DOCUMENTS,
    TAG_PAGES,
    TAG_PROCESSING_MS,
    TAG_END
};

_Static_assert(19 + TY_SLOTS_PER_DAY * 10 <= COLUMN_BYTES_MAX, "a column's length fits two bytes");

void ty_block_key(uint32_t series, enum ty_level level, int32_t period,
                  uint8_t key[TY_BLOCK_KEY_BYTES])
{
    TY_ASSERT(period >= 0);
    ty_put_u32_be(key, series);
    key[4] = (uint8_t)level;
    ty_put_u32_be(key + 5, (uint32_t)period);
}

static ty_uint128 slot_measure(const struct ty_slot_sum *sum, int tag)
{
    switch (tag) {
    case TAG_EVENTS:
        return sum->events;
    case TAG_CREDITS:
        return ty_zigzag(sum->credits);
    case TAG_DOCUMENTS:
        return sum->documents;
    case TAG_PAGES:
        return sum->pages;
    default:
        return sum->processing_ms;
    }
}

static ty_uint128 total_measure(const struct ty_total *total, int tag)
{
    switch (tag) {
    case TAG_EVENTS:
        return total->events;
    case TAG_CREDITS:
        return ty_zigzag128(total->credits);
    case TAG_DOCUMENTS:
        return (ty_uint128)total->documents;
    case TAG_PAGES:
        return (ty_uint128)total->pages;
    default:
        return (ty_uint128)total->processing_ms;
    }
}

/* A column is its tag, its length and its numbers: the total, then (of a day) the used slots'.
 * One that holds only zeros is left out. `day` is NULL for a month. */
static uint8_t *put_column(uint8_t *out, int tag, const struct ty_total *total,
                           const struct ty_day_block *day)
{
    uint8_t *numbers = out + 1 + LENGTH_BYTES, *end;
    bool has_value = total_measure(total, tag) != 0;
    size_t length;

    end = ty_put_varint128(numbers, total_measure(total, tag));
    for (unsigned i = 0; day != NULL && i < TY_SLOTS_PER_DAY; i++)
        if (day->used[i]) {
            ty_uint128 value = slot_measure(&day->slots[i], tag);

            has_value |= value != 0;
            end = ty_put_varint(end, (uint64_t)value);
        }
    if (!has_value)
        return out;
    length = (size_t)(end - numbers);
    out[0] = (uint8_t)tag;
    out[1] = (uint8_t)(length | 0x80);
    out[2] = (uint8_t)(length >> 7);
    return end;
}

static uint8_t *put_columns(uint8_t *out, const struct ty_total *total,
                            const struct ty_day_block *day)
{
    for (int tag = TAG_EVENTS; tag < TAG_END; tag++)
        out = put_column(out, tag, total, day);
    return out;
}

static uint8_t *put_bitmap(uint8_t *out, const bool used[TY_SLOTS_PER_DAY])
{
    *out++ = TAG_SLOTS;
    *out++ = BITMAP_BYTES;
    memset(out, 0, BITMAP_BYTES);
    for (unsigned i = 0; i < TY_SLOTS_PER_DAY; i++)
        if (used[i])
            out[i / 8] |= (uint8_t)(1 << i % 8);
    return out + BITMAP_BYTES;
}

static size_t finish(const uint8_t key[TY_BLOCK_KEY_BYTES], uint8_t *value, const uint8_t *end,
                     uint64_t stamp)
{
    size_t length = (size_t)(end - value);

    ty_put_u64(value + STAMP_AT, stamp);
    ty_value_seal(key, TY_BLOCK_KEY_BYTES, VERSION, value, length);
    return length;
}

size_t ty_day_block_encode(const uint8_t key[TY_BLOCK_KEY_BYTES], const struct ty_day_block *block,
                           uint8_t out[TY_DAY_BLOCK_BYTES_MAX])
{
    uint8_t *end = put_columns(put_bitmap(out + COLUMNS_AT, block->used), &block->total, block);

    return finish(key, out, end, block->stamp);
}

size_t ty_month_block_encode(const uint8_t key[TY_BLOCK_KEY_BYTES],
                             const struct ty_month_block *block,
                             uint8_t out[TY_MONTH_BLOCK_BYTES_MAX])
{
    return finish(key, out, put_columns(out + COLUMNS_AT, &block->total, NULL), block->stamp);
}

/* The checked columns of a value, or what is wrong with it. */
static const char *open_value(const uint8_t key[TY_BLOCK_KEY_BYTES], const uint8_t *value,
                              size_t length, struct ty_reader *columns)
{
    const char *problem;

    if (length < COLUMNS_AT)
        return "shorter than its header";
    problem = ty_value_open(key, TY_BLOCK_KEY_BYTES, VERSION, value, length, columns);
    if (problem != NULL)
        return problem;
    *columns = ty_reader_of(value + COLUMNS_AT, length - COLUMNS_AT);
    return NULL;
}

bool ty_block_is_intact(const uint8_t key[TY_BLOCK_KEY_BYTES], const void *data, size_t length)
{
    struct ty_reader columns;

    return open_value(key, data, length, &columns) == NULL;
}

static void set_slot_measure(struct ty_slot_sum *sum, int tag, uint64_t value)
{
    if (tag == TAG_EVENTS)
        sum->events = value;
    else if (tag == TAG_CREDITS)
        sum->credits = ty_unzigzag(value);
    else if (tag == TAG_DOCUMENTS)
        sum->documents = value;
    else if (tag == TAG_PAGES)
        sum->pages = value;
    else
        sum->processing_ms = value;
}

static void set_total_measure(struct ty_total *total, int tag, ty_uint128 value)
{
    if (tag == TAG_EVENTS)
        total->events = (uint64_t)value;
    else if (tag == TAG_CREDITS)
        total->credits = ty_unzigzag128(value);
    else if (tag == TAG_DOCUMENTS)
        total->documents = (ty_int128)value;
    else if (tag == TAG_PAGES)
        total->pages = (ty_int128)value;
    else
        total->processing_ms = (ty_int128)value;
}

static void get_bitmap(struct ty_reader *column, struct ty_day_block *day)
{
    const uint8_t *bits = ty_get_bytes(column, BITMAP_BYTES);

    for (unsigned i = 0; bits != NULL && i < TY_SLOTS_PER_DAY; i++)
        day->used[i] = bits[i / 8] >> i % 8 & 1;
}

/* Reads one column into the total and, when wanted, the day's slots. */
static bool get_column(struct ty_reader *columns, struct ty_total *total, struct ty_day_block *day)
{
    int tag = ty_get_u8(columns);
    uint64_t length = ty_get_varint(columns);
    const uint8_t *data = ty_get_bytes(columns, (size_t)TY_MIN(length, (uint64_t)SIZE_MAX));
    struct ty_reader column;

    if (data == NULL || tag < TAG_SLOTS || tag >= TAG_END)
        return false;
    column = ty_reader_of(data, (size_t)length);
    if (tag == TAG_SLOTS) {
        if (day != NULL)
            get_bitmap(&column, day);
        return !column.failed;
    }
    set_total_measure(total, tag, ty_get_varint128(&column));
    for (unsigned i = 0; day != NULL && i < TY_SLOTS_PER_DAY; i++)
        if (day->used[i])
            set_slot_measure(&day->slots[i], tag, ty_get_varint(&column));
    return !column.failed;
}

static const char *decode(const uint8_t key[TY_BLOCK_KEY_BYTES], const void *data, size_t length,
                          uint64_t *stamp, struct ty_total *total, struct ty_day_block *day)
{
    struct ty_reader columns, header = ty_reader_of(data, length);
    const char *problem = open_value(key, data, length, &columns);

    if (problem != NULL)
        return problem;
    ty_get_bytes(&header, STAMP_AT);
    *stamp = ty_get_u64(&header);
    *total = (struct ty_total){0};
    while (columns.at != columns.end)
        if (!get_column(&columns, total, day))
            return "malformed column";
    return NULL;
}

const char *ty_day_block_decode(const uint8_t key[TY_BLOCK_KEY_BYTES], const void *data,
                                size_t length, struct ty_day_block *block)
{
    memset(block, 0, sizeof(*block));
    return decode(key, data, length, &block->stamp, &block->total, block);
}

const char *ty_block_decode_total(const uint8_t key[TY_BLOCK_KEY_BYTES], const void *data,
                                  size_t length, uint64_t *stamp, struct ty_total *total)
{
    return decode(key, data, length, stamp, total, NULL);
}
