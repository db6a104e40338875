/* `tally backup`: a verified copy of a data directory, also of a server that runs. */
#include "server/tool/command.h"
#include "server/tool/human.h"
#include "server/tool/origin.h"
#include "server/tool/partial.h"
#include "server/tool/progress.h"
#include "server/tool/stop.h"
#include "storage/backup.h"
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct backup_options {
    const char *data;
    bool quiet;
};

struct backup {
    struct ty_origin origin;
    struct ty_partial partial;
    struct ty_progress progress;
    struct ty_progress_state state;
    int64_t started_ms;
    uint64_t shard_from; /* state.bytes when the shard was begun */
    uint64_t shard_file; /* bytes of its file, which counts twice: it is read, and read back */
    uint64_t shard_done; /* keys and values of it, both times */
    uint64_t shard_all;  /* pages of its trees, both times */
    uint64_t entries;
    uint64_t copy_bytes;
};

/* --- One shard --- */

static bool proceed(void *context, uint64_t bytes, uint64_t entries)
{
    struct backup *backup = context;
    double part;

    backup->shard_done += bytes;
    part = (double)backup->shard_done / (double)TY_MAX(backup->shard_all, UINT64_C(1));
    backup->state.bytes =
        backup->shard_from + (uint64_t)(TY_MIN(part, 1.0) * 2 * (double)backup->shard_file);
    backup->state.events += entries;
    ty_progress_update(&backup->progress, &backup->state, ty_progress_clock_ms());
    return !ty_stop_wanted();
}

static void begin_shard(struct backup *backup, unsigned shard, const struct ty_outside *outside)
{
    backup->shard_from = backup->state.bytes;
    backup->shard_file = ty_origin_file_bytes(&backup->origin, shard);
    backup->shard_done = backup->shard_all = 0;
    for (size_t i = 0; i < ty_outside_tree_count(outside); i++)
        backup->shard_all += 2 * ty_outside_tree(outside, i).bytes;
}

static int copy_shard(struct backup *backup, unsigned shard)
{
    const struct ty_copy_watch watch = {proceed, backup};
    char path[TY_PARTIAL_PATH_BYTES], file[TY_PARTIAL_PATH_BYTES + sizeof("/data.mdb")];
    struct ty_outside *outside;
    struct ty_content content;
    struct stat status;
    tally_error error;
    int code;

    ty_partial_shard(&backup->partial, shard, path);
    code = ty_origin_shard(&backup->origin, shard, &outside);
    if (code != TY_EXIT_OK)
        return code;
    begin_shard(backup, shard, outside);
    if (ty_backup_shard(outside, path, &watch, &content, &error) != TALLY_OK) {
        ty_progress_clear(&backup->progress);
        fprintf(stderr, "tally backup: shard %u: %s\n", shard, error.message);
        return TY_EXIT_REFUSED;
    }
    snprintf(file, sizeof(file), "%s/data.mdb", path);
    backup->copy_bytes += stat(file, &status) == 0 ? (uint64_t)status.st_size : 0;
    backup->entries += content.entries;
    backup->state.bytes = backup->shard_from + 2 * backup->shard_file;
    return TY_EXIT_OK;
}

/* --- All of them --- */

static void print_summary(const struct backup *backup, const char *target)
{
    char bytes[TY_HUMAN_TEXT_BYTES], took[TY_HUMAN_TEXT_BYTES];

    printf("%s: %u %s, %" PRIu64 " values, %s, copied and verified in %s\n", target,
           backup->origin.shard_count, backup->origin.shard_count == 1 ? "shard" : "shards",
           backup->entries, ty_human_bytes(backup->copy_bytes, bytes),
           ty_human_duration(ty_progress_clock_ms() - backup->started_ms, took));
}

static int copy_shards(struct backup *backup)
{
    int code = TY_EXIT_OK;

    for (unsigned i = 0; i < backup->origin.shard_count && code == TY_EXIT_OK; i++)
        code = copy_shard(backup, i);
    ty_progress_clear(&backup->progress);
    return code;
}

