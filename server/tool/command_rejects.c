/* `tally rejects`: the records of streams that could not be counted, newest first. */
#include "server/tool/answer.h"
#include "server/tool/command.h"
#include "server/tool/listing.h"
#include "server/tool/raw_json.h"
#include "server/tool/terminal.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 4096

struct rejects_options {
    struct ty_client_options client;
    uint64_t limit;
    uint64_t after; /* 0: the newest */
    const char *code;
    bool all;
    bool records;
    bool json;
    bool ndjson;
};

static const struct rejects_options *options_of(const struct ty_listing *listing)
{
    return listing->options;
}

/* --- One reject --- */

/* A member that is text, without its quotes and escapes; "?" for any other. */
static const char *text_member(struct ty_text reject, const char *name, char text[TEXT_BYTES])
{
    struct ty_text raw;
    json_t *value = NULL;

    if (ty_raw_json_member(reject, name, &raw))
        value = json_loadb(raw.data, raw.length, JSON_DECODE_ANY, NULL);
    snprintf(text, TEXT_BYTES, "%s", json_is_string(value) ? json_string_value(value) : "?");
    json_decref(value);
    return text;
}

/* JSON as it came, on one line: line ends stand only between its tokens. */
static void print_raw(struct ty_text json)
{
    for (size_t i = 0; i < json.length; i++)
        putchar(json.data[i] == '\n' || json.data[i] == '\r' ? ' ' : json.data[i]);
}

/* Texts of others may be long: as in a log, a line is as long as it must be. */
static void print_column(struct ty_text reject, const char *name, int width)
{
    char text[TEXT_BYTES];
    int columns = 0;

    text_member(reject, name, text);
    ty_terminal_print_text(stdout, text);
    for (const char *at = text; *at != '\0'; at++)
        columns += ((unsigned char)*at & 0xc0) != 0x80;
    if (width > 0)
        printf("%*s", TY_MAX(width - columns, 0) + 2, "");
}

static void print_row(const struct ty_listing *listing, struct ty_text reject)
{
    struct ty_text record;

    if (listing->shown == 0)
        printf("%9s  %-24s  %-14s  %-28s  %s\n", "seq", "received", "code", "source", "message");
    printf("%9" PRIu64 "  ", ty_raw_json_number(reject, "seq"));
    print_column(reject, "received", 24);
    print_column(reject, "code", 14);
    print_column(reject, "source", 28);
    print_column(reject, "message", 0);
    putchar('\n');
    if (!options_of(listing)->records || !ty_raw_json_member(reject, "record", &record))
        return;
    printf("%11s", "");
    print_raw(record);
    putchar('\n');
}

static bool is_wanted(const struct ty_listing *listing, struct ty_text reject)
{
    char code[TEXT_BYTES];

    return options_of(listing)->code == NULL ||
           strcmp(text_member(reject, "code", code), options_of(listing)->code) == 0;
}

static void show(struct ty_listing *listing, struct ty_text reject)
{
    if (options_of(listing)->json) {
        fputs(listing->shown == 0 ? "{\"rejects\":[" : ",\n", stdout);
        print_raw(reject);
    } else if (options_of(listing)->ndjson) {
        print_raw(reject);
        putchar('\n');
    } else {
        print_row(listing, reject);
    }
    listing->shown++;
}

/* --- Pages --- */

/* Shows what is wanted of a page; false where it is no page. */
static bool show_page(struct ty_listing *listing, const struct ty_http_answer *answer)
{
    struct ty_text page = {answer->body, answer->length}, list, name, reject, next;
    struct ty_raw_json parts;

    if (answer->body == NULL || !ty_raw_json_member(page, "rejects", &list) ||
        !ty_raw_json_member(page, "next", &next))
        return false;
    listing->next = ty_raw_json_number(page, "next");
    listing->more = listing->next != 0;
    parts = ty_raw_json_open(list);
    while (ty_raw_json_next(&parts, &name, &reject)) {
        if (ty_listing_is_full(listing)) {
            listing->more = true;
            return true;
        }
        if (is_wanted(listing, reject))
            show(listing, reject);
        if (ty_listing_is_full(listing))
            listing->next = ty_raw_json_number(reject, "seq");
    }
    return true;
}

