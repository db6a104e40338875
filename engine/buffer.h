/*
 * buffer.h: a byte string that grows at its end.
 *
 * A failed allocation is remembered and makes every later append do nothing, so that a writer may
 * append freely and ask ty_buffer_ok() once. Threads: one owner at a time.
 */
#ifndef TY_ENGINE_BUFFER_H
#define TY_ENGINE_BUFFER_H

#include "engine/base.h"

/* All zero is a valid, empty buffer. */
struct ty_buffer {
    char *data;
    size_t length;
    size_t capacity;
    bool failed; /* an allocation failed: the content is incomplete */
};

/* False once an allocation has failed. */
bool ty_buffer_ok(const struct ty_buffer *buffer);

/* ty_buffer_reserve makes room for `bytes` more and returns where they go, or NULL: no memory. */
char *ty_buffer_reserve(struct ty_buffer *buffer, size_t bytes);

void ty_buffer_append(struct ty_buffer *buffer, const void *data, size_t length);
void ty_buffer_append_text(struct ty_buffer *buffer, const char *text);
void ty_buffer_append_char(struct ty_buffer *buffer, char byte);
void ty_buffer_append_format(struct ty_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ty_buffer_append_json appends text as a JSON string with its quotes, escaped as RFC 8259 asks.
 * The text must be valid UTF-8. */
void ty_buffer_append_json(struct ty_buffer *buffer, struct ty_text text);

/* ty_buffer_fini frees the memory; the buffer is empty and usable again. */
void ty_buffer_fini(struct ty_buffer *buffer);

#endif
