/*
 * temporary_directory.h: a directory of a test's own.
 *
 * Threads: one owner a directory.
 */
#ifndef TY_TESTS_SUPPORT_TEMPORARY_DIRECTORY_H
#define TY_TESTS_SUPPORT_TEMPORARY_DIRECTORY_H

struct ty_temporary_directory {
    char path[1024];
};

/* Makes a new, empty directory under $TMPDIR, or /tmp. Prints why and aborts when it cannot. */
void ty_temporary_directory_create(struct ty_temporary_directory *directory);

/* Removes it with everything in it; symbolic links are removed, not followed. Prints what could
 * not be removed, and goes on. */
void ty_temporary_directory_remove(struct ty_temporary_directory *directory);

#endif
