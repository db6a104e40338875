#include "storage/backup.h"
#include "tests/storage/store_fixture.h"
#include "tests/support/damage.h"

#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ty_temporary_directory copies;

static void set_up(void)
{
    make_directory();
    ty_temporary_directory_create(&copies);
}

static void tear_down(void)
{
    remove_directory();
    ty_temporary_directory_remove(&copies);
}

TestSuite(backup, .init = set_up, .fini = tear_down);

static const char *copy_path(void)
{
    static char path[sizeof(copies.path) + 8];

    snprintf(path, sizeof(path), "%s/copy", copies.path);
    return path;
}

static bool go_on(void *context, uint64_t bytes, uint64_t entries)
{
    (void)bytes;
    *(uint64_t *)context += entries;
    return true;
}

static tally_status back_up(const struct ty_copy_watch *watch, struct ty_content *content)
{
    struct ty_outside *outside;

    assert_ok(ty_outside_open(directory.path, TY_OUTSIDE_SHARED, 0, &outside, &problem));
    return ty_backup_shard(outside, copy_path(), watch, content, &problem);
}

static void append_values(struct ty_store *store, uint64_t first, uint64_t last, size_t bytes)
{
    assert_ok(ty_store_begin(store, &problem));
    for (uint64_t sequence = first; sequence <= last; sequence++)
        assert_ok(append(store, sequence, ARRIVAL_MS + (int64_t)sequence, bytes, &problem));
    assert_ok(ty_store_commit(store, &problem));
}

static struct ty_store *open_copy(void)
{
    struct ty_store_options options = {.path = copy_path(), .map_bytes = MAP_BYTES};
    struct ty_store *store = NULL;

    assert_ok(ty_store_open(&options, &store, &problem));
    return store;
}

/* A restored copy lacks something, or brings a lock file that belongs to another machine. */
Test(backup, a_copy_is_a_store_with_everything_and_without_a_lock_file)
{
    struct ty_content content;
    uint64_t told = 0;
    struct ty_copy_watch watch = {go_on, &told};
    struct ty_store *store = open_store();
    char lock[2048];

    fill(store);
    ty_store_close(store);
    assert_ok(back_up(&watch, &content));
    cr_assert_eq(content.entries, 6u, "%llu", (unsigned long long)content.entries);
    cr_assert_eq(told, 12u, "read once and read back once, not %llu", (unsigned long long)told);
    snprintf(lock, sizeof(lock), "%s/lock.mdb", copy_path());
    cr_assert_neq(access(lock, F_OK), 0, "%s is there", lock);
    store = open_copy();
    check_filled(store, true);
    ty_store_close(store);
}

/* A copy by this version of what a newer one wrote loses what only that one knows. */
Test(backup, trees_that_this_version_does_not_know_are_copied)
{
    struct ty_content content;
    uint64_t told = 0;
    struct ty_copy_watch watch = {go_on, &told};
    struct ty_store *store = open_store();
    struct ty_outside *copy;
    MDB_val key = {.mv_size = 2, .mv_data = "k2"}, value = {.mv_size = 5, .mv_data = "value"};
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi tree, empty;
    bool found = false;

    fill(store);
    ty_store_close(store);
    cr_assert_eq(mdb_env_create(&env), 0);
    cr_assert_eq(mdb_env_set_maxdbs(env, 16), 0);
    cr_assert_eq(mdb_env_open(env, directory.path, 0, 0640), 0);
    cr_assert_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, "later", MDB_CREATE, &tree), 0);
    cr_assert_eq(mdb_dbi_open(txn, "later_empty", MDB_CREATE, &empty), 0);
    cr_assert_eq(mdb_put(txn, tree, &key, &value, 0), 0);
    cr_assert_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    assert_ok(back_up(&watch, &content));
    cr_assert_eq(content.entries, 7u);
    assert_ok(ty_outside_open(copy_path(), TY_OUTSIDE_PRIVATE, 0, &copy, &problem));
    cr_assert_eq(ty_outside_tree_count(copy), content.tree_count);
    for (size_t i = 0; i < ty_outside_tree_count(copy); i++) {
        struct ty_outside_walk walk = {.tree = i};
        struct ty_entry entry;

        if (strcmp(ty_outside_tree(copy, i).name, "later") != 0)
            continue;
        assert_ok(ty_outside_next(copy, &walk, &entry, &found, &problem));
        cr_assert(found && entry.value_length == 5 && memcmp(entry.value, "value", 5) == 0);
        ty_outside_end(&walk);
    }
    cr_assert(found, "the tree \"later\" is not in the copy");
    ty_outside_close(copy);
}

