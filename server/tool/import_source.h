/*
 * import_source.h: the bytes of a file or of standard input, gzip undone.
 *
 * Compression is told by the first two bytes (1f 8b; neither CSV nor JSON begins so), whatever the
 * file is called. Members that follow one another are one text, as RFC 1952 says. A text is never
 * held in memory: the caller asks for as much as it has room for.
 *
 * Threads: the program has one.
 */
#ifndef TY_SERVER_TOOL_IMPORT_SOURCE_H
#define TY_SERVER_TOOL_IMPORT_SOURCE_H

#include "engine/base.h"
#include <zlib.h>

#define TY_SOURCE_ERROR_BYTES 200
#define TY_SOURCE_INPUT_BYTES (64u << 10)

enum ty_source_status {
    TY_SOURCE_DATA,
    TY_SOURCE_IDLE, /* nothing there now: poll source->fd, then ask again */
    TY_SOURCE_END,
    TY_SOURCE_FAILED /* source->error says why, a phrase that follows the name */
};

/* What the bytes turned out to be. */
enum ty_source_kind { TY_SOURCE_UNKNOWN, TY_SOURCE_PLAIN, TY_SOURCE_GZIP };

struct ty_source {
    int fd;            /* -1: closed */
    bool is_file;      /* a regular file, whose size is known and which can be opened again */
    uint64_t size;     /* in bytes as stored; 0 where it is not known */
    uint64_t position; /* bytes taken from the file so far, as stored */
    dev_t device;      /* which file it is */
    ino_t inode;
    enum ty_source_kind kind;
    bool has_ended;    /* the file has; `input` may still hold bytes */
    bool in_member;    /* gzip: inside of a member, where a file must not end */
    z_stream inflater; /* its next_in and avail_in are what is left of `input` in every kind */
    char error[TY_SOURCE_ERROR_BYTES];
    unsigned char input[TY_SOURCE_INPUT_BYTES];
};

/*
 * ty_source_open opens a path, "-" being standard input. False: source->error says why. Standard
 * input is not closed with the source.
 */
bool ty_source_open(struct ty_source *source, const char *path);

/* ty_source_read fills `to` with 1..room bytes on TY_SOURCE_DATA; *bytes is 0 otherwise. It waits
 * for no pipe, terminal or socket. */
enum ty_source_status ty_source_read(struct ty_source *source, void *to, size_t room,
                                     size_t *bytes);

/* ty_source_close may be called on a source whose opening failed. */
void ty_source_close(struct ty_source *source);

#endif
