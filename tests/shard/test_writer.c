#include "shard/writer.h"
#include "tests/support/gate.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS      4096
#define QUEUE_MAX (UINT32_C(1) << 20) /* events that may wait */

/* A part with a batch of its own: one event, as often as its count says. */
struct job {
    struct ty_part part;
    struct ty_batch batch;
    char id[16];
    unsigned place; /* in the order of being done; 0: not done */
};

static struct ty_world world;
static struct ty_gate gate;
static struct ty_writer *writer;
static struct job jobs[JOBS];
static uint32_t *same_event; /* QUEUE_MAX + JOBS zeros: indexes of the first event */
static unsigned done_count;  /* guarded by gate.lock */

static void init(void)
{
    ty_world_init(&world);
    ty_gate_init(&gate);
    world.options.faults = &gate.faults;
    ty_world_open(&world);
    ty_shard_maintain(world.shard); /* What a crash may have left is looked for once. */
    same_event = calloc(QUEUE_MAX + JOBS, sizeof(*same_event));
    writer = ty_writer_start(world.shard);
    cr_assert_not_null(writer);
}

static void fini(void)
{
    ty_gate_open(&gate);
    ty_writer_stop(writer);
    for (size_t i = 0; i < JOBS; i++)
        ty_batch_fini(&jobs[i].batch);
    free(same_event);
    ty_world_fini(&world);
}

TestSuite(writer, .init = init, .fini = fini);

