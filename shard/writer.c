#include "shard/writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Events, voids and closings weigh 1; a reject weighs what an event does for every 64 bytes that
 * are kept of it. */
#define COMMIT_WEIGHT_MAX   ((uint64_t)32768)   /* taken into one commit, a single part excepted */
#define QUEUE_WEIGHT_MAX    ((uint64_t)1 << 20) /* waiting */
#define REJECT_WEIGHT_BYTES 64

/* What the store's thread is at. */
enum phase { IDLE, STORING, STORED, ENDING };

struct ty_writer {
    struct ty_shard *shard;
    struct ty_shard_stats *stats;
    uint64_t prepared_weight; /* the writer's: of what is decided and not launched */
    pthread_t thread;
    pthread_t store_thread;
    pthread_mutex_t lock;    /* guards the members below */
    pthread_cond_t filled;   /* there is something to do for the writer */
    pthread_cond_t launched; /* for the store's thread */
    enum phase phase;
    struct ty_part *first;
    struct ty_part **last; /* where the next part is linked */
    uint64_t queued_weight;
    uint64_t queued_events; /* and rejects, and voids */
    uint64_t queued_parts;
    bool stopping;
};

static void publish_queue(struct ty_writer *writer)
{
    ty_atomic_store(&writer->stats->queued_events, writer->queued_events, memory_order_relaxed);
    ty_atomic_store(&writer->stats->queued_batches, writer->queued_parts, memory_order_relaxed);
}

static uint64_t weigh(const struct ty_part *part)
{
    uint64_t weight = part->count + part->void_count + (part->close != NULL);

    for (size_t i = 0; i < part->reject_count; i++) {
        size_t length = part->rejects[i].record.length;

        weight += 1 + TY_MIN(length, TY_REJECT_RECORD_BYTES_MAX) / REJECT_WEIGHT_BYTES;
    }
    return weight;
}

/* Takes parts off the queue: of this weight together, but one of any weight. Under the lock. */
static struct ty_part *take_parts(struct ty_writer *writer, uint64_t most)
{
    struct ty_part *taken = writer->first, **end = &taken;
    uint64_t weight = 0;

    while (*end != NULL && (end == &taken || weight + (*end)->weight <= most)) {
        weight += (*end)->weight;
        writer->queued_events -= (*end)->count + (*end)->reject_count + (*end)->void_count;
        writer->queued_parts--;
        end = &(*end)->next;
    }
    writer->first = *end;
    if (writer->first == NULL)
        writer->last = &writer->first;
    *end = NULL;
    writer->queued_weight -= weight;
    publish_queue(writer);
    return taken;
}

static struct timespec deadline(int64_t timeout_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return until;
}

/* Whether the first part in the queue may come to those that are prepared. Under the lock. */
static bool has_room(const struct ty_writer *writer)
{
    return writer->first != NULL &&
           (writer->prepared_weight == 0 ||
            writer->prepared_weight + writer->first->weight <= COMMIT_WEIGHT_MAX);
}

/* Waits until there are parts to be taken, or a commit is stored; else at most timeout_ms. NULL
 * when there are none. */
static struct ty_part *wait_for_parts(struct ty_writer *writer, int64_t timeout_ms, bool *stopping)
{
    struct timespec until = deadline(timeout_ms);
    struct ty_part *parts = NULL;

    pthread_mutex_lock(&writer->lock);
    while (!has_room(writer) && writer->phase != STORED &&
           !(writer->phase == IDLE && writer->stopping)) {
        if (writer->phase == STORING)
            pthread_cond_wait(&writer->filled, &writer->lock);
        else if (pthread_cond_timedwait(&writer->filled, &writer->lock, &until) == ETIMEDOUT)
            break;
    }
    if (writer->phase != STORED && has_room(writer)) /* First who waits for an answer. */
        parts = take_parts(writer, COMMIT_WEIGHT_MAX - writer->prepared_weight);
    *stopping = writer->stopping;
    pthread_mutex_unlock(&writer->lock);
    return parts;
}

static void finish_parts(struct ty_part *part)
{
    while (part != NULL) {
        struct ty_part *next = part->next; /* done() may free the part */

        part->done(part);
        part = next;
    }
}

static void commit_alone(struct ty_writer *writer, struct ty_part *parts)
{
    if (parts == NULL)
        return;
    ty_shard_commit(writer->shard, parts);
    finish_parts(parts);
}

/* --- Commits ahead (pipeline.c). While a phase is STORING, only the store's thread changes it. ---
 */

static void set_phase(struct ty_writer *writer, enum phase phase, pthread_cond_t *whom)
{
    pthread_mutex_lock(&writer->lock);
    writer->phase = phase;
    pthread_cond_signal(whom);
    pthread_mutex_unlock(&writer->lock);
}

static void *run_store(void *argument)
{
    struct ty_writer *writer = argument;

    for (;;) {
        pthread_mutex_lock(&writer->lock);
        while (writer->phase != STORING && writer->phase != ENDING)
            pthread_cond_wait(&writer->launched, &writer->lock);
        if (writer->phase == ENDING) {
            pthread_mutex_unlock(&writer->lock);
            return NULL;
        }
        pthread_mutex_unlock(&writer->lock);
        ty_shard_store(writer->shard);
        set_phase(writer, STORED, &writer->filled);
    }
}

