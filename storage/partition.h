/*
 * partition.h: which shard a customer lives on.
 *
 * Threads: pure.
 */
#ifndef TY_STORAGE_PARTITION_H
#define TY_STORAGE_PARTITION_H

#include "storage/store.h"

/* ty_partition_shard tells the shard by the record's secret and its table of partitions
 * (docs/FORMAT.md); of a record from outside it may be one that there is not. */
unsigned ty_partition_shard(const struct ty_database_record *database,
                            const struct ty_uuid *customer);

#endif
