/* `tally bench`: a load generator that says how fast a server takes events. */
#include "server/tool/command.h"
#include "server/tool/flags.h"
#include "server/tool/load.h"

#include <inttypes.h>
#include <signal.h>
#include <sodium/randombytes.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SERVER      "http://127.0.0.1:8480"
#define HTTP_OUTSTANDING    1
#define FORWARD_OUTSTANDING 64
#define CUSTOMERS_MAX       100000000

struct bench_options {
    const char *server;
    const char *forward; /* NULL: over HTTP */
    const char *format;  /* NULL: the protocol's first one */
    uint64_t connections;
    uint64_t outstanding; /* 0: the protocol's default */
    uint64_t batch;
    uint64_t rate;
    uint64_t events;
    int64_t warm_up_ms;
    int64_t duration_ms;
    uint64_t customers;
    uint64_t workflows;
    bool json;
};

static const struct format {
    const char *name;
    bool forward;
    enum ty_load_format format;
} formats[] = {
    {"json", false, TY_LOAD_JSON},        {"ndjson", false, TY_LOAD_NDJSON},
    {"msgpack", false, TY_LOAD_MSGPACK},  {"arrays", true, TY_LOAD_FORWARD_ARRAYS},
    {"maps", true, TY_LOAD_FORWARD_MAPS},
};

static const char *const format_names[] = {"json", "ndjson", "msgpack", "arrays", "maps", NULL};

#define AT(member) .offset = offsetof(struct bench_options, member)

static const struct ty_flag flags[] = {
    {.name = "server",
     .kind = TY_FLAG_TEXT,
     .value = "URL",
     .variable = "TALLY_SERVER",
     .help = "send over HTTP to this server (" DEFAULT_SERVER ")",
     AT(server)},
    {.name = "forward",
     .kind = TY_FLAG_TEXT,
     .value = "ADDRESS",
     .help = "send over the Forward protocol instead: HOST:PORT or unix:PATH",
     AT(forward)},
    {.name = "format",
     .kind = TY_FLAG_CHOICE,
     .value = "FORMAT",
     .choices = format_names,
     .help = "json, ndjson or msgpack over HTTP (json); arrays or maps over Forward (arrays)",
     AT(format)},
    {.name = "connections",
     .kind = TY_FLAG_COUNT,
     .value = "N",
     .min = 1,
     .max = TY_LOAD_CONNECTIONS_MAX,
     .help = "connections at once (1)",
     AT(connections)},
    {.name = "outstanding",
     .kind = TY_FLAG_COUNT,
     .value = "N",
     .min = 1,
     .max = TY_LOAD_OUTSTANDING_MAX,
     .help = "messages of a connection that wait for their answers at once (1; Forward: 64)",
     AT(outstanding)},
    {.name = "batch",
     .kind = TY_FLAG_COUNT,
     .value = "N",
     .min = 1,
     .max = 100000,
     .help = "events in a message (1000)",
     AT(batch)},
    {.name = "rate",
     .kind = TY_FLAG_COUNT,
     .value = "N",
     .min = 1,
     .max = 1000000000,
     .help = "events a second (as many as the server takes)",
     AT(rate)},
    {.name = "duration",
     .kind = TY_FLAG_DURATION,
     .value = "TIME",
     .help = "how long to measure (10s); 0: until --events or Ctrl-C",
     AT(duration_ms)},
    {.name = "warm-up",
     .kind = TY_FLAG_DURATION,
     .value = "TIME",
     .help = "how long to send before measuring (1s)",
     AT(warm_up_ms)},
    {.name = "events",
     .kind = TY_FLAG_COUNT,
     .value = "N",
     .min = 1,
     .max = INT64_MAX,
     .help = "send no more than these, those of the warm-up included",
     AT(events)},
    {.name = "customers",
     .kind = TY_FLAG_COUNT,
     .value = "N",
     .min = 1,
     .max = CUSTOMERS_MAX,
     .help = "how many customers the events are of (250)",
     AT(customers)},
    {.name = "workflows",
     .kind = TY_FLAG_COUNT,
     .value = "N",
     .min = 1,
     .max = 1000,
     .help = "how many workflows each of them uses (4)",
     AT(workflows)},
    {.name = "json", .kind = TY_FLAG_SWITCH, .help = "the result as one JSON object", AT(json)},
    {0}};

