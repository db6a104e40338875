#include "server/tool/csv_events.h"

#include "ingest/json_events.h"
#include <criterion/criterion.h>
#include <string.h>

#define CUSTOMER "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
#define WORKFLOW "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"

static struct ty_csv_renames no_renames;

/* A header that was read, and what it is made of. */
struct header {
    struct ty_csv_columns columns;
    struct ty_csv_cell cells[TY_CSV_COLUMNS_MAX];
    struct ty_csv_scan scan;
    struct ty_buffer ignored;
    char error[TY_CSV_ERROR_BYTES];
    bool is_good;
};

static void scan(struct header *header, const char *text, size_t length)
{
    ty_csv_init(&header->scan, ',', header->cells, TY_CSV_COLUMNS_MAX);
    cr_assert(ty_csv_scan(&header->scan, text, length, true));
}

static struct header *read_header(const char *text, const struct ty_csv_renames *renames)
{
    struct header *header = calloc(1, sizeof(*header));

    scan(header, text, strlen(text));
    header->is_good = ty_csv_columns_read(&header->columns, renames, text, &header->scan,
                                          &header->ignored, header->error);
    ty_buffer_append_char(&header->ignored, '\0');
    return header;
}

static void finish(struct header *header)
{
    ty_buffer_fini(&header->ignored);
    free(header);
}

/* The line that a row becomes, or "!" and the message; the caller frees it. */
static char *convert(struct header *header, const char *row, size_t length)
{
    struct ty_buffer out = {0}, room = {0};
    char error[TY_CSV_ERROR_BYTES];

    scan(header, row, length);
    cr_assert_null(header->scan.wrong);
    if (!ty_csv_event_append(&header->columns, row, &header->scan, &out, &room, error)) {
        cr_assert_eq(out.length, 0);
        ty_buffer_append_format(&out, "!%s", error);
    }
    ty_buffer_append_char(&out, '\0');
    ty_buffer_fini(&room);
    return out.data;
}

/* Numbers must arrive as numbers with all their digits, ids as the text they are, and what is
 * neither as it stands, so that the server's message shows what is in the file. */
Test(tool_csv_events, rows_become_lines_of_json)
{
    static const char columns[] =
        "id,customer_id,workflow_id,time,credits,documents,user_id,note\n";
    static const struct {
        const char *row, *want;
    } cases[] = {
        {"1,c,w,1672531200000,1.50,3,42,x\n",
         "{\"id\":\"1\",\"customer_id\":\"c\",\"workflow_id\":\"w\",\"time\":1672531200000,"
         "\"credits\":1.50,\"documents\":3,\"user_id\":\"42\"}\n"},
        {"1,c,w,,,,,\n", "{\"id\":\"1\",\"customer_id\":\"c\",\"workflow_id\":\"w\"}\n"},
        {",,,,,,,\n", "{}\n"},
        {",,,,\"\",,,\n", "{}\n"},
        {",,,,5,,,\n", "{\"credits\":5}\n"},
        {",,,2023-01-31T23:59:59Z,-0.000001,007,,\n",
         "{\"time\":\"2023-01-31T23:59:59Z\",\"credits\":-0.000001,\"documents\":\"007\"}\n"},
        {",,,1e3,1E+2,+1,,\n", "{\"time\":1e3,\"credits\":1E+2,\"documents\":\"+1\"}\n"},
        {",,, 5,5 ,\"1,5\",,\n", "{\"time\":\" 5\",\"credits\":\"5 \",\"documents\":\"1,5\"}\n"},
        {",,,-,.5,5.,,\n", "{\"time\":\"-\",\"credits\":\".5\",\"documents\":\"5.\"}\n"},
        {",,,NaN,Infinity,true,null,\n", "{\"time\":\"NaN\",\"credits\":\"Infinity\",\"documents\":"
                                         "\"true\",\"user_id\":\"null\"}\n"},
        {",,,99999999999999999999999,0x10,1_000,,\n",
         "{\"time\":99999999999999999999999,\"credits\":\"0x10\",\"documents\":\"1_000\"}\n"},
        {"\"a\"\"b\\c\n\",,,,,,\xc3\xa9\t,\n",
         "{\"id\":\"a\\\"b\\\\c\\n\",\"user_id\":\"\xc3\xa9\\t\"}\n"},
        /* Nobody reads what is ignored. */
        {"1,,,,,,,\xff\n", "{\"id\":\"1\"}\n"},
        {"\xff,,,,,,,\n", "!id: the cell is not UTF-8 (byte 0 of it)"},
        {"1,,,,,,a\xed\xa0\x80,\n", "!user_id: the cell is not UTF-8 (byte 1 of it)"},
        {"1,2\n", "!the row has 2 cells, but there are 8 columns"},
        {"1,2,3,4,5,6,7,8,9\n", "!the row has 9 cells, but there are 8 columns"},
    };
    struct header *header = read_header(columns, &no_renames);

    cr_assert(header->is_good, "%s", header->error);
    cr_assert_str_eq(header->ignored.data, "note");
    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char *got = convert(header, cases[i].row, strlen(cases[i].row));

        cr_assert_str_eq(got, cases[i].want, "case %zu: %s", i, got);
        free(got);
    }
    finish(header);
}

