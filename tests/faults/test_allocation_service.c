/*
 * Every allocation of a running service fails in its turn, while it serves one request or message,
 * while it starts and while it stops. It answers, or it ends the connection; nothing crashes or
 * leaks, and the same request is right a moment later.
 *
 * libuv allocates through hooks. Those of its reallocations do not fail: where libuv makes room to
 * watch one more descriptor it has no way to say that it could not, and aborts by design.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "server/service.h"
#include "tests/faults/allocations.h"
#include "tests/support/temporary_directory.h"

#define CUSTOMER   "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6071"
#define WORKFLOW   "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6072"
#define ROUNDS_MAX 2000
#define SECONDS    60

static struct ty_temporary_directory directory;
static struct ty_options options;
static struct ty_service *service;
static char forward_path[1100], http_path[1100], http_address[1110];
static unsigned next_id;

/* --- libuv --- */

static void *hook_malloc(size_t size)
{
    return malloc(size);
}

static void *hook_calloc(size_t count, size_t size)
{
    return calloc(count, size);
}

static void *hook_realloc(void *memory, size_t size)
{
    return ty_allocations_realloc(memory, size);
}

static void hook_free(void *memory)
{
    free(memory);
}

/* --- The service --- */

static void init(void)
{
    static const char *arguments[] = {"tallyd",
                                      "--data",
                                      NULL,
                                      "--no-sync",
                                      "--shards",
                                      "1",
                                      "--dedup-memory",
                                      "16MiB",
                                      "--map-size",
                                      "64MiB",
                                      "--http",
                                      NULL,
                                      "--forward",
                                      "off",
                                      "--forward-socket",
                                      NULL};

    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(uv_replace_allocator(hook_malloc, hook_realloc, hook_calloc, hook_free), 0);
    ty_temporary_directory_create(&directory);
    snprintf(http_path, sizeof(http_path), "%s/http", directory.path);
    snprintf(http_address, sizeof(http_address), "unix:%s", http_path);
    snprintf(forward_path, sizeof(forward_path), "%s/forward", directory.path);
    arguments[2] = directory.path;
    arguments[11] = http_address;
    arguments[15] = forward_path;
    cr_assert_eq(ty_options_parse(TY_COUNT_OF(arguments), (char **)(uintptr_t)arguments, &options),
                 TY_OPTIONS_RUN);
}

static void fini(void)
{
    ty_allocations_stop();
    ty_service_stop(service);
    ty_options_fini(&options);
    ty_temporary_directory_remove(&directory);
}

TestSuite(allocation_service, .init = init, .fini = fini);

static bool start(void)
{
    service = ty_service_start(&options);
    return service != NULL && ty_service_recover(service);
}

static void stop(void)
{
    ty_service_stop(service);
    service = NULL;
}

/* --- Clients --- */

static struct {
    char data[1 << 16];
    size_t length;
} answer; /* the last one, ended by a zero byte */

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = SECONDS};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0, "%s", path);
    return fd;
}

/* Reads until the server closes, or until `enough` bytes have come. */
static void receive(int fd, size_t enough)
{
    ssize_t got = 1;

    answer.length = 0;
    while (got > 0 && answer.length < enough) {
        got = recv(fd, answer.data + answer.length, sizeof(answer.data) - 1 - answer.length, 0);
        cr_assert(got >= 0 || errno == ECONNRESET, "no answer: %s", strerror(errno));
        answer.length += got > 0 ? (size_t)got : 0;
    }
    answer.data[answer.length] = '\0';
}

/* A request whose connection ends with its answer. Returns the status; 0: closed without one. The
 * client allocates nothing: the failure is for the server. */
static int ask(const char *method, const char *target, const char *type, const char *body)
{
    static char request[2000];
    int fd = connect_to(http_path), status = 0;
    int length = snprintf(request, sizeof(request),
                          "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                          "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
                          method, target, type, strlen(body), body);

    (void)!send(fd, request, (size_t)length, MSG_NOSIGNAL);
    receive(fd, SIZE_MAX);
    close(fd);
    if (answer.length != 0)
        cr_assert_eq(sscanf(answer.data, "HTTP/1.1 %d ", &status), 1, "%s", answer.data);
    return status;
}

