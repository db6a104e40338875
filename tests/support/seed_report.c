/* Part of every Criterion program: one seed for all its tests, printed when one of them fails. */
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <inttypes.h>

/* Tests run in processes of their own, which get the seed by the environment. */
ReportHook(PRE_ALL)(struct criterion_test_set *tests)
{
    (void)tests;
    ty_random_seed();
}

ReportHook(POST_ALL)(struct criterion_global_stats *stats)
{
    if (stats->tests_failed + stats->tests_crashed != 0)
        fprintf(stderr, "To run with the same random numbers: TALLY_TEST_SEED=%" PRIu64 "\n",
                ty_random_seed());
}
