#include "shard/database_internal.h"
#include "tests/support/damage.h"
#include "tests/support/shard_world.h"

#define XXH_INLINE_ALL
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define CUSTOMERS 60

static struct ty_world world;
static struct ty_database *database;
static tally_error error;

static void init(void)
{
    ty_world_init(&world);
}

static void fini(void)
{
    ty_database_close(database);
    ty_world_fini(&world);
}

TestSuite(database, .init = init, .fini = fini);

static tally_status try_open(unsigned shards)
{
    return ty_world_database(&world, shards, &database, &error);
}

static void open_database(unsigned shards)
{
    cr_assert_eq(try_open(shards), TALLY_OK, "%s", error.message);
}

static void close_database(void)
{
    ty_database_close(database);
    database = NULL;
}

static void start_over(void)
{
    close_database();
    ty_world_fini(&world);
    ty_world_init(&world);
}

/* Every customer's event of that id; all must come to the same. */
static void send_all(const char *id, tally_result want)
{
    struct ty_event events[CUSTOMERS];
    tally_result results[CUSTOMERS];

    for (unsigned i = 0; i < CUSTOMERS; i++)
        events[i] = ty_world_event(&world, i, 1, id);
    cr_assert_eq(ty_world_submit(&world, database, events, CUSTOMERS, results), TALLY_OK, "%s",
                 world.problem);
    for (unsigned i = 0; i < CUSTOMERS; i++)
        cr_assert_eq(results[i], want, "customer %u: %s", i, tally_result_name(results[i]));
}

static const char *shard_path(unsigned shard)
{
    static char path[1100];

    snprintf(path, sizeof(path), "%s/shard-%03u", world.directory.path, shard);
    return path;
}

static void remove_shard(unsigned shard)
{
    struct ty_temporary_directory directory;

    snprintf(directory.path, sizeof(directory.path), "%s", shard_path(shard));
    ty_temporary_directory_remove(&directory);
}

/* --- Where customers live --- */

/* A customer that moved would lose its ids and its totals. */
Test(database, customers_stay_on_their_shard)
{
    static const unsigned shard_counts[] = {1, 3};

    for (size_t i = 0; i < TY_COUNT_OF(shard_counts); i++) {
        unsigned homes[CUSTOMERS], per_shard[3] = {0};

        open_database(shard_counts[i]);
        cr_assert_eq(ty_database_shard_count(database), shard_counts[i]);
        send_all("a", TALLY_ACCEPTED);
        for (unsigned c = 0; c < CUSTOMERS; c++) {
            struct ty_uuid customer = ty_world_customer(c);

            homes[c] = ty_database_shard_index(database, &customer);
            cr_assert_lt(homes[c], shard_counts[i]);
            cr_assert_eq(ty_database_shard_of(database, &customer),
                         ty_database_shard(database, homes[c]));
            per_shard[homes[c]]++;
        }
        for (unsigned s = 0; s < shard_counts[i]; s++) {
            cr_assert_neq(per_shard[s], 0, "shard %u of %u is empty", s, shard_counts[i]);
            cr_assert_eq(atomic_load(&ty_shard_stats(ty_database_shard(database, s))->series),
                         per_shard[s]);
        }
        for (unsigned again = 0; again < 2; again++) {
            close_database();
            open_database(again == 0 ? 0 : shard_counts[i]);
            for (unsigned c = 0; c < CUSTOMERS; c++) {
                struct ty_uuid customer = ty_world_customer(c);

                cr_assert_eq(ty_database_shard_index(database, &customer), homes[c]);
            }
            send_all("a", TALLY_DUPLICATE);
        }
        start_over();
    }
}

/* Left to itself a database takes the cores there are, and at least one shard. */
Test(database, has_at_least_one_shard_by_default)
{
    open_database(0);
    cr_assert_geq(ty_database_shard_count(database), 1);
    send_all("a", TALLY_ACCEPTED);
}

