#include <sys/resource.h>

#include "tests/server/http_server_fixture.h"

/* If this fails, one client that only sends makes the server hold requests without end. */
Test(http_server_limits, reading_stops_while_too_many_requests_wait)
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
Test(http_server_limits, reading_stops_while_the_client_does_not_read)
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

/* If this fails, a bad request gets no reason, the wrong one, or the connection goes on. */
Test(http_server_limits, what_the_layer_refuses_gets_a_problem_and_a_close)
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
Test(http_server_limits, the_reason_arrives_while_the_client_is_still_sending)
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
Test(http_server_limits, slow_senders_are_told_and_closed)
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
Test(http_server_limits, no_time_limit_runs_while_the_handler_works)
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
Test(http_server_limits, a_client_that_does_not_read_is_closed)
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

/* If this fails, a crowd of clients uses up the process' file descriptors. */
Test(http_server_limits, connections_over_the_limit_are_told_to_come_back)
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
Test(http_server_limits, running_out_of_descriptors_pauses_accepting)
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
Test(http_server_limits, body_memory_is_bounded_and_all_uploads_end)
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
