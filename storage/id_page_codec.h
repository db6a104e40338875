/*
 * id_page_codec.h: the values of the tree `id_runs` as bytes: pages of ids, and lists of prefixes.
 *
 * docs/FORMAT.md has the form. Every checksum also covers the key: run, kind and number.
 *
 * Threads: any.
 */
#ifndef TY_STORAGE_ID_PAGE_CODEC_H
#define TY_STORAGE_ID_PAGE_CODEC_H

#include "engine/buffer.h"
#include "engine/dedup.h"

#define TY_ID_KEY_BYTES 9

enum ty_id_kind { TY_ID_PREFIXES = 1, TY_ID_PAGE = 2 };

void ty_id_key_encode(uint32_t run, enum ty_id_kind kind, uint32_t number,
                      uint8_t key[TY_ID_KEY_BYTES]);

/* ty_id_value_check checks a value of either kind; NULL, or what is wrong: a phrase. */
const char *ty_id_value_check(const uint8_t key[TY_ID_KEY_BYTES], const void *value, size_t length);

/* ty_id_value_seal makes the header anew, for the key: the value, intact, lies under another one
 * from now on. */
void ty_id_value_seal(const uint8_t key[TY_ID_KEY_BYTES], uint8_t *value, size_t length);

/* --- Pages: as many ids as an LMDB page of 4,096 bytes holds. --- */

#define TY_ID_PAGE_IDS       UINT32_C(145)
#define TY_ID_PAGE_BYTES_MAX (9 + TY_ID_PAGE_IDS * 28)

/* ty_id_page_encode writes 1 to TY_ID_PAGE_IDS ids in ascending order, which did not arrive before
 * first_ms nor 136 years later; arrivals are rounded up to seconds. Returns the length. */
size_t ty_id_page_encode(const uint8_t key[TY_ID_KEY_BYTES], int64_t first_ms,
                         const struct ty_id *ids, uint32_t count,
                         uint8_t value[TY_ID_PAGE_BYTES_MAX]);

/* ty_id_page_decode fills `ids`; returns NULL, or what is wrong: a phrase. */
const char *ty_id_page_decode(const uint8_t key[TY_ID_KEY_BYTES], int64_t first_ms,
                              const void *value, size_t length, struct ty_id ids[TY_ID_PAGE_IDS],
                              uint32_t *count);

/* ty_id_page_find looks for an id, after checking all of the page; of equal ones, which there are
 * not, any. NULL, with *found and *id; or what is wrong. */
const char *ty_id_page_find(const uint8_t key[TY_ID_KEY_BYTES], int64_t first_ms, const void *value,
                            size_t length, const struct ty_key *wanted, bool *found,
                            struct ty_id *id);

/* --- Prefixes: the first 44 bits of each id's key, four bytes each in a large run. --- */

#define TY_ID_LIST_IDS     UINT32_C(1000)
#define TY_ID_PREFIX_SHIFT 20 /* of the key's upper half */

/* ty_id_list_encode appends a list of at most TY_ID_LIST_IDS prefixes, which ascend. */
void ty_id_list_encode(const uint8_t key[TY_ID_KEY_BYTES], const uint64_t *prefixes, uint32_t count,
                       struct ty_buffer *out);
/* ty_id_list_decode fills `prefixes`; NULL, or what is wrong: a phrase. */
const char *ty_id_list_decode(const uint8_t key[TY_ID_KEY_BYTES], const void *value, size_t length,
                              uint64_t prefixes[TY_ID_LIST_IDS], uint32_t *count);

#endif