static int run_backup(struct backup *backup, const struct backup_options *options,
                      const char *target)
{
    int code = ty_origin_open(&backup->origin, "backup", options->data);

    if (code != TY_EXIT_OK)
        return code;
    if (!ty_partial_open(&backup->partial, "backup", target))
        return TY_EXIT_REFUSED;
    ty_stop_catch();
    backup->started_ms = ty_progress_clock_ms();
    backup->state = (struct ty_progress_state){.bytes_total = 2 * backup->origin.file_bytes};
    ty_progress_begin(&backup->progress, stderr, ty_progress_choose_style(options->quiet),
                      backup->started_ms);
    backup->progress.unit = "values";
    code = copy_shards(backup);
    if (code == TY_EXIT_OK && !ty_partial_commit(&backup->partial, "backup"))
        code = TY_EXIT_REFUSED;
    if (code != TY_EXIT_OK)
        ty_partial_remove(&backup->partial);
    else if (!options->quiet)
        print_summary(backup, target);
    if (code != TY_EXIT_OK)
        ty_stop_end();
    return code;
}

static int run(const struct ty_command *self, int argc, char **argv)
{
    struct backup_options options = {.data = TY_ORIGIN_DEFAULT};
    struct backup backup = {0};
    struct ty_arguments words;
    int code = ty_flags_parse(self->flags, argc, argv, &options, &words);

    if (code != -1)
        return code;
    if (words.count != 1) {
        fprintf(stderr, "tally backup: %s\nTry 'tally help backup'.\n",
                words.count == 0 ? "it needs the directory that the copy shall be"
                                 : "one directory, and no more");
        return TY_EXIT_USAGE;
    }
    return run_backup(&backup, &options, words.words[0]);
}

#define AT(member) .offset = offsetof(struct backup_options, member)

static const struct ty_flag flags[] = {
    {.name = "data",
     .kind = TY_FLAG_TEXT,
     .value = "DIR",
     .help = "the data directory (" TY_ORIGIN_DEFAULT "); a server may have it open",
     AT(data)},
    {.name = "quiet", .kind = TY_FLAG_SWITCH, .help = "no progress and no summary", AT(quiet)},
    {0}};

const struct ty_command ty_command_backup = {
    .name = "backup",
    .summary = "a verified copy of a data directory, while its server runs",
    .usage = "DEST [FLAG ...]",
    .words = "DIR",
    .description =
        "Copies a data directory to the new directory DEST. Everything that was\n"
        "acknowledged before it began is in the copy. The server goes on: nothing waits\n"
        "for the copy, and nothing is asked of the server.\n"
        "\n"
        "Every shard is copied as one of its commits left it (a customer lives on one\n"
        "shard), every value is checked, and all of it is read back from the disk and\n"
        "compared. DEST appears when all of that is done; until then the copy is\n"
        "DEST.partial, which the next run clears if this one is killed.\n",
    .flags = flags,
    .notes = "To restore, copy DEST to where the data directory shall be, for the user of the\n"
             "server, and start it there:\n"
             "\n"
             "  tally backup /backup/tally-$(date +%F) --data /var/lib/tally\n"
             "  cp -r /backup/tally-2026-11-24 tally-data && tallyd --data tally-data\n"
             "\n"
             "Run it on the server's machine (in its container) and as its user, or as root:\n"
             "it has to tell the server what it reads, in lock.mdb beside the data. Pages\n"
             "that the server frees meanwhile are not used again before a shard is copied,\n"
             "so its file grows by what it writes. Before that leaves the server no room,\n"
             "the copy gives up.\n"
             "\n"
             "DEST holds the secret that keys the ids' hashes: guard it as the data.\n",
    .refused = "there is no copy: a stored value is damaged, the disk is full, DEST is there "
               "already, or it was interrupted; the message says which",
    .run = run,
};
