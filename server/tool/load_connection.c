#include "server/tool/load_connection.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define INPUT_BYTES ((size_t)65536) /* a longer reply is one that the load never causes */

bool ty_load_connection_init(struct ty_load_connection *connection, const struct ty_load_plan *plan,
                             unsigned outstanding_max)
{
    *connection = (struct ty_load_connection){.fd = -1, .outstanding_max = outstanding_max};
    connection->sent = calloc(outstanding_max, sizeof(*connection->sent));
    connection->input = malloc(INPUT_BYTES);
    if (connection->sent == NULL || connection->input == NULL ||
        !ty_load_message_make(&connection->message, plan))
        return false;
    connection->written = connection->message.bytes.length;
    return true;
}

void ty_load_connection_fini(struct ty_load_connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    ty_load_message_fini(&connection->message);
    free(connection->sent);
    free(connection->input);
}

/* --- Connecting --- */

static int connect_to(int family, const void *address, socklen_t length)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, saved;

    if (fd < 0)
        return -1;
    if (connect(fd, address, length) == 0) {
        if (family != AF_UNIX)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        return fd;
    }
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    errno = 0;
    if (strlen(path) >= sizeof(address.sun_path))
        return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    return connect_to(AF_UNIX, &address, sizeof(address));
}

/* "host:port" or "[v6]:port". */
static int connect_tcp(const char *text)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    const char *colon = strrchr(text, ':');
    bool brackets = text[0] == '[' && colon != NULL && colon > text && colon[-1] == ']';
    char *host;
    int fd = -1;

    errno = 0;
    if (colon == NULL)
        return -1;
    host = brackets ? strndup(text + 1, (size_t)(colon - text) - 2)
                    : strndup(text, (size_t)(colon - text));
    if (host != NULL && getaddrinfo(host, colon + 1, &hints, &list) == 0)
        for (const struct addrinfo *info = list; info != NULL && fd < 0; info = info->ai_next)
            fd = connect_to(info->ai_family, info->ai_addr, info->ai_addrlen);
    if (list != NULL)
        freeaddrinfo(list);
    free(host);
    return fd;
}

bool ty_load_connection_open(struct ty_load_connection *connection, const char *address)
{
    static const char prefix[] = "unix:";

    connection->fd = strncmp(address, prefix, strlen(prefix)) == 0
                         ? connect_unix(address + strlen(prefix))
                         : connect_tcp(address);
    return connection->fd >= 0;
}

uint64_t ty_load_connection_drop(struct ty_load_connection *connection)
{
    uint64_t lost = ty_load_connection_waiting(connection);

    close(connection->fd);
    connection->fd = -1;
    connection->reply_count = connection->sent_count;
    connection->written = connection->message.bytes.length;
    connection->input_length = 0;
    return lost;
}

/* --- Sending --- */

uint64_t ty_load_connection_waiting(const struct ty_load_connection *connection)
{
    return connection->sent_count - connection->reply_count;
}

static bool is_writing(const struct ty_load_connection *connection)
{
    return connection->written < connection->message.bytes.length;
}

bool ty_load_connection_is_free(const struct ty_load_connection *connection)
{
    return connection->fd >= 0 && !is_writing(connection) &&
           ty_load_connection_waiting(connection) < connection->outstanding_max;
}

void ty_load_connection_begin(struct ty_load_connection *connection, uint64_t number,
                              int64_t due_ns, int64_t now_ms)
{
    connection->sent[connection->sent_count++ % connection->outstanding_max] =
        (struct ty_load_sent){.number = number, .due_ns = due_ns};
    ty_load_message_stamp(&connection->message, number, now_ms);
    connection->written = 0;
}

bool ty_load_connection_write(struct ty_load_connection *connection)
{
    const struct ty_buffer *bytes = &connection->message.bytes;

    while (is_writing(connection)) {
        ssize_t written = send(connection->fd, bytes->data + connection->written,
                               bytes->length - connection->written, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (written < 0)
            return errno == EAGAIN || errno == EINTR;
        connection->written += (size_t)written;
    }
    return true;
}

/* --- Receiving --- */

bool ty_load_connection_read(struct ty_load_connection *connection)
{
    ssize_t got = recv(connection->fd, connection->input + connection->input_length,
                       INPUT_BYTES - connection->input_length, MSG_DONTWAIT);

    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    connection->input_length += (size_t)got;
    return got > 0;
}

static bool is_answer_to(const struct ty_load_connection *connection,
                         const struct ty_load_reply *reply, const struct ty_load_sent *sent)
{
    char chunk[16];

    if (connection->message.chunk == 0)
        return true; /* HTTP answers in order. */
    ty_load_message_chunk(sent->number, chunk);
    return memcmp(chunk, reply->chunk, sizeof(chunk)) == 0;
}

enum ty_load_step ty_load_connection_next(struct ty_load_connection *connection,
                                          struct ty_load_reply *reply, struct ty_load_sent *sent)
{
    bool is_forward = connection->message.chunk != 0;
    size_t length = is_forward
                        ? ty_load_reply_ack(connection->input, connection->input_length, reply)
                        : ty_load_reply_http(connection->input, connection->input_length, reply);

    if (length == 0)
        return connection->input_length == INPUT_BYTES ? TY_LOAD_BROKEN : TY_LOAD_NOTHING;
    if (length == TY_LOAD_REPLY_BROKEN || ty_load_connection_waiting(connection) == 0)
        return TY_LOAD_BROKEN;
    *sent = connection->sent[connection->reply_count++ % connection->outstanding_max];
    if (!is_answer_to(connection, reply, sent))
        return TY_LOAD_BROKEN;
    connection->input_length -= length;
    memmove(connection->input, connection->input + length, connection->input_length);
    return TY_LOAD_ANSWERED;
}