/* Two databases must not share the secret that keys their hashes. */
Test(database, every_database_has_a_secret_of_its_own)
{
    struct ty_secret first, none = {{0}};

    open_database(1);
    first = *ty_database_secret(database);
    close_database();
    open_database(1);
    cr_assert_eq(memcmp(ty_database_secret(database), &first, sizeof(first)), 0, "it must stay");
    cr_assert_neq(memcmp(&none, &first, sizeof(first)), 0);
    start_over();
    open_database(1);
    cr_assert_neq(memcmp(ty_database_secret(database), &first, sizeof(first)), 0);
}

/* --- Opening what exists --- */

/* Another number of shards would look for customers where they are not. */
Test(database, another_number_of_shards_is_refused)
{
    open_database(3);
    send_all("a", TALLY_ACCEPTED);
    close_database();
    cr_assert_eq(try_open(2), TALLY_INVALID);
    cr_assert_str_eq(error.message,
                     "shards is 2, but the database was created with 3, for good: leave it open "
                     "(options.shards 0, tallyd --shards auto), or dump it and load it anew");
    cr_assert_eq(try_open(4), TALLY_INVALID);
    cr_assert_null(database);
    open_database(0);
    send_all("a", TALLY_DUPLICATE);
}

/* A third of all customers without usage must not look like a database in good health. */
Test(database, a_deleted_shard_is_noticed)
{
    for (unsigned shard = 0; shard < 3; shard++) {
        open_database(3);
        send_all("a", TALLY_ACCEPTED);
        close_database();
        remove_shard(shard);
        for (int again = 0; again < 2; again++) {
            cr_assert_eq(try_open(0), TALLY_CORRUPT, "shard %u", shard);
            /* Without shard 0 the record is gone: then the others do not know the new one. */
            cr_assert_not_null(strstr(error.message, shard == 0
                                                         ? "belongs to another database"
                                                         : "is empty, but the database has a "
                                                           "shard there"),
                               "shard %u: %s", shard, error.message);
            cr_assert(shard == 0 || strstr(error.message, shard_path(shard)) != NULL, "%s",
                      error.message);
            cr_assert_null(database);
            if (shard == 0)
                break;
        }
        start_over();
    }
}

/* A backup restored into the wrong place is no backup. */
Test(database, exchanged_shards_are_noticed)
{
    char first[1100], second[1100], aside[1100];

    open_database(3);
    send_all("a", TALLY_ACCEPTED);
    close_database();
    snprintf(first, sizeof(first), "%s", shard_path(1));
    snprintf(second, sizeof(second), "%s", shard_path(2));
    snprintf(aside, sizeof(aside), "%s", shard_path(9));
    cr_assert(rename(first, aside) == 0 && rename(second, first) == 0 &&
              rename(aside, second) == 0);
    cr_assert_eq(try_open(0), TALLY_CORRUPT);
    cr_assert_not_null(
        strstr(error.message, "belongs to another database or is another shard of it"), "%s",
        error.message);
    cr_assert(rename(first, aside) == 0 && rename(second, first) == 0 &&
              rename(aside, second) == 0);
    open_database(0);
    send_all("a", TALLY_DUPLICATE);
}

/* What a newer version wrote must not be read as if it were understood. */
Test(database, a_newer_format_is_refused)
{
    static const char *const records[] = {"database", "state"};
    char expected[120];

    snprintf(expected, sizeof(expected),
             "the data has format version %d, this program knows up to %d: use a newer version of "
             "Tally",
             TY_FORMAT_VERSION + 1, TY_FORMAT_VERSION);
    for (size_t i = 0; i < TY_COUNT_OF(records); i++) {
        struct ty_damage damage = {shard_path(0), "meta", records[i], strlen(records[i])};

        open_database(1);
        send_all("a", TALLY_ACCEPTED);
        close_database();
        ty_damage_flip(&damage, 0, TY_FORMAT_VERSION ^ (TY_FORMAT_VERSION + 1));
        cr_assert_eq(try_open(0), TALLY_NEWER, "%s", records[i]);
        cr_assert_str_eq(error.message, expected);
        ty_damage_flip(&damage, 0, TY_FORMAT_VERSION ^ (TY_FORMAT_VERSION + 1));
        open_database(0);
        send_all("a", TALLY_DUPLICATE);
        start_over();
    }
}