/* ["t", seconds, [id, customer, workflow, 0, 1, 0, 0], {"chunk": "x"}] */
static size_t put_message(char message[300], unsigned number)
{
    static const char head[] = "\x94\xa1t\xce\x63\xb6\x15\x80\x97";
    static const char tail[] = "\x00\x01\x00\x00\x81\xa5"
                               "chunk\xa1x";
    size_t at = sizeof(head) - 1;

    memcpy(message, head, at);
    at += (size_t)snprintf(message + at, 300 - at, "%c%09u%c%c" CUSTOMER "%c%c" WORKFLOW, 0xa0 | 9,
                           number, 0xd9, 36, 0xd9, 36);
    memcpy(message + at, tail, sizeof(tail) - 1);
    return at + sizeof(tail) - 1;
}

/* Sends a message of one event on a connection of its own: whether it was acknowledged. */
static bool deliver(unsigned number)
{
    static const char ack[] = "\x81\xa3"
                              "ack\xa1x";
    char message[300];
    size_t length = put_message(message, number);
    int fd = connect_to(forward_path);
    bool is_acknowledged;

    (void)!send(fd, message, length, MSG_NOSIGNAL);
    receive(fd, sizeof(ack) - 1);
    is_acknowledged =
        answer.length == sizeof(ack) - 1 && memcmp(answer.data, ack, answer.length) == 0;
    cr_assert(is_acknowledged || answer.length == 0);
    close(fd);
    return is_acknowledged;
}

/* --- Requests --- */

struct request {
    const char *method, *target, *type;
    const char *want; /* what a good answer says */
    void (*body)(char *text, size_t size, unsigned number);
};

static void put_event(char *text, size_t size, unsigned number)
{
    snprintf(text, size,
             "{\"id\":\"e%u\",\"customer_id\":\"" CUSTOMER "\",\"workflow_id\":\"" WORKFLOW
             "\",\"documents\":1,\"time\":\"2023-01-05T00:00:00Z\"}",
             number);
}

static void put_cloud_event(char *text, size_t size, unsigned number)
{
    snprintf(text, size,
             "{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"s\",\"id\":\"e%u\","
             "\"subject\":\"" CUSTOMER "\",\"time\":\"2023-01-05T00:00:00Z\","
             "\"data\":{\"workflow_id\":\"" WORKFLOW "\",\"documents\":1}}",
             number);
}

static void put_nothing(char *text, size_t size, unsigned number)
{
    (void)size, (void)number;
    text[0] = '\0';
}

#define SERIES "/reseller/customers/" CUSTOMER "/usage/workflows"

static const struct request writes[] = {
    {"POST", "/v1/events", "application/json", "\"rejected\":[]", put_event},
    {"POST", "/v1/events", "application/x-ndjson", "\"rejected\":[]", put_event},
    {"POST", "/v1/events", "application/cloudevents+json", "\"rejected\":[]", put_cloud_event},
};

static const struct request reads[] = {
    {"GET", SERIES "/workflow_id/" WORKFLOW "/monthly?start=2023-01&end=2023-02", "x",
     "\"2023-02\"", put_nothing},
    {"GET", SERIES "/workflow_id/" WORKFLOW "/hourly?start=2023-01-01T00Z&end=2023-01-31T23Z", "x",
     "2023-01-31T23Z", put_nothing},
    /* This one runs on the work pool. */
    {"GET", SERIES "/workflow_id/" WORKFLOW "/daily?start=2020-01-01&end=2023-01-31", "x",
     "\"2023-01-31\"", put_nothing},
    {"GET", SERIES "/monthly?start=2023-01&end=2023-02", "x", WORKFLOW, put_nothing},
    {"GET", "/v1/events?limit=5", "x", "\"events\"", put_nothing},
    {"GET", "/v1/rejects", "x", "\"rejects\"", put_nothing},
    {"GET", "/v1/status", "x", "\"version\"", put_nothing},
    {"GET", "/metrics", "x", "tally_forward_reads_paused_total", put_nothing},
    {"GET", "/readyz", "x", "ready", put_nothing},
    {"GET", "/nothing", "x", "404", put_nothing},
};

