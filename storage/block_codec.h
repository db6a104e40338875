/*
 * block_codec.h: the bytes of stored days and months (docs/FORMAT.md, "Blocks").
 *
 * A value is a header (version, checksum, stamp) and tagged columns. The checksum (XXH3-64, seed 0)
 * covers the key, and all of the value but itself. A measure added later is one more tag.
 *
 * Threads: pure functions.
 */
#ifndef TY_STORAGE_BLOCK_CODEC_H
#define TY_STORAGE_BLOCK_CODEC_H

#include "engine/block.h"

/* Levels of a series' stored totals; part of the key. */
enum ty_level { TY_LEVEL_DAY = 1, TY_LEVEL_MONTH = 2 };

#define TY_BLOCK_KEY_BYTES       9
#define TY_DAY_BLOCK_BYTES_MAX   (17 + 5 * (1 + 3 + 19 + TY_SLOTS_PER_DAY * 10) + 2 + 12)
#define TY_MONTH_BLOCK_BYTES_MAX (17 + 5 * (1 + 3 + 19))

/* series, level, period (day or month number): big-endian, so that a range of one series' days or
 * months is one short scan. */
void ty_block_key(uint32_t series, enum ty_level level, int32_t period,
                  uint8_t key[TY_BLOCK_KEY_BYTES]);

/* Both write at most the _MAX above and return the length. */
size_t ty_day_block_encode(const uint8_t key[TY_BLOCK_KEY_BYTES], const struct ty_day_block *block,
                           uint8_t out[TY_DAY_BLOCK_BYTES_MAX]);
size_t ty_month_block_encode(const uint8_t key[TY_BLOCK_KEY_BYTES],
                             const struct ty_month_block *block,
                             uint8_t out[TY_MONTH_BLOCK_BYTES_MAX]);

/* ty_block_is_intact tells whether a value is what was stored under that key, by its checksum. */
bool ty_block_is_intact(const uint8_t key[TY_BLOCK_KEY_BYTES], const void *data, size_t length);

/*
 * The decoders return NULL, or a constant text that says what is wrong with the bytes ("checksum
 * mismatch", ...), with the output in any state. ty_block_decode_total reads a day's or a month's
 * total and skips the slots.
 */
const char *ty_day_block_decode(const uint8_t key[TY_BLOCK_KEY_BYTES], const void *data,
                                size_t length, struct ty_day_block *block);
const char *ty_block_decode_total(const uint8_t key[TY_BLOCK_KEY_BYTES], const void *data,
                                  size_t length, uint64_t *stamp, struct ty_total *total);

#endif
