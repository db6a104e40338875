/*
 * header.c: tally.h and nothing else, as C99 and as C++11: it compiles without help from other
 * headers, may be included twice, and its functions have C linkage.
 */
#include <tally.h>

#include <tally.h>

int main(void)
{
    tally_options options = TALLY_OPTIONS_INIT;
    static tally_row row; /* zeros: no pages */
    int64_t average;

    return options.dedup_window_ms == -1 && tally_strerror(TALLY_OK)[0] != '\0' &&
                   tally_average_time_per_page(&row, &average) == 0
               ? 0
               : 1;
}
