/*
 * Cells with real threads: one writer, readers that must see words of one version only, in order.
 */
#include "engine/cell.h"

#include <sched.h>

#include "tests/concurrency/threads.h"

#define WORDS   9 /* as many as a total has */
#define READERS 3
#define ROUNDS  200000
#define READS   100000 /* of each reader, at least */

static ty_cell_word cell[TY_CELL_LENGTH(WORDS)];
static _Atomic uint64_t published; /* the last round, stored after the cell */
static _Atomic uint64_t reads[READERS];

static void publish(uint64_t round)
{
    uint64_t words[WORDS];

    for (unsigned i = 0; i < WORDS; i++)
        words[i] = round * (2 * i + 1) + i;
    ty_cell_publish(cell, words, WORDS);
    /* Release: pairs with the acquire in read_cell(), which then must not read an older round. */
    ty_atomic_store(&published, round, memory_order_release);
}

static uint64_t read_cell(void)
{
    uint64_t words[WORDS], known = ty_atomic_load(&published, memory_order_acquire);

    ty_cell_read(cell, words, WORDS);
    for (unsigned i = 0; i < WORDS; i++)
        CHECK_EQ(words[0] * (2 * i + 1) + i, words[i]);
    CHECK(words[0] >= known);
    return words[0];
}

static void *read_until_the_end(void *argument)
{
    _Atomic uint64_t *count = argument;
    uint64_t last = 0, done = 0;

    while (last < ROUNDS || done < READS) {
        uint64_t round = read_cell();

        CHECK(round >= last);
        last = round;
        ty_atomic_store(count, ++done, memory_order_relaxed);
        if (done % 4096 == 0) /* so that few cores do not change the picture */
            sched_yield();
    }
    return NULL;
}

/* The slowest reader is not far behind the writer, so that both really run together. */
static void keep_step(uint64_t round)
{
    for (unsigned i = 0; i < READERS; i++)
        while (ty_atomic_load(&reads[i], memory_order_relaxed) * ROUNDS < (round - 1) * READS)
            sched_yield();
}

/* A torn cell would be an invoice with the pages of one event and the credits of another. */
int main(void)
{
    pthread_t readers[READERS];

    publish(0);
    for (unsigned i = 0; i < READERS; i++)
        readers[i] = start_thread(read_until_the_end, (void *)&reads[i]);
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        publish(round);
        if (round % 1024 == 0)
            keep_step(round);
    }
    for (unsigned i = 0; i < READERS; i++)
        join_thread(readers[i]);
    return 0;
}
