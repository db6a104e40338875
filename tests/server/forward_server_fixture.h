/*
 * forward_server_fixture.h: a Forward server with a real database behind it, and its producers.
 */
#ifndef TY_TESTS_SERVER_FORWARD_SERVER_FIXTURE_H
#define TY_TESTS_SERVER_FORWARD_SERVER_FIXTURE_H

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

static inline int hit(void *context, enum ty_fault_point point)
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

static inline void hold_commits(void)
{
    pthread_mutex_lock(&world.lock);
    world.is_held = true;
    pthread_mutex_unlock(&world.lock);
}

static inline void await_held_commit(void)
{
    pthread_mutex_lock(&world.lock);
    while (world.at_put == 0)
        pthread_cond_wait(&world.changed, &world.lock);
    pthread_mutex_unlock(&world.lock);
}

static inline void let_commits_go(void)
{
    pthread_mutex_lock(&world.lock);
    world.is_held = false;
    pthread_cond_broadcast(&world.changed);
    pthread_mutex_unlock(&world.lock);
}

static inline void fail_puts(int code, unsigned times)
{
    pthread_mutex_lock(&world.lock);
    world.put_code = code;
    world.put_failures = times;
    pthread_mutex_unlock(&world.lock);
}

static inline void open_database(void)
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

static inline void show_database(void)
{
    atomic_store(&world.app.database, world.database);
}

static inline int listen_somewhere(uint16_t *port)
{
    char bound[TY_HTTP_ADDRESS_BYTES], error[256];
    int fd;

    cr_assert(ty_http_listen("127.0.0.1:0", &fd, bound, error, sizeof(error)), "%s", error);
    *port = (uint16_t)atoi(strrchr(bound, ':') + 1);
    return fd;
}

static inline void init(void)
{
    world.faults.hit = hit;
    pthread_mutex_init(&world.lock, NULL);
    pthread_cond_init(&world.changed, NULL);
    ty_temporary_directory_create(&world.directory);
    open_database();
}

/* Serves with small bounds, which `options` may still change. */
static inline void start(const struct ty_forward_options *options)
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

static inline struct ty_forward_options small_options(void)
{
    return (struct ty_forward_options){.message_bytes_max = 512 * KIB,
                                       .inflated_bytes_max = 512 * KIB,
                                       .pending_bytes_max = 64 * KIB,
                                       .memory_bytes_max = 16 << 20,
                                       .connections_max = 8};
}

static inline void start_small(void)
{
    struct ty_forward_options options = small_options();

    show_database();
    start(&options);
}

static inline void stop(void)
{
    if (world.loop == NULL)
        return;
    ty_io_loop_drain(world.loop);
    ty_io_loop_join(world.loop);
    world.loop = NULL;
}

static inline void fini(void)
{
    let_commits_go();
    stop();
    ty_database_close(world.database);
    ty_temporary_directory_remove(&world.directory);
}

/* --- Counters --- */

static inline void copy_counters(void *context, const struct ty_forward_counters *counters)
{
    memcpy(context, (const void *)counters, sizeof(*counters));
}

static inline uint64_t counter_at(size_t offset)
{
    struct ty_forward_counters copy = {0};

    ty_io_loop_with_forward_counters(world.loop, copy_counters, &copy);
    return atomic_load((_Atomic uint64_t *)(void *)((char *)&copy + offset));
}

#define COUNT(member) counter_at(offsetof(struct ty_forward_counters, member))

static inline void await_counter(const char *name, size_t offset, uint64_t least)
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

static inline uint64_t accepted(void)
{
    return atomic_load(
        &ty_shard_stats(ty_database_shard(world.database, 0))->results[TALLY_ACCEPTED]);
}

/* --- Messages, by hand: [tag, packed, {"chunk": number}] with records by position --- */

static inline void append_be32(struct ty_buffer *out, uint32_t value)
{
    uint32_t big = htonl(value);

    ty_buffer_append(out, &big, sizeof(big));
}

/* [time, [id, customer, workflow, 0, 1, 0, 0]] */
static inline void append_entry(struct ty_buffer *out, unsigned number)
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

static inline void append_option(struct ty_buffer *out, unsigned chunk, bool is_gzip)
{
    ty_buffer_append_char(out, is_gzip ? (char)0x82 : (char)0x81);
    ty_buffer_append_text(out, "\xa5"
                               "chunk");
    ty_buffer_append_format(out, "%c%08u", 0xa0 | 8, chunk);
    if (is_gzip)
        ty_buffer_append_text(out, "\xaa"
                                   "compressed\xa4gzip");
}

static inline void append_packed(struct ty_buffer *out, const void *data, size_t length,
                                 bool has_option)
{
    ty_buffer_append_char(out, has_option ? (char)0x93 : (char)0x92);
    ty_buffer_append_text(out, "\xa3tag\xc6");
    append_be32(out, (uint32_t)length);
    ty_buffer_append(out, data, length);
}

/* `count` new events, acknowledged as `chunk`; chunk 0: not acknowledged. */
static inline void append_message(struct ty_buffer *out, unsigned first, unsigned count,
                                  unsigned chunk)
{
    struct ty_buffer entries = {0};

    for (unsigned i = 0; i < count; i++)
        append_entry(&entries, first + i);
    append_packed(out, entries.data, entries.length, chunk != 0);
    if (chunk != 0)
        append_option(out, chunk, false);
    ty_buffer_fini(&entries);
}

static inline void append_compressed(struct ty_buffer *out, unsigned first, unsigned count,
                                     unsigned chunk)
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

static inline int try_to_connect(void)
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

static inline int connect_producer(void)
{
    int fd = try_to_connect();

    cr_assert_neq(fd, -1, "%s", strerror(errno));
    return fd;
}

/* Waits until a drain has begun. */
static inline void await_no_listener(void)
{
    time_t deadline = time(NULL) + WAIT_SECONDS;

    for (int fd = try_to_connect(); fd != -1; fd = try_to_connect()) {
        close(fd);
        cr_assert(time(NULL) < deadline, "it still listens");
        poll(NULL, 0, 1);
    }
}

static inline void send_all(int fd, const char *data, size_t length)
{
    while (length != 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);

        cr_assert(sent > 0, "cannot send: %s", strerror(errno));
        data += sent;
        length -= (size_t)sent;
    }
}

static inline void send_buffer(int fd, struct ty_buffer *buffer)
{
    cr_assert(ty_buffer_ok(buffer));
    send_all(fd, buffer->data, buffer->length);
    ty_buffer_fini(buffer);
}

static inline void send_message(int fd, unsigned first, unsigned count, unsigned chunk)
{
    struct ty_buffer buffer = {0};

    append_message(&buffer, first, count, chunk);
    send_buffer(fd, &buffer);
}

/* The next thing that arrives must be this acknowledgement. */
static inline void take_ack(int fd, unsigned chunk)
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

static inline void take_end(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, 0);

    cr_assert(got == 0 || (got < 0 && errno == ECONNRESET), "no end, but %zd: %s", got,
              got < 0 ? strerror(errno) : "data");
    close(fd);
}

static inline bool has_arrived(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) != 0;
}

#endif
