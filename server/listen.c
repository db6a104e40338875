#include "server/listen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 511, MODE = 0660 };

static bool fail(char *error, size_t error_size, const char *path, const char *problem)
{
    snprintf(error, error_size, "cannot listen on unix:%s: %s", path, problem);
    return false;
}

static bool make_address(const char *path, struct sockaddr_un *address, char *error,
                         size_t error_size)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] == '\0')
        return fail(error, error_size, path, "the path of a socket file must not be empty");
    if (strlen(path) >= sizeof(address->sun_path))
        return fail(error, error_size, path, "the system takes paths of at most 107 bytes");
    memcpy(address->sun_path, path, strlen(path) + 1);
    return true;
}

/* Whether somebody accepts connections there: 0, or why nobody does. EAGAIN: their queue is full.
 */
static int try_to_connect(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int problem = 0;

    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 && errno != EAGAIN)
        problem = errno;
    close(fd);
    return problem;
}

/* Removes what a killed process left behind; anything else at that path stays, and is told. */
static bool make_way(const struct sockaddr_un *address, char *error, size_t error_size)
{
    const char *path = address->sun_path;
    struct stat status;
    int problem;

    if (lstat(path, &status) != 0)
        return errno == ENOENT || fail(error, error_size, path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return fail(error, error_size, path, "a file that is no socket has that path");
    problem = try_to_connect(address);
    if (problem == 0)
        return fail(error, error_size, path, "another process listens there");
    if (problem != ECONNREFUSED && problem != ENOENT)
        return fail(error, error_size, path, strerror(problem));
    if (unlink(path) != 0 && errno != ENOENT)
        return fail(error, error_size, path, strerror(errno));
    return true;
}

/* The mode is set before anybody can connect, and does not depend on the umask. */
static bool bind_and_listen(int fd, const struct sockaddr_un *address)
{
    int problem;

    if (fd < 0 || fchmod(fd, MODE) != 0 ||
        bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
        return false;
    if (chmod(address->sun_path, MODE) == 0 && listen(fd, BACKLOG) == 0)
        return true;
    problem = errno;
    unlink(address->sun_path);
    errno = problem;
    return false;
}

bool ty_listen_unix(const char *path, int *fd, char *error, size_t error_size)
{
    struct sockaddr_un address;
    int own;

    if (!make_address(path, &address, error, error_size) || !make_way(&address, error, error_size))
        return false;
    own = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (!bind_and_listen(own, &address)) {
        fail(error, error_size, path, strerror(errno));
        if (own >= 0)
            close(own);
        return false;
    }
    *fd = own;
    return true;
}

void ty_listen_unix_remove(const char *path)
{
    unlink(path);
}
