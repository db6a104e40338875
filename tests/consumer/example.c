/*
 * example.c: what the example at the top of tally.h leaves to its reader. tests/consumer/run takes
 * the example out of the header, as example.inc.
 */
#include <tally.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *why)
{
    fprintf(stderr, "example: %s\n", why);
    exit(1);
}

static void run(const tally_event *events, size_t event_count, tally_result *results,
                const uint8_t customer[16], const uint8_t workflow[16])
{
#include "example.inc"
}

int main(void)
{
    tally_result result = TALLY_NOT_STORED;
    tally_event event;

    memset(&event, 0, sizeof(event));
    event.id = "job-1";
    event.id_length = 5;
    event.time_ms = INT64_C(1675209599999); /* the last of January 2023 */
    event.credits_micro = 100000;
    run(&event, 1, &result, event.customer_id, event.workflow_id);
    if (result != TALLY_ACCEPTED)
        die(tally_result_name(result));
    return 0;
}
