/* `tally void`: events that should not have been counted, taken out of every rollup again. */
#include "engine/utf8.h"
#include "server/tool/answer.h"
#include "server/tool/command.h"
#include "server/tool/terminal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDS_MAX 10000 /* in a request: the server's bound */

struct void_options {
    struct ty_client_options client;
    const char *customer; /* a well-formed UUID */
    const char *reason;
    const char *source; /* NULL: none */
    const char *file;   /* NULL: none */
    bool json;
};

/* What became of all requests so far. */
struct counts {
    json_int_t voided, already, rejected;
};

/* --- The ids, as a JSON array --- */

static int out_of_memory(void)
{
    fputs("tally: out of memory\n", stderr);
    return TY_EXIT_REFUSED;
}

static bool is_utf8(const char *text)
{
    return ty_utf8_check(text, strlen(text)) == strlen(text);
}

static int add_id(json_t *ids, const struct void_options *options, const char *id)
{
    json_t *entry;

    if (!is_utf8(id)) {
        fprintf(stderr, "tally: id %zu is not UTF-8\n", json_array_size(ids) + 1);
        return TY_EXIT_USAGE;
    }
    entry = options->source == NULL ? json_string(id)
                                    : json_pack("{s:s,s:s}", "id", id, "source", options->source);
    return json_array_append_new(ids, entry) == 0 ? TY_EXIT_OK : out_of_memory();
}

/* One a line; empty lines are passed over. */
static int read_ids(json_t *ids, const struct void_options *options, FILE *file)
{
    int code = TY_EXIT_OK;
    char *line = NULL;
    size_t room = 0;
    ssize_t length;

    while (code == TY_EXIT_OK && (length = getline(&line, &room, file)) >= 0) {
        while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
            line[--length] = '\0';
        if (strlen(line) != (size_t)length) {
            fprintf(stderr, "tally: %s: id %zu has a zero byte\n", options->file,
                    json_array_size(ids) + 1);
            code = TY_EXIT_USAGE;
        } else if (length > 0) {
            code = add_id(ids, options, line);
        }
    }
    if (code == TY_EXIT_OK && ferror(file)) {
        fprintf(stderr, "tally: %s: %s\n", options->file, strerror(errno));
        code = TY_EXIT_USAGE;
    }
    free(line);
    return code;
}

