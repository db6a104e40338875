#include "server/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/io_loop.h"
#include "server/listen.h"
#include "server/log.h"
#include "shard/system_clock.h"

#define ADDRESS_BYTES 128 /* of any address, a Unix socket's path too */
#define UNIX_PREFIX   "unix:"

struct ty_service {
    struct ty_app app;
    struct ty_io_sockets sockets; /* closed once the loops have theirs */
    unsigned loop_count;          /* that run */
    const char *http_path;        /* a Unix socket that exists; NULL: none */
    const char *forward_path;
    char http_bound[ADDRESS_BYTES];
    char forward_bound[ADDRESS_BYTES];
};

const char *ty_service_http_address(const struct ty_service *service)
{
    return service->http_bound;
}

struct ty_app *ty_service_app(struct ty_service *service)
{
    return &service->app;
}

bool ty_service_failed(const struct ty_service *service)
{
    const struct ty_database *database =
        atomic_load_explicit(&service->app.database, memory_order_acquire);

    return database != NULL && ty_database_failed(database);
}

/* --- Sockets --- */

static void close_sockets(struct ty_io_sockets *sockets)
{
    if (sockets->http >= 0)
        close(sockets->http);
    for (size_t i = 0; i < sockets->forward_count; i++)
        close(sockets->forward[i]);
    *sockets = (struct ty_io_sockets){.http = -1};
}

