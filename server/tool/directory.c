#include "server/tool/directory.h"

#include "server/log.h"
#include "server/service.h"
#include "server/tool/command.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET_NAME  "http.sock"
#define PREFIX       "unix:"
#define PATH_BYTES   108 /* of a Unix socket's path, its zero byte included (unix(7)) */
#define TEMPLATE     "/tally-XXXXXX"
#define TMPDIR_BYTES (PATH_BYTES - (int)sizeof(TEMPLATE SOCKET_NAME))

/* Longer than any server keeps single events, and short enough to be added to any time. */
#define EVER_MS (INT64_C(400) * 24 * 3600 * 1000)

/* A journal may take half of the map, kept rejects an eighth, so in a map of eight times what is
 * there nothing reaches its bound. It is address space, no memory. */
#define MAP_PER_FILE 8

/* How long requests may take that are still running when the command has what it wanted. */
#define DRAIN_MS 1000

struct ty_directory {
    char path[PATH_BYTES];
    char socket[PATH_BYTES + sizeof(PREFIX "/" SOCKET_NAME)]; /* "unix:", then its path */
    struct ty_service *service;
};

/* --- Signals --- */

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
static struct sigaction old_actions[TY_COUNT_OF(signals)];

/* What the handler removes: NULL while there is nothing. Set before the handler is, and unset after
 * it, so that it needs no lock. */
static const struct ty_directory *volatile served;

/* Whatever is committed is safe, and what is not was not acknowledged: ending at once loses no more
 * than a power cut would. unlink(), rmdir(), signal() and raise() are async-signal-safe. */
static void on_signal(int number)
{
    const struct ty_directory *directory = served;

    if (directory != NULL) {
        unlink(directory->socket + strlen(PREFIX));
        rmdir(directory->path);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_signals(const struct ty_directory *directory)
{
    const struct sigaction action = {.sa_handler = on_signal};

    served = directory;
    for (size_t i = 0; i < TY_COUNT_OF(signals); i++) {
        sigaction(signals[i], NULL, &old_actions[i]);
        if (old_actions[i].sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
}

/* Somebody else's handler, put in later, stays. */
static void release_signals(void)
{
    for (size_t i = 0; i < TY_COUNT_OF(signals); i++) {
        struct sigaction now;

        sigaction(signals[i], NULL, &now);
        if (now.sa_handler == on_signal)
            sigaction(signals[i], &old_actions[i], NULL);
    }
    served = NULL;
}

/* --- Opening --- */

static bool has_database(const char *path)
{
    char *file = NULL;
    bool found = false;

    if (access(path, X_OK) != 0) {
        fprintf(stderr, "tally: the data directory %s cannot be entered: %s\n", path,
                strerror(errno));
    } else if (asprintf(&file, "%s/shard-000/data.mdb", path) < 0) {
        file = NULL;
        fputs("tally: out of memory\n", stderr);
    } else if (access(file, F_OK) == 0) {
        found = true;
    } else {
        fprintf(stderr,
                "tally: %s holds no database (%s: %s). tallyd creates one: tallyd --data %s\n",
                path, file, strerror(errno), path);
    }
    free(file);
    return found;
}

/* Only this user can enter it, so only this user reaches the socket. */
static bool make_private(struct ty_directory *directory)
{
    const char *parent = getenv("TMPDIR");

    if (parent == NULL || parent[0] != '/' || strlen(parent) > TMPDIR_BYTES)
        parent = "/tmp";
    snprintf(directory->path, sizeof(directory->path), "%s" TEMPLATE, parent);
    if (mkdtemp(directory->path) == NULL) {
        fprintf(stderr, "tally: cannot create a directory for a socket in %s: %s\n", parent,
                strerror(errno));
        directory->path[0] = '\0';
        return false;
    }
    snprintf(directory->socket, sizeof(directory->socket), PREFIX "%s/" SOCKET_NAME,
             directory->path);
    return true;
}

/* The bytes of the largest shard's file. */
static uint64_t largest_file(const char *path)
{
    uint64_t largest = 0;
    struct stat status;
    char *file;

    for (unsigned shard = 0;; shard++) {
        if (asprintf(&file, "%s/shard-%03u/data.mdb", path, shard) < 0)
            return largest;
        if (stat(file, &status) != 0) {
            free(file);
            return largest;
        }
        free(file);
        largest = TY_MAX(largest, (uint64_t)status.st_size);
    }
}

/* What is in the directory is its server's business: nothing may be trimmed because this program
 * does not know what that server keeps. */
static struct ty_options make_options(const char *path, const char *address, bool sends_events)
{
    struct ty_options options = {
        .database = TALLY_OPTIONS_INIT,
        .http = ty_http_options_default(),
        .http_address = address,
        .io_threads = 1,
        .drain_ms = DRAIN_MS,
    };

    options.database.directory = path;
    options.database.map_bytes = TY_MAX(TALLY_MAP_BYTES, MAP_PER_FILE * largest_file(path));
    options.database.dedup_window_ms = sends_events ? EVER_MS : 0;
    options.database.journal_retention_ms = INT64_MAX;
    options.database.journal_bytes_max = UINT64_MAX;
    options.database.reject_bytes_max = UINT64_MAX;
    options.http.server_name = "tally";
    return options;
}

static bool serve(struct ty_directory *directory, const char *path, bool sends_events)
{
    struct ty_options options = make_options(path, directory->socket, sends_events);

    ty_log_for_people("tally");
    directory->service = ty_service_start(&options);
    return directory->service != NULL && ty_service_recover(directory->service);
}

int ty_directory_open(const char *path, bool sends_events, struct ty_directory **directory)
{
    struct ty_directory *opened;

    *directory = NULL;
    if (!has_database(path))
        return TY_EXIT_UNREACHABLE;
    opened = calloc(1, sizeof(*opened));
    if (opened == NULL) {
        fputs("tally: out of memory\n", stderr);
        return TY_EXIT_UNREACHABLE;
    }
    if (!make_private(opened)) {
        free(opened);
        return TY_EXIT_UNREACHABLE;
    }
    catch_signals(opened);
    if (!serve(opened, path, sends_events)) {
        ty_directory_close(opened);
        return TY_EXIT_UNREACHABLE;
    }
    *directory = opened;
    return TY_EXIT_OK;
}

const char *ty_directory_socket(const struct ty_directory *directory)
{
    return directory->socket + strlen(PREFIX);
}

void ty_directory_close(struct ty_directory *directory)
{
    if (directory == NULL)
        return;
    ty_service_stop(directory->service);
    unlink(ty_directory_socket(directory));
    rmdir(directory->path);
    release_signals();
    free(directory);
}
