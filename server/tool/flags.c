#include "server/tool/flags.h"

#include "engine/uuid.h"
#include "server/options.h"
#include "server/tool/command.h"
#include <stdlib.h>
#include <string.h>

#define LINE_COLUMNS 80
#define NAME_COLUMNS 22 /* a longer name has its help on the next line */
#define WORD_BYTES   64 /* longer words are no misspelt names */

struct parser {
    const struct ty_flag *flags;
    const char *command;
    char **argv;
    int argc;
    int at;
    bool flags_ended;
    void *options;
    bool given[TY_FLAGS_MAX];
};

/* --- Guesses --- */

/* The least number of characters to put in, take out or replace (Levenshtein, 1965), by rows. */
static size_t count_mistakes(const char *word, const char *name)
{
    size_t row[WORD_BYTES + 1], length = strlen(name);

    for (size_t i = 0; i <= length; i++)
        row[i] = i;
    for (size_t j = 1; word[j - 1] != '\0'; j++) {
        size_t diagonal = row[0];

        row[0] = j;
        for (size_t i = 1; i <= length; i++) {
            size_t replaced = diagonal + (word[j - 1] != name[i - 1]);

            diagonal = row[i];
            row[i] = TY_MIN(replaced, TY_MIN(row[i], row[i - 1]) + 1);
        }
    }
    return row[length];
}

const char *ty_flags_guess(const char *word, const char *const *names)
{
    size_t length = strlen(word), fewest = length / 3 + 1;
    const char *guess = NULL;

    if (length > WORD_BYTES)
        return NULL;
    for (; *names != NULL; names++) {
        size_t mistakes = strlen(*names) <= WORD_BYTES ? count_mistakes(word, *names) : SIZE_MAX;

        /* A name with not one letter in common is no guess, however short. */
        if (mistakes > fewest || mistakes >= TY_MAX(length, strlen(*names)))
            continue;
        if (guess == NULL || mistakes < fewest)
            guess = *names;
        fewest = mistakes;
    }
    return guess;
}

/* --- Messages --- */

static int try_help(const struct parser *parser)
{
    fprintf(stderr, "Try 'tally help %s'.\n", parser->command);
    return TY_EXIT_USAGE;
}

static int refuse_unknown(const struct parser *parser, const char *name, size_t length)
{
    const char *names[TY_FLAGS_MAX + 2] = {"help"}, *guess;
    char word[WORD_BYTES + 1];

    for (size_t i = 0; parser->flags[i].name != NULL; i++)
        names[i + 1] = parser->flags[i].name;
    snprintf(word, sizeof(word), "%.*s", (int)TY_MIN(length, (size_t)WORD_BYTES), name);
    guess = ty_flags_guess(word, names);
    fprintf(stderr, "tally %s: there is no flag --%.*s", parser->command, (int)length, name);
    if (guess != NULL)
        fprintf(stderr, "; did you mean --%s?", guess);
    fputc('\n', stderr);
    return try_help(parser);
}

static int refuse_ambiguous(const struct parser *parser, const char *name, size_t length)
{
    fprintf(stderr, "tally %s: --%.*s may be", parser->command, (int)length, name);
    for (const struct ty_flag *flag = parser->flags; flag->name != NULL; flag++)
        if (strncmp(flag->name, name, length) == 0)
            fprintf(stderr, " --%s", flag->name);
    fputs("; write more of it\n", stderr);
    return try_help(parser);
}

static void print_number_bounds(const struct ty_flag *flag)
{
    if (flag->max != 0)
        fprintf(stderr, " from %llu to %llu", (unsigned long long)flag->min,
                (unsigned long long)flag->max);
    else if (flag->min != 0)
        fprintf(stderr, ", at least %llu", (unsigned long long)flag->min);
}

static void print_allowed(const struct ty_flag *flag)
{
    switch (flag->kind) {
    case TY_FLAG_UUID:
        fputs("a UUID such as d04270a6-6316-4d4b-b2c5-bff0ff515908", stderr);
        break;
    case TY_FLAG_COUNT:
        fputs("a whole number", stderr);
        print_number_bounds(flag);
        break;
    case TY_FLAG_DURATION:
        fputs("a time such as 500ms, 90s, 15m, 24h or 35d", stderr);
        if (flag->max != 0 || flag->min != 0) {
            print_number_bounds(flag);
            fputs(" milliseconds", stderr);
        }
        break;
    case TY_FLAG_SIZE:
        fputs("a size in bytes or with KiB, MiB or GiB, such as 64MiB", stderr);
        if (flag->max != 0 || flag->min != 0) {
            print_number_bounds(flag);
            fputs(" bytes", stderr);
        }
        break;
    case TY_FLAG_CHOICE:
        fputs("one of", stderr);
        for (const char *const *choice = flag->choices; *choice != NULL; choice++)
            fprintf(stderr, "%s %s", choice == flag->choices ? "" : ",", *choice);
        break;
    default:
        fputs("a text", stderr);
        break;
    }
}

