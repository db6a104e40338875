#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "server/io_loop.h"
#include "tests/support/temporary_directory.h"

/*
 * A loop with a real database behind it, whose commits the test holds up or lets fail, and bounds
 * so small that they are met. The loop runs on its own thread; the test is the producer.
 */
#define WAIT_SECONDS 60
#define KIB          ((size_t)1 << 10)
#define ENTRY_BYTES  64 /* of an entry, or a little less */

static struct {
    struct ty_temporary_directory directory;
    struct ty_app app;
    struct ty_io_loop *loop;
    struct ty_io_loop *loops[1];
    struct ty_database *database; /* app.database has it once the test says so */
    uint16_t port;
    struct ty_faults faults;
    pthread_mutex_t lock; /* guards the members below */
    pthread_cond_t changed;
    bool is_held;    /* commits wait */
    unsigned at_put; /* threads that wait */
    int put_code;    /* what a put fails with, put_failures times; then it succeeds */
    unsigned put_failures;
    bool commit_is_unknown; /* commits are stored, and yet report an error */
} world;

static int hit(void *context, enum ty_fault_point point)
{
    int code = 0;

    (void)context;
    pthread_mutex_lock(&world.lock);
    if (point == TY_FAULT_PUT) {
        world.at_put++;
        pthread_cond_broadcast(&world.changed);
        while (world.is_held)
            pthread_cond_wait(&world.changed, &world.lock);
        world.at_put--;
        if (world.put_failures != 0) {
            world.put_failures--;
            code = world.put_code;
        }
    }
    if (point == TY_FAULT_COMMITTED && world.commit_is_unknown)
        code = EIO;
    pthread_mutex_unlock(&world.lock);
    return code;
}

static void hold_commits(void)
{
    pthread_mutex_lock(&world.lock);
    world.is_held = true;
    pthread_mutex_unlock(&world.lock);
}

static void await_held_commit(void)
{
    pthread_mutex_lock(&world.lock);
    while (world.at_put == 0)
        pthread_cond_wait(&world.changed, &world.lock);
    pthread_mutex_unlock(&world.lock);
}

static void let_commits_go(void)
{
    pthread_mutex_lock(&world.lock);
    world.is_held = false;
    pthread_cond_broadcast(&world.changed);
    pthread_mutex_unlock(&world.lock);
}

static void fail_puts(int code, unsigned times)
{
    pthread_mutex_lock(&world.lock);
    world.put_code = code;
    world.put_failures = times;
    pthread_mutex_unlock(&world.lock);
}

static void open_database(void)
{
    tally_options options = TALLY_OPTIONS_INIT;
    tally_error error;

    options.directory = world.directory.path;
    options.shards = 1;
    options.map_bytes = UINT64_C(256) << 20;
    options.dedup_memory_bytes = UINT64_C(16) << 20;
    options.flags = TALLY_NO_SYNC;
    cr_assert_eq(ty_database_open(&options, &(struct ty_database_hooks){.faults = &world.faults},
                                  &world.database, &error),
                 TALLY_OK, "%s", error.message);
}

static void show_database(void)
{
    atomic_store(&world.app.database, world.database);
}

static int listen_somewhere(uint16_t *port)
{
    char bound[TY_HTTP_ADDRESS_BYTES], error[256];
    int fd;

    cr_assert(ty_http_listen("127.0.0.1:0", &fd, bound, error, sizeof(error)), "%s", error);
    *port = (uint16_t)atoi(strrchr(bound, ':') + 1);
    return fd;
}

static void init(void)
{
    world.faults.hit = hit;
    pthread_mutex_init(&world.lock, NULL);
    pthread_cond_init(&world.changed, NULL);
    ty_temporary_directory_create(&world.directory);
    open_database();
}

/* Serves with small bounds, which `options` may still change. */
static void start(const struct ty_forward_options *options)
{
    struct ty_io_sockets sockets = {.forward_count = 1};
    const char *problem;
    uint16_t port;

    world.app.options.http = ty_http_options_default();
    world.app.options.forward = *options;
    world.app.options.io_threads = 1;
    world.app.options.drain_ms = WAIT_SECONDS * 1000;
    world.app.loops = world.loops;
    sockets.http = listen_somewhere(&port);
    sockets.forward[0] = listen_somewhere(&world.port);
    world.loop = ty_io_loop_start(&world.app, &sockets, &problem);
    cr_assert_not_null(world.loop, "%s", problem);
    world.loops[0] = world.loop;
}

