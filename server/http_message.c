#include "server/http_message.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEAD_BYTES_FIRST = 1024,
    HEADERS_FIRST = 16,
    BODY_BYTES_FIRST = 64 << 10 /* how far a declared length is believed before bytes arrive */
};

struct ty_text ty_http_request_header(const struct ty_http_request *request, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < request->header_count; i++) {
        const struct ty_http_header *header = &request->headers[i];

        if (header->name.length == length && memcmp(header->name.data, name, length) == 0)
            return header->value;
    }
    return (struct ty_text){0};
}

const struct ty_http_header *ty_http_request_next_header(const struct ty_http_request *request,
                                                         const char *prefix, size_t *at)
{
    size_t length = strlen(prefix);

    while (*at < request->header_count) {
        const struct ty_http_header *header = &request->headers[(*at)++];

        if (header->name.length >= length && memcmp(header->name.data, prefix, length) == 0)
            return header;
    }
    return NULL;
}

static const char *rebase(const char *pointer, const char *from, const char *to)
{
    return pointer == NULL ? NULL : to + (pointer - from);
}

/* Moves the head to a larger block, and with it every text that points into it. */
static bool grow_head(struct ty_http_message *message, size_t bytes)
{
    size_t capacity = TY_MAX(message->head_capacity, (size_t)HEAD_BYTES_FIRST);
    char *head;

    while (capacity - message->head_length < bytes)
        capacity *= 2;
    head = malloc(capacity);
    if (head == NULL)
        return false;
    if (message->head_length > 0)
        memcpy(head, message->head, message->head_length);
    for (size_t i = 0; i < message->request.header_count; i++) {
        struct ty_http_header *header = &message->headers[i];

        header->name.data = rebase(header->name.data, message->head, head);
        header->value.data = rebase(header->value.data, message->head, head);
    }
    free(message->head);
    message->head = head;
    message->head_capacity = capacity;
    return true;
}

char *ty_http_message_extend_head(struct ty_http_message *message, size_t bytes)
{
    char *room;

    if ((message->head == NULL || message->head_capacity - message->head_length < bytes) &&
        !grow_head(message, bytes))
        return NULL;
    room = message->head + message->head_length;
    message->head_length += bytes;
    return room;
}

struct ty_http_header *ty_http_message_add_header(struct ty_http_message *message)
{
    size_t count = message->request.header_count;
    struct ty_http_header *headers;

    if (count == message->header_capacity) {
        size_t capacity = count == 0 ? HEADERS_FIRST : count * 2;

        headers = realloc(message->headers, capacity * sizeof(*headers));
        if (headers == NULL)
            return NULL;
        message->headers = headers;
        message->header_capacity = capacity;
        message->request.headers = headers;
    }
    message->headers[count] = (struct ty_http_header){0};
    message->request.header_count++;
    return &message->headers[count];
}

bool ty_http_message_reserve_body(struct ty_http_message *message, size_t bytes)
{
    size_t length = message->request.body.length;
    size_t needed = length + bytes + TY_HTTP_BODY_SPARE;
    size_t capacity = TY_MAX(message->body_capacity * 2, needed);
    char *body;

    if (needed <= message->body_capacity)
        return true;
    if (message->body_declared > 0) {
        size_t whole = message->body_declared + TY_HTTP_BODY_SPARE;

        capacity = TY_MAX(capacity, (size_t)BODY_BYTES_FIRST);
        capacity = TY_MAX(needed, TY_MIN(capacity, whole));
    }
    body = realloc(message->body, capacity);
    if (body == NULL)
        return false;
    message->body = body;
    message->body_capacity = capacity;
    message->request.body.data = body;
    return true;
}

size_t ty_http_message_body_capacity(const struct ty_http_message *message)
{
    return message->body_capacity;
}

void ty_http_message_reset(struct ty_http_message *message, size_t keep_bytes)
{
    if (message->body_capacity > keep_bytes) {
        free(message->body);
        message->body = NULL;
        message->body_capacity = 0;
    }
    message->head_length = 0;
    message->body_declared = 0;
    message->request = (struct ty_http_request){
        .headers = message->headers,
        .body = {message->body, 0},
    };
}

void ty_http_message_fini(struct ty_http_message *message)
{
    free(message->head);
    free(message->headers);
    free(message->body);
    *message = (struct ty_http_message){0};
}
