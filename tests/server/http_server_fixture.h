/*
 * http_server_fixture.h: the HTTP server on a loop that the test turns, and its clients.
 */
#ifndef TY_TESTS_SERVER_HTTP_SERVER_FIXTURE_H
#define TY_TESTS_SERVER_HTTP_SERVER_FIXTURE_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http_server.h"

/*
 * Server and clients share this thread: every wait of a client turns the server's loop. So each
 * test says exactly when what is answered, and nothing depends on a scheduler.
 */
enum { HELD_MAX = 64, TURNS_MAX = 10000 };

static struct {
    uv_loop_t loop;
    struct ty_http_server *server;
    const struct ty_http_counters *counters;
    struct ty_http_exchange *held[HELD_MAX];
    unsigned held_count;
    unsigned handled;
    struct sockaddr_in address;
    char bound[TY_HTTP_ADDRESS_BYTES];
    bool is_done;
} world;

struct client {
    int fd;
    struct ty_buffer got;
    bool is_eof, is_reset;
};

static inline uint64_t count_of(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline bool path_is(const struct ty_http_request *request, const char *path)
{
    return request->path.length == strlen(path) &&
           memcmp(request->path.data, path, request->path.length) == 0;
}

static inline void answer_text(struct ty_http_exchange *exchange, const char *text)
{
    struct ty_buffer body = {0};

    ty_buffer_append_text(&body, text);
    ty_http_answer(exchange, 200, "text/plain", &body, NULL);
}

/* /hold waits for the test; /megabyte is 1 MiB; /none 204; the rest says what came in. */
static inline void handle(void *context, struct ty_http_exchange *exchange)
{
    const struct ty_http_request *request = ty_http_exchange_request(exchange);
    struct ty_buffer body = {0};

    cr_assert_eq(context, &world);
    world.handled++;
    if (path_is(request, "/hold")) {
        world.held[world.held_count++] = exchange;
        return;
    }
    if (path_is(request, "/none")) {
        ty_http_answer(exchange, 204, NULL, NULL, "X-Extra: yes\r\n");
        return;
    }
    if (path_is(request, "/megabyte")) {
        memset(ty_buffer_reserve(&body, 1 << 20), 'm', 1 << 20);
        body.length = 1 << 20;
    } else {
        ty_buffer_append_format(&body, "[%.*s|%.*s|%zu]", (int)request->path.length,
                                request->path.data, (int)request->query.length, request->query.data,
                                request->body.length);
    }
    ty_http_answer(exchange, 200, "text/plain", &body, NULL);
}

static inline void on_done(void *context)
{
    cr_assert_eq(context, &world);
    world.is_done = true;
}

static inline struct ty_http_options small_options(void)
{
    struct ty_http_options options = ty_http_options_default();

    options.limits = (struct ty_http_limits){
        .url_bytes_max = 64,
        .header_bytes_max = 512,
        .header_count_max = 8,
        .body_bytes_max = 1000,
    };
    return options;
}

static inline void start(const struct ty_http_options *options)
{
    char error[256];
    const char *port;
    int fd;

    cr_assert(ty_http_listen("127.0.0.1:0", &fd, world.bound, error, sizeof(error)), "%s", error);
    port = strrchr(world.bound, ':');
    cr_assert_not_null(port);
    world.address = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(port + 1)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    uv_loop_init(&world.loop);
    cr_assert_eq(ty_http_server_open(&world.loop, fd, options, handle, &world, &world.server), 0);
    world.counters = ty_http_server_counters(world.server);
}

/* Turns the loop until it has nothing left, which fails if a handle was forgotten. */
static inline void finish(void)
{
    for (unsigned i = 0; i < TURNS_MAX && uv_run(&world.loop, UV_RUN_NOWAIT) != 0; i++)
        poll(NULL, 0, 1);
    cr_assert(world.is_done, "the server did not finish");
    cr_assert_eq(uv_loop_close(&world.loop), 0, "a handle was left open");
}

static inline void stop(void)
{
    ty_http_server_close(world.server, on_done, &world);
    finish();
}

static inline struct client connect_client(void)
{
    struct client client = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};

    cr_assert_geq(client.fd, 0);
    cr_assert_eq(connect(client.fd, (struct sockaddr *)&world.address, sizeof(world.address)), 0);
    fcntl(client.fd, F_SETFL, O_NONBLOCK);
    return client;
}

static inline void disconnect(struct client *client)
{
    close(client->fd);
    ty_buffer_fini(&client->got);
}

/* Closes so that the server's side sees a reset. */
static inline void reset(struct client *client)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    disconnect(client);
}

static inline void turn(void)
{
    uv_run(&world.loop, UV_RUN_NOWAIT);
}

static inline void turn_a_few_times(void)
{
    for (unsigned i = 0; i < 5; i++) {
        turn();
        poll(NULL, 0, 1);
    }
}

/* Reads what there is; the text stays terminated. */
static inline void take(struct client *client)
{
    char *room = ty_buffer_reserve(&client->got, 65537);
    ssize_t length = recv(client->fd, room, 65536, MSG_DONTWAIT);

    if (length > 0)
        client->got.length += (size_t)length;
    else if (length == 0)
        client->is_eof = true;
    else if (errno != EAGAIN)
        client->is_eof = client->is_reset = true;
    client->got.data[client->got.length] = '\0';
}

static inline void turn_and_take(struct client *client)
{
    struct pollfd wait = {.fd = client->fd, .events = POLLIN};

    turn();
    poll(&wait, 1, 1);
    take(client);
}

static inline void send_bytes(struct client *client, const char *data, size_t length)
{
    size_t at = 0;

    for (unsigned i = 0; i < TURNS_MAX && at < length; i++) {
        ssize_t sent = send(client->fd, data + at, length - at, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent > 0)
            at += (size_t)sent;
        else if (errno != EAGAIN)
            return;
        turn();
    }
}

static inline void send_text(struct client *client, const char *text)
{
    send_bytes(client, text, strlen(text));
}

static inline void wait_for(struct client *client, const char *text)
{
    take(client);
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        if (strstr(client->got.data, text) != NULL)
            return;
        cr_assert(!client->is_eof, "closed before \"%s\" came; there was: %s", text,
                  client->got.data);
        turn_and_take(client);
    }
    cr_assert(false, "\"%s\" did not come; there was: %s", text, client->got.data);
}

static inline void wait_for_end(struct client *client)
{
    for (unsigned i = 0; i < TURNS_MAX && !client->is_eof; i++)
        turn_and_take(client);
    cr_assert(client->is_eof, "the server did not close; there was: %s", client->got.data);
    cr_assert(!client->is_reset, "the server reset the connection");
}

static inline void wait_until(const _Atomic uint64_t *counter, uint64_t value)
{
    for (unsigned i = 0; i < TURNS_MAX && count_of(counter) != value; i++) {
        turn();
        poll(NULL, 0, 1);
    }
    cr_assert_eq(count_of(counter), value);
}

static inline void wait_for_held(unsigned count)
{
    for (unsigned i = 0; i < TURNS_MAX && world.held_count != count; i++) {
        turn();
        poll(NULL, 0, 1);
    }
    cr_assert_eq(world.held_count, count);
}

static inline void forget(struct client *client)
{
    client->got.length = 0;
}

static inline unsigned count_text(const struct client *client, const char *text)
{
    unsigned count = 0;

    for (const char *at = client->got.data; at != NULL && (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: a\r\n"

#endif
