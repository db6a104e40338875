/*
 * pipeline_fixture.h: a shard whose commits a test prepares, launches, stores and lands step by
 * step.
 *
 * Threads: each test is a process of its own.
 */
#ifndef TY_TESTS_SHARD_PIPELINE_FIXTURE_H
#define TY_TESTS_SHARD_PIPELINE_FIXTURE_H

#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOADS        4
#define LAUNCHES_MAX 100
#define MANY         1000 /* events: enough to go ahead of others */

static struct ty_world world;
static struct ty_batch batches[LOADS];
static struct ty_part parts[LOADS];

/* What a crash left of ids is looked for first: that is maintenance. */
static inline void open_world(void)
{
    ty_world_open(&world);
    ty_shard_maintain(world.shard);
}

static inline void init(void)
{
    ty_world_init(&world);
    open_world();
}

static inline void fini(void)
{
    for (size_t i = 0; i < LOADS; i++)
        ty_batch_fini(&batches[i]);
    ty_world_fini(&world);
}

/* A part of one event of customer 1, for each of the ids up to NULL. */
static inline struct ty_part *load(unsigned number, unsigned workflow, const char *const *ids)
{
    struct ty_batch *batch = &batches[number];

    ty_batch_fini(batch);
    memset(batch, 0, sizeof(*batch));
    for (; *ids != NULL; ids++) {
        struct ty_event *event = ty_batch_add(batch);
        uint32_t record = event->record;

        *event = ty_world_event(&world, 1, workflow, *ids);
        event->id = ty_arena_copy(&batch->arena, event->id);
        event->record = record;
    }
    ty_batch_seal(batch, &world.shard->secret);
    parts[number] = (struct ty_part){.batch = batch, .count = (uint32_t)batch->event_count};
    return &parts[number];
}

#define LOAD(number, ...) load(number, 1, (const char *const[]){__VA_ARGS__, NULL})

static inline tally_result result(unsigned number, unsigned event)
{
    return batches[number].outcomes[event].result;
}

static inline uint64_t visible(unsigned workflow)
{
    return ty_world_total(&world, 1, workflow, TALLY_MONTHLY, "2023-02").events;
}

static inline void prepare_and_launch(struct ty_part *part)
{
    ty_shard_prepare(world.shard, part);
    cr_assert(ty_shard_launch(world.shard));
}

/* What the writer does when nothing is being stored; returns whether the next one is on its way. */
static inline bool turn(struct ty_part **answered)
{
    bool launched;

    ty_shard_land(world.shard);
    launched = ty_shard_launch(world.shard);
    *answered = ty_shard_publish(world.shard);
    return launched;
}

/* Stores what was launched, and answers it. */
static inline struct ty_part *finish(void)
{
    struct ty_part *answered;

    ty_shard_store(world.shard);
    turn(&answered);
    return answered;
}

static unsigned many_ids; /* "many-0" and so on were used */

static inline struct ty_part *load_many(unsigned number)
{
    static char ids[MANY][24];
    const char *texts[MANY + 1];

    for (size_t i = 0; i < MANY; i++) {
        snprintf(ids[i], sizeof(ids[i]), "many-%u", many_ids++);
        texts[i] = ids[i];
    }
    texts[MANY] = NULL;
    return load(number, 1, texts);
}

#endif
