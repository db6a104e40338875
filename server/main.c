/*
 * main.c: tallyd: the service (service.h), and what a process of its own needs: signals, a watch,
 * exit codes.
 *
 * The main thread runs a small loop of its own for signals, the watch and the supervisor.
 * Connections are served from the start, so that health checks answer while the database is being
 * recovered, by a thread of libuv's pool.
 */
#include <signal.h>
#include <uv.h>

#include "server/log.h"
#include "server/notify.h"
#include "server/service.h"
#include "server/watch.h"

#define WATCH_MS 500

struct process {
    struct ty_service *service;
    struct ty_watch watch;
    uv_loop_t uv;
    uv_signal_t sigterm;
    uv_signal_t sigint;
    uv_timer_t timer;
    uv_timer_t watchdog;
    uv_work_t recovery;
    bool is_recovering;
    bool has_recovered;
    bool stop_wanted;
    int exit_code;
};

static void on_signal(uv_signal_t *signal, int number)
{
    struct process *process = signal->data;

    ty_log("info", "stopping", "signal=%d", number);
    process->stop_wanted = true;
    if (!process->is_recovering)
        uv_stop(&process->uv);
}

/* A shard whose commit failed halfway takes nothing any more: only a new process, which recovers
 * from what is really on the disk, can go on. */
static void on_watch(uv_timer_t *timer)
{
    struct process *process = timer->data;

    ty_watch_look(&process->watch, ty_app_database(ty_service_app(process->service)));
    if (!ty_service_failed(process->service))
        return;
    ty_log_text("error", "commit_outcome_unknown", "consequence",
                "stopping; batches in flight were answered 'outcome unknown'; after the restart "
                "clients retry with the same ids and nothing is lost or counted twice");
    process->exit_code = 1;
    uv_stop(&process->uv);
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    ty_notify_alive();
}

/* --- Recovery, beside the main loop --- */

static void on_still_recovering(uv_timer_t *timer)
{
    (void)timer;
    ty_notify_recovering();
}

static void recover(uv_work_t *work)
{
    struct process *process = TY_CONTAINER_OF(work, struct process, recovery);

    process->has_recovered = ty_service_recover(process->service);
}

static void on_recovered(uv_work_t *work, int status)
{
    struct process *process = TY_CONTAINER_OF(work, struct process, recovery);

    (void)status;
    process->is_recovering = false;
    uv_timer_stop(&process->timer);
    if (!process->has_recovered)
        process->exit_code = 1;
    if (!process->has_recovered || process->stop_wanted) {
        uv_stop(&process->uv);
        return;
    }
    ty_notify_serving(ty_service_http_address(process->service));
    uv_timer_start(&process->timer, on_watch, WATCH_MS, WATCH_MS);
}

static void start_recovery(struct process *process)
{
    process->is_recovering = true;
    ty_notify_recovering();
    uv_timer_start(&process->timer, on_still_recovering, TY_NOTIFY_RECOVERING_MS,
                   TY_NOTIFY_RECOVERING_MS);
    uv_queue_work(&process->uv, &process->recovery, recover, on_recovered);
}

/* --- The loop --- */

/* From here on a signal waits for the loop to run, and for the end of recovery. */
static void open_loop(struct process *process)
{
    uv_loop_init(&process->uv);
    uv_signal_init(&process->uv, &process->sigterm);
    uv_signal_init(&process->uv, &process->sigint);
    uv_timer_init(&process->uv, &process->timer);
    uv_timer_init(&process->uv, &process->watchdog);
    process->sigterm.data = process->sigint.data = process->timer.data = process;
    uv_signal_start(&process->sigterm, on_signal, SIGTERM);
    uv_signal_start(&process->sigint, on_signal, SIGINT);
}

static void run_loop(struct process *process)
{
    uint64_t watchdog_ms = ty_notify_watchdog_ms();

    if (watchdog_ms != 0)
        uv_timer_start(&process->watchdog, on_watchdog, 0, watchdog_ms);
    start_recovery(process);
    uv_run(&process->uv, UV_RUN_DEFAULT);
}

/* Only when all is stored: a second signal must not cut the requests in flight short. */
static void close_loop(struct process *process)
{
    uv_close((uv_handle_t *)&process->sigterm, NULL);
    uv_close((uv_handle_t *)&process->sigint, NULL);
    uv_close((uv_handle_t *)&process->timer, NULL);
    uv_close((uv_handle_t *)&process->watchdog, NULL);
    uv_run(&process->uv, UV_RUN_DEFAULT);
    uv_loop_close(&process->uv);
}

static int run(struct process *process, const struct ty_options *options)
{
    open_loop(process);
    process->service = ty_service_start(options);
    if (process->service == NULL)
        return 1;
    run_loop(process);
    ty_notify_stopping(options->drain_ms);
    ty_service_stop(process->service);
    close_loop(process);
    ty_log("info", "stopped", "exit_code=%d", process->exit_code);
    return process->exit_code;
}

/* The data files are mapped: a page that cannot be read is a signal and not an error. Says so, with
 * nothing but what a handler may call; back at the same instruction the signal then ends the
 * process as it would have without (SA_RESETHAND). */
static void on_unreadable_page(int number)
{
    (void)number;
    ty_log_emergency("level=error event=data_unreadable problem=\"a page of a data file cannot be "
                     "read: the disk fails, or the file has been cut short; restore a copy of the "
                     "data directory\"");
}

int main(int argc, char **argv)
{
    static struct process process;
    static struct ty_options options;
    const struct sigaction unreadable = {.sa_handler = on_unreadable_page,
                                         .sa_flags = (int)SA_RESETHAND};
    int code;

    ty_log_open();
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGBUS, &unreadable, NULL);
    switch (ty_options_parse(argc, argv, &options)) {
    case TY_OPTIONS_RUN:
        code = run(&process, &options);
        ty_options_fini(&options);
        return code;
    case TY_OPTIONS_EXIT:
        return 0;
    default:
        return 2;
    }
}
