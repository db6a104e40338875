/*
 * hot.h: recent totals in RAM: slots, days and months that one writer fills and any number of
 * threads read without a lock, a wait or a torn event.
 *
 * A series has a list of hot months, a month a list of hot days, a day a list of hot slots. Every
 * node holds an absolute total, what storage knows included: a hot node therefore *shadows* the
 * stored value, and a reader never adds the two. What is not hot is read from storage.
 *
 *     series -> month 2023-02 -> month 2023-01        (newest first)
 *                 |
 *                 +-> day 28 -> day 27
 *                       |
 *                       +-> slot 13:45 -> slot 13:30
 *
 * The life of a node: it is made when an event needs it, from the stored value; events change its
 * `working` sums while a commit is being built; when the commit is durable the sums are published
 * to readers (ty_hot_publish), or taken back when it failed (ty_hot_revert). A month with all
 * under it is the unit that is *dirty* (differs from storage) or clean; checkpoints write dirty
 * months in the order in which they became dirty. Clean nodes that rest are dropped.
 *
 * Handing over to storage. Only clean nodes are dropped, after the commit that wrote them. A reader
 * does all its hot reads first and opens its storage transaction second: what it did not find hot
 * is then in the transaction.
 *
 * Who may touch a member of a node: [i] immutable; [a] any thread, atomically; [w] the writer.
 * Threads: the writer, but for the functions under "Readers", which any thread may call under a
 * pin of the table's epoch.
 */
#ifndef TY_ENGINE_HOT_H
#define TY_ENGINE_HOT_H

#include "engine/block.h"
#include "engine/cell.h"
#include "engine/epoch.h"
#include "engine/series.h"
#include <sys/queue.h>

struct ty_slot_node {
    struct ty_retired retired;                            /* [w] */
    _Atomic(struct ty_slot_node *) next;                  /* [a] */
    ty_cell_word cell[TY_CELL_LENGTH(TY_SLOT_SUM_WORDS)]; /* [a] what readers see */
    struct ty_day_node *day;                              /* [i] */
    struct ty_slot_node *next_touched;                    /* [w] by the commit being built */
    struct ty_slot_sum published;                         /* [w] what the cell holds */
    struct ty_slot_sum working;                           /* [w] with the commit's events */
    int64_t number;                                       /* [i] since the epoch; spares its day */
    uint8_t slot;                                         /* [i] of the day */
    bool touched;                                         /* [w] on the touched list */
    bool recent;                                          /* [w] used since a checkpoint */
};

struct ty_day_node {
    struct ty_retired retired;                         /* [w] */
    _Atomic(struct ty_day_node *) next;                /* [a] */
    _Atomic(struct ty_slot_node *) slots;              /* [a] */
    ty_cell_word cell[TY_CELL_LENGTH(TY_TOTAL_WORDS)]; /* [a] */
    struct ty_month_node *month;                       /* [i] */
    struct ty_total total;                             /* [w] what the cell holds */
    bool stored_slots[TY_SLOTS_PER_DAY];               /* [w] slots that storage has */
    int32_t day;                                       /* [i] */
    bool dirty;                                        /* [w] */
    bool recent;                                       /* [w] */
};

struct ty_month_node {
    struct ty_retired retired;                         /* [w] */
    _Atomic(struct ty_month_node *) next;              /* [a] */
    _Atomic(struct ty_day_node *) days;                /* [a] */
    ty_cell_word cell[TY_CELL_LENGTH(TY_TOTAL_WORDS)]; /* [a] */
    struct ty_series *series;                          /* [i] */
    struct ty_total total;                             /* [w] what the cell holds */
    TAILQ_ENTRY(ty_month_node) queue;                  /* [w] of dirty or of clean months */
    struct ty_month_node *next_writing;                /* [w] by the commit being built */
    struct ty_month_node *next_revised;                /* [w] by the commit being built */
    uint64_t stamp;       /* [w] journal sequence up to which storage is complete */
    uint64_t dirty_since; /* [w] first journal sequence that storage lacks; 0: clean */
    int64_t queued_ms;    /* [w] when it came to its queue, monotonic */
    uint32_t touched;     /* [w] its slots on the touched list */
    uint32_t revision;    /* [w] of a revised one: for who lists them */
    int32_t month;        /* [i] */
    bool writing;         /* [w] the commit being built stores it */
    bool unwritable;      /* [w] storing it met damage halfway: not to be tried again */
};

TAILQ_HEAD(ty_month_queue, ty_month_node);

/*
 * How stored values are loaded. Both fill *block, zeroed when storage has none, and return TALLY_OK
 * or why not.
 */
struct ty_cold_loader {
    tally_status (*load_day)(void *context, uint32_t series, int32_t day,
                             struct ty_day_block *block);
    tally_status (*load_month)(void *context, uint32_t series, int32_t month,
                               struct ty_month_block *block);
    void *context;
};

struct ty_hot {
    struct ty_epoch epoch;
    struct ty_cold_loader cold;
    struct ty_month_queue dirty;   /* oldest first */
    struct ty_month_queue clean;   /* longest clean first */
    struct ty_slot_node *touched;  /* by the commit being built */
    struct ty_month_node *writing; /* stored by the commit being built */
    struct ty_month_node *revised; /* closed ones (closing.h) that the commit being built changes */
    uint32_t touched_count;
    uint32_t aside_count; /* slots of commits that are set aside */
    uint64_t bytes;       /* of all nodes that are linked */
    uint64_t dirty_count;
};

