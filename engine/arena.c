#include "engine/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)16 * 1024)
#define ALIGNMENT   ((size_t)16)

struct ty_arena_block {
    struct ty_arena_block *older;
    size_t capacity;
    _Alignas(16) char data[];
};

static bool add_block(struct ty_arena *arena, size_t bytes)
{
    size_t capacity = TY_MAX(bytes, BLOCK_BYTES);
    struct ty_arena_block *block = malloc(sizeof(*block) + capacity);

    if (block == NULL)
        return false;
    block->older = arena->blocks;
    block->capacity = capacity;
    arena->blocks = block;
    arena->used = 0;
    return true;
}

void *ty_arena_alloc(struct ty_arena *arena, size_t bytes)
{
    size_t rounded = (bytes + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    void *memory;

    if (rounded < bytes)
        return NULL;
    if (arena->blocks == NULL || arena->blocks->capacity - arena->used < rounded)
        if (!add_block(arena, rounded))
            return NULL;
    memory = arena->blocks->data + arena->used;
    arena->used += rounded;
    return memory;
}

struct ty_text ty_arena_copy(struct ty_arena *arena, struct ty_text text)
{
    struct ty_text copy = {.data = NULL, .length = text.length};
    char *memory = ty_arena_alloc(arena, text.length + 1);

    if (memory == NULL)
        return copy;
    if (text.length != 0)
        memcpy(memory, text.data, text.length);
    memory[text.length] = '\0';
    copy.data = memory;
    return copy;
}

const char *ty_arena_format(struct ty_arena *arena, const char *format, ...)
{
    va_list measure, print;
    char *text = NULL;
    int length;

    va_start(measure, format);
    va_copy(print, measure);
    length = vsnprintf(NULL, 0, format, measure);
    va_end(measure);
    if (length >= 0)
        text = ty_arena_alloc(arena, (size_t)length + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)length + 1, format, print);
    va_end(print);
    return text;
}

void ty_arena_reset(struct ty_arena *arena, size_t keep_bytes)
{
    struct ty_arena_block *kept = NULL, *block;

    while ((block = arena->blocks) != NULL) {
        struct ty_arena_block *smaller = block;

        arena->blocks = block->older;
        if (block->capacity <= keep_bytes && (kept == NULL || block->capacity > kept->capacity)) {
            smaller = kept;
            kept = block;
        }
        free(smaller);
    }
    if (kept != NULL)
        kept->older = NULL;
    arena->blocks = kept;
    arena->used = 0;
}

struct ty_arena_mark ty_arena_mark(const struct ty_arena *arena)
{
    return (struct ty_arena_mark){.block = arena->blocks, .used = arena->used};
}

void ty_arena_rewind(struct ty_arena *arena, struct ty_arena_mark mark)
{
    while (arena->blocks != mark.block) {
        struct ty_arena_block *older = arena->blocks->older;

        free(arena->blocks);
        arena->blocks = older;
    }
    arena->used = mark.used;
}

void ty_arena_fini(struct ty_arena *arena)
{
    ty_arena_rewind(arena, (struct ty_arena_mark){.block = NULL});
}
