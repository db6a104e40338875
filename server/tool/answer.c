#include "server/tool/answer.h"

#include "server/tool/command.h"
#include "server/tool/exact_json.h"
#include "server/tool/terminal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Prints a location such as ["query","start"] as "query.start"; the value may be anything. */
static void print_location(json_t *location)
{
    size_t index;
    json_t *part;

    json_array_foreach(location, index, part)
    {
        if (index > 0)
            fputc('.', stderr);
        ty_terminal_print_text(stderr, json_is_string(part) ? json_string_value(part) : "?");
    }
}

static void print_errors(json_t *errors)
{
    size_t index;
    json_t *error;

    json_array_foreach(errors, index, error)
    {
        const char *message = json_string_value(json_object_get(error, "msg"));

        fputs("  ", stderr);
        print_location(json_object_get(error, "loc"));
        fputs(": ", stderr);
        ty_terminal_print_text(stderr, message != NULL ? message : "(no message)");
        fputc('\n', stderr);
    }
}

void ty_answer_print_problem(struct ty_client *client, const struct ty_http_answer *answer)
{
    char error[TY_EXACT_JSON_ERROR_BYTES];
    json_t *problem =
        ty_exact_json_parse(answer->body != NULL ? answer->body : "", answer->length, error);
    const char *title = json_string_value(json_object_get(problem, "title"));
    const char *detail = json_string_value(json_object_get(problem, "detail"));

    fprintf(stderr, "tally: %s answered %ld", ty_client_name(client), answer->status);
    if (title != NULL) {
        fputc(' ', stderr);
        ty_terminal_print_text(stderr, title);
    }
    if (detail != NULL) {
        fputs(": ", stderr);
        ty_terminal_print_text(stderr, detail);
    }
    fputs(title == NULL && detail == NULL ? " (is this a Tally server?)\n" : "\n", stderr);
    print_errors(json_object_get(problem, "errors"));
    json_decref(problem);
}

static const char *cell_text(json_t *value)
{
    if (json_is_null(value))
        return "";
    return json_string_value(value);
}

/* Fills rows->cells from rows->document; NULL, or what is wrong with the document. */
static const char *fill_rows(const char *const *fields, size_t field_count,
                             struct ty_answer_rows *rows)
{
    size_t index;
    json_t *row;

    if (!json_is_array(rows->document))
        return "not an array";
    rows->row_count = json_array_size(rows->document);
    rows->cells = calloc(rows->row_count * field_count + 1, sizeof(*rows->cells));
    if (rows->cells == NULL)
        return "out of memory";
    json_array_foreach(rows->document, index, row)
    {
        for (size_t field = 0; field < field_count; field++) {
            const char *text = cell_text(json_object_get(row, fields[field]));

            if (text == NULL)
                return fields[field];
            rows->cells[index * field_count + field] = text;
        }
    }
    return NULL;
}

static void print_no_tally(struct ty_client *client, const char *wrong)
{
    fprintf(stderr, "tally: %s did not answer as a Tally server does: %s\n", ty_client_name(client),
            wrong);
}

json_t *ty_answer_parse(struct ty_client *client, const struct ty_http_answer *answer)
{
    char error[TY_EXACT_JSON_ERROR_BYTES];
    json_t *document =
        ty_exact_json_parse(answer->body != NULL ? answer->body : "", answer->length, error);

    if (document == NULL)
        print_no_tally(client, error);
    return document;
}

static int read_rows(struct ty_client *client, const struct ty_http_answer *answer,
                     const char *const *fields, size_t field_count, struct ty_answer_rows *rows)
{
    char text[TY_EXACT_JSON_ERROR_BYTES];
    const char *wrong;

    rows->document = ty_answer_parse(client, answer);
    if (rows->document == NULL)
        return TY_EXIT_REFUSED;
    wrong = fill_rows(fields, field_count, rows);
    if (wrong == NULL)
        return TY_EXIT_OK;
    if (rows->cells != NULL) {
        snprintf(text, sizeof(text), "a row without a fit \"%s\"", wrong);
        wrong = text;
    }
    print_no_tally(client, wrong);
    ty_answer_fini(rows);
    return TY_EXIT_REFUSED;
}

int ty_answer_get(struct ty_client *client, const char *path, struct ty_http_answer *answer)
{
    int code = ty_client_get(client, path, answer);

    if (code != TY_EXIT_OK || answer->status == 200)
        return code;
    ty_answer_print_problem(client, answer);
    ty_http_fini(answer);
    return TY_EXIT_REFUSED;
}

int ty_answer_fetch(struct ty_client *client, const char *path, const char *const *fields,
                    size_t field_count, struct ty_http_answer *answer, struct ty_answer_rows *rows)
{
    int code;

    memset(rows, 0, sizeof(*rows));
    code = ty_answer_get(client, path, answer);
    if (code != TY_EXIT_OK)
        return code;
    code = read_rows(client, answer, fields, field_count, rows);
    if (code != TY_EXIT_OK)
        ty_http_fini(answer);
    return code;
}

const char *ty_answer_text(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : otherwise;
}

void ty_answer_fini(struct ty_answer_rows *rows)
{
    free(rows->cells);
    json_decref(rows->document);
    memset(rows, 0, sizeof(*rows));
}

void ty_answer_print_json(const struct ty_http_answer *answer)
{
    fwrite(answer->body, 1, answer->length, stdout);
    if (answer->length > 0 && answer->body[answer->length - 1] != '\n')
        fputc('\n', stdout);
}

static int ask(struct ty_client *client, const struct ty_query_options *options,
               const struct ty_answer_view *view)
{
    size_t column_count = options->extended ? view->extended_count : view->plain_count;
    struct ty_http_answer answer;
    struct ty_answer_rows rows;
    char *path = ty_query_path(options);
    int code;

    if (path == NULL)
        return TY_EXIT_REFUSED;
    code = ty_answer_fetch(client, path, view->fields, column_count, &answer, &rows);
    free(path);
    if (code != TY_EXIT_OK)
        return code;
    view->print(options, &answer, &rows, column_count);
    ty_answer_fini(&rows);
    ty_http_fini(&answer);
    return TY_EXIT_OK;
}

int ty_answer_run(const struct ty_command *command, int argc, char **argv,
                  struct ty_query_options *options, const struct ty_answer_view *view)
{
    struct ty_client *client;
    int code = ty_query_parse(command->flags, argc, argv, options);

    if (code != -1)
        return code;
    code = ty_client_open(&options->client, &client);
    if (code != TY_EXIT_OK)
        return code;
    code = ask(client, options, view);
    ty_client_close(client);
    return code;
}
