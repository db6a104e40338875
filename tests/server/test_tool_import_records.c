#include "server/tool/import_records.h"

#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <string.h>

#define OUT_MAX 2000

/* Reads all of `text`, fed in pieces, and describes it: "1[a][b] 2!wrong 5[c]": line numbers, and
 * cells or the line; pieces of records too long as "+". Returns the bytes that came out. */
static size_t describe(const char *text, size_t length, char delimiter, size_t piece, char *out)
{
    struct ty_records *records = calloc(1, sizeof(*records));
    struct ty_raw_record record;
    enum ty_records_step step;
    size_t fed = 0, bytes = 0;

    out[0] = '\0';
    cr_assert(ty_records_init(records, delimiter));
    while ((step = ty_records_next(records, &record)) != TY_RECORDS_END) {
        char *end = out + strlen(out);
        const size_t left = OUT_MAX / 4;

        if (step == TY_RECORDS_MORE) {
            size_t room, now = TY_MIN(piece, length - fed);
            char *to = ty_records_room(records, &room);

            now = TY_MIN(now, room);
            memcpy(to, text + fed, now);
            ty_records_fed(records, now);
            fed += now;
            continue;
        }
        bytes += record.text.length;
        if (step == TY_RECORDS_PIECE) {
            snprintf(end, left, "+");
            continue;
        }
        end += snprintf(end, left, "%s%llu", out[0] == '\0' ? "" : " ",
                        (unsigned long long)record.line);
        if (record.wrong != NULL)
            snprintf(end, left, "!");
        else if (delimiter == 0)
            snprintf(end, left, "[%.*s]", (int)TY_MIN(record.text.length - 1, (size_t)100),
                     record.text.data);
        for (size_t i = 0; delimiter != 0 && record.wrong == NULL && i < records->scan.cell_count;
             i++)
            end += snprintf(end, OUT_MAX / 4, "[%.*s]", (int)records->cells[i].length,
                            record.text.data + records->cells[i].from);
    }
    ty_records_fini(records);
    free(records);
    return bytes;
}

/* A line number that is off by a quoted line end sends the user to the wrong line. */
Test(tool_import_records, records_have_the_number_of_their_first_line)
{
    static const struct {
        char delimiter;
        const char *text, *want;
    } cases[] = {
        {',', "a,b\n\"c\nd\",e\nf,g\n", "1[a][b] 2[c\nd][e] 4[f][g]"},
        {',', "a,b\r\n\r\n\r\nc,d", "1[a][b] 4[c][d]"},
        {',', "\n\na,b\n", "3[a][b]"},
        {',', "a,b\nc\"d,e\nf,g\n", "1[a][b] 2! 3[f][g]"},
        {',', "a,b\n  \nc,d\n", "1[a][b] 2[  ] 3[c][d]"},
        {',',
         "\xef\xbb\xbf"
         "a,b\n",
         "1[a][b]"},
        {',', "\xef\xbb\xbf", ""},
        {',', "\xef\xbb", "1[\xef\xbb]"},
        {',', "", ""},
        {',', "\n\n", ""},
        {0, "{\"a\":\"x,\n\\\"\"}\n\n \t\r\n{}\n", "1[{\"a\":\"x,] 2[\\\"\"}] 5[{}]"},
        {0, "\xef\xbb\xbf{}\n", "1[{}]"},
        {0, "\"\n\"\n", "1[\"] 2[\"]"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        for (size_t piece = 1; piece <= strlen(cases[i].text) + 1; piece++) {
            char got[OUT_MAX];

            describe(cases[i].text, strlen(cases[i].text), cases[i].delimiter, piece, got);
            cr_assert_str_eq(got, cases[i].want, "case %zu, pieces of %zu: %s", i, piece, got);
        }
}

/* One broken line must neither eat the file nor the memory; the lines behind it still count. */
Test(tool_import_records, a_record_too_long_comes_in_pieces_and_the_rest_goes_on)
{
    const size_t long_bytes = 3 * (size_t)TY_RECORD_BYTES_MAX;
    static const char *const heads[] = {"a,b\n\"", "a,b\n"}, *const tails[] = {"\nx\",e\nf,g\n",
                                                                               "\nf,g\n"};
    static const char *const wants[] = {"1[a][b] 2!", "1[a][b] 2!"};

    for (size_t i = 0; i < 2; i++) {
        size_t head = strlen(heads[i]), tail = strlen(tails[i]), total = head + long_bytes + tail;
        char *text = malloc(total);
        char got[OUT_MAX];

        memcpy(text, heads[i], head);
        memset(text + head, 'z', long_bytes);
        memcpy(text + head + long_bytes, tails[i], tail);
        cr_assert_eq(describe(text, total, ',', 100000, got), total);
        cr_assert_eq(strncmp(got, wants[i], strlen(wants[i])), 0, "%s", got);
        cr_assert_not_null(strstr(got, i == 0 ? "+ 4[f][g]" : "+ 3[f][g]"), "%s", got);
        free(text);
    }
}

/* The bound is on the record; one of exactly that size is still taken, in any pieces. */
Test(tool_import_records, a_record_of_the_bound_is_taken)
{
    static const size_t pieces[] = {1000, 65536, 300000, 2000000};
    char *text = malloc(TY_RECORD_BYTES_MAX + 2);

    memset(text, 'z', TY_RECORD_BYTES_MAX + 2);
    text[TY_RECORD_BYTES_MAX] = '\n';
    for (size_t i = 0; i < TY_COUNT_OF(pieces); i++) {
        char got[OUT_MAX];

        text[TY_RECORD_BYTES_MAX - 1] = '\n';
        text[TY_RECORD_BYTES_MAX] = 'y';
        describe(text, TY_RECORD_BYTES_MAX + 1, 0, pieces[i], got);
        cr_assert_null(strchr(got, '!'), "pieces of %zu", pieces[i]);
        text[TY_RECORD_BYTES_MAX - 1] = 'z';
        text[TY_RECORD_BYTES_MAX] = '\n';
        describe(text, TY_RECORD_BYTES_MAX + 1, 0, pieces[i], got);
        cr_assert_eq(strncmp(got, "1!", 2), 0, "pieces of %zu: %.20s", pieces[i], got);
    }
    free(text);
}

/* A row of thousands of cells is told as such, whatever the header says. */
Test(tool_import_records, too_many_cells_are_told)
{
    char text[TY_CSV_COLUMNS_MAX + 2], got[OUT_MAX];

    memset(text, ',', sizeof(text));
    text[TY_CSV_COLUMNS_MAX] = '\n';
    describe(text, TY_CSV_COLUMNS_MAX + 1, ',', 100, got);
    cr_assert_str_eq(got, "1!");
}
