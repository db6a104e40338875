/*
 * export_usage.c: the rollups of all workflows of a customer, a row for each workflow and period.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/uuid.h"
#include "server/tool/answer.h"
#include "server/tool/command.h"
#include "server/tool/export.h"
#include "server/tool/export_output.h"

#define PLAIN_FIELDS    2
#define EXTENDED_FIELDS 5

static const char *const fields[EXTENDED_FIELDS] = {
    "date", "processed_credits", "num_documents", "num_pages", "average_time_per_page",
};
static const char *const list_fields[] = {"workflow_id"};

struct usage_export {
    const struct ty_export_options *options;
    struct ty_client *client;
    struct ty_export_output output;
    bool csv;
    size_t field_count;
};

static void write_csv_head(struct usage_export *export)
{
    ty_buffer_append_text(&export->output.text, "customer_id,workflow_id");
    for (size_t i = 0; i < export->field_count; i++)
        ty_buffer_append_format(&export->output.text, ",%s", fields[i]);
    ty_buffer_append_char(&export->output.text, '\n');
}

static void write_csv_row(struct usage_export *export, const char *workflow,
                          const char *const *cells)
{
    struct ty_buffer *text = &export->output.text;

    ty_buffer_append_format(text, "%s,%s,", export->options->query.customer, workflow);
    for (size_t i = 0; i < export->field_count; i++)
        ty_export_csv_cell(text, cells[i], i + 1 < export->field_count ? ',' : '\n');
}

/* The cells are the server's own digits; an average that there is none of is empty. */
static void write_json_row(struct usage_export *export, const char *workflow,
                           const char *const *cells)
{
    struct ty_buffer *text = &export->output.text;

    ty_buffer_append_format(text, "{\"customer_id\":\"%s\",\"workflow_id\":\"%s\",\"date\":",
                            export->options->query.customer, workflow);
    ty_buffer_append_json(text, (struct ty_text){cells[0], strlen(cells[0])});
    for (size_t i = 1; i < export->field_count; i++)
        ty_buffer_append_format(text, ",\"%s\":%s", fields[i],
                                *cells[i] == '\0' ? "null" : cells[i]);
    ty_buffer_append_text(text, "}\n");
}

/* What a server says must not become another path. */
static bool is_uuid(const struct usage_export *export, const char *text)
{
    struct ty_uuid uuid;

    if (ty_uuid_parse(text, strlen(text), &uuid))
        return true;
    fprintf(stderr,
            "tally export: %s did not answer as a Tally server does: a workflow_id is no "
            "UUID\n",
            ty_client_name(export->client));
    return false;
}

static int export_workflow(struct usage_export *export, const char *workflow)
{
    struct ty_query_options query = export->options->query;
    struct ty_http_answer answer;
    struct ty_answer_rows rows;
    char *path;
    int code;

    if (!is_uuid(export, workflow))
        return TY_EXIT_REFUSED;
    query.workflow = workflow;
    path = ty_query_path(&query);
    if (path == NULL)
        return TY_EXIT_REFUSED;
    code = ty_answer_fetch(export->client, path, fields, export->field_count, &answer, &rows);
    free(path);
    if (code != TY_EXIT_OK)
        return code;
    for (size_t i = 0; i < rows.row_count; i++)
        (export->csv ? write_csv_row : write_json_row)(export, workflow,
                                                       rows.cells + i * export->field_count);
    ty_answer_fini(&rows);
    ty_http_fini(&answer);
    return ty_export_output_flush(&export->output) ? TY_EXIT_OK : TY_EXIT_REFUSED;
}

static int export_all(struct usage_export *export)
{
    char *path = ty_query_path(&export->options->query);
    struct ty_http_answer answer;
    struct ty_answer_rows list;
    int code;

    if (path == NULL)
        return TY_EXIT_REFUSED;
    code = ty_answer_fetch(export->client, path, list_fields, 1, &answer, &list);
    free(path);
    if (code != TY_EXIT_OK)
        return code;
    for (size_t i = 0; i < list.row_count && code == TY_EXIT_OK; i++)
        code = export_workflow(export, list.cells[i]);
    ty_answer_fini(&list);
    ty_http_fini(&answer);
    return code;
}

int ty_export_usage(const struct ty_export_options *options)
{
    struct usage_export export = {
        .options = options,
        .csv = strcmp(options->format, "csv") == 0,
        .field_count = options->query.extended ? EXTENDED_FIELDS : PLAIN_FIELDS,
    };
    int code = ty_client_open(&options->query.client, &export.client);

    if (code != TY_EXIT_OK)
        return code;
    code = TY_EXIT_REFUSED;
    if (ty_export_output_open(&export.output, options->output)) {
        if (export.csv)
            write_csv_head(&export);
        code = options->query.workflow != NULL ? export_workflow(&export, options->query.workflow)
                                               : export_all(&export);
        if (code == TY_EXIT_OK && !ty_export_output_commit(&export.output))
            code = TY_EXIT_REFUSED;
        ty_export_output_abort(&export.output);
    }
    ty_client_close(export.client);
    if (export.output.closed)
        ty_export_end_by_closed_pipe();
    return code;
}
