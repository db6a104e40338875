/* `tally dump`: a database as a stream, for another machine or number of shards. */
#include "server/tool/command.h"
#include "server/tool/origin.h"
#include "server/tool/progress.h"
#include "server/tool/stop.h"
#include "storage/dump.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

struct dump_options {
    const char *data;
    bool quiet;
};

struct dump {
    struct ty_origin origin;
    struct ty_outside *shards[TY_DUMP_SHARDS_MAX];
    struct ty_progress progress;
    struct ty_progress_state state;
};

static bool proceed(void *context, uint64_t bytes, uint64_t entries)
{
    struct dump *dump = context;

    dump->state.bytes += bytes;
    dump->state.events += entries;
    ty_progress_update(&dump->progress, &dump->state, ty_progress_clock_ms());
    return !ty_stop_wanted();
}

static bool write_all(void *context, const void *data, size_t length)
{
    (void)context;
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, data, length);

        if (written < 0 && (errno != EINTR || ty_stop_wanted()))
            return false;
        if (written > 0) {
            data = (const char *)data + written;
            length -= (size_t)written;
        }
    }
    return true;
}

/* All views are taken before anything is written, so that they are of about the same moment. */
static int open_shards(struct dump *dump)
{
    int code = TY_EXIT_OK;

    for (unsigned i = 0; i < dump->origin.shard_count && code == TY_EXIT_OK; i++) {
        code = ty_origin_shard(&dump->origin, i, &dump->shards[i]);
        for (size_t j = 0; code == TY_EXIT_OK && j < ty_outside_tree_count(dump->shards[i]); j++)
            dump->state.bytes_total += ty_outside_tree(dump->shards[i], j).bytes;
    }
    return code;
}

static int write_dump(struct dump *dump)
{
    const struct ty_copy_watch watch = {proceed, dump};
    const struct ty_dump_sink sink = {write_all, NULL};
    uint64_t entries;
    tally_error error;
    tally_status status =
        ty_dump_write(dump->shards, dump->origin.shard_count, &watch, &sink, &entries, &error);

    ty_progress_clear(&dump->progress);
    if (status != TALLY_OK) {
        fprintf(stderr, "tally dump: %s\n", error.message);
        return TY_EXIT_REFUSED;
    }
    if (dump->progress.style != TY_PROGRESS_SILENT)
        fprintf(stderr, "tally dump: %u %s, %" PRIu64 " values, %" PRIu64 " bytes\n",
                dump->origin.shard_count, dump->origin.shard_count == 1 ? "shard" : "shards",
                entries, dump->state.bytes);
    return TY_EXIT_OK;
}

static int run_dump(struct dump *dump, const struct dump_options *options)
{
    int code = ty_origin_open(&dump->origin, "dump", options->data);

    if (code != TY_EXIT_OK)
        return code;
    ty_stop_catch();
    ty_progress_begin(&dump->progress, stderr, ty_progress_choose_style(options->quiet),
                      ty_progress_clock_ms());
    dump->progress.unit = "values";
    code = open_shards(dump);
    if (code == TY_EXIT_OK)
        code = write_dump(dump);
    for (unsigned i = 0; i < dump->origin.shard_count; i++)
        ty_outside_close(dump->shards[i]);
    ty_stop_end();
    return code;
}

static int run(const struct ty_command *self, int argc, char **argv)
{
    struct dump_options options = {.data = TY_ORIGIN_DEFAULT};
    struct dump *dump;
    int code = ty_flags_parse(self->flags, argc, argv, &options, NULL);

    if (code != -1)
        return code;
    if (isatty(STDOUT_FILENO)) {
        fputs("tally dump: a dump is no text: send it to a file (tally dump > FILE) or a pipe\n",
              stderr);
        return TY_EXIT_USAGE;
    }
    dump = calloc(1, sizeof(*dump));
    if (dump == NULL) {
        fputs("tally dump: out of memory\n", stderr);
        return TY_EXIT_REFUSED;
    }
    code = run_dump(dump, &options);
    free(dump);
    return code;
}

#define AT(member) .offset = offsetof(struct dump_options, member)

static const struct ty_flag flags[] = {
    {.name = "data",
     .kind = TY_FLAG_TEXT,
     .value = "DIR",
     .help = "the data directory (" TY_ORIGIN_DEFAULT "); a server may have it open",
     AT(data)},
    {.name = "quiet", .kind = TY_FLAG_SWITCH, .help = "no progress and no summary", AT(quiet)},
    {0}};

const struct ty_command ty_command_dump = {
    .name = "dump",
    .summary = "a database as a stream, for another machine or number of shards",
    .usage = "[FLAG ...] > FILE",
    .description =
        "Writes all that a data directory holds to standard output, in a form that\n"
        "depends neither on the machine nor on the number of shards; 'tally load' makes a\n"
        "data directory of it. A server may have the directory open: the dump holds what\n"
        "was acknowledged before it began.\n",
    .flags = flags,
    .notes = "To another number of shards, or through a pipe to another machine:\n"
             "\n"
             "  tally dump --data old > dump && tally load dump --data new --shards 8\n"
             "  tally dump | ssh other tally load - --data /var/lib/tally\n"
             "\n"
             "What is sent to the old server after the dump began is not in the new\n"
             "directory: hold the events back until the new one is there, or send what came\n"
             "since again, which counts once.\n"
             "\n"
             "Of a running server the same is to be known as of 'tally backup', but that all\n"
             "shards are read at the same time, for as long as it takes.\n"
             "\n"
             "The dump holds the secret that keys the ids' hashes: guard it as the data.\n",
    .refused = "the dump is of no use: a stored value is damaged, the output could not be "
               "written, or it was interrupted; the message says which",
    .run = run,
};
