/*
 * soak_producer: the producers of the soak test (tests/system/test_soak.py), all in one thread.
 *
 *     soak_producer REACH        REACH: events within which ids are surely remembered
 *
 * Commands come as lines on stdin, each is answered by one line on stdout:
 *
 *   ready HTTP FORWARD   where the server is now, "127.0.0.1:port"; "ok". Some time after, once
 *                        everything due has been sent, a line "settled" comes by itself
 *   restart              the server is about to end: connections may break; "ok"
 *   rates R0 R1 ...      a new schedule, events a second of each stream; 0: as many as are taken;
 *                        latencies are measured from here on; "ok"
 *   pause                begins nothing more; "ok" when everything is acknowledged
 *   resume               goes on at the same rates, on a new schedule; "ok"
 *   counts               counts, events of each stream and latencies, as JSON
 *   sample N             N events that were acknowledged lately, of all streams, "event CUSTOMER
 *                        WORKFLOW MONTH DOCUMENTS ID", then "end"
 *   totals               all that was acknowledged, "total CUSTOMER WORKFLOW MONTH DOCUMENTS", then
 *                        "end"
 *   quit                 ends
 *
 * MONTH is its first millisecond. A line "problem ..." says what must not happen.
 */
#include "tests/soak/stream.h"

#include "shard/system_clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND_NS     INT64_C(1000000000)
#define WAIT_NS_MAX   (SECOND_NS / 20)
#define BEHIND_NS     (SECOND_NS / 10)  /* a schedule that is less behind is kept */
#define ANSWER_NS     (120 * SECOND_NS) /* a server that says nothing for so long hangs */
#define COMMAND_BYTES 4096

/* The mix. Small batches, too: each of them is a commit's work when nobody else sends. HTTP answers
 * one message before the next; with more under way, Forward would take all of the peak. */
static const struct {
    enum ty_load_format format;
    enum soak_id id;
    size_t batch;
    unsigned outstanding;
} kinds[] = {
    {TY_LOAD_JSON, SOAK_ID_UUID_TEXT, 1000, 1},
    {TY_LOAD_JSON, SOAK_ID_UUID_TEXT, 1000, 1},
    {TY_LOAD_JSON, SOAK_ID_TEXT, 1000, 1},
    {TY_LOAD_JSON, SOAK_ID_UUID_TEXT, 20, 1},
    {TY_LOAD_MSGPACK, SOAK_ID_UUID_TEXT, 1000, 1},
    {TY_LOAD_MSGPACK, SOAK_ID_TEXT, 500, 1},
    {TY_LOAD_FORWARD_ARRAYS, SOAK_ID_UUID_BYTES, 1000, 4},
    {TY_LOAD_FORWARD_MAPS, SOAK_ID_UUID_TEXT, 500, 4},
};

#define STREAMS TY_COUNT_OF(kinds)

struct producer {
    struct soak_load load;
    struct soak_stream streams[STREAMS];
    char addresses[2][64]; /* of HTTP, of Forward; empty before the first "ready" */
    char input[COMMAND_BYTES];
    size_t input_length;
    bool is_paused, is_pause_unanswered;
    bool is_settling; /* the server is there again, the backlog is not worked off */
    bool has_ended;
};

static int64_t now_ns(const struct producer *producer)
{
    return ty_clock_mono_ns(&producer->load.clock);
}

static void answer(const char *line)
{
    puts(line);
    fflush(stdout);
}

static bool is_forward(const struct soak_stream *stream)
{
    return stream->connection.message.chunk != 0;
}

/* --- Commands --- */

static void repace(struct producer *producer)
{
    int64_t now = now_ns(producer);

    for (size_t i = 0; i < STREAMS; i++)
        soak_stream_pace(&producer->streams[i], producer->streams[i].rate, now);
}

static void set_rates(struct producer *producer, const char *text)
{
    char *end;

    for (size_t i = 0; i < STREAMS; i++) {
        producer->streams[i].rate = strtod(text, &end);
        text = end;
    }
    repace(producer);
    for (unsigned i = 0; i < 2; i++)
        producer->load.calm[i] = producer->load.all[i] = (struct ty_latency){0};
    answer("ok");
}

static void print_latency(const char *name, const struct ty_latency *latency)
{
    static const double shares[] = {0.5, 0.99, 0.999, 1};

    printf(",\"%s\":{\"count\":%" PRIu64 ",\"ms\":[", name, latency->count);
    for (size_t i = 0; i < TY_COUNT_OF(shares); i++)
        printf("%s%.3f", i == 0 ? "" : ",", (double)ty_latency_quantile(latency, shares[i]) / 1e6);
    printf("]}");
}

