#include "storage/dump_codec.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

struct input {
    const char *at, *end;
    size_t piece; /* at most so many bytes at once */
};

static ssize_t read_input(void *context, void *out, size_t length)
{
    struct input *input = context;
    size_t got = TY_MIN(TY_MIN(length, input->piece), (size_t)(input->end - input->at));

    memcpy(out, input->at, got);
    input->at += got;
    return (ssize_t)got;
}

static struct ty_database_record make_database(void)
{
    struct ty_database_record database = {.id = {1, 2, 3}, .secret = {{9}}, .shard_count = 3};

    for (unsigned i = 0; i < TY_PARTITIONS; i++)
        database.partition_shard[i] = (uint16_t)(i * 7 % 3);
    return database;
}

static void make_dump(struct ty_buffer *out, size_t value_length)
{
    struct ty_database_record database = make_database();
    struct ty_dump_writer writer = {0};
    struct ty_buffer value = {0};
    struct ty_entry entry = {"key", 3, NULL, value_length};

    for (size_t i = 0; i < value_length; i++)
        ty_buffer_append_char(&value, (char)i);
    entry.value = value.data;
    ty_dump_begin(out);
    ty_dump_put_database(&writer, out, &database);
    ty_dump_put_shard(&writer, out, &(struct ty_dump_shard){2, 77, 1234});
    ty_dump_put_tree(&writer, out, 5, "journal");
    ty_dump_put_entry(&writer, out, 2, 5, &entry);
    ty_dump_put_end(&writer, out);
    cr_assert(ty_buffer_ok(out));
    ty_buffer_fini(&value);
}

/* Reads all: how many records, and what it ended with. */
static tally_status read_all(const void *data, size_t length, size_t piece, unsigned *records,
                             tally_error *error)
{
    struct input input = {data, (const char *)data + length, piece};
    struct ty_dump_reader reader = {.read = read_input, .context = &input};
    struct ty_dump_record record;
    tally_status status;
    bool found;

    *records = 0;
    error->message[0] = '\0';
    while ((status = ty_dump_next(&reader, &record, &found, error)) == TALLY_OK && found)
        ++*records;
    ty_dump_reader_fini(&reader);
    return status;
}

/* What is moved to another machine comes out as something else. */
Test(dump_codec, what_was_written_is_read_whatever_the_pieces)
{
    struct ty_database_record database = make_database();

    for (size_t piece = 1; piece < 100000; piece = piece * 5 + 2) {
        struct ty_buffer dump = {0};
        struct input input;
        struct ty_dump_reader reader = {.read = read_input, .context = &input};
        struct ty_dump_record record;
        tally_error error;
        bool found;

        make_dump(&dump, 70000);
        input = (struct input){dump.data, dump.data + dump.length, piece};
        cr_assert_eq(ty_dump_next(&reader, &record, &found, &error), TALLY_OK);
        cr_assert(found && record.tag == TY_DUMP_DATABASE);
        cr_assert_eq(memcmp(&record.database, &database, sizeof(database)), 0);
        cr_assert_eq(ty_dump_next(&reader, &record, &found, &error), TALLY_OK);
        cr_assert(found && record.tag == TY_DUMP_SHARD && record.shard.shard == 2 &&
                  record.shard.first_sequence == 77 && record.shard.bytes == 1234);
        cr_assert_eq(ty_dump_next(&reader, &record, &found, &error), TALLY_OK);
        cr_assert(found && record.tag == TY_DUMP_TREE && record.tree == 5);
        cr_assert_str_eq(record.name, "journal");
        cr_assert_eq(ty_dump_next(&reader, &record, &found, &error), TALLY_OK);
        cr_assert(found && record.tag == TY_DUMP_ENTRY && record.shard.shard == 2 &&
                  record.tree == 5 && record.entry.key_length == 3 &&
                  record.entry.value_length == 70000);
        for (size_t i = 0; i < 70000; i++)
            cr_assert_eq(((const char *)record.entry.value)[i], (char)i);
        cr_assert_eq(ty_dump_next(&reader, &record, &found, &error), TALLY_OK);
        cr_assert(found && record.tag == TY_DUMP_END && record.entries == 1);
        cr_assert_eq(ty_dump_next(&reader, &record, &found, &error), TALLY_OK);
        cr_assert(!found);
        ty_dump_reader_fini(&reader);
        ty_buffer_fini(&dump);
    }
}

/* The bytes are those of docs/FORMAT.md on every machine. */
Test(dump_codec, the_first_bytes_and_the_last_are_those_of_the_description)
{
    struct ty_buffer dump = {0};

    make_dump(&dump, 10);
    cr_assert_eq(memcmp(dump.data, "TALLYDMP\1\1\x32\x08\0\0", 14), 0);
    cr_assert_eq(memcmp(dump.data + dump.length - 21, "\5\x08\0\0\0\1\0\0\0\0\0\0\0", 13), 0);
    ty_buffer_fini(&dump);
}

