/*
 * test_cuts.c: a database is created and works under a recorder of its writes and syncs; then disks
 * are made as a power cut at any moment could have left them, and each is opened by the real code.
 *
 * Each must open; hold every acknowledged batch and reject exactly, the one in flight wholly or not
 * at all on each shard, and nothing else; know the ids again when everything is sent once more; and
 * go on. Some of the cuts strike a second life: the process is killed somewhere, and the next
 * one, which finds in the page cache what the disk does not have, works on until the power fails.
 * What breaks for a user when this fails: an invoice after a power cut.
 *
 *   test_powercut_cuts SEED|random CUTS SHARDS [LIE]
 *
 * SHARDS 0: 1 to 3. With a LIE, a disk that breaks a promise, it must find something wrong:
 * `syncs`, `write-syncs`, `directory-syncs`, `sectors`. The seed is printed.
 */
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/powercut/cuts.h"

#define BATCHES      50
#define CUTS         40 /* of a first life */
#define SECOND_LIVES 4
#define SECOND_CUTS  5 /* of a second life */
#define LONGER_MAX   4 /* times as many cuts as were asked for */

struct cuts test;

void cuts_fail(const char *condition, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "seed %llu, %s: %s: ", (unsigned long long)test.seed, test.what, condition);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    _exit(1);
}

/* --- Cuts --- */

static void make_root(struct ty_temporary_directory *root, const char *name)
{
    snprintf(root->path, sizeof(root->path), "%.900s/%s", test.world.directory.path, name);
    CHECK(mkdir(root->path, 0750) == 0, "cannot make %s", root->path);
}

/* Cuts the power after `at` steps of a life and looks at what is left. */
static void cut_power(const struct disk *disk, size_t at, const char *life)
{
    struct progress progress = cuts_find_progress(disk, at);
    struct ty_temporary_directory root;
    const char *kept;

    make_root(&root, "image");
    kept = disk_write_cut(disk, at, &test.lies, &test.random, root.path);
    snprintf(test.what, sizeof(test.what),
             "cut %llu, after step %zu of %zu of a %s life (batch %u), keeping %s of what is not "
             "safe",
             (unsigned long long)test.cuts, at, disk->count, life, progress.counts[MARK_BEGUN],
             kept);
    cuts_check_image(root.path, &progress);
    ty_temporary_directory_remove(&root);
    test.cuts++;
    test.unborn += progress.counts[MARK_CREATED] == 0;
}

/* A process is killed after `at` steps; the next one works on a little, until the power fails. */
static void live_again(const struct disk *first, size_t at)
{
    struct progress progress;
    struct ty_temporary_directory root;
    struct disk disk;
    uint32_t from;

    disk_fork(first, at, at < first->count && cuts_one_in(2), &disk);
    progress = cuts_find_progress(&disk, disk.count);
    from = TY_MIN(progress.counts[MARK_DONE], progress.counts[MARK_REJECTS_DONE]);
    make_root(&root, "second");
    disk_write_out(&disk, root.path);
    snprintf(test.what, sizeof(test.what), "a second life from step %zu on", at);
    if (from < test.script.count)
        cuts_play(&disk, root.path, from, TY_MIN(from + 3, test.script.count));
    ty_temporary_directory_remove(&root);
    for (int i = 0; i < SECOND_CUTS; i++) {
        cut_power(&disk, at + cuts_below(disk.count - at + 1), "second");
        test.second_cuts++;
    }
    disk_fini(&disk);
}

/* Some cuts strike the creation, which has few steps. */
static size_t choose_step(const struct disk *disk)
{
    size_t created = 0;

    while (disk->steps[created].kind != DISK_MARK)
        created++;
    return cuts_one_in(5) ? cuts_below(created + 1) : cuts_below(disk->count + 1);
}

static void live_once(unsigned shards, uint64_t cuts)
{
    struct ty_temporary_directory root;
    struct disk disk = {0};

    ty_world_init(&test.world);
    script_make(&test.script, &test.random, shards == 0 ? 1 + (unsigned)cuts_below(3) : shards,
                BATCHES);
    test.batches = test.script.batches;
    snprintf(test.what, sizeof(test.what), "the first life");
    make_root(&root, "first");
    cuts_play(&disk, root.path, 0, BATCHES);
    ty_temporary_directory_remove(&root);
    for (int i = 0; i < CUTS && test.cuts < cuts; i++)
        cut_power(&disk, choose_step(&disk), "first");
    /* Rejects that were dropped may be kept once more by a second life. */
    for (int i = 0; i < SECOND_LIVES && !test.script.rejects_are_dropped && test.cuts < cuts; i++)
        live_again(&disk, choose_step(&disk));
    disk_fini(&disk);
    script_fini(&test.script);
    ty_world_fini(&test.world);
}

static bool has_tried_all(void)
{
    return test.stored != 0 && test.lost != 0 && test.unborn != 0 && test.second_cuts != 0 &&
           test.revisions != 0;
}

/* A run of some length tries everything: where its seed has left something out, it goes on. */
static void run(unsigned shards, uint64_t cuts)
{
    uint64_t wanted = cuts;

    ty_random_init(&test.random, test.seed);
    test.faults.hit = cuts_hit_fault;
    while (test.cuts < wanted) {
        live_once(shards, wanted);
        if (test.cuts >= wanted && cuts >= 100 && !has_tried_all() && wanted < LONGER_MAX * cuts)
            wanted += cuts;
    }
    printf("%llu power cuts, %llu of them after a kill, %llu before the database was created; "
           "a shard had the batch in flight %llu times and had it not %llu times\n",
           (unsigned long long)test.cuts, (unsigned long long)test.second_cuts,
           (unsigned long long)test.unborn, (unsigned long long)test.stored,
           (unsigned long long)test.lost);
    if (cuts < 100)
        return;
    snprintf(test.what, sizeof(test.what), "at the end");
    CHECK(test.revisions != 0, "no month that was closed was ever changed");
    CHECK(test.stored != 0 && test.lost != 0 && test.unborn != 0 && test.second_cuts != 0,
          "something was never tried");
}

static bool set_lie(const char *name)
{
    if (strcmp(name, "syncs") == 0)
        test.lies.syncs = true;
    else if (strcmp(name, "write-syncs") == 0)
        test.lies.write_syncs = true;
    else if (strcmp(name, "directory-syncs") == 0)
        test.lies.directory_syncs = true;
    else if (strcmp(name, "sectors") == 0)
        test.lies.sector_bytes = 8;
    else
        return false;
    return true;
}

/* With a disk that lies the test must fail: by what it checks, or by a signal from pages that are
 * not there. */
static int run_lying(unsigned shards, uint64_t cuts)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        run(shards, cuts);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 2;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        fprintf(stderr, "the disk lied, and %llu power cuts showed nothing\n",
                (unsigned long long)cuts);
        return 1;
    }
    printf("the lie was found\n");
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t cuts = argc > 2 ? strtoull(argv[2], NULL, 10) : 200;
    unsigned shards = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;

    test.seed =
        argc > 1 && strcmp(argv[1], "random") != 0 ? strtoull(argv[1], NULL, 10) : ty_random_seed();
    if (shards > 16 || (argc > 4 && !set_lie(argv[4]))) {
        fprintf(stderr, "%s SEED|random CUTS SHARDS [syncs|write-syncs|directory-syncs|sectors]\n",
                argv[0]);
        return 2;
    }
    printf("seed %llu\n", (unsigned long long)test.seed);
    fflush(stdout);
    if (argc > 4)
        return run_lying(shards, cuts);
    run(shards, cuts);
    return 0;
}
