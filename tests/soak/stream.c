#include "tests/soak/stream.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SECOND_NS     INT64_C(1000000000)
#define RECONNECT_NS  (SECOND_NS / 20)
#define REFUSED_NS    (SECOND_NS / 20)
#define PROBLEMS_MAX  20 /* that are printed */
#define ENOUGH_MARGIN 2  /* what is begun as a retry may be answered this many times later */

void soak_problem(struct soak_load *load, const char *format, ...)
{
    va_list arguments;

    if (load->counts.problems++ >= PROBLEMS_MAX)
        return;
    va_start(arguments, format);
    printf("problem ");
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
}

bool soak_stream_init(struct soak_stream *stream, const struct soak_plan *plan,
                      unsigned outstanding)
{
    struct ty_load_plan none = {.format = plan->format, .batch = 1, .customers = 1, .workflows = 1};

    *stream = (struct soak_stream){.plan = *plan};
    none.host = "";
    if (!ty_load_connection_init(&stream->connection, &none, outstanding))
        return false;
    /* The message of `tally bench` is not what is sent here. */
    ty_load_message_fini(&stream->connection.message);
    if (!soak_message_make(&stream->connection.message, plan))
        return false;
    stream->connection.written = stream->connection.message.bytes.length;
    return true;
}

void soak_stream_fini(struct soak_stream *stream)
{
    ty_load_connection_fini(&stream->connection);
}

/* --- The schedule --- */

void soak_stream_pace(struct soak_stream *stream, double rate, int64_t now_ns)
{
    stream->rate = rate;
    stream->start_ns = now_ns;
    stream->paced = 0;
}

int64_t soak_stream_due(const struct soak_stream *stream, int64_t now_ns)
{
    if (stream->rate <= 0)
        return now_ns;
    return stream->start_ns + (int64_t)((double)stream->paced / stream->rate * (double)SECOND_NS);
}

/* --- What is open --- */

static struct soak_sent *waiting_at(struct soak_stream *stream, uint64_t position)
{
    return &stream->sent[position % stream->connection.outstanding_max];
}

unsigned soak_stream_open_count(const struct soak_stream *stream)
{
    return (unsigned)ty_load_connection_waiting(&stream->connection) + stream->lost_count;
}

uint64_t soak_stream_oldest_mark(const struct soak_stream *stream, uint64_t most)
{
    const struct ty_load_connection *connection = &stream->connection;
    uint64_t oldest = most;

    for (uint64_t i = connection->reply_count; i < connection->sent_count; i++)
        oldest = TY_MIN(oldest, stream->sent[i % connection->outstanding_max].mark);
    for (unsigned i = 0; i < stream->lost_count; i++)
        oldest = TY_MIN(oldest, stream->lost[i].mark);
    return oldest;
}

/* Keeps a message that has no acknowledgement, to be sent again; a retry of one that had is left.
 */
static void lose(struct soak_stream *stream, const struct soak_sent *sent)
{
    if (sent->fate == SOAK_KNOWN)
        return;
    stream->lost[stream->lost_count] = *sent;
    stream->lost[stream->lost_count++].fate = SOAK_UNSURE;
}

static void drop(struct soak_stream *stream, struct soak_load *load)
{
    struct ty_load_connection *connection = &stream->connection;

    load->counts.drops++;
    if (!load->is_disturbed)
        soak_problem(load, "stream %u: the connection broke while nobody restarted the server",
                     stream->plan.stream);
    for (uint64_t i = connection->reply_count; i < connection->sent_count; i++) {
        waiting_at(stream, i)->is_disturbed = true;
        lose(stream, waiting_at(stream, i));
    }
    ty_load_connection_drop(connection);
    connection->retry_at_ns = ty_clock_mono_ns(&load->clock) + RECONNECT_NS;
}

/* --- Sending --- */

/* The next number of a linear congruential generator (Knuth's MMIX), its upper bits. */
static uint64_t roll(struct soak_load *load)
{
    load->dice = load->dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return load->dice >> 33;
}

/* One of those acknowledged lately, in one of some cases and if its ids are surely remembered. */
static bool choose_known(struct soak_stream *stream, struct soak_load *load, struct soak_sent *sent)
{
    uint64_t kept = TY_MIN(stream->known_count, (uint64_t)SOAK_KNOWN_MAX);

    if (kept == 0 || roll(load) % SOAK_AGAIN_ONE_IN != 0)
        return false;
    *sent = stream->known[(stream->known_count - 1 - roll(load) % kept) % SOAK_KNOWN_MAX];
    sent->fate = SOAK_KNOWN;
    return load->begun - sent->mark <= load->reach / ENOUGH_MARGIN;
}

static void make_fresh(struct soak_stream *stream, struct soak_load *load, struct soak_sent *sent)
{
    *sent = (struct soak_sent){.number = stream->next_number++,
                               .made_ms = ty_clock_wall_ms(&load->clock),
                               .mark = load->begun,
                               .fate = SOAK_FRESH};
    load->begun += stream->plan.batch;
}

