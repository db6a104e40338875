/*
 * The machine of memory_model.h, measured by litmus tests whose answers are known: what C11 forbids
 * it must never show, and what C11 allows it must show, or it would prove nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/atomics.h"
#include "engine/base.h"
#include "tests/concurrency/memory_model.h"

static _Atomic uint64_t x, y;
static uint64_t plain, a, b, c, d;
static memory_order store_order, load_order;

static void start(void)
{
    x = y = 0;
    plain = a = b = c = d = 99;
}

static void store_x(void)
{
    ty_atomic_store(&x, 1, store_order);
}

static void store_y(void)
{
    ty_atomic_store(&y, 1, store_order);
}

/* --- Message passing: y tells that x is there --- */

static void pass(void)
{
    ty_atomic_store(&x, 1, memory_order_relaxed);
    ty_atomic_store(&y, 1, store_order);
}

static void receive(void)
{
    a = ty_atomic_load(&y, load_order);
    b = ty_atomic_load(&x, memory_order_relaxed);
}

static void passed(void)
{
    ty_model_check(!(a == 1 && b == 0));
}

/* The same by way of a counter: a relaxed addition hands the release on. */
static void add_to_y(void)
{
    ty_atomic_add(&y, 1, memory_order_relaxed);
}

static void receive_two(void)
{
    a = ty_atomic_load(&y, load_order) == 2;
    b = ty_atomic_load(&x, memory_order_relaxed);
}

/* --- Store buffering: two threads that each announce themselves and look for the other --- */

static void store_x_load_y(void)
{
    ty_atomic_store(&x, 1, store_order);
    a = ty_atomic_load(&y, load_order);
}

static void store_y_load_x(void)
{
    ty_atomic_store(&y, 1, store_order);
    b = ty_atomic_load(&x, load_order);
}

static void one_saw_the_other(void)
{
    ty_model_check(a == 1 || b == 1);
}

static void add_x_load_y(void)
{
    ty_atomic_add(&x, 1, store_order);
    a = ty_atomic_load(&y, load_order);
}

/* --- Two readers, two writers: do they agree on which store came first? --- */

static void read_x_y(void)
{
    a = ty_atomic_load(&x, load_order);
    b = ty_atomic_load(&y, load_order);
}

static void read_y_x(void)
{
    c = ty_atomic_load(&y, load_order);
    d = ty_atomic_load(&x, load_order);
}

static void readers_agree(void)
{
    ty_model_check(!(a == 1 && b == 0 && c == 1 && d == 0));
}

/* --- Coherence: one location never goes back, whatever the order --- */

static void store_x_twice(void)
{
    ty_atomic_store(&x, 1, store_order);
    ty_atomic_store(&x, 2, store_order);
}

static void read_x_twice(void)
{
    a = ty_atomic_load(&x, load_order);
    b = ty_atomic_load(&x, load_order);
}

static void never_back(void)
{
    ty_model_check(b >= a);
}

/* --- Additions lose nothing --- */

static void add_twice(void)
{
    ty_atomic_add(&x, 1, store_order);
    ty_atomic_add(&x, 1, store_order);
}

static void sum_is_four(void)
{
    ty_model_check(ty_atomic_load(&x, memory_order_relaxed) == 4);
}

/* --- Load buffering: values out of thin air. RC11 forbids what C11 still words loosely. --- */

static void load_x_store_y(void)
{
    a = ty_atomic_load(&x, load_order);
    ty_atomic_store(&y, 1, store_order);
}

static void load_y_store_x(void)
{
    b = ty_atomic_load(&y, load_order);
    ty_atomic_store(&x, 1, store_order);
}

static void not_out_of_thin_air(void)
{
    ty_model_check(!(a == 1 && b == 1));
}

/* --- Plain memory, and its end --- */

static void write_plain_then_pass(void)
{
    ty_model_plain_write(&plain);
    ty_atomic_store(&y, 1, store_order);
}

static void receive_then_read_plain(void)
{
    if (ty_atomic_load(&y, load_order) == 1)
        ty_model_plain_read(&plain);
}

static _Atomic uint64_t *block;

static void start_with_block(void)
{
    start();
    block = calloc(1, sizeof(*block));
}

static void use_block_then_pass(void)
{
    ty_atomic_load(block, memory_order_relaxed);
    ty_atomic_store(&y, 1, store_order);
}

static void receive_then_free(void)
{
    if (ty_atomic_load(&y, load_order) == 1)
        free((void *)block);
}

enum { RELAXED, PAIRED, TOTAL };

static const struct {
    memory_order store, load;
} orders[] = {
    [RELAXED] = {memory_order_relaxed, memory_order_relaxed},
    [PAIRED] = {memory_order_release, memory_order_acquire},
    [TOTAL] = {memory_order_seq_cst, memory_order_seq_cst},
};

static const struct {
    struct ty_model_program program;
    bool shows[3]; /* what the program forbids, with these orders */
} litmus[] = {
    {{"message passing", 2, start, {pass, receive}, passed}, {true, false, false}},
    {{"release sequence", 3, start, {pass, add_to_y, receive_two}, passed}, {true, false, false}},
    {{"store buffering", 2, start, {store_x_load_y, store_y_load_x}, one_saw_the_other},
     {true, true, false}},
    {{"store buffering by an addition",
      2,
      start,
      {add_x_load_y, store_y_load_x},
      one_saw_the_other},
     {true, true, false}},
    {{"independent reads", 4, start, {store_x, store_y, read_x_y, read_y_x}, readers_agree},
     {true, true, false}},
    {{"coherence", 2, start, {store_x_twice, read_x_twice}, never_back}, {false, false, false}},
    {{"additions", 2, start, {add_twice, add_twice}, sum_is_four}, {false, false, false}},
    {{"thin air", 2, start, {load_x_store_y, load_y_store_x}, not_out_of_thin_air},
     {false, false, false}},
    {{"race", 2, start, {write_plain_then_pass, receive_then_read_plain}, NULL},
     {true, false, false}},
    {{"early end", 2, start_with_block, {use_block_then_pass, receive_then_free}, NULL},
     {true, false, false}},
};

static const char *const order_names[] = {"relaxed", "release/acquire", "seq_cst"};

static bool check(const struct ty_model_program *program, unsigned order, bool shows)
{
    struct ty_model_result all, some;

    store_order = orders[order].store;
    load_order = orders[order].load;
    all = ty_model_run_all(program, 100, 1000000);
    some = ty_model_run_random(program, 1, 5000);
    if (all.failed == shows && some.failed == shows && all.complete == !shows)
        return true;
    fprintf(stderr,
            "%s, %s: want %s; of %" PRIu64 " executions %s, of %" PRIu64 " random ones %s\n",
            program->name, order_names[order], shows ? "one that fails" : "none that fails",
            all.executions, all.failed ? all.reason : "none fails", some.executions,
            some.failed ? some.reason : "none fails");
    return false;
}

int main(void)
{
    bool good = true;

    for (size_t i = 0; i < TY_COUNT_OF(litmus); i++)
        for (unsigned order = RELAXED; order <= TOTAL; order++)
            good &= check(&litmus[i].program, order, litmus[i].shows[order]);
    return good ? 0 : 1;
}
