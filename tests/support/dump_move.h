/*
 * dump_move.h: a database in any number of shards, dumped in memory and loaded into another number.
 *
 * Threads: the caller's.
 */
#ifndef TY_TESTS_SUPPORT_DUMP_MOVE_H
#define TY_TESTS_SUPPORT_DUMP_MOVE_H

#include "storage/dump.h"

#include <string.h>

#define TY_MOVE_SHARDS_MAX 8 /* to be moved */

static inline bool ty_move_append(void *context, const void *data, size_t length)
{
    ty_buffer_append(context, data, length);
    return true;
}

static inline bool ty_move_go_on(void *context, uint64_t bytes, uint64_t entries)
{
    (void)context, (void)bytes, (void)entries;
    return true;
}

static inline ssize_t ty_move_read(void *context, void *data, size_t length)
{
    struct ty_text *left = context;
    size_t got = TY_MIN(length, left->length);

    memcpy(data, left->data, got);
    left->data += got;
    left->length -= got;
    return (ssize_t)got;
}

static const struct ty_copy_watch ty_move_watch = {ty_move_go_on, NULL};

static inline tally_status ty_move_dump(const char *const *paths, unsigned count,
                                        struct ty_buffer *out, tally_error *error)
{
    const struct ty_dump_sink sink = {ty_move_append, out};
    struct ty_outside *views[TY_MOVE_SHARDS_MAX];
    tally_status status = TALLY_OK;
    unsigned opened = 0;
    uint64_t entries;

    TY_ASSERT(count <= TY_MOVE_SHARDS_MAX);
    for (; opened < count && status == TALLY_OK; opened += status == TALLY_OK)
        status = ty_outside_open(paths[opened], TY_OUTSIDE_SHARED, 0, &views[opened], error);
    if (status == TALLY_OK)
        status = ty_dump_write(views, count, &ty_move_watch, &sink, &entries, error);
    while (opened > 0)
        ty_outside_close(views[--opened]);
    return status;
}

/* Moves the shards of these directories into the empty directory `to`. *dumped: it was the loading
 * that failed. */
static inline tally_status ty_move_shards(const char *const *paths, unsigned count, const char *to,
                                          unsigned shards, bool *dumped, tally_error *error)
{
    struct ty_buffer bytes = {0};
    struct ty_text left;
    struct ty_dump_reader reader = {.read = ty_move_read, .context = &left};
    struct ty_dump_record record;
    struct ty_load *load = ty_load_open(to, shards);
    tally_status status = ty_move_dump(paths, count, &bytes, error);
    uint64_t entries;
    bool found = true;

    *dumped = status == TALLY_OK;
    left = (struct ty_text){bytes.data, bytes.length};
    while (found && status == TALLY_OK) {
        status = ty_dump_next(&reader, &record, &found, error);
        *dumped &= status == TALLY_OK;
        if (found && status == TALLY_OK)
            status = ty_load_record(load, &record, error);
    }
    if (status == TALLY_OK)
        status = ty_load_finish(load, &ty_move_watch, &entries, error);
    TY_ASSERT(!*dumped || ty_load_shards(load) == shards);
    ty_load_close(load);
    ty_dump_reader_fini(&reader);
    ty_buffer_fini(&bytes);
    return status;
}

#endif
