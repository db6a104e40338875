#include "storage/dump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/bytes.h"
#include "storage/value_check.h"

#define FLUSH_BYTES ((size_t)1 << 20)
#define ROOM_BYTES  (UINT64_C(8) << 20)

struct dumping {
    struct ty_outside *const *shards;
    unsigned shard_count;
    const struct ty_copy_watch *watch;
    const struct ty_dump_sink *sink;
    struct ty_dump_writer writer;
    struct ty_buffer out;
    const char *names[TY_DUMP_TREES_MAX];
    size_t name_count;
    uint64_t since_room; /* bytes since the writers' room was looked at */
    uint64_t entries;    /* since the watch was asked */
};

/* --- Output --- */

static tally_status look_at_rooms(struct dumping *dumping, tally_error *error)
{
    tally_status status = TALLY_OK;

    dumping->since_room = 0;
    for (unsigned i = 0; i < dumping->shard_count && status == TALLY_OK; i++)
        status = ty_outside_keep_room(dumping->shards[i], error);
    return status;
}

static tally_status flush(struct dumping *dumping, tally_error *error)
{
    size_t length = dumping->out.length;

    if (!ty_buffer_ok(&dumping->out))
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for the dump");
    if (!dumping->sink->write(dumping->sink->context, dumping->out.data, length))
        return ty_fail(error, TALLY_IO, "cannot write the dump: %s", strerror(errno));
    dumping->out.length = 0;
    dumping->since_room += length;
    if (!dumping->watch->proceed(dumping->watch->context, length, dumping->entries))
        return ty_fail(error, TALLY_FAILED, "interrupted");
    dumping->entries = 0;
    return dumping->since_room >= ROOM_BYTES ? look_at_rooms(dumping, error) : TALLY_OK;
}

static tally_status put_entry(struct dumping *dumping, unsigned shard, size_t tree,
                              const struct ty_entry *entry, tally_error *error)
{
    const char *name = dumping->names[tree];
    const char *problem = ty_value_check(name, entry);

    if (problem != NULL) {
        char which[TY_VALUE_NAME_BYTES];

        ty_value_name(name, entry, which);
        return ty_fail(error, TALLY_CORRUPT, "shard %u: %s: %s", shard, which, problem);
    }
    if (entry->value_length > TY_DUMP_RECORD_MAX / 2)
        return ty_fail(error, TALLY_INVALID, "a value of the tree %s is too large for a dump",
                       name);
    ty_dump_put_entry(&dumping->writer, &dumping->out, (uint16_t)shard, (uint8_t)tree, entry);
    dumping->entries++;
    return dumping->out.length >= FLUSH_BYTES ? flush(dumping, error) : TALLY_OK;
}

/* --- Trees --- */

static bool find_tree(const struct ty_outside *shard, const char *name, size_t *index)
{
    for (*index = 0; *index < ty_outside_tree_count(shard); ++*index)
        if (strcmp(ty_outside_tree(shard, *index).name, name) == 0)
            return true;
    return false;
}

static bool add_name(struct dumping *dumping, const char *name)
{
    for (size_t i = 0; i < dumping->name_count; i++)
        if (strcmp(dumping->names[i], name) == 0)
            return true;
    if (dumping->name_count == TY_DUMP_TREES_MAX)
        return false;
    dumping->names[dumping->name_count++] = name;
    return true;
}

/* Those that say what the others' entries mean come first. */
static tally_status put_trees(struct dumping *dumping, tally_error *error)
{
    bool fit =
        add_name(dumping, "meta") && add_name(dumping, "series") && add_name(dumping, "journal");

    for (unsigned i = 0; i < dumping->shard_count; i++)
        for (size_t j = 0; j < ty_outside_tree_count(dumping->shards[i]); j++)
            fit = add_name(dumping, ty_outside_tree(dumping->shards[i], j).name) && fit;
    if (!fit)
        return ty_fail(error, TALLY_NEWER, "the database has more trees than a dump can hold");
    for (size_t i = 0; i < dumping->name_count; i++)
        ty_dump_put_tree(&dumping->writer, &dumping->out, (uint8_t)i, dumping->names[i]);
    return TALLY_OK;
}

static tally_status put_tree_of(struct dumping *dumping, unsigned shard, size_t tree,
                                tally_error *error)
{
    struct ty_outside_walk walk = {0};
    struct ty_entry entry;
    tally_status status;
    bool found;

    if (!find_tree(dumping->shards[shard], dumping->names[tree], &walk.tree))
        return TALLY_OK;
    do {
        status = ty_outside_next(dumping->shards[shard], &walk, &entry, &found, error);
        if (status == TALLY_OK && found)
            status = put_entry(dumping, shard, tree, &entry, error);
    } while (status == TALLY_OK && found);
    ty_outside_end(&walk);
    return status;
}

