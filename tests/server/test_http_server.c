#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
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

static uint64_t count_of(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static bool path_is(const struct ty_http_request *request, const char *path)
{
    return request->path.length == strlen(path) &&
           memcmp(request->path.data, path, request->path.length) == 0;
}

static void answer_text(struct ty_http_exchange *exchange, const char *text)
{
    struct ty_buffer body = {0};

    ty_buffer_append_text(&body, text);
    ty_http_answer(exchange, 200, "text/plain", &body, NULL);
}

/* /hold waits for the test; /megabyte is 1 MiB; /none 204; the rest says what came in. */
static void handle(void *context, struct ty_http_exchange *exchange)
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

static void on_done(void *context)
{
    cr_assert_eq(context, &world);
    world.is_done = true;
}

static struct ty_http_options small_options(void)
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

static void start(const struct ty_http_options *options)
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
static void finish(void)
{
    for (unsigned i = 0; i < TURNS_MAX && uv_run(&world.loop, UV_RUN_NOWAIT) != 0; i++)
        poll(NULL, 0, 1);
    cr_assert(world.is_done, "the server did not finish");
    cr_assert_eq(uv_loop_close(&world.loop), 0, "a handle was left open");
}

static void stop(void)
{
    ty_http_server_close(world.server, on_done, &world);
    finish();
}

static struct client connect_client(void)
{
    struct client client = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};

    cr_assert_geq(client.fd, 0);
    cr_assert_eq(connect(client.fd, (struct sockaddr *)&world.address, sizeof(world.address)), 0);
    fcntl(client.fd, F_SETFL, O_NONBLOCK);
    return client;
}

static void disconnect(struct client *client)
{
    close(client->fd);
    ty_buffer_fini(&client->got);
}

/* Closes so that the server's side sees a reset. */
static void reset(struct client *client)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    disconnect(client);
}

static void turn(void)
{
    uv_run(&world.loop, UV_RUN_NOWAIT);
}

static void turn_a_few_times(void)
{
    for (unsigned i = 0; i < 5; i++) {
        turn();
        poll(NULL, 0, 1);
    }
}

/* Reads what there is; the text stays terminated. */
static void take(struct client *client)
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

static void turn_and_take(struct client *client)
{
    struct pollfd wait = {.fd = client->fd, .events = POLLIN};

    turn();
    poll(&wait, 1, 1);
    take(client);
}

static void send_bytes(struct client *client, const char *data, size_t length)
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

static void send_text(struct client *client, const char *text)
{
    send_bytes(client, text, strlen(text));
}

static void wait_for(struct client *client, const char *text)
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

static void wait_for_end(struct client *client)
{
    for (unsigned i = 0; i < TURNS_MAX && !client->is_eof; i++)
        turn_and_take(client);
    cr_assert(client->is_eof, "the server did not close; there was: %s", client->got.data);
    cr_assert(!client->is_reset, "the server reset the connection");
}

static void wait_until(const _Atomic uint64_t *counter, uint64_t value)
{
    for (unsigned i = 0; i < TURNS_MAX && count_of(counter) != value; i++) {
        turn();
        poll(NULL, 0, 1);
    }
    cr_assert_eq(count_of(counter), value);
}

static void wait_for_held(unsigned count)
{
    for (unsigned i = 0; i < TURNS_MAX && world.held_count != count; i++) {
        turn();
        poll(NULL, 0, 1);
    }
    cr_assert_eq(world.held_count, count);
}

static void forget(struct client *client)
{
    client->got.length = 0;
}

