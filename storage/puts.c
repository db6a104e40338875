#include "storage/puts.h"

#include <string.h>

#include "storage/store_internal.h"

struct header {
    uint32_t key_length;
    uint32_t length;
    MDB_dbi tree;
};

int ty_store_put_or_keep(struct ty_store *store, struct ty_puts *puts, MDB_dbi tree,
                         const void *key, size_t key_length, const void *value, size_t length)
{
    struct header header = {
        .key_length = (uint32_t)key_length, .length = (uint32_t)length, .tree = tree};

    if (puts == NULL)
        return ty_store_put(store, tree, key, key_length, value, length, 0);
    ty_buffer_append(&puts->bytes, &header, sizeof(header));
    ty_buffer_append(&puts->bytes, key, key_length);
    ty_buffer_append(&puts->bytes, value, length);
    return 0; /* ty_store_put_kept() tells a lack of memory. */
}

tally_status ty_store_put_kept(struct ty_store *store, const struct ty_puts *puts,
                               tally_error *error)
{
    const char *bytes = puts->bytes.data;
    size_t at = 0;
    int code = 0;

    if (!ty_puts_ok(puts))
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for what is to be stored");
    while (at != puts->bytes.length && code == 0) {
        struct header header;

        memcpy(&header, bytes + at, sizeof(header));
        at += sizeof(header);
        code = ty_store_put(store, header.tree, bytes + at, header.key_length,
                            bytes + at + header.key_length, header.length, 0);
        at += header.key_length + header.length;
    }
    return ty_store_fail(error, code, "cannot store what was kept for the commit");
}

bool ty_puts_ok(const struct ty_puts *puts)
{
    return ty_buffer_ok(&puts->bytes);
}

bool ty_puts_are_none(const struct ty_puts *puts)
{
    return puts->bytes.length == 0 && ty_puts_ok(puts);
}

void ty_puts_clear(struct ty_puts *puts)
{
    if (!ty_puts_ok(puts))
        ty_buffer_fini(&puts->bytes);
    puts->bytes.length = 0;
}

void ty_puts_fini(struct ty_puts *puts)
{
    ty_buffer_fini(&puts->bytes);
}
