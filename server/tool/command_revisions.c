/* `tally revisions`: what changed in closed months of a customer, the oldest change first. */
#include "server/tool/answer.h"
#include "server/tool/command.h"
#include "server/tool/listing.h"
#include "server/tool/raw_json.h"
#include "server/tool/table.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct revisions_options {
    struct ty_client_options client;
    const char *customer; /* a well-formed UUID */
    uint64_t limit;       /* 0: all */
    uint64_t after;
    bool json;
    bool csv;
};

static const struct revisions_options *options_of(const struct ty_listing *listing)
{
    return listing->options;
}

/* --- A revision as text. Numbers are the server's own digits (exact_json.h). --- */

static const char *sum_of(json_t *revision, const char *when, const char *name)
{
    return ty_answer_text(json_object_get(revision, when), name, "");
}

static void print_padded(const char *text, int width)
{
    ty_terminal_print_text(stdout, text);
    printf("%*s", TY_MAX(width - (int)strlen(text), 0) + 2, "");
}

/* "0.1 > 2.6"; the last column has no width. */
static void print_change(json_t *revision, const char *name, int width)
{
    char text[120];

    snprintf(text, sizeof(text), "%s > %s", sum_of(revision, "old", name),
             sum_of(revision, "new", name));
    if (width != 0)
        print_padded(text, width);
    else
        ty_terminal_print_text(stdout, text);
}

static void print_row(json_t *revision)
{
    char cause[64];

    snprintf(cause, sizeof(cause), "+%s -%s",
             ty_answer_text(json_object_get(revision, "cause"), "events", ""),
             ty_answer_text(json_object_get(revision, "cause"), "voided", ""));
    printf("%*s", TY_MAX(8 - (int)strlen(ty_answer_text(revision, "revision", "")), 0), "");
    print_padded(ty_answer_text(revision, "revision", ""), 0);
    print_padded(ty_answer_text(revision, "received", ""), 24);
    print_padded(ty_answer_text(revision, "workflow_id", ""), 36);
    print_padded(ty_answer_text(revision, "month", ""), 7);
    print_padded(cause, 8);
    print_change(revision, "processed_credits", 20);
    print_change(revision, "num_documents", 14);
    print_change(revision, "num_pages", 0);
    putchar('\n');
}

static const struct {
    const char *title;
    const char *part; /* the member that has it; NULL: the revision itself */
    const char *name;
} fields[] = {
    {"revision", NULL, "revision"},
    {"received", NULL, "received"},
    {"workflow_id", NULL, "workflow_id"},
    {"month", NULL, "month"},
    {"events", "cause", "events"},
    {"voided", "cause", "voided"},
    {"old_num_events", "old", "num_events"},
    {"new_num_events", "new", "num_events"},
    {"old_processed_credits", "old", "processed_credits"},
    {"new_processed_credits", "new", "processed_credits"},
    {"old_num_documents", "old", "num_documents"},
    {"new_num_documents", "new", "num_documents"},
    {"old_num_pages", "old", "num_pages"},
    {"new_num_pages", "new", "num_pages"},
    {"old_average_time_per_page", "old", "average_time_per_page"},
    {"new_average_time_per_page", "new", "average_time_per_page"},
    {"old_processing_ms", "old", "processing_ms"},
    {"new_processing_ms", "new", "processing_ms"},
};

static void print_csv(json_t *revision, bool head)
{
    struct ty_column columns[TY_COUNT_OF(fields)];
    const char *cells[TY_COUNT_OF(fields)];
    const struct ty_table rows = {columns, TY_COUNT_OF(fields), cells, revision != NULL, NULL, -1};

    for (size_t i = 0; i < TY_COUNT_OF(fields); i++) {
        json_t *part =
            fields[i].part == NULL ? revision : json_object_get(revision, fields[i].part);

        columns[i] = (struct ty_column){fields[i].title, i > 3};
        cells[i] = ty_answer_text(part, fields[i].name, "");
    }
    if (head)
        ty_table_print_csv(stdout, &rows);
    else
        ty_table_print_csv_rows(stdout, &rows);
}

/* --- Pages --- */

/* What stands before the revisions. */
static void begin(struct ty_listing *listing, json_t *page)
{
    const char *through = ty_answer_text(page, "closed_through", "");

    if (listing->begun)
        return;
    listing->begun = true;
    if (options_of(listing)->csv) {
        print_csv(NULL, true);
        return;
    }
    printf("customer %s\n", options_of(listing)->customer);
    if (through[0] == '\0') {
        puts("no month is closed");
        return;
    }
    fputs("closed through ", stdout);
    ty_terminal_print_text(stdout, through);
    fputs(", since ", stdout);
    ty_terminal_print_text(stdout, ty_answer_text(page, "closed_at", ""));
    fputs("\n\n", stdout);
}

static void show(struct ty_listing *listing, json_t *revision)
{
    if (options_of(listing)->csv) {
        print_csv(revision, false);
    } else {
        if (listing->shown == 0)
            printf("%8s  %-24s  %-36s  %-7s  %-8s  %-20s  %-14s  %s\n", "revision", "received",
                   "workflow", "month", "events", "credits", "documents", "pages");
        print_row(revision);
    }
    listing->shown++;
}

