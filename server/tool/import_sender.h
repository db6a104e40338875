/*
 * import_sender.h: batches sent to POST /v1/events, several at once, each until it is decided.
 *
 * Batches stand in a ring in the order of the input. Some fly, some wait for another try, some are
 * decided but wait for an older one: they come out in order, so that the oldest one says up to
 * where everything is counted.
 *
 *     while ((batch = ty_sender_room(sender)) != NULL && fill(batch))
 *         ty_sender_submit(sender, now);
 *     ty_sender_run(sender, now);
 *     while ((batch = ty_sender_oldest(sender, &is_decided)) != NULL && is_decided)
 *         count it, ty_sender_release(sender);
 *
 * A batch that was not taken now (408, 429, 500, 502, 503, 504, 507, or no answer) is sent again
 * with the same ids, after a wait that doubles from TY_SENDER_WAIT_MS_MIN to TY_SENDER_WAIT_MS_MAX,
 * or longer if the answer's Retry-After says so; until retry_for_ms have passed since its first
 * failure. Any other refusal, and the end of patience, fails the sender: nothing is started any
 * more.
 *
 * Threads: the program has one. Time comes from the caller, in milliseconds of a clock that does
 * not jump.
 */
#ifndef TY_SERVER_TOOL_IMPORT_SENDER_H
#define TY_SERVER_TOOL_IMPORT_SENDER_H

#include "server/tool/client.h"
#include "server/tool/import_batch.h"

#define TY_SENDER_PARALLEL_MAX 64
#define TY_SENDER_WAIT_MS_MIN  100
#define TY_SENDER_WAIT_MS_MAX  5000
#define TY_SENDER_TEXT_BYTES   600

struct ty_sender_options {
    struct ty_client *client; /* borrowed; NULL: decide locally, see ty_import_batch_check() */
    size_t parallel;          /* requests at once, 1..TY_SENDER_PARALLEL_MAX */
    int64_t retry_for_ms;     /* 0: no second try */
};

struct ty_sender;

/* ty_sender_open: NULL when memory is out. */
struct ty_sender *ty_sender_open(const struct ty_sender_options *options);

/* ty_sender_close drops what flies; NULL is fine. */
void ty_sender_close(struct ty_sender *sender);

/* ty_sender_room returns the batch to be filled next, the same one until it is submitted; NULL
 * while the ring is full. */
struct ty_import_batch *ty_sender_room(struct ty_sender *sender);

/* ty_sender_submit gives the batch that is being filled away. */
void ty_sender_submit(struct ty_sender *sender, int64_t now_ms);

/* ty_sender_run starts what is due and takes in what was answered. Never waits. */
void ty_sender_run(struct ty_sender *sender, int64_t now_ms);

/* ty_sender_wait waits until a request goes on, `fd` can be read (-1: none), a batch is due, a
 * signal came, or `wait_ms` have passed. */
void ty_sender_wait(struct ty_sender *sender, int fd, int64_t now_ms, int wait_ms);

/* ty_sender_oldest returns the oldest batch of the ring and whether it is decided, or NULL. */
struct ty_import_batch *ty_sender_oldest(struct ty_sender *sender, bool *is_decided);

/* ty_sender_release takes the oldest batch, which must not fly, out of the ring. */
void ty_sender_release(struct ty_sender *sender);

/* ty_sender_stop starts nothing any more; what flies may still be answered. */
void ty_sender_stop(struct ty_sender *sender);

/* How many batches wait or fly; of a stopped or failed sender, how many fly. */
size_t ty_sender_pending(const struct ty_sender *sender);

/* How many requests fly. */
size_t ty_sender_flying(const struct ty_sender *sender);

/* Whether something is to be sent again and waits for that. */
bool ty_sender_is_waiting(const struct ty_sender *sender);

/*
 * ty_sender_failure returns TY_EXIT_OK, or the exit code after a failure: TY_EXIT_REFUSED when the
 * server refused, TY_EXIT_UNREACHABLE when it gave no answer. *text then says why: a sentence.
 */
int ty_sender_failure(const struct ty_sender *sender, const char **text);

/* ty_sender_news returns something worth telling the user that was not told yet, a sentence, or
 * NULL: that the server does not take batches now, that it does again. */
const char *ty_sender_news(struct ty_sender *sender);

#endif
