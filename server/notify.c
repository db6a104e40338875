#include "server/notify.h"

#ifdef TALLY_SYSTEMD

#include <systemd/sd-daemon.h>

/* Enough that a machine under load does not miss it. */
#define RECOVERING_US (INT64_C(12) * TY_NOTIFY_RECOVERING_MS * 1000)

/* What closing the database may take beside the requests: totals in memory are written. */
#define CLOSING_US INT64_C(60000000)

void ty_notify_recovering(void)
{
    sd_notifyf(0, "STATUS=recovering\nEXTEND_TIMEOUT_USEC=%lld", (long long)RECOVERING_US);
}

void ty_notify_serving(const char *address)
{
    sd_notifyf(0, "READY=1\nSTATUS=serving on %s", address);
}

void ty_notify_stopping(uint64_t drain_ms)
{
    sd_notifyf(0, "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=%lld",
               (long long)drain_ms * 1000 + CLOSING_US);
}

/* Half of what is allowed, as sd_watchdog_enabled(3) advises. */
uint64_t ty_notify_watchdog_ms(void)
{
    uint64_t us;

    return sd_watchdog_enabled(0, &us) > 0 ? TY_MAX(us / 2000, 1) : 0;
}

void ty_notify_alive(void)
{
    sd_notify(0, "WATCHDOG=1");
}

#else

void ty_notify_recovering(void)
{
}

void ty_notify_serving(const char *address)
{
    (void)address;
}

void ty_notify_stopping(uint64_t drain_ms)
{
    (void)drain_ms;
}

uint64_t ty_notify_watchdog_ms(void)
{
    return 0;
}

void ty_notify_alive(void)
{
}

#endif
