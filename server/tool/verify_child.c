#include "server/tool/verify_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum message_kind { MESSAGE_PROBLEM, MESSAGE_PROGRESS, MESSAGE_END };

/* What the child says, one after the other. */
struct message {
    enum message_kind kind;
    struct ty_verify_problem problem;
    char check[16]; /* of MESSAGE_PROGRESS, with the three numbers */
    uint64_t done, total, events;
    struct ty_verify_counts counts; /* of MESSAGE_END, with the others */
    struct ty_database_record database;
    tally_status status;
    char why[320];
};

/* --- The child --- */

/* Without a reader there is nobody to go on for. */
static void say(int fd, const struct message *message)
{
    const char *at = (const char *)message;

    for (size_t left = sizeof(*message); left > 0;) {
        ssize_t written = write(fd, at, left);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            _exit(1);
        at += written;
        left -= (size_t)written;
    }
}

static void say_problem(void *context, const struct ty_verify_problem *problem)
{
    static struct message message;

    message = (struct message){.kind = MESSAGE_PROBLEM, .problem = *problem};
    say(*(int *)context, &message);
}

static void say_progress(void *context, const char *check, uint64_t done, uint64_t total,
                         uint64_t events)
{
    static struct message message;

    message =
        (struct message){.kind = MESSAGE_PROGRESS, .done = done, .total = total, .events = events};
    snprintf(message.check, sizeof(message.check), "%s", check);
    say(*(int *)context, &message);
}

/* What LMDB, or a sanitizer, writes as it dies says less than the parent does. */
static void be_quiet(void)
{
    const struct rlimit none = {0, 0};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (null >= 0)
        dup2(null, STDERR_FILENO);
    setrlimit(RLIMIT_CORE, &none);
}

static void child(int fd, const char *path, struct ty_verify_options options)
{
    static struct message end;
    tally_error error = {""};

    end.kind = MESSAGE_END;
    be_quiet();
    options.context = &fd;
    options.report = say_problem;
    options.progress = say_progress;
    end.status = ty_verify_shard(path, &options, &end.database, &end.counts, &error);
    if (end.status != TALLY_OK)
        snprintf(end.why, sizeof(end.why), "%s", error.message);
    say(fd, &end);
    _exit(0);
}

/* --- The parent --- */

static bool hear(int fd, struct message *message)
{
    char *at = (char *)message;

    for (size_t left = sizeof(*message); left > 0;) {
        ssize_t got = read(fd, at, left);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        left -= (size_t)got;
    }
    return true;
}

static void explain_death(int status, const char *check, char why[320])
{
    const char *signal_name =
        WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "an error of the program";

    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        snprintf(why, 320, "the check was killed while it read the %s: was memory short?", check);
    else
        snprintf(why, 320,
                 "the file's own structure is damaged: the check was ended by '%s' while it read "
                 "the %s; what comes behind was not looked at",
                 signal_name, check);
}

static void listen_to(int fd, pid_t pid, const struct ty_verify_child_watch *watch,
                      struct ty_verify_child_result *result)
{
    static struct message message;
    char check[16] = "records";
    bool ended = false;
    int status = 0;

    while (!ended && hear(fd, &message)) {
        if (message.kind == MESSAGE_PROBLEM) {
            watch->problem(watch->context, &message.problem);
        } else if (message.kind == MESSAGE_PROGRESS) {
            memcpy(check, message.check, sizeof(check));
            watch->progress(watch->context, message.done, message.total, message.events);
        } else {
            ended = true;
            result->counts = message.counts;
            result->database = message.database;
            result->newer = message.status == TALLY_NEWER;
            memcpy(result->problem, message.why, sizeof(result->problem));
        }
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!ended)
        explain_death(status, check, result->problem);
}

bool ty_verify_child_run(const char *path, const struct ty_verify_options *options,
                         const struct ty_verify_child_watch *watch,
                         struct ty_verify_child_result *result)
{
    int ends[2];
    pid_t pid;

    memset(result, 0, sizeof(*result));
    fflush(NULL); /* Or the child would have it, too. */
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(ends[1], path, *options);
    }
    close(ends[1]);
    if (pid > 0)
        listen_to(ends[0], pid, watch, result);
    close(ends[0]);
    return pid > 0;
}