/* An answer is right, says that memory is short, or does not come at all. */
static bool send_failing(const struct request *request, unsigned number, uint64_t n, bool stays)
{
    char body[400];
    bool hit;
    int status;

    request->body(body, sizeof(body), number);
    ty_allocations_fail(n, stays);
    status = ask(request->method, request->target, request->type, body);
    hit = ty_allocations_stop();
    if (status != 0 && status != 503)
        cr_assert_not_null(strstr(answer.data, request->want), "%s, allocation %llu: %s",
                           request->target, (unsigned long long)n, answer.data);
    cr_assert(hit || (status != 0 && status != 503), "%s: %d without a reason: %s", request->target,
              status, answer.data);
    ask(request->method, request->target, request->type, body);
    cr_assert_not_null(strstr(answer.data, request->want), "%s, the next one: %s", request->target,
                       answer.data);
    return hit;
}

/* The server does other things as well, so that one round without a failure is not the end. */
#define WHOLE_MAX 3

static void serve_failing(const struct request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int stays = 0; stays < 2; stays++) {
            unsigned whole = 0;

            for (uint64_t n = 1; whole < WHOLE_MAX; n++) {
                cr_assert_lt(n, ROUNDS_MAX);
                whole += !send_failing(&requests[i], ++next_id, n, stays != 0);
            }
        }
}

static void expect_documents(unsigned documents)
{
    char want[60];

    ask("GET", SERIES "/workflow_id/" WORKFLOW "/monthly?start=2023-01&end=2023-01&extended=true",
        "x", "");
    snprintf(want, sizeof(want), "\"num_documents\":%u,", documents);
    cr_assert_not_null(strstr(answer.data, want), "%u documents in %s", documents, answer.data);
}

/* A batch is stored wholly or refused, and counts once when it comes again. */
Test(allocation_service, batches_are_taken_once_though_memory_is_short)
{
    int64_t before = ty_allocations_live();

    cr_assert(start());
    serve_failing(writes, TY_COUNT_OF(writes));
    expect_documents(next_id);
    stop();
    cr_assert(start());
    expect_documents(next_id);
    stop();
    cr_assert_eq(ty_allocations_live(), before, "memory is lost");
}

/* Whoever asks gets the right answer or is told to ask again. */
Test(allocation_service, questions_are_answered_though_memory_is_short)
{
    int64_t before = ty_allocations_live();

    cr_assert(start());
    (void)send_failing(&writes[0], ++next_id, ROUNDS_MAX, false);
    serve_failing(reads, TY_COUNT_OF(reads));
    stop();
    cr_assert_eq(ty_allocations_live(), before, "memory is lost");
}

/* A message is acknowledged when it is stored; what is not is sent again, and counts once. */
Test(allocation_service, messages_are_taken_once_though_memory_is_short)
{
    int64_t before = ty_allocations_live();
    unsigned whole = 0;

    cr_assert(start());
    for (uint64_t n = 1; whole < WHOLE_MAX; n++) {
        bool is_acknowledged;

        cr_assert_lt(n, ROUNDS_MAX);
        ty_allocations_fail(n, false);
        is_acknowledged = deliver(++next_id);
        whole += !ty_allocations_stop();
        cr_assert(is_acknowledged || whole == 0);
        cr_assert(deliver(next_id), "the next one");
    }
    expect_documents(next_id);
    stop();
    cr_assert_eq(ty_allocations_live(), before, "memory is lost");
}

/* A start that cannot be says so and leaves nothing; a stop always ends. */
Test(allocation_service, starts_and_stops_work_though_memory_is_short)
{
    int64_t before = ty_allocations_live();

    for (int stays = 0; stays < 2; stays++) {
        unsigned whole = 0;

        for (uint64_t n = 1; whole < WHOLE_MAX; n += 1 + n / 16) {
            bool hit, started;

            cr_assert_lt(n, ROUNDS_MAX);
            ty_allocations_fail(n, stays != 0);
            started = start();
            hit = ty_allocations_stop();
            cr_assert(started || hit);
            whole += !hit;
            if (started)
                cr_assert_eq(ask("GET", "/readyz", "x", ""), 200);
            ty_allocations_fail(n, stays != 0);
            stop();
            ty_allocations_stop();
            cr_assert_eq(ty_allocations_live(), before, "allocation %llu: memory is lost",
                         (unsigned long long)n);
        }
    }
}