/* --- Journals --- */

struct head {
    struct ty_outside_walk walk;
    struct ty_entry entry;
    int64_t arrival_ms;
    bool there;
};

static tally_status advance(struct dumping *dumping, unsigned shard, struct head *head,
                            tally_error *error)
{
    struct ty_journal_header header = {0};
    tally_status status =
        ty_outside_next(dumping->shards[shard], &head->walk, &head->entry, &head->there, error);

    if (status == TALLY_OK && head->there) /* One that is malformed is found when it is put. */
        (void)ty_journal_read_header(head->entry.value, head->entry.value_length, &header);
    head->arrival_ms = header.arrival_ms;
    return status;
}

static struct head *oldest(struct head *heads, unsigned count)
{
    struct head *found = NULL;

    for (unsigned i = 0; i < count; i++)
        if (heads[i].there && (found == NULL || heads[i].arrival_ms < found->arrival_ms))
            found = &heads[i];
    return found;
}

static tally_status put_journals(struct dumping *dumping, size_t tree, tally_error *error)
{
    struct head *heads = calloc(dumping->shard_count, sizeof(*heads)), *head;
    tally_status status = TALLY_OK;

    if (heads == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for the dump");
    for (unsigned i = 0; i < dumping->shard_count && status == TALLY_OK; i++)
        if (find_tree(dumping->shards[i], dumping->names[tree], &heads[i].walk.tree))
            status = advance(dumping, i, &heads[i], error);
    while (status == TALLY_OK && (head = oldest(heads, dumping->shard_count)) != NULL) {
        unsigned shard = (unsigned)(head - heads);

        status = put_entry(dumping, shard, tree, &head->entry, error);
        if (status == TALLY_OK)
            status = advance(dumping, shard, head, error);
    }
    for (unsigned i = 0; i < dumping->shard_count; i++)
        ty_outside_end(&heads[i].walk);
    free(heads);
    return status;
}

/* --- All of it --- */

static tally_status put_shard(struct dumping *dumping, unsigned shard, tally_error *error)
{
    struct ty_dump_shard facts = {.shard = (uint16_t)shard};
    struct ty_outside_walk walk = {0};
    struct ty_entry entry;
    bool found = false;
    tally_status status = TALLY_OK;

    for (size_t i = 0; i < ty_outside_tree_count(dumping->shards[shard]); i++)
        facts.bytes += ty_outside_tree(dumping->shards[shard], i).bytes;
    if (find_tree(dumping->shards[shard], "journal", &walk.tree))
        status = ty_outside_next(dumping->shards[shard], &walk, &entry, &found, error);
    facts.first_sequence = found && entry.key_length == 8
                               ? ty_get_u64_be(entry.key)
                               : ty_outside_state(dumping->shards[shard])->last_sequence + 1;
    ty_outside_end(&walk);
    ty_dump_put_shard(&dumping->writer, &dumping->out, &facts);
    return status;
}

static tally_status put_all(struct dumping *dumping, tally_error *error)
{
    tally_status status = look_at_rooms(dumping, error);

    ty_dump_begin(&dumping->out);
    ty_dump_put_database(&dumping->writer, &dumping->out, ty_outside_database(dumping->shards[0]));
    for (unsigned i = 0; i < dumping->shard_count && status == TALLY_OK; i++)
        status = put_shard(dumping, i, error);
    if (status == TALLY_OK)
        status = put_trees(dumping, error);
    for (size_t tree = 0; tree < dumping->name_count && status == TALLY_OK; tree++) {
        if (strcmp(dumping->names[tree], "journal") == 0)
            status = put_journals(dumping, tree, error);
        else
            for (unsigned i = 0; i < dumping->shard_count && status == TALLY_OK; i++)
                status = put_tree_of(dumping, i, tree, error);
    }
    if (status != TALLY_OK)
        return status;
    ty_dump_put_end(&dumping->writer, &dumping->out);
    return flush(dumping, error);
}

tally_status ty_dump_write(struct ty_outside *const *shards, unsigned shard_count,
                           const struct ty_copy_watch *watch, const struct ty_dump_sink *sink,
                           uint64_t *entries, tally_error *error)
{
    struct dumping dumping = {
        .shards = shards, .shard_count = shard_count, .watch = watch, .sink = sink};
    tally_status status = put_all(&dumping, error);

    *entries = dumping.writer.entries;
    ty_buffer_fini(&dumping.out);
    return status;
}