static bool is_loopback(const char *bound)
{
    static const char *const prefixes[] = {"127.", "[::1]:"};

    for (size_t i = 0; i < TY_COUNT_OF(prefixes); i++)
        if (strncmp(bound, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static bool cannot_listen(const char *problem)
{
    ty_log_text("error", "cannot_listen", "problem", problem);
    return false;
}

static bool listen_tcp(const char *address, int *fd, char bound[ADDRESS_BYTES])
{
    char error[256];

    if (!ty_http_listen(address, fd, bound, error, sizeof(error)))
        return cannot_listen(error);
    if (is_loopback(bound))
        return true;
    close(*fd);
    return cannot_listen("this version has no authentication, so only loopback addresses and Unix "
                         "sockets are served; put a proxy that checks its clients in front");
}

/* Whoever may open the file is let in, so it needs no further check. */
static bool listen_unix(const char *path, int *fd, const char **bound_path)
{
    char error[256];

    if (!ty_listen_unix(path, fd, error, sizeof(error)))
        return cannot_listen(error);
    *bound_path = path;
    return true;
}

static bool listen_http(struct ty_service *service)
{
    const char *address = service->app.options.http_address;
    const char *path = address + strlen(UNIX_PREFIX);
    int fd;

    if (strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0) {
        if (!listen_tcp(address, &fd, service->http_bound))
            return false;
    } else if (listen_unix(path, &fd, &service->http_path)) {
        snprintf(service->http_bound, ADDRESS_BYTES, UNIX_PREFIX "%s", path);
    } else {
        return false;
    }
    service->sockets.http = fd;
    return true;
}

static bool listen_forward(struct ty_service *service)
{
    const struct ty_options *options = &service->app.options;
    struct ty_io_sockets *sockets = &service->sockets;
    int fd;

    if (options->forward_address != NULL) {
        if (!listen_tcp(options->forward_address, &fd, service->forward_bound))
            return false;
        sockets->forward[sockets->forward_count++] = fd;
    }
    if (options->forward_socket != NULL) {
        if (!listen_unix(options->forward_socket, &fd, &service->forward_path))
            return false;
        sockets->forward[sockets->forward_count++] = fd;
    }
    return true;
}

/* While the sockets still listen: later the paths may be another process's. */
static void remove_paths(struct ty_service *service)
{
    if (service->http_path != NULL)
        ty_listen_unix_remove(service->http_path);
    if (service->forward_path != NULL)
        ty_listen_unix_remove(service->forward_path);
}

static void log_addresses(const struct ty_service *service)
{
    char http[TY_LOG_VALUE_BYTES], path[TY_LOG_VALUE_BYTES];
    const char *tcp = service->forward_bound;
    const char *socket = service->forward_path;

    ty_log_value(service->http_bound, http);
    ty_log("info", "listening", "http=%s%s%s%s%s", http, tcp[0] != '\0' ? " forward=" : "", tcp,
           socket != NULL ? " forward_socket=" : "",
           socket != NULL ? ty_log_value(socket, path) : "");
}

/* --- Loops --- */

/* Every loop gets descriptors of its own for the same listening sockets. */
static bool copy_sockets(const struct ty_io_sockets *sockets, struct ty_io_sockets *copy)
{
    *copy = (struct ty_io_sockets){.http = dup(sockets->http)};
    if (copy->http < 0)
        return false;
    for (size_t i = 0; i < sockets->forward_count; i++) {
        copy->forward[i] = dup(sockets->forward[i]);
        if (copy->forward[i] < 0) {
            close_sockets(copy);
            return false;
        }
        copy->forward_count++;
    }
    return true;
}

static bool start_loops(struct ty_service *service)
{
    struct ty_app *app = &service->app;
    const char *problem = "no memory or file descriptors for the connection threads";

    app->loops = calloc(app->options.io_threads, sizeof(struct ty_io_loop *));
    while (app->loops != NULL && service->loop_count < app->options.io_threads) {
        struct ty_io_sockets own;

        if (!copy_sockets(&service->sockets, &own))
            break;
        app->loops[service->loop_count] = ty_io_loop_start(app, &own, &problem);
        if (app->loops[service->loop_count] == NULL)
            break;
        service->loop_count++;
    }
    if (service->loop_count == app->options.io_threads)
        return true;
    ty_log_text("error", "cannot_start", "problem", problem);
    return false;
}

static void join_loops(struct ty_service *service)
{
    struct ty_app *app = &service->app;

    for (unsigned i = 0; i < service->loop_count; i++)
        ty_io_loop_drain(app->loops[i]);
    for (unsigned i = 0; i < service->loop_count; i++)
        ty_io_loop_join(app->loops[i]);
    free(app->loops);
}

/* --- Life --- */

struct ty_service *ty_service_start(const struct ty_options *options)
{
    struct ty_service *service = calloc(1, sizeof(*service));
    struct ty_clock clock = ty_system_clock();

    if (service == NULL) {
        ty_log_text("error", "cannot_start", "problem", "no memory");
        return NULL;
    }
    service->app.options = *options;
    service->app.started_ms = ty_clock_wall_ms(&clock);
    service->sockets.http = -1;
    if (!listen_http(service) || !listen_forward(service) || !start_loops(service)) {
        ty_service_stop(service);
        return NULL;
    }
    close_sockets(&service->sockets);
    log_addresses(service);
    return service;
}

bool ty_service_recover(struct ty_service *service)
{
    struct ty_app *app = &service->app;
    struct ty_clock clock = ty_system_clock();
    char directory[TY_LOG_VALUE_BYTES];
    struct ty_database *database;
    tally_error error;

    if (ty_database_open(&app->options.database, NULL, &database, &error) != TALLY_OK) {
        ty_log_text("error", "cannot_open", "problem", error.message);
        return false;
    }
    /* Release: pairs with the acquire in ty_app_database(). */
    atomic_store_explicit(&app->database, database, memory_order_release);
    ty_log("info", "ready", "data=%s shards=%u recovery_ms=%lld",
           ty_log_value(app->options.database.directory, directory),
           ty_database_shard_count(database),
           (long long)(ty_clock_wall_ms(&clock) - app->started_ms));
    return true;
}

void ty_service_stop(struct ty_service *service)
{
    if (service == NULL)
        return;
    atomic_store_explicit(&service->app.draining, true, memory_order_relaxed);
    remove_paths(service);
    join_loops(service);
    ty_database_close(atomic_load_explicit(&service->app.database, memory_order_relaxed));
    close_sockets(&service->sockets);
    free(service);
}
