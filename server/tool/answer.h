/*
 * answer.h: a server's answer as rows of text, or its refusal as a message.
 *
 * Threads: the program has one.
 */
#ifndef TY_SERVER_TOOL_ANSWER_H
#define TY_SERVER_TOOL_ANSWER_H

#include "server/tool/command.h"
#include "server/tool/query_path.h"
#include <jansson.h>

/*
 * Rows of a JSON array of objects: one text a field, row by row; "" for null. Numbers are the
 * server's own digits (exact_json.h). Free it with ty_answer_fini().
 */
struct ty_answer_rows {
    const char **cells;
    size_t row_count;
    json_t *document; /* what the cells point into */
};

/*
 * ty_answer_get asks for `path` and takes no answer but 200.
 *
 * Returns TY_EXIT_OK with *answer filled, for the caller to free. Otherwise it is empty, a message
 * is on stderr, and the exit code is returned: TY_EXIT_REFUSED when the server refused (its problem
 * document, RFC 9457, is printed with its list of errors), or what ty_client_get() returned.
 */
int ty_answer_get(struct ty_client *client, const char *path, struct ty_http_answer *answer);

/* ty_answer_print_problem says on stderr that an answer was a refusal, and why. */
void ty_answer_print_problem(struct ty_client *client, const struct ty_http_answer *answer);

/*
 * ty_answer_fetch asks for `path` and reads its rows, `fields` naming the columns.
 *
 * Returns TY_EXIT_OK with *answer and *rows filled, for the caller to free. Otherwise both are
 * empty, a message is on stderr, and the exit code is returned: as ty_answer_get() does, or
 * TY_EXIT_REFUSED when the server did not answer as a Tally server does.
 */
int ty_answer_fetch(struct ty_client *client, const char *path, const char *const *fields,
                    size_t field_count, struct ty_http_answer *answer, struct ty_answer_rows *rows);

/* ty_answer_parse reads a whole answer as JSON whose numbers are texts (exact_json.h). NULL after a
 * message on stderr; otherwise for the caller to release with json_decref(). */
json_t *ty_answer_parse(struct ty_client *client, const struct ty_http_answer *answer);

/* ty_answer_text is the text that a member of an answer has, or `otherwise` where it is missing or
 * no text. */
const char *ty_answer_text(const json_t *object, const char *name, const char *otherwise);

/* Frees what the rows hold and zeroes them; does nothing to zeroed ones. */
void ty_answer_fini(struct ty_answer_rows *rows);

/* ty_answer_print_json writes the body as it came, ended by a newline. */
void ty_answer_print_json(const struct ty_http_answer *answer);

/* What a command of rollups asks for and how it shows it. */
struct ty_answer_view {
    const char *const *fields; /* the columns */
    size_t plain_count;        /* how many of them there are */
    size_t extended_count;     /* and with --extended */
    void (*print)(const struct ty_query_options *options, const struct ty_http_answer *answer,
                  const struct ty_answer_rows *rows, size_t column_count);
};

/* ty_answer_run is the run() of such a command: parses its flags into `options`, which hold the
 * defaults, asks, prints. Returns as a command's run() does. */
int ty_answer_run(const struct ty_command *command, int argc, char **argv,
                  struct ty_query_options *options, const struct ty_answer_view *view);

#endif
