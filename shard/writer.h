/*
 * writer.h: a shard's two threads: the writer takes parts of batches from a queue and decides them
 * together, the store's thread takes them to disk.
 *
 * What arrives while a commit is being stored is decided meanwhile and becomes the next one: group
 * commit, without a timer.
 *
 * Threads: ty_writer_push() any; start and stop the owner.
 */
#ifndef TY_SHARD_WRITER_H
#define TY_SHARD_WRITER_H

#include "shard/shard.h"

struct ty_writer;

/* ty_writer_start runs the shard (borrowed until stopped) on threads of its own. NULL: the system
 * has no thread or memory left. */
struct ty_writer *ty_writer_start(struct ty_shard *shard);

/*
 * ty_writer_push queues parts (borrowed until their done callbacks, which come on the writer's
 * thread, in order). False, with nothing queued, when more events and rejects wait than the bound
 * allows or the writer is stopping.
 */
bool ty_writer_push(struct ty_writer *writer, struct ty_part *first);

/* ty_writer_stop commits what is queued, ends the threads and frees the writer. NULL is fine. */
void ty_writer_stop(struct ty_writer *writer);

#endif
