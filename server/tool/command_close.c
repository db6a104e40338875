/* `tally close`: a customer's months were billed; what changes in them from now on is a revision.
 */
#include "server/tool/answer.h"
#include "server/tool/command.h"
#include "server/tool/terminal.h"
#include <stdio.h>
#include <stdlib.h>

struct close_options {
    struct ty_client_options client;
    const char *customer; /* a well-formed UUID */
    const char *through;
    bool json;
};

static int print(struct ty_client *client, const struct close_options *options,
                 const struct ty_http_answer *answer)
{
    json_t *document;

    if (options->json) {
        ty_answer_print_json(answer);
        return TY_EXIT_OK;
    }
    document = ty_answer_parse(client, answer);
    if (document == NULL)
        return TY_EXIT_REFUSED;
    printf("customer %s is closed through ", options->customer);
    ty_terminal_print_text(stdout, ty_answer_text(document, "closed_through", "?"));
    fputs(", since ", stdout);
    ty_terminal_print_text(stdout, ty_answer_text(document, "closed_at", "?"));
    putchar('\n');
    json_decref(document);
    return TY_EXIT_OK;
}

/* The month is left to the server, which says what is allowed. NULL: no memory. */
static char *path_of(const struct close_options *options)
{
    char *month = ty_http_escape(options->through), *path = NULL;

    if (month == NULL ||
        asprintf(&path, "/v1/customers/%s/close?through=%s", options->customer, month) < 0) {
        fputs("tally: out of memory\n", stderr);
        path = NULL;
    }
    free(month);
    return path;
}

static int close_months(struct ty_client *client, const struct close_options *options)
{
    struct ty_http_answer answer;
    char *path = path_of(options);
    int code;

    if (path == NULL)
        return TY_EXIT_REFUSED;
    code = ty_client_post(client, path, &answer);
    free(path);
    if (code != TY_EXIT_OK)
        return code;
    if (answer.status == 200) {
        code = print(client, options, &answer);
    } else {
        ty_answer_print_problem(client, &answer);
        code = TY_EXIT_REFUSED;
    }
    ty_http_fini(&answer);
    return code;
}

static int run(const struct ty_command *self, int argc, char **argv)
{
    struct close_options options = {0};
    struct ty_client *client;
    int code = ty_flags_parse(self->flags, argc, argv, &options, NULL);

    if (code != -1)
        return code;
    code = ty_client_open(&options.client, &client);
    if (code != TY_EXIT_OK)
        return code;
    code = close_months(client, &options);
    ty_client_close(client);
    return code;
}

#define AT(member) .offset = offsetof(struct close_options, member)

static const struct ty_flag flags[] = {
    {.name = "customer",
     .kind = TY_FLAG_UUID,
     .value = "UUID",
     .help = "who was billed",
     .required = true,
     AT(customer)},
    {.name = "through",
     .kind = TY_FLAG_TEXT,
     .value = "MONTH",
     .help = "the last month that is to be closed, such as 2023-01; it must have ended, in UTC",
     .required = true,
     AT(through)},
    {.name = "json", .kind = TY_FLAG_SWITCH, .help = "the server's answer as it came", AT(json)},
    TY_CLIENT_FLAGS,
    {0}};

const struct ty_command ty_command_close = {
    .name = "close",
    .summary = "closes a customer's months that were billed",
    .usage = "--customer UUID --through MONTH [FLAG ...]",
    .description =
        "Closes all months of a customer up to and including one of them, of all its\n"
        "workflows, those included that are used later. Nothing is refused because of\n"
        "that: events and voids of closed months count as ever. What they change is listed\n"
        "by 'tally revisions', so that the next invoice can correct the one before.\n"
        "\n"
        "Closed months stay closed. To close through the same month again changes\n"
        "nothing, and is a success.\n",
    .flags = flags,
    .notes = "When January has been billed, and what still came for it, a month later:\n"
             "\n"
             "  customer=d04270a6-6316-4d4b-b2c5-bff0ff515908\n"
             "  tally close --customer $customer --through 2023-01\n"
             "  tally revisions --customer $customer\n",
    .run = run,
};
