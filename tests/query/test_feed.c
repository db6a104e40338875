#include "tests/query/feed_fixture.h"

TestSuite(feed, .init = init, .fini = fini);

/* --- The ids of a page as text, "a b c" --- */

static bool take_id(void *context, const struct ty_feed_event *event)
{
    struct ty_buffer *ids = context;

    if (ids->length != 0)
        ty_buffer_append_char(ids, ' ');
    ty_buffer_append(ids, event->event->id.data, event->event->id.length);
    return true;
}

static tally_status read_ids(struct ty_feed_cursor *cursor, size_t limit,
                             const struct ty_uuid *customer, struct ty_feed_page *page,
                             const char **ids)
{
    static struct ty_buffer buffer; /* of the page before, too: the caller is done with it */
    struct ty_feed_query query = {.limit = limit, .customer = customer};
    tally_status status;

    buffer.length = 0;
    status = ty_feed_read(database, &query, cursor, take_id, &buffer, page, &problem);
    ty_buffer_append_char(&buffer, '\0');
    *ids = buffer.data;
    return status;
}

static void expect_page(struct ty_feed_cursor *cursor, size_t limit, const char *wanted, bool end)
{
    struct ty_feed_page page;
    const char *ids;

    assert_ok(read_ids(cursor, limit, NULL, &page, &ids));
    cr_assert_str_eq(ids, wanted);
    cr_assert_eq(page.end, end, "page '%s'", wanted);
    cr_assert(!page.trimmed);
}

static void expect_found(struct ty_feed_query query, const char *wanted)
{
    struct ty_buffer ids = {0};
    struct ty_feed_cursor cursor = {0};
    struct ty_feed_page page;

    query.limit = 10;
    assert_ok(ty_feed_read(database, &query, &cursor, take_id, &ids, &page, &problem));
    ty_buffer_append_char(&ids, '\0');
    cr_assert_str_eq(ids.data, wanted);
    cr_assert(page.end);
    ty_buffer_fini(&ids);
}

/* Who asks for one event, or for a month's, must get those and no others: an invoice is argued
 * about with them. */
Test(feed, events_are_found_by_id_source_and_time)
{
    struct ty_uuid customer = ty_world_customer(1);
    struct ty_event events[3];
    struct ty_feed_span span;
    int64_t now;

    open_database(2);
    now = TY_WORLD_START_MS;
    for (int i = 0; i < 3; i++)
        events[i] = ty_world_event(&world, 1, 1, "same");
    events[0].time_ms = now - 1000;
    events[1].source = (struct ty_text){"src", 3};
    events[1].time_ms = TALLY_TIME_OF_ARRIVAL;
    events[2].id = (struct ty_text){"other", 5};
    events[2].time_ms = now + 1;
    submit(events, 3);
    ty_world_pass(&world, 5000);
    send(2, "same");
    expect_found((struct ty_feed_query){.customer = &customer, .id = {"same", 4}}, "same same");
    expect_found((struct ty_feed_query){.id = {"other", 5}}, "other");
    expect_found((struct ty_feed_query){.source = {"src", 3}}, "same");
    expect_found(
        (struct ty_feed_query){.id = {"same", 4}, .customer = &customer, .source = {"", 0}},
        "same");
    span = (struct ty_feed_span){now, now};
    expect_found((struct ty_feed_query){.counted = &span}, "same");
    expect_found((struct ty_feed_query){.received = &span}, "same same other");
    span = (struct ty_feed_span){now - 1000, now - 1};
    expect_found((struct ty_feed_query){.counted = &span}, "same");
    expect_found((struct ty_feed_query){.received = &span}, "");
    span = (struct ty_feed_span){now + 1, INT64_MAX};
    expect_found((struct ty_feed_query){.counted = &span, .customer = &customer}, "other");
    expect_found((struct ty_feed_query){.received = &span}, "same");
}

/* --- Single rules --- */