/* A copy over a line that broke is taken for all there is. */
Test(dump_codec, a_dump_cut_anywhere_is_refused)
{
    struct ty_buffer dump = {0};
    tally_error error;
    unsigned records;

    make_dump(&dump, 50);
    for (size_t length = 0; length < dump.length; length++) {
        cr_assert_eq(read_all(dump.data, length, 1000, &records, &error), TALLY_CORRUPT, "%zu",
                     length);
        cr_assert(strstr(error.message, "cut short") != NULL, "%zu: %s", length, error.message);
    }
    ty_buffer_append_char(&dump, 'x');
    cr_assert_eq(read_all(dump.data, dump.length, 1000, &records, &error), TALLY_CORRUPT);
    cr_assert(strstr(error.message, "more behind the end") != NULL, "%s", error.message);
    ty_buffer_fini(&dump);
}

/* One wrong bit becomes a wrong bill. */
Test(dump_codec, every_flipped_bit_is_found)
{
    struct ty_buffer dump = {0};
    tally_error error;
    unsigned records;

    make_dump(&dump, 50);
    for (size_t i = 0; i < dump.length * 8; i++) {
        tally_status status;

        dump.data[i / 8] ^= (char)(1 << i % 8);
        status = read_all(dump.data, dump.length, 4096, &records, &error);
        cr_assert(status == TALLY_CORRUPT || (status == TALLY_NEWER && i / 8 == 8),
                  "bit %zu of byte %zu: %d %s", i % 8, i / 8, status, error.message);
        cr_assert_neq(error.message[0], '\0');
        dump.data[i / 8] ^= (char)(1 << i % 8);
    }
    cr_assert_eq(read_all(dump.data, dump.length, 4096, &records, &error), TALLY_OK);
    cr_assert_eq(records, 5u);
    ty_buffer_fini(&dump);
}

/* Two records exchanged, or one left out, would still have checksums that fit themselves. */
Test(dump_codec, a_record_in_another_place_is_found)
{
    struct ty_buffer dump = {0}, changed = {0};
    size_t shard_at = 9 + 5 + 2098 + 8, shard_bytes = 5 + 18 + 8;
    tally_error error;
    unsigned records;

    make_dump(&dump, 50);
    cr_assert_eq(dump.data[shard_at], TY_DUMP_SHARD);
    ty_buffer_append(&changed, dump.data, shard_at);
    ty_buffer_append(&changed, dump.data + shard_at + shard_bytes,
                     dump.length - shard_at - shard_bytes);
    cr_assert_eq(read_all(changed.data, changed.length, 4096, &records, &error), TALLY_CORRUPT);
    cr_assert_eq(records, 1u);
    changed.length = 0;
    ty_buffer_append(&changed, dump.data, shard_at + shard_bytes);
    ty_buffer_append(&changed, dump.data + shard_at, dump.length - shard_at);
    cr_assert_eq(read_all(changed.data, changed.length, 4096, &records, &error), TALLY_CORRUPT);
    cr_assert_eq(records, 2u);
    ty_buffer_fini(&dump);
    ty_buffer_fini(&changed);
}

/* A damaged length asks for a gigabyte that is not there. */
Test(dump_codec, memory_follows_what_comes_and_not_what_a_length_says)
{
    struct ty_buffer dump = {0};
    struct input input;
    struct ty_dump_reader reader = {.read = read_input, .context = &input};
    struct ty_dump_record record;
    tally_error error;
    bool found;

    make_dump(&dump, 50);
    dump.data[9 + 4] = 0x3f;
    input = (struct input){dump.data, dump.data + dump.length, 4096};
    cr_assert_eq(ty_dump_next(&reader, &record, &found, &error), TALLY_CORRUPT);
    cr_assert_lt(reader.payload.capacity, (size_t)8 << 20);
    ty_dump_reader_fini(&reader);
    ty_buffer_fini(&dump);
}

static ssize_t fail_to_read(void *context, void *data, size_t length)
{
    (void)context;
    (void)data;
    (void)length;
    errno = EIO;
    return -1;
}

/* A failing disk is reported as a damaged dump, and the dump is made again in vain. */
Test(dump_codec, an_error_of_reading_is_told_as_such)
{
    struct ty_dump_reader reader = {.read = fail_to_read};
    struct ty_dump_record record;
    tally_error error;
    bool found;

    cr_assert_eq(ty_dump_next(&reader, &record, &found, &error), TALLY_IO);
    cr_assert(strstr(error.message, strerror(EIO)) != NULL, "%s", error.message);
    ty_dump_reader_fini(&reader);
}
