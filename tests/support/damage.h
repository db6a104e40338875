/*
 * damage.h: spoils stored bytes, as a bad disk would. The environment must not be open.
 *
 * Trees: "meta", "series", "journal", "blocks" and others (docs/FORMAT.md). What cannot be done
 * aborts.
 */
#ifndef TY_TESTS_SUPPORT_DAMAGE_H
#define TY_TESTS_SUPPORT_DAMAGE_H

#include <stddef.h>
#include <stdint.h>

struct ty_damage {
    const char *path; /* of the shard */
    const char *tree;
    const void *key;
    size_t key_length;
};

/* How long the value is; 0 when there is none. */
size_t ty_damage_length(const struct ty_damage *damage);

/* Exchanges bits of one byte of the value; an offset below 0 counts from its end. */
void ty_damage_flip(const struct ty_damage *damage, long offset, uint8_t bits);

/* Puts another value in its place. */
void ty_damage_replace(const struct ty_damage *damage, const void *value, size_t length);
/* Copies at most so many bytes of the value; returns how long it is. */
size_t ty_damage_read(const struct ty_damage *damage, void *out, size_t most);

/* Deletes key and value. */
void ty_damage_delete(const struct ty_damage *damage);

/* --- Where everything lies in the file, for damage that LMDB does not take part in --- */

/* A key and its value, by their bytes' offsets in data.mdb. */
struct ty_stored {
    char tree[32]; /* "" for the tree of trees, whose keys are the trees' names */
    uint8_t key[32];
    size_t key_length;
    size_t key_at;
    size_t length; /* of the value */
    size_t value_at;
};

/* Lists what every tree holds; returns how many there are. *entries is to be freed. */
size_t ty_damage_list(const char *path, struct ty_stored **entries);

/* What an entry is, for messages: "journal 00000007". */
const char *ty_damage_name(const struct ty_stored *entry, char text[128]);

/* The bytes of data.mdb, to be freed; and back again, the length too. */
uint8_t *ty_damage_read_file(const char *path, size_t *length);
void ty_damage_write_file(const char *path, const uint8_t *bytes, size_t length);

/* Changes one byte of the keys and values of a tree after the other, each for the time of a call of
 * `look`; `bits` gives what is exchanged. Returns how many there were. */
size_t ty_damage_each_byte(const char *path, const char *tree, uint8_t (*bits)(void *context),
                           void (*look)(void *context, size_t entry, size_t byte), void *context);

/* The three by what they spoil: a journal value, a day or month of a series (`level` is 1 or 2). */
void ty_damage_journal_flip(const char *path, uint64_t sequence, long offset);
void ty_damage_journal_delete(const char *path, uint64_t sequence);
void ty_damage_block_flip(const char *path, uint32_t series, int level, int32_t period,
                          long offset);

#endif
