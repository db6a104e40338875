/*
 * service.h: Tally as a running service, for whoever is its process: `tallyd`, or `tally` when it
 * works on a data directory that no server holds.
 *
 * Wires the parts in the order of their layers, and takes them apart in reverse:
 *
 *     service = ty_service_start(&options);       listens; /healthz answers, /readyz says 503
 *     if (service != NULL && ty_service_recover(service))
 *         ... wait until told to stop, or ty_service_failed() ...
 *     ty_service_stop(service);
 *
 * The process must ignore SIGPIPE: a client may go at any time.
 *
 * Threads: one owner; the service's own threads are inside.
 */
#ifndef TY_SERVER_SERVICE_H
#define TY_SERVER_SERVICE_H

#include "server/app.h"

struct ty_service;

/* ty_service_start binds every address and starts the I/O loops. `options` is copied, texts are
 * borrowed. NULL: the reason was logged; nothing is left behind. */
struct ty_service *ty_service_start(const struct ty_options *options);

/* Where it listens: "127.0.0.1:8480", "unix:/run/tally/http.sock"; borrowed. */
const char *ty_service_http_address(const struct ty_service *service);

/* ty_service_recover opens the database, which may take seconds. False: the reason was logged. */
bool ty_service_recover(struct ty_service *service);

/* True once the database takes nothing any more, after a commit with unknown outcome: stop, and
 * start anew. */
bool ty_service_failed(const struct ty_service *service);

struct ty_app *ty_service_app(struct ty_service *service);

/* ty_service_stop drains the loops (in options.drain_ms), closes the database and frees all. Also
 * after a failed recovery; NULL is fine. */
void ty_service_stop(struct ty_service *service);

#endif
