/*
 * arena.h: memory that is allocated piece by piece and freed all at once.
 *
 * A batch owns one: the texts and events of a request live exactly as long as the request.
 * Threads: one owner at a time.
 */
#ifndef TY_ENGINE_ARENA_H
#define TY_ENGINE_ARENA_H

#include "engine/base.h"

/* All zero is a valid, empty arena. */
struct ty_arena {
    struct ty_arena_block *blocks; /* newest first */
    size_t used;                   /* of the newest block */
};

/* ty_arena_alloc returns `bytes` of uninitialised memory, aligned to 16, or NULL: out of memory. */
void *ty_arena_alloc(struct ty_arena *arena, size_t bytes);

/* ty_arena_copy copies text into the arena; its data is NULL when memory is out. */
struct ty_text ty_arena_copy(struct ty_arena *arena, struct ty_text text);

/* ty_arena_format is sprintf into the arena; NULL when memory is out. */
const char *ty_arena_format(struct ty_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ty_arena_reset empties the arena but keeps its largest block, if of at most `keep_bytes`, for the
 * next use: fresh memory is dear, since the kernel clears every page at its first touch. */
void ty_arena_reset(struct ty_arena *arena, size_t keep_bytes);

/* How full an arena is: what is allocated after a mark can be freed by itself. */
struct ty_arena_mark {
    struct ty_arena_block *block;
    size_t used;
};

struct ty_arena_mark ty_arena_mark(const struct ty_arena *arena);

/* ty_arena_rewind frees what was allocated since the mark, which stays usable; not after a reset.
 */
void ty_arena_rewind(struct ty_arena *arena, struct ty_arena_mark mark);

/* ty_arena_fini frees everything; the arena is empty and usable again. */
void ty_arena_fini(struct ty_arena *arena);

#endif