static struct ty_forward_options small_options(void)
{
    return (struct ty_forward_options){.message_bytes_max = 512 * KIB,
                                       .inflated_bytes_max = 512 * KIB,
                                       .pending_bytes_max = 64 * KIB,
                                       .memory_bytes_max = 16 << 20,
                                       .connections_max = 8};
}

static void start_small(void)
{
    struct ty_forward_options options = small_options();

    show_database();
    start(&options);
}

static void stop(void)
{
    if (world.loop == NULL)
        return;
    ty_io_loop_drain(world.loop);
    ty_io_loop_join(world.loop);
    world.loop = NULL;
}

static void fini(void)
{
    let_commits_go();
    stop();
    ty_database_close(world.database);
    ty_temporary_directory_remove(&world.directory);
}

TestSuite(forward_server, .init = init, .fini = fini);

/* --- Counters --- */

static void copy_counters(void *context, const struct ty_forward_counters *counters)
{
    memcpy(context, (const void *)counters, sizeof(*counters));
}

static uint64_t counter_at(size_t offset)
{
    struct ty_forward_counters copy = {0};

    ty_io_loop_with_forward_counters(world.loop, copy_counters, &copy);
    return atomic_load((_Atomic uint64_t *)(void *)((char *)&copy + offset));
}

#define COUNT(member) counter_at(offsetof(struct ty_forward_counters, member))

static void await_counter(const char *name, size_t offset, uint64_t least)
{
    time_t deadline = time(NULL) + WAIT_SECONDS;

    while (counter_at(offset) < least) {
        cr_assert(time(NULL) < deadline, "%s is still %llu", name,
                  (unsigned long long)counter_at(offset));
        poll(NULL, 0, 1);
    }
}

