/* A power cut at every step of a creation is tests/powercut's; here is what it may leave. */
#include "storage/directory.h"
#include "tests/storage/store_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(store_create, .init = make_directory, .fini = remove_directory);

static char path[1100];

static const char *inside(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", directory.path, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    int fd = open(inside(name), O_WRONLY | O_CREAT | O_TRUNC, 0640);

    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void assert_names_synced(void)
{
    assert_ok(ty_directory_sync(directory.path, &problem));
    assert_ok(ty_directory_sync_parent(directory.path, &problem));
}

/* After a power cut in the middle of a creation the next start must not need a hand. */
Test(store_create, takes_the_place_of_what_an_interrupted_creation_left)
{
    struct ty_store *store;

    write_file("new.mdb", "half of a page");
    store = open_store();
    ty_store_close(store);
    cr_assert_eq(access(inside("data.mdb"), F_OK), 0);
    cr_assert_neq(access(inside("new.mdb"), F_OK), 0);
}

/* A damaged file has a name, so it was whole once: a new and empty one would hide the loss. */
Test(store_create, never_takes_the_place_of_a_file_that_has_its_name)
{
    struct ty_store_options options = {.path = directory.path, .map_bytes = MAP_BYTES};
    struct ty_store *store;
    struct stat info;
    char zeros[8192] = "";
    int fd = open(inside("data.mdb"), O_WRONLY | O_CREAT, 0640);

    cr_assert_eq(write(fd, zeros, sizeof(zeros)), (ssize_t)sizeof(zeros));
    close(fd);
    cr_assert_eq(ty_store_open(&options, &store, &problem), TALLY_CORRUPT);
    cr_assert_eq(stat(inside("data.mdb"), &info), 0);
    cr_assert_eq(info.st_size, (off_t)sizeof(zeros));
}

/* A creation that fails says why, and leaves nothing that looks like a store. */
Test(store_create, fails_with_the_reason_where_the_file_cannot_be_made)
{
    struct ty_store_options options = {.path = directory.path, .map_bytes = MAP_BYTES};
    struct ty_store *store;

    cr_assert_eq(mkdir(inside("new.mdb"), 0750), 0);
    cr_assert_eq(ty_store_open(&options, &store, &problem), TALLY_IO);
    cr_assert_not_null(strstr(problem.message, directory.path), "%s", problem.message);
    cr_assert_neq(access(inside("data.mdb"), F_OK), 0);
}

/* The name of the data directory itself is kept by the directory above, however it is written. */
Test(store_create, syncs_the_directory_above_of_every_form_of_path)
{
    assert_names_synced();
    assert_ok(ty_directory_sync_parent(inside("a"), &problem));
    assert_ok(ty_directory_sync_parent(inside("a//"), &problem));
    assert_ok(ty_directory_sync_parent("a", &problem));
    assert_ok(ty_directory_sync_parent("/a", &problem));
    assert_ok(ty_directory_sync_parent("/", &problem));
}

/* A sync that did not happen must not pass for one. */
Test(store_create, a_directory_that_is_not_there_cannot_be_synced)
{
    cr_assert_eq(ty_directory_sync(inside("a"), &problem), TALLY_IO);
    cr_assert_not_null(strstr(problem.message, path), "%s", problem.message);
    cr_assert_eq(ty_directory_sync_parent(inside("a/b"), &problem), TALLY_IO);
    cr_assert_not_null(strstr(problem.message, "No such file"), "%s", problem.message);
}
