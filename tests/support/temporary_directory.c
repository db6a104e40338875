#include "tests/support/temporary_directory.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ty_temporary_directory_create(struct ty_temporary_directory *directory)
{
    const char *parent = getenv("TMPDIR");
    int length = snprintf(directory->path, sizeof(directory->path), "%s/tally-test-XXXXXX",
                          parent != NULL && parent[0] != '\0' ? parent : "/tmp");

    if (length < 0 || (size_t)length >= sizeof(directory->path) ||
        mkdtemp(directory->path) == NULL) {
        fprintf(stderr, "cannot create %s: %s\n", directory->path, strerror(errno));
        abort();
    }
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    if (remove(path) != 0)
        fprintf(stderr, "cannot remove %s: %s\n", path, strerror(errno));
    return 0;
}

void ty_temporary_directory_remove(struct ty_temporary_directory *directory)
{
    /* FTW_DEPTH: what is in a directory comes before it. */
    if (nftw(directory->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        fprintf(stderr, "cannot remove %s: %s\n", directory->path, strerror(errno));
}
