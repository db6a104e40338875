#include "tests/server/forward_server_fixture.h"

TestSuite(forward_server, .init = init, .fini = fini);

/* A fast producer would fill the memory. */
Test(forward_server, stops_reading_while_too_much_of_a_connection_is_undecided)
{
    enum { MESSAGES = 400, EVENTS = 250 };
    struct ty_buffer sent = {0};
    uint64_t most;
    int fd;

    start_small();
    hold_commits();
    fd = connect_producer();
    for (unsigned i = 0; i < MESSAGES; i++)
        append_message(&sent, i * EVENTS, EVENTS, i + 1);
    send_all(fd, sent.data, 64 * KIB);
    await_held_commit();
    AWAIT(reads_paused, 1);
    most = COUNT(bytes_in);
    /* What is sent from now on stays with the system. */
    cr_assert_eq(send(fd, sent.data + 64 * KIB, 64 * KIB, MSG_DONTWAIT), (ssize_t)(64 * KIB));
    cr_assert_eq(COUNT(bytes_in), most);
    cr_assert(COUNT(pending_bytes) >= 64 * KIB);
    cr_assert(!has_arrived(fd), "an acknowledgement came before the commit");
    cr_assert_eq(accepted(), 0);
    let_commits_go();
    send_all(fd, sent.data + 128 * KIB, sent.length - 128 * KIB);
    for (unsigned i = 0; i < MESSAGES; i++)
        take_ack(fd, i + 1);
    cr_assert_eq(accepted(), MESSAGES * EVENTS);
    cr_assert_eq(COUNT(pending_bytes), 0);
    close(fd);
    ty_buffer_fini(&sent);
}

/* Many producers together would fill the memory that one may not. */
Test(forward_server, stops_reading_while_too_much_of_all_connections_is_undecided)
{
    struct ty_forward_options options = small_options();
    int first, second;

    options.memory_bytes_max = 16 * KIB;
    show_database();
    start(&options);
    hold_commits();
    first = connect_producer();
    send_message(first, 0, 300, 1);
    await_held_commit();
    AWAIT(messages[TY_FORWARD_PACKED], 1);
    second = connect_producer();
    send_message(second, 1000, 300, 2);
    AWAIT(connections_accepted, 2);
    cr_assert_eq(COUNT(messages[TY_FORWARD_PACKED]), 1);
    let_commits_go();
    take_ack(first, 1);
    take_ack(second, 2);
    cr_assert_eq(accepted(), 600);
    close(first);
    close(second);
}

/* Small messages that inflate to large ones would get around the bounds. */
Test(forward_server, takes_compressed_messages_one_after_the_other_when_they_are_large)
{
    enum { MESSAGES = 60, EVENTS = 2000 };
    struct ty_buffer sent = {0};
    int fd;

    start_small();
    hold_commits();
    fd = connect_producer();
    for (unsigned i = 0; i < MESSAGES; i++)
        append_compressed(&sent, i * EVENTS, EVENTS, i + 1);
    send_buffer(fd, &sent);
    await_held_commit();
    AWAIT(pending_bytes, (size_t)EVENTS * ENTRY_BYTES);
    cr_assert_eq(COUNT(messages[TY_FORWARD_COMPRESSED]), 1, "more than one at once");
    shutdown(fd, SHUT_WR);
    let_commits_go();
    for (unsigned i = 0; i < MESSAGES; i++)
        take_ack(fd, i + 1);
    take_end(fd);
    cr_assert_eq(accepted(), MESSAGES * EVENTS);
}

/* A producer that never reads would make the server collect acknowledgements for ever. */
Test(forward_server, stops_reading_while_its_acknowledgements_are_not_read)
{
    static char chunk[256 << 10];
    enum { MESSAGES = 200 };
    struct ty_buffer message = {0};
    size_t sent = 0, total, expected;
    int fd;
    ssize_t got;

    start_small();
    fd = connect_producer();
    memset(chunk, 'c', sizeof(chunk));
    ty_buffer_append(&message,
                     "\x93\xa3tag\x90\x81\xa5"
                     "chunk\xdb",
                     14);
    append_be32(&message, sizeof(chunk));
    ty_buffer_append(&message, chunk, sizeof(chunk));
    total = message.length * MESSAGES;
    expected = (size_t)MESSAGES * (5 + 5 + sizeof(chunk));
    /* Until the server reads no more, and the system has no room either. */
    while (COUNT(reads_paused) == 0 && sent < total) {
        size_t at = sent % message.length;

        got = send(fd, message.data + at, message.length - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += got > 0 ? (size_t)got : 0;
    }
    cr_assert(sent < total, "all was read though nothing was taken");
    /* From now on it takes what comes, while it sends the rest. */
    for (size_t received = 0; received < expected;) {
        size_t at = sent % message.length;
        struct pollfd poll_fd = {.fd = fd, .events = sent < total ? POLLIN | POLLOUT : POLLIN};

        cr_assert_eq(poll(&poll_fd, 1, WAIT_SECONDS * 1000), 1);
        if (poll_fd.revents & POLLOUT) {
            got = send(fd, message.data + at, message.length - at, MSG_DONTWAIT | MSG_NOSIGNAL);
            sent += got > 0 ? (size_t)got : 0;
        }
        if (poll_fd.revents & POLLIN) {
            got = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
            cr_assert(got > 0, "after %zu of %zu bytes: %s", received, expected, strerror(errno));
            received += (size_t)got;
        }
    }
    cr_assert_eq(COUNT(acks), MESSAGES);
    close(fd);
    ty_buffer_fini(&message);
}
