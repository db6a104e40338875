#include "tests/support/reject_reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG_BYTES     (TY_REJECT_RECORD_BYTES_MAX + 1000)
#define OVERHEAD_BYTES 64 /* docs/FORMAT.md */

void reject_reference_fini(struct reject_reference *reference)
{
    for (size_t i = 0; i < reference->record_count; i++)
        free(reference->records[i]);
    free(reference->records);
    free(reference->kept);
    *reference = (struct reject_reference){0};
}

static void *grow(void *array, size_t count, size_t *capacity, size_t element)
{
    if (count < *capacity)
        return array;
    *capacity = TY_MAX(*capacity * 2, (size_t)256);
    array = realloc(array, *capacity * element);
    TY_ASSERT(array != NULL);
    return array;
}

/* Bytes that no other record has, with the number at their end. */
static struct ty_text make_record(struct reject_reference *reference, struct ty_random *random)
{
    size_t length = ty_random_one_in(random, 20) ? LONG_BYTES : 10 + ty_random_below(random, 300);
    char *record = malloc(length + 1);

    TY_ASSERT(record != NULL);
    reference->records = grow(reference->records, reference->record_count,
                              &reference->record_capacity, sizeof(*reference->records));
    memset(record, 0x5a, length);
    snprintf(record + length - 10, 11, "%010zu", reference->record_count);
    reference->records[reference->record_count++] = record;
    return (struct ty_text){record, length};
}

static struct ty_text text_of(const char *text)
{
    return (struct ty_text){text, strlen(text)};
}

struct ty_reject reject_reference_make(struct reject_reference *reference, struct ty_random *random,
                                       int64_t now_ms)
{
    static const char *const sources[] = {"", "forward 127.0.0.1 usage.app", "forward unix:a b"};
    static const char *const messages[] = {"credits: at most 6 digits", "id: required", ""};
    struct ty_reject reject;

    if (reference->kept_count != 0 && ty_random_one_in(random, 3))
        reject = reference->kept[ty_random_below(random, reference->kept_count)].reject;
    else
        reject = (struct ty_reject){.code = TALLY_MISSING_FIELD,
                                    .time_ms = TALLY_TIME_OF_ARRIVAL,
                                    .record = make_record(reference, random)};
    if (ty_random_one_in(random, 4))
        reject.code =
            (tally_result)(TALLY_MISSING_FIELD +
                           ty_random_below(random, TALLY_NOT_STORED - TALLY_MISSING_FIELD));
    if (ty_random_one_in(random, 4))
        reject.time_ms = now_ms - (int64_t)ty_random_below(random, 100000);
    reject.source = text_of(sources[ty_random_below(random, TY_COUNT_OF(sources))]);
    reject.message = text_of(messages[ty_random_below(random, TY_COUNT_OF(messages))]);
    return reject;
}

static bool same_text(struct ty_text a, struct ty_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static bool is_same(const struct ty_reject *a, const struct ty_reject *b)
{
    return a->code == b->code && a->time_ms == b->time_ms && same_text(a->record, b->record);
}

static void drop_oldest(struct reject_reference *reference)
{
    reference->bytes -= ty_reject_value_length(&reference->kept[0].reject) + OVERHEAD_BYTES;
    reference->kept_count--;
    memmove(reference->kept, reference->kept + 1, reference->kept_count * sizeof(*reference->kept));
    reference->dropped++;
}

void reject_reference_keep(struct reject_reference *reference, const struct ty_reject *reject,
                           int64_t received_ms)
{
    uint64_t bytes = ty_reject_value_length(reject) + OVERHEAD_BYTES;

    for (size_t i = 0; i < reference->kept_count; i++)
        if (is_same(&reference->kept[i].reject, reject)) {
            reference->resent++;
            return;
        }
    while (reference->kept_count != 0 && reference->bytes + bytes > reference->bytes_max)
        drop_oldest(reference);
    reference->kept = grow(reference->kept, reference->kept_count, &reference->kept_capacity,
                           sizeof(*reference->kept));
    reference->kept[reference->kept_count++] =
        (struct ty_kept_reject){.seq = ++reference->last_seq,
                                .received_ms = received_ms,
                                .reject = *reject,
                                .record_bytes = reject->record.length};
    reference->bytes += bytes;
}

bool reject_reference_matches(const struct reject_reference *reference, size_t index,
                              const struct ty_kept_reject *found)
{
    const struct ty_kept_reject *want = &reference->kept[index];
    struct ty_text record = want->reject.record;

    record.length = TY_MIN(record.length, TY_REJECT_RECORD_BYTES_MAX);
    return found->seq == want->seq && found->received_ms == want->received_ms &&
           found->record_bytes == want->record_bytes && found->reject.code == want->reject.code &&
           found->reject.time_ms == want->reject.time_ms &&
           same_text(found->reject.source, want->reject.source) &&
           same_text(found->reject.message, want->reject.message) &&
           same_text(found->reject.record, record);
}
