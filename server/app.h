/*
 * app.h: what the threads of tallyd share.
 *
 * Who may touch a member: [i] immutable once threads run; [a] any thread, atomically.
 */
#ifndef TY_SERVER_APP_H
#define TY_SERVER_APP_H

#include <stdatomic.h>

#include "engine/histogram.h"
#include "server/options.h"
#include "shard/database.h"

struct ty_io_loop;

struct ty_app {
    struct ty_options options;                              /* [i] */
    _Atomic(struct ty_database *) database;                 /* [a] NULL until recovered */
    atomic_bool draining;                                   /* [a] a stop has begun */
    struct ty_io_loop **loops;                              /* [i] of options.io_threads */
    int64_t started_ms;                                     /* [i] wall clock */
    struct ty_histogram query_time;                         /* [a] */
    _Atomic uint64_t pool_queries;                          /* [a] that run or wait on the pool */
    _Atomic uint64_t decoder_rejects[TALLY_NOT_STORED + 1]; /* [a] records by tally_result */
    _Atomic uint64_t refused_bodies;                        /* [a] no such document: 400 */
};

/* The database, or NULL while it is being recovered. */
static inline struct ty_database *ty_app_database(struct ty_app *app)
{
    /* Acquire: pairs with the release in service.c, so that an opened database is seen whole. */
    return atomic_load_explicit(&app->database, memory_order_acquire);
}

/* ty_app_count_rejects counts what a decoder rejected of a batch that was not submitted yet: the
 * shards count the rest. Any thread. */
void ty_app_count_rejects(struct ty_app *app, const struct ty_batch *batch);

#endif
