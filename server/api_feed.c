/*
 * api_feed.c: GET /v1/events: the journal's single events, page by page. Reads wait for the disk,
 * so they run on the pool.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/period.h"
#include "engine/timestamp.h"
#include "server/api.h"
#include "server/feed_json.h"

#define LIMIT_DEFAULT  1000
#define LIMIT_MAX      10000
#define BODY_BYTES_MAX ((size_t)8 << 20) /* a page whose texts are long ends here */
#define HEADERS_BYTES  (TY_FEED_CURSOR_TEXT_BYTES + 80)
#define READS_OF_TIME  64 /* some MiB of the journal each, when events of a time are looked for */

struct feed {
    struct ty_pool_job job;
    struct ty_http_exchange *exchange;
    struct ty_database *database;
    struct ty_feed_query query;
    struct ty_uuid customer;
    char id[3 * TALLY_ID_BYTES_MAX]; /* with room for what is percent-encoded */
    char source[3 * TALLY_SOURCE_BYTES_MAX];
    struct ty_feed_span counted_span;
    struct ty_feed_span received_span;
    struct ty_feed_cursor cursor;
    bool lines;   /* NDJSON */
    bool counted; /* every event has a time */
    /* The answer. */
    size_t count; /* events in it */
    struct ty_buffer body;
    struct ty_feed_page page;
    tally_status status;
    tally_error error;
};

/* --- Parameters --- */

static bool read_after(struct feed *feed)
{
    char buffer[TY_FEED_CURSOR_TEXT_BYTES];
    struct ty_text text;
    const char *problem;

    if (!ty_api_read_long_parameter(feed->exchange, "after", buffer, sizeof(buffer), &text))
        return false;
    if (text.data == NULL)
        return true;
    problem = ty_feed_cursor_parse(text, ty_database_shard_count(feed->database), &feed->cursor);
    if (problem != NULL)
        ty_api_wrong_parameter(feed->exchange, "query", "after", problem);
    return problem == NULL;
}

static bool read_limit(struct feed *feed)
{
    char buffer[TY_API_PARAMETER_BYTES];
    struct ty_text text;
    size_t limit = 0;
    bool digits;

    if (!ty_api_read_parameter(feed->exchange, "limit", buffer, &text))
        return false;
    feed->query.limit = LIMIT_DEFAULT;
    if (text.data == NULL)
        return true;
    digits = text.length >= 1 && text.length <= 5;
    for (size_t i = 0; i < text.length && digits; i++) {
        digits = text.data[i] >= '0' && text.data[i] <= '9';
        limit = limit * 10 + (size_t)(text.data[i] - '0');
    }
    if (!digits || limit < 1 || limit > LIMIT_MAX) {
        ty_api_wrong_parameter(feed->exchange, "query", "limit",
                               "a whole number from 1 to 10000 is allowed");
        return false;
    }
    feed->query.limit = limit;
    return true;
}

static bool read_customer(struct feed *feed)
{
    char buffer[TY_API_PARAMETER_BYTES];
    struct ty_text text;

    if (!ty_api_read_parameter(feed->exchange, "customer_id", buffer, &text))
        return false;
    if (text.data == NULL)
        return true;
    if (!ty_uuid_parse(text.data, text.length, &feed->customer)) {
        ty_api_wrong_parameter(feed->exchange, "query", "customer_id",
                               "not a UUID (36 characters, like "
                               "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c)");
        return false;
    }
    feed->query.customer = &feed->customer;
    return true;
}