void ty_hot_init(struct ty_hot *hot, struct ty_cold_loader cold);

/* ty_hot_fini frees every node; no reader may be left. */
void ty_hot_fini(struct ty_hot *hot);

/*
 * ty_hot_slot returns the node of a slot (slots since the epoch), made from storage when needed.
 * On failure, *node is untouched and nothing that readers see has changed: TALLY_NO_MEMORY, or what
 * the loader returned.
 */
tally_status ty_hot_slot(struct ty_hot *hot, struct ty_series *series, int64_t slot, int64_t now_ms,
                         struct ty_slot_node **node);

/* ty_hot_add counts an event in the commit being built; false when the slot would overflow. */
bool ty_hot_add(struct ty_hot *hot, struct ty_slot_node *node, const struct ty_event *event);

/* ty_hot_subtract takes an event that was counted out again, in the commit being built; false when
 * ty_slot_sum_subtract() cannot. */
bool ty_hot_subtract(struct ty_hot *hot, struct ty_slot_node *node, const struct ty_event *event);

/* ty_hot_publish shows the commit `sequence`, now durable, to readers. Every event appears in its
 * slot, day and month at once, for who reads one of them. */
void ty_hot_publish(struct ty_hot *hot, uint64_t sequence, int64_t now_ms);

/* ty_hot_revert takes the commit's events and the marks of ty_hot_write() back: it failed. */
void ty_hot_revert(struct ty_hot *hot);

/*
 * The sums of a commit that is decided, set aside so that the next one can be decided before it is
 * durable: its events stay in the slots' working sums, on which the next one builds. Sums set aside
 * are published, or taken back, in the order in which they were set aside; taking them back also
 * takes back, in the slots they are of, what was counted since: whoever does it must revert that
 * too. Meanwhile nothing is written or dropped (ty_hot_write, ty_hot_written, ty_hot_rest).
 */
struct ty_aside_slot {
    struct ty_slot_node *slot;
    struct ty_slot_sum sum;
};

struct ty_hot_aside {
    struct ty_aside_slot *slots;
    uint32_t count, capacity;
};

/* ty_hot_set_aside ends the building of a commit that changes no closed month. False: no memory,
 * nothing has changed. */
bool ty_hot_set_aside(struct ty_hot *hot, struct ty_hot_aside *aside);
void ty_hot_publish_aside(struct ty_hot *hot, struct ty_hot_aside *aside, uint64_t sequence,
                          int64_t now_ms);
void ty_hot_revert_aside(struct ty_hot *hot, struct ty_hot_aside *aside);
void ty_hot_aside_fini(struct ty_hot_aside *aside);

/* ty_hot_write marks a dirty month as stored by the commit being built. */
void ty_hot_write(struct ty_hot *hot, struct ty_month_node *month);

/* The oldest journal sequence that storage lacks once the commit being built is durable; `next`,
 * the first sequence not published yet, when it lacks none of those published. */
uint64_t ty_hot_lacks_from(const struct ty_hot *hot, uint64_t next);

/*
 * ty_hot_encode_day fills the block to be stored for a dirty day: what storage has, with the hot
 * slots in its place, as published (the commit being built is not in it). `stamp` is the journal
 * sequence that it is complete up to. TALLY_CORRUPT when slots and total disagree.
 */
tally_status ty_hot_encode_day(struct ty_hot *hot, const struct ty_day_node *day, uint64_t stamp,
                               struct ty_day_block *block);

/* ty_hot_written: the commit is durable: the months it stored are complete up to journal sequence
 * `stamp`, and clean. Drops slots and days of theirs that no event used since the last time, or
 * (`all`) every one that is not touched. Returns how many months those were. */
uint64_t ty_hot_written(struct ty_hot *hot, uint64_t stamp, bool all, int64_t now_ms);

/* ty_hot_rest drops months that have been clean for keep_ms, and the longest clean ones while more
 * than bytes_max are in use; then frees what no reader holds. Not while a commit is being built. */
void ty_hot_rest(struct ty_hot *hot, int64_t now_ms, int64_t keep_ms, uint64_t bytes_max);

/* Asserts the invariants between the levels: totals, flags, queues. For tests. */
void ty_hot_check(const struct ty_hot *hot);

/* --- Readers, under ty_epoch_pin(&hot->epoch) --- */

static inline struct ty_month_node *ty_hot_months(struct ty_series *series)
{
    return ty_atomic_load(&series->months, TY_LINK_LOAD);
}

static inline struct ty_month_node *ty_hot_next_month(struct ty_month_node *month)
{
    return ty_atomic_load(&month->next, TY_LINK_LOAD);
}

static inline struct ty_day_node *ty_hot_days(struct ty_month_node *month)
{
    return ty_atomic_load(&month->days, TY_LINK_LOAD);
}

static inline struct ty_day_node *ty_hot_next_day(struct ty_day_node *day)
{
    return ty_atomic_load(&day->next, TY_LINK_LOAD);
}

static inline struct ty_slot_node *ty_hot_slots(struct ty_day_node *day)
{
    return ty_atomic_load(&day->slots, TY_LINK_LOAD);
}

static inline struct ty_slot_node *ty_hot_next_slot(struct ty_slot_node *slot)
{
    return ty_atomic_load(&slot->next, TY_LINK_LOAD);
}

/* The total of a month or day (their cells), and the sums of a slot, as of one moment. */
void ty_hot_read_total(ty_cell_word *cell, struct ty_total *total);
void ty_hot_read_slot(struct ty_slot_node *slot, struct ty_slot_sum *sum);

#endif