static void note_done(struct ty_part *part)
{
    struct job *job = TY_CONTAINER_OF(part, struct job, part);

    pthread_mutex_lock(&gate.lock);
    job->place = ++done_count;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void await_done(unsigned count)
{
    pthread_mutex_lock(&gate.lock);
    while (done_count < count)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static struct ty_part *make_job(unsigned number, uint32_t count)
{
    struct job *job = &jobs[number];
    struct ty_event *event = ty_batch_add(&job->batch);

    snprintf(job->id, sizeof(job->id), "job-%u", number);
    *event = ty_world_event(&world, 1, 1, job->id);
    ty_batch_seal(&job->batch, &world.shard->secret);
    job->part = (struct ty_part){
        .batch = &job->batch, .indexes = same_event, .count = count, .done = note_done};
    return &job->part;
}

/* Pushes a job whose commit stops at the gate. */
static void start_a_commit(void)
{
    ty_gate_close(&gate);
    cr_assert(ty_writer_push(writer, make_job(0, 1)));
    ty_gate_await(&gate, 1);
}

static uint64_t stat_of(_Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

static uint64_t commits(void)
{
    return stat_of(&ty_shard_stats(world.shard)->commits);
}

/* Without an answer a client waits for ever. */
Test(writer, commits_a_part_and_says_so)
{
    cr_assert(ty_writer_push(writer, make_job(0, 1)));
    await_done(1);
    cr_assert_eq(jobs[0].part.status, TALLY_OK);
    cr_assert_eq(jobs[0].batch.outcomes[0].result, TALLY_ACCEPTED);
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_MONTHLY, "2023-02").events, 1,
                 "visible when it is done");
    cr_assert_eq(commits(), 1);
}

/* One fsync for all that waited is what makes many clients fast. */
Test(writer, what_arrives_during_a_commit_is_the_next_one)
{
    start_a_commit();
    for (unsigned i = 1; i <= 50; i++)
        cr_assert(ty_writer_push(writer, make_job(i, 1)));
    cr_assert_eq(stat_of(&ty_shard_stats(world.shard)->queued_events), 50);
    cr_assert_eq(stat_of(&ty_shard_stats(world.shard)->queued_batches), 50);
    ty_gate_open(&gate);
    await_done(51);
    cr_assert_eq(commits(), 2);
    for (unsigned i = 0; i <= 50; i++) {
        cr_assert_eq(jobs[i].place, i + 1, "job %u was answered as number %u", i, jobs[i].place);
        cr_assert_eq(jobs[i].batch.outcomes[0].result, TALLY_ACCEPTED);
    }
    cr_assert_eq(stat_of(&ty_shard_stats(world.shard)->queued_events), 0);
    cr_assert_eq(stat_of(&ty_shard_stats(world.shard)->queued_batches), 0);
}

/* Parts pushed together are queued together, in their order. */
Test(writer, a_list_of_parts_is_queued_as_a_whole)
{
    start_a_commit();
    for (unsigned i = 1; i <= 4; i++)
        make_job(i, 1);
    for (unsigned i = 1; i < 4; i++)
        jobs[i].part.next = &jobs[i + 1].part;
    cr_assert(ty_writer_push(writer, &jobs[1].part));
    cr_assert(ty_writer_push(writer, make_job(5, 1)));
    ty_gate_open(&gate);
    await_done(6);
    for (unsigned i = 0; i <= 5; i++)
        cr_assert_eq(jobs[i].place, i + 1);
    cr_assert_eq(commits(), 2);
}

/* A flood must not make one endless commit that nobody gets an answer from. */
Test(writer, a_commit_takes_a_bounded_number_of_events)
{
    static const uint32_t counts[] = {20000, 12768, 1, 40000, 10000, 10000, 10000};

    start_a_commit();
    for (unsigned i = 0; i < TY_COUNT_OF(counts); i++)
        cr_assert(ty_writer_push(writer, make_job(i + 1, counts[i])));
    ty_gate_open(&gate);
    await_done(TY_COUNT_OF(counts) + 1);
    /* The first; 32,768 together; the 1 that did not fit; the large one alone; three together. */
    cr_assert_eq(commits(), 5, "%llu commits", (unsigned long long)commits());
    for (unsigned i = 0; i <= TY_COUNT_OF(counts); i++) {
        cr_assert_eq(jobs[i].place, i + 1);
        cr_assert_eq(jobs[i].part.status, TALLY_OK);
    }
}

/* Memory must not grow without end when the disk cannot follow. */
Test(writer, refuses_what_does_not_fit_into_the_queue)
{
    start_a_commit();
    cr_assert(ty_writer_push(writer, make_job(1, QUEUE_MAX - 1)));
    cr_assert(ty_writer_push(writer, make_job(2, 1)), "exactly full");
    cr_assert_not(ty_writer_push(writer, make_job(3, 1)));
    cr_assert_eq(stat_of(&ty_shard_stats(world.shard)->queued_events), QUEUE_MAX);
    ty_gate_open(&gate);
    await_done(3);
    cr_assert_eq(jobs[3].place, 0, "refused and yet answered");
    cr_assert(ty_writer_push(writer, &jobs[3].part), "room again");
    await_done(4);
    cr_assert_eq(jobs[3].batch.outcomes[0].result, TALLY_ACCEPTED);
}

/* Nothing is too large for an empty queue, or it could never be stored. */
Test(writer, an_empty_queue_takes_a_part_of_any_size)
{
    start_a_commit();
    cr_assert(ty_writer_push(writer, make_job(1, QUEUE_MAX + 1)));
    cr_assert_not(ty_writer_push(writer, make_job(2, 1)));
    ty_gate_open(&gate);
    await_done(2);
    cr_assert_eq(jobs[1].part.status, TALLY_OK);
}

static void *stop_writer(void *argument)
{
    ty_writer_stop(argument);
    return NULL;
}

/* A stop must answer everybody who was let in, and let nobody in any more. */
Test(writer, a_stop_commits_what_is_queued)
{
    unsigned pushed = 1;
    pthread_t stopper;

    start_a_commit();
    cr_assert_eq(pthread_create(&stopper, NULL, stop_writer, writer), 0);
    while (pushed < JOBS && ty_writer_push(writer, make_job(pushed, 1))) {
        pushed++;
        sched_yield();
    }
    ty_gate_open(&gate);
    pthread_join(stopper, NULL);
    writer = NULL;
    cr_assert_eq(done_count, pushed);
    for (unsigned i = 0; i < pushed; i++) {
        cr_assert_eq(jobs[i].place, i + 1);
        cr_assert_eq(jobs[i].batch.outcomes[0].result, TALLY_ACCEPTED);
    }
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_MONTHLY, "2023-02").events, pushed);
}

/* --- Commits ahead: of 512 events and more --- */

#define MANY 600

/* While the store's thread stands at the gate, the writer decides what comes; it is answered in
 * order, and what needs more than events waits its turn. */
Test(writer, what_arrives_while_a_commit_is_stored_is_decided_and_answered_in_order)
{
    struct ty_close close = {.customer = ty_world_customer(1), .through = 0};

    ty_gate_close(&gate);
    cr_assert(ty_writer_push(writer, make_job(0, MANY)));
    ty_gate_await(&gate, 1);
    for (unsigned i = 1; i <= 20; i++) {
        struct ty_part *part = make_job(i, i == 10 ? MANY : 1);

        if (i == 12) {
            part->count = 0;
            part->close = &close;
        }
        cr_assert(ty_writer_push(writer, part));
    }
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_MONTHLY, "2023-02").events, 0);
    ty_gate_open(&gate);
    await_done(21);
    for (unsigned i = 0; i <= 20; i++) {
        cr_assert_eq(jobs[i].place, i + 1, "job %u was answered as number %u", i, jobs[i].place);
        cr_assert_eq(jobs[i].part.status, TALLY_OK);
        cr_assert(i == 12 || jobs[i].batch.outcomes[0].result == TALLY_DUPLICATE ||
                  jobs[i].batch.outcomes[0].result == TALLY_ACCEPTED);
    }
    cr_assert_eq(close.result, TY_CLOSE_DONE);
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_MONTHLY, "2023-02").events, 20);
}

