#include "engine/epoch.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct ty_retired *retire(struct ty_epoch *epoch)
{
    struct ty_retired *memory = calloc(1, sizeof(*memory));

    ty_epoch_retire(epoch, memory);
    return memory;
}

/* How much of a list there is; frees it. */
static unsigned free_all(struct ty_retired *list)
{
    unsigned count = 0;

    while (list != NULL) {
        struct ty_retired *next = list->next;

        free(list);
        list = next;
        count++;
    }
    return count;
}

/* Memory that readers may hold for one more moment, and not for ever. */
Test(epoch, frees_two_epochs_after_retiring)
{
    struct ty_epoch epoch = {0};

    retire(&epoch);
    retire(&epoch);
    cr_assert_eq(free_all(ty_epoch_advance(&epoch)), 0u, "too early");
    retire(&epoch);
    cr_assert_eq(free_all(ty_epoch_advance(&epoch)), 2u);
    cr_assert_eq(free_all(ty_epoch_advance(&epoch)), 1u);
    cr_assert_eq(free_all(ty_epoch_advance(&epoch)), 0u);
}

/* A query in progress walks nodes that were dropped meanwhile: freeing them would crash it. */
Test(epoch, a_pin_holds_memory_back)
{
    struct ty_epoch epoch = {0};
    uint64_t pin = ty_epoch_pin(&epoch);

    retire(&epoch);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(free_all(ty_epoch_advance(&epoch)), 0u);
    ty_epoch_unpin(&epoch, pin);
    cr_assert_eq(free_all(ty_epoch_advance(&epoch)), 1u);
}

/* Readers of two epochs at once: the older one decides. */
Test(epoch, the_oldest_of_two_epochs_of_pins_counts)
{
    struct ty_epoch epoch = {0};
    uint64_t old = ty_epoch_pin(&epoch), young;

    retire(&epoch);
    cr_assert_eq(free_all(ty_epoch_advance(&epoch)), 0u);
    young = ty_epoch_pin(&epoch);
    cr_assert_neq(old, young, "the pins are of two epochs");
    retire(&epoch);
    cr_assert_eq(free_all(ty_epoch_advance(&epoch)), 0u, "the old one holds both back");
    ty_epoch_unpin(&epoch, old);
    cr_assert_eq(free_all(ty_epoch_advance(&epoch)), 1u, "what only the old one could see");
    cr_assert_eq(free_all(ty_epoch_advance(&epoch)), 0u, "the young one holds the other back");
    ty_epoch_unpin(&epoch, young);
    cr_assert_eq(free_all(ty_epoch_advance(&epoch)), 1u);
}

#define PINS    5
#define RETIRED 20000

/* Random readers and a random writer against the rule itself: what was retired while a pin was
 * held is not freed before that pin ends; and without pins everything is freed soon. */
Test(epoch, never_frees_what_a_pin_may_see)
{
    static struct {
        struct ty_retired *memory;
        unsigned seen_by[PINS]; /* which pin of each reader may see it; 0: none */
    } retired[RETIRED];
    struct ty_epoch epoch = {0};
    struct ty_random random;
    uint64_t tokens[PINS];
    unsigned pin[PINS] = {0}, pins = 0; /* a reader's current pin, or 0 */
    size_t count = 0, freed = 0;

    ty_random_init(&random, ty_random_seed());
    while (count < RETIRED) {
        size_t reader = (size_t)ty_random_below(&random, PINS);

        if (ty_random_one_in(&random, 3)) {
            if (pin[reader] != 0)
                ty_epoch_unpin(&epoch, tokens[reader]);
            else
                tokens[reader] = ty_epoch_pin(&epoch);
            pin[reader] = pin[reader] != 0 ? 0 : ++pins;
        } else if (ty_random_one_in(&random, 2)) {
            retired[count].memory = retire(&epoch);
            memcpy(retired[count].seen_by, pin, sizeof(pin));
            count++;
        } else {
            struct ty_retired *list = ty_epoch_advance(&epoch);

            for (struct ty_retired *memory = list; memory != NULL; memory = memory->next)
                for (size_t i = freed; i < count; i++)
                    for (size_t j = 0; retired[i].memory == memory && j < PINS; j++)
                        cr_assert(retired[i].seen_by[j] == 0 || retired[i].seen_by[j] != pin[j],
                                  "freed under a pin");
            freed += free_all(list); /* in the order of retiring, epoch by epoch */
        }
    }
    for (size_t j = 0; j < PINS; j++)
        if (pin[j] != 0)
            ty_epoch_unpin(&epoch, tokens[j]);
    for (int i = 0; i < 3; i++)
        freed += free_all(ty_epoch_advance(&epoch));
    cr_assert_eq(freed, count, "nothing is left behind");
}
