#define TY_MODEL_OWN_MEMORY
#include "tests/concurrency/memory_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include "engine/base.h"
#include "tests/support/random.h"

#define LOCATIONS_MAX   512 /* in one execution, as all of these */
#define MESSAGES_MAX    64  /* of one location */
#define ALLOCATIONS_MAX 128
#define CHOICES_MAX     8192
#define SLOTS           2048 /* of the table of locations; a power of two */
#define STACK_BYTES     ((size_t)64 << 10)

/* The thread that runs `start` and `finish`. */
#define MAIN    TY_MODEL_THREADS
#define THREADS (TY_MODEL_THREADS + 1)

/* What a thread has seen, or a message tells: how many operations of every thread, and the newest
 * message of every location. Entries from `length` on are 0. */
struct view {
    unsigned length;
    uint16_t at[THREADS + LOCATIONS_MAX];
};

struct message {
    uint64_t value;
    struct view view; /* joined by who acquires it */
};

struct allocation {
    void *memory;
    size_t bytes;
    bool freed;
    uint16_t touched[THREADS]; /* by thread: its count at its last touch */
};

struct location {
    const volatile void *address;
    size_t bytes;
    struct allocation *allocation; /* NULL: not from ty_model_calloc() */
    unsigned message_count;
    unsigned seq_cst; /* the last seq_cst store */
    /* Of plain memory: the last write, and every thread's last read. */
    unsigned writer;
    uint16_t written;
    uint16_t read[THREADS];
    struct message messages[MESSAGES_MAX];
};

struct thread {
    ucontext_t context;
    struct view view;
    bool done;
};

struct choice {
    unsigned value;
    unsigned count;
};

static struct {
    const struct ty_model_program *program;
    struct thread threads[THREADS];
    unsigned current;
    ucontext_t scheduler;
    _Alignas(16) char stacks[TY_MODEL_THREADS][STACK_BYTES];

    struct location locations[LOCATIONS_MAX];
    unsigned location_count;
    struct {
        uint64_t execution; /* the slot is in use in this one */
        unsigned location;
    } slots[SLOTS];
    struct allocation allocations[ALLOCATIONS_MAX];
    unsigned allocation_count;

    uint64_t execution;
    bool exhaustive;
    unsigned interruptions; /* so far, and at most, when exhaustive */
    unsigned interruptions_max;
    struct choice choices[CHOICES_MAX]; /* the path to the leaf that this execution is */
    unsigned choice_count;
    unsigned depth;
    struct ty_random random;
    unsigned stay;  /* one in how many operations may be followed by another thread's */
    unsigned stale; /* one in how many loads may return an older message */

    /* Where the execution is, for who comes back to run_execution() by setcontext(). */
    enum { STARTING, RUNNING, FINISHING } phase;
    bool failed;
    char reason[256];
} machine;

/* A bound of the machine, not of what it tests. */
static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "memory model: %s\n", what);
    abort();
}

_Noreturn void ty_model_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(machine.reason, sizeof(machine.reason), format, arguments);
    va_end(arguments);
    require(machine.phase != STARTING, machine.reason); /* no context to go back to yet */
    machine.failed = true;
    setcontext(&machine.scheduler);
    abort();
}

/* The code under test asserts by this (engine/base.h). */
_Noreturn void ty_assert_failed(const char *condition, const char *file, int line)
{
    ty_model_fail("%s:%d: assertion failed: %s", file, line, condition);
}

/* --- Choices --- */

/* A number below `count`, the next of the path. */
static unsigned choose_next(unsigned count)
{
    struct choice *choice = &machine.choices[machine.depth];

    if (machine.depth == machine.choice_count) {
        require(machine.choice_count < CHOICES_MAX, "too many choices in one execution");
        *choice = (struct choice){.count = count};
        machine.choice_count++;
    }
    require(choice->count == count, "the program is not deterministic");
    machine.depth++;
    return choice->value;
}

/* Goes on to the next path; false when that was the last. */
static bool advance_choices(void)
{
    while (machine.choice_count != 0) {
        struct choice *last = &machine.choices[machine.choice_count - 1];

        if (++last->value < last->count)
            return true;
        machine.choice_count--;
    }
    return false;
}

