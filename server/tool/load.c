#include "server/tool/load.h"

#include "server/tool/load_connection.h"
#include "shard/system_clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS    INT64_C(1000000000)
#define RECONNECT_NS (SECOND_NS / 10)
#define ANSWERS_NS   (10 * SECOND_NS) /* how long the last answers may take */
#define WAIT_NS_MAX  (SECOND_NS / 10)

struct load {
    const struct ty_load_options *options;
    const volatile sig_atomic_t *stop;
    struct ty_load_result *result;
    struct ty_clock clock;
    struct ty_load_connection *connections;
    struct pollfd *polls;
    int64_t start_ns;
    int64_t measured_ns; /* from when on it is measured */
    int64_t last_ns;     /* when the last answer came */
    uint64_t begun;      /* messages */
    uint64_t begun_max;
    bool is_broken; /* something answers that is no Tally server */
};

static int64_t now_ns(const struct load *load)
{
    return ty_clock_mono_ns(&load->clock);
}

/* When the next message is due; in a closed loop at once. */
static int64_t next_due_ns(const struct load *load, int64_t now)
{
    double interval_ns;

    if (load->options->rate <= 0)
        return now;
    interval_ns = (double)load->options->plan.batch / load->options->rate * (double)SECOND_NS;
    return load->start_ns + (int64_t)((double)load->begun * interval_ns);
}

static bool has_ended(const struct load *load, int64_t now)
{
    int64_t duration_ms = load->options->duration_ms;

    if (*load->stop != 0 || load->begun >= load->begun_max || load->is_broken)
        return true;
    return duration_ms != 0 && now - load->measured_ns >= duration_ms * 1000000;
}

/* --- Connections that break are made again: a server under test may be restarted. --- */

static void drop(struct load *load, struct ty_load_connection *connection)
{
    load->result->lost += ty_load_connection_drop(connection);
    connection->retry_at_ns = now_ns(load) + RECONNECT_NS;
}

static void reconnect(struct load *load, struct ty_load_connection *connection, int64_t now)
{
    if (connection->fd >= 0 || now < connection->retry_at_ns)
        return;
    if (ty_load_connection_open(connection, load->options->address))
        load->result->reconnects++;
    else
        connection->retry_at_ns = now + RECONNECT_NS;
}

/* --- Sending --- */

static void send_due(struct load *load, struct ty_load_connection *connection)
{
    while (ty_load_connection_is_free(connection)) {
        int64_t now = now_ns(load), due = next_due_ns(load, now);

        if (due > now || has_ended(load, now))
            return;
        ty_load_connection_begin(connection, load->begun++, due, ty_clock_wall_ms(&load->clock));
        if (!ty_load_connection_write(connection)) {
            drop(load, connection);
            return;
        }
    }
}

/* --- Receiving --- */

static void count_reply(struct load *load, const struct ty_load_connection *connection,
                        const struct ty_load_reply *reply, const struct ty_load_sent *sent)
{
    struct ty_load_result *result = load->result;
    size_t batch = load->options->plan.batch;

    if (sent->due_ns < load->measured_ns)
        return;
    load->last_ns = now_ns(load);
    result->messages++;
    result->bytes += connection->message.bytes.length;
    ty_latency_record(&result->latency, load->last_ns - sent->due_ns);
    if (connection->message.chunk != 0) {
        result->accepted += batch;
    } else if (reply->status == 200) {
        result->accepted += reply->accepted;
        result->duplicates += reply->duplicates;
        result->rejected += batch - reply->accepted - reply->duplicates;
    } else {
        result->refusals++;
        result->refusal_status = reply->status;
    }
}

static void receive(struct load *load, struct ty_load_connection *connection)
{
    bool is_open = ty_load_connection_read(connection);
    struct ty_load_reply reply;
    struct ty_load_sent sent;
    enum ty_load_step step;

    while ((step = ty_load_connection_next(connection, &reply, &sent)) == TY_LOAD_ANSWERED)
        count_reply(load, connection, &reply, &sent);
    if (step == TY_LOAD_BROKEN)
        load->is_broken = true;
    if (!is_open)
        drop(load, connection);
}

/* --- The loop --- */