static bool is_word(struct ty_text text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

static bool read_times(struct feed *feed)
{
    char buffer[TY_API_PARAMETER_BYTES];
    struct ty_text text;

    if (!ty_api_read_parameter(feed->exchange, "times", buffer, &text))
        return false;
    if (text.data == NULL || is_word(text, "given"))
        return true;
    feed->counted = is_word(text, "counted");
    if (!feed->counted)
        ty_api_wrong_parameter(feed->exchange, "query", "times",
                               "one of given and counted is allowed");
    return feed->counted;
}

static bool read_status(struct feed *feed)
{
    char buffer[TY_API_PARAMETER_BYTES];
    struct ty_text text;

    if (!ty_api_read_parameter(feed->exchange, "status", buffer, &text))
        return false;
    if (text.data == NULL)
        return true;
    feed->query.status = is_word(text, "voided") ? TY_FEED_VOIDED : TY_FEED_ACCEPTED;
    if (is_word(text, "voided") || is_word(text, "accepted"))
        return true;
    ty_api_wrong_parameter(feed->exchange, "query", "status",
                           "one of accepted and voided is allowed");
    return false;
}

static bool read_voids(struct feed *feed)
{
    char buffer[TY_API_PARAMETER_BYTES];
    struct ty_text text;

    if (!ty_api_read_parameter(feed->exchange, "voids", buffer, &text))
        return false;
    feed->query.voids = text.data != NULL && is_word(text, "true");
    if (text.data == NULL || feed->query.voids || is_word(text, "false"))
        return true;
    ty_api_wrong_parameter(feed->exchange, "query", "voids", "one of true and false is allowed");
    return false;
}

/* Reads a text to compare with; *value stays without data when the parameter is absent. */
static bool read_text(struct feed *feed, const char *name, char *buffer, size_t size,
                      struct ty_text *value)
{
    if (!ty_api_read_long_parameter(feed->exchange, name, buffer, size, value))
        return false;
    if (value->data == NULL || feed->query.customer != NULL)
        return true;
    ty_api_wrong_parameter(feed->exchange, "query", name,
                           "only together with customer_id: ids are a customer's own");
    return false;
}

/* A month or a day is the whole of it, a date-time its millisecond. NULL, or what is wrong. */
static const char *parse_moment(struct ty_text text, bool last, int64_t *ms)
{
    tally_frequency frequency = text.length == strlen("2023-01") ? TALLY_MONTHLY : TALLY_DAILY;
    const char *problem;
    int64_t period;

    if (text.length > strlen("2023-01-31"))
        return ty_timestamp_parse(text.data, text.length, ms);
    problem = ty_period_parse(frequency, text.data, text.length, &period);
    if (problem == NULL)
        *ms = last ? ty_period_start_ms(frequency, period + 1) - 1
                   : ty_period_start_ms(frequency, period);
    return problem;
}

static bool read_moment(struct feed *feed, const char *name, bool last, int64_t *ms, bool *given)
{
    char buffer[TY_API_PARAMETER_BYTES], message[200];
    struct ty_text text;
    const char *problem;

    if (!ty_api_read_parameter(feed->exchange, name, buffer, &text))
        return false;
    if (text.data == NULL)
        return true;
    *given = true;
    problem = parse_moment(text, last, ms);
    if (problem == NULL)
        return true;
    snprintf(message, sizeof(message),
             "%s (YYYY-MM, YYYY-MM-DD, or a date-time with its zone as in RFC 3339)", problem);
    ty_api_wrong_parameter(feed->exchange, "query", name, message);
    return false;
}

static bool read_span(struct feed *feed, const char *first, const char *last,
                      struct ty_feed_span *span, const struct ty_feed_span **wanted)
{
    bool given = false;

    *span = (struct ty_feed_span){INT64_MIN, INT64_MAX};
    if (!read_moment(feed, first, false, &span->first_ms, &given) ||
        !read_moment(feed, last, true, &span->last_ms, &given))
        return false;
    *wanted = given ? span : NULL;
    if (span->first_ms <= span->last_ms)
        return true;
    ty_api_wrong_parameter(feed->exchange, "query", last, "before the start");
    return false;
}

static bool read_filters(struct feed *feed)
{
    return read_status(feed) && read_voids(feed) && read_customer(feed) &&
           read_text(feed, "id", feed->id, sizeof(feed->id), &feed->query.id) &&
           read_text(feed, "source", feed->source, sizeof(feed->source), &feed->query.source) &&
           read_span(feed, "start", "end", &feed->counted_span, &feed->query.counted) &&
           read_span(feed, "received_start", "received_end", &feed->received_span,
                     &feed->query.received);
}

/* --- Accept: NDJSON for who names it (RFC 9110, section 12.5.1), JSON for everybody else. --- */

static struct ty_text next_part(struct ty_text *rest, char separator)
{
    const char *end = memchr(rest->data, separator, rest->length);
    struct ty_text part = {rest->data, end == NULL ? rest->length : (size_t)(end - rest->data)};
    size_t used = part.length + (end == NULL ? 0 : 1);

    rest->data += used;
    rest->length -= used;
    while (part.length > 0 && (part.data[0] == ' ' || part.data[0] == '\t'))
        part = (struct ty_text){part.data + 1, part.length - 1};
    while (part.length > 0 &&
           (part.data[part.length - 1] == ' ' || part.data[part.length - 1] == '\t'))
        part.length--;
    return part;
}

/* Thousandths: "q=0.5" is 500; no such parameter, or a malformed one, is 1000. */
static int read_weight(struct ty_text parameters)
{
    while (parameters.length > 0) {
        struct ty_text parameter = next_part(&parameters, ';');
        int weight = 0;

        if (parameter.length < 3 || strncasecmp(parameter.data, "q=", 2) != 0)
            continue;
        if (parameter.data[2] != '0')
            return 1000;
        for (size_t i = 4; i < 7; i++)
            weight = weight * 10 +
                     (i < parameter.length && parameter.data[i] >= '0' && parameter.data[i] <= '9'
                          ? parameter.data[i] - '0'
                          : 0);
        return weight;
    }
    return 1000;
}

/* How much a header wants a media type that it names; -1: it does not name it. */
static int weight_of(struct ty_text accept, const char *type)
{
    while (accept.length > 0) {
        struct ty_text range = next_part(&accept, ',');
        struct ty_text name = next_part(&range, ';');

        if (name.length == strlen(type) && strncasecmp(name.data, type, name.length) == 0)
            return read_weight(range);
    }
    return -1;
}

static bool wants_lines(const struct ty_http_request *request)
{
    struct ty_text accept = ty_http_request_header(request, "accept");
    int lines = accept.data == NULL ? -1 : weight_of(accept, "application/x-ndjson");

    return lines > 0 && lines >= weight_of(accept, "application/json");
}

/* --- Reading, on the pool --- */

static bool append_event(void *context, const struct ty_feed_event *event)
{
    struct feed *feed = context;

    if (feed->count++ != 0 && !feed->lines)
        ty_buffer_append_char(&feed->body, ',');
    ty_feed_json_event(&feed->body, event, feed->counted);
    if (feed->lines)
        ty_buffer_append_char(&feed->body, '\n');
    return feed->body.length < BODY_BYTES_MAX && ty_buffer_ok(&feed->body);
}

/* How many parts of the journal a page may look through. A look-up of an id is answered at once,
 * however long the journal is; each part is a snapshot of its own, so none is held for long. */
static size_t reads_max(const struct ty_feed_query *query)
{
    if (query->id.data != NULL)
        return SIZE_MAX;
    return query->counted != NULL || query->received != NULL ? READS_OF_TIME : 1;
}

/* Damage behind events that were given ends their page; the next one tells. */
static tally_status read_part(struct feed *feed, bool *more)
{
    struct ty_feed_cursor before = feed->cursor;
    bool trimmed = feed->page.trimmed;
    tally_status status = ty_feed_read(feed->database, &feed->query, &feed->cursor, append_event,
                                       feed, &feed->page, &feed->error);

    feed->page.trimmed |= trimmed;
    *more = status == TALLY_OK && !feed->page.end && feed->body.length < BODY_BYTES_MAX &&
            ty_buffer_ok(&feed->body);
    if (status != TALLY_CORRUPT || feed->count == 0)
        return status;
    feed->cursor = before;
    feed->page.end = false;
    return TALLY_OK;
}

static tally_status read_page(struct feed *feed)
{
    size_t left = reads_max(&feed->query), limit = feed->query.limit;
    tally_status status;
    bool more;

    do {
        feed->query.limit = limit - feed->count;
        status = read_part(feed, &more);
    } while (more && --left != 0 && feed->count < limit);
    return status;
}

static void run(struct ty_pool_job *job)
{
    struct feed *feed = TY_CONTAINER_OF(job, struct feed, job);
    char next[TY_FEED_CURSOR_TEXT_BYTES];

    if (!feed->lines)
        ty_feed_json_begin(&feed->body);
    feed->status = read_page(feed);
    if (feed->status == TALLY_OK && !feed->lines) {
        ty_feed_cursor_format(&feed->cursor, ty_database_shard_count(feed->database), next);
        ty_feed_json_end(&feed->body, next, &feed->page);
    }
}

/* --- Answers --- */

static void answer_lines(struct feed *feed, const char *next)
{
    char headers[HEADERS_BYTES];

    snprintf(headers, sizeof(headers), "Tally-Next: %s\r\nTally-End: %s\r\n%s", next,
             feed->page.end ? "true" : "false",
             feed->page.trimmed ? "Tally-Trimmed: true\r\n" : "");
    ty_http_answer(feed->exchange, 200, "application/x-ndjson", &feed->body, headers);
}

static void answer_failure(struct feed *feed, const char *next)
{
    char members[TY_FEED_CURSOR_TEXT_BYTES + 16];

    if (feed->status == TALLY_INVALID) {
        ty_api_wrong_parameter(feed->exchange, "query", "after", feed->error.message);
        return;
    }
    /* A damaged value's events are lost, the others are not. */
    snprintf(members, sizeof(members), "\"next\":\"%s\"", next);
    ty_api_query_failed(feed->exchange, feed->status, &feed->error, members);
}

static void done(struct ty_pool_job *job)
{
    struct feed *feed = TY_CONTAINER_OF(job, struct feed, job);
    char next[TY_FEED_CURSOR_TEXT_BYTES];

    ty_feed_cursor_format(&feed->cursor, ty_database_shard_count(feed->database), next);
    if (feed->status != TALLY_OK)
        answer_failure(feed, next);
    else if (feed->lines)
        answer_lines(feed, next);
    else
        ty_http_answer(feed->exchange, 200, "application/json", &feed->body, NULL);
    ty_buffer_fini(&feed->body);
    free(feed);
}

void ty_api_feed(struct ty_io_loop *loop, struct ty_http_exchange *exchange)
{
    struct ty_database *database = ty_app_database(ty_io_loop_app(loop));
    struct feed *feed;

    if (database == NULL) {
        ty_api_unavailable(exchange);
        return;
    }
    feed = calloc(1, sizeof(*feed));
    if (feed == NULL) {
        ty_api_failure(exchange, TALLY_NO_MEMORY, NULL);
        return;
    }
    feed->job.run = run;
    feed->job.done = done;
    feed->exchange = exchange;
    feed->database = database;
    feed->lines = wants_lines(ty_http_exchange_request(exchange));
    if (!read_after(feed) || !read_limit(feed) || !read_filters(feed) || !read_times(feed) ||
        !ty_api_run_on_pool(loop, exchange, &feed->job))
        free(feed);
}
