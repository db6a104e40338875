/*
 * directory.h: a data directory, served by this very process.
 *
 * Threads: one owner; the service's own threads are inside.
 */
#ifndef TY_SERVER_TOOL_DIRECTORY_H
#define TY_SERVER_TOOL_DIRECTORY_H

#include <stdbool.h>

struct ty_directory;

/*
 * ty_directory_open recovers the database in `path` (borrowed) and serves it on a Unix socket in a
 * directory that only this user can enter, below TMPDIR or /tmp. It never creates a database, and
 * nothing that is stored is trimmed, whatever its age. The process must ignore SIGPIPE.
 *
 *   sends_events  Whether events will be sent. Then ids are remembered as far back as the journal
 *                 goes, a server's window being unknown here, and a longer one harmless. Otherwise
 *                 none are, which saves reading the journal.
 *
 * Until it is closed, SIGINT, SIGTERM and SIGHUP remove the socket and its directory before they
 * end the process.
 *
 * Returns TY_EXIT_OK, or TY_EXIT_UNREACHABLE after a message on stderr.
 */
int ty_directory_open(const char *path, bool sends_events, struct ty_directory **directory);

/* The path of the socket; borrowed. */
const char *ty_directory_socket(const struct ty_directory *directory);

/* ty_directory_close ends the service, closes the database and removes the socket; NULL is fine. */
void ty_directory_close(struct ty_directory *directory);

#endif
