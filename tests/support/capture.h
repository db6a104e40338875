/*
 * capture.h: what is written to a file descriptor, for tests of what programs print.
 *
 * Threads: one capture at a time.
 */
#ifndef TY_TESTS_SUPPORT_CAPTURE_H
#define TY_TESTS_SUPPORT_CAPTURE_H

#include <stdio.h>
#include <unistd.h>

#include "engine/base.h"

struct ty_capture {
    FILE *file;
    int fd;    /* the one that is captured */
    int saved; /* where it went before */
};

/* From now on what is written to `fd` (1 or 2) is captured. */
static inline struct ty_capture ty_capture_begin(int fd)
{
    struct ty_capture capture = {.file = tmpfile(), .fd = fd};

    fflush(stdout);
    fflush(stderr);
    capture.saved = dup(fd);
    TY_ASSERT(capture.file != NULL && capture.saved >= 0);
    TY_ASSERT(dup2(fileno(capture.file), fd) == fd);
    return capture;
}

/* Ends it and copies what was written, at most size - 1 bytes and a zero. */
static inline size_t ty_capture_end(struct ty_capture *capture, char *text, size_t size)
{
    size_t length;

    fflush(stdout);
    fflush(stderr);
    TY_ASSERT(dup2(capture->saved, capture->fd) == capture->fd);
    close(capture->saved);
    rewind(capture->file);
    length = fread(text, 1, size - 1, capture->file);
    text[length] = '\0';
    fclose(capture->file);
    return length;
}

#endif
