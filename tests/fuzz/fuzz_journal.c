/*
 * fuzz_journal.c: journal values of any bytes, with a checksum that fits.
 *
 * The checksum keeps chance damage away from the decoder; this is what stands behind it.
 */
#include "storage/journal_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct ty_text text, size_t length_max)
{
    volatile char sink = 0;

    TY_ASSERT(text.length <= length_max);
    for (size_t i = 0; i < text.length; i++)
        sink = text.data[i];
    (void)sink;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ty_buffer value = {0};
    struct ty_journal_cursor cursor;
    struct ty_journal_record record;

    ty_buffer_append(&value, data, size);
    if (size >= TY_JOURNAL_HEADER_BYTES)
        ty_journal_finish(&value, 7);
    if (ty_journal_open(&cursor, 7, value.data, value.length))
        while (ty_journal_next(&cursor, &record))
            if (record.kind == TY_JOURNAL_EVENT) {
                check_text(record.event.id, TALLY_ID_BYTES_MAX);
                check_text(record.event.source, TALLY_SOURCE_BYTES_MAX);
                check_text(record.event.user, TALLY_USER_BYTES_MAX);
            }
    ty_buffer_fini(&value);
    return 0;
}
