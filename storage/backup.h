/*
 * backup.h: a copy of a shard while its server runs, and a new store filled entry by entry.
 *
 * The copy holds what one commit left: every entry of every tree, also of trees that this version
 * does not know, closely packed. Each is checked where it is read (value_check.h); then the file is
 * synced, dropped from the page cache, read again, and compared with what was read at first. A
 * source with a damaged value gives no copy: an older, good one is worth more.
 *
 * Threads: one owner.
 */
#ifndef TY_STORAGE_BACKUP_H
#define TY_STORAGE_BACKUP_H

#include "storage/outside.h"

/* --- A store that is being filled: of no use before it is finished, and then complete. --- */

struct ty_filling;

/* ty_filling_open creates the directory `path`, which must not exist, with an empty store that can
 * hold map_bytes; `stores` are filled at the same time and share the memory. TALLY_FULL,
 * TALLY_NO_MEMORY or TALLY_IO. */
tally_status ty_filling_open(const char *path, uint64_t map_bytes, unsigned stores,
                             struct ty_filling **filling, tally_error *error);

/* ty_filling_tree makes an empty tree, if it is not there yet; as above. */
tally_status ty_filling_tree(struct ty_filling *filling, const char *tree, tally_error *error);

/* ty_filling_put stores an entry; `in_order`: its key is behind all others of its tree. A key that
 * is there already is TALLY_CORRUPT; else as above. Commits once in a while. */
tally_status ty_filling_put(struct ty_filling *filling, const char *tree,
                            const struct ty_entry *entry, bool in_order, tally_error *error);

/* ty_filling_finish commits, syncs file and directory, and frees it, also when it fails. */
tally_status ty_filling_finish(struct ty_filling *filling, tally_error *error);
/* ty_filling_abandon frees it; the files stay. NULL is fine. */
void ty_filling_abandon(struct ty_filling *filling);

/* --- Comparing --- */

#define TY_COPY_TREES_MAX 32

/* What a store holds. */
struct ty_content {
    struct {
        char name[64];
        uint64_t entries;
        uint64_t hash; /* of all keys and values, in order */
    } trees[TY_COPY_TREES_MAX];
    size_t tree_count;
    uint64_t entries; /* of all trees */
};

/* How far it is; false: stop, which ends as TALLY_FAILED with the text "interrupted". */
struct ty_copy_watch {
    bool (*proceed)(void *context, uint64_t bytes, uint64_t entries); /* since the last call */
    void *context;
};

/* ty_content_read reads and checks a whole store, and hands every entry to `each` (NULL: nobody).
 */
tally_status ty_content_read(struct ty_outside *outside, const struct ty_copy_watch *watch,
                             tally_status (*each)(void *context, const char *tree,
                                                  const struct ty_entry *entry, tally_error *error),
                             void *context, struct ty_content *content, tally_error *error);

/* --- A copy --- */

/*
 * ty_backup_shard copies the store that `source` views into the new directory `path`, and verifies
 * it. The view is closed as soon as it is read, also when it fails. Besides what is said above:
 * TALLY_BUSY when the source's writer runs short of room while the view lasts, TALLY_FULL when the
 * copy's disk is. The files of a failed copy stay.
 */
tally_status ty_backup_shard(struct ty_outside *source, const char *path,
                             const struct ty_copy_watch *watch, struct ty_content *content,
                             tally_error *error);

#endif
