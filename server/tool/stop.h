/*
 * stop.h: SIGINT, SIGTERM and SIGHUP as a wish to stop, for commands that have to clean up.
 *
 * Threads: the program's main one.
 */
#ifndef TY_SERVER_TOOL_STOP_H
#define TY_SERVER_TOOL_STOP_H

#include <stdbool.h>

/* ty_stop_catch: from now on such a signal only makes ty_stop_wanted() true; a second one ends the
 * program. What is ignored stays so. */
void ty_stop_catch(void);
bool ty_stop_wanted(void);

/* ty_stop_end ends the program as the signal would have, had it not been caught; returns when
 * there was none. */
void ty_stop_end(void);

#endif
