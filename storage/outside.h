/*
 * outside.h: a shard's store, read by another process than the one that writes it.
 *
 * LMDB lets other processes read while one writes: they take a slot in the table of readers
 * (lock.mdb), and the writer reuses no page that a reader may still see. So one transaction is a
 * consistent view of the shard as of one commit, for as long as it lasts, and what the writer frees
 * meanwhile makes its file grow: ty_outside_room() tells how much of that it can bear.
 *
 * What would go wrong in silence is refused instead: a directory that is mounted read-only (no slot
 * can be taken in it, so the writer would reuse what is being read), and a process in another
 * container that has the writer's process number (LMDB tells processes apart by it).
 *
 * Threads: one owner. A process must not open one store twice, nor one that it writes.
 */
#ifndef TY_STORAGE_OUTSIDE_H
#define TY_STORAGE_OUTSIDE_H

#include "storage/store.h"

enum ty_outside_mode {
    TY_OUTSIDE_SHARED,  /* a process may be writing it */
    TY_OUTSIDE_PRIVATE, /* nobody else has it open; no lock file is made */
};

struct ty_outside;

/*
 * ty_outside_open takes the newest commit's view of the shard in the directory `path`, and reads
 * its database record. TALLY_CORRUPT, TALLY_NEWER, TALLY_NO_MEMORY or TALLY_IO (no such store,
 * too). `writer_pid` is the process that holds the data directory, 0 when none is known.
 */
tally_status ty_outside_open(const char *path, enum ty_outside_mode mode, long writer_pid,
                             struct ty_outside **outside, tally_error *error);

/* ty_outside_close ends the view; NULL is fine. */
void ty_outside_close(struct ty_outside *outside);

const struct ty_database_record *ty_outside_database(const struct ty_outside *outside);
/* Zeros when the shard has stored nothing yet. */
const struct ty_state_record *ty_outside_state(const struct ty_outside *outside);

/* The trees, by index from 0; the name is borrowed. */
struct ty_tree {
    const char *name;
    uint64_t entries;
    uint64_t bytes; /* of the pages that it takes */
};
size_t ty_outside_tree_count(const struct ty_outside *outside);
struct ty_tree ty_outside_tree(const struct ty_outside *outside, size_t index);

/* What the writer's file has grown to by now and may grow to; the others are 0. */
void ty_outside_size(struct ty_outside *outside, struct ty_space *space);

/* ty_outside_room tells how many bytes the writer can still store while this view lasts: pages that
 * were free before it began, and what file and disk can grow by. Walks the list of free pages. */
tally_status ty_outside_room(struct ty_outside *outside, uint64_t *bytes, tally_error *error);

/*
 * ty_outside_keep_room is to be called at first and then every few megabytes that are read. The
 * view pins what the writer frees, so its file grows by what it writes. Before that costs it its
 * last room, TALLY_BUSY: end the view, for a reader must not be why events are refused. A store
 * that was nearly full before may use half of what there was.
 */
tally_status ty_outside_keep_room(struct ty_outside *outside, tally_error *error);

/* One entry, borrowed from the mapped file until the view ends. */
struct ty_entry {
    const void *key;
    size_t key_length;
    const void *value;
    size_t value_length;
};

/* A walk over a tree in the order of its keys. At first all zero but for `tree`; at the end, or
 * earlier, it is ended by ty_outside_end(). */
struct ty_outside_walk {
    size_t tree;
    void *cursor;
};

/* ty_outside_next fills the next entry; *found is false at the end. TALLY_CORRUPT or TALLY_IO. */
tally_status ty_outside_next(struct ty_outside *outside, struct ty_outside_walk *walk,
                             struct ty_entry *entry, bool *found, tally_error *error);
void ty_outside_end(struct ty_outside_walk *walk);

#endif
