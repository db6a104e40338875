#include "server/tool/import_rejects.h"

#include "server/tool/command.h"
#include "server/tool/terminal.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static int refuse(const char *path, const char *why)
{
    fprintf(stderr, "tally import: --rejects: %s: %s\n", path, why);
    return TY_EXIT_USAGE;
}

/* Whether both paths lead to the same file that exists. */
static bool is_same_file(const char *a, const char *b)
{
    struct stat first, second;

    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

/* Whether the path leads to the file that standard input reads. */
static bool is_standard_input(const char *path)
{
    struct stat input, status;

    return fstat(0, &input) == 0 && S_ISREG(input.st_mode) && stat(path, &status) == 0 &&
           input.st_dev == status.st_dev && input.st_ino == status.st_ino;
}

static int open_one(FILE **file, const char *path, char *const *inputs, size_t input_count)
{
    for (size_t i = 0; i < input_count; i++)
        if (strcmp(inputs[i], "-") == 0 ? is_standard_input(path) : is_same_file(inputs[i], path))
            return refuse(path, "is also read; emptying it would lose what is to be imported. "
                                "Name another file");
    *file = fopen(path, "we");
    return *file != NULL ? TY_EXIT_OK : refuse(path, strerror(errno));
}

int ty_rejects_open(struct ty_rejects *rejects, const char *path, char *const *inputs,
                    size_t input_count)
{
    int length, code;

    *rejects = (struct ty_rejects){.path = path};
    if (path == NULL)
        return TY_EXIT_OK;
    length = snprintf(rejects->reasons_path, TY_REJECTS_PATH_BYTES, "%s.reasons", path);
    if (length >= TY_REJECTS_PATH_BYTES)
        return refuse(path, "the path is too long");
    code = open_one(&rejects->records, path, inputs, input_count);
    if (code == TY_EXIT_OK)
        code = open_one(&rejects->reasons, rejects->reasons_path, inputs, input_count);
    return code;
}

/* Writes text as it is. */
static void write_text(struct ty_rejects *rejects, struct ty_text text)
{
    fwrite(text.data, 1, text.length, rejects->records);
    if (text.length > 0)
        rejects->is_inside_line = text.data[text.length - 1] != '\n';
}

/* The last line of a file may have no line end, and pieces of a line follow one another. */
static void end_line(struct ty_rejects *rejects)
{
    if (rejects->is_inside_line)
        fputc('\n', rejects->records);
    rejects->is_inside_line = false;
}

/* Writes a cell of CSV. */
static void write_cell(FILE *file, const char *text, char end)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, file);
    } else {
        fputc('"', file);
        for (const char *at = text; *at != '\0'; at++) {
            if (*at == '"')
                fputc('"', file);
            fputc(*at, file);
        }
        fputc('"', file);
    }
    fputc(end, file);
}

static void write_reason(FILE *file, const struct ty_import_record *record)
{
    write_cell(file, record->file, ',');
    fprintf(file, "%" PRIu64 ",", record->line);
    write_cell(file, record->id != NULL ? record->id : "", ',');
    write_cell(file, record->code, ',');
    write_cell(file, record->message, '\n');
}

static void show(const struct ty_import_record *record, struct ty_progress *progress)
{
    ty_progress_clear(progress);
    ty_terminal_print_text(stderr, record->file);
    fprintf(stderr, ":%" PRIu64 ": %s: ", record->line, record->code);
    ty_terminal_print_text(stderr, record->message);
    if (record->id != NULL) {
        fputs(" (id ", stderr);
        ty_terminal_print_text(stderr, record->id);
        fputc(')', stderr);
    }
    fputc('\n', stderr);
}

static void keep(struct ty_rejects *rejects, struct ty_text raw,
                 const struct ty_import_record *record, struct ty_text header)
{
    if (record->kind == TY_IMPORT_PIECE) {
        write_text(rejects, raw);
        return;
    }
    if (rejects->count == 1) {
        write_text(rejects, header);
        fputs("file,line,id,code,message\n", rejects->reasons);
    }
    end_line(rejects);
    write_text(rejects, raw);
    write_reason(rejects->reasons, record);
}

void ty_rejects_take(struct ty_rejects *rejects, const struct ty_import_batch *batch,
                     struct ty_text header, struct ty_progress *progress)
{
    for (size_t i = 0; i < batch->record_count; i++) {
        const struct ty_import_record *record = &batch->records[i];

        if (record->code == NULL && record->kind != TY_IMPORT_PIECE)
            continue;
        rejects->count += record->kind != TY_IMPORT_PIECE;
        if (rejects->path != NULL)
            keep(rejects, ty_import_batch_raw(batch, record), record, header);
        else if (record->kind != TY_IMPORT_PIECE && rejects->count <= TY_REJECTS_SHOWN)
            show(record, progress);
    }
}

bool ty_rejects_ok(const struct ty_rejects *rejects)
{
    return rejects->records == NULL || (!ferror(rejects->records) && !ferror(rejects->reasons));
}

/* Closes a file; false when something of it could not be written. */
static bool close_one(FILE *file, const char *path)
{
    bool is_good = !ferror(file);

    if (fclose(file) != 0)
        is_good = false;
    if (!is_good)
        fprintf(stderr, "tally import: %s cannot be written: %s\n", path, strerror(errno));
    return is_good;
}

bool ty_rejects_close(struct ty_rejects *rejects)
{
    bool is_good = true;

    if (rejects->path == NULL && rejects->count > TY_REJECTS_SHOWN)
        fprintf(stderr, "... and %" PRIu64 " more rejected (--rejects FILE keeps all of them)\n",
                rejects->count - TY_REJECTS_SHOWN);
    if (rejects->records != NULL) {
        end_line(rejects);
        is_good = close_one(rejects->records, rejects->path);
    }
    if (rejects->reasons != NULL)
        is_good = close_one(rejects->reasons, rejects->reasons_path) && is_good;
    if (is_good && rejects->path != NULL && rejects->count > 0)
        fprintf(stderr, "rejected: %s holds the lines, %s says why\n", rejects->path,
                rejects->reasons_path);
    memset(rejects, 0, sizeof(*rejects));
    return is_good;
}
