/*
 * load_internal.h: what the files of loading a dump share. Not for others.
 */
#ifndef TY_STORAGE_LOAD_INTERNAL_H
#define TY_STORAGE_LOAD_INTERNAL_H

#include "storage/dump.h"
#include "storage/id_runs.h"

/* Where a series of the dump went. */
struct ty_moved_series {
    uint32_t from;
    uint32_t to;
    uint16_t target;
};

/* Which value of a new journal has what was in a value of an old one. */
struct ty_moved_value {
    uint64_t from;
    uint64_t to;
};

struct ty_moved_values {
    struct ty_moved_value *values; /* both members ascending */
    size_t count;
    size_t capacity;
};

struct ty_load_source {
    struct ty_dump_shard facts;
    struct ty_state_record state;
    struct ty_moved_series *series; /* by ascending `from` */
    size_t series_count;
    size_t series_capacity;
    struct ty_id_runs_record *ids; /* NULL: there is none (yet) */
    uint64_t last_sequence;        /* taken so far */
    bool known;                    /* its record came */
    bool has_state;
};

struct ty_load_target {
    struct ty_filling *filling;
    struct ty_state_record state; /* last_sequence is of the newest value that was put */
    uint64_t unsealed_from;       /* the first value whose ids may be in no run; 0: none yet */
    uint32_t next_series;
    uint64_t entries;       /* that were put */
    struct ty_buffer value; /* the journal value that is being put together */
    size_t group;           /* what ty_journal_begin_group() gave */
    uint32_t group_series;
    bool in_value, in_group;
};

struct ty_load {
    char *directory;
    unsigned wanted; /* shards; 0: as many as the dump has */
    struct ty_database_record database;
    unsigned source_count;
    unsigned target_count;
    bool as_is; /* as many shards as before: nothing is moved */
    struct ty_load_source sources[TY_DUMP_SHARDS_MAX];
    struct ty_load_target *targets;
    struct ty_moved_values *moved; /* [source * target_count + target] */
    char names[TY_DUMP_TREES_MAX][64];
    bool ended;
};

/* `in_order`: the key is behind all others of its tree. */
tally_status ty_load_put(struct ty_load *load, unsigned target, const char *tree,
                         const struct ty_entry *entry, bool in_order, tally_error *error);

/* load.c: failures, and room for one more in an array (NULL: no memory). */
tally_status ty_load_malformed(tally_error *error, const char *what);
tally_status ty_load_no_memory(tally_error *error);
void *ty_load_grow(void *array, size_t count, size_t *capacity, size_t size);

/* reshard.c: an entry of a dump into another number of shards. */
tally_status ty_reshard_entry(struct ty_load *load, unsigned source, const char *tree,
                              const struct ty_entry *entry, tally_error *error);
/* The sequence before the first of every new journal. */
uint64_t ty_reshard_base(const struct ty_load *load);
/* After all entries: the records of the new shards. `path` is the shard's directory. */
tally_status ty_reshard_finish(struct ty_load *load, unsigned target, const char *path,
                               tally_error *error);

/* Where a series went; NULL: there is none with that id. */
const struct ty_moved_series *ty_reshard_series(const struct ty_load *load, unsigned source,
                                                uint32_t id);
/* The sequence of the last value on a new shard that came from a value up to an old sequence; of
 * the one before the first when there is none. */
uint64_t ty_reshard_through(const struct ty_load *load, unsigned source, unsigned target,
                            uint64_t sequence);
/* The very value; 0, which none has, where the journal has it no more. */
uint64_t ty_reshard_exactly(const struct ty_load *load, unsigned source, unsigned target,
                            uint64_t sequence);

/* reshard_journal.c, reshard_trees.c: an entry of a tree. */
tally_status ty_reshard_value(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                              tally_error *error);
tally_status ty_reshard_block(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                              tally_error *error);
tally_status ty_reshard_void(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                             tally_error *error);
tally_status ty_reshard_closing(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                                tally_error *error);
tally_status ty_reshard_revision(struct ty_load *load, unsigned source,
                                 const struct ty_entry *entry, tally_error *error);

/* reshard_ids.c: the record and the values of sealed runs. TALLY_INVALID: there are too many. */
tally_status ty_reshard_ids_record(struct ty_load *load, unsigned source,
                                   const struct ty_entry *entry, tally_error *error);
tally_status ty_reshard_ids(struct ty_load *load, unsigned source, const struct ty_entry *entry,
                            tally_error *error);
/* After all entries: the record of a new shard; false: none is needed. */
bool ty_reshard_new_ids(const struct ty_load *load, unsigned target,
                        struct ty_id_runs_record *record);

#endif