/* A zero byte in a cell must reach the server's check, not end the text before it. */
Test(tool_csv_events, zero_bytes_are_escaped)
{
    struct header *header = read_header("id,customer_id,workflow_id\n", &no_renames);
    char *got = convert(header, "a\0b,,\n", 6);

    cr_assert_str_eq(got, "{\"id\":\"a\\u0000b\"}\n");
    free(got);
    finish(header);
}

/* The whole way of a row: what the decoder of the server makes of it. */
Test(tool_csv_events, a_row_is_an_event)
{
    struct header *header = read_header(
        "workflow_id,customer_id,id,time,credits,documents,pages,processing_ms,user_id\n",
        &no_renames);
    static const char row[] =
        WORKFLOW "," CUSTOMER ",job-1,2023-02-01T00:00:00+01:00,0.7,1,3,1200,u\r\n";
    char *line = convert(header, row, strlen(row));
    struct ty_decode_error error;
    struct ty_batch batch = {0};

    cr_assert_eq(ty_ndjson_events_decode(line, strlen(line), &batch, &error), TY_DECODE_OK);
    cr_assert_eq(batch.event_count, 1, "%s", line);
    cr_assert_eq(batch.events[0].credits, 700000);
    cr_assert_eq(batch.events[0].time_ms, INT64_C(1675206000000));
    cr_assert_eq(batch.events[0].documents, 1);
    cr_assert_eq(batch.events[0].pages, 3);
    cr_assert_eq(batch.events[0].processing_ms, 1200);
    ty_batch_fini(&batch);
    free(line);
    finish(header);
}

/* A header that does not fit must be told before anything is sent, in words that lead to the fix.
 */
Test(tool_csv_events, headers_that_do_not_fit_are_told)
{
    static const struct {
        const char *header, *want;
    } cases[] = {
        {"id,customer_id\n", "no column for workflow_id, which is required; its columns are 'id', "
                             "'customer_id'"},
        {"id;customer_id;workflow_id\n", "(did you mean --delimiter ';'?)"},
        {"id\tcustomer_id\tworkflow_id\n", "(did you mean --delimiter tab?)"},
        {"1,2,3\n", "no column for id"},
        {"ID,customer_id,workflow_id\n", "no column for id"},
        {"id,customer_id,workflow_id,id\n", "two columns for id, number 1 and number 4"},
        {"id,customer_id,workflow_id,a\"b\n", "malformed in column 4"},
        {"id,customer_id,workflow_id,\xe4\n", "not UTF-8 (convert the file"},
        {"\n", "no column for id"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct header *header = read_header(cases[i].header, &no_renames);

        cr_assert(!header->is_good, "case %zu", i);
        cr_assert_eq(strncmp(header->error, "the header", 10), 0, "%s", header->error);
        cr_assert_not_null(strstr(header->error, cases[i].want), "case %zu: %s", i, header->error);
        finish(header);
    }
}

/* Files come from other programs: their columns are called otherwise. */
Test(tool_csv_events, columns_can_be_renamed_and_ignored)
{
    struct ty_csv_renames renames = {0};
    char error[TY_CSV_ERROR_BYTES];
    struct header *header;
    char *got;

    cr_assert(ty_csv_renames_add(&renames, "\"Kunde, Nr.=customer_id\",Job=workflow_id", error));
    cr_assert(ty_csv_renames_add(&renames, "a=b=id", error));
    cr_assert(ty_csv_renames_add(&renames, "credits=,\"say \"\"x\"\"=credits\"", error));
    header = read_header("\"Kunde, Nr.\",Job,a=b,credits,\"say \"\"x\"\"\",other,more\n", &renames);
    cr_assert(header->is_good, "%s", header->error);
    cr_assert_str_eq(header->ignored.data, "other, more");
    got = convert(header, "c,w,i,1,2,3,4\n", 14);
    cr_assert_str_eq(got,
                     "{\"customer_id\":\"c\",\"workflow_id\":\"w\",\"id\":\"i\",\"credits\":2}\n");
    free(got);
    finish(header);
    header = read_header("id,customer_id,workflow_id\n", &renames);
    cr_assert_not_null(strstr(header->error, "no column 'Kunde, Nr.', which --column names"));
    finish(header);
    ty_csv_renames_fini(&renames);
}

/* A typing mistake in a rename must not lose a field in silence. */
Test(tool_csv_events, wrong_renames_are_told)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "not of the form NAME=FIELD"},      {"a", "not of the form NAME=FIELD"},
        {"=id", "not of the form NAME=FIELD"},   {"a=credit", "an event has no such field"},
        {"a=id,a=credits", "given twice"},       {"\"a=id", "malformed"},
        {"a=id\nb=credits", "holds a line end"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_csv_renames renames = {0};
        char error[TY_CSV_ERROR_BYTES] = "";

        cr_assert(!ty_csv_renames_add(&renames, cases[i].text, error), "case %zu", i);
        cr_assert_not_null(strstr(error, cases[i].want), "case %zu: %s", i, error);
        ty_csv_renames_fini(&renames);
    }
}
