#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/listen.h"
#include "tests/support/temporary_directory.h"

static struct ty_temporary_directory directory;
static char path[sizeof(directory.path) + 16];
static char error[512];

static void init(void)
{
    ty_temporary_directory_create(&directory);
    snprintf(path, sizeof(path), "%s/socket", directory.path);
}

static void fini(void)
{
    ty_temporary_directory_remove(&directory);
}

TestSuite(listen, .init = init, .fini = fini);

static int connect_to_path(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert(strlen(path) < sizeof(address.sun_path), "TMPDIR is too long for a socket: %s", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static int listen_on_path(void)
{
    int fd = -1;

    cr_assert(ty_listen_unix(path, &fd, error, sizeof(error)), "%s", error);
    return fd;
}

static void check_refused(const char *expected)
{
    int fd = -1;

    error[0] = '\0';
    cr_assert(!ty_listen_unix(path, &fd, error, sizeof(error)), "%s was taken", path);
    cr_assert_eq(fd, -1);
    cr_assert_not_null(strstr(error, expected), "\"%s\" lacks \"%s\"", error, expected);
    cr_assert_not_null(strstr(error, path), "\"%s\" does not say where", error);
}

/* A collector on this machine could not connect, or anybody could. */
Test(listen, clients_connect_to_a_file_of_mode_0660_whatever_the_umask)
{
    struct stat status;
    int fd, client;

    umask(0077);
    fd = listen_on_path();
    client = connect_to_path();
    cr_assert_neq(client, -1);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert(S_ISSOCK(status.st_mode));
    cr_assert_eq(status.st_mode & 07777, 0660, "mode %o", status.st_mode & 07777);
    cr_assert_neq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    cr_assert_neq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    close(client);
    close(fd);
}

/* After a kill -9 the server would not start again. */
Test(listen, a_socket_that_nobody_listens_on_is_replaced)
{
    int fd;

    close(listen_on_path());
    cr_assert_eq(connect_to_path(), -1);
    fd = listen_on_path();
    cr_assert_neq(connect_to_path(), -1);
    close(fd);
}

/* A second server would take the first one's clients away. */
Test(listen, a_socket_that_somebody_listens_on_is_left_alone)
{
    int fd = listen_on_path();

    check_refused("another process listens there");
    cr_assert_neq(connect_to_path(), -1);
    close(fd);
}

/* A path given by mistake would cost a file. */
Test(listen, a_file_that_is_no_socket_is_left_alone)
{
    struct stat status;

    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    check_refused("no socket");
    cr_assert_eq(stat(path, &status), 0);
    cr_assert(S_ISREG(status.st_mode));
}

/* An operator would have to guess what is wrong with the path. */
Test(listen, paths_that_cannot_be_are_told_with_their_reason)
{
    snprintf(path, sizeof(path), "%s/missing/socket", directory.path);
    check_refused("No such file or directory");
    memset(path, 'x', 108);
    path[108] = '\0';
    check_refused("at most 107 bytes");
    path[0] = '\0';
    check_refused("must not be empty");
}

/* A stopped server would leave a file at which clients wait for nobody. */
Test(listen, removal_removes_the_file)
{
    int fd = listen_on_path();

    ty_listen_unix_remove(path);
    cr_assert_eq(access(path, F_OK), -1);
    close(fd);
}