/* --- JSON: the revisions as they came, in one document of all pages --- */

static bool show_json(struct ty_listing *listing, const struct ty_http_answer *answer)
{
    struct ty_text page = {answer->body, answer->length}, list, name, revision;
    struct ty_raw_json parts;

    if (!ty_raw_json_member(page, "revisions", &list))
        return false;
    if (!listing->begun) /* All that stands before them. */
        fwrite(page.data, 1, (size_t)(list.data + 1 - page.data), stdout);
    listing->begun = true;
    parts = ty_raw_json_open(list);
    while (!ty_listing_is_full(listing) && ty_raw_json_next(&parts, &name, &revision)) {
        fputs(listing->shown++ == 0 ? "" : ",\n", stdout);
        fwrite(revision.data, 1, revision.length, stdout);
    }
    return true;
}

/* --- Asking --- */

/* Shows a page; false where it is none. */
static bool show_page(struct ty_listing *listing, const struct ty_http_answer *answer)
{
    json_t *page = ty_answer_parse(listing->client, answer);
    json_t *list = json_object_get(page, "revisions"), *revision;
    size_t index;
    bool ok = json_is_array(list);

    if (ok && options_of(listing)->json) {
        ok = show_json(listing, answer);
    } else if (ok) {
        begin(listing, page);
        json_array_foreach(list, index, revision)
        {
            if (!ty_listing_is_full(listing))
                show(listing, revision);
        }
    }
    if (ok) {
        const char *next = ty_answer_text(page, "next", "");

        listing->more = next[0] != '\0';
        listing->next = strtoull(next, NULL, 10);
    }
    json_decref(page);
    return ok;
}

static void path_of(const struct ty_listing *listing, char path[TY_LISTING_PATH_BYTES])
{
    snprintf(path, TY_LISTING_PATH_BYTES,
             "/v1/customers/%s/revisions?limit=%" PRIu64 "&after=%" PRIu64,
             options_of(listing)->customer, ty_listing_left(listing), listing->next);
}

static void print_end(const struct ty_listing *listing)
{
    if (options_of(listing)->json)
        ty_listing_end_json(listing);
    else if (!options_of(listing)->csv && listing->shown == 0)
        puts("nothing has changed in closed months");
    else if (!options_of(listing)->csv && listing->more)
        printf("later ones: --after %" PRIu64 "\n", listing->next);
}

static const struct ty_listing_kind kind = {.name = "revisions",
                                            .ascends = true,
                                            .path = path_of,
                                            .show_page = show_page,
                                            .end = print_end};

static int run(const struct ty_command *self, int argc, char **argv)
{
    struct revisions_options options = {0};
    struct ty_listing listing = {.kind = &kind, .options = &options};
    int code = ty_flags_parse(self->flags, argc, argv, &options, NULL);

    if (code != -1)
        return code;
    if (options.json && options.csv) {
        fputs("tally revisions: --json and --csv exclude each other\n"
              "Try 'tally help revisions'.\n",
              stderr);
        return TY_EXIT_USAGE;
    }
    listing.limit = options.limit;
    listing.next = options.after;
    return ty_listing_run(&listing, &options.client);
}

#define AT(member) .offset = offsetof(struct revisions_options, member)

static const struct ty_flag flags[] = {
    {.name = "customer",
     .kind = TY_FLAG_UUID,
     .value = "UUID",
     .help = "who was billed",
     .required = true,
     AT(customer)},
    {.name = "after",
     .kind = TY_FLAG_COUNT,
     .value = "N",
     .help = "only those behind this one: the last that was billed (0)",
     AT(after)},
    {.name = "limit",
     .kind = TY_FLAG_COUNT,
     .value = "N",
     .min = 1,
     .help = "show this many at most (all)",
     AT(limit)},
    {.name = "json",
     .kind = TY_FLAG_SWITCH,
     .help = "one document, as the server answers",
     AT(json)},
    {.name = "csv", .kind = TY_FLAG_SWITCH, .help = "as CSV, with both totals in full", AT(csv)},
    TY_CLIENT_FLAGS,
    {0}};

const struct ty_command ty_command_revisions = {
    .name = "revisions",
    .summary = "what changed in a customer's months after they were closed",
    .usage = "--customer UUID [FLAG ...]",
    .description =
        "Lists what changed in closed months ('tally close') of a customer, the oldest\n"
        "change first: for each commit and each month of a workflow that it changed, how\n"
        "many events came (+) and were voided (-), and the month's total before and after.\n"
        "\n"
        "What a month is off by is the total behind the last of its revisions less the one\n"
        "before the first that was not billed yet.\n",
    .flags = flags,
    .notes = "What is behind the revision that was billed last, for a spreadsheet:\n"
             "\n"
             "  customer=d04270a6-6316-4d4b-b2c5-bff0ff515908\n"
             "  tally revisions --customer $customer --after 41 --csv > corrections.csv\n",
    .refused = "the server refused, or a revision cannot be read any more; the reasons are printed",
    .run = run,
};
