#include "storage/backup.h"

#define XXH_INLINE_ALL
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "storage/directory.h"
#include "storage/value_check.h"

#define WATCH_BYTES (UINT64_C(1) << 20)
#define ROOM_BYTES  (UINT64_C(8) << 20) /* copied between two looks at the writer's room */
#define MAP_EXTRA   (UINT64_C(64) << 20)

/* --- Reading a whole store --- */

struct reading {
    struct ty_outside *outside;
    const struct ty_copy_watch *watch;
    tally_status (*each)(void *context, const char *tree, const struct ty_entry *entry,
                         tally_error *error);
    void *context;
    struct ty_content *content;
    uint64_t bytes; /* since the watch was asked last */
    uint64_t entries;
};

static uint64_t add_to_hash(uint64_t hash, const struct ty_entry *entry)
{
    hash = XXH3_64bits_withSeed(entry->key, entry->key_length, hash + entry->key_length);
    return XXH3_64bits_withSeed(entry->value, entry->value_length, hash + entry->value_length);
}

static tally_status ask_watch(struct reading *reading, tally_error *error)
{
    bool proceed =
        reading->watch->proceed(reading->watch->context, reading->bytes, reading->entries);

    reading->bytes = reading->entries = 0;
    return proceed ? TALLY_OK : ty_fail(error, TALLY_FAILED, "interrupted");
}

static tally_status read_entry(struct reading *reading, size_t tree, const struct ty_entry *entry,
                               tally_error *error)
{
    const char *name = reading->content->trees[tree].name;
    const char *problem = ty_value_check(name, entry);

    if (problem != NULL) {
        char which[TY_VALUE_NAME_BYTES];

        ty_value_name(name, entry, which);
        return ty_fail(error, TALLY_CORRUPT, "%s: %s", which, problem);
    }
    reading->content->trees[tree].hash = add_to_hash(reading->content->trees[tree].hash, entry);
    reading->content->trees[tree].entries++;
    reading->content->entries++;
    reading->bytes += entry->key_length + entry->value_length;
    reading->entries++;
    if (reading->bytes >= WATCH_BYTES) {
        tally_status status = ask_watch(reading, error);

        if (status != TALLY_OK)
            return status;
    }
    return reading->each == NULL ? TALLY_OK : reading->each(reading->context, name, entry, error);
}

static tally_status read_tree(struct reading *reading, size_t tree, tally_error *error)
{
    struct ty_outside_walk walk = {.tree = tree};
    struct ty_tree facts = ty_outside_tree(reading->outside, tree);
    struct ty_entry entry;
    tally_status status;
    bool found;

    snprintf(reading->content->trees[tree].name, sizeof(reading->content->trees[tree].name), "%s",
             facts.name);
    while ((status = ty_outside_next(reading->outside, &walk, &entry, &found, error)) == TALLY_OK &&
           found)
        if ((status = read_entry(reading, tree, &entry, error)) != TALLY_OK)
            break;
    ty_outside_end(&walk);
    if (status == TALLY_OK && reading->content->trees[tree].entries != facts.entries)
        return ty_fail(error, TALLY_CORRUPT, "the tree %.60s has %llu entries instead of %llu",
                       facts.name, (unsigned long long)reading->content->trees[tree].entries,
                       (unsigned long long)facts.entries);
    return status;
}

tally_status ty_content_read(struct ty_outside *outside, const struct ty_copy_watch *watch,
                             tally_status (*each)(void *context, const char *tree,
                                                  const struct ty_entry *entry, tally_error *error),
                             void *context, struct ty_content *content, tally_error *error)
{
    struct reading reading = {
        .outside = outside, .watch = watch, .each = each, .context = context, .content = content};
    tally_status status = TALLY_OK;

    memset(content, 0, sizeof(*content));
    content->tree_count = ty_outside_tree_count(outside);
    for (size_t i = 0; i < content->tree_count && status == TALLY_OK; i++)
        status = read_tree(&reading, i, error);
    return status == TALLY_OK ? ask_watch(&reading, error) : status;
}

/* --- The copy --- */

struct copying {
    struct ty_outside *source;
    struct ty_filling *target;
    uint64_t bytes; /* since its room was looked at */
};

static tally_status copy_entry(void *context, const char *tree, const struct ty_entry *entry,
                               tally_error *error)
{
    struct copying *copying = context;
    tally_status status = TALLY_OK;

    copying->bytes += entry->key_length + entry->value_length;
    if (copying->bytes >= ROOM_BYTES) {
        copying->bytes = 0;
        status = ty_outside_keep_room(copying->source, error);
    }
    return status == TALLY_OK ? ty_filling_put(copying->target, tree, entry, true, error) : status;
}

static tally_status compare(const struct ty_content *source, const struct ty_content *copy,
                            tally_error *error)
{
    size_t found = 0;

    for (size_t i = 0; i < TY_MIN(source->tree_count, copy->tree_count); i++)
        found += strcmp(source->trees[i].name, copy->trees[i].name) == 0 &&
                 source->trees[i].entries == copy->trees[i].entries &&
                 source->trees[i].hash == copy->trees[i].hash;
    if (found == source->tree_count && found == copy->tree_count)
        return TALLY_OK;
    return ty_fail(error, TALLY_CORRUPT,
                   "what was read back is not what was written: look at the disk of the copy");
}

static tally_status verify(const char *path, const struct ty_copy_watch *watch,
                           const struct ty_content *source, tally_error *error)
{
    struct ty_content copy;
    struct ty_outside *outside;
    tally_error problem;
    tally_status status;

    /* What is verified must be what the disk has, and the server's pages are worth more in memory.
     */
    ty_directory_drop_cache(path);
    status = ty_outside_open(path, TY_OUTSIDE_PRIVATE, 0, &outside, error);
    if (status != TALLY_OK)
        return status;
    status = ty_content_read(outside, watch, NULL, NULL, &copy, &problem);
    ty_outside_close(outside);
    if (status == TALLY_CORRUPT)
        return ty_fail(error, status, "the copy cannot be read back: %.200s", problem.message);
    return status == TALLY_OK ? compare(source, &copy, error)
                              : ty_fail(error, status, "%s", problem.message);
}

static tally_status copy_all(struct copying *copying, const char *path,
                             const struct ty_copy_watch *watch, struct ty_content *content,
                             tally_error *error)
{
    struct ty_space space;
    tally_status status = ty_outside_keep_room(copying->source, error);

    if (status != TALLY_OK)
        return status;
    ty_outside_size(copying->source, &space);
    status = ty_filling_open(path, TY_MAX(space.map_bytes, space.file_bytes + MAP_EXTRA), 1,
                             &copying->target, error);
    if (status != TALLY_OK)
        return status;
    for (size_t i = 0; i < ty_outside_tree_count(copying->source) && status == TALLY_OK; i++)
        status = ty_filling_tree(copying->target, ty_outside_tree(copying->source, i).name, error);
    if (status == TALLY_OK)
        status = ty_content_read(copying->source, watch, copy_entry, copying, content, error);
    return status;
}

tally_status ty_backup_shard(struct ty_outside *source, const char *path,
                             const struct ty_copy_watch *watch, struct ty_content *content,
                             tally_error *error)
{
    struct copying copying = {.source = source};
    tally_status status = copy_all(&copying, path, watch, content, error);

    ty_outside_close(source);
    if (status != TALLY_OK) {
        ty_filling_abandon(copying.target);
        return status;
    }
    status = ty_filling_finish(copying.target, error);
    return status == TALLY_OK ? verify(path, watch, content, error) : status;
}
