#include "tests/server/forward_server_fixture.h"

TestSuite(forward_server_ends, .init = init, .fini = fini);

/* --- Failures --- */

/* What has no chunk is not sent again by its producer, who has gone. */
Test(forward_server_ends, tries_again_what_the_database_cannot_take_now)
{
    int acknowledged, gone;

    start_small();
    fail_puts(ENOSPC, 3);
    gone = connect_producer();
    send_message(gone, 0, 100, 0);
    close(gone);
    acknowledged = connect_producer();
    send_message(acknowledged, 1000, 100, 7);
    take_ack(acknowledged, 7);
    AWAIT(messages[TY_FORWARD_PACKED], 2);
    shutdown(acknowledged, SHUT_WR);
    take_end(acknowledged);
    stop();
    cr_assert_eq(accepted(), 200);
}

/* Rejects that could not be kept would be lost, since their producer takes the acknowledgement for
 * the end of it. */
Test(forward_server_ends, tries_again_to_keep_rejects)
{
    struct ty_buffer message = {0};
    int fd;

    start_small();
    fail_puts(ENOSPC, 2);
    fd = connect_producer();
    append_packed(&message, "\x92\x01\x80", 3, true);
    append_option(&message, 9, false);
    send_buffer(fd, &message);
    take_ack(fd, 9);
    cr_assert_eq(atomic_load(&ty_shard_stats(ty_database_shard(world.database, 0))->rejects_kept),
                 1);
    cr_assert(COUNT(retries) >= 1);
    close(fd);
}

/* An acknowledgement would be a lie, and one of a later chunk would hide that this one is missing.
 */
Test(forward_server_ends, closes_without_a_word_when_the_outcome_is_unknown)
{
    int fd;

    start_small();
    pthread_mutex_lock(&world.lock);
    world.commit_is_unknown = true;
    pthread_mutex_unlock(&world.lock);
    fd = connect_producer();
    send_message(fd, 0, 10, 0);
    take_end(fd);
    cr_assert_eq(COUNT(records_dropped), 10);
    fd = connect_producer();
    send_message(fd, 0, 10, 1);
    take_end(fd);
    cr_assert_eq(COUNT(records_dropped), 10, "those are sent again");
    cr_assert_eq(COUNT(acks), 0);
}

/* A bomb of a few kilobytes would take gigabytes. */
Test(forward_server_ends, refuses_a_message_that_inflates_to_more_than_is_allowed)
{
    struct ty_buffer sent = {0};
    int fd;

    start_small();
    fd = connect_producer();
    append_message(&sent, 0, 1, 1);
    append_compressed(&sent, 1000, 20000, 2);
    append_message(&sent, 1, 1, 3);
    send_buffer(fd, &sent);
    take_ack(fd, 1);
    take_end(fd);
    cr_assert_eq(COUNT(broken_streams), 1);
    cr_assert_eq(accepted(), 1);
}

/* --- Beginnings and ends --- */

/* Descriptors and memory would run out. */
Test(forward_server_ends, closes_connections_over_the_limit_at_once)
{
    struct ty_forward_options options = small_options();
    int first, second;

    options.connections_max = 1;
    show_database();
    start(&options);
    first = connect_producer();
    send_message(first, 0, 1, 1);
    take_ack(first, 1);
    second = connect_producer();
    take_end(second);
    cr_assert_eq(COUNT(connections_rejected), 1);
    close(first);
}

/* Producers that connect while the server recovers would get errors, or lose data. */
Test(forward_server_ends, reads_when_the_database_has_been_recovered)
{
    struct ty_forward_options options = small_options();
    int fd;

    start(&options);
    fd = connect_producer();
    send_message(fd, 0, 5, 1);
    AWAIT(connections_accepted, 1);
    cr_assert_eq(COUNT(bytes_in), 0);
    show_database();
    take_ack(fd, 1);
    close(fd);
}

/* A stop would lose what was read, or leave it unacknowledged and sent again. */
Test(forward_server_ends, a_drain_waits_for_what_was_read)
{
    int fd;

    start_small();
    hold_commits();
    fd = connect_producer();
    send_message(fd, 0, 5, 1);
    send_all(fd, "\x93\xa3tag", 5);
    await_held_commit();
    ty_io_loop_drain(world.loop);
    await_no_listener();
    cr_assert(!has_arrived(fd));
    let_commits_go();
    take_ack(fd, 1);
    take_end(fd);
    stop();
    cr_assert_eq(accepted(), 5);
}

/* A stop would never end, since a full disk stays full. */
Test(forward_server_ends, a_drain_that_takes_too_long_drops_what_waits)
{
    struct ty_forward_options options = small_options();
    int fd;

    show_database();
    fail_puts(ENOSPC, 1000000);
    start(&options);
    fd = connect_producer();
    send_message(fd, 0, 5, 1);
    AWAIT(retries, 1);
    world.app.options.drain_ms = 1;
    stop();
    take_end(fd);
    cr_assert_eq(accepted(), 0);
}

/* A connection that is gone must not take the batch with it that a shard still works on. */
Test(forward_server_ends, a_producer_may_go_while_its_events_are_being_stored)
{
    int fd;

    start_small();
    hold_commits();
    for (unsigned i = 0; i < 4; i++) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};

        fd = connect_producer();
        send_message(fd, 100 * i, 10, i + 1);
        AWAIT(messages[TY_FORWARD_PACKED], i + 1);
        if (i % 2 == 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        close(fd);
    }
    await_held_commit();
    let_commits_go();
    stop();
    cr_assert_eq(accepted(), 40);
}