static void print_counts(const struct producer *producer)
{
    const struct soak_counts *counts = &producer->load.counts;

    printf("{\"fresh\":%" PRIu64 ",\"unsure\":%" PRIu64 ",\"known\":%" PRIu64
           ",\"messages\":%" PRIu64 ",\"refusals\":%" PRIu64 ",\"drops\":%" PRIu64
           ",\"problems\":%" PRIu64,
           counts->fresh_events, counts->unsure_events, counts->known_events, counts->messages,
           counts->refusals, counts->drops, counts->problems);
    printf(",\"streams\":[");
    for (size_t i = 0; i < STREAMS; i++)
        printf("%s%" PRIu64, i == 0 ? "" : ",", producer->streams[i].events);
    printf("]");
    print_latency("http_calm", &producer->load.calm[0]);
    print_latency("http_all", &producer->load.all[0]);
    print_latency("forward_calm", &producer->load.calm[1]);
    print_latency("forward_all", &producer->load.all[1]);
    answer("}");
}

/* UUIDs and the month, as "total" and "event" lines begin. */
static void print_series(const char *word, const struct soak_plan *plan, unsigned customer,
                         unsigned workflow, unsigned month)
{
    struct ty_uuid uuids[2] = {soak_customer(customer), soak_workflow(customer, workflow)};
    char text[2][TY_UUID_TEXT_LENGTH];

    ty_uuid_format(&uuids[0], text[0]);
    ty_uuid_format(&uuids[1], text[1]);
    printf("%s %.*s %.*s %" PRId64, word, TY_UUID_TEXT_LENGTH, text[0], TY_UUID_TEXT_LENGTH,
           text[1], plan->month_ms[month]);
}

/* One event of each stream's last message, then the next one of each. */
static void print_sample(struct producer *producer, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct soak_stream *stream = &producer->streams[i % STREAMS];
        const struct soak_sent *sent = &stream->known[(stream->known_count - 1) % SOAK_KNOWN_MAX];
        size_t index = i / STREAMS % stream->plan.batch;
        struct soak_event event;
        char id[SOAK_ID_BYTES_MAX];
        size_t length;

        if (stream->known_count == 0)
            continue;
        event = soak_event_make(&stream->plan, sent->number, index, sent->made_ms);
        length = soak_event_id(&stream->plan, sent->number, index, id);
        print_series("event", &stream->plan, event.customer, event.workflow, event.month);
        printf(" %u %.*s\n", event.documents, (int)length, id);
    }
    answer("end");
}

static void print_totals(const struct producer *producer)
{
    for (unsigned c = 0; c < SOAK_CUSTOMERS; c++)
        for (unsigned w = 0; w < SOAK_WORKFLOWS; w++)
            for (unsigned m = 0; m < SOAK_MONTHS; m++) {
                if (producer->load.totals[c][w][m] == 0)
                    continue;
                print_series("total", &producer->streams[0].plan, c, w, m);
                printf(" %" PRIu64 "\n", producer->load.totals[c][w][m]);
            }
    answer("end");
}

static void obey(struct producer *producer, const char *line)
{
    if (sscanf(line, "ready %63s %63s", producer->addresses[0], producer->addresses[1]) == 2) {
        producer->is_settling = true;
        for (size_t i = 0; i < STREAMS; i++)
            producer->streams[i].answer_at_ns = now_ns(producer);
        answer("ok");
    } else if (strcmp(line, "restart") == 0) {
        producer->load.is_disturbed = true;
        producer->is_settling = false;
        answer("ok");
    } else if (strncmp(line, "rates ", 6) == 0) {
        set_rates(producer, line + 6);
    } else if (strcmp(line, "pause") == 0) {
        producer->is_paused = producer->is_pause_unanswered = true;
    } else if (strcmp(line, "resume") == 0) {
        producer->is_paused = false;
        repace(producer);
        answer("ok");
    } else if (strcmp(line, "counts") == 0) {
        print_counts(producer);
    } else if (strncmp(line, "sample ", 7) == 0) {
        print_sample(producer, strtoul(line + 7, NULL, 10));
    } else if (strcmp(line, "totals") == 0) {
        print_totals(producer);
    } else if (strcmp(line, "quit") == 0) {
        producer->has_ended = true;
    } else {
        soak_problem(&producer->load, "unknown command '%s'", line);
    }
}

static void read_commands(struct producer *producer)
{
    ssize_t got = read(STDIN_FILENO, producer->input + producer->input_length,
                       COMMAND_BYTES - 1 - producer->input_length);
    char *newline;

    if (got <= 0) {
        producer->has_ended = got == 0 || errno != EINTR;
        return;
    }
    producer->input_length += (size_t)got;
    producer->input[producer->input_length] = '\0';
    while ((newline = memchr(producer->input, '\n', producer->input_length)) != NULL) {
        *newline = '\0';
        obey(producer, producer->input);
        producer->input_length -= (size_t)(newline + 1 - producer->input);
        memmove(producer->input, newline + 1, producer->input_length + 1);
    }
}

/* --- The loop --- */

