/*
 * fuzz_dump.c: dumps of any bytes, as they are and with checksums that fit.
 *
 * A dump comes from elsewhere: whatever it holds must be refused with a sentence or taken, entry by
 * entry, by what stands behind the checksums.
 */
#include "storage/dump_codec.h"
#include "storage/value_check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at, *end;
};

/* In pieces, as a pipe gives them. */
static ssize_t read_input(void *context, void *out, size_t length)
{
    struct input *input = context;
    size_t left = (size_t)(input->end - input->at), got = TY_MIN(TY_MIN(length, left), (size_t)77);

    memcpy(out, input->at, got);
    input->at += got;
    return (ssize_t)got;
}

static void read_all(const void *data, size_t size)
{
    static char names[TY_DUMP_TREES_MAX][64];
    struct input input = {data, (const uint8_t *)data + size};
    struct ty_dump_reader reader = {.read = read_input, .context = &input};
    struct ty_dump_record record;
    tally_error error;
    bool found;

    memset(names, 0, sizeof(names));
    while (ty_dump_next(&reader, &record, &found, &error) == TALLY_OK && found) {
        char which[TY_VALUE_NAME_BYTES];

        if (record.tag == TY_DUMP_TREE)
            memcpy(names[record.tree], record.name, sizeof(record.name));
        if (record.tag != TY_DUMP_ENTRY)
            continue;
        (void)ty_value_check(names[record.tree], &record.entry);
        ty_value_name(names[record.tree], &record.entry, which);
        TY_ASSERT(strlen(which) < sizeof(which));
    }
    ty_dump_reader_fini(&reader);
}

/* The input as the entries of a dump: tree, length of the key, length of the value, bytes. What
 * their checksums keep away from the decoders, fuzz_values.c brings there. */
static void read_as_entries(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"meta",  "series", "journal",  "blocks",    "rejects",
                                        "other", "voids",  "closings", "revisions", "id_runs"};
    struct ty_database_record database = {.shard_count = 1};
    struct ty_dump_writer writer = {0};
    struct ty_buffer out = {0};

    ty_dump_begin(&out);
    ty_dump_put_database(&writer, &out, &database);
    for (size_t i = 0; i < TY_COUNT_OF(names); i++)
        ty_dump_put_tree(&writer, &out, (uint8_t)i, names[i]);
    while (size >= 3) {
        size_t key = TY_MIN((size_t)data[1] % 24 + 1, size - 3);
        size_t value = TY_MIN((size_t)data[2], size - 3 - key);
        struct ty_entry entry = {data + 3, key, data + 3 + key, value};

        ty_dump_put_entry(&writer, &out, 0, data[0] % TY_COUNT_OF(names), &entry);
        data += 3 + key + value;
        size -= 3 + key + value;
    }
    ty_dump_put_end(&writer, &out);
    read_all(out.data, out.length);
    ty_buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_all(data, size);
    read_as_entries(data, size);
    return 0;
}
