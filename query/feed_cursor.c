/*
 * feed_cursor.c: the feed's cursors as text.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "query/feed.h"

/* Reads digits up to a dot or the end, and passes over the dot. False: no number of 64 bits. */
static bool next_number(struct ty_text *rest, uint64_t *number)
{
    size_t i = 0;

    *number = 0;
    for (; i < rest->length && rest->data[i] != '.'; i++) {
        unsigned digit = (unsigned char)rest->data[i] - (unsigned)'0';

        if (digit > 9 || __builtin_mul_overflow(*number, (uint64_t)10, number) ||
            __builtin_add_overflow(*number, (uint64_t)digit, number))
            return false;
    }
    if (i == 0)
        return false;
    if (i < rest->length && ++i == rest->length)
        return false; /* nothing comes behind the dot */
    rest->data += i;
    rest->length -= i;
    return true;
}

const char *ty_feed_cursor_parse(struct ty_text text, unsigned shards,
                                 struct ty_feed_cursor *cursor)
{
    static const char malformed[] = "no cursor: pass on what an earlier answer gave as next";
    static const char foreign[] = "a cursor of another database: it has another number of shards";
    struct ty_feed_cursor read = {0};
    uint64_t shard;
    unsigned count = 0;

    TY_ASSERT(shards >= 1 && shards <= TY_FEED_SHARDS_MAX);
    if (!next_number(&text, &shard) || text.length == 0 || !next_number(&text, &read.index))
        return malformed;
    for (; text.length > 0 && count < shards; count++)
        if (!next_number(&text, &read.sequences[count]) || read.sequences[count] == UINT64_MAX)
            return malformed;
    if (text.length > 0 || count < shards)
        return count == 0 ? malformed : foreign;
    if (shard >= shards || (read.index != 0 && read.sequences[shard] == 0))
        return malformed;
    read.shard = (unsigned)shard;
    *cursor = read;
    return NULL;
}

size_t ty_feed_cursor_format(const struct ty_feed_cursor *cursor, unsigned shards,
                             char text[TY_FEED_CURSOR_TEXT_BYTES])
{
    size_t length = (size_t)snprintf(text, TY_FEED_CURSOR_TEXT_BYTES, "%u.%" PRIu64, cursor->shard,
                                     cursor->index);

    for (unsigned i = 0; i < shards; i++)
        length += (size_t)snprintf(text + length, TY_FEED_CURSOR_TEXT_BYTES - length, ".%" PRIu64,
                                   cursor->sequences[i]);
    return length;
}
