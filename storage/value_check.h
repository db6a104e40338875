/*
 * value_check.h: whether a stored value is what was written under its key, whichever tree it is in.
 *
 * Threads: pure functions.
 */
#ifndef TY_STORAGE_VALUE_CHECK_H
#define TY_STORAGE_VALUE_CHECK_H

#include "storage/outside.h"

/*
 * ty_value_check checks the checksum of an entry of a tree and decodes it wholly: NULL, or a
 * constant text that says what is wrong. Entries of trees without checksums (an index), or that
 * this version does not know, are not looked into.
 */
const char *ty_value_check(const char *tree, const struct ty_entry *entry);

/* ty_value_name writes which entry it is, for people: "the journal value 17". */
#define TY_VALUE_NAME_BYTES 160
void ty_value_name(const char *tree, const struct ty_entry *entry, char name[TY_VALUE_NAME_BYTES]);

#endif