static bool is_storing(struct ty_writer *writer)
{
    enum phase phase;

    pthread_mutex_lock(&writer->lock);
    phase = writer->phase;
    pthread_mutex_unlock(&writer->lock);
    return phase == STORING;
}

static void await_stored(struct ty_writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    while (writer->phase == STORING)
        pthread_cond_wait(&writer->filled, &writer->lock);
    pthread_mutex_unlock(&writer->lock);
}

/* What is stored lands, what is prepared is launched: it is on its way while readers are shown the
 * one before, and callers are answered. */
static void turn(struct ty_writer *writer)
{
    bool launched;

    ty_shard_land(writer->shard);
    launched = ty_shard_launch(writer->shard);
    writer->prepared_weight = 0;
    if (launched)
        set_phase(writer, STORING, &writer->launched);
    else
        set_phase(writer, IDLE, &writer->launched);
    finish_parts(ty_shard_publish(writer->shard));
    if (!launched)
        commit_alone(writer, ty_shard_withdraw(writer->shard));
}

static void commit(struct ty_writer *writer, struct ty_part *parts)
{
    if (ty_shard_may_prepare(writer->shard, parts)) {
        for (const struct ty_part *part = parts; part != NULL; part = part->next)
            writer->prepared_weight += part->weight;
        ty_shard_prepare(writer->shard, parts);
        return;
    }
    while (ty_shard_is_ahead(writer->shard)) {
        await_stored(writer);
        turn(writer);
    }
    commit_alone(writer, parts);
}

static void *run(void *argument)
{
    struct ty_writer *writer = argument;
    int64_t timeout_ms = 0;
    bool stopping = false;

    for (;;) {
        struct ty_part *parts = wait_for_parts(writer, timeout_ms, &stopping);
        bool idle = parts == NULL && !ty_shard_is_ahead(writer->shard);

        if (idle && stopping)
            return NULL;
        timeout_ms = idle ? ty_shard_maintain(writer->shard) : 1000;
        if (parts != NULL)
            commit(writer, parts);
        if (ty_shard_is_ahead(writer->shard) && !is_storing(writer))
            turn(writer);
    }
}

static bool init_sync(struct ty_writer *writer)
{
    pthread_condattr_t attributes;

    if (pthread_condattr_init(&attributes) != 0)
        return false;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (pthread_cond_init(&writer->filled, &attributes) != 0) {
        pthread_condattr_destroy(&attributes);
        return false;
    }
    pthread_condattr_destroy(&attributes);
    return pthread_cond_init(&writer->launched, NULL) == 0 &&
           pthread_mutex_init(&writer->lock, NULL) == 0;
}

static bool start_threads(struct ty_writer *writer)
{
    if (pthread_create(&writer->store_thread, NULL, run_store, writer) != 0)
        return false;
    if (pthread_create(&writer->thread, NULL, run, writer) == 0)
        return true;
    set_phase(writer, ENDING, &writer->launched);
    pthread_join(writer->store_thread, NULL);
    return false;
}

struct ty_writer *ty_writer_start(struct ty_shard *shard)
{
    struct ty_writer *writer = calloc(1, sizeof(*writer));

    if (writer == NULL)
        return NULL;
    writer->shard = shard;
    writer->stats = ty_shard_stats(shard);
    writer->last = &writer->first;
    if (init_sync(writer) && start_threads(writer))
        return writer;
    free(writer);
    return NULL;
}

bool ty_writer_push(struct ty_writer *writer, struct ty_part *first)
{
    uint64_t weight = 0, events = 0, parts = 0;
    struct ty_part *last = first;
    bool fits;

    for (struct ty_part *part = first; part != NULL; part = part->next) {
        part->weight = weigh(part);
        weight += part->weight;
        events += part->count + part->reject_count + part->void_count;
        parts++;
        last = part;
    }
    pthread_mutex_lock(&writer->lock);
    fits = !writer->stopping &&
           (writer->queued_weight == 0 || writer->queued_weight + weight <= QUEUE_WEIGHT_MAX);
    if (fits) {
        *writer->last = first;
        writer->last = &last->next;
        writer->queued_weight += weight;
        writer->queued_events += events;
        writer->queued_parts += parts;
        publish_queue(writer);
        pthread_cond_signal(&writer->filled);
    }
    pthread_mutex_unlock(&writer->lock);
    if (!fits)
        ty_atomic_add(&writer->stats->busy_batches, 1, memory_order_relaxed);
    return fits;
}

void ty_writer_stop(struct ty_writer *writer)
{
    if (writer == NULL)
        return;
    pthread_mutex_lock(&writer->lock);
    writer->stopping = true;
    pthread_cond_signal(&writer->filled);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->thread, NULL);
    set_phase(writer, ENDING, &writer->launched);
    pthread_join(writer->store_thread, NULL);
    pthread_cond_destroy(&writer->filled);
    pthread_cond_destroy(&writer->launched);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}
