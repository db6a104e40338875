#include "storage/partition.h"

#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <string.h>

#define SHARDS 8

/* A database whose partitions are dealt out in turn. */
static struct ty_database_record make_database(unsigned shards)
{
    struct ty_database_record database = {.shard_count = (uint16_t)shards};

    for (size_t i = 0; i < sizeof(database.secret.bytes); i++)
        database.secret.bytes[i] = (uint8_t)(i + 1);
    for (size_t i = 0; i < TY_PARTITIONS; i++)
        database.partition_shard[i] = (uint16_t)(i % shards);
    return database;
}

static struct ty_uuid any_customer(struct ty_random *random)
{
    struct ty_uuid customer;

    ty_random_fill(random, customer.bytes, sizeof(customer.bytes));
    return customer;
}

/* A newer version that looked for a customer on another shard would start its totals at zero. The
 * numbers are those of docs/FORMAT.md's rule, computed with another program. */
Test(partition, a_customer_stays_where_it_was)
{
    static const struct {
        struct ty_uuid customer;
        unsigned partition;
    } cases[] = {
        {{{0x6a, 0x4b, 0xe7, 0x8c, 0x8c, 0x4e, 0x4c, 0x1e, 0x83, 0xfe, 0x5b, 0x8f, 0xed, 0x0a, 0xe3,
           0x4c}},
         680},
        {{{0x01, 0x90, 0xa5, 0xb2, 0x7c, 0x3d, 0x7e, 0x4f, 0x8a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f, 0x60,
           0x71}},
         827},
        {{{0}}, 68},
    };
    struct ty_database_record database = make_database(TY_PARTITIONS);

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        cr_assert_eq(ty_partition_shard(&database, &cases[i].customer), cases[i].partition,
                     "customer %zu: %u", i, ty_partition_shard(&database, &cases[i].customer));
}

/* The table says where, whatever it says: partitions can be moved, and a record from outside may
 * name a shard that there is not, which its reader checks. */
Test(partition, the_table_decides)
{
    struct ty_database_record numbered = make_database(TY_PARTITIONS), database = numbered;
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    ty_random_fill(&random, database.partition_shard, sizeof(database.partition_shard));
    for (int n = 0; n < 10000; n++) {
        struct ty_uuid customer = any_customer(&random);
        unsigned partition = ty_partition_shard(&numbered, &customer);

        cr_assert_lt(partition, (unsigned)TY_PARTITIONS);
        cr_assert_eq(ty_partition_shard(&database, &customer), database.partition_shard[partition]);
    }
}

static size_t most_on_one(const struct ty_database_record *database, const size_t *counts)
{
    size_t most = 0;

    for (unsigned i = 0; i < database->shard_count; i++)
        most = TY_MAX(most, counts[i]);
    return most;
}

/* One writer would do the work of all: customers whose ids differ in two bytes only, as those that
 * are counted up do, are spread as evenly as random ones are: 16,000 on 8 shards are 2,000 each,
 * give or take 42. */
Test(partition, customers_are_spread_over_the_shards)
{
    struct ty_database_record database = make_database(SHARDS);

    for (size_t byte = 0; byte + 1 < 16; byte++) {
        size_t counts[SHARDS] = {0};

        for (unsigned n = 0; n < 16000; n++) {
            struct ty_uuid customer = {{0}};

            customer.bytes[byte] = (uint8_t)(n >> 8);
            customer.bytes[byte + 1] = (uint8_t)n;
            counts[ty_partition_shard(&database, &customer)]++;
        }
        cr_assert_lt(most_on_one(&database, counts), 2300u, "byte %zu", byte);
    }
}

/* Who sends customers of his own choice must not be able to choose one shard: the database's secret
 * decides, of which each of the eight bytes counts. */
Test(partition, the_secret_decides)
{
    struct ty_database_record database = make_database(TY_PARTITIONS);
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (size_t byte = 8; byte < 16; byte++) {
        struct ty_database_record other = database;
        unsigned same = 0;

        other.secret.bytes[byte] ^= 0x80;
        for (int n = 0; n < 1000; n++) {
            struct ty_uuid customer = any_customer(&random);

            same +=
                ty_partition_shard(&database, &customer) == ty_partition_shard(&other, &customer);
        }
        cr_assert_lt(same, 20u, "byte %zu: %u of 1000", byte, same);
    }
}
