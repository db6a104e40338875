/*
 * io.h: makes a chosen call of the operating system on a file fail.
 *
 * Links with ld's --wrap (tests/faults/CMakeLists.txt) and stands before write, writev, pwrite,
 * pread, open, ftruncate, fsync and fdatasync of Tally's own objects and of LMDB, where the system
 * has it as an archive.
 *
 * Threads: any; the count goes over all of them.
 */
#ifndef TY_TESTS_FAULTS_IO_H
#define TY_TESTS_FAULTS_IO_H

#include <stdbool.h>
#include <stdint.h>

/* How a call fails. */
enum ty_io_failure {
    TY_IO_EIO,      /* nothing is done */
    TY_IO_ENOSPC,   /* nothing is done */
    TY_IO_SHORT,    /* half of it is written; a call that writes nothing fails with EIO */
    TY_IO_DONE_EIO, /* the first that fails is done, and yet an error is reported */
    TY_IO_FAILURES
};

/* Instead of a number: the write that switches LMDB to a new root. How many calls come before it
 * differs from commit to commit. */
#define TY_IO_ROOT 0

/* The n-th call from now, counted from 1, fails; with `stays` all after it fail, too. */
void ty_io_fail(uint64_t n, enum ty_io_failure failure, bool stays);

/* No call fails any more. Returns the name of the call that failed first, or NULL. */
const char *ty_io_stop(void);

#endif
