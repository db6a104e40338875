#include "tests/server/http_server_fixture.h"

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
