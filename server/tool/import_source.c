#include "server/tool/import_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* inflateInit2: the largest window, and a gzip wrapper. */
#define GZIP_WINDOW_BITS (15 + 16)

static enum ty_source_status fail(struct ty_source *source, const char *error)
{
    snprintf(source->error, sizeof(source->error), "%s", error);
    return TY_SOURCE_FAILED;
}

bool ty_source_open(struct ty_source *source, const char *path)
{
    struct stat status;

    memset(source, 0, sizeof(*source));
    source->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (source->fd < 0 || fstat(source->fd, &status) != 0) {
        fail(source, strerror(errno));
        return false;
    }
    if (S_ISDIR(status.st_mode)) {
        fail(source, "is a directory");
        return false;
    }
    source->is_file = S_ISREG(status.st_mode);
    source->size = source->is_file ? (uint64_t)status.st_size : 0;
    source->device = status.st_dev;
    source->inode = status.st_ino;
    return true;
}

void ty_source_close(struct ty_source *source)
{
    if (source->kind == TY_SOURCE_GZIP)
        inflateEnd(&source->inflater);
    source->kind = TY_SOURCE_UNKNOWN;
    if (source->fd > STDIN_FILENO)
        close(source->fd);
    source->fd = -1;
}

/* Reads into `to` what the file has. TY_SOURCE_END at its end. */
static enum ty_source_status read_file(struct ty_source *source, void *to, size_t room,
                                       size_t *bytes)
{
    struct pollfd wanted = {.fd = source->fd, .events = POLLIN};
    ssize_t got;

    if (source->has_ended)
        return TY_SOURCE_END;
    if (!source->is_file && poll(&wanted, 1, 0) <= 0)
        return TY_SOURCE_IDLE;
    got = read(source->fd, to, room);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN ? TY_SOURCE_IDLE : fail(source, strerror(errno));
    source->has_ended = got == 0;
    source->position += (uint64_t)got;
    *bytes = (size_t)got;
    return got == 0 ? TY_SOURCE_END : TY_SOURCE_DATA;
}

/* Adds to `input` what the file has; to be called only while there is room behind what is left. */
static enum ty_source_status read_input(struct ty_source *source)
{
    z_stream *left = &source->inflater;
    enum ty_source_status status;
    size_t bytes = 0;

    if (left->avail_in == 0)
        left->next_in = source->input;
    status = read_file(
        source, left->next_in + left->avail_in,
        (size_t)(source->input + sizeof(source->input) - left->next_in) - left->avail_in, &bytes);
    left->avail_in += (uInt)bytes;
    return status;
}

static bool is_gzip(const z_stream *left)
{
    return left->avail_in >= 2 && left->next_in[0] == 0x1f && left->next_in[1] == 0x8b;
}

/* Reads until it is known what the bytes are. */
static enum ty_source_status find_kind(struct ty_source *source)
{
    while (source->inflater.avail_in < 2) {
        enum ty_source_status status = read_input(source);

        if (status == TY_SOURCE_END)
            break;
        if (status != TY_SOURCE_DATA)
            return status;
    }
    if (!is_gzip(&source->inflater)) {
        source->kind = TY_SOURCE_PLAIN;
        return TY_SOURCE_DATA;
    }
    if (inflateInit2(&source->inflater, GZIP_WINDOW_BITS) != Z_OK)
        return fail(source, "out of memory");
    source->kind = TY_SOURCE_GZIP;
    return TY_SOURCE_DATA;
}

static enum ty_source_status read_plain(struct ty_source *source, void *to, size_t room,
                                        size_t *bytes)
{
    z_stream *left = &source->inflater;

    if (left->avail_in == 0)
        return read_file(source, to, room, bytes);
    *bytes = TY_MIN(room, (size_t)left->avail_in);
    memcpy(to, left->next_in, *bytes);
    left->next_in += *bytes;
    left->avail_in -= (uInt)*bytes;
    return TY_SOURCE_DATA;
}

static enum ty_source_status explain(struct ty_source *source, int code)
{
    if (code == Z_MEM_ERROR)
        return fail(source, "out of memory");
    snprintf(source->error, sizeof(source->error), "the gzip data is damaged near byte %llu: %s",
             (unsigned long long)(source->position - source->inflater.avail_in),
             source->inflater.msg != NULL ? source->inflater.msg : "malformed");
    return TY_SOURCE_FAILED;
}

/* Reads more of the file where `input` is used up. A file may end between members only. */
static enum ty_source_status feed_inflater(struct ty_source *source)
{
    enum ty_source_status status;

    if (source->inflater.avail_in > 0)
        return TY_SOURCE_DATA;
    status = read_input(source);
    if (status == TY_SOURCE_END && source->in_member)
        return fail(source, "the gzip data ends too early (was the file cut off?)");
    return status;
}

static enum ty_source_status inflate_more(struct ty_source *source)
{
    enum ty_source_status status = feed_inflater(source);
    int code;

    if (status != TY_SOURCE_DATA)
        return status;
    source->in_member = true;
    code = inflate(&source->inflater, Z_NO_FLUSH);
    if (code == Z_STREAM_END) {
        source->in_member = false;
        code = inflateReset(&source->inflater);
    }
    return code == Z_OK || code == Z_BUF_ERROR ? TY_SOURCE_DATA : explain(source, code);
}

static enum ty_source_status read_gzip(struct ty_source *source, void *to, size_t room,
                                       size_t *bytes)
{
    z_stream *inflater = &source->inflater;

    inflater->next_out = to;
    inflater->avail_out = (uInt)TY_MIN(room, (size_t)1 << 30);
    while (inflater->avail_out > 0) {
        enum ty_source_status status = inflate_more(source);

        if (status == TY_SOURCE_DATA)
            continue;
        if (inflater->next_out == to)
            return status;
        break; /* What was inflated before comes first; the same status comes again. */
    }
    *bytes = (size_t)(inflater->next_out - (unsigned char *)to);
    return TY_SOURCE_DATA;
}

enum ty_source_status ty_source_read(struct ty_source *source, void *to, size_t room, size_t *bytes)
{
    *bytes = 0;
    if (source->kind == TY_SOURCE_UNKNOWN) {
        enum ty_source_status status = find_kind(source);

        if (status != TY_SOURCE_DATA)
            return status;
    }
    return source->kind == TY_SOURCE_GZIP ? read_gzip(source, to, room, bytes)
                                          : read_plain(source, to, room, bytes);
}