/* Writes a record as format 1 has it: the checksum does not cover the version there. */
static void make_older(const char *name)
{
    struct ty_damage damage = {shard_path(0), "meta", name, strlen(name)};
    uint8_t record[4096];
    size_t length = ty_damage_read(&damage, record, sizeof(record));
    uint64_t sum;

    TY_ASSERT(length <= sizeof(record));
    record[0] = 1;
    sum = XXH3_64bits_withSeed(record + 12, length - 12, XXH3_64bits(name, strlen(name)));
    for (int i = 0; i < 8; i++)
        record[4 + i] = (uint8_t)(sum >> (8 * i));
    ty_damage_replace(&damage, record, length);
}

/* What an older version wrote is read: an upgrade is a stop and a start. */
Test(database, an_older_format_is_read)
{
    static const char *const records[] = {"database", "state"};

    open_database(1);
    send_all("a", TALLY_ACCEPTED);
    close_database();
    for (size_t i = 0; i < TY_COUNT_OF(records); i++)
        make_older(records[i]);
    open_database(0);
    send_all("a", TALLY_DUPLICATE);
    send_all("b", TALLY_ACCEPTED);
}

/* Damage must be named, not guessed around. */
Test(database, a_damaged_record_is_named)
{
    static const char *const records[] = {"database", "state"};

    for (size_t i = 0; i < TY_COUNT_OF(records); i++) {
        struct ty_damage damage = {shard_path(0), "meta", records[i], strlen(records[i])};
        char text[100];

        open_database(1);
        send_all("a", TALLY_ACCEPTED);
        close_database();
        snprintf(text, sizeof(text), "the %s record does not match its checksum", records[i]);
        for (long offset = 4; offset < 40; offset += 9) {
            ty_damage_flip(&damage, offset, 1);
            cr_assert_eq(try_open(0), TALLY_CORRUPT, "%s, byte %ld", records[i], offset);
            cr_assert_str_eq(error.message, text);
            ty_damage_flip(&damage, offset, 1);
        }
        open_database(0);
        start_over();
    }
}

/* --- Creating --- */

static void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    int byte;

    cr_assert(in != NULL && out != NULL);
    while ((byte = getc(in)) != EOF)
        putc(byte, out);
    fclose(in);
    fclose(out);
}

/* Empty directories, and a store without a record: a creation that was killed leaves such. */
Test(database, directories_without_records_are_used)
{
    char from[1200], to[1200];

    cr_assert_eq(mkdir(shard_path(0), 0700), 0);
    cr_assert_eq(mkdir(shard_path(1), 0700), 0);
    open_database(3);
    send_all("a", TALLY_ACCEPTED);
    close_database();
    open_database(0);
    send_all("a", TALLY_DUPLICATE);
    start_over();

    /* A store with trees and no record, as shard 1 and as shard 0. */
    for (unsigned shard = 0; shard < 2; shard++) {
        struct ty_store_options options = {.path = shard_path(shard), .map_bytes = 1 << 24};
        struct ty_store *store;

        cr_assert_eq(ty_store_open(&options, &store, &error), TALLY_OK, "%s", error.message);
        ty_store_close(store);
    }
    open_database(3);
    send_all("a", TALLY_ACCEPTED);
    start_over();

    /* Another database's shard without events, as a creation leaves that was killed before its
     * shard 0 had a record; with events it is somebody's data, and stays. */
    for (int used = 0; used < 2; used++) {
        open_database(3);
        if (used)
            send_all("a", TALLY_ACCEPTED);
        close_database();
        snprintf(from, sizeof(from), "%s/data.mdb", shard_path(2));
        snprintf(to, sizeof(to), "%s/kept", world.directory.path);
        copy_file(from, to);
        for (unsigned shard = 0; shard < 3; shard++)
            remove_shard(shard);
        cr_assert_eq(mkdir(shard_path(2), 0700), 0);
        cr_assert_eq(rename(to, from), 0);
        cr_assert_eq(try_open(3), used ? TALLY_CORRUPT : TALLY_OK, "%s", error.message);
        start_over();
    }
}

