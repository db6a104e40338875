/* `tally load`: a new data directory out of a dump. */
#include "server/tool/command.h"
#include "server/tool/human.h"
#include "server/tool/origin.h"
#include "server/tool/partial.h"
#include "server/tool/progress.h"
#include "server/tool/stop.h"
#include "storage/dump.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct load_options {
    const char *data;
    uint64_t shards; /* 0: as many as the dump has */
    bool quiet;
};

struct loading {
    const struct load_options *options;
    struct ty_partial partial;
    struct ty_progress progress;
    struct ty_progress_state state;
    int64_t started_ms;
    int fd;
};

static bool show(struct loading *loading)
{
    ty_progress_update(&loading->progress, &loading->state, ty_progress_clock_ms());
    return !ty_stop_wanted();
}

static ssize_t read_input(void *context, void *data, size_t length)
{
    struct loading *loading = context;
    ssize_t got = -1;

    if (show(loading))
        got = read(loading->fd, data, length);
    else
        errno = ECANCELED;
    if (got > 0)
        loading->state.bytes += (uint64_t)got;
    return got;
}

static bool proceed(void *context, uint64_t bytes, uint64_t entries)
{
    (void)bytes;
    (void)entries;
    return show(context);
}

static tally_status load_all(struct loading *loading, struct ty_load *load, uint64_t *entries,
                             tally_error *error)
{
    const struct ty_copy_watch watch = {proceed, loading};
    struct ty_dump_reader reader = {.read = read_input, .context = loading};
    struct ty_dump_record record;
    bool found;
    tally_status status;

    do {
        status = ty_dump_next(&reader, &record, &found, error);
        if (status == TALLY_OK && found)
            status = ty_load_record(load, &record, error);
        loading->state.events = reader.entries;
    } while (status == TALLY_OK && found);
    ty_dump_reader_fini(&reader);
    loading->state.note = "syncing and reading back";
    return status == TALLY_OK ? ty_load_finish(load, &watch, entries, error) : status;
}

static void print_summary(const struct loading *loading, unsigned shards, uint64_t entries)
{
    char took[TY_HUMAN_TEXT_BYTES];

    printf("%s: %u %s, %" PRIu64 " values, loaded and verified in %s\n", loading->options->data,
           shards, shards == 1 ? "shard" : "shards", entries,
           ty_human_duration(ty_progress_clock_ms() - loading->started_ms, took));
}

static int load_into(struct loading *loading)
{
    struct ty_load *load = ty_load_open(loading->partial.path, (unsigned)loading->options->shards);
    unsigned shards;
    uint64_t entries;
    tally_error error;
    tally_status status;

    if (load == NULL) {
        fputs("tally load: out of memory\n", stderr);
        return TY_EXIT_REFUSED;
    }
    status = load_all(loading, load, &entries, &error);
    shards = ty_load_shards(load);
    ty_load_close(load);
    ty_progress_clear(&loading->progress);
    if (status != TALLY_OK) {
        fprintf(stderr, "tally load: %s\n", ty_stop_wanted() ? "interrupted" : error.message);
        return TY_EXIT_REFUSED;
    }
    if (!ty_partial_commit(&loading->partial, "load"))
        return TY_EXIT_REFUSED;
    if (!loading->options->quiet)
        print_summary(loading, shards, entries);
    return TY_EXIT_OK;
}

static bool open_input(struct loading *loading, const char *file)
{
    struct stat status;

    loading->fd = strcmp(file, "-") == 0 ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    if (loading->fd < 0) {
        fprintf(stderr, "tally load: cannot read %s: %s\n", file, strerror(errno));
        return false;
    }
    if (fstat(loading->fd, &status) == 0 && S_ISREG(status.st_mode))
        loading->state.bytes_total = (uint64_t)status.st_size;
    return true;
}

static int run_load(const struct load_options *options, const char *file)
{
    struct loading loading = {.options = options, .started_ms = ty_progress_clock_ms()};
    int code;

    if (!open_input(&loading, file))
        return TY_EXIT_UNREACHABLE;
    if (!ty_partial_open(&loading.partial, "load", options->data)) {
        close(loading.fd);
        return TY_EXIT_REFUSED;
    }
    ty_stop_catch();
    ty_progress_begin(&loading.progress, stderr, ty_progress_choose_style(options->quiet),
                      loading.started_ms);
    loading.progress.unit = "values";
    code = load_into(&loading);
    ty_partial_remove(&loading.partial);
    close(loading.fd);
    if (code != TY_EXIT_OK)
        ty_stop_end();
    return code;
}

static int run(const struct ty_command *self, int argc, char **argv)
{
    struct load_options options = {.data = TY_ORIGIN_DEFAULT};
    struct ty_arguments words;
    int code = ty_flags_parse(self->flags, argc, argv, &options, &words);

    if (code != -1)
        return code;
    if (words.count != 1) {
        fprintf(stderr, "tally load: %s\nTry 'tally help load'.\n",
                words.count == 0 ? "it needs a dump: a file, or - for standard input"
                                 : "one dump, and no more");
        return TY_EXIT_USAGE;
    }
    return run_load(&options, words.words[0]);
}

#define AT(member) .offset = offsetof(struct load_options, member)

static const struct ty_flag flags[] = {
    {.name = "data",
     .kind = TY_FLAG_TEXT,
     .value = "DIR",
     .help = "the data directory to make (" TY_ORIGIN_DEFAULT "); it must not be there, or empty",
     AT(data)},
    {.name = "shards",
     .kind = TY_FLAG_COUNT,
     .value = "N",
     .min = 1,
     .max = TY_DUMP_SHARDS_MAX,
     .help = "how many shards it gets (as many as the dump's)",
     AT(shards)},
    {.name = "quiet", .kind = TY_FLAG_SWITCH, .help = "no progress and no summary", AT(quiet)},
    {0}};

const struct ty_command ty_command_load = {
    .name = "load",
    .summary = "a new data directory out of a dump",
    .usage = "FILE [FLAG ...]",
    .words = "FILE",
    .description =
        "Makes a data directory out of what 'tally dump' wrote ('-': from standard\n"
        "input). All queries answer as before, ids are remembered as before, and the feed\n"
        "gives each customer the same events in the same order.\n"
        "\n"
        "The directory appears when all of the dump is in it, synced, read back and\n"
        "checked; until then it is DIR.partial. A dump that is cut short or damaged gives\n"
        "nothing.\n",
    .flags = flags,
    .notes = "With as many shards as before, cursors of the feed (tally export events) stay\n"
             "right. With another number events have new places: begin anew without one.\n",
    .refused = "there is no directory: the dump is damaged, the disk is full, DIR is there "
               "already, or it was interrupted; the message says which",
    .run = run,
};