static unsigned count_text(const struct client *client, const char *text)
{
    unsigned count = 0;

    for (const char *at = client->got.data; at != NULL && (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: a\r\n"

/* If this fails, every request costs a new connection. */
Test(http_server, a_connection_serves_one_request_after_another)
{
    struct ty_http_options options = small_options();
    struct client client;

    start(&options);
    client = connect_client();
    send_text(&client, GET("/one?x=y"));
    wait_for(&client, "[/one|x=y|0]");
    cr_assert(strncmp(client.got.data, "HTTP/1.1 200 OK\r\nServer: tally\r\nDate: ", 38) == 0);
    cr_assert_not_null(strstr(client.got.data, "\r\nContent-Type: text/plain\r\n"));
    cr_assert_not_null(strstr(client.got.data, "\r\nContent-Length: 12\r\n\r\n["));
    cr_assert_null(strstr(client.got.data, "Connection:"));
    forget(&client);
    send_text(&client, POST("/two") "Content-Length: 3\r\n\r\nabc");
    wait_for(&client, "[/two||3]");
    send_text(&client, POST("/three") "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    turn_a_few_times();
    send_text(&client, "2\r\nde\r\n0\r\n\r\n");
    wait_for(&client, "[/three||5]");
    cr_assert_eq(count_of(&world.counters->requests), 3);
    cr_assert_eq(count_of(&world.counters->answers[2]), 3);
    cr_assert_eq(count_of(&world.counters->connections_accepted), 1);
    cr_assert_eq(count_of(&world.counters->connections_open), 1);
    disconnect(&client);
    wait_until(&world.counters->connections_open, 0);
    stop();
}

/* If this fails, a client that sends ahead takes one customer's answer for another's. */
Test(http_server, answers_leave_in_the_order_of_requests)
{
    struct ty_http_options options = small_options();
    struct client client;

    start(&options);
    client = connect_client();
    send_text(&client, GET("/hold") GET("/hold") GET("/third") GET("/hold") GET("/none"));
    wait_for_held(3);
    answer_text(world.held[2], "fourth.");
    answer_text(world.held[1], "second.");
    turn_a_few_times();
    take(&client);
    cr_assert_eq(client.got.length, 0);
    answer_text(world.held[0], "first.");
    wait_for(&client, "X-Extra: yes\r\n\r\n");
    cr_assert_lt(strstr(client.got.data, "first."), strstr(client.got.data, "second."));
    cr_assert_lt(strstr(client.got.data, "second."), strstr(client.got.data, "[/third"));
    cr_assert_lt(strstr(client.got.data, "[/third"), strstr(client.got.data, "fourth."));
    cr_assert_lt(strstr(client.got.data, "fourth."), strstr(client.got.data, " 204 No Content"));
    cr_assert_eq(count_text(&client, "Content-Length"), 4, "204 has none");
    disconnect(&client);
    stop();
}

/* If this fails, one client that only sends makes the server hold requests without end. */
Test(http_server, reading_stops_while_too_many_requests_wait)
{
    struct ty_http_options options = small_options();
    struct client client;

    options.pipeline_max = 4;
    start(&options);
    client = connect_client();
    for (unsigned i = 0; i < 20; i++)
        send_text(&client, GET("/hold"));
    wait_for_held(4);
    turn_a_few_times();
    cr_assert_eq(world.held_count, 4);
    for (unsigned i = 0; i < 20; i++) {
        wait_for_held(TY_MIN(i + 4, 20u));
        answer_text(world.held[i], "answer.");
    }
    while (count_text(&client, "answer.") < 20)
        turn_and_take(&client);
    disconnect(&client);
    stop();
}

/* If this fails, a client that does not read its answers makes the server run out of memory. */
Test(http_server, reading_stops_while_the_client_does_not_read)
{
    struct ty_http_options options = small_options();
    struct client client;
    unsigned handled;

    options.write_bytes_max = 1000;
    start(&options);
    client = connect_client();
    for (unsigned i = 0; i < 40; i++)
        send_text(&client, GET("/megabyte"));
    /* The sockets' own buffers grow for a while; then nothing must move any more. */
    do {
        handled = world.handled;
        turn_a_few_times();
        turn_a_few_times();
    } while (world.handled != handled);
    cr_assert_lt(handled, 40, "only what the sockets' own buffers hold, and one answer more");
    for (unsigned i = 0; i < TURNS_MAX && client.got.length < (40u << 20); i++)
        turn_and_take(&client);
    cr_assert_geq(client.got.length, 40u << 20);
    cr_assert_eq(world.handled, 40);
    disconnect(&client);
    stop();
}

/* If this fails, HEAD answers break the framing of what follows on the connection. */
Test(http_server, head_is_answered_like_get_without_the_body)
{
    struct ty_http_options options = small_options();
    struct client client;

    start(&options);
    client = connect_client();
    send_text(&client, "HEAD /megabyte HTTP/1.1\r\nHost: a\r\n\r\n" GET("/next"));
    wait_for(&client, "[/next||0]");
    cr_assert_not_null(strstr(client.got.data, "Content-Length: 1048576\r\n\r\nHTTP/1.1 200 OK"));
    disconnect(&client);
    stop();
}

/* If this fails, curl waits a second before each large upload, or sends one that is refused. */
Test(http_server, a_body_is_asked_for_only_when_it_will_be_read)
{
    struct ty_http_options options = small_options();
    struct client client;

    start(&options);
    client = connect_client();
    send_text(&client,
              GET("/hold") POST("/up") "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    wait_for_held(1);
    turn_a_few_times();
    take(&client);
    cr_assert_eq(client.got.length, 0, "the 100 must wait for the answer before it");
    answer_text(world.held[0], "held.");
    wait_for(&client, "HTTP/1.1 100 Continue\r\n\r\n");
    cr_assert_not_null(strstr(client.got.data, "held.HTTP/1.1 100"));
    send_text(&client, "abc");
    wait_for(&client, "[/up||3]");
    forget(&client);
    send_text(&client, POST("/sent") "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
    wait_for(&client, "[/sent||3]");
    cr_assert_null(strstr(client.got.data, "100 Continue"), "the body was there already");
    forget(&client);
    send_text(&client, POST("/big") "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
    wait_for_end(&client);
    cr_assert_not_null(strstr(client.got.data, "HTTP/1.1 413 Content Too Large\r\n"));
    cr_assert_null(strstr(client.got.data, "100 Continue"));
    disconnect(&client);
    stop();
}

/* If this fails, a bad request gets no reason, the wrong one, or the connection goes on. */
Test(http_server, what_the_layer_refuses_gets_a_problem_and_a_close)
{
    static const struct {
        const char *request, *status;
        enum ty_http_fault_kind kind;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request", TY_HTTP_FAULT_MALFORMED},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request", TY_HTTP_FAULT_MALFORMED},
        {POST("/") "Content-Length: 1001\r\n\r\n", "413 Content Too Large",
         TY_HTTP_FAULT_BODY_SIZE},
        {POST("/") "Transfer-Encoding: chunked\r\n\r\n3e9\r\n", "413 Content Too Large",
         TY_HTTP_FAULT_BODY_SIZE},
        {"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "414 URI Too Long", TY_HTTP_FAULT_URL_SIZE},
        {POST("/") "Expect: more\r\n\r\n", "417 Expectation Failed", TY_HTTP_FAULT_EXPECTATION},
        {"GET / HTTP/1.1\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n",
         "431 Request Header Fields Too Large", TY_HTTP_FAULT_HEADER_SIZE},
        {POST("/") "Transfer-Encoding: gzip\r\n\r\n", "501 Not Implemented", TY_HTTP_FAULT_CODING},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported",
         TY_HTTP_FAULT_VERSION},
    };
    struct ty_http_options options = small_options();

    start(&options);
    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct client client = connect_client();
        uint64_t before = count_of(&world.counters->faults[cases[i].kind]);
        char line[64];

        send_text(&client, GET("/before"));
        send_text(&client, cases[i].request);
        send_text(&client, GET("/after"));
        wait_for_end(&client);
        snprintf(line, sizeof(line), "]HTTP/1.1 %s\r\n", cases[i].status);
        cr_assert_not_null(strstr(client.got.data, line), "case %zu: %s", i, client.got.data);
        cr_assert_not_null(strstr(client.got.data, "\r\nConnection: close\r\n"));
        cr_assert_not_null(strstr(client.got.data, "Content-Type: application/problem+json\r\n"));
        cr_assert_not_null(strstr(client.got.data, "{\"type\":\"about:blank\",\"title\":"));
        cr_assert_null(strstr(client.got.data, "/after"));
        cr_assert_eq(count_of(&world.counters->faults[cases[i].kind]), before + 1);
        disconnect(&client);
    }
    stop();
}

/* If this fails, a client that is still sending sees a reset where it should see the reason. */
Test(http_server, the_reason_arrives_while_the_client_is_still_sending)
{
    static const char head[] = POST("/") "Content-Length: 99999999\r\n\r\n";
    struct ty_http_options options = small_options();
    struct client client;
    static char flood[3 << 20];

    start(&options);
    client = connect_client();
    send_text(&client, head);
    send_bytes(&client, flood, sizeof(flood));
    wait_for(&client, "HTTP/1.1 413 ");
    wait_for_end(&client);
    wait_until(&world.counters->bytes_in, sizeof(flood) + strlen(head));
    cr_assert_eq(world.handled, 0);
    disconnect(&client);
    wait_until(&world.counters->connections_open, 0);
    stop();
}

/* If this fails, a few slow clients can hold all connections. */
Test(http_server, slow_senders_are_told_and_closed)
{
    static const struct {
        const char *part, *answer; /* NULL: closed without an answer */
    } cases[] = {
        {"GET / HTTP/1.1\r\nHo", "HTTP/1.1 408 Request Timeout\r\n"},
        {POST("/") "Content-Length: 10\r\n\r\nabc", "HTTP/1.1 408 Request Timeout\r\n"},
        {"", NULL},
        {"\r\n", NULL},
        {GET("/fine"), NULL},
    };
    struct ty_http_options options = small_options();
    struct client clients[TY_COUNT_OF(cases)];

    options.header_timeout_ms = 20;
    options.body_timeout_ms = 25;
    options.idle_timeout_ms = 30;
    start(&options);
    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        clients[i] = connect_client();
        send_text(&clients[i], cases[i].part);
    }
    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        wait_for_end(&clients[i]);
        if (cases[i].answer != NULL)
            cr_assert(strncmp(clients[i].got.data, cases[i].answer, strlen(cases[i].answer)) == 0,
                      "case %zu: %s", i, clients[i].got.data);
        else
            cr_assert_null(strstr(clients[i].got.data, "408"), "case %zu", i);
        disconnect(&clients[i]);
    }
    cr_assert_eq(count_of(&world.counters->faults[TY_HTTP_FAULT_TIMEOUT]), 2);
    stop();
}

/* If this fails, a client is cut off for the time that the server itself took. */
Test(http_server, no_time_limit_runs_while_the_handler_works)
{
    struct ty_http_options options = small_options();
    struct client client;

    options.header_timeout_ms = options.body_timeout_ms = options.idle_timeout_ms = 10;
    start(&options);
    client = connect_client();
    send_text(&client, GET("/hold"));
    wait_for_held(1);
    poll(NULL, 0, 30);
    turn_a_few_times();
    answer_text(world.held[0], "at last.");
    wait_for(&client, "at last.");
    disconnect(&client);
    stop();
}

/* If this fails, clients that never read hold answers in memory for ever. */
Test(http_server, a_client_that_does_not_read_is_closed)
{
    struct ty_http_options options = small_options();
    struct client client;

    options.write_timeout_ms = 20;
    start(&options);
    client = connect_client();
    for (unsigned i = 0; i < 20; i++)
        send_text(&client, GET("/megabyte"));
    wait_until(&world.counters->connections_open, 0);
    disconnect(&client);
    stop();
}

/* If this fails, a client that goes away takes the server with it, or leaks. */
Test(http_server, clients_may_die_at_any_moment)
{
    struct ty_http_options options = small_options();
    struct client client;

    start(&options);
    client = connect_client(); /* in a head */
    send_text(&client, "GET / HT");
    turn_a_few_times();
    reset(&client);
    client = connect_client(); /* in a body */
    send_text(&client, POST("/") "Content-Length: 10\r\n\r\nabc");
    turn_a_few_times();
    reset(&client);
    client = connect_client(); /* while a body is asked for */
    send_text(&client, POST("/") "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n");
    turn_a_few_times();
    reset(&client);
    client = connect_client(); /* in an answer */
    for (unsigned i = 0; i < 20; i++)
        send_text(&client, GET("/megabyte"));
    turn_a_few_times();
    reset(&client);
    client = connect_client(); /* while the handler works */
    send_text(&client, GET("/hold") GET("/one") GET("/hold"));
    wait_for_held(2);
    reset(&client);
    wait_until(&world.counters->connections_open, 0);
    cr_assert_eq(count_of(&world.counters->requests_waiting), 2);
    answer_text(world.held[1], "nobody hears this");
    ty_http_problem(world.held[0], 500, "nor this");
    cr_assert_eq(count_of(&world.counters->answers_dropped), 2);
    cr_assert_eq(count_of(&world.counters->requests_waiting), 0);
    cr_assert_eq(count_of(&world.counters->body_memory), 0);
    stop();
}

/* If this fails, `printf ... | nc` gets no answer, or a cut request is taken for a whole one. */
Test(http_server, a_client_may_close_its_side_first)
{
    struct ty_http_options options = small_options();
    struct client client;

    start(&options);
    client = connect_client();
    send_text(&client, GET("/hold"));
    shutdown(client.fd, SHUT_WR);
    wait_for_held(1);
    turn_a_few_times();
    answer_text(world.held[0], "still here.");
    wait_for_end(&client);
    cr_assert_not_null(strstr(client.got.data, "still here."));
    disconnect(&client);
    client = connect_client();
    send_text(&client, POST("/") "Content-Length: 10\r\n\r\nabc");
    shutdown(client.fd, SHUT_WR);
    wait_for_end(&client);
    cr_assert_not_null(strstr(client.got.data, "HTTP/1.1 400 Bad Request"));
    cr_assert_eq(count_of(&world.counters->faults[TY_HTTP_FAULT_TRUNCATED]), 1);
    cr_assert_eq(world.handled, 1);
    disconnect(&client);
    stop();
}

/* If this fails, old clients wait for a close that never comes, or are closed when they need not.
 */
Test(http_server, the_connection_ends_when_the_client_says_so)
{
    static const struct {
        const char *request, *word;
        bool closes;
    } cases[] = {
        {"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "Connection: close", true},
        {"GET /x HTTP/1.0\r\n\r\n", "Connection: close", true},
        {"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "Connection: keep-alive", false},
    };
    struct ty_http_options options = small_options();

    start(&options);
    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct client client = connect_client();

        send_text(&client, cases[i].request);
        send_text(&client, GET("/after"));
        if (cases[i].closes)
            wait_for_end(&client);
        else
            wait_for(&client, "[/after");
        cr_assert_not_null(strstr(client.got.data, cases[i].word), "%s", client.got.data);
        cr_assert_eq(count_text(&client, "[/after"), cases[i].closes ? 0 : 1);
        disconnect(&client);
    }
    stop();
}

/* If this fails, a restart loses requests in flight, or never ends. */
Test(http_server, draining_finishes_what_is_in_flight)
{
    struct ty_http_options options = small_options();
    struct client idle, busy, half, late;

    start(&options);
    idle = connect_client();
    send_text(&idle, GET("/x"));
    wait_for(&idle, "[/x||0]");
    busy = connect_client();
    send_text(&busy, GET("/hold"));
    half = connect_client();
    send_text(&half, POST("/half") "Content-Length: 4\r\n\r\nab");
    wait_for_held(1);
    wait_until(&world.counters->connections_open, 3);
    turn_a_few_times();
    ty_http_server_drain(world.server, on_done, &world);
    wait_for_end(&idle);
    late.fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_neq(connect(late.fd, (struct sockaddr *)&world.address, sizeof(world.address)), 0);
    close(late.fd);
    send_text(&half, "cd");
    wait_for(&half, "[/half||4]");
    cr_assert_not_null(strstr(half.got.data, "Connection: close"));
    cr_assert(!world.is_done);
    answer_text(world.held[0], "the last.");
    wait_for(&busy, "the last.");
    cr_assert_not_null(strstr(busy.got.data, "Connection: close"));
    wait_for_end(&busy);
    disconnect(&idle);
    disconnect(&busy);
    disconnect(&half);
    finish();
}

/* If this fails, a drain ends while a handler still works for a client that has gone. */
Test(http_server, draining_waits_for_the_handler_even_without_the_client)
{
    struct ty_http_options options = small_options();
    struct client client;

    start(&options);
    client = connect_client();
    send_text(&client, GET("/hold"));
    wait_for_held(1);
    reset(&client);
    wait_until(&world.counters->connections_open, 0);
    ty_http_server_drain(world.server, on_done, &world);
    turn_a_few_times();
    cr_assert(!world.is_done);
    answer_text(world.held[0], "dropped");
    finish();
}

/* If this fails, a hard stop leaves a handler with an exchange that it must not touch. */
Test(http_server, closing_leaves_exchanges_to_their_answers)
{
    struct ty_http_options options = small_options();
    struct client client;

    start(&options);
    client = connect_client();
    send_text(&client, POST("/hold") "Content-Length: 3\r\n\r\nabc");
    wait_for_held(1);
    ty_http_server_drain(world.server, on_done, &world);
    ty_http_server_close(world.server, NULL, NULL);
    finish();
    cr_assert_eq(ty_http_exchange_request(world.held[0])->body.length, 3);
    cr_assert(strncmp(ty_http_exchange_peer(world.held[0]), "127.0.0.1:", 10) == 0);
    answer_text(world.held[0], "dropped");
    disconnect(&client);
}

/* If this fails, a crowd of clients uses up the process' file descriptors. */
Test(http_server, connections_over_the_limit_are_told_to_come_back)
{
    struct ty_http_options options = small_options();
    struct client first, second, third;

    options.connections_max = 1;
    start(&options);
    first = connect_client();
    send_text(&first, GET("/x"));
    wait_for(&first, "[/x||0]");
    second = connect_client();
    send_text(&second, GET("/y"));
    wait_for_end(&second);
    cr_assert_not_null(strstr(second.got.data, "HTTP/1.1 503 Service Unavailable\r\n"));
    cr_assert_not_null(strstr(second.got.data, "Retry-After: 1\r\n"));
    disconnect(&first);
    disconnect(&second);
    wait_until(&world.counters->connections_open, 0);
    third = connect_client();
    send_text(&third, GET("/z"));
    wait_for(&third, "[/z||0]");
    cr_assert_eq(count_of(&world.counters->connections_rejected), 1);
    disconnect(&third);
    stop();
}

/* If this fails, running out of file descriptors burns a processor, or is never recovered from. */
Test(http_server, running_out_of_descriptors_pauses_accepting)
{
    struct ty_http_options options = small_options();
    struct rlimit few = {.rlim_cur = 64, .rlim_max = 64};
    int held[64];
    size_t count = 0;
    struct client client;

    start(&options);
    client = connect_client();
    setrlimit(RLIMIT_NOFILE, &few);
    while ((held[count] = dup(client.fd)) >= 0)
        count++;
    for (unsigned i = 0; i < 20; i++)
        turn();
    cr_assert_eq(count_of(&world.counters->accept_errors), 1);
    while (count > 0)
        close(held[--count]);
    send_text(&client, GET("/x"));
    wait_for(&client, "[/x||0]");
    disconnect(&client);
    stop();
}

/* If this fails, many large uploads at once take all memory, or wait for each other for ever. */
Test(http_server, body_memory_is_bounded_and_all_uploads_end)
{
    enum { CLIENTS = 6, BODY = 600000, PIECE = 100000 };
    struct ty_http_options options = small_options();
    struct client clients[CLIENTS];
    static char piece[PIECE];
    char head[96];
    size_t sent[CLIENTS] = {0};
    uint64_t peak = 0;

    options.limits.body_bytes_max = BODY;
    options.body_memory_max = 200000;
    start(&options);
    snprintf(head, sizeof(head), POST("/up") "Content-Length: %d\r\n\r\n", BODY);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = connect_client();
        send_text(&clients[i], head);
    }
    for (unsigned round = 0; round < TURNS_MAX && world.handled < CLIENTS; round++) {
        for (unsigned i = 0; i < CLIENTS; i++) {
            size_t length = TY_MIN((size_t)PIECE, BODY - sent[i]);
            ssize_t took = length == 0 ? 0 : send(clients[i].fd, piece, length, MSG_DONTWAIT);

            sent[i] += took > 0 ? (size_t)took : 0;
            peak = TY_MAX(peak, count_of(&world.counters->body_memory));
        }
        turn();
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        wait_for(&clients[i], "[/up||600000]");
        disconnect(&clients[i]);
    }
    cr_assert_leq(peak, 200000 + CLIENTS * (2u << 16) + BODY + 100);
    cr_assert_gt(count_of(&world.counters->reads_paused), 0);
    stop();
}

/* If this fails, an out-of-memory answer is sent half, as if it were whole. */
Test(http_server, a_broken_body_becomes_a_503)
{
    struct ty_http_options options = small_options();
    struct ty_buffer broken = {.failed = true};
    struct client client;

    start(&options);
    client = connect_client();
    send_text(&client, GET("/hold"));
    wait_for_held(1);
    ty_http_answer(world.held[0], 200, "text/plain", &broken, NULL);
    wait_for(&client, "HTTP/1.1 503 Service Unavailable\r\n");
    wait_for(&client, "Content-Length: 0\r\n");
    disconnect(&client);
    stop();
}

/* If this fails, tallyd says something useless about an address that it cannot use. */
Test(http_server, addresses_are_checked_and_explained)
{
    static const char *const wrong[] = {
        "",       "127.0.0.1", "127.0.0.1:", ":80",   "127.0.0.1:x",   "127.0.0.1:99999",
        "::1:80", "[::1]",     "[::1:80",    "[]:80", "127.0.0.1:80 ", "256.256.256.256.:80"};
    char bound[TY_HTTP_ADDRESS_BYTES], again[TY_HTTP_ADDRESS_BYTES], error[256];
    int fd, other;

    for (size_t i = 0; i < TY_COUNT_OF(wrong); i++) {
        error[0] = '\0';
        cr_assert(!ty_http_listen(wrong[i], &fd, bound, error, sizeof(error)), "%s", wrong[i]);
        cr_assert_not_null(strstr(error, wrong[i]), "%s", error);
    }
    cr_assert(ty_http_listen("127.0.0.1:0", &fd, bound, error, sizeof(error)), "%s", error);
    cr_assert(strncmp(bound, "127.0.0.1:", 10) == 0 && strcmp(bound, "127.0.0.1:0") != 0);
    cr_assert(!ty_http_listen(bound, &other, again, error, sizeof(error)));
    cr_assert_not_null(strstr(error, "in use"), "%s", error);
    close(fd);
}

/* If this fails, an option forgotten at zero turns a limit into a refusal of everything. */
Test(http_server, options_of_zero_are_refused)
{
    struct ty_http_options options = small_options();
    struct ty_http_server *server;
    char error[256];
    uv_loop_t loop;
    int fd;

    options.pipeline_max = 0;
    uv_loop_init(&loop);
    cr_assert(ty_http_listen("127.0.0.1:0", &fd, world.bound, error, sizeof(error)));
    cr_assert_eq(ty_http_server_open(&loop, fd, &options, handle, NULL, &server), UV_EINVAL);
    cr_assert_eq(fcntl(fd, F_GETFD), -1, "the socket was taken");
    cr_assert_eq(uv_loop_close(&loop), 0);
}
