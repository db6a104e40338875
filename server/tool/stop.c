#include "server/tool/stop.h"

#include "engine/base.h"
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t stopped_by;

static void note_signal(int number)
{
    stopped_by = number;
}

void ty_stop_catch(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    const struct sigaction action = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};

    for (size_t i = 0; i < TY_COUNT_OF(signals); i++) {
        struct sigaction before;

        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
}

bool ty_stop_wanted(void)
{
    return stopped_by != 0;
}

void ty_stop_end(void)
{
    if (stopped_by == 0)
        return;
    fflush(stdout);
    signal(stopped_by, SIG_DFL);
    raise(stopped_by);
}
