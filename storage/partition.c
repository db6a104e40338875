#include "storage/partition.h"

#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

#define SEED_AT 8 /* in the secret; its first bytes key the ids */

unsigned ty_partition_shard(const struct ty_database_record *database,
                            const struct ty_uuid *customer)
{
    uint64_t seed;

    memcpy(&seed, database->secret.bytes + SEED_AT, sizeof(seed));
    return database
        ->partition_shard[XXH3_64bits_withSeed(customer->bytes, sizeof(customer->bytes), seed) %
                          TY_PARTITIONS];
}
