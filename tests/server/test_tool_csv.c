#include "server/tool/csv.h"

#include "tests/support/random.h"
#include <criterion/criterion.h>
#include <string.h>

#define CELLS_MAX 16
#define TEXT_MAX  400

/* Scans one record of `text`, of which `piece` more bytes are there at each try, and writes its
 * cells as "[a][b]". Returns the record's length. */
static size_t describe(const char *text, size_t length, char delimiter, size_t piece,
                       char out[TEXT_MAX], const char **wrong)
{
    struct ty_csv_cell cells[CELLS_MAX];
    struct ty_csv_scan scan;
    size_t there = TY_MIN(piece, length);

    ty_csv_init(&scan, delimiter, cells, CELLS_MAX);
    /* A copy of exactly what is there, so that AddressSanitizer sees a look ahead. */
    for (;;) {
        char *copy = malloc(there == 0 ? 1 : there);
        bool is_over;

        memcpy(copy, text, there);
        is_over = ty_csv_scan(&scan, copy, there, there == length);
        free(copy);
        if (is_over)
            break;
        cr_assert(there < length, "not over at the end");
        there = TY_MIN(there + piece, length);
    }
    out[0] = '\0';
    for (size_t i = 0; i < TY_MIN(scan.cell_count, (size_t)CELLS_MAX); i++) {
        char value[TEXT_MAX];
        size_t bytes = cells[i].length;

        if (cells[i].doubled)
            bytes = ty_csv_unquote(text, &cells[i], value);
        else
            memcpy(value, text + cells[i].from, bytes);
        snprintf(out + strlen(out), TEXT_MAX - strlen(out), "[%.*s]", (int)bytes, value);
    }
    *wrong = scan.wrong;
    return scan.at;
}