/* A stop must finish what is being stored, and what was decided on top of it. */
Test(writer, a_stop_answers_what_is_ahead)
{
    pthread_t stopper;

    ty_gate_close(&gate);
    cr_assert(ty_writer_push(writer, make_job(0, MANY)));
    ty_gate_await(&gate, 1);
    cr_assert(ty_writer_push(writer, make_job(1, MANY)));
    cr_assert(ty_writer_push(writer, make_job(2, 1)));
    cr_assert_eq(pthread_create(&stopper, NULL, stop_writer, writer), 0);
    ty_gate_open(&gate);
    pthread_join(stopper, NULL);
    writer = NULL;
    cr_assert_eq(done_count, 3);
    cr_assert_not(ty_shard_is_ahead(world.shard));
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_MONTHLY, "2023-02").events, 3);
}

static int fail_at_gate(void *context, enum ty_fault_point point)
{
    int code = ty_gate_hit(context, point);
    bool fails;

    pthread_mutex_lock(&gate.lock);
    fails = point == TY_FAULT_COMMIT && done_count == 0;
    pthread_mutex_unlock(&gate.lock);
    return fails ? ENOSPC : code;
}

/* The one that fails is told so; what was decided on top of it is stored all the same. */
Test(writer, a_commit_ahead_that_fails_does_not_take_the_next_one_along)
{
    ty_writer_stop(writer);
    ty_world_crash(&world);
    gate.faults.hit = fail_at_gate;
    done_count = 1;
    ty_world_open(&world);
    ty_shard_maintain(world.shard);
    writer = ty_writer_start(world.shard);
    done_count = 0;
    ty_gate_close(&gate);
    cr_assert(ty_writer_push(writer, make_job(0, MANY)));
    ty_gate_await(&gate, 1);
    cr_assert(ty_writer_push(writer, make_job(1, MANY)));
    ty_gate_open(&gate);
    await_done(2);
    cr_assert_eq(jobs[0].part.status, TALLY_FULL);
    cr_assert_eq(jobs[0].batch.outcomes[0].result, TALLY_NOT_STORED);
    cr_assert_eq(jobs[1].part.status, TALLY_OK, "%s", jobs[1].part.problem);
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_MONTHLY, "2023-02").events, 1);
}

/* Whoever waits for a commit that fails must be told, too. */
Test(writer, a_failed_commit_is_answered)
{
    ty_writer_stop(writer);
    ty_world_crash(&world);
    world.options.faults = &world.faults;
    ty_world_open(&world);
    ty_world_fail(&world, TY_FAULT_PUT, 0, ENOSPC);
    writer = ty_writer_start(world.shard);
    cr_assert(ty_writer_push(writer, make_job(0, 1)));
    await_done(1);
    cr_assert_eq(jobs[0].part.status, TALLY_FULL);
    cr_assert_not_null(jobs[0].part.problem);
    cr_assert_eq(jobs[0].batch.outcomes[0].result, TALLY_NOT_STORED);
    cr_assert(ty_writer_push(writer, &jobs[0].part));
    await_done(2);
    cr_assert_eq(jobs[0].batch.outcomes[0].result, TALLY_ACCEPTED);
}

/* Without events months must be written all the same, or every restart replays them. */
Test(writer, an_idle_writer_does_the_maintenance)
{
    struct ty_event event = ty_world_event(&world, 1, 1, "a");

    ty_writer_stop(writer);
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    ty_world_pass(&world, world.options.checkpoint_ms + 1);
    ty_gate_close(&gate);
    writer = ty_writer_start(world.shard);
    ty_gate_await(&gate, 1); /* it puts a month, though nobody asked */
    ty_gate_open(&gate);
    ty_writer_stop(writer);
    writer = NULL;
    cr_assert_eq(stat_of(&ty_shard_stats(world.shard)->checkpointed_months), 1);
    cr_assert_eq(world.shard->hot.dirty_count, 0);
}

/* Cleaning up after a start that failed. */
Test(writer, stopping_nothing_is_fine)
{
    ty_writer_stop(NULL);
}