/* A number below `count`; a random one is 0, but for one in so many times. */
static unsigned choose(unsigned count, unsigned one_in)
{
    if (count == 1)
        return 0;
    if (machine.exhaustive)
        return choose_next(count);
    return ty_random_one_in(&machine.random, one_in)
               ? (unsigned)ty_random_below(&machine.random, count)
               : 0;
}

unsigned ty_model_choose(unsigned count)
{
    return choose(count, 1);
}

/* --- Who goes on --- */

static void go_on_with(unsigned next)
{
    unsigned previous = machine.current;

    if (next == previous)
        return;
    machine.current = next;
    swapcontext(&machine.threads[previous].context, &machine.threads[next].context);
}

/* Lets the scheduler choose, before every operation that other threads can notice. */
static void schedule(void)
{
    unsigned able[TY_MODEL_THREADS], count = 1, choice;

    if (machine.current == MAIN ||
        (machine.exhaustive && machine.interruptions == machine.interruptions_max))
        return;
    able[0] = machine.current;
    for (unsigned i = 0; i < machine.program->threads; i++)
        if (i != machine.current && !machine.threads[i].done)
            able[count++] = i;
    choice = choose(count, machine.stay);
    machine.interruptions += choice != 0;
    go_on_with(able[choice]);
}

static void run_thread(void)
{
    unsigned able[TY_MODEL_THREADS], count = 0;

    machine.program->run[machine.current]();
    machine.threads[machine.current].done = true;
    for (unsigned i = 0; i < machine.program->threads; i++)
        if (!machine.threads[i].done)
            able[count++] = i;
    if (count == 0)
        setcontext(&machine.scheduler);
    machine.current = able[choose(count, 1)];
    setcontext(&machine.threads[machine.current].context);
}

/* --- Views --- */

static struct view *own_view(void)
{
    return &machine.threads[machine.current].view;
}

static void join(struct view *view, const struct view *other)
{
    for (unsigned i = 0; i < other->length; i++)
        if (i >= view->length || other->at[i] > view->at[i])
            view->at[i] = other->at[i];
    view->length = TY_MAX(view->length, other->length);
}

static unsigned seen_of(const struct view *view, unsigned location)
{
    return THREADS + location < view->length ? view->at[THREADS + location] : 0;
}

static void see(struct view *view, unsigned location, unsigned message)
{
    while (view->length <= THREADS + location)
        view->at[view->length++] = 0;
    view->at[THREADS + location] = (uint16_t)message;
}

/* Counts an operation of the current thread. */
static uint16_t count_operation(void)
{
    uint16_t *count = &own_view()->at[machine.current];

    require(*count < UINT16_MAX, "too many operations in one execution");
    return ++*count;
}

static bool is_ordered_before(unsigned thread, uint16_t operation)
{
    return operation <= own_view()->at[thread];
}