/* A cell that is read otherwise than the program that wrote it meant is another customer's bill. */
Test(tool_csv, cells_are_what_rfc_4180_says)
{
    static const struct {
        const char *text;
        size_t length; /* of the first record */
        const char *want;
    } cases[] = {
        {"a,b,c\n1", 6, "[a][b][c]"},
        {"a,b,c\r\n1", 7, "[a][b][c]"},
        {"a,b,c", 5, "[a][b][c]"},
        {"a,b,c\r", 6, "[a][b][c]"},
        {"\nx", 1, "[]"},
        {"\r\nx", 2, "[]"},
        {",\n", 2, "[][]"},
        {"a,", 2, "[a][]"},
        {"a,\r\n", 4, "[a][]"},
        {"\"\"\n", 3, "[]"},
        {"\"\"", 2, "[]"},
        {"\"a\",b\n", 6, "[a][b]"},
        {"\"a,b\",c\n", 8, "[a,b][c]"},
        {"\"a\nb\",c\n", 8, "[a\nb][c]"},
        {"\"a\r\nb\r\",c\r\n", 11, "[a\r\nb\r][c]"},
        {"\"a\"\"b\"\n", 7, "[a\"b]"},
        {"\"\"\"\"\n", 5, "[\"]"},
        {"\"\"\"a\"\"\",\"\"\"\"\"\"\n", 15, "[\"a\"][\"\"]"},
        {"\"a\"\r\nb", 5, "[a]"},
        {"\"a\"", 3, "[a]"},
        {"\"a\"\r", 4, "[a]"},
        {"caf\xc3\xa9,\xff\n", 8, "[caf\xc3\xa9][\xff]"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        for (size_t piece = 1; piece <= strlen(cases[i].text); piece++) {
            char got[TEXT_MAX];
            const char *wrong;
            size_t length;

            length = describe(cases[i].text, strlen(cases[i].text), ',', piece, got, &wrong);
            cr_assert_null(wrong, "case %zu: %s", i, wrong);
            cr_assert_str_eq(got, cases[i].want, "case %zu, pieces of %zu: %s, not %s", i, piece,
                             got, cases[i].want);
            cr_assert_eq(length, cases[i].length, "case %zu, pieces of %zu: %zu bytes", i, piece,
                         length);
        }
}

/* Whoever uses Excel in half of Europe has semicolons, and decimals with commas in their cells. */
Test(tool_csv, other_delimiters_make_the_comma_ordinary)
{
    char got[TEXT_MAX];
    const char *wrong;

    describe("1,5;\"a;b\";c\n", 12, ';', 3, got, &wrong);
    cr_assert_str_eq(got, "[1,5][a;b][c]");
    describe("1,5\ta;b\n", 8, '\t', 3, got, &wrong);
    cr_assert_str_eq(got, "[1,5][a;b]");
}

/* A malformed record must be told, not guessed at, and must not take the next one with it. */
Test(tool_csv, what_is_malformed_is_told_and_ends_with_its_line)
{
    static const struct {
        const char *text;
        size_t length;
        const char *want; /* a part of what is told */
    } cases[] = {
        {"a\"b,c\nnext", 6, "a quote stands inside"},
        {" \"b\",c\nnext", 7, "a quote stands inside"},
        {"\"a\"b,c\nnext", 7, "text follows the closing quote"},
        {"\"a\" ,c\nnext", 7, "text follows the closing quote"},
        {"\"a\"b\"c,d\"\nnext", 10, "text follows the closing quote"},
        {"a\rb,c\nnext", 6, "a CR without LF"},
        {"\"a\"\rb,c\nnext", 8, "a CR without LF"},
        {"a\r\r\nnext", 4, "a CR without LF"},
        {"\"a,b\nnext\n", 10, "never closed"},
        {"x,\"", 3, "never closed"},
        /* Quotes that begin a cell still cover line ends. */
        {"a\"b,\"c\nd\",e\nnext", 12, "a quote stands inside"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        for (size_t piece = 1; piece <= strlen(cases[i].text); piece++) {
            char got[TEXT_MAX];
            const char *wrong;
            size_t length = describe(cases[i].text, strlen(cases[i].text), ',', piece, got, &wrong);

            cr_assert_not_null(wrong, "case %zu: %s", i, got);
            cr_assert_not_null(strstr(wrong, cases[i].want), "case %zu: %s", i, wrong);
            cr_assert_eq(length, cases[i].length, "case %zu, pieces of %zu: %zu bytes", i, piece,
                         length);
        }
}

/* Someone who has ten columns in a row must be led to the one that is wrong. */
Test(tool_csv, the_malformed_cell_is_named)
{
    struct ty_csv_cell cells[CELLS_MAX];
    struct ty_csv_scan scan;

    ty_csv_init(&scan, ',', cells, CELLS_MAX);
    ty_csv_scan(&scan, "a,b,c\"d,e\"f\n", 12, true);
    cr_assert_eq(scan.wrong_cell, 2);
    cr_assert_eq(scan.cell_count, 4);
}

/* More cells than there is room for are counted, so that the row can be refused with its number. */
Test(tool_csv, cells_beyond_the_room_are_counted)
{
    struct ty_csv_cell cells[2];
    struct ty_csv_scan scan;

    ty_csv_init(&scan, ',', cells, TY_COUNT_OF(cells));
    cr_assert(ty_csv_scan(&scan, "a,b,c,d\n", 8, false));
    cr_assert_eq(scan.cell_count, 4);
    cr_assert_eq(cells[1].from, 2);
}

/* Writes a cell as a program would that quotes now and then without need. */
static size_t write_cell(struct ty_random *random, char *out, const char *value, size_t length,
                         char delimiter)
{
    bool quoted = ty_random_one_in(random, 4);
    size_t bytes = 0;

    for (size_t i = 0; i < length; i++)
        quoted |= value[i] == delimiter || strchr("\"\r\n", value[i]) != NULL;
    if (!quoted) {
        memcpy(out, value, length);
        return length;
    }
    out[bytes++] = '"';
    for (size_t i = 0; i < length; i++) {
        if (value[i] == '"')
            out[bytes++] = '"';
        out[bytes++] = value[i];
    }
    out[bytes++] = '"';
    return bytes;
}

/* What any program writes by the rules comes back as it was, wherever a read() cuts it. */
Test(tool_csv, what_was_written_comes_back_from_any_pieces)
{
    static const char alphabet[] = "ab,;\"\"\r\n \t\xc3\xa9x";
    static const char delimiters[] = ",;\t|";
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int round = 0; round < 20000; round++) {
        char delimiter = delimiters[ty_random_below(&random, 4)];
        size_t count = 1 + ty_random_below(&random, 6), bytes = 0;
        char text[TEXT_MAX], want[TEXT_MAX] = "", got[TEXT_MAX];
        const char *wrong;

        for (size_t i = 0; i < count; i++) {
            char value[9] = "";
            size_t length = ty_random_below(&random, 9);

            for (size_t j = 0; j < length; j++)
                value[j] = alphabet[ty_random_below(&random, sizeof(alphabet) - 1)];
            if (i > 0)
                text[bytes++] = delimiter;
            bytes += write_cell(&random, text + bytes, value, length, delimiter);
            snprintf(want + strlen(want), sizeof(want) - strlen(want), "[%.*s]", (int)length,
                     value);
        }
        bytes += (size_t)sprintf(text + bytes, "%s",
                                 (const char *[]){"\n", "\r\n"}[ty_random_below(&random, 2)]);
        cr_assert_eq(
            describe(text, bytes, delimiter, 1 + ty_random_below(&random, bytes), got, &wrong),
            bytes);
        cr_assert_null(wrong, "%s: %.*s", wrong, (int)bytes, text);
        cr_assert_str_eq(got, want, "%s, not %s", got, want);
    }
}
