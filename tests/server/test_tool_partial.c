#include "server/tool/partial.h"

#include "tests/support/capture.h"
#include "tests/support/temporary_directory.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct ty_temporary_directory directory;

static void set_up(void)
{
    ty_temporary_directory_create(&directory);
}

static void tear_down(void)
{
    ty_temporary_directory_remove(&directory);
}

TestSuite(tool_partial, .init = set_up, .fini = tear_down);

/* A path in the directory; one of the last few. */
static const char *path_of(const char *name)
{
    static char paths[8][1200];
    static unsigned next;
    char *path = paths[next++ % TY_COUNT_OF(paths)];

    snprintf(path, sizeof(paths[0]), "%s/%s", directory.path, name);
    return path;
}

static void write_file(const char *name)
{
    FILE *file = fopen(path_of(name), "w");

    cr_assert_not_null(file, "%s", name);
    fputs("x", file);
    fclose(file);
}

static void make_directory(const char *name)
{
    cr_assert_eq(mkdir(path_of(name), 0700), 0, "%s", name);
}

static bool is_there(const char *name)
{
    struct stat status;

    return lstat(path_of(name), &status) == 0;
}

static void assert_entries(const char *name, size_t want)
{
    struct dirent *entry;
    DIR *opened = opendir(path_of(name));
    size_t entries = 0;

    cr_assert_not_null(opened, "%s", name);
    while ((entry = readdir(opened)) != NULL)
        entries += entry->d_name[0] != '.';
    closedir(opened);
    cr_assert_eq(entries, want, "%s has %zu", name, entries);
}

static struct ty_partial open_good(const char *name)
{
    struct ty_partial partial;

    cr_assert(ty_partial_open(&partial, "backup", path_of(name)));
    return partial;
}

/* `part` stands in the message. */
static void assert_refused(const char *path, const char *part)
{
    struct ty_capture capture = ty_capture_begin(STDERR_FILENO);
    struct ty_partial partial;
    char said[8192];
    bool opened = ty_partial_open(&partial, "backup", path);

    ty_capture_end(&capture, said, sizeof(said));
    cr_assert(!opened, "%s", path);
    cr_assert_eq(strncmp(said, "tally backup: ", 14), 0, "%s", said);
    cr_assert_not_null(strstr(said, part), "%s", said);
    cr_assert(partial.fd == -1 && partial.path == NULL);
    ty_partial_remove(&partial);
}

/* What stands under the name is a whole backup, always: it is there from one moment to the next. */
Test(tool_partial, the_name_appears_when_it_is_complete)
{
    struct ty_partial partial = open_good("copy");
    char shard[TY_PARTIAL_PATH_BYTES];

    cr_assert(is_there("copy.partial") && !is_there("copy"));
    ty_partial_shard(&partial, 7, shard);
    cr_assert_str_eq(shard, path_of("copy.partial/shard-007"));
    make_directory("copy.partial/shard-007");
    write_file("copy.partial/shard-007/data.mdb");
    cr_assert(ty_partial_commit(&partial, "backup"));
    cr_assert(is_there("copy/shard-007/data.mdb") && !is_there("copy.partial"));
    ty_partial_remove(&partial);
    cr_assert(is_there("copy/shard-007/data.mdb"));
}

/* A backup that was given up leaves nothing that fills the disk, or passes for one. */
Test(tool_partial, nothing_is_left_of_what_was_given_up)
{
    struct ty_partial partial = open_good("copy");

    make_directory("copy.partial/shard-000");
    write_file("copy.partial/shard-000/data.mdb");
    make_directory("copy.partial/shard-001");
    ty_partial_remove(&partial);
    assert_entries(".", 0);
    ty_partial_remove(&partial);
}

/* The only good copy must not be written over by the next one: nothing that is there is touched. */
Test(tool_partial, what_is_there_is_never_overwritten)
{
    write_file("file");
    make_directory("full");
    write_file("full/anything");
    make_directory("hidden");
    write_file("hidden/.anything");
    cr_assert_eq(symlink("/nowhere", path_of("link")), 0);
    assert_refused(path_of("file"), "is there already: nothing is ever overwritten");
    assert_refused(path_of("full"), "is there already");
    assert_refused(path_of("hidden"), "is there already");
    assert_refused(path_of("link"), "is there already");
    assert_refused("/", "is there already");
    assert_entries(".", 4);
    cr_assert(is_there("full/anything") && is_there("hidden/.anything"));
}

/* Often a mount point, or a directory with the right owner, is made before. And "copy/" is what a
 * shell completes: it is "copy", and not something within it. */
Test(tool_partial, an_empty_directory_is_taken)
{
    struct ty_partial partial;

    make_directory("copy");
    partial = open_good("copy///");
    cr_assert_str_eq(partial.path, path_of("copy.partial"));
    make_directory("copy.partial/shard-000");
    cr_assert(ty_partial_commit(&partial, "backup"));
    assert_entries("copy", 1);
    assert_entries(".", 1);
}

