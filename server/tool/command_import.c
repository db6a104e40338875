/* `tally import`: usage events from files of CSV or NDJSON, each counted once. */
#include "server/tool/command.h"
#include "server/tool/import.h"
#include <stdlib.h>
#include <string.h>

static const char *const formats[] = {"csv", "ndjson", NULL};

static int refuse(const char *flag, const char *why)
{
    fprintf(stderr, "tally import: %s: %s\n", flag, why);
    return TY_EXIT_USAGE;
}

/* --column may be given several times, and all of them count: a table of flags knows the last. */
static int read_renames(int argc, char **argv, struct ty_csv_renames *renames)
{
    char error[TY_CSV_ERROR_BYTES];

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *value = NULL;

        if (strncmp(argv[i], "--column=", 9) == 0)
            value = argv[i] + 9;
        else if (strcmp(argv[i], "--column") == 0 && i + 1 < argc)
            value = argv[++i];
        if (value != NULL && !ty_csv_renames_add(renames, value, error))
            return refuse("--column", error);
    }
    return TY_EXIT_OK;
}

static int read_delimiter(const char *text, char *delimiter)
{
    *delimiter = 0;
    if (text == NULL)
        return TY_EXIT_OK;
    if (strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0)
        *delimiter = '\t';
    else if (text[0] != '\0' && text[1] == '\0' && (unsigned char)text[0] < 0x80 &&
             strchr("\"\r\n", text[0]) == NULL)
        *delimiter = text[0];
    else
        return refuse("--delimiter", "one character of ASCII, no quote and no line end, or 'tab'");
    return TY_EXIT_OK;
}

static int check(const struct ty_import_options *options)
{
    if (options->no_header && options->columns == NULL)
        return refuse("--no-header", "needs --columns, which says what the columns are");
    if (!options->no_header && options->columns != NULL)
        return refuse("--columns",
                      "is for files without a header: add --no-header, or use --column "
                      "to rename some");
    return TY_EXIT_OK;
}

/* Reads what flags alone do not say, and imports. */
static int work(struct ty_import_options *options, const struct ty_arguments *files, int argc,
                char **given)
{
    static char *standard_input[] = {"-"};
    struct ty_csv_renames renames = {0};
    int code = check(options);

    options->input.files = files->count > 0 ? files->words : standard_input;
    options->input.file_count = files->count > 0 ? files->count : 1;
    options->input.renames = &renames;
    if (code == TY_EXIT_OK)
        code = read_delimiter(options->delimiter, &options->input.delimiter);
    if (code == TY_EXIT_OK)
        code = read_renames(argc, given, &renames);
    if (code == TY_EXIT_OK)
        code = ty_import(options);
    ty_csv_renames_fini(&renames);
    return code;
}

static int run(const struct ty_command *self, int argc, char **argv)
{
    struct ty_import_options options = {.batch = 1000, .parallel = 4, .retry_for_ms = 60000};
    char **given = calloc((size_t)argc, sizeof(*given));
    struct ty_arguments files;
    int code;

    if (given == NULL) {
        fputs("tally import: out of memory\n", stderr);
        return TY_EXIT_REFUSED;
    }
    memcpy(given, argv, (size_t)argc * sizeof(*given)); /* Parsing moves words to the front. */
    code = ty_flags_parse(self->flags, argc, argv, &options, &files);
    if (code == -1)
        code = work(&options, &files, argc, given);
    free(given);
    return code;
}

#define AT(member) .offset = offsetof(struct ty_import_options, member)

