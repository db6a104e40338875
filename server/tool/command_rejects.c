/* `tally rejects`: the records of streams that could not be counted, newest first. */
#include "server/tool/answer.h"
#include "server/tool/command.h"
#include "server/tool/raw_json.h"
#include "server/tool/terminal.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX   UINT64_C(1000) /* the server's bound */
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

struct listing {
    const struct rejects_options *options;
    struct ty_client *client;
    uint64_t shown;
    uint64_t next; /* older ones than this come next */
    bool more;     /* there may be some */
    bool damaged;  /* some could not be read */
};

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

/* A whole number; 0 where there is none, which no sequence is. */
static uint64_t number_member(struct ty_text object, const char *name)
{
    struct ty_text raw;

    return ty_raw_json_member(object, name, &raw) ? strtoull(raw.data, NULL, 10) : 0;
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

static void print_row(const struct listing *listing, struct ty_text reject)
{
    struct ty_text record;

    if (listing->shown == 0)
        printf("%9s  %-24s  %-14s  %-28s  %s\n", "seq", "received", "code", "source", "message");
    printf("%9" PRIu64 "  ", number_member(reject, "seq"));
    print_column(reject, "received", 24);
    print_column(reject, "code", 14);
    print_column(reject, "source", 28);
    print_column(reject, "message", 0);
    putchar('\n');
    if (!listing->options->records || !ty_raw_json_member(reject, "record", &record))
        return;
    printf("%11s", "");
    print_raw(record);
    putchar('\n');
}

static bool is_wanted(const struct listing *listing, struct ty_text reject)
{
    char code[TEXT_BYTES];

    return listing->options->code == NULL ||
           strcmp(text_member(reject, "code", code), listing->options->code) == 0;
}

static void show(struct listing *listing, struct ty_text reject)
{
    if (listing->options->json) {
        fputs(listing->shown == 0 ? "{\"rejects\":[" : ",\n", stdout);
        print_raw(reject);
    } else if (listing->options->ndjson) {
        print_raw(reject);
        putchar('\n');
    } else {
        print_row(listing, reject);
    }
    listing->shown++;
}

/* --- Pages --- */

static bool is_full(const struct listing *listing)
{
    return !listing->options->all && listing->shown >= listing->options->limit;
}

/* Shows what is wanted of a page; false where it is no page. */
static bool show_page(struct listing *listing, const struct ty_http_answer *answer)
{
    struct ty_text page = {answer->body, answer->length}, list, name, reject, next;
    struct ty_raw_json parts;

    if (answer->body == NULL || !ty_raw_json_member(page, "rejects", &list) ||
        !ty_raw_json_member(page, "next", &next))
        return false;
    listing->next = number_member(page, "next");
    listing->more = listing->next != 0;
    parts = ty_raw_json_open(list);
    while (ty_raw_json_next(&parts, &name, &reject)) {
        if (is_full(listing)) {
            listing->more = true;
            return true;
        }
        if (is_wanted(listing, reject))
            show(listing, reject);
        if (is_full(listing))
            listing->next = number_member(reject, "seq");
    }
    return true;
}

/* A damaged reject is lost, the older ones behind it are not: the server says how to go on. */
static int go_on_behind_damage(struct listing *listing, const struct ty_http_answer *answer)
{
    struct ty_text problem = {answer->body, answer->length};
    uint64_t next = answer->body != NULL ? number_member(problem, "next") : 0;

    ty_answer_print_problem(listing->client, answer);
    if (answer->status != 500 || next == 0)
        return TY_EXIT_REFUSED;
    listing->damaged = true;
    listing->next = next;
    return TY_EXIT_OK;
}

static int ask(struct listing *listing)
{
    uint64_t left = listing->options->limit - listing->shown;
    bool any = listing->options->all || listing->options->code != NULL;
    struct ty_http_answer answer;
    char path[80];
    int length = snprintf(path, sizeof(path), "/v1/rejects?limit=%" PRIu64,
                          any ? PAGE_MAX : TY_MIN(left, PAGE_MAX));
    int code;

    if (listing->next != 0)
        snprintf(path + length, sizeof(path) - (size_t)length, "&after=%" PRIu64, listing->next);
    code = ty_client_get(listing->client, path, &answer);
    if (code != TY_EXIT_OK)
        return code;
    if (answer.status != 200) {
        code = go_on_behind_damage(listing, &answer);
    } else if (!show_page(listing, &answer)) {
        fprintf(stderr, "tally: %s did not answer as a Tally server does: no page of rejects\n",
                ty_client_name(listing->client));
        code = TY_EXIT_REFUSED;
    }
    ty_http_fini(&answer);
    return code;
}

static void print_end(const struct listing *listing)
{
    if (listing->options->json) {
        fputs(listing->shown == 0 ? "{\"rejects\":[" : "", stdout);
        if (listing->more)
            printf("],\"next\":%" PRIu64 "}\n", listing->next);
        else
            puts("],\"next\":null}");
    } else if (!listing->options->ndjson) {
        if (listing->shown == 0)
            puts(listing->options->code != NULL ? "no such rejects are kept"
                                                : "no rejects are kept");
        if (listing->more)
            printf("older ones: --after %" PRIu64 ", or --all\n", listing->next);
    }
}

static int list(struct listing *listing)
{
    int code;

    do {
        code = ask(listing);
    } while (code == TY_EXIT_OK && listing->more && !is_full(listing) && !ferror(stdout));
    if (code != TY_EXIT_OK)
        return code;
    print_end(listing);
    return listing->damaged ? TY_EXIT_REFUSED : TY_EXIT_OK;
}

static int run(const struct ty_command *self, int argc, char **argv)
{
    struct rejects_options options = {.limit = 100};
    struct listing listing = {.options = &options, .more = true};
    int code = ty_flags_parse(self->flags, argc, argv, &options, NULL);

    if (code != -1)
        return code;
    if (options.json && options.ndjson) {
        fputs("tally rejects: --json and --ndjson exclude each other\nTry 'tally help rejects'.\n",
              stderr);
        return TY_EXIT_USAGE;
    }
    listing.next = options.after;
    code = ty_client_open(&options.client, &listing.client);
    if (code != TY_EXIT_OK)
        return code;
    code = list(&listing);
    ty_client_close(listing.client);
    return code;
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
