/*
 * dump.h: a database into a dump (dump_codec.h), and a dump into a new database of as many or
 * another number of shards.
 *
 * A dump holds every entry of every tree of one commit of each shard: records, series, the journals
 * of all shards merged by arrival, then the rest. As many shards as before get all of that as it
 * is, trees that this version does not know included, so that cursors of the feed stay right.
 *
 * Another number. Series get new numbers on the shards of their customers. Every journal value is
 * split by the customers of its events into values with the same times; a shard's values stay in
 * the order of their arrival, and so do the events of a series. Sequences begin behind those that
 * had been trimmed anywhere. Where a block, or `replay_from`, names a sequence, it now names the
 * last value on its new shard that came from there: what is replayed is what was before. Rejects
 * stay on shard 0. Sealed runs of remembered ids go to every shard, since ids do not say whose they
 * are. 16 bytes of memory are needed for every journal value, 12 for every series.
 *
 * Threads: one owner.
 */
#ifndef TY_STORAGE_DUMP_H
#define TY_STORAGE_DUMP_H

#include "storage/backup.h"
#include "storage/dump_codec.h"

struct ty_dump_sink {
    bool (*write)(void *context, const void *data, size_t length); /* false: with errno */
    void *context;
};

/* ty_dump_write writes the views of all shards of a database, in order. TALLY_CORRUPT names the
 * value that is damaged; TALLY_BUSY when a writer runs short of room meanwhile; TALLY_FAILED when
 * the watch says so; TALLY_NO_MEMORY, TALLY_IO. */
tally_status ty_dump_write(struct ty_outside *const *shards, unsigned shard_count,
                           const struct ty_copy_watch *watch, const struct ty_dump_sink *sink,
                           uint64_t *entries, tally_error *error);

struct ty_load;

/* ty_load_open: the shards are made below `directory`, which exists, as shard-NNN. `shards` 0: as
 * many as the dump has. NULL: no memory. */
struct ty_load *ty_load_open(const char *directory, unsigned shards);

/* ty_load_record takes the next record of a dump; TALLY_CORRUPT, TALLY_INVALID (the dump cannot be
 * had in that number of shards), TALLY_NEWER, TALLY_FULL, TALLY_NO_MEMORY, TALLY_IO. */
tally_status ty_load_record(struct ty_load *load, const struct ty_dump_record *record,
                            tally_error *error);

/* ty_load_finish syncs, reads everything back and checks it; *entries are those of the new
 * database. The dump's last record must have been taken. */
tally_status ty_load_finish(struct ty_load *load, const struct ty_copy_watch *watch,
                            uint64_t *entries, tally_error *error);

/* How many shards it makes; known after the first record. */
unsigned ty_load_shards(const struct ty_load *load);

/* ty_load_close frees it; what is not finished stays as it is. NULL is fine. */
void ty_load_close(struct ty_load *load);

#endif