/* A client that keeps its last cursor must get what is new, and only that. */
Test(feed, the_end_is_a_place_to_go_on_from)
{
    struct ty_feed_cursor cursor = {0};

    open_database(1);
    expect_page(&cursor, 10, "", true);
    send(1, "a");
    send(1, "b");
    expect_page(&cursor, 10, "a b", true);
    expect_page(&cursor, 10, "", true);
    send(1, "c");
    reopen();
    expect_page(&cursor, 10, "c", true);
    expect_page(&cursor, 10, "", true);
}

/* The events of one commit stand together by series; a page may end between any two. */
Test(feed, pages_end_anywhere_within_a_commit)
{
    static const unsigned customers[] = {1, 2, 1, 2, 1};
    static const char *const ids[] = {"a", "b", "c", "d", "e"};
    struct ty_event events[5];

    open_database(1);
    for (size_t i = 0; i < 5; i++)
        events[i] = ty_world_event(&world, customers[i], 1, ids[i]);
    submit(events, 5);
    send(1, "f");
    for (size_t limit = 1; limit <= 7; limit++) {
        static const char all[] = "a c e b d f";
        struct ty_feed_cursor cursor = {0};

        for (size_t given = 0; given < 6; given += limit) {
            size_t count = TY_MIN(limit, 6 - given);
            char wanted[16];

            snprintf(wanted, sizeof(wanted), "%.*s", (int)(2 * count - 1), all + 2 * given);
            expect_page(&cursor, limit, wanted, count < limit);
        }
        expect_page(&cursor, limit, "", true);
    }
}

static bool take_two(void *context, const struct ty_feed_event *event)
{
    (void)event;
    return ++*(unsigned *)context != 2;
}

/* Whoever writes an answer ends the page when it is long enough, and must lose nothing by it. */
Test(feed, the_caller_may_end_a_page)
{
    struct ty_feed_query query = {.limit = 100};
    struct ty_feed_cursor cursor = {0};
    struct ty_feed_page page;
    unsigned taken = 0;

    open_database(1);
    send(1, "a");
    send(1, "b");
    send(1, "c");
    assert_ok(ty_feed_read(database, &query, &cursor, take_two, &taken, &page, &problem));
    cr_assert_eq(taken, 2u);
    cr_assert_eq(page.count, 2u);
    cr_assert(!page.end);
    expect_page(&cursor, 10, "c", true);
}

/* A customer who has no events costs no more than who has: the work of a page is bounded. */
Test(feed, a_page_reads_a_bounded_part_of_the_journal)
{
    static char user[TALLY_USER_BYTES_MAX];
    struct ty_uuid customer = ty_world_customer(LARGE_CUSTOMER), nobody = ty_world_customer(77);
    struct ty_event *events = calloc(8192, sizeof(*events));
    char(*ids)[24] = calloc(8192, sizeof(*ids));
    struct ty_feed_cursor cursor = {0};
    struct ty_feed_page page = {0};
    unsigned pages = 0;
    const char *found;

    memset(user, 'u', sizeof(user));
    open_database(1);
    for (int batch = 0; batch < 8; batch++) {
        for (size_t i = 0; i < 8192; i++) {
            snprintf(ids[i], sizeof(ids[i]), "%d-%zu", batch, i);
            events[i] = ty_world_event(&world, 1, 1, ids[i]);
            events[i].user = (struct ty_text){user, sizeof(user)};
        }
        submit(events, 8192);
    }
    send(LARGE_CUSTOMER, "found");
    for (; !page.end; pages++) {
        assert_ok(read_ids(&cursor, 10, &customer, &page, &found));
        cr_assert_str_eq(found, page.end ? "found" : "");
    }
    cr_assert(pages >= 2, "%u pages for more than 8 MiB", pages);
    cursor = (struct ty_feed_cursor){0};
    assert_ok(read_ids(&cursor, 10, &nobody, &page, &found));
    cr_assert_str_eq(found, "");
    cr_assert(!page.end);
    free(events);
    free(ids);
}