static void path_of(const struct ty_listing *listing, char path[TY_LISTING_PATH_BYTES])
{
    /* How many of a page have the code is not known before. */
    int length = snprintf(path, TY_LISTING_PATH_BYTES, "/v1/rejects?limit=%" PRIu64,
                          options_of(listing)->code != NULL ? TY_LISTING_PAGE_MAX
                                                            : ty_listing_left(listing));

    if (listing->next != 0)
        snprintf(path + length, TY_LISTING_PATH_BYTES - (size_t)length, "&after=%" PRIu64,
                 listing->next);
}

static void print_end(const struct ty_listing *listing)
{
    if (options_of(listing)->json) {
        fputs(listing->shown == 0 ? "{\"rejects\":[" : "", stdout);
        ty_listing_end_json(listing);
    } else if (!options_of(listing)->ndjson) {
        if (listing->shown == 0)
            puts(options_of(listing)->code != NULL ? "no such rejects are kept"
                                                   : "no rejects are kept");
        if (listing->more)
            printf("older ones: --after %" PRIu64 ", or --all\n", listing->next);
    }
}

static const struct ty_listing_kind kind = {
    .name = "rejects", .path = path_of, .show_page = show_page, .end = print_end};

static int run(const struct ty_command *self, int argc, char **argv)
{
    struct rejects_options options = {.limit = 100};
    struct ty_listing listing = {.kind = &kind, .options = &options};
    int code = ty_flags_parse(self->flags, argc, argv, &options, NULL);

    if (code != -1)
        return code;
    if (options.json && options.ndjson) {
        fputs("tally rejects: --json and --ndjson exclude each other\nTry 'tally help rejects'.\n",
              stderr);
        return TY_EXIT_USAGE;
    }
    listing.limit = options.all ? 0 : options.limit;
    listing.next = options.after;
    return ty_listing_run(&listing, &options.client);
}

static const char *const codes[] = {"missing_field", "invalid_field", "out_of_range",
                                    "too_new",       "too_old",       "id_conflict",
                                    "overflow",      "series_limit",  NULL};

#define AT(member) .offset = offsetof(struct rejects_options, member)

static const struct ty_flag flags[] = {
    {.name = "limit",
     .kind = TY_FLAG_COUNT,
     .value = "N",
     .min = 1,
     .help = "show this many at most (100)",
     AT(limit)},
    {.name = "all", .kind = TY_FLAG_SWITCH, .help = "show all that are kept", AT(all)},
    {.name = "after",
     .kind = TY_FLAG_COUNT,
     .value = "SEQ",
     .min = 1,
     .help = "begin behind this one, with the next older",
     AT(after)},
    {.name = "code",
     .kind = TY_FLAG_CHOICE,
     .value = "CODE",
     .choices = codes,
     .help = "only those with this reason: missing_field, invalid_field, out_of_range, too_new, "
             "too_old, id_conflict, overflow or series_limit",
     AT(code)},
    {.name = "records",
     .kind = TY_FLAG_SWITCH,
     .help = "below each one its record, as JSON, or base64 where it is none",
     AT(records)},
    {.name = "json",
     .kind = TY_FLAG_SWITCH,
     .help = "one document, as the server answers, with the records",
     AT(json)},
    {.name = "ndjson",
     .kind = TY_FLAG_SWITCH,
     .help = "one reject a line as JSON, with the record",
     AT(ndjson)},
    TY_CLIENT_FLAGS,
    {0}};

const struct ty_command ty_command_rejects = {
    .name = "rejects",
    .summary = "records of streams that could not be counted, and why",
    .usage = "[FLAG ...]",
    .description =
        "Lists the records that came in by a stream (the Forward protocol) and could not\n"
        "be counted, newest first, each with its reason. They are kept until newer ones\n"
        "need their room. Records rejected over HTTP are not among them: those were\n"
        "answered.\n",
    .flags = flags,
    .notes = "What was wrong today, how often, and the records that lack a field:\n"
             "\n"
             "  tally rejects --all --ndjson | jq -r .code | sort | uniq -c\n"
             "  tally rejects --code missing_field --ndjson | jq -c .record\n",
    .refused = "the server refused, or a kept record cannot be read any more; the reasons are "
               "printed",
    .run = run,
};