/* Names that cannot be are told, not cut. */
Test(tool_partial, impossible_names_are_refused)
{
    char name[TY_PARTIAL_PATH_BYTES + 10];

    assert_refused("", "a directory needs a name, of at most 4032 bytes");
    memset(name, 'a', sizeof(name));
    name[TY_PARTIAL_PATH_BYTES - 63] = '\0';
    assert_refused(name, "a directory needs a name");
    assert_refused(path_of("missing/copy"), "cannot create");
    write_file("file");
    assert_refused(path_of("file/copy"), "cannot look at");
    write_file("copy.partial");
    assert_refused(path_of("copy"), "cannot open");
    cr_assert(is_there("copy.partial"));
}

/* A killed command leaves its directory: the next one must not need a hand, nor keep old files. */
Test(tool_partial, what_a_killed_command_left_is_cleared)
{
    struct ty_partial partial;

    make_directory("copy.partial");
    make_directory("copy.partial/shard-000");
    write_file("copy.partial/shard-000/data.mdb");
    make_directory("copy.partial/shard-001");
    partial = open_good("copy");
    assert_entries("copy.partial", 0);
    cr_assert(ty_partial_commit(&partial, "backup"));
    assert_entries("copy", 0);
}

/* Files of somebody else's in a directory that happens to have the name are not deleted, nor does a
 * backup appear that holds them. */
Test(tool_partial, strange_files_are_not_deleted)
{
    static const char *const names[] = {"notes",     "shard-1",     "shard-0000",
                                        "shard-00a", "shard-000.x", "shards-00"};
    char name[80];

    for (size_t i = 0; i < TY_COUNT_OF(names); i++) {
        snprintf(name, sizeof(name), "copy%zu.partial", i);
        make_directory(name);
        snprintf(name, sizeof(name), "copy%zu.partial/%s", i, names[i]);
        make_directory(name);
        snprintf(name, sizeof(name), "copy%zu.partial/%s/data.mdb", i, names[i]);
        write_file(name);
        snprintf(name, sizeof(name), "copy%zu", i);
        assert_refused(path_of(name), "cannot clear what an earlier run left in");
        snprintf(name, sizeof(name), "copy%zu.partial/%s/data.mdb", i, names[i]);
        cr_assert(is_there(name), "%s", name);
    }
    make_directory("file.partial");
    write_file("file.partial/shard-000");
    assert_refused(path_of("file"), "cannot clear");
    cr_assert(is_there("file.partial/shard-000"));
    make_directory("copy.partial");
    make_directory("copy.partial/shard-000");
    write_file("copy.partial/shard-000/notes");
    assert_refused(path_of("copy"), "cannot clear");
    cr_assert(is_there("copy.partial/shard-000/notes"));
}

/* A link put there in advance would have a command that root runs delete and write elsewhere: in
 * the very database that is to be copied, say. Nor is one within the directory followed. */
Test(tool_partial, links_are_not_followed)
{
    make_directory("data");
    make_directory("data/shard-000");
    write_file("data/shard-000/data.mdb");
    cr_assert_eq(symlink(path_of("data"), path_of("copy.partial")), 0);
    assert_refused(path_of("copy"), "cannot open");
    make_directory("other.partial");
    cr_assert_eq(symlink(path_of("data/shard-000"), path_of("other.partial/shard-000")), 0);
    assert_refused(path_of("other"), "cannot clear what an earlier run left in");
    cr_assert(is_there("data/shard-000/data.mdb"));
}

/* Two backups at once, to the same name: the second gives way and leaves the first one's alone. */
Test(tool_partial, one_that_is_being_filled_is_left_alone)
{
    struct ty_partial partial = open_good("copy");

    make_directory("copy.partial/shard-000");
    assert_refused(path_of("copy"), "is being filled by another process");
    cr_assert(is_there("copy.partial/shard-000"));
    cr_assert(ty_partial_commit(&partial, "backup"));
    cr_assert(is_there("copy/shard-000"));
}

/* If the name was taken meanwhile, what is there stays; what was made goes. */
Test(tool_partial, a_name_that_was_taken_meanwhile_is_told)
{
    struct ty_partial partial = open_good("copy");
    struct ty_capture capture;
    char said[4096];
    bool committed;

    make_directory("copy.partial/shard-000");
    make_directory("copy");
    write_file("copy/theirs");
    capture = ty_capture_begin(STDERR_FILENO);
    committed = ty_partial_commit(&partial, "backup");
    ty_capture_end(&capture, said, sizeof(said));
    cr_assert(!committed);
    cr_assert_not_null(strstr(said, "tally backup: cannot complete "), "%s", said);
    cr_assert(is_there("copy/theirs") && !is_there("copy.partial"));
    ty_partial_remove(&partial);
}
