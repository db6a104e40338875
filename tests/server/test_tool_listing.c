#include "server/tool/listing.h"

#include "server/tool/command.h"
#include "server/tool/raw_json.h"
#include "tests/server/canned_server.h"
#include "tests/support/capture.h"

/* A command that lists numbers: {"numbers":[1,2],"next":2}. */

static void path_of(const struct ty_listing *listing, char path[TY_LISTING_PATH_BYTES])
{
    snprintf(path, TY_LISTING_PATH_BYTES, "/n?limit=%llu&after=%llu",
             (unsigned long long)ty_listing_left(listing), (unsigned long long)listing->next);
}

static bool show_page(struct ty_listing *listing, const struct ty_http_answer *answer)
{
    struct ty_text page = {answer->body, answer->length}, list, name, number;
    struct ty_raw_json parts;

    if (answer->body == NULL || !ty_raw_json_member(page, "numbers", &list))
        return false;
    parts = ty_raw_json_open(list);
    while (ty_raw_json_next(&parts, &name, &number) && !ty_listing_is_full(listing)) {
        printf("%.*s ", (int)number.length, number.data);
        listing->shown++;
    }
    listing->next = ty_raw_json_number(page, "next");
    listing->more = listing->next != 0;
    return true;
}

static const struct ty_listing_kind up = {"numbers", true, path_of, show_page, ty_listing_end_json};
static const struct ty_listing_kind down = {"numbers", false, path_of, show_page,
                                            ty_listing_end_json};

static struct canned_server server;
static char printed[4096], said[4096];

/* Lists what the answers have, from behind `after`; the exit code. */
static int list(const struct ty_listing_kind *kind, uint64_t limit, uint64_t after,
                const struct canned_answer *answers)
{
    struct ty_listing listing = {.kind = kind, .limit = limit, .next = after};
    struct ty_client_options options = {0};
    struct ty_capture out, err;
    int code;

    canned_start(&server, answers);
    options.server = server.address;
    out = ty_capture_begin(STDOUT_FILENO);
    err = ty_capture_begin(STDERR_FILENO);
    code = ty_listing_run(&listing, &options);
    ty_capture_end(&err, said, sizeof(said));
    ty_capture_end(&out, printed, sizeof(printed));
    canned_stop(&server);
    return code;
}

/* A list of which pages are left out looks complete. */
Test(tool_listing, all_pages_are_one_list)
{
    static const struct canned_answer answers[] = {
        {"200 OK", "", "{\"numbers\":[1,2],\"next\":2}"},
        {"200 OK", "", "{\"numbers\":[],\"next\":5}"},
        {"200 OK", "", "{\"numbers\":[6],\"next\":null}"},
        {0}};

    cr_assert_eq(list(&up, 0, 0, answers), TY_EXIT_OK, "%s", said);
    cr_assert_str_eq(printed, "1 2 6 ],\"next\":null}\n");
    cr_assert_eq(server.request_count, 3u);
    cr_assert(canned_was_asked(&server, 0, "/n?limit=1000&after=0"));
    cr_assert(canned_was_asked(&server, 1, "/n?limit=1000&after=2"));
    cr_assert(canned_was_asked(&server, 2, "/n?limit=1000&after=5"));
}

/* So many and no more, and where it would go on: the next call begins there. */
Test(tool_listing, a_limit_ends_the_list)
{
    static const struct canned_answer answers[] = {{"200 OK", "", "{\"numbers\":[9,8],\"next\":8}"},
                                                   {"200 OK", "", "{\"numbers\":[7],\"next\":7}"},
                                                   {0}};

    cr_assert_eq(list(&down, 3, 10, answers), TY_EXIT_OK, "%s", said);
    cr_assert_str_eq(printed, "9 8 7 ],\"next\":7}\n");
    cr_assert_eq(server.request_count, 2u);
    cr_assert(canned_was_asked(&server, 0, "/n?limit=3&after=10"));
    cr_assert(canned_was_asked(&server, 1, "/n?limit=1&after=8"));
    cr_assert_eq(list(&down, 2000, 10, &answers[2]), TY_EXIT_UNREACHABLE);
    cr_assert(canned_was_asked(&server, 0, "/n?limit=1000&after=10"));
}

/* One damaged entry must not hide those behind it; and the exit code says that one was lost. */
Test(tool_listing, damage_is_passed_over_and_told)
{
    static const struct canned_answer answers[] = {
        {"200 OK", "", "{\"numbers\":[9],\"next\":9}"},
        {"500 Error", "", "{\"title\":\"damaged\",\"detail\":\"number 8\",\"next\":8}"},
        {"200 OK", "", "{\"numbers\":[7],\"next\":null}"},
        {0}};

    cr_assert_eq(list(&down, 0, 0, answers), TY_EXIT_REFUSED);
    cr_assert_str_eq(printed, "9 7 ],\"next\":null}\n");
    cr_assert(canned_was_asked(&server, 2, "/n?limit=1000&after=8"));
    cr_assert_not_null(strstr(said, "damaged: number 8"), "%s", said);
}

/* A server whose list does not go on would be asked for ever. */
Test(tool_listing, a_list_that_does_not_go_on_ends)
{
    static const struct {
        const struct ty_listing_kind *kind;
        struct canned_answer answer;
    } cases[] = {
        {&up, {"500 Error", "", "{\"next\":4}"}},
        {&up, {"500 Error", "", "{\"next\":5}"}},
        {&down, {"500 Error", "", "{\"next\":5}"}},
        {&down, {"500 Error", "", "{\"next\":6}"}},
        {&up, {"500 Error", "", "{\"next\":0}"}},
        {&up, {"500 Error", "", "{\"next\":null}"}},
        {&down, {"500 Error", "", ""}},
        {&down, {"503 Busy", "", "{\"next\":4}"}},
        {&up, {"422 Wrong", "", "{\"next\":6}"}},
        {&up, {"200 OK", "", "{\"numbers\":[],\"next\":5}"}},
        {&down, {"200 OK", "", "{\"numbers\":[],\"next\":5}"}},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct canned_answer answers[] = {cases[i].answer, {0}};

        cr_assert_eq(list(cases[i].kind, 0, 5, answers), TY_EXIT_REFUSED, "case %zu", i);
        cr_assert_eq(server.request_count, 1u, "case %zu", i);
        cr_assert_str_eq(printed, "", "case %zu: %s", i, printed);
    }
}

/* What is no page is told as such, with what was wanted. */
Test(tool_listing, what_is_no_page_is_told)
{
    static const struct canned_answer answers[] = {{"200 OK", "", "<html>"}, {0}};

    cr_assert_eq(list(&up, 0, 0, answers), TY_EXIT_REFUSED);
    cr_assert_not_null(strstr(said, "did not answer as a Tally server does: no page of numbers"),
                       "%s", said);
    cr_assert_str_eq(printed, "");
}