/* A new reader that has not reached a shard yet must still learn that events of it were trimmed. */
Test(feed, a_reader_is_told_of_trimming_in_shards_that_it_has_not_reached)
{
    struct ty_feed_cursor cursor = {0};
    struct ty_feed_page page;
    unsigned customer[3] = {0}, shards = 3;
    const char *ids;

    open_database(shards);
    for (unsigned i = 1; customer[0] == 0 || customer[1] == 0 || customer[2] == 0; i++) {
        struct ty_uuid uuid = ty_world_customer(i);
        struct ty_shard *shard = ty_database_shard_of(database, &uuid);

        for (unsigned k = 0; k < shards; k++)
            if (ty_database_shard(database, k) == shard)
                customer[k] = i;
    }
    for (unsigned k = 0; k < shards; k++) {
        send(customer[k], "old");
        send(customer[k], "old");
    }
    assert_ok(read_ids(&cursor, 1, NULL, &page, &ids));
    cr_assert(!page.trimmed);
    cr_assert_eq(cursor.sequences[2], 1u, "its place in the last shard is known from the start");
    /* After a restart every month is written, so that a commit trims what has expired. */
    reopen();
    ty_world_pass(&world, RETENTION_MS + 1);
    send(customer[2], "new");
    send(customer[2], "new");
    assert_ok(read_ids(&cursor, 100, NULL, &page, &ids));
    cr_assert(page.trimmed);
    cr_assert(strstr(ids, "new") != NULL);
}

/* A journal whose events are all gone must not hide that more have come and gone since. */
Test(feed, a_reader_that_began_at_an_empty_journal_is_told_of_trimming)
{
    struct ty_feed_cursor cursor = {0};
    struct ty_feed_page page;
    const char *ids;

    open_database(1);
    expect_page(&cursor, 10, "", true);
    cr_assert_eq(cursor.sequences[0], 1u);
    send(1, "a");
    reopen();
    ty_world_pass(&world, RETENTION_MS + 1);
    send(1, "b"); /* trims a */
    assert_ok(read_ids(&cursor, 10, NULL, &page, &ids));
    cr_assert_str_eq(ids, "b");
    cr_assert(page.trimmed);
}

static void expect_damage(struct ty_feed_cursor *cursor, const char *message)
{
    struct ty_feed_page page;
    const char *ids;

    cr_assert_eq(read_ids(cursor, 100, NULL, &page, &ids), TALLY_CORRUPT, "%s: a page '%s'",
                 message, ids);
    cr_assert_str_eq(problem.message, message);
    cr_assert_str_eq(ids, "");
}

/* One bad block must cost its own events only, and must not be passed over in silence. */
Test(feed, damage_is_named_and_can_be_passed_over)
{
    struct ty_feed_cursor cursor = {0}, again;
    char path[sizeof(world.directory.path) + 16];

    open_database(1);
    for (char id[] = "a"; id[0] <= 'h'; id[0]++)
        send(1, id);
    ty_database_close(database);
    database = NULL;
    snprintf(path, sizeof(path), "%s/shard-000", world.directory.path);
    ty_damage_journal_flip(path, 1, -2);
    ty_damage_journal_flip(path, 4, 0);
    ty_damage_journal_delete(path, 6);
    open_database(1);

    expect_damage(&cursor, "shard 0: journal value 1: checksum mismatch");
    expect_page(&cursor, 100, "b c", false);
    again = cursor;
    expect_damage(&again, "shard 0: journal value 4: unknown version");
    expect_damage(&cursor, "shard 0: journal value 4: unknown version");
    expect_page(&cursor, 1, "e", false);
    expect_damage(&cursor, "shard 0: the journal lacks value 6");
    expect_page(&cursor, 100, "g h", true);
}

