/*
 * epoch.h: when may memory that readers walk be freed?
 *
 * Readers pin the current epoch while they walk; the one writer unlinks memory, retires it, and
 * frees it two epochs later. Readers neither lock nor wait nor register: pinning is one addition.
 *
 * Design notes. `readers[e & 1]` counts the pins of epoch e. The writer moves from epoch e to e + 1
 * only when nobody is pinned in e - 1, so at any time pins exist in at most two epochs, e and e -
 * 1, and two counters are enough. Memory unlinked in epoch e may be seen by readers pinned in e - 1
 * or e, never by one pinned in e + 1: such a reader loaded the epoch from the store that followed
 * the unlinking. So at epoch e + 2, which no pin of e - 1 or e can have survived, it is free.
 *
 * The race: a reader loads epoch e, is delayed, and counts itself in readers[e & 1] when the
 * writer is elsewhere. It therefore loads the epoch again after counting itself and gives up the
 * pin if it changed. Counting and loading (reader) against storing the epoch and reading the
 * counter (writer) is the store-then-load pattern on two locations that only sequential
 * consistency orders: either the reader sees the new epoch, or the writer sees the pin.
 *
 * Threads: pin and unpin any; the rest only the writer.
 */
#ifndef TY_ENGINE_EPOCH_H
#define TY_ENGINE_EPOCH_H

#include "engine/atomics.h"
#include "engine/base.h"

#ifndef TY_EPOCH_ORDER
#define TY_EPOCH_ORDER memory_order_seq_cst /* the total order over epoch and readers[] */
#endif

/* The first member of everything that can be retired. */
struct ty_retired {
    struct ty_retired *next;
};

struct ty_epoch {
    _Alignas(TY_CACHE_LINE) _Atomic uint64_t current; /* starts at 0; only the writer stores */
    _Alignas(TY_CACHE_LINE) _Atomic uint64_t readers[2];
    /* The writer's own: memory retired in epoch e waits in waiting[e % 3]. */
    _Alignas(TY_CACHE_LINE) struct ty_retired *waiting[3];
};

/* ty_epoch_pin holds back the freeing of memory retired from now on; returns the token to unpin. */
static inline uint64_t ty_epoch_pin(struct ty_epoch *epoch)
{
    for (;;) {
        uint64_t e = ty_atomic_load(&epoch->current, TY_EPOCH_ORDER);

        ty_atomic_add(&epoch->readers[e & 1], 1, TY_EPOCH_ORDER);
        if (ty_atomic_load(&epoch->current, TY_EPOCH_ORDER) == e)
            return e;
        ty_atomic_sub(&epoch->readers[e & 1], 1, TY_EPOCH_ORDER);
    }
}

/* ty_epoch_unpin: what was read under the pin must not be touched any more. */
static inline void ty_epoch_unpin(struct ty_epoch *epoch, uint64_t token)
{
    ty_atomic_sub(&epoch->readers[token & 1], 1, TY_EPOCH_ORDER);
}

/* ty_epoch_retire gives memory (from malloc, unlinked before) to be freed when no reader can hold
 * it. Taken. */
static inline void ty_epoch_retire(struct ty_epoch *epoch, struct ty_retired *memory)
{
    uint64_t e = ty_atomic_load(&epoch->current, memory_order_relaxed);

    memory->next = epoch->waiting[e % 3];
    epoch->waiting[e % 3] = memory;
}

/* ty_epoch_advance moves to the next epoch unless a reader holds it back, and returns the list of
 * retired memory that nobody can reach any more (the caller frees it), or NULL. */
static inline struct ty_retired *ty_epoch_advance(struct ty_epoch *epoch)
{
    uint64_t e = ty_atomic_load(&epoch->current, memory_order_relaxed);
    struct ty_retired *free_now;

    if (ty_atomic_load(&epoch->readers[(e + 1) & 1], TY_EPOCH_ORDER) != 0)
        return NULL;
    ty_atomic_store(&epoch->current, e + 1, TY_EPOCH_ORDER);
    free_now = epoch->waiting[(e + 2) % 3]; /* retired in epoch e - 1 */
    epoch->waiting[(e + 2) % 3] = NULL;
    return free_now;
}

#endif