/* A creation that fails at any step must not leave anything that has to be cleaned up by hand. */
Test(database, an_interrupted_creation_is_completed)
{
    static const struct {
        enum ty_fault_point point;
        int code;
        tally_status status;
    } faults[] = {
        {TY_FAULT_BEGIN, EIO, TALLY_IO},
        {TY_FAULT_PUT, ENOSPC, TALLY_FULL},
        {TY_FAULT_COMMIT, EIO, TALLY_IO},
        {TY_FAULT_COMMITTED, EIO, TALLY_IO},
    };

    for (size_t i = 0; i < TY_COUNT_OF(faults); i++) {
        int skips = 0;

        for (bool hit = true; hit; skips++) {
            tally_status status;

            ty_world_fail(&world, faults[i].point, skips, faults[i].code);
            status = try_open(2);
            hit = status != TALLY_OK; /* a writer's first maintenance may meet the fault, too */
            cr_assert(!hit || status == faults[i].status, "fault %zu, %d: %s", i, skips,
                      tally_strerror(status));
            cr_assert(!hit || error.message[0] != '\0');
            if (hit) {
                cr_assert_null(database);
                open_database(2);
            }
            atomic_store(&world.fault_point, -1);
            send_all("a", TALLY_ACCEPTED);
            send_all("a", TALLY_DUPLICATE);
            start_over();
        }
        cr_assert_geq(skips, 3, "fault %zu hit %d times: each of 2 shards was expected", i,
                      skips - 1);
    }
}

/* A creation that failed has created nothing: another number of shards may be chosen. */
Test(database, after_an_interrupted_creation_another_number_of_shards_is_fine)
{
    for (int skips = 0; skips < 2; skips++) { /* before shard 0, the last, is there */
        ty_world_fail(&world, TY_FAULT_COMMIT, skips, ENOSPC);
        cr_assert_eq(try_open(3), TALLY_FULL);
        open_database(2);
        send_all("a", TALLY_ACCEPTED);
        close_database();
        open_database(0);
        cr_assert_eq(ty_database_shard_count(database), 2);
        send_all("a", TALLY_DUPLICATE);
        start_over();
    }
}

/* The loan of batches: any number at once, each an empty one. */
Test(database, batches_are_lent_empty)
{
    struct ty_batch *batches[40];

    open_database(1);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < TY_COUNT_OF(batches); i++) {
            batches[i] = ty_database_take_batch(database);
            cr_assert_not_null(batches[i]);
            cr_assert(batches[i]->event_count == 0 && batches[i]->record_count == 0 &&
                      !batches[i]->failed);
            cr_assert_not_null(ty_batch_add(batches[i]));
        }
        for (size_t i = 0; i < TY_COUNT_OF(batches); i++)
            ty_database_give_batch(database, batches[i]);
    }
    ty_database_give_batch(database, NULL);
}

/* The clock that was given is the one that queries and events go by. */
Test(database, goes_by_the_clock_it_was_given)
{
    struct ty_clock clock;

    open_database(1);
    clock = ty_database_clock(database);
    cr_assert_eq(ty_clock_wall_ms(&clock), TY_WORLD_START_MS);
    ty_world_pass(&world, 77);
    cr_assert_eq(ty_clock_wall_ms(&clock), TY_WORLD_START_MS + 77);
}

/* Closing nothing is fine: a failed start does it. */
Test(database, closing_nothing_is_fine)
{
    ty_database_close(NULL);
}
