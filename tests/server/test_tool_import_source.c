#include "server/tool/import_source.h"

#include "tests/support/random.h"
#include "tests/support/temporary_directory.h"
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#define TEXT_BYTES 300000

static char path[4096];
static char text[TEXT_BYTES];

static void make_text(void)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (size_t i = 0; i < TEXT_BYTES; i++)
        text[i] = (char)('a' + ty_random_below(&random, 20));
}

static void write_file(const void *data, size_t length, const char *mode)
{
    FILE *file = fopen(path, mode);

    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, length, file), length);
    fclose(file);
}

/* Appends a gzip member. */
static void write_gzip(const void *data, size_t length, const char *mode)
{
    gzFile file = gzopen(path, mode);

    cr_assert_not_null(file);
    cr_assert_eq(gzwrite(file, data, (unsigned)length), (int)length);
    cr_assert_eq(gzclose(file), Z_OK);
}

static size_t file_size(void)
{
    FILE *file = fopen(path, "r");
    long size;

    fseek(file, 0, SEEK_END);
    size = ftell(file);
    fclose(file);
    return (size_t)size;
}

/* Reads the file to its end or to an error, in pieces; the text must be what it is a part of. */
static size_t read_all(size_t piece, char error[TY_SOURCE_ERROR_BYTES])
{
    struct ty_source *source = calloc(1, sizeof(*source));
    char *room = malloc(piece);
    enum ty_source_status status;
    size_t total = 0, bytes;

    cr_assert(ty_source_open(source, path), "%s", source->error);
    while ((status = ty_source_read(source, room, piece, &bytes)) == TY_SOURCE_DATA) {
        cr_assert(bytes > 0 && bytes <= piece && total + bytes <= TEXT_BYTES);
        cr_assert_eq(memcmp(room, text + total, bytes), 0);
        total += bytes;
    }
    cr_assert_neq(status, TY_SOURCE_IDLE);
    cr_assert_eq(bytes, 0);
    cr_assert_eq(ty_source_read(source, room, piece, &bytes), status, "an end stays an end");
    strcpy(error, source->error);
    ty_source_close(source);
    free(source);
    free(room);
    return total;
}

static struct ty_temporary_directory directory;

static void set_up(void)
{
    ty_temporary_directory_create(&directory);
    snprintf(path, sizeof(path), "%s/file", directory.path);
    make_text();
}

static void tear_down(void)
{
    ty_temporary_directory_remove(&directory);
}

TestSuite(tool_import_source, .init = set_up, .fini = tear_down);

/* Exports come as they are or gzipped, in one member or (by cat, or a log rotation) in several. */
Test(tool_import_source, plain_and_gzip_are_read_whole)
{
    static const size_t pieces[] = {1, 7, 1000, 65536, 1000000};
    char error[TY_SOURCE_ERROR_BYTES];

    for (size_t i = 0; i < TY_COUNT_OF(pieces); i++) {
        write_file(text, TEXT_BYTES, "w");
        cr_assert_eq(read_all(pieces[i], error), TEXT_BYTES, "%s", error);
        write_gzip(text, TEXT_BYTES, "w");
        cr_assert_eq(read_all(pieces[i], error), TEXT_BYTES, "%s", error);
        write_gzip(text, 1, "w");
        write_gzip(text + 1, 0, "a");
        write_gzip(text + 1, TEXT_BYTES - 1, "a");
        cr_assert_eq(read_all(pieces[i], error), TEXT_BYTES, "%s", error);
        cr_assert_str_empty(error);
    }
}

/* Tiny files are neither an error nor taken for gzip. */
Test(tool_import_source, files_shorter_than_a_magic_number)
{
    char error[TY_SOURCE_ERROR_BYTES];

    write_file("", 0, "w");
    cr_assert_eq(read_all(10, error), 0);
    cr_assert_str_empty(error);
    text[0] = '\x1f';
    write_file(text, 1, "w");
    cr_assert_eq(read_all(10, error), 1);
    cr_assert_str_empty(error);
    text[1] = 'a';
    write_file(text, 2, "w");
    cr_assert_eq(read_all(10, error), 2);
    cr_assert_str_empty(error);
}

/* A download that was cut off must not pass for the whole file, wherever it was cut. */
Test(tool_import_source, a_cut_gzip_file_is_told)
{
    char error[TY_SOURCE_ERROR_BYTES];
    size_t whole;

    write_gzip(text, 1000, "w");
    whole = file_size();
    for (size_t size = whole - 1; size >= 2; size--) {
        cr_assert_eq(truncate(path, (off_t)size), 0);
        cr_assert(read_all(100, error) <= 1000);
        cr_assert_not_null(strstr(error, "ends too early"), "%zu of %zu: '%s'", size, whole, error);
    }
}

/* Damage is told with its place; what stood before it has been read. */
Test(tool_import_source, a_damaged_gzip_file_is_told)
{
    char error[TY_SOURCE_ERROR_BYTES];
    size_t whole;
    FILE *file;

    write_gzip(text, TEXT_BYTES, "w");
    write_file("garbage", 7, "a");
    cr_assert_eq(read_all(1000, error), TEXT_BYTES);
    cr_assert_not_null(strstr(error, "damaged near byte"), "%s", error);
    write_gzip(text, TEXT_BYTES, "w");
    whole = file_size();
    file = fopen(path, "r+");
    fseek(file, (long)whole - 6, SEEK_SET); /* in the checksum */
    fputc('x', file);
    fputc('y', file);
    fclose(file);
    cr_assert_eq(read_all(1000, error), TEXT_BYTES);
    cr_assert_not_null(strstr(error, "damaged near byte"), "%s", error);
}

/* A producer that pauses must not stop what is already on its way to the server. */
Test(tool_import_source, a_pipe_without_data_is_idle)
{
    struct ty_source *source = calloc(1, sizeof(*source));
    char room[10], name[40];
    size_t bytes;
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    snprintf(name, sizeof(name), "/dev/fd/%d", ends[0]);
    cr_assert(ty_source_open(source, name));
    cr_assert(!source->is_file);
    cr_assert_eq(ty_source_read(source, room, sizeof(room), &bytes), TY_SOURCE_IDLE);
    cr_assert_eq(write(ends[1], "abc", 3), 3);
    cr_assert_eq(ty_source_read(source, room, sizeof(room), &bytes), TY_SOURCE_DATA);
    cr_assert_eq(bytes, 3);
    cr_assert_eq(ty_source_read(source, room, sizeof(room), &bytes), TY_SOURCE_IDLE);
    close(ends[1]);
    cr_assert_eq(ty_source_read(source, room, sizeof(room), &bytes), TY_SOURCE_END);
    ty_source_close(source);
    close(ends[0]);
    free(source);
}

/* What cannot be read is told in words. */
Test(tool_import_source, what_cannot_be_opened_is_told)
{
    struct ty_source *source = calloc(1, sizeof(*source));

    cr_assert(!ty_source_open(source, path));
    cr_assert_str_eq(source->error, "No such file or directory");
    ty_source_close(source);
    cr_assert(!ty_source_open(source, directory.path));
    cr_assert_str_eq(source->error, "is a directory");
    ty_source_close(source);
    free(source);
}
