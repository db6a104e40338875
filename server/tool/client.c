#include "server/tool/client.h"

#include "engine/base.h"
#include "server/tool/command.h"
#include "server/tool/directory.h"
#include "tally.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SERVER "http://127.0.0.1:8480"
#define UNIX_PREFIX    "unix:"

#define TEXT_OF_VALUE(value) #value
#define TEXT_OF(macro)       TEXT_OF_VALUE(macro)
#define USER_AGENT                                                                                 \
    "tally/" TEXT_OF(TALLY_VERSION_MAJOR) "." TEXT_OF(TALLY_VERSION_MINOR) "." TEXT_OF(            \
        TALLY_VERSION_PATCH)

struct ty_client {
    const char *name;   /* the server or the directory, as it was given */
    const char *server; /* what paths are put behind */
    const char *socket; /* the path of a Unix socket; NULL: TCP */
    struct ty_directory *directory;
    bool loopback;
    CURL *curl; /* of ty_client_get() and _post(), kept with its connection */
};

/* --- Opening --- */

/* A proxy would ask its own machine for a loopback address. */
static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0 ||
           strcmp(host, "localhost") == 0;
}

static int refuse_server(const char *server, const char *reason)
{
    fprintf(stderr,
            "tally: the server '%s' is neither an http:// or https:// URL (such as " DEFAULT_SERVER
            ") nor unix:PATH: %s\n",
            server, reason);
    return TY_EXIT_USAGE;
}

/* Whether it can be asked at all, and whether it is this machine. */
static int check_url(struct ty_client *client)
{
    CURLU *parts = curl_url();
    char *scheme = NULL, *host = NULL;
    CURLUcode wrong = CURLUE_OUT_OF_MEMORY;
    int code = TY_EXIT_OK;

    if (parts != NULL)
        wrong = curl_url_set(parts, CURLUPART_URL, client->server, CURLU_DEFAULT_SCHEME);
    if (wrong == CURLUE_OK)
        wrong = curl_url_get(parts, CURLUPART_SCHEME, &scheme, CURLU_DEFAULT_SCHEME);
    if (wrong == CURLUE_OK)
        wrong = curl_url_get(parts, CURLUPART_HOST, &host, 0);
    if (wrong != CURLUE_OK)
        code = refuse_server(client->server, curl_url_strerror(wrong));
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        code = refuse_server(client->server, "no such protocol here");
    else
        client->loopback = is_loopback(host);
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(parts);
    return code;
}

static int open_server(struct ty_client *client, const char *server)
{
    client->name = server;
    client->server = server;
    if (strncmp(server, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0)
        return check_url(client);
    client->server = "http://localhost";
    client->socket = server + strlen(UNIX_PREFIX);
    if (*client->socket == '\0')
        return refuse_server(server, "the path is missing");
    return TY_EXIT_OK;
}

static int open_directory(struct ty_client *client, const char *path, bool sends_events)
{
    int code = ty_directory_open(path, sends_events, &client->directory);

    client->name = path;
    client->server = "http://localhost";
    if (code == TY_EXIT_OK)
        client->socket = ty_directory_socket(client->directory);
    return code;
}

/* The command line is nearer than the environment: a directory that is named there wins over a
 * server that the environment names. Flags borrow their texts, so the pointer tells. */
static bool is_on_command_line(const char *server)
{
    return server != NULL && server != getenv("TALLY_SERVER");
}

int ty_client_open(const struct ty_client_options *options, struct ty_client **client)
{
    struct ty_client *opened;
    int code;

    *client = NULL;
    if (options->data != NULL && is_on_command_line(options->server)) {
        fputs("tally: --server and --data exclude each other: who shall be asked?\n", stderr);
        return TY_EXIT_USAGE;
    }
    opened = calloc(1, sizeof(*opened));
    if (opened == NULL) {
        fputs("tally: out of memory\n", stderr);
        return TY_EXIT_UNREACHABLE;
    }
    if (options->data != NULL)
        code = open_directory(opened, options->data, options->sends_events);
    else
        code = open_server(opened, options->server != NULL ? options->server : DEFAULT_SERVER);
    if (code == TY_EXIT_OK)
        *client = opened;
    else
        ty_client_close(opened);
    return code;
}

void ty_client_close(struct ty_client *client)
{
    if (client == NULL)
        return;
    curl_easy_cleanup(client->curl);
    ty_directory_close(client->directory);
    free(client);
}

const char *ty_client_name(const struct ty_client *client)
{
    return client->name;
}

/* --- Asking --- */

/* The server without slashes at its end, then the path; the caller frees it. */
static char *join_url(const char *server, const char *path)
{
    size_t length = strlen(server);
    char *url;

    while (length > 0 && server[length - 1] == '/')
        length--;
    return asprintf(&url, "%.*s%s", (int)length, server, path) >= 0 ? url : NULL;
}

/* False: out of memory. */
static bool prepare(const struct ty_client *client, CURL *curl, const char *path)
{
    char *url = join_url(client->server, path);
    bool copied = url != NULL && curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket) == CURLE_OK;

    free(url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_DEFAULT_PROTOCOL, "http");
    if (client->loopback || client->socket != NULL)
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, USER_AGENT);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, TY_HTTP_CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, TY_HTTP_SILENCE_SECONDS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    return copied;
}