/* Waits for the sockets, at most until the next message is due. */
static void wait(struct load *load, bool sending)
{
    int64_t now = now_ns(load), wait_ns = WAIT_NS_MAX;
    struct timespec timeout;

    for (unsigned i = 0; i < load->options->connections; i++) {
        const struct ty_load_connection *connection = &load->connections[i];
        bool writing = connection->written < connection->message.bytes.length;

        load->polls[i] = (struct pollfd){.fd = connection->fd,
                                         .events = (short)(POLLIN | (writing ? POLLOUT : 0))};
        if (sending && ty_load_connection_is_free(connection))
            wait_ns = TY_MIN(wait_ns, TY_MAX(next_due_ns(load, now) - now, INT64_C(0)));
    }
    timeout = (struct timespec){.tv_sec = wait_ns / SECOND_NS, .tv_nsec = wait_ns % SECOND_NS};
    if (ppoll(load->polls, load->options->connections, &timeout, NULL) <= 0)
        return;
    for (unsigned i = 0; i < load->options->connections; i++) {
        struct ty_load_connection *connection = &load->connections[i];

        if ((load->polls[i].revents & POLLOUT) != 0 && !ty_load_connection_write(connection))
            drop(load, connection);
        if ((load->polls[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && connection->fd >= 0)
            receive(load, connection);
    }
}

static uint64_t count_waiting(const struct load *load)
{
    uint64_t waiting = 0;

    for (unsigned i = 0; i < load->options->connections; i++)
        waiting += ty_load_connection_waiting(&load->connections[i]);
    return waiting;
}

static void send_all(struct load *load)
{
    while (!has_ended(load, now_ns(load))) {
        for (unsigned i = 0; i < load->options->connections; i++) {
            reconnect(load, &load->connections[i], now_ns(load));
            send_due(load, &load->connections[i]);
        }
        wait(load, true);
    }
}

static void wait_for_answers(struct load *load)
{
    int64_t end_ns = now_ns(load) + ANSWERS_NS;

    while (count_waiting(load) != 0 && now_ns(load) < end_ns && !load->is_broken)
        wait(load, false);
    load->result->lost += count_waiting(load);
}

static bool open_connections(struct load *load, char problem[256])
{
    const struct ty_load_options *options = load->options;

    for (unsigned i = 0; i < options->connections; i++) {
        struct ty_load_plan plan = options->plan;

        plan.stream = i;
        if (!ty_load_connection_init(&load->connections[i], &plan, options->outstanding)) {
            snprintf(problem, 256, "no memory for %u connections", options->connections);
            return false;
        }
    }
    for (unsigned i = 0; i < options->connections; i++)
        if (!ty_load_connection_open(&load->connections[i], options->address)) {
            snprintf(problem, 256, "cannot connect to %s: %s", options->address,
                     errno == 0 ? "no such address" : strerror(errno));
            return false;
        }
    return true;
}

static void run(struct load *load)
{
    load->start_ns = now_ns(load);
    load->measured_ns = load->last_ns = load->start_ns + load->options->warm_up_ms * 1000000;
    send_all(load);
    wait_for_answers(load);
    load->result->seconds = (double)(load->last_ns - load->measured_ns) / (double)SECOND_NS;
}

bool ty_load_run(const struct ty_load_options *options, const volatile sig_atomic_t *stop,
                 struct ty_load_result *result, char problem[256])
{
    struct load load = {.options = options,
                        .stop = stop,
                        .result = result,
                        .clock = ty_system_clock(),
                        .begun_max = options->events == 0 ? UINT64_MAX
                                                          : options->events / options->plan.batch};
    bool ok = false;

    *result = (struct ty_load_result){0};
    load.connections = calloc(options->connections, sizeof(*load.connections));
    load.polls = calloc(options->connections, sizeof(*load.polls));
    for (unsigned i = 0; load.connections != NULL && i < options->connections; i++)
        load.connections[i].fd = -1;
    if (load.connections == NULL || load.polls == NULL)
        snprintf(problem, 256, "no memory for %u connections", options->connections);
    else if (open_connections(&load, problem))
        ok = true;
    if (ok)
        run(&load);
    if (load.is_broken) {
        snprintf(problem, 256, "%s answers what no Tally server does", options->address);
        ok = false;
    }
    for (unsigned i = 0; load.connections != NULL && i < options->connections; i++)
        ty_load_connection_fini(&load.connections[i]);
    free(load.connections);
    free(load.polls);
    return ok;
}
