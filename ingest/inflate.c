#include "ingest/inflate.h"

#include <string.h>
#include <zlib.h>

#define GZIP_ONLY    16 /* added to the window bits: a gzip header is expected (zlib.h) */
#define FIRST_FACTOR 4  /* what a first guess takes a byte for; else the room is doubled */
#define ROOM_MIN     ((size_t)65536)

struct run {
    z_stream stream;
    struct ty_arena *arena;
    char *room;
    size_t room_bytes;
    size_t room_bytes_max;
    size_t whole_bytes; /* of the room: from members that have ended */
    const Bytef *rest;  /* of the input: behind them */
};

/* Doubles the room; the old one stays in the arena until the batch is freed. */
static bool grow(struct run *run, size_t used)
{
    size_t wanted =
        run->room_bytes > run->room_bytes_max / 2 ? run->room_bytes_max : run->room_bytes * 2;
    char *larger = ty_arena_alloc(run->arena, wanted);

    if (larger == NULL)
        return false;
    memcpy(larger, run->room, used);
    run->room = larger;
    run->room_bytes = wanted;
    return true;
}

/* Inflates as much as the room takes. Returns zlib's result: Z_STREAM_END at the end of all input
 * and a member, Z_OK when the room is full. */
static int inflate_members(struct run *run)
{
    z_stream *stream = &run->stream;

    for (;;) {
        int result = inflate(stream, Z_NO_FLUSH);

        if (result == Z_STREAM_END) {
            run->whole_bytes = run->room_bytes - stream->avail_out;
            run->rest = stream->next_in;
            if (stream->avail_in == 0)
                return Z_STREAM_END;
            result = inflateReset(stream);
        }
        if (result != Z_OK || stream->avail_out == 0)
            return result;
        if (stream->avail_in == 0)
            return Z_BUF_ERROR; /* it ends in the middle of a member */
    }
}

static enum ty_inflate_status inflate_all(struct run *run)
{
    size_t used = 0;

    for (;;) {
        int result;

        run->stream.next_out = (Bytef *)run->room + used;
        run->stream.avail_out = (uInt)(run->room_bytes - used);
        result = inflate_members(run);
        used = run->room_bytes - run->stream.avail_out;
        if (used == run->room_bytes_max)
            return TY_INFLATE_TOO_LONG;
        if (result == Z_STREAM_END)
            return TY_INFLATE_OK;
        if (result == Z_MEM_ERROR)
            return TY_INFLATE_NO_MEMORY;
        if (result != Z_OK)
            return TY_INFLATE_MALFORMED;
        if (!grow(run, used))
            return TY_INFLATE_NO_MEMORY;
    }
}

enum ty_inflate_status ty_inflate(struct ty_arena *arena, struct ty_text gzip, size_t bytes_max,
                                  struct ty_inflated *inflated)
{
    struct run run = {
        .stream = {.next_in = (z_const Bytef *)gzip.data, .avail_in = (uInt)gzip.length},
        .arena = arena,
        .rest = (const Bytef *)gzip.data};
    enum ty_inflate_status status;

    TY_ASSERT(gzip.length <= UINT32_MAX && bytes_max < UINT32_MAX);
    *inflated = (struct ty_inflated){.data = {.data = "", .length = 0}, .rest = {.data = ""}};
    if (gzip.length == 0)
        return TY_INFLATE_OK;
    /* A byte more than is allowed: whether it is used tells "all" from "too long". */
    run.room_bytes_max = bytes_max + 1;
    run.room_bytes = TY_MIN(TY_MAX(FIRST_FACTOR * gzip.length, ROOM_MIN), run.room_bytes_max);
    run.room = ty_arena_alloc(arena, run.room_bytes);
    if (run.room == NULL || inflateInit2(&run.stream, GZIP_ONLY + MAX_WBITS) != Z_OK)
        return TY_INFLATE_NO_MEMORY;
    status = inflate_all(&run);
    inflateEnd(&run.stream);
    inflated->data = (struct ty_text){.data = run.room, .length = run.whole_bytes};
    inflated->rest =
        (struct ty_text){.data = (const char *)run.rest,
                         .length = (size_t)(gzip.data + gzip.length - (const char *)run.rest)};
    return status;
}
