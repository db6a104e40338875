#include "server/tool/manual.h"

#include <string.h>

#define PAGE_COLUMNS 80
#define ROFF_COLUMNS 78
#define TEXT_BYTES   512 /* of a flag's help */

/* --- Text --- */

/* Text as roff takes it: with backslashes and the dashes of flags escaped. */
static void print_roff_text(const char *text, size_t length, FILE *file)
{
    bool flag = true; /* A dash here is one of a flag, no hyphen. */

    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\\')
            fputs("\\e", file);
        else if (text[i] == '-' && flag)
            fputs("\\-", file);
        else
            fputc(text[i], file);
        flag = (flag && text[i] == '-') || strchr(" '(", text[i]) != NULL;
    }
}

/* A line of its own; nothing at its begin is taken for a request. */
static void print_roff_line(const char *text, size_t length, FILE *file)
{
    if (length > 0 && (text[0] == '.' || text[0] == '\''))
        fputs("\\&", file);
    print_roff_text(text, length, file);
    fputc('\n', file);
}

static void print_word(const char *word, size_t length, bool roff, bool begins_line, FILE *file)
{
    if (!roff) {
        fwrite(word, 1, length, file);
        return;
    }
    if (begins_line && (word[0] == '.' || word[0] == '\''))
        fputs("\\&", file);
    print_roff_text(word, length, file);
}

static bool ends_sentence(const char *word, size_t length)
{
    return length > 1 && strchr(".?!", word[length - 1]) != NULL;
}

/* A paragraph, filled anew. In roff a sentence begins on a line of its own (mdoc(7)). Returns its
 * end, behind its last line. */
static const char *fill_paragraph(const char *text, bool roff, FILE *file)
{
    size_t column = 0;

    while (*text != '\0' && *text != '\n' && *text != ' ') {
        size_t length = strcspn(text, " \n");

        if (column > 0 && column + 1 + length > (roff ? ROFF_COLUMNS : PAGE_COLUMNS)) {
            fputc('\n', file);
            column = 0;
        }
        if (column > 0)
            fputc(' ', file);
        print_word(text, length, roff, column == 0, file);
        column += length + (column > 0);
        if (roff && ends_sentence(text, length)) {
            fputc('\n', file);
            column = 0;
        }
        text += length;
        text += *text == '\n' ? 1 : strspn(text, " ");
    }
    if (column > 0)
        fputc('\n', file);
    return text;
}

/* --- Help --- */

void ty_manual_print_exit_codes(const struct ty_command *command, FILE *file)
{
    const char *refused = command != NULL ? command->refused : NULL;

    fputs("Exit codes:\n", file);
    ty_flags_print_entry("0", "done", 1, file);
    ty_flags_print_entry(
        "1", refused != NULL ? refused : "the server refused; its reasons are printed", 1, file);
    ty_flags_print_entry("2", "the command line is wrong", 1, file);
    ty_flags_print_entry("3", "no answer from the server, or the data directory cannot be opened",
                         1, file);
}

/* Paragraphs filled anew, examples as they stand. */
static void print_prose(const char *text, FILE *file)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");

        if (length > 0 && *text != ' ') {
            text = fill_paragraph(text, false, file);
            continue;
        }
        fprintf(file, "%.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

void ty_manual_print_page(const struct ty_command *command, FILE *file)
{
    fprintf(file, "tally %s %s\n\n", command->name, command->usage);
    print_prose(command->description, file);
    fputc('\n', file);
    ty_flags_print_help(command->flags, file);
    if (command->notes != NULL) {
        fputc('\n', file);
        print_prose(command->notes, file);
    }
    fputc('\n', file);
    ty_manual_print_exit_codes(command, file);
}

/* --- mdoc --- */

/* Lines as they stand, up to one that does not begin with a space. Returns its begin. */
static const char *print_roff_display(const char *text, FILE *file)
{
    size_t blank = 0;

    fputs(".Bd -literal -offset indent\n", file);
    while (*text == ' ' || *text == '\n') {
        size_t length = strcspn(text, "\n");

        for (; length > 0 && blank > 0; blank--)
            fputc('\n', file);
        if (length > 0)
            print_roff_line(text, length, file);
        else
            blank++;
        text += length + (text[length] == '\n');
    }
    fputs(".Ed\n", file);
    return text;
}

static void print_roff(const char *text, FILE *file)
{
    for (bool first = true; *text != '\0'; first = false) {
        bool display = *text == ' ';

        if (!first && !display)
            fputs(".Pp\n", file);
        text = display ? print_roff_display(text, file) : fill_paragraph(text, true, file);
        text += strspn(text, "\n");
    }
}

static void print_roff_flag(const struct ty_flag *flag, FILE *file)
{
    char help[TEXT_BYTES];

    fprintf(file, ".It Fl Fl %s", flag->name);
    if (flag->kind != TY_FLAG_SWITCH)
        fprintf(file, flag->implied != NULL ? " Ns Oo = Ns Ar \\&%s Oc" : " Ar \\&%s", flag->value);
    fputc('\n', file);
    snprintf(help, sizeof(help), "%s%s", flag->help,
             flag->variable != NULL ? "; else the variable" : "");
    fill_paragraph(help, true, file);
    if (flag->variable != NULL)
        fprintf(file, ".Ev %s\n", flag->variable);
}

void ty_manual_print_mdoc(const struct ty_command *command, FILE *file)
{
    fprintf(file, ".Ss tally %s\n.Bd -ragged -offset indent\n.Nm\n.Cm %s\n", command->name,
            command->name);
    fill_paragraph(command->usage, true, file);
    fputs(".Ed\n.Pp\n", file);
    print_roff(command->description, file);
    fputs(".Bl -tag -width Ds\n", file);
    for (const struct ty_flag *flag = command->flags; flag->name != NULL; flag++)
        print_roff_flag(flag, file);
    fputs(".El\n", file);
    if (command->notes != NULL) {
        fputs(".Pp\n", file);
        print_roff(command->notes, file);
    }
    if (command->refused != NULL) {
        fputs(".Pp\nExit code 1 means here:\n", file);
        fill_paragraph(command->refused, true, file);
    }
}

/* --- Completion --- */

void ty_manual_print_words(const struct ty_command *command, FILE *file)
{
    if (command->words != NULL)
        fprintf(file, "- %s\n", command->words);
    for (const struct ty_flag *flag = command->flags; flag->name != NULL; flag++) {
        fprintf(file, "--%s", flag->name);
        if (flag->kind == TY_FLAG_CHOICE) {
            fputs(" =", file);
            for (const char *const *choice = flag->choices; *choice != NULL; choice++)
                fprintf(file, " %s", *choice);
        } else if (flag->kind != TY_FLAG_SWITCH && flag->implied == NULL) {
            bool path = strcmp(flag->value, "FILE") == 0 || strcmp(flag->value, "DIR") == 0;

            fprintf(file, " %s", path ? flag->value : "?");
        }
        fputc('\n', file);
    }
    fputs("--help\n", file);
}
