/*
 * listen.h: Unix sockets to accept connections from; ty_http_listen() (http_server.h) has TCP's.
 *
 * Who may connect is decided by the file's mode and its directory's: what reaches a Unix socket
 * comes from this machine, from a user that the operator has chosen.
 *
 * Threads: start and end of the process, one at a time.
 */
#ifndef TY_SERVER_LISTEN_H
#define TY_SERVER_LISTEN_H

#include "engine/base.h"

/*
 * ty_listen_unix binds a listening socket to the file `path`, mode 0660, non-blocking and
 * close-on-exec. A socket file that a killed process left behind is replaced: nobody answers there.
 * Two processes that start at the same moment with the same path are not told from that. On
 * failure returns false, with a text in `error` that says what is wrong with which path, and what
 * is allowed.
 */
bool ty_listen_unix(const char *path, int *fd, char *error, size_t error_size);

/* ty_listen_unix_remove removes the file; call it while the socket still listens, since later
 * another process may have the path. */
void ty_listen_unix_remove(const char *path);

#endif
