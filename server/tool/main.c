/* `tally`: the client of a Tally server. This file finds the command and runs it. */
#include "engine/base.h"
#include "server/tool/manual.h"
#include "tally.h"
#include <curl/curl.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct ty_command *const commands[] = {
    &ty_command_backup,    &ty_command_bench,     &ty_command_close, &ty_command_dump,
    &ty_command_export,    &ty_command_import,    &ty_command_load,  &ty_command_rejects,
    &ty_command_revisions, &ty_command_status,    &ty_command_usage, &ty_command_verify,
    &ty_command_void,      &ty_command_workflows,
};

static void print_help(FILE *file)
{
    fputs("tally: asks a Tally server, or a data directory that no server holds.\n"
          "\n"
          "tally COMMAND [FLAG ...]\n"
          "\n",
          file);
    for (size_t i = 0; i < TY_COUNT_OF(commands); i++)
        fprintf(file, "  %-10s  %s\n", commands[i]->name, commands[i]->summary);
    fputs("  help        this page, or 'tally help COMMAND' for a command's own\n"
          "\n"
          "  -h, --help  this page\n"
          "  --version   the version\n"
          "\n"
          "The server is http://127.0.0.1:8480, or what TALLY_SERVER or --server says;\n"
          "--data names a data directory instead.\n"
          "\n",
          file);
    ty_manual_print_exit_codes(NULL, file);
}

static const struct ty_command *find_command(const char *name)
{
    const char *names[TY_COUNT_OF(commands) + 2] = {"help"}, *guess;

    for (size_t i = 0; i < TY_COUNT_OF(commands); i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
        names[i + 1] = commands[i]->name;
    }
    guess = ty_flags_guess(name, names);
    fprintf(stderr, "tally: there is no command '%s'", name);
    if (guess != NULL)
        fprintf(stderr, "; did you mean '%s'?", guess);
    fputs("\nThere are:", stderr);
    for (size_t i = 0; i < TY_COUNT_OF(commands); i++)
        fprintf(stderr, " %s,", commands[i]->name);
    fputs(" help.\n", stderr);
    return NULL;
}

/* --- help --- */

static void print_mdoc(void)
{
    for (size_t i = 0; i < TY_COUNT_OF(commands); i++)
        ty_manual_print_mdoc(commands[i], stdout);
}

/* The commands, or the flags of one; nothing for what is no command, since nobody reads it. */
static void print_words(const char *name)
{
    for (size_t i = 0; i < TY_COUNT_OF(commands); i++) {
        if (name == NULL)
            puts(commands[i]->name);
        else if (strcmp(commands[i]->name, name) == 0)
            ty_manual_print_words(commands[i], stdout);
    }
    if (name == NULL)
        puts("help");
}

/* --mdoc and --words are for the build and for the shell, and not part of any help. */
static int help(const char *name, const char *more)
{
    const struct ty_command *command;

    if (name == NULL) {
        print_help(stdout);
    } else if (strcmp(name, "--mdoc") == 0) {
        print_mdoc();
    } else if (strcmp(name, "--words") == 0) {
        print_words(more);
    } else {
        command = find_command(name);
        if (command == NULL)
            return TY_EXIT_USAGE;
        ty_manual_print_page(command, stdout);
    }
    return TY_EXIT_OK;
}

/* --- The program --- */

static int run_command(int argc, char **argv)
{
    const struct ty_command *command = find_command(argv[0]);
    int code;

    if (command == NULL)
        return TY_EXIT_USAGE;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        fputs("tally: libcurl cannot be set up\n", stderr);
        return TY_EXIT_UNREACHABLE;
    }
    code = command->run(command, argc, argv);
    curl_global_cleanup();
    if (code != TY_EXIT_HELP)
        return code;
    ty_manual_print_page(command, stdout);
    return TY_EXIT_OK;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return TY_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("tally %d.%d.%d\n", TALLY_VERSION_MAJOR, TALLY_VERSION_MINOR, TALLY_VERSION_PATCH);
        return TY_EXIT_OK;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help(NULL, NULL);
    if (strcmp(argv[1], "help") == 0)
        return help(argv[2], argv[2] != NULL ? argv[3] : NULL);
    return run_command(argc - 1, argv + 1);
}

/* Who reads the output has enough of it (`tally usage ... | head -1`). The error itself may have
 * come long before, so it is the pipe that is asked. */
static bool is_closed_pipe(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};

    return poll(&output, 1, 0) == 1 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

/* Ends as a program does that never caught the signal. It could not be left to its default, since
 * the service that works on a data directory must outlive its clients. */
static void end_by_closed_pipe(void)
{
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
}

int main(int argc, char **argv)
{
    int code;

    signal(SIGPIPE, SIG_IGN);
    /* Only the encoding: numbers keep their point, whatever the locale. */
    setlocale(LC_CTYPE, "");
    code = dispatch(argc, argv);
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (is_closed_pipe())
        end_by_closed_pipe();
    fprintf(stderr, "tally: the output could not be written: %s\n",
            errno != 0 ? strerror(errno) : "an earlier write failed");
    return TY_EXIT_REFUSED;
}