/* Rot in the source goes into the copy unseen, and the last good copy is thrown away for it. */
Test(backup, a_damaged_value_gives_no_copy_and_is_named)
{
    const char *names[] = {"the record state", "series 3", "journal value 12",
                           "the stored day 19388 of series 3", "the stored month 636 of series 3"};

    for (size_t i = 0; i < TY_COUNT_OF(names); i++) {
        struct ty_content content;
        uint64_t told = 0;
        struct ty_copy_watch watch = {go_on, &told};
        struct ty_outside *outside;
        struct ty_store *store;
        tally_status status;

        start_over();
        ty_temporary_directory_remove(&copies);
        ty_temporary_directory_create(&copies);
        store = open_store();
        fill(store);
        ty_store_close(store);
        if (i == 0) {
            struct ty_damage damage = {directory.path, "meta", "state", 5};

            ty_damage_flip(&damage, -1, 4);
            status = ty_outside_open(directory.path, TY_OUTSIDE_SHARED, 0, &outside, &problem);
            cr_assert_eq(status, TALLY_CORRUPT);
            cr_assert(strstr(problem.message, "state record"), "%s", problem.message);
            continue;
        } else if (i == 1) {
            struct ty_damage damage = {directory.path, "series", "\0\0\0\3", 4};

            ty_damage_flip(&damage, 0, 1);
        } else if (i == 2) {
            ty_damage_journal_flip(directory.path, 12, -1);
        } else {
            ty_damage_block_flip(directory.path, 3, i == 3 ? 1 : 2, i == 3 ? 19388 : 636, -1);
        }
        cr_assert_eq(back_up(&watch, &content), TALLY_CORRUPT, "%s", names[i]);
        cr_assert(strstr(problem.message, names[i]), "%s instead of %s", problem.message, names[i]);
    }
}

static bool stop_at_once(void *context, uint64_t bytes, uint64_t entries)
{
    (void)context;
    (void)bytes;
    (void)entries;
    return false;
}

/* Ctrl-C is heard only when a copy of hours is done. */
Test(backup, stops_when_it_is_told_to)
{
    struct ty_copy_watch watch = {stop_at_once, NULL};
    struct ty_content content;
    struct ty_store *store = open_store();

    fill(store);
    ty_store_close(store);
    cr_assert_eq(back_up(&watch, &content), TALLY_FAILED);
    cr_assert_str_eq(problem.message, "interrupted");
}

/* A directory without a database, or without rights, is taken for an empty database. */
Test(backup, what_is_no_shard_is_refused)
{
    struct ty_outside *outside;
    struct ty_store *store;

    cr_assert_eq(ty_outside_open(directory.path, TY_OUTSIDE_SHARED, 0, &outside, &problem),
                 TALLY_IO);
    cr_assert(strstr(problem.message, "data.mdb"), "%s", problem.message);
    store = open_store(); /* without a database record: the creation was interrupted */
    ty_store_close(store);
    cr_assert_eq(ty_outside_open(directory.path, TY_OUTSIDE_SHARED, 0, &outside, &problem),
                 TALLY_IO);
    cr_assert(strstr(problem.message, "no shard"), "%s", problem.message);
}

/* LMDB tells processes apart by their numbers: two containers that share a directory and a number
 * would free each other's slots, and pages would be overwritten while they are read. */
Test(backup, a_server_under_the_same_process_number_is_refused)
{
    struct ty_outside *outside;
    struct ty_store *store = open_store();

    fill(store);
    ty_store_close(store);
    cr_assert_eq(
        ty_outside_open(directory.path, TY_OUTSIDE_SHARED, (long)getpid(), &outside, &problem),
        TALLY_IO);
    cr_assert(strstr(problem.message, "container"), "%s", problem.message);
}

/* --- Beside a writer: a process of its own, since one must not open a store twice. --- */

#define LARGE_MAP    (UINT64_C(64) << 20)
#define VALUE_BYTES  ((size_t)1 << 20)
#define FIRST_VALUES 12

struct writer {
    pid_t pid;
    int orders; /* a byte for each megabyte to append; closed: end */
    int done;   /* a byte for each that is committed */
    uint64_t written;
};

/* Appends a value for every order, and deletes the oldest one: as a journal does. */
static void write_on_orders(int orders, int done)
{
    struct ty_store *store = open_with(LARGE_MAP, &no_faults);
    uint64_t first = 13, next = 13 + FIRST_VALUES;
    char order;

    while (read(orders, &order, 1) == 1) {
        tally_status status = ty_store_begin(store, &problem);

        if (status == TALLY_OK)
            status = append(store, next++, ARRIVAL_MS, VALUE_BYTES, &problem);
        if (status == TALLY_OK)
            status = ty_store_delete_journal(store, first++, &problem);
        if (status == TALLY_OK)
            status = ty_store_commit(store, &problem);
        order = status == TALLY_OK ? 'y' : 'n';
        if (write(done, &order, 1) != 1)
            break;
        if (status != TALLY_OK)
            break;
    }
    ty_store_close(store);
    _exit(0);
}

