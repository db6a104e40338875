#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http_server.h"

enum { BACKLOG = 511 };

/* Splits "host:port" and "[v6]:port" into two texts that getaddrinfo() takes. */
static bool split_address(const char *address, char host[256], char port[8])
{
    const char *colon = strrchr(address, ':');
    size_t length = colon == NULL ? 0 : (size_t)(colon - address);
    size_t digits = colon == NULL ? 0 : strspn(colon + 1, "0123456789");

    if (length == 0 || length >= 256 || digits == 0 || digits > 5 || colon[1 + digits] != '\0' ||
        strtoul(colon + 1, NULL, 10) > 65535)
        return false;
    if (address[0] == '[') {
        if (length < 3 || address[length - 1] != ']')
            return false;
        address++;
        length -= 2;
    } else if (memchr(address, ':', length) != NULL) {
        return false; /* an IPv6 address needs its brackets */
    }
    memcpy(host, address, length);
    host[length] = '\0';
    memcpy(port, colon + 1, digits + 1);
    return true;
}

bool ty_http_address_is_valid(const char *address)
{
    char host[256], port[8];

    return split_address(address, host, port);
}

static int open_socket(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1, saved;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static bool bound_address(int fd, char bound[TY_HTTP_ADDRESS_BYTES])
{
    struct sockaddr_storage storage = {0};
    socklen_t length = sizeof(storage);
    char host[64], port[8];

    if (getsockname(fd, (struct sockaddr *)&storage, &length) != 0 ||
        getnameinfo((struct sockaddr *)&storage, length, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    snprintf(bound, TY_HTTP_ADDRESS_BYTES, storage.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
             host, port);
    return true;
}

bool ty_http_listen(const char *address, int *fd, char bound[TY_HTTP_ADDRESS_BYTES], char *error,
                    size_t error_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char host[256], port[8];
    int code;

    if (!split_address(address, host, port)) {
        snprintf(error, error_size,
                 "\"%s\" is not an address to listen on: give host:port, such as 127.0.0.1:8480 "
                 "or [::1]:8480; port 0 picks a free one",
                 address);
        return false;
    }
    code = getaddrinfo(host, port, &hints, &list);
    if (code != 0) {
        snprintf(error, error_size, "cannot listen on %s: %s", address, gai_strerror(code));
        return false;
    }
    *fd = open_socket(list);
    freeaddrinfo(list);
    if (*fd < 0 || !bound_address(*fd, bound)) {
        snprintf(error, error_size, "cannot listen on %s: %s", address, strerror(errno));
        if (*fd >= 0)
            close(*fd);
        return false;
    }
    return true;
}