static const struct ty_flag flags[] = {
    TY_CLIENT_FLAGS,
    {.name = "format",
     .kind = TY_FLAG_CHOICE,
     .value = "FORMAT",
     .choices = formats,
     .help = "csv or ndjson (by the file's name: .csv, .tsv, .ndjson, .jsonl, and .gz behind it)",
     AT(format)},
    {.name = "delimiter",
     .kind = TY_FLAG_TEXT,
     .value = "CHAR",
     .help = "what parts the cells of CSV, or 'tab' (a comma; a tab for .tsv)",
     AT(delimiter)},
    {.name = "column",
     .kind = TY_FLAG_TEXT,
     .value = "NAME=FIELD",
     .help = "the CSV column NAME holds FIELD; NAME= ignores it. May be given several times, or "
             "hold several, parted by commas",
     AT(column)},
    {.name = "no-header",
     .kind = TY_FLAG_SWITCH,
     .help = "the first line of the CSV is a row already; needs --columns",
     AT(no_header)},
    {.name = "columns",
     .kind = TY_FLAG_TEXT,
     .value = "NAMES",
     .help = "the names of the columns, parted by commas, where there is no header",
     AT(columns)},
    {.name = "rejects",
     .kind = TY_FLAG_TEXT,
     .value = "FILE",
     .help = "write rejected lines to FILE, and why to FILE.reasons (the first 10 are shown)",
     AT(rejects)},
    {.name = "batch",
     .kind = TY_FLAG_COUNT,
     .value = "N",
     .min = 1,
     .max = 10000,
     .help = "events a request (1000)",
     AT(batch)},
    {.name = "parallel",
     .kind = TY_FLAG_COUNT,
     .value = "N",
     .min = 1,
     .max = TY_SENDER_PARALLEL_MAX,
     .help = "requests at the same time (4)",
     AT(parallel)},
    {.name = "retry-for",
     .kind = TY_FLAG_DURATION,
     .value = "TIME",
     .help = "how long to go on trying a batch that the server does not take (60s); 0s: not at all",
     AT(retry_for_ms)},
    {.name = "dry-run",
     .kind = TY_FLAG_SWITCH,
     .help = "check the events here, without a server; nothing is sent",
     AT(dry_run)},
    {.name = "quiet", .kind = TY_FLAG_SWITCH, .help = "no progress and no summary", AT(quiet)},
    {0},
};

const struct ty_command ty_command_import = {
    .name = "import",
    .summary = "usage events from files of CSV or NDJSON, each counted once",
    .usage = "[FLAG ...] [FILE ...]",
    .words = "FILE",
    .description =
        "Sends the events in the files ('-' or none: standard input) to the server, and\n"
        "says what became of them. Files may be compressed by gzip. If it is interrupted,\n"
        "run the same command again: ids that were stored count once, as duplicates.\n"
        "\n"
        "CSV is that of RFC 4180, in UTF-8, with a header. Its columns are called as the\n"
        "fields of an event: id, customer_id, workflow_id (required), time, credits,\n"
        "documents, pages, processing_ms, user_id. Other columns are ignored. An empty\n"
        "cell is an absent field. NDJSON is one event a line, as for POST /v1/events.\n",
    .flags = flags,
    .notes = "A line is rejected by itself; the others count. With --rejects, FILE gets the\n"
             "rejected lines as they were, CSV below its header. Correct them there, going by\n"
             "FILE.reasons (file, line, id, code, message), and import FILE. Both are written\n"
             "anew by every import, and stay empty if nothing was rejected.\n"
             "\n"
             "A batch that the server does not take now (429, 500, 503, 507, no answer) is\n"
             "sent again with the same ids. That, and an import that is repeated, is safe\n"
             "within the server's dedup window (35 days unless it was told otherwise). What\n"
             "a first try had stored before it was cut off counts as a duplicate. Requests\n"
             "that run in parallel may overtake each other: if an id has two contents,\n"
             "--parallel 1 lets the first one in the file win.\n"
             "\n"
             "--dry-run checks everything but what only a server knows: duplicates, id\n"
             "conflicts, and a --future other than 24 hours.\n"
             "\n"
             "  tally import usage.csv\n"
             "  tally import --rejects bad.csv usage-2023-*.csv.gz\n"
             "  tally import --delimiter ';' --column Kunde=customer_id,Kosten=credits a.csv\n"
             "  tally import --no-header --columns id,customer_id,workflow_id,,pages b.csv\n"
             "  zcat events.gz | tally import --format ndjson\n"
             "  tally import --dry-run usage.csv\n",
    .refused = "lines were rejected, the server refused a batch, or a file cannot be read",
    .run = run,
};