static int take_file(json_t *ids, const struct void_options *options)
{
    bool is_stdin = strcmp(options->file, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(options->file, "re");
    int code;

    if (file == NULL) {
        fprintf(stderr, "tally: %s: %s\n", options->file, strerror(errno));
        return TY_EXIT_USAGE;
    }
    code = read_ids(ids, options, file);
    if (!is_stdin)
        fclose(file);
    return code;
}

static int check_texts(const struct void_options *options)
{
    if (is_utf8(options->reason) && (options->source == NULL || is_utf8(options->source)))
        return TY_EXIT_OK;
    fputs("tally: void: --reason and --source are texts in UTF-8\n", stderr);
    return TY_EXIT_USAGE;
}

static int take_ids(json_t *ids, const struct void_options *options,
                    const struct ty_arguments *words)
{
    int code = check_texts(options);

    for (size_t i = 0; i < words->count && code == TY_EXIT_OK; i++)
        code = add_id(ids, options, words->words[i]);
    if (code == TY_EXIT_OK && options->file != NULL)
        code = take_file(ids, options);
    if (code == TY_EXIT_OK && json_array_size(ids) == 0) {
        fputs("tally: void: no id is given, neither as a word nor by --file\n", stderr);
        code = TY_EXIT_USAGE;
    }
    return code;
}

/* --- A request --- */

/* NULL: no memory. */
static char *body_of(const struct void_options *options, json_t *ids, size_t first)
{
    json_t *part = json_array(), *body;
    char *text;

    for (size_t i = first; i < json_array_size(ids) && i < first + IDS_MAX; i++)
        json_array_append(part, json_array_get(ids, i));
    body = json_pack("{s:s,s:o,s:s}", "customer_id", options->customer, "ids", part, "reason",
                     options->reason);
    text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

static void print_rejected(json_t *rejected)
{
    ty_terminal_print_text(stderr, ty_answer_text(rejected, "id", "?"));
    fputs(": ", stderr);
    ty_terminal_print_text(stderr, ty_answer_text(rejected, "code", "?"));
    fputs(": ", stderr);
    ty_terminal_print_text(stderr, ty_answer_text(rejected, "message", "?"));
    fputc('\n', stderr);
}

static int take_answer(struct ty_client *client, const struct void_options *options,
                       const struct ty_http_answer *answer, struct counts *counts)
{
    json_t *document = json_loadb(answer->body, answer->length, 0, NULL), *rejected;
    json_int_t voided, already;
    size_t index;
    json_t *one;

    if (json_unpack(document, "{s:I,s:I,s:o}", "voided", &voided, "already_voided", &already,
                    "rejected", &rejected) != 0) {
        fprintf(stderr, "tally: %s did not answer as a Tally server does\n",
                ty_client_name(client));
        json_decref(document);
        return TY_EXIT_REFUSED;
    }
    if (options->json)
        ty_answer_print_json(answer);
    else
        json_array_foreach(rejected, index, one) print_rejected(one);
    counts->voided += voided;
    counts->already += already;
    counts->rejected += (json_int_t)json_array_size(rejected);
    json_decref(document);
    return TY_EXIT_OK;
}

static int send_part(struct ty_client *client, const struct void_options *options, json_t *ids,
                     size_t first, struct counts *counts)
{
    char *body = body_of(options, ids, first);
    struct ty_http_answer answer;
    int code;

    if (body == NULL)
        return out_of_memory();
    code = ty_client_post_json(client, "/v1/events/void", body, &answer);
    free(body);
    if (code != TY_EXIT_OK)
        return code;
    if (answer.status == 200) {
        code = take_answer(client, options, &answer, counts);
    } else {
        ty_answer_print_problem(client, &answer);
        code = TY_EXIT_REFUSED;
    }
    ty_http_fini(&answer);
    return code;
}

static int send_all(const struct void_options *options, json_t *ids)
{
    struct counts counts = {0};
    struct ty_client *client;
    int code = ty_client_open(&options->client, &client);

    if (code != TY_EXIT_OK)
        return code;
    for (size_t first = 0; first < json_array_size(ids) && code == TY_EXIT_OK; first += IDS_MAX)
        code = send_part(client, options, ids, first, &counts);
    if (!options->json && (code == TY_EXIT_OK || counts.voided + counts.already != 0))
        printf("%" JSON_INTEGER_FORMAT " voided, %" JSON_INTEGER_FORMAT
               " were void before, %" JSON_INTEGER_FORMAT " rejected\n",
               counts.voided, counts.already, counts.rejected);
    ty_client_close(client);
    return code == TY_EXIT_OK && counts.rejected != 0 ? TY_EXIT_REFUSED : code;
}

static int run(const struct ty_command *self, int argc, char **argv)
{
    struct void_options options = {0};
    struct ty_arguments words;
    json_t *ids;
    int code = ty_flags_parse(self->flags, argc, argv, &options, &words);

    if (code != -1)
        return code;
    ids = json_array();
    code = ids == NULL ? out_of_memory() : take_ids(ids, &options, &words);
    if (code == TY_EXIT_OK)
        code = send_all(&options, ids);
    json_decref(ids);
    return code;
}

#define AT(member) .offset = offsetof(struct void_options, member)

static const struct ty_flag flags[] = {
    {.name = "customer",
     .kind = TY_FLAG_UUID,
     .value = "UUID",
     .help = "whose events they are",
     .required = true,
     AT(customer)},
    {.name = "reason",
     .kind = TY_FLAG_TEXT,
     .value = "TEXT",
     .help = "why they do not count: at most 256 bytes, kept with each of them",
     .required = true,
     AT(reason)},
    {.name = "source",
     .kind = TY_FLAG_TEXT,
     .value = "TEXT",
     .help = "the source that they were sent with, as CloudEvents are (none)",
     AT(source)},
    {.name = "file",
     .kind = TY_FLAG_TEXT,
     .value = "FILE",
     .help = "more ids, one a line; - is the standard input",
     AT(file)},
    {.name = "json",
     .kind = TY_FLAG_SWITCH,
     .help = "the server's answers as they came, one for every 10,000 ids",
     AT(json)},
    TY_CLIENT_FLAGS,
    {0}};

const struct ty_command ty_command_void = {
    .name = "void",
    .summary = "takes events out of the totals again",
    .usage = "--customer UUID --reason TEXT [FLAG ...] [ID ...]",
    .words = "ID",
    .description =
        "Takes events of a customer that were accepted by mistake out of every total\n"
        "again: credits, documents, pages, time and the number of events are as if they\n"
        "had never come. The events are kept, with the reason, and their ids stay used.\n"
        "There is no way back: to count the work after all, send it with a new id.\n"
        "\n"
        "What a void changes in a closed month is listed by 'tally revisions'. An id that\n"
        "the journal does not have (any more) is told on the standard error; the others\n"
        "are voided all the same. To void what is void already changes nothing, and is a\n"
        "success: so what got no answer is sent again as it is.\n",
    .flags = flags,
    .notes = "Two events that ran twice after a crash, and a list of them:\n"
             "\n"
             "  customer=d04270a6-6316-4d4b-b2c5-bff0ff515908\n"
             "  tally void --customer $customer --reason 'ran twice' job-1 job-7\n"
             "  tally void --customer $customer --reason 'ran twice' --file twice.txt\n",
    .refused = "the server refused, or an id was rejected",
    .run = run,
};