static void start_writer(struct writer *writer)
{
    int orders[2], done[2];

    cr_assert_eq(pipe(orders), 0);
    cr_assert_eq(pipe(done), 0);
    writer->written = 0;
    writer->pid = fork();
    cr_assert_neq(writer->pid, -1);
    if (writer->pid == 0) {
        close(orders[1]);
        close(done[0]);
        write_on_orders(orders[0], done[1]);
    }
    close(orders[0]);
    close(done[1]);
    writer->orders = orders[1];
    writer->done = done[0];
}

static bool let_write(struct writer *writer)
{
    char answer = 'n';

    cr_assert_eq(write(writer->orders, "w", 1), 1);
    if (read(writer->done, &answer, 1) != 1)
        answer = 'n';
    writer->written += answer == 'y';
    return answer == 'y';
}

static void stop_writer(struct writer *writer)
{
    int status;

    close(writer->orders);
    cr_assert_eq(waitpid(writer->pid, &status, 0), writer->pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the writer ended with %x", status);
    close(writer->done);
}

static void fill_large(void)
{
    struct ty_store *store = open_with(LARGE_MAP, &no_faults);

    fill(store);
    append_values(store, 13, 12 + FIRST_VALUES, VALUE_BYTES);
    ty_store_close(store);
}

struct watched {
    struct writer *writer;
    uint64_t orders; /* a look, while the writer still obeys */
    uint64_t most;   /* in all */
};

static bool write_meanwhile(void *context, uint64_t bytes, uint64_t entries)
{
    struct watched *watched = context;

    (void)bytes;
    (void)entries;
    for (uint64_t i = 0; i < watched->orders && watched->writer->written < watched->most; i++)
        cr_assert(let_write(watched->writer), "the writer ran out of room");
    return true;
}

/* Half of a commit in a copy, or pages of another one: what is copied while the server writes and
 * trims would be no state that the shard ever had. */
Test(backup, a_copy_is_what_one_commit_left_however_much_is_written_meanwhile)
{
    struct writer writer;
    struct watched watched = {&writer, 2, 20};
    struct ty_copy_watch watch = {write_meanwhile, &watched};
    struct ty_content content;
    struct ty_journal_header header;
    struct ty_store *store;
    uint64_t sequence;
    size_t length;

    fill_large();
    start_writer(&writer);
    cr_assert(let_write(&writer));
    writer.written = 0;
    assert_ok(back_up(&watch, &content));
    cr_assert_eq(writer.written, 20u);
    stop_writer(&writer);
    cr_assert_eq(content.entries, 6u + FIRST_VALUES);
    store = open_copy();
    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_first_journal(store, &sequence, &length, &header, &problem));
    cr_assert_eq(sequence, 12u);
    for (uint64_t i = 14; i <= 13 + FIRST_VALUES; i++) {
        int64_t arrival_ms;

        assert_ok(ty_store_get_arrival(store, i, &arrival_ms, &problem));
    }
    ty_store_close(store);
}

/* A backup of a database that is written a lot fills the map, and the server refuses events. */
Test(backup, gives_up_before_it_costs_the_server_its_room)
{
    struct writer writer;
    struct watched watched = {&writer, 4, 80};
    struct ty_copy_watch watch = {write_meanwhile, &watched};
    struct ty_content content;

    fill_large();
    start_writer(&writer);
    cr_assert(let_write(&writer));
    writer.written = 0;
    cr_assert_eq(back_up(&watch, &content), TALLY_BUSY, "%s", problem.message);
    cr_assert(strstr(problem.message, "--map-size"), "%s", problem.message);
    /* And what it pinned can be used again at once: more than is left while it is pinned. */
    for (int i = 0; i < 40; i++)
        cr_assert(let_write(&writer), "no room after %d", i);
    stop_writer(&writer);
}

/* A killed backup keeps its slot in the table of readers: the file would grow until the next start.
 */
Test(backup, what_a_killed_reader_pinned_can_be_used_again)
{
    struct ty_store *store;
    struct ty_space space;
    int ready[2], status;
    char byte;
    pid_t pid;

    fill_large();
    cr_assert_eq(pipe(ready), 0);
    pid = fork();
    cr_assert_neq(pid, -1);
    if (pid == 0) {
        struct ty_outside *outside;

        if (ty_outside_open(directory.path, TY_OUTSIDE_SHARED, 0, &outside, &problem) == TALLY_OK &&
            write(ready[1], "r", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    store = open_with(LARGE_MAP, &no_faults);
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    for (uint64_t i = 0; i < 50; i++) {
        assert_ok(ty_store_begin(store, &problem));
        assert_ok(append(store, 13 + FIRST_VALUES + i, ARRIVAL_MS, VALUE_BYTES, &problem));
        assert_ok(ty_store_delete_journal(store, 13 + i, &problem));
        assert_ok(ty_store_commit(store, &problem));
        assert_ok(ty_store_space(store, false, &space, &problem));
    }
    cr_assert_lt(space.file_bytes, UINT64_C(40) << 20, "the file has %llu bytes",
                 (unsigned long long)space.file_bytes);
    ty_store_close(store);
}
