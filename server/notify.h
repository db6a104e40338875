/*
 * notify.h: what tallyd tells the supervisor that started it, by systemd's protocol (sd_notify(3)):
 * that it has recovered, what it does, that it is alive.
 *
 * Without a supervisor that listens (NOTIFY_SOCKET is not set), or without libsystemd at build
 * time, nothing happens.
 *
 * Threads: one, that of the process' main loop.
 */
#ifndef TY_SERVER_NOTIFY_H
#define TY_SERVER_NOTIFY_H

#include "engine/base.h"

/* ty_notify_recovering asks for more time: call it at least every TY_NOTIFY_RECOVERING_MS while the
 * database is being recovered, however long that takes. */
#define TY_NOTIFY_RECOVERING_MS 5000
void ty_notify_recovering(void);

/* ty_notify_serving says that the start is complete; `address` is where HTTP is served. */
void ty_notify_serving(const char *address);

/* ty_notify_stopping says that the end has begun, which may take `drain_ms` and the time to close
 * the database. */
void ty_notify_stopping(uint64_t drain_ms);

/* How often ty_notify_alive() has to be called, lest the process be taken for hung; 0: never. */
uint64_t ty_notify_watchdog_ms(void);
void ty_notify_alive(void);

#endif
