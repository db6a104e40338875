/*
 * canned_server.h: answers HTTP requests over a Unix socket with what a test has prepared, one
 * after the other, and keeps what was asked for.
 *
 * Threads: start and stop the test's; it answers on one of its own. What it keeps may be read after
 * the stop, or after the last answer was read.
 */
#ifndef TY_TESTS_SERVER_CANNED_SERVER_H
#define TY_TESTS_SERVER_CANNED_SERVER_H

#include "engine/base.h"
#include "tests/support/temporary_directory.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CANNED_REQUESTS_MAX 16

/* An answer: "200 OK", more header lines (each ended by "\r\n") or "", and a body. All NULL ends
 * the list; then connections are closed without an answer. */
struct canned_answer {
    const char *status, *headers, *body;
};

struct canned_server {
    struct ty_temporary_directory directory;
    char address[1100];                       /* as --server takes it */
    const struct canned_answer *answers;      /* that are left */
    char requests[CANNED_REQUESTS_MAX][4096]; /* line and headers */
    size_t request_count;
    size_t connections;
    int listening;
    pthread_t thread;
};

/* Reads a request without a body; false when the client has closed. */
static inline bool canned_read(int fd, char request[4096])
{
    size_t length = 0;

    while (length < 4095) {
        ssize_t bytes = read(fd, request + length, 4095 - length);

        if (bytes <= 0)
            return false;
        length += (size_t)bytes;
        request[length] = '\0';
        if (strstr(request, "\r\n\r\n") != NULL)
            return true;
    }
    return false;
}

static inline void canned_serve(struct canned_server *server, int fd)
{
    while (server->request_count < CANNED_REQUESTS_MAX &&
           canned_read(fd, server->requests[server->request_count])) {
        const struct canned_answer *answer = server->answers;

        server->request_count++;
        if (answer->status == NULL)
            return;
        server->answers++;
        dprintf(fd, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", answer->status,
                answer->headers, strlen(answer->body), answer->body);
    }
}

static inline void *canned_run(void *context)
{
    struct canned_server *server = context;
    int fd;

    while ((fd = accept(server->listening, NULL, NULL)) >= 0) {
        server->connections++;
        canned_serve(server, fd);
        close(fd);
    }
    return NULL;
}

static inline void canned_start(struct canned_server *server, const struct canned_answer *answers)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memset(server, 0, sizeof(*server));
    server->answers = answers;
    ty_temporary_directory_create(&server->directory);
    snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/http", server->directory.path);
    snprintf(server->address, sizeof(server->address), "unix:%s", address.sun_path);
    server->listening = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(server->listening, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(server->listening, 8), 0);
    cr_assert_eq(pthread_create(&server->thread, NULL, canned_run, server), 0);
}

/* The client must have closed its connections. */
static inline void canned_stop(struct canned_server *server)
{
    shutdown(server->listening, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listening);
    ty_temporary_directory_remove(&server->directory);
}

/* Whether the request of that index was a GET of that path. */
static inline bool canned_was_asked(const struct canned_server *server, size_t index,
                                    const char *path)
{
    char line[4096];

    snprintf(line, sizeof(line), "GET %.4000s HTTP/1.1\r\n", path);
    return index < server->request_count &&
           strncmp(server->requests[index], line, strlen(line)) == 0;
}

#endif
