#include "shard/directory_lock.h"
#include "tests/support/temporary_directory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ty_temporary_directory directory;
static tally_error error;

static void init(void)
{
    ty_temporary_directory_create(&directory);
}

static void fini(void)
{
    ty_temporary_directory_remove(&directory);
}

TestSuite(directory_lock, .init = init, .fini = fini);

/* The first start finds no directory. */
Test(directory_lock, creates_the_directory_for_the_owner_and_group_only)
{
    struct stat info;
    char path[1100];
    int fd = -1;

    snprintf(path, sizeof(path), "%s/new", directory.path);
    cr_assert_eq(ty_directory_lock(path, &fd, &error), TALLY_OK, "%s", error.message);
    cr_assert(fd >= 0);
    cr_assert_eq(stat(path, &info), 0);
    cr_assert_eq(info.st_mode & 07, 0, "mode %o", info.st_mode);
    close(fd);
}

/* Two writers on one directory destroy it; whoever comes second must learn who has it. */
Test(directory_lock, is_held_by_one_at_a_time_and_named)
{
    char holder[64];
    int first = -1, second = -1;

    cr_assert_eq(ty_directory_lock(directory.path, &first, &error), TALLY_OK, "%s", error.message);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(ty_directory_lock(directory.path, &second, &error), TALLY_LOCKED);
        snprintf(holder, sizeof(holder), "is in use by process %ld; stop it first", (long)getpid());
        cr_assert_not_null(strstr(error.message, holder), "%s", error.message);
        cr_assert_not_null(strstr(error.message, directory.path), "%s", error.message);
        cr_assert_eq(second, -1);
    }
    cr_assert_eq(ty_directory_lock(directory.path, &second, NULL), TALLY_LOCKED);
    close(first);
    cr_assert_eq(ty_directory_lock(directory.path, &second, &error), TALLY_OK, "%s", error.message);
    close(second);
}

/* After a kill -9 nobody must have to remove a file by hand. */
Test(directory_lock, ends_with_the_process_that_holds_it)
{
    int pipes[2], status, fd = -1;
    char byte;
    pid_t child;

    cr_assert_eq(pipe(pipes), 0);
    child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        tally_error ignored;
        bool locked = ty_directory_lock(directory.path, &fd, &ignored) == TALLY_OK;

        _exit(write(pipes[1], locked ? "y" : "n", 1) == 1 && pause() != 0 ? 0 : 1);
    }
    cr_assert_eq(read(pipes[0], &byte, 1), 1);
    cr_assert_eq(byte, 'y');
    cr_assert_eq(ty_directory_lock(directory.path, &fd, &error), TALLY_LOCKED);
    kill(child, SIGKILL);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(ty_directory_lock(directory.path, &fd, &error), TALLY_OK, "%s", error.message);
    close(fd);
    close(pipes[0]);
    close(pipes[1]);
}

/* What is in the file is only for people: nothing may depend on it. */
Test(directory_lock, whatever_the_file_holds)
{
    static const char *const contents[] = {"", "12345\n", "not a number, and rather a long text\n"};
    char path[1100];
    int fd = -1;

    snprintf(path, sizeof(path), "%s/tally.lock", directory.path);
    for (size_t i = 0; i < 3; i++) {
        FILE *file = fopen(path, "w");
        char number[64] = "";

        cr_assert_not_null(file);
        fputs(contents[i], file);
        fclose(file);
        cr_assert_eq(ty_directory_lock(directory.path, &fd, &error), TALLY_OK, "%s", error.message);
        file = fopen(path, "r");
        cr_assert_not_null(fgets(number, sizeof(number), file));
        cr_assert_eq(strtol(number, NULL, 10), (long)getpid());
        fclose(file);
        close(fd);
    }
}

/* The operating system's reason must reach whoever made the mistake. */
Test(directory_lock, says_why_it_cannot_be_taken)
{
    char path[1100];
    FILE *file;
    int fd = -1;

    snprintf(path, sizeof(path), "%s/missing/new", directory.path);
    cr_assert_eq(ty_directory_lock(path, &fd, &error), TALLY_IO);
    cr_assert_eq(strncmp(error.message, "cannot create the directory ", 28), 0);
    cr_assert_not_null(strstr(error.message, "No such file or directory"), "%s", error.message);
    snprintf(path, sizeof(path), "%s/file", directory.path);
    file = fopen(path, "w");
    cr_assert_not_null(file);
    fclose(file);
    cr_assert_eq(ty_directory_lock(path, &fd, &error), TALLY_IO);
    cr_assert_not_null(strstr(error.message, "Not a directory"), "%s", error.message);
    cr_assert_eq(fd, -1);
}