static int refuse_value(const struct parser *parser, const struct ty_flag *flag, const char *text,
                        bool from_variable)
{
    fprintf(stderr, "tally %s: ", parser->command);
    if (from_variable)
        fprintf(stderr, "the variable %s, which stands in for --%s,", flag->variable, flag->name);
    else
        fprintf(stderr, "--%s", flag->name);
    fprintf(stderr, " is '%s', and must be ", text);
    print_allowed(flag);
    fputc('\n', stderr);
    return try_help(parser);
}

static int refuse_word(const struct parser *parser, const char *word)
{
    fprintf(stderr, "tally %s: what is meant by '%s'? ", parser->command, word);
    if (word[0] == '-' && word[1] != '\0')
        fputs("Every flag begins with two dashes\n", stderr);
    else
        fputs("It takes flags only\n", stderr);
    return try_help(parser);
}

/* --- Values --- */

static bool is_within(const struct ty_flag *flag, uint64_t value)
{
    return value >= flag->min && (flag->max == 0 || value <= flag->max);
}

static bool parse_count(const char *text, uint64_t *value)
{
    const char *at = text;

    for (*value = 0; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, (uint64_t)(*at - '0'), value))
            return false;
    return at != text && *at == '\0';
}

static bool is_choice(const struct ty_flag *flag, const char *text)
{
    for (const char *const *choice = flag->choices; *choice != NULL; choice++)
        if (strcmp(*choice, text) == 0)
            return true;
    return false;
}

/* Puts a value into the options; false, with nothing changed, when it is not allowed. */
static bool set_value(void *options, const struct ty_flag *flag, const char *text)
{
    void *member = (char *)options + flag->offset;
    struct ty_uuid uuid;
    uint64_t number;
    int64_t ms;

    switch (flag->kind) {
    case TY_FLAG_SWITCH:
        *(bool *)member = true;
        return true;
    case TY_FLAG_COUNT:
    case TY_FLAG_SIZE:
        if (!(flag->kind == TY_FLAG_COUNT ? parse_count(text, &number)
                                          : ty_options_size(text, &number)) ||
            !is_within(flag, number))
            return false;
        *(uint64_t *)member = number;
        return true;
    case TY_FLAG_DURATION:
        if (!ty_options_duration(text, &ms) || !is_within(flag, (uint64_t)ms))
            return false;
        *(int64_t *)member = ms;
        return true;
    case TY_FLAG_UUID:
        if (!ty_uuid_parse(text, strlen(text), &uuid))
            return false;
        break;
    case TY_FLAG_CHOICE:
        if (!is_choice(flag, text))
            return false;
        break;
    case TY_FLAG_TEXT:
        break;
    }
    *(const char **)member = text;
    return true;
}

/* --- The command line --- */

/* The flag with this name, or the only one that begins so; else NULL with the code in *code. */
static const struct ty_flag *find_flag(const struct parser *parser, const char *name, size_t length,
                                       int *code)
{
    const struct ty_flag *found = NULL;
    size_t count = 0;

    for (const struct ty_flag *flag = parser->flags; flag->name != NULL; flag++) {
        if (strncmp(flag->name, name, length) != 0)
            continue;
        if (flag->name[length] == '\0')
            return flag;
        found = flag;
        count++;
    }
    if (count == 1 && length > 0)
        return found;
    *code = count > 1 && length > 0 ? refuse_ambiguous(parser, name, length)
                                    : refuse_unknown(parser, name, length);
    return NULL;
}

/* The value of a flag that needs one and has none behind "=": the next argument. */
static const char *next_value(struct parser *parser, const struct ty_flag *flag)
{
    const char *next = parser->at + 1 < parser->argc ? parser->argv[parser->at + 1] : NULL;

    if (next != NULL && strncmp(next, "--", 2) != 0) {
        parser->at++;
        return next;
    }
    fprintf(stderr, "tally %s: --%s needs a value: --%s %s\n", parser->command, flag->name,
            flag->name, flag->value);
    if (next != NULL)
        fprintf(stderr, "If '%s' is that value, write --%s=%s.\n", next, flag->name, next);
    return NULL;
}

static int parse_flag(struct parser *parser, const char *name)
{
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    int code = TY_EXIT_USAGE;
    const struct ty_flag *flag = find_flag(parser, name, length, &code);

    if (flag == NULL)
        return code;
    if (flag->kind == TY_FLAG_SWITCH && value != NULL) {
        fprintf(stderr, "tally %s: --%s takes no value, and '%s' was given\n", parser->command,
                flag->name, value);
        return try_help(parser);
    }
    if (flag->kind != TY_FLAG_SWITCH && value == NULL) {
        value = flag->implied != NULL ? flag->implied : next_value(parser, flag);
        if (value == NULL)
            return try_help(parser);
    }
    if (!set_value(parser->options, flag, value))
        return refuse_value(parser, flag, value, false);
    parser->given[flag - parser->flags] = true;
    return -1;
}