#define AWAIT(member, least)                                                                       \
    await_counter(#member, offsetof(struct ty_forward_counters, member), least)

static uint64_t accepted(void)
{
    return atomic_load(
        &ty_shard_stats(ty_database_shard(world.database, 0))->results[TALLY_ACCEPTED]);
}

/* --- Messages, by hand: [tag, packed, {"chunk": number}] with records by position --- */

static void append_be32(struct ty_buffer *out, uint32_t value)
{
    uint32_t big = htonl(value);

    ty_buffer_append(out, &big, sizeof(big));
}

/* [time, [id, customer, workflow, 0, 1, 0, 0]] */
static void append_entry(struct ty_buffer *out, unsigned number)
{
    static const uint8_t uuid[18] = {0xc4, 16, 1, 2, 3, 4, 5, 6, 0x40, 8, 0x80};

    ty_buffer_append(out, "\x92\xce", 2);
    append_be32(out, 1672876800);
    ty_buffer_append_char(out, (char)0x97);
    ty_buffer_append_format(out, "%c%09u", 0xa0 | 9, number);
    ty_buffer_append(out, uuid, sizeof(uuid));
    ty_buffer_append(out, uuid, sizeof(uuid));
    ty_buffer_append(out, "\x00\x01\x00\x00", 4);
}

static void append_option(struct ty_buffer *out, unsigned chunk, bool is_gzip)
{
    ty_buffer_append_char(out, is_gzip ? (char)0x82 : (char)0x81);
    ty_buffer_append_text(out, "\xa5"
                               "chunk");
    ty_buffer_append_format(out, "%c%08u", 0xa0 | 8, chunk);
    if (is_gzip)
        ty_buffer_append_text(out, "\xaa"
                                   "compressed\xa4gzip");
}

static void append_packed(struct ty_buffer *out, const void *data, size_t length, bool has_option)
{
    ty_buffer_append_char(out, has_option ? (char)0x93 : (char)0x92);
    ty_buffer_append_text(out, "\xa3tag\xc6");
    append_be32(out, (uint32_t)length);
    ty_buffer_append(out, data, length);
}

/* `count` new events, acknowledged as `chunk`; chunk 0: not acknowledged. */
static void append_message(struct ty_buffer *out, unsigned first, unsigned count, unsigned chunk)
{
    struct ty_buffer entries = {0};

    for (unsigned i = 0; i < count; i++)
        append_entry(&entries, first + i);
    append_packed(out, entries.data, entries.length, chunk != 0);
    if (chunk != 0)
        append_option(out, chunk, false);
    ty_buffer_fini(&entries);
}

static void append_compressed(struct ty_buffer *out, unsigned first, unsigned count, unsigned chunk)
{
    struct ty_buffer entries = {0};
    z_stream stream = {0};
    uLong bound;
    char *gzip;

    for (unsigned i = 0; i < count; i++)
        append_entry(&entries, first + i);
    cr_assert_eq(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    bound = deflateBound(&stream, entries.length);
    gzip = malloc(bound);
    stream.next_in = (Bytef *)entries.data;
    stream.avail_in = (uInt)entries.length;
    stream.next_out = (Bytef *)gzip;
    stream.avail_out = (uInt)bound;
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    append_packed(out, gzip, stream.total_out, true);
    append_option(out, chunk, true);
    deflateEnd(&stream);
    free(gzip);
    ty_buffer_fini(&entries);
}

/* --- Producers --- */

static int try_to_connect(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(world.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = WAIT_SECONDS};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static int connect_producer(void)
{
    int fd = try_to_connect();

    cr_assert_neq(fd, -1, "%s", strerror(errno));
    return fd;
}

/* Waits until a drain has begun. */
static void await_no_listener(void)
{
    time_t deadline = time(NULL) + WAIT_SECONDS;

    for (int fd = try_to_connect(); fd != -1; fd = try_to_connect()) {
        close(fd);
        cr_assert(time(NULL) < deadline, "it still listens");
        poll(NULL, 0, 1);
    }
}

static void send_all(int fd, const char *data, size_t length)
{
    while (length != 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);

        cr_assert(sent > 0, "cannot send: %s", strerror(errno));
        data += sent;
        length -= (size_t)sent;
    }
}

static void send_buffer(int fd, struct ty_buffer *buffer)
{
    cr_assert(ty_buffer_ok(buffer));
    send_all(fd, buffer->data, buffer->length);
    ty_buffer_fini(buffer);
}

static void send_message(int fd, unsigned first, unsigned count, unsigned chunk)
{
    struct ty_buffer buffer = {0};

    append_message(&buffer, first, count, chunk);
    send_buffer(fd, &buffer);
}

/* The next thing that arrives must be this acknowledgement. */
static void take_ack(int fd, unsigned chunk)
{
    char expected[32], got[32];
    int length = snprintf(expected, sizeof(expected),
                          "\x81\xa3"
                          "ack\xa8%08u",
                          chunk);

    for (size_t at = 0; at < (size_t)length;) {
        ssize_t more = recv(fd, got + at, (size_t)length - at, 0);

        cr_assert(more > 0, "no acknowledgement of %u: %s", chunk,
                  more == 0 ? "closed" : strerror(errno));
        at += (size_t)more;
    }
    cr_assert_eq(memcmp(got, expected, (size_t)length), 0, "another one came before that of %u",
                 chunk);
}

static void take_end(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, 0);

    cr_assert(got == 0 || (got < 0 && errno == ECONNRESET), "no end, but %zd: %s", got,
              got < 0 ? strerror(errno) : "data");
    close(fd);
}

static bool has_arrived(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) != 0;
}

/* --- Holding back --- */

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

/* --- Failures --- */

/* What has no chunk is not sent again by its producer, who has gone. */
Test(forward_server, tries_again_what_the_database_cannot_take_now)
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
Test(forward_server, tries_again_to_keep_rejects)
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
Test(forward_server, closes_without_a_word_when_the_outcome_is_unknown)
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
Test(forward_server, refuses_a_message_that_inflates_to_more_than_is_allowed)
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
Test(forward_server, closes_connections_over_the_limit_at_once)
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
Test(forward_server, reads_when_the_database_has_been_recovered)
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
Test(forward_server, a_drain_waits_for_what_was_read)
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
Test(forward_server, a_drain_that_takes_too_long_drops_what_waits)
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
Test(forward_server, a_producer_may_go_while_its_events_are_being_stored)
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
