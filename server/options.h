/*
 * options.h: how tallyd is set up: by flags, by the environment, by a file; what is given in none
 * of them is at its default. settings.h has the list.
 *
 * Threads: used once, before threads exist.
 */
#ifndef TY_SERVER_OPTIONS_H
#define TY_SERVER_OPTIONS_H

#include "server/forward_server.h"
#include "server/http_server.h"
#include "tally.h"

struct ty_options {
    tally_options database;
    struct ty_http_options http;
    struct ty_forward_options forward;
    const char *http_address;
    const char *forward_address; /* NULL: none */
    const char *forward_socket;  /* a Unix socket's path; NULL: none */
    unsigned io_threads;
    char *config_text; /* owned: what texts from a file point into; NULL: no file */
    uint64_t drain_ms; /* how long requests in flight may take after SIGTERM */
};

enum ty_options_result {
    TY_OPTIONS_RUN,  /* go on */
    TY_OPTIONS_EXIT, /* --help, --version or --check has printed what was asked for: exit 0 */
    TY_OPTIONS_WRONG /* what was wrong is on stderr: exit 2 */
};

/*
 * ty_options_parse reads the command line, then for what is not there the environment (TALLY_ and
 * the flag's name in capitals, with _ for -), then the file of --config or TALLY_CONFIG. Every
 * value must be right, also one that another takes precedence over. Texts are borrowed from argv,
 * the environment, and options->config_text, which ty_options_fini() frees after TY_OPTIONS_RUN.
 */
enum ty_options_result ty_options_parse(int argc, char **argv, struct ty_options *options);
void ty_options_fini(struct ty_options *options);

/*
 * Numbers as flags take them: "90s", "15m", "24h", "35d", "500ms", "0" (milliseconds out); "64MiB",
 * "1GiB", "4096" (bytes out; powers of two); "3". False for anything else.
 */
bool ty_options_duration(const char *text, int64_t *ms);
bool ty_options_size(const char *text, uint64_t *bytes);
bool ty_options_count(const char *text, uint64_t *count);

#endif