static bool acquires(memory_order order)
{
    return order == memory_order_acquire || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

static bool releases(memory_order order)
{
    return order == memory_order_release || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

/* --- Memory --- */

static struct allocation *allocation_of(const volatile void *address)
{
    for (unsigned i = 0; i < machine.allocation_count; i++) {
        struct allocation *allocation = &machine.allocations[i];
        uintptr_t first = (uintptr_t)allocation->memory;

        if ((uintptr_t)address >= first && (uintptr_t)address < first + allocation->bytes)
            return allocation;
    }
    return NULL;
}

static uint64_t value_in_memory(const volatile void *address, size_t bytes)
{
    uint64_t value = 0;

    require(bytes <= sizeof(value), "a location is wider than 64 bits");
    memcpy(&value, (const void *)address, bytes); /* little-endian, as all that Tally runs on */
    return value;
}

/* The number of the location at an address; made when it is met for the first time. */
static unsigned find_location(const volatile void *address, size_t bytes)
{
    unsigned slot = (unsigned)(((uintptr_t)address >> 2) * UINT64_C(0x9e3779b97f4a7c15) >> 40);
    struct location *location;

    for (slot &= SLOTS - 1; machine.slots[slot].execution == machine.execution;
         slot = (slot + 1) & (SLOTS - 1))
        if (machine.locations[machine.slots[slot].location].address == address)
            return machine.slots[slot].location;
    require(machine.location_count < LOCATIONS_MAX, "too many locations in one execution");
    machine.slots[slot].execution = machine.execution;
    machine.slots[slot].location = machine.location_count;
    location = &machine.locations[machine.location_count];
    memset(location, 0, offsetof(struct location, messages));
    location->address = address;
    location->bytes = bytes;
    location->allocation = allocation_of(address);
    location->message_count = 1;
    location->messages[0].value = value_in_memory(address, bytes);
    location->messages[0].view.length = 0;
    return machine.location_count++;
}

/* Finds a location for an operation of the current thread, which is counted. */
static unsigned touch(const volatile void *address, size_t bytes)
{
    unsigned number = find_location(address, bytes);
    struct location *location = &machine.locations[number];
    uint16_t operation = count_operation();

    require(location->bytes == bytes, "a location is used in two sizes");
    if (location->allocation != NULL) {
        if (location->allocation->freed)
            ty_model_fail("thread %u uses memory that was freed", machine.current);
        location->allocation->touched[machine.current] = operation;
    }
    return number;
}

void *ty_model_calloc(size_t count, size_t bytes)
{
    struct allocation *allocation = &machine.allocations[machine.allocation_count];

    require(machine.allocation_count < ALLOCATIONS_MAX, "too many allocations in one execution");
    *allocation = (struct allocation){.memory = calloc(count, bytes), .bytes = count * bytes};
    require(allocation->memory != NULL, "no memory");
    machine.allocation_count++;
    return allocation->memory;
}

void ty_model_free(void *memory)
{
    struct allocation *allocation = allocation_of(memory);

    if (memory == NULL)
        return;
    require(allocation != NULL && allocation->memory == memory, "unknown memory is freed");
    if (allocation->freed)
        ty_model_fail("thread %u frees memory twice", machine.current);
    for (unsigned i = 0; i < THREADS; i++)
        if (i != machine.current && !is_ordered_before(i, allocation->touched[i]))
            ty_model_fail("thread %u frees memory that thread %u may still be using",
                          machine.current, i);
    allocation->freed = true;
}

void ty_model_plain_read(const volatile void *memory)
{
    struct location *location;

    schedule();
    location = &machine.locations[touch(memory, 1)];
    if (!is_ordered_before(location->writer, location->written))
        ty_model_fail("thread %u reads what thread %u writes: a race", machine.current,
                      location->writer);
    location->read[machine.current] = own_view()->at[machine.current];
}

void ty_model_plain_write(const volatile void *memory)
{
    struct location *location;

    schedule();
    location = &machine.locations[touch(memory, 1)];
    if (!is_ordered_before(location->writer, location->written))
        ty_model_fail("threads %u and %u write at once: a race", machine.current, location->writer);
    for (unsigned i = 0; i < THREADS; i++)
        if (i != machine.current && !is_ordered_before(i, location->read[i]))
            ty_model_fail("thread %u writes what thread %u reads: a race", machine.current, i);
    location->writer = machine.current;
    location->written = own_view()->at[machine.current];
}

/* --- Atomic operations --- */

static uint64_t cut(uint64_t value, size_t bytes)
{
    return bytes == 8 ? value : value & ((UINT64_C(1) << 8 * bytes) - 1);
}

/* Adds the next message of a location, whose view the caller has begun with what a release
 * sequence hands on. */
static void append(unsigned number, uint64_t value, memory_order order)
{
    struct location *location = &machine.locations[number];
    struct message *message = &location->messages[location->message_count];

    message->value = cut(value, location->bytes);
    see(own_view(), number, location->message_count);
    if (releases(order))
        join(&message->view, own_view());
    if (order == memory_order_seq_cst)
        location->seq_cst = location->message_count;
    location->message_count++;
}

static struct message *next_message(unsigned number)
{
    struct location *location = &machine.locations[number];

    require(location->message_count < MESSAGES_MAX, "too many stores to one location");
    return &location->messages[location->message_count];
}

uint64_t ty_model_load(const volatile void *address, size_t bytes, memory_order order)
{
    struct location *location;
    unsigned number, oldest, newest, chosen;

    schedule();
    number = touch(address, bytes);
    location = &machine.locations[number];
    oldest = seen_of(own_view(), number);
    newest = location->message_count - 1;
    if (order == memory_order_seq_cst)
        oldest = TY_MAX(oldest, location->seq_cst);
    chosen = newest - choose(newest - oldest + 1, machine.stale);
    see(own_view(), number, chosen);
    if (acquires(order))
        join(own_view(), &location->messages[chosen].view);
    return location->messages[chosen].value;
}

void ty_model_store(volatile void *address, size_t bytes, uint64_t value, memory_order order)
{
    unsigned number;

    schedule();
    number = touch(address, bytes);
    next_message(number)->view.length = 0;
    append(number, value, order);
}

uint64_t ty_model_add(volatile void *address, size_t bytes, uint64_t value, memory_order order)
{
    struct message *old;
    unsigned number;

    schedule();
    number = touch(address, bytes);
    old = next_message(number) - 1;
    if (acquires(order))
        join(own_view(), &old->view);
    next_message(number)->view = old->view;
    append(number, old->value + value, order);
    return old->value;
}

/* --- Executions --- */

static void begin_execution(void)
{
    static const unsigned stays[] = {1, 2, 4, 16, 64}, stales[] = {1, 2, 8};

    machine.execution++;
    machine.location_count = 0;
    machine.interruptions = 0;
    machine.depth = 0;
    machine.phase = STARTING;
    machine.failed = false;
    machine.stay = stays[ty_random_below(&machine.random, TY_COUNT_OF(stays))];
    machine.stale = stales[ty_random_below(&machine.random, TY_COUNT_OF(stales))];
    for (unsigned i = 0; i < THREADS; i++) {
        machine.threads[i].done = false;
        machine.threads[i].view = (struct view){.length = THREADS};
    }
}

static void start_threads(void)
{
    const struct ty_model_program *program = machine.program;

    machine.current = MAIN;
    program->start();
    for (unsigned i = 0; i < program->threads; i++) {
        struct thread *thread = &machine.threads[i];

        join(&thread->view, &machine.threads[MAIN].view);
        getcontext(&thread->context);
        thread->context.uc_stack.ss_sp = machine.stacks[i];
        thread->context.uc_stack.ss_size = STACK_BYTES;
        thread->context.uc_link = NULL;
        makecontext(&thread->context, run_thread, 0);
    }
}

static void finish_execution(void)
{
    machine.current = MAIN;
    for (unsigned i = 0; i < machine.program->threads; i++)
        join(&machine.threads[MAIN].view, &machine.threads[i].view);
    if (machine.program->finish != NULL)
        machine.program->finish();
}

static void run_execution(void)
{
    begin_execution();
    start_threads();
    getcontext(&machine.scheduler);
    /* Passes here up to three times: now, when every thread is done or one has failed, and when
     * `finish` has failed. No local variable lives across it. */
    if (machine.phase == STARTING) {
        machine.phase = RUNNING;
        machine.current = choose(machine.program->threads, 1);
        setcontext(&machine.threads[machine.current].context);
    }
    if (machine.phase == RUNNING && !machine.failed) {
        machine.phase = FINISHING;
        finish_execution();
    }
    for (unsigned i = 0; i < machine.allocation_count; i++)
        free(machine.allocations[i].memory);
    machine.allocation_count = 0;
}

static void begin_run(const struct ty_model_program *program, uint64_t seed, bool exhaustive)
{
    require(program->threads >= 1 && program->threads <= TY_MODEL_THREADS, "too many threads");
    machine.program = program;
    machine.exhaustive = exhaustive;
    machine.choice_count = 0;
    ty_random_init(&machine.random, seed);
}

static struct ty_model_result result_of(uint64_t executions, bool complete)
{
    struct ty_model_result result = {
        .executions = executions, .failed = machine.failed, .complete = complete};

    if (machine.failed)
        memcpy(result.reason, machine.reason, sizeof(result.reason));
    return result;
}

struct ty_model_result ty_model_run_random(const struct ty_model_program *program, uint64_t seed,
                                           uint64_t executions)
{
    uint64_t done = 0;

    begin_run(program, seed, false);
    for (machine.failed = false; done < executions && !machine.failed; done++)
        run_execution();
    return result_of(done, false);
}

struct ty_model_result ty_model_run_all(const struct ty_model_program *program,
                                        unsigned interruptions, uint64_t executions)
{
    uint64_t done = 0;
    bool more = true;

    begin_run(program, 0, true);
    machine.interruptions_max = interruptions;
    for (machine.failed = false; done < executions && more && !machine.failed; done++) {
        run_execution();
        more = !machine.failed && advance_choices();
    }
    return result_of(done, !more && !machine.failed);
}