/* Words are moved to the front of argv, where flags were read from already. */
static int parse_argument(struct parser *parser, struct ty_arguments *arguments)
{
    char *argument = parser->argv[parser->at];

    if (!parser->flags_ended && strcmp(argument, "--") == 0) {
        parser->flags_ended = true;
        return -1;
    }
    if (!parser->flags_ended && (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0))
        return TY_EXIT_HELP;
    if (!parser->flags_ended && strncmp(argument, "--", 2) == 0)
        return parse_flag(parser, argument + 2);
    if (arguments == NULL || (!parser->flags_ended && argument[0] == '-' && argument[1] != '\0'))
        return refuse_word(parser, argument);
    arguments->words[arguments->count++] = argument;
    return -1;
}

static int use_variables(struct parser *parser)
{
    for (size_t i = 0; parser->flags[i].name != NULL; i++) {
        const struct ty_flag *flag = &parser->flags[i];
        const char *value = flag->variable != NULL ? getenv(flag->variable) : NULL;

        if (parser->given[i] || value == NULL || *value == '\0')
            continue;
        if (!set_value(parser->options, flag, value))
            return refuse_value(parser, flag, value, true);
        parser->given[i] = true;
    }
    return -1;
}

static int check_required(const struct parser *parser)
{
    size_t missing = 0;

    for (size_t i = 0; parser->flags[i].name != NULL; i++) {
        const struct ty_flag *flag = &parser->flags[i];

        if (!flag->required || parser->given[i])
            continue;
        if (missing++ == 0)
            fprintf(stderr, "tally %s: it needs", parser->command);
        fprintf(stderr, "%s --%s %s", missing == 1 ? "" : ",", flag->name, flag->value);
    }
    if (missing == 0)
        return -1;
    fputc('\n', stderr);
    return try_help(parser);
}

int ty_flags_parse(const struct ty_flag *flags, int argc, char **argv, void *options,
                   struct ty_arguments *arguments)
{
    struct parser parser = {
        .flags = flags, .command = argv[0], .argv = argv, .argc = argc, .options = options};
    int code = -1;

    if (arguments != NULL)
        *arguments = (struct ty_arguments){.words = argv + 1};
    for (parser.at = 1; parser.at < argc && code == -1; parser.at++)
        code = parse_argument(&parser, arguments);
    if (code == -1)
        code = use_variables(&parser);
    if (code == -1)
        code = check_required(&parser);
    return code;
}

/* --- Help --- */

/* Writes a phrase from the current column on, broken between words, each new line indented. */
static void print_wrapped(FILE *file, const char *text, int indent)
{
    int column = indent;

    while (*text != '\0') {
        int length = (int)strcspn(text, " ");

        if (column > indent && column + 1 + length > LINE_COLUMNS) {
            fprintf(file, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', file);
            column++;
        }
        fprintf(file, "%.*s", length, text);
        column += length;
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', file);
}

void ty_flags_describe(const struct ty_flag *flag, char text[TY_FLAGS_DESCRIPTION_BYTES])
{
    const char *format = flag->kind == TY_FLAG_SWITCH ? "--%s"
                         : flag->implied != NULL      ? "--%s[=%s]"
                                                      : "--%s %s";

    snprintf(text, TY_FLAGS_DESCRIPTION_BYTES, format, flag->name, flag->value);
}

void ty_flags_print_entry(const char *name, const char *help, int width, FILE *file)
{
    fprintf(file, "  %-*s", width, name);
    if ((int)strlen(name) > width)
        fprintf(file, "\n%*s", width + 2, "");
    fputs("  ", file);
    print_wrapped(file, help, width + 4);
}

void ty_flags_print_help(const struct ty_flag *flags, FILE *file)
{
    char name[TY_FLAGS_DESCRIPTION_BYTES];
    int width = (int)strlen("-h, --help");

    for (const struct ty_flag *flag = flags; flag->name != NULL; flag++) {
        ty_flags_describe(flag, name);
        if (strlen(name) <= NAME_COLUMNS)
            width = TY_MAX(width, (int)strlen(name));
    }
    for (const struct ty_flag *flag = flags; flag->name != NULL; flag++) {
        char help[512];

        ty_flags_describe(flag, name);
        snprintf(help, sizeof(help), "%s%s%s", flag->help,
                 flag->variable != NULL ? "; else the variable " : "",
                 flag->variable != NULL ? flag->variable : "");
        ty_flags_print_entry(name, help, width, file);
    }
    ty_flags_print_entry("-h, --help", "this page", width, file);
}