/* --- Options to a load --- */

static int complain(const char *problem, const char *what)
{
    fprintf(stderr, "tally bench: ");
    fprintf(stderr, problem, what);
    fprintf(stderr, "\nTry 'tally bench --help'.\n");
    return TY_EXIT_USAGE;
}

static const struct format *find_format(const char *name, bool forward)
{
    for (size_t i = 0; i < TY_COUNT_OF(formats); i++)
        if (name == NULL ? formats[i].forward == forward : strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

/* "http://host:port/" to "host:port", which getaddrinfo() and the Host header take. NULL: it is no
 * such URL, or memory is out. */
static char *address_of(const char *url)
{
    static const char prefix[] = "http://";
    char *address = NULL;
    const char *host, *end;

    if (strncmp(url, "unix:", 5) == 0)
        return strdup(url);
    if (strncmp(url, prefix, strlen(prefix)) != 0)
        return NULL;
    host = url + strlen(prefix);
    end = host + strcspn(host, "/");
    if (end == host || (*end == '/' && end[1] != '\0'))
        return NULL;
    if (memchr(host, ':', (size_t)(end - host)) != NULL && end[-1] != ']')
        return strndup(host, (size_t)(end - host));
    return asprintf(&address, "%.*s:80", (int)(end - host), host) < 0 ? NULL : address;
}

/* --- The result --- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static const struct {
    const char *name;
    double share;
} quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};

static double quantile_ms(const struct ty_load_result *result, size_t index)
{
    return (double)ty_latency_quantile(&result->latency, quantiles[index].share) / 1e6;
}

static double per_second(uint64_t count, const struct ty_load_result *result)
{
    return result->seconds > 0 ? (double)count / result->seconds : 0;
}

static void print_json(const struct ty_load_options *load, const struct ty_load_result *result)
{
    printf("{\"loop\":\"%s\",\"seconds\":%.3f,\"messages\":%" PRIu64 ",\"accepted\":%" PRIu64
           ",\"duplicates\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"refused_messages\":%" PRIu64
           ",\"lost_messages\":%" PRIu64 ",\"reconnects\":%" PRIu64
           ",\"events_per_second\":%.0f,\"bytes_per_second\":%.0f,\"latency_ms\":{",
           load->rate > 0 ? "open" : "closed", result->seconds, result->messages, result->accepted,
           result->duplicates, result->rejected, result->refusals, result->lost, result->reconnects,
           per_second(result->accepted, result), per_second(result->bytes, result));
    for (size_t i = 0; i < TY_COUNT_OF(quantiles); i++)
        printf("%s\"%s\":%.3f", i == 0 ? "" : ",", quantiles[i].name, quantile_ms(result, i));
    puts("}}");
}

static void print_text(const struct ty_load_options *load, const struct ty_load_result *result)
{
    printf("%" PRIu64 " events in %.2f s: %.0f events/s, %.1f MB/s\n", result->accepted,
           result->seconds, per_second(result->accepted, result),
           per_second(result->bytes, result) / 1e6);
    printf("messages of %zu events, %u connection%s, %u under way on each; %s\n", load->plan.batch,
           load->connections, load->connections == 1 ? "" : "s", load->outstanding,
           load->rate > 0 ? "open loop" : "closed loop");
    printf("latency of a message, ms:");
    for (size_t i = 0; i < TY_COUNT_OF(quantiles); i++)
        printf("  %s %.2f", quantiles[i].name, quantile_ms(result, i));
    printf("\n(%s)\n", load->rate > 0
                           ? "from the time when it was due to be sent: what waited, counts"
                           : "from the time when it was sent; for latency under a given load, set "
                             "--rate");
    if (result->duplicates + result->rejected != 0)
        printf("%" PRIu64 " duplicates, %" PRIu64 " rejected\n", result->duplicates,
               result->rejected);
    if (result->refusals != 0)
        printf("messages refused: %" PRIu64 ", the last one with status %d\n", result->refusals,
               result->refusal_status);
    if (result->lost + result->reconnects != 0)
        printf("messages never answered: %" PRIu64 "; connected anew: %" PRIu64 " times\n",
               result->lost, result->reconnects);
}

static int run_load(const struct ty_load_options *load, bool json)
{
    static struct ty_load_result result;
    char problem[256];
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (!ty_load_run(load, &interrupted, &result, problem)) {
        fprintf(stderr, "tally bench: %s\n", problem);
        return TY_EXIT_UNREACHABLE;
    }
    if (json)
        print_json(load, &result);
    else
        print_text(load, &result);
    return result.refusals + result.lost + result.rejected == 0 ? TY_EXIT_OK : TY_EXIT_REFUSED;
}

static int run(const struct ty_command *self, int argc, char **argv)
{
    struct bench_options options = {.server = DEFAULT_SERVER,
                                    .connections = 1,
                                    .batch = 1000,
                                    .duration_ms = 10000,
                                    .warm_up_ms = 1000,
                                    .customers = 250,
                                    .workflows = 4};
    struct ty_load_options load = {0};
    const struct format *format;
    struct ty_arguments arguments;
    int code = ty_flags_parse(flags, argc, argv, &options, &arguments);
    char *address;

    (void)self;
    if (code != -1)
        return code;
    if (arguments.count != 0)
        return complain("unexpected argument '%s'", arguments.words[0]);
    format = find_format(options.format, options.forward != NULL);
    if (format->forward != (options.forward != NULL))
        return complain("the format '%s' is for the other protocol: json, ndjson and msgpack go "
                        "over HTTP, arrays and maps over Forward (--forward)",
                        options.format);
    address = options.forward != NULL ? strdup(options.forward) : address_of(options.server);
    if (address == NULL)
        return complain("'%s' is no server to measure: give http://HOST:PORT or unix:PATH",
                        options.server);
    load = (struct ty_load_options){
        .address = address,
        .plan = {.format = format->format,
                 .batch = options.batch,
                 .customers = options.customers,
                 .workflows = options.workflows,
                 .host = strncmp(address, "unix:", 5) == 0 ? "localhost" : address},
        .connections = (unsigned)options.connections,
        .outstanding = options.outstanding != 0 ? (unsigned)options.outstanding
                       : format->forward        ? FORWARD_OUTSTANDING
                                                : HTTP_OUTSTANDING,
        .rate = (double)options.rate,
        .warm_up_ms = options.warm_up_ms,
        .duration_ms = options.duration_ms,
        .events = options.events};
    randombytes_buf(&load.plan.run, sizeof(load.plan.run));
    code = run_load(&load, options.json);
    free(address);
    return code;
}

const struct ty_command ty_command_bench = {
    .name = "bench",
    .summary = "load a server and measure it",
    .usage = "[FLAG ...]",
    .description =
        "Sends events as fast as the server takes them, or at a given rate, and prints how\n"
        "many it took and how long its answers took. Every id is new, and the events count:\n"
        "use a server whose data you can throw away.\n"
        "\n"
        "Without --rate each connection keeps some messages under way and sends the next when\n"
        "one is answered: that finds the throughput. With --rate messages are due at fixed\n"
        "times, and latency counts from then on, also for what could not be sent in time: a\n"
        "stall of the server is felt by every message that it delayed.\n",
    .flags = flags,
    .notes = "Examples:\n"
             "  tally bench --connections 8\n"
             "  tally bench --rate 100000 --connections 4 --duration 60s\n"
             "  tally bench --forward 127.0.0.1:24224 --batch 2000\n",
    .refused = "messages were refused or never answered, or events rejected",
    .run = run,
};
