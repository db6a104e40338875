/*
 * test_notify.c: a supervisor's socket, and what tallyd sends to it.
 */
#include "server/notify.h"

#include "tests/support/temporary_directory.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct ty_temporary_directory directory;
static int supervisor;

static void listen_as_supervisor(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    ty_temporary_directory_create(&directory);
    cr_assert_lt(
        snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/notify", directory.path),
        (int)sizeof(address.sun_path));
    supervisor = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(supervisor, (struct sockaddr *)&address, sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

static void hang_up(void)
{
    close(supervisor);
    ty_temporary_directory_remove(&directory);
}

TestSuite(notify, .init = listen_as_supervisor, .fini = hang_up);

/* The next message; "": there is none. */
static const char *received(void)
{
    static char text[1000];
    ssize_t length = recv(supervisor, text, sizeof(text) - 1, 0);

    cr_assert(length > 0 || errno == EAGAIN);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

static void assert_received(const char *want)
{
#ifdef TALLY_SYSTEMD
    cr_assert_str_eq(received(), want);
#else
    (void)want;
#endif
    cr_assert_str_eq(received(), "", "nothing more");
}

/* A start that the supervisor does not hear of is ended after its time limit, and begun again for
 * ever; one that it hears of too soon has others use a server that does not answer yet. One that is
 * killed while it stores what is in memory has to recover it at the next start: for its end it asks
 * for as long as its clients are given, and for the database's own time. */
Test(notify, every_step_is_told)
{
    ty_notify_recovering();
    assert_received("STATUS=recovering\nEXTEND_TIMEOUT_USEC=60000000");
    ty_notify_serving("127.0.0.1:8480");
    assert_received("READY=1\nSTATUS=serving on 127.0.0.1:8480");
    ty_notify_alive();
    assert_received("WATCHDOG=1");
    ty_notify_stopping(0);
    assert_received("STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=60000000");
    ty_notify_stopping(25000);
    assert_received("STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=85000000");
}

static void assert_watchdog(const char *limit_us, const char *pid, uint64_t want_ms)
{
    if (limit_us == NULL)
        unsetenv("WATCHDOG_USEC");
    else
        setenv("WATCHDOG_USEC", limit_us, 1);
    if (pid == NULL)
        unsetenv("WATCHDOG_PID");
    else
        setenv("WATCHDOG_PID", pid, 1);
#ifndef TALLY_SYSTEMD
    want_ms = 0;
#endif
    cr_assert_eq(ty_notify_watchdog_ms(), want_ms, "%s, %s: %llu", limit_us, pid,
                 (unsigned long long)ty_notify_watchdog_ms());
}

/* One sign of life too late, and a server that is well is killed; and it does not spin without one.
 */
Test(notify, a_sign_of_life_comes_twice_in_time)
{
    char pid[24];

    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    assert_watchdog(NULL, NULL, 0);
    assert_watchdog("30000000", pid, 15000);
    assert_watchdog("30000000", NULL, 15000);
    assert_watchdog("30000000", "1", 0); /* Meant for its parent. */
    assert_watchdog("1", pid, 1);
    assert_watchdog("no number", pid, 0);
}

/* Started by hand there is nobody to tell: that is no error, and not told to anybody else. */
Test(notify, without_a_supervisor_nothing_happens)
{
    unsetenv("NOTIFY_SOCKET");
    ty_notify_recovering();
    ty_notify_serving("127.0.0.1:8480");
    ty_notify_alive();
    ty_notify_stopping(1000);
    cr_assert_str_eq(received(), "");
    setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
    ty_notify_serving("127.0.0.1:8480");
    cr_assert_str_eq(received(), "");
}
