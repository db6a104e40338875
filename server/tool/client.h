/*
 * client.h: who answers the tool's requests: a server, or a data directory that no server holds.
 *
 * A directory is served by this very process: the service of tallyd (service.h) runs in it, on a
 * Unix socket in a private directory, so that every command works on both in the same way. It never
 * trims the journal, and never creates a database.
 *
 * Threads: the program has one; libcurl's global state is set up by main().
 */
#ifndef TY_SERVER_TOOL_CLIENT_H
#define TY_SERVER_TOOL_CLIENT_H

#include <curl/curl.h>
#include <stddef.h>

#include "server/tool/flags.h"

/* More than any answer of a Tally server. */
#define TY_HTTP_BODY_BYTES_MAX (64u << 20)

/* How long to wait for a connection, and for the next byte of an answer. */
#define TY_HTTP_CONNECT_SECONDS 5L
#define TY_HTTP_SILENCE_SECONDS 60L

/* What every command that asks has among its options, first. */
struct ty_client_options {
    const char *server; /* "http://127.0.0.1:8480"; NULL: the default */
    const char *data;   /* a data directory instead; NULL: none */
    bool sends_events;  /* set by the command, no flag: see ty_directory_open() */
};

/* The flags --server (or TALLY_SERVER) and --data, for the table of a command whose options begin
 * with ty_client_options. */
#define TY_CLIENT_FLAGS                                                                            \
    {.name = "server",                                                                             \
     .kind = TY_FLAG_TEXT,                                                                         \
     .value = "URL",                                                                               \
     .variable = "TALLY_SERVER",                                                                   \
     .help = "the server (http://127.0.0.1:8480)"},                                                \
    {                                                                                              \
        .name = "data", .kind = TY_FLAG_TEXT, .value = "DIR",                                      \
        .help = "a data directory that no server holds, instead of a server",                      \
        .offset = offsetof(struct ty_client_options, data)                                         \
    }

struct ty_client;

/*
 * A server's address is http:// or https://, host, port and perhaps a path to put before; a slash
 * at its end is dropped. Proxies of the environment are used, but never for a loopback address. Or
 * it is unix:PATH, the path of a Unix socket.
 *
 * ty_client_open gets ready to ask. For a directory this recovers the database, which may take
 * seconds. Returns TY_EXIT_OK, or the exit code after a message on stderr: TY_EXIT_USAGE (both a
 * server and a directory on the command line, no such URL), TY_EXIT_UNREACHABLE (no database there,
 * a server holds it). For a directory, SIGINT, SIGTERM and SIGHUP are caught, unless they are
 * ignored: they remove the socket, then end the program as they do by default. Who catches them in
 * another way after this call has to end with ty_client_close().
 */
int ty_client_open(const struct ty_client_options *options, struct ty_client **client);

/* ty_client_close flushes and closes a directory; NULL is fine. */
void ty_client_close(struct ty_client *client);

/* Answer to one request. A zeroed one is empty; ty_http_fini() frees it. */
struct ty_http_answer {
    long status;
    char *body; /* ended by a zero byte that `length` does not count; NULL when empty */
    size_t length;
};
void ty_http_fini(struct ty_http_answer *answer);

/* ty_http_collect is a CURLOPT_WRITEFUNCTION that appends to the struct ty_http_answer given as
 * CURLOPT_WRITEDATA. It ends a transfer of more than TY_HTTP_BODY_BYTES_MAX, or without memory,
 * with CURLE_WRITE_ERROR, as libcurl does when a callback returns anything but what it was given.
 */
size_t ty_http_collect(char *data, size_t size, size_t count, void *context);

/*
 * ty_client_get fetches a path ("/healthz"; escaped already), the whole answer in memory. Returns
 * TY_EXIT_OK and fills *answer, whatever the HTTP status, for the caller to free. Otherwise *answer
 * is empty, a message is on stderr, and TY_EXIT_UNREACHABLE is returned.
 */
int ty_client_get(struct ty_client *client, const char *path, struct ty_http_answer *answer);

/* ty_client_post sends a POST without a body; otherwise as ty_client_get(). Nothing is sent twice:
 * after TY_EXIT_UNREACHABLE it may have been taken or not. */
int ty_client_post(struct ty_client *client, const char *path, struct ty_http_answer *answer);

/* ty_client_post_json sends a POST with a JSON body, ended by a zero byte; otherwise likewise. */
int ty_client_post_json(struct ty_client *client, const char *path, const char *body,
                        struct ty_http_answer *answer);

/*
 * ty_client_request prepares a request for who runs it with libcurl's own functions (several at
 * once, say): URL, socket, proxies and time limits are set; connections are reused by the multi
 * handle that runs it. The caller cleans it up. NULL: no memory.
 */
CURL *ty_client_request(struct ty_client *client, const char *path);

/* ty_client_explain says on stderr why such a request failed (`error`: what CURLOPT_ERRORBUFFER
 * got, or "") and returns the exit code, TY_EXIT_UNREACHABLE. */
int ty_client_explain(struct ty_client *client, CURLcode code, const char *error);

/* What to call it in messages: the URL, or the directory. Borrowed. */
const char *ty_client_name(const struct ty_client *client);

/* ty_http_escape percent-encodes text for a query string (RFC 3986: everything but unreserved
 * characters). Returns memory that the caller frees with free(), or NULL if there is none. */
char *ty_http_escape(const char *text);

#endif
