#include "engine/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ty_buffer_ok(const struct ty_buffer *buffer)
{
    return !buffer->failed;
}

char *ty_buffer_reserve(struct ty_buffer *buffer, size_t bytes)
{
    size_t capacity = TY_MAX(buffer->capacity, (size_t)256);
    char *data;

    if (buffer->failed)
        return NULL;
    if (buffer->data != NULL && buffer->capacity - buffer->length >= bytes)
        return buffer->data + buffer->length;
    if (bytes > SIZE_MAX / 4 - buffer->length) {
        buffer->failed = true;
        return NULL;
    }
    while (capacity - buffer->length < bytes)
        capacity *= 2;
    data = realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->failed = true;
        return NULL;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return data + buffer->length;
}

void ty_buffer_append(struct ty_buffer *buffer, const void *data, size_t length)
{
    char *room = length == 0 ? NULL : ty_buffer_reserve(buffer, length);

    if (room == NULL)
        return;
    memcpy(room, data, length);
    buffer->length += length;
}

void ty_buffer_append_text(struct ty_buffer *buffer, const char *text)
{
    ty_buffer_append(buffer, text, strlen(text));
}

void ty_buffer_append_char(struct ty_buffer *buffer, char byte)
{
    ty_buffer_append(buffer, &byte, 1);
}

void ty_buffer_append_format(struct ty_buffer *buffer, const char *format, ...)
{
    va_list measure, print;
    char *room;
    int length;

    va_start(measure, format);
    va_copy(print, measure);
    length = vsnprintf(NULL, 0, format, measure);
    va_end(measure);
    if (length < 0)
        buffer->failed = true; /* too long to be counted: as good as out of memory */
    room = length < 0 ? NULL : ty_buffer_reserve(buffer, (size_t)length + 1);
    if (room != NULL) {
        vsnprintf(room, (size_t)length + 1, format, print);
        buffer->length += (size_t)length;
    }
    va_end(print);
}

static void append_escaped(struct ty_buffer *buffer, unsigned char byte)
{
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    for (size_t i = 0; i + 1 < sizeof(named); i += 2)
        if ((unsigned char)named[i] == byte) {
            ty_buffer_append_format(buffer, "\\%c", named[i + 1]);
            return;
        }
    ty_buffer_append_format(buffer, "\\u%04x", byte);
}

void ty_buffer_append_json(struct ty_buffer *buffer, struct ty_text text)
{
    size_t plain = 0; /* where the run of bytes that need no escape began */

    ty_buffer_append_char(buffer, '"');
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];

        if (byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f)
            continue;
        ty_buffer_append(buffer, text.data + plain, i - plain);
        append_escaped(buffer, byte);
        plain = i + 1;
    }
    if (plain < text.length)
        ty_buffer_append(buffer, text.data + plain, text.length - plain);
    ty_buffer_append_char(buffer, '"');
}

void ty_buffer_fini(struct ty_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct ty_buffer){0};
}