CURL *ty_client_request(struct ty_client *client, const char *path)
{
    CURL *curl = curl_easy_init();

    if (curl != NULL && prepare(client, curl, path))
        return curl;
    curl_easy_cleanup(curl);
    return NULL;
}

int ty_client_explain(struct ty_client *client, CURLcode code, const char *error)
{
    fprintf(stderr, "tally: no answer from %s: %s\n", client->name,
            *error != '\0' ? error : curl_easy_strerror(code));
    if (client->directory == NULL)
        fputs("Is tallyd running there? --server or TALLY_SERVER names another address.\n", stderr);
    return TY_EXIT_UNREACHABLE;
}

size_t ty_http_collect(char *data, size_t size, size_t count, void *context)
{
    struct ty_http_answer *answer = context;
    size_t length = size * count;
    char *body;

    if (length > TY_HTTP_BODY_BYTES_MAX - answer->length)
        return 0;
    body = realloc(answer->body, answer->length + length + 1);
    if (body == NULL)
        return 0;
    memcpy(body + answer->length, data, length);
    answer->body = body;
    answer->length += length;
    body[answer->length] = '\0';
    return length;
}

static int out_of_memory(const struct ty_client *client)
{
    fprintf(stderr, "tally: the answer of %s does not fit into memory (at most %u MiB)\n",
            client->name, TY_HTTP_BODY_BYTES_MAX >> 20);
    return TY_EXIT_UNREACHABLE;
}

/* The body that is posted; NULL: a GET. */
static void set_body(CURL *curl, const char *body)
{
    if (body == NULL) {
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
        return;
    }
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, -1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
}

static int ask(struct ty_client *client, const char *path, const char *body,
               struct curl_slist *headers, struct ty_http_answer *answer)
{
    char error[CURL_ERROR_SIZE] = "";
    CURLcode code;

    memset(answer, 0, sizeof(*answer));
    if (client->curl == NULL)
        client->curl = curl_easy_init();
    if (client->curl == NULL || !prepare(client, client->curl, path))
        return out_of_memory(client);
    set_body(client->curl, body);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(client->curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, ty_http_collect);
    curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, answer);
    code = curl_easy_perform(client->curl);
    if (code == CURLE_OK)
        curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_setopt(client->curl, CURLOPT_ERRORBUFFER, NULL);
    if (code == CURLE_OK)
        return TY_EXIT_OK;
    ty_http_fini(answer);
    return code == CURLE_WRITE_ERROR ? out_of_memory(client)
                                     : ty_client_explain(client, code, error);
}

int ty_client_get(struct ty_client *client, const char *path, struct ty_http_answer *answer)
{
    return ask(client, path, NULL, NULL, answer);
}

int ty_client_post(struct ty_client *client, const char *path, struct ty_http_answer *answer)
{
    return ask(client, path, "", NULL, answer);
}

int ty_client_post_json(struct ty_client *client, const char *path, const char *body,
                        struct ty_http_answer *answer)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    int code;

    if (headers == NULL)
        return out_of_memory(client);
    code = ask(client, path, body, headers, answer);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    return code;
}

void ty_http_fini(struct ty_http_answer *answer)
{
    free(answer->body);
    memset(answer, 0, sizeof(*answer));
}

char *ty_http_escape(const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    char *copy = escaped != NULL ? strdup(escaped) : NULL;

    curl_free(escaped);
    return copy;
}
