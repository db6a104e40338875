#include "tests/storage/store_fixture.h"

TestSuite(store_records, .init = make_directory, .fini = remove_directory);

/* A partition on a shard that does not exist would lose its customers. */
Test(store_records, a_partition_map_beyond_the_shards_is_refused)
{
    struct ty_database_record record = make_database();
    struct ty_store *store = open_store();
    bool found;

    record.partition_shard[1023] = 3;
    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_put_database(store, &record, &problem));
    cr_assert_eq(ty_store_get_database(store, &record, &found, &problem), TALLY_CORRUPT);
    cr_assert_not_null(strstr(problem.message, "partition"), "%s", problem.message);
    ty_store_close(store);
}
