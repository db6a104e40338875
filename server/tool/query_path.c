#include "server/tool/query_path.h"

#include "engine/base.h"
#include "server/tool/command.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const ty_query_frequencies[] = {"monthly", "weekly", "daily", "hourly", NULL};
static const char *const periods[] = {"month", "week", "day", "hour"};

const char *ty_query_period_name(const char *frequency)
{
    for (size_t i = 0; i < TY_COUNT_OF(periods); i++)
        if (strcmp(frequency, ty_query_frequencies[i]) == 0)
            return periods[i];
    return "period";
}

int ty_query_parse(const struct ty_flag *flags, int argc, char **argv,
                   struct ty_query_options *options)
{
    int code = ty_flags_parse(flags, argc, argv, options, NULL);

    if (code != -1 || !options->json || !options->csv)
        return code;
    fprintf(stderr, "tally %s: --json and --csv exclude each other\nTry 'tally help %s'.\n",
            argv[0], argv[0]);
    return TY_EXIT_USAGE;
}

char *ty_query_path(const struct ty_query_options *options)
{
    char *start = ty_http_escape(options->start);
    char *end = options->end != NULL ? ty_http_escape(options->end) : NULL;
    char *path = NULL;
    bool escaped = start != NULL && (options->end == NULL || end != NULL);

    if (!escaped ||
        asprintf(&path, "/reseller/customers/%s/usage/workflows/%s%s%s%s?start=%s%s%s%s",
                 options->customer, options->workflow != NULL ? "workflow_id/" : "",
                 options->workflow != NULL ? options->workflow : "",
                 options->workflow != NULL ? "/" : "", options->frequency, start,
                 end != NULL ? "&end=" : "", end != NULL ? end : "",
                 options->extended ? "&extended=true" : "") < 0) {
        fputs("tally: out of memory\n", stderr);
        path = NULL;
    }
    free(start);
    free(end);
    return path;
}
