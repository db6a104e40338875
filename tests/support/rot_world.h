/*
 * rot_world.h: a closed shard with some of everything in its file, and everything that can be
 * asked of it, with the right answers.
 *
 * Threads: one owner.
 */
#ifndef TY_TESTS_SUPPORT_ROT_WORLD_H
#define TY_TESTS_SUPPORT_ROT_WORLD_H

#include "engine/closing.h"
#include "tests/support/shard_world.h"

#define ROT_CUSTOMERS 3
#define ROT_WORKFLOWS 2
#define ROT_MONTHS    3  /* December 2022 to February 2023 */
#define ROT_DAYS      90 /* of them */
#define ROT_EVENTS    420
#define ROT_SEAL_IDS  50 /* and a little more in a run: some of the ids are sealed, some not */

struct rot_world {
    struct ty_world world;
    struct ty_event events[ROT_EVENTS]; /* in the order in which they were stored */
    char ids[ROT_EVENTS][40];
    size_t event_count;
    struct ty_total days[ROT_CUSTOMERS][ROT_WORKFLOWS][ROT_DAYS];
    struct ty_total months[ROT_CUSTOMERS][ROT_WORKFLOWS][ROT_MONTHS];
    uint64_t journal_hash; /* of everything in the journal, as it is read */
    uint64_t reject_hash;
    struct ty_closed closed[ROT_CUSTOMERS]; /* customer 1 through December, customer 2 through
                                               January, customer 3 never */
    uint64_t revision_hash[ROT_CUSTOMERS];  /* of as many revisions as that says */
    unsigned wrong;                         /* answers, since it was made */
};

/* Makes the shard, with events in blocks, events only the journal has, closed months, sealed ids,
 * rejects; closed. Aborts where that fails. */
void rot_world_init(struct rot_world *rot);
void rot_world_fini(struct rot_world *rot);

/*
 * Opens the shard, asks for everything, sends known and new events, and closes it without writing
 * (`again`: after writing everything, and looks at it once more). The file is then another one.
 *
 * Returns how many answers were errors that name what is damaged. An answer that was wrong, or an
 * error of another kind, is printed with `what` and counted in rot->wrong.
 */
unsigned rot_world_ask(struct rot_world *rot, const char *what, bool again);

#endif