static bool choose(struct soak_stream *stream, struct soak_load *load, uint64_t oldest,
                   bool only_lost, struct soak_sent *sent)
{
    int64_t now = ty_clock_mono_ns(&load->clock), due = soak_stream_due(stream, now);

    if (now < stream->retry_at_ns)
        return false;
    if (stream->lost_count != 0) {
        *sent = stream->lost[0];
        memmove(stream->lost, stream->lost + 1, --stream->lost_count * sizeof(*sent));
        return true;
    }
    if (only_lost || due > now || load->begun - TY_MIN(oldest, load->begun) > load->reach)
        return false;
    if (!choose_known(stream, load, sent))
        make_fresh(stream, load, sent);
    stream->paced += stream->plan.batch;
    sent->due_ns = due;
    sent->is_disturbed = load->is_disturbed;
    return true;
}

static void begin(struct soak_stream *stream, struct soak_load *load, const struct soak_sent *sent)
{
    struct ty_load_connection *connection = &stream->connection;

    if (ty_load_connection_waiting(connection) == 0)
        stream->answer_at_ns = ty_clock_mono_ns(&load->clock);
    *waiting_at(stream, connection->sent_count) = *sent;
    connection->sent[connection->sent_count++ % connection->outstanding_max] =
        (struct ty_load_sent){.number = sent->number, .due_ns = sent->due_ns};
    soak_message_stamp(&connection->message, &stream->plan, sent->number, sent->made_ms);
    connection->written = 0;
}

void soak_stream_write(struct soak_stream *stream, struct soak_load *load)
{
    if (!ty_load_connection_write(&stream->connection))
        drop(stream, load);
}

void soak_stream_send(struct soak_stream *stream, struct soak_load *load, uint64_t oldest,
                      bool only_lost)
{
    struct soak_sent sent;

    while (ty_load_connection_is_free(&stream->connection) &&
           choose(stream, load, oldest, only_lost, &sent)) {
        begin(stream, load, &sent);
        soak_stream_write(stream, load);
    }
}

/* --- Receiving --- */

static void count_documents(struct soak_stream *stream, struct soak_load *load,
                            const struct soak_sent *sent)
{
    for (size_t i = 0; i < stream->plan.batch; i++) {
        struct soak_event event = soak_event_make(&stream->plan, sent->number, i, sent->made_ms);

        load->totals[event.customer][event.workflow][event.month] += event.documents;
    }
}

static void acknowledge(struct soak_stream *stream, struct soak_load *load,
                        const struct soak_sent *sent)
{
    bool forward = stream->connection.message.chunk != 0;
    int64_t now = ty_clock_mono_ns(&load->clock);
    uint64_t *count = sent->fate == SOAK_FRESH    ? &load->counts.fresh_events
                      : sent->fate == SOAK_UNSURE ? &load->counts.unsure_events
                                                  : &load->counts.known_events;

    *count += stream->plan.batch;
    load->counts.messages++;
    stream->events += stream->plan.batch;
    ty_latency_record(&load->all[forward], now - sent->due_ns);
    if (!sent->is_disturbed && !load->is_disturbed)
        ty_latency_record(&load->calm[forward], now - sent->due_ns);
    if (sent->fate == SOAK_KNOWN)
        return;
    count_documents(stream, load, sent);
    stream->known[stream->known_count++ % SOAK_KNOWN_MAX] = *sent;
}

static bool is_right(const struct soak_sent *sent, const struct ty_load_reply *reply, size_t batch)
{
    switch (sent->fate) {
    case SOAK_FRESH:
        return reply->accepted == batch && reply->duplicates == 0;
    case SOAK_UNSURE:
        return reply->accepted + reply->duplicates == batch;
    default:
        return reply->accepted == 0 && reply->duplicates == batch;
    }
}

static void take_http(struct soak_stream *stream, struct soak_load *load,
                      const struct ty_load_reply *reply, struct soak_sent *sent)
{
    static const char *const fates[] = {"new", "unanswered", "acknowledged"};

    if (reply->status == 429 || reply->status == 503) {
        load->counts.refusals++;
        lose(stream, sent);
        stream->retry_at_ns = ty_clock_mono_ns(&load->clock) + REFUSED_NS;
        return;
    }
    if (reply->status != 200 || !is_right(sent, reply, stream->plan.batch))
        soak_problem(load,
                     "stream %u: message %" PRIu64 " (%s) of %zu events was answered with status "
                     "%d, %" PRIu64 " accepted, %" PRIu64 " duplicates",
                     stream->plan.stream, sent->number, fates[sent->fate], stream->plan.batch,
                     reply->status, reply->accepted, reply->duplicates);
    if (reply->status == 200)
        acknowledge(stream, load, sent);
}

void soak_stream_receive(struct soak_stream *stream, struct soak_load *load)
{
    struct ty_load_connection *connection = &stream->connection;
    bool is_open = ty_load_connection_read(connection);
    struct ty_load_reply reply;
    struct ty_load_sent number;
    enum ty_load_step step;

    while ((step = ty_load_connection_next(connection, &reply, &number)) == TY_LOAD_ANSWERED) {
        struct soak_sent *sent = waiting_at(stream, connection->reply_count - 1);

        stream->answer_at_ns = ty_clock_mono_ns(&load->clock);
        if (connection->message.chunk != 0)
            acknowledge(stream, load, sent);
        else
            take_http(stream, load, &reply, sent);
    }
    if (step == TY_LOAD_BROKEN) {
        soak_problem(load, "stream %u: an answer that no Tally server gives", stream->plan.stream);
        is_open = false;
    }
    if (!is_open)
        drop(stream, load);
}
