#include "server/tool/export_output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool complain(const char *what, const char *path)
{
    fprintf(stderr, "tally export: %s %s: %s\n", what, path, strerror(errno));
    return false;
}

/* A rename is on the disk when its directory is. */
static bool sync_directory(const char *path)
{
    char *copy = strdup(path);
    int fd = copy == NULL ? -1 : open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    free(copy);
    return synced;
}

static bool write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, data, length);

        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            data += written;
            length -= (size_t)written;
        }
    }
    return true;
}

/* Closes a complete file, to be found under its own name from now on. Pipes and the like cannot be
 * synced, and need not. */
static bool finish(int fd, const char *partial, const char *path)
{
    bool written = fsync(fd) == 0 || errno == EINVAL;

    if (close(fd) != 0)
        written = false;
    if (written && rename(partial, path) == 0 && sync_directory(path))
        return true;
    complain("cannot write", path);
    unlink(partial);
    return false;
}

static int create(const char *partial)
{
    int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd < 0)
        complain("cannot create", partial);
    return fd;
}

static char *partial_path(const char *path)
{
    char *partial;

    if (asprintf(&partial, "%s.partial", path) >= 0)
        return partial;
    fputs("tally export: out of memory\n", stderr);
    return NULL;
}

/* --- Output --- */

bool ty_export_output_open(struct ty_export_output *output, const char *path)
{
    *output = (struct ty_export_output){.fd = STDOUT_FILENO};
    if (path == NULL || strcmp(path, "-") == 0)
        return true;
    output->partial = partial_path(path);
    if (output->partial == NULL)
        return false;
    output->fd = create(output->partial);
    if (output->fd >= 0) {
        output->path = path;
        return true;
    }
    free(output->partial);
    *output = (struct ty_export_output){0};
    return false;
}

bool ty_export_output_flush(struct ty_export_output *output)
{
    if (!ty_buffer_ok(&output->text)) {
        fputs("tally export: out of memory\n", stderr);
        return false;
    }
    if (write_all(output->fd, output->text.data, output->text.length)) {
        output->text.length = 0;
        return true;
    }
    output->closed = output->path == NULL && errno == EPIPE;
    if (!output->closed)
        complain("cannot write", output->path == NULL ? "standard output" : output->path);
    return false;
}

bool ty_export_output_commit(struct ty_export_output *output)
{
    bool done = ty_export_output_flush(output);

    if (output->path == NULL || !done) {
        ty_export_output_abort(output);
        return done;
    }
    done = finish(output->fd, output->partial, output->path);
    free(output->partial);
    ty_buffer_fini(&output->text);
    *output = (struct ty_export_output){0};
    return done;
}

void ty_export_output_abort(struct ty_export_output *output)
{
    ty_buffer_fini(&output->text);
    if (output->path != NULL) {
        close(output->fd);
        unlink(output->partial);
        free(output->partial);
    }
    *output = (struct ty_export_output){.closed = output->closed};
}

void ty_export_end_by_closed_pipe(void)
{
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
}

/* Spaces at an end are kept by quotes from programs that trim cells. */
static bool needs_quotes(const char *text, size_t length)
{
    return strpbrk(text, ",\"\r\n") != NULL ||
           (length > 0 && (text[0] == ' ' || text[length - 1] == ' '));
}

void ty_export_csv_cell(struct ty_buffer *out, const char *text, char separator)
{
    size_t length = strlen(text);

    if (!needs_quotes(text, length)) {
        ty_buffer_append(out, text, length);
    } else {
        ty_buffer_append_char(out, '"');
        for (; *text != '\0'; text++) {
            if (*text == '"')
                ty_buffer_append_char(out, '"');
            ty_buffer_append_char(out, *text);
        }
        ty_buffer_append_char(out, '"');
    }
    ty_buffer_append_char(out, separator);
}

/* --- Small texts --- */

bool ty_export_text_read(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t length;
    bool whole;

    *text = '\0';
    if (file == NULL)
        return errno == ENOENT || complain("cannot read", path);
    length = fread(text, 1, size, file);
    whole = !ferror(file) && length < size;
    fclose(file);
    if (!whole) {
        fprintf(stderr, "tally export: %s cannot be read, or holds no cursor\n", path);
        return false;
    }
    text[length] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    return true;
}

bool ty_export_text_write(const char *path, const char *text)
{
    char *partial = partial_path(path);
    int fd = partial == NULL ? -1 : create(partial);
    bool done = false;

    if (fd >= 0 && write_all(fd, text, strlen(text)) && write_all(fd, "\n", 1)) {
        done = finish(fd, partial, path);
    } else if (fd >= 0) {
        complain("cannot write", partial);
        close(fd);
        unlink(partial);
    }
    free(partial);
    return done;
}