static void reconnect(struct producer *producer, struct soak_stream *stream)
{
    struct ty_load_connection *connection = &stream->connection;
    const char *address = producer->addresses[is_forward(stream)];
    int64_t now = now_ns(producer);

    if (connection->fd >= 0 || now < connection->retry_at_ns || *address == '\0')
        return;
    connection->retry_at_ns = now + WAIT_NS_MAX;
    if (!ty_load_connection_open(connection, address) && !producer->load.is_disturbed)
        soak_problem(&producer->load, "stream %u: cannot connect to %s: %s", stream->plan.stream,
                     address, strerror(errno));
}

static void send_due(struct producer *producer)
{
    struct soak_load *load = &producer->load;
    uint64_t oldest = load->begun;

    for (size_t i = 0; i < STREAMS; i++)
        oldest = soak_stream_oldest_mark(&producer->streams[i], oldest);
    for (size_t i = 0; i < STREAMS; i++) {
        reconnect(producer, &producer->streams[i]);
        soak_stream_send(&producer->streams[i], load, oldest, producer->is_paused);
    }
}

/* Waits for the sockets and for commands, at most until something is due. */
static void wait(struct producer *producer)
{
    struct pollfd polls[STREAMS + 1];
    int64_t now = now_ns(producer), wait_ns = WAIT_NS_MAX;
    struct timespec timeout;

    for (size_t i = 0; i < STREAMS; i++) {
        struct soak_stream *stream = &producer->streams[i];
        const struct ty_load_connection *connection = &stream->connection;
        bool is_writing = connection->written < connection->message.bytes.length;

        polls[i] = (struct pollfd){.fd = connection->fd,
                                   .events = (short)(POLLIN | (is_writing ? POLLOUT : 0))};
        if (!producer->is_paused && ty_load_connection_is_free(connection))
            wait_ns = TY_MIN(wait_ns, TY_MAX(soak_stream_due(stream, now) - now, SECOND_NS / 2000));
    }
    polls[STREAMS] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    timeout = (struct timespec){.tv_nsec = wait_ns};
    if (ppoll(polls, STREAMS + 1, &timeout, NULL) <= 0)
        return;
    for (size_t i = 0; i < STREAMS; i++) {
        struct soak_stream *stream = &producer->streams[i];

        if ((polls[i].revents & POLLOUT) != 0)
            soak_stream_write(stream, &producer->load);
        if ((polls[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && stream->connection.fd >= 0)
            soak_stream_receive(stream, &producer->load);
    }
    if (polls[STREAMS].revents != 0)
        read_commands(producer);
}

/* After a restart: whether all are connected, nothing is lost and nothing is overdue. */
static bool is_settled(const struct producer *producer)
{
    int64_t now = now_ns(producer);

    for (size_t i = 0; i < STREAMS; i++) {
        const struct soak_stream *stream = &producer->streams[i];

        if (stream->connection.fd < 0 || stream->lost_count != 0 ||
            (!producer->is_paused && soak_stream_due(stream, now) < now - BEHIND_NS))
            return false;
    }
    return true;
}

static void notice(struct producer *producer)
{
    unsigned open = 0;

    for (size_t i = 0; i < STREAMS; i++) {
        struct soak_stream *stream = &producer->streams[i];

        open += soak_stream_open_count(stream);
        if (ty_load_connection_waiting(&stream->connection) != 0 &&
            now_ns(producer) - stream->answer_at_ns > ANSWER_NS) {
            soak_problem(&producer->load, "stream %u: no answer for two minutes: it hangs",
                         stream->plan.stream);
            producer->has_ended = true;
        }
    }
    if (producer->is_pause_unanswered && open == 0) {
        producer->is_pause_unanswered = false;
        answer("ok");
    }
    if (producer->is_settling && is_settled(producer)) {
        producer->is_settling = producer->load.is_disturbed = false;
        answer("settled");
    }
}

static bool init(struct producer *producer, uint64_t reach)
{
    producer->load.clock = ty_system_clock();
    producer->load.reach = reach;
    producer->load.is_disturbed = true;
    for (size_t i = 0; i < STREAMS; i++) {
        struct soak_plan plan = {.format = kinds[i].format,
                                 .id = kinds[i].id,
                                 .batch = kinds[i].batch,
                                 .stream = (unsigned)i};

        soak_plan_months(&plan, ty_clock_wall_ms(&producer->load.clock));
        if (!soak_stream_init(&producer->streams[i], &plan, kinds[i].outstanding))
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct producer producer;
    uint64_t reach = argc == 2 ? strtoull(argv[1], NULL, 10) : 0;

    if (reach == 0) {
        fprintf(stderr, "usage: soak_producer REACH\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if (!init(&producer, reach)) {
        fprintf(stderr, "soak_producer: no memory\n");
        return 1;
    }
    producer.is_paused = true; /* until the first "resume" */
    while (!producer.has_ended) {
        send_due(&producer);
        wait(&producer);
        notice(&producer);
    }
    for (size_t i = 0; i < STREAMS; i++)
        soak_stream_fini(&producer.streams[i]);
    return producer.load.counts.problems == 0 ? 0 : 1;
}