/* A cursor that was kept for one database must not quietly skip the events of another. */
Test(feed, a_cursor_of_another_database_is_refused)
{
    static const struct {
        struct ty_feed_cursor cursor;
        const char *message;
    } cases[] = {
        {{.sequences = {4}}, "a cursor of another database: shard 0 has no value 4 yet"},
        {{.index = 1, .sequences = {3}},
         "a cursor of another database: shard 0 has no value 3 yet"},
        {{.index = 2, .sequences = {1}}, "a cursor of another database: value 1 has fewer events"},
    };
    struct ty_feed_cursor good = {.index = 1, .sequences = {2}};

    open_database(1);
    send(1, "a");
    send(1, "b");
    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_feed_cursor cursor = cases[i].cursor;
        struct ty_feed_page page;
        const char *ids;

        cr_assert_eq(read_ids(&cursor, 10, NULL, &page, &ids), TALLY_INVALID, "case %zu", i);
        cr_assert_str_eq(problem.message, cases[i].message);
        cr_assert_eq(cursor.sequences[0], cases[i].cursor.sequences[0], "it stays as it was");
    }
    expect_page(&good, 10, "", true);
}

/* --- Cursors as text --- */

/* A cursor lies with the client as text, also that of the largest database. */
Test(feed, cursors_survive_as_text)
{
    struct ty_feed_cursor cursor = {.shard = 255, .index = UINT64_MAX}, read;
    char text[TY_FEED_CURSOR_TEXT_BYTES];
    size_t length;

    open_database(1);
    for (unsigned i = 0; i < TY_FEED_SHARDS_MAX; i++)
        cursor.sequences[i] = UINT64_MAX - 1 - i;
    length = ty_feed_cursor_format(&cursor, TY_FEED_SHARDS_MAX, text);
    cr_assert_eq(length, strlen(text));
    cr_assert_lt(length, TY_FEED_CURSOR_TEXT_BYTES);
    cr_assert_null(ty_feed_cursor_parse((struct ty_text){text, length}, TY_FEED_SHARDS_MAX, &read));
    cr_assert_eq(read.shard, cursor.shard);
    cr_assert_eq(read.index, cursor.index);
    cr_assert_eq(memcmp(read.sequences, cursor.sequences, sizeof(read.sequences)), 0);
}

/* Text from outside is no cursor until it has been checked. */
Test(feed, what_is_no_cursor_is_refused)
{
    static const struct {
        const char *text;
        unsigned shards;
        bool good;
    } cases[] = {
        {"0.0.0", 1, true},
        {"0.7.12", 1, true},
        {"2.7.0.0.12", 3, true},
        {"0.0.18446744073709551614", 1, true},
        {"", 1, false},
        {"0", 1, false},
        {"0.", 1, false},
        {"0.0", 1, false},
        {"0.0.", 1, false},
        {".0.0", 1, false},
        {"0..0", 1, false},
        {"0.0.0.", 1, false},
        {"0.0.0.0", 1, false}, /* one sequence too many */
        {"0.0.0", 3, false},
        {"1.0.0", 1, false}, /* no such shard */
        {"0.1.0", 1, false}, /* an event of no value */
        {"0.0.-1", 1, false},
        {"0.0.1 ", 1, false},
        {"0.0.x", 1, false},
        {"0.0.18446744073709551615", 1, false},
        {"0.0.18446744073709551616", 1, false},
        {"4294967296.0.1", 1, false},
    };

    open_database(1);
    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_text text = {cases[i].text, strlen(cases[i].text)};
        struct ty_feed_cursor cursor = {.index = 77};
        const char *wrong = ty_feed_cursor_parse(text, cases[i].shards, &cursor);

        cr_assert_eq(wrong == NULL, cases[i].good, "'%s': %s", cases[i].text,
                     wrong == NULL ? "taken" : wrong);
        if (wrong != NULL)
            cr_assert_eq(cursor.index, 77u, "'%s'", cases[i].text);
    }
}
