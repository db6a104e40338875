#include "tests/server/http_server_fixture.h"

/* If this fails, a client that goes away takes the server with it, or leaks. */
Test(http_server_ends, clients_may_die_at_any_moment)
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
Test(http_server_ends, a_client_may_close_its_side_first)
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
Test(http_server_ends, the_connection_ends_when_the_client_says_so)
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
Test(http_server_ends, draining_finishes_what_is_in_flight)
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
Test(http_server_ends, draining_waits_for_the_handler_even_without_the_client)
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
Test(http_server_ends, closing_leaves_exchanges_to_their_answers)
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
