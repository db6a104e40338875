#include "server/tool/import_sender.h"

#include "server/tool/command.h"
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENTS_PATH      "/v1/events"
#define ANSWER_BYTES_MAX ((size_t)TY_HTTP_BODY_BYTES_MAX)
#define DETAIL_BYTES_MAX 300

enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_WAITING, SLOT_FLYING, SLOT_DECIDED, SLOT_REFUSED };

/* A place in the ring, with all that one batch needs on its way. */
struct slot {
    enum slot_state state;
    struct ty_import_batch batch;
    CURL *request; /* NULL until it is used for the first time */
    struct ty_buffer answer;
    char error[CURL_ERROR_SIZE];
    unsigned tries;
    int64_t failing_since_ms; /* its first failure; of use while tries > 0 */
    int64_t due_ms;           /* when it is to be sent */
};

struct ty_sender {
    struct ty_sender_options options;
    CURLM *multi;
    struct curl_slist *headers;
    struct slot *slots; /* a ring */
    size_t slot_count;
    size_t head; /* the oldest */
    size_t used; /* slots from `head` on that are not free */
    size_t flying;
    bool is_stopped;
    bool is_failing; /* the user was told so */
    int code;        /* a ty_exit */
    char text[TY_SENDER_TEXT_BYTES + 100];
    char news[TY_SENDER_TEXT_BYTES]; /* empty: none */
    char told[TY_SENDER_TEXT_BYTES]; /* the news that were handed out last */
};

/* What an answer, or its absence, means for a batch. */
enum verdict { VERDICT_DECIDED, VERDICT_AGAIN, VERDICT_REFUSED };

struct ty_sender *ty_sender_open(const struct ty_sender_options *options)
{
    struct ty_sender *sender = calloc(1, sizeof(*sender));

    if (sender == NULL)
        return NULL;
    sender->options = *options;
    /* Twice as many as fly, so that one slow batch does not stop the others at once. */
    sender->slot_count = 2 * options->parallel;
    sender->slots = calloc(sender->slot_count, sizeof(*sender->slots));
    sender->multi = curl_multi_init();
    sender->headers = curl_slist_append(NULL, "Content-Type: application/x-ndjson");
    /* Waiting for 100 Continue would cost a round trip for every batch. */
    if (sender->headers == NULL || curl_slist_append(sender->headers, "Expect:") == NULL ||
        sender->slots == NULL || sender->multi == NULL) {
        ty_sender_close(sender);
        return NULL;
    }
    return sender;
}

void ty_sender_close(struct ty_sender *sender)
{
    if (sender == NULL)
        return;
    for (size_t i = 0; sender->slots != NULL && i < sender->slot_count; i++) {
        struct slot *slot = &sender->slots[i];

        if (slot->state == SLOT_FLYING)
            curl_multi_remove_handle(sender->multi, slot->request);
        curl_easy_cleanup(slot->request);
        ty_buffer_fini(&slot->answer);
        ty_import_batch_fini(&slot->batch);
    }
    curl_multi_cleanup(sender->multi);
    curl_slist_free_all(sender->headers);
    free(sender->slots);
    free(sender);
}

/* The i-th slot of the ring, from the oldest on. */
static struct slot *slot_at(const struct ty_sender *sender, size_t i)
{
    return &sender->slots[(sender->head + i) % sender->slot_count];
}

static void fail(struct ty_sender *sender, int code, const char *text)
{
    if (sender->code != TY_EXIT_OK)
        return; /* The first failure is the one to tell. */
    sender->code = code;
    snprintf(sender->text, sizeof(sender->text), "%s", text);
}

struct ty_import_batch *ty_sender_room(struct ty_sender *sender)
{
    struct slot *slot;

    if (sender->used > 0 && slot_at(sender, sender->used - 1)->state == SLOT_FILLING)
        return &slot_at(sender, sender->used - 1)->batch;
    if (sender->used == sender->slot_count)
        return NULL;
    slot = slot_at(sender, sender->used++);
    slot->state = SLOT_FILLING;
    ty_import_batch_reset(&slot->batch);
    return &slot->batch;
}

void ty_sender_submit(struct ty_sender *sender, int64_t now_ms)
{
    struct slot *slot = slot_at(sender, sender->used - 1);

    TY_ASSERT(sender->used > 0 && slot->state == SLOT_FILLING);
    slot->state = SLOT_WAITING;
    slot->tries = 0;
    slot->due_ms = now_ms;
    if (!ty_import_batch_ok(&slot->batch)) {
        slot->state = SLOT_REFUSED;
        fail(sender, TY_EXIT_REFUSED, "out of memory");
    } else if (slot->batch.sent_count == 0) {
        slot->state = SLOT_DECIDED;
    } else if (sender->options.client == NULL) {
        int64_t wall_ms = (int64_t)time(NULL) * 1000;

        slot->state = SLOT_DECIDED;
        if (!ty_import_batch_check(&slot->batch, wall_ms)) {
            slot->state = SLOT_REFUSED;
            fail(sender, TY_EXIT_REFUSED, "out of memory");
        }
    }
}

static size_t take_answer(char *data, size_t size, size_t count, void *context)
{
    struct slot *slot = context;
    size_t bytes = size * count;

    if (bytes > ANSWER_BYTES_MAX - slot->answer.length)
        return 0;
    ty_buffer_append(&slot->answer, data, bytes);
    return ty_buffer_ok(&slot->answer) ? bytes : 0;
}

/* Prepares what all requests of a slot have in common. */
static bool make_request(struct ty_sender *sender, struct slot *slot)
{
    slot->request = ty_client_request(sender->options.client, EVENTS_PATH);
    if (slot->request == NULL)
        return false;
    curl_easy_setopt(slot->request, CURLOPT_HTTPHEADER, sender->headers);
    curl_easy_setopt(slot->request, CURLOPT_ERRORBUFFER, slot->error);
    curl_easy_setopt(slot->request, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(slot->request, CURLOPT_WRITEDATA, slot);
    curl_easy_setopt(slot->request, CURLOPT_PRIVATE, slot);
    return true;
}

static void start(struct ty_sender *sender, struct slot *slot)
{
    if (slot->request == NULL && !make_request(sender, slot)) {
        fail(sender, TY_EXIT_UNREACHABLE, "out of memory");
        return;
    }
    slot->answer.length = 0;
    slot->error[0] = '\0';
    curl_easy_setopt(slot->request, CURLOPT_POSTFIELDS, slot->batch.body.data);
    curl_easy_setopt(slot->request, CURLOPT_POSTFIELDSIZE_LARGE,
                     (curl_off_t)slot->batch.body.length);
    if (curl_multi_add_handle(sender->multi, slot->request) != CURLM_OK) {
        fail(sender, TY_EXIT_UNREACHABLE, "out of memory");
        return;
    }
    slot->state = SLOT_FLYING;
    sender->flying++;
}

/* Whether a batch that is due may be sent now. */
static bool may_start(const struct ty_sender *sender)
{
    return !sender->is_stopped && sender->code == TY_EXIT_OK &&
           sender->flying < sender->options.parallel;
}

static void start_due(struct ty_sender *sender, int64_t now_ms)
{
    for (size_t i = 0; i < sender->used && may_start(sender); i++) {
        struct slot *slot = slot_at(sender, i);

        if (slot->state == SLOT_WAITING && slot->due_ms <= now_ms)
            start(sender, slot);
    }
}

/* Appends ": detail" of a problem document (RFC 9457), if the answer is one. */
static void append_detail(const struct slot *slot, char text[TY_SENDER_TEXT_BYTES])
{
    json_t *problem = slot->answer.length == 0
                          ? NULL
                          : json_loadb(slot->answer.data, slot->answer.length, 0, NULL);
    const char *title = json_string_value(json_object_get(problem, "title"));
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    size_t length = strlen(text);

    if (title == NULL && detail == NULL)
        snprintf(text + length, TY_SENDER_TEXT_BYTES - length, " (is this a Tally server?)");
    else
        snprintf(text + length, TY_SENDER_TEXT_BYTES - length, "%s%.60s%s%.*s",
                 title != NULL ? " " : "", title != NULL ? title : "", detail != NULL ? ": " : "",
                 DETAIL_BYTES_MAX, detail != NULL ? detail : "");
    json_decref(problem);
}

/* Whether a request that got no answer may get one later. What is left is wrong for good: a name, a
 * certificate, a server of another protocol. */
static bool is_passing(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_SSL_CONNECT_ERROR:
        return true;
    default:
        return false;
    }
}

/* Whether a server that answers so may take the batch later. */
static bool is_passing_status(long status)
{
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
           status == 504 || status == 507;
}

static enum verdict judge(struct ty_sender *sender, struct slot *slot, CURLcode code,
                          char text[TY_SENDER_TEXT_BYTES])
{
    const char *name = ty_client_name(sender->options.client);
    long status = 0;

    if (code != CURLE_OK) {
        snprintf(text, TY_SENDER_TEXT_BYTES, "no answer from %.200s: %s", name,
                 slot->error[0] != '\0' ? slot->error : curl_easy_strerror(code));
        return is_passing(code) ? VERDICT_AGAIN : VERDICT_REFUSED;
    }
    curl_easy_getinfo(slot->request, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200) {
        if (ty_import_batch_decide(&slot->batch, slot->answer.data, slot->answer.length))
            return VERDICT_DECIDED;
        snprintf(text, TY_SENDER_TEXT_BYTES, "%.200s did not answer as a Tally server does", name);
        return VERDICT_REFUSED;
    }
    snprintf(text, TY_SENDER_TEXT_BYTES, "%.200s answered %ld", name, status);
    append_detail(slot, text);
    return is_passing_status(status) ? VERDICT_AGAIN : VERDICT_REFUSED;
}

/* How long to wait before the next try: the server's word, but no less than our own. */
static int64_t wait_before_retry(const struct slot *slot)
{
    unsigned doublings = TY_MIN(slot->tries, 6u);
    int64_t wait_ms = TY_MIN((int64_t)TY_SENDER_WAIT_MS_MIN << doublings, TY_SENDER_WAIT_MS_MAX);
    curl_off_t asked_s = 0;

    curl_easy_getinfo(slot->request, CURLINFO_RETRY_AFTER, &asked_s);
    return TY_MAX(wait_ms, (int64_t)TY_MIN(asked_s, 1000000) * 1000);
}

/* Lets the batch wait for another try, or gives up. */
static void retry(struct ty_sender *sender, struct slot *slot, bool is_answered, const char *text,
                  int64_t now_ms)
{
    const int64_t retry_for_ms = sender->options.retry_for_ms;
    char whole[TY_SENDER_TEXT_BYTES + 100];

    if (slot->tries == 0)
        slot->failing_since_ms = now_ms;
    slot->due_ms = now_ms + wait_before_retry(slot);
    slot->tries++;
    if (slot->due_ms - slot->failing_since_ms <= retry_for_ms) {
        slot->state = SLOT_WAITING;
        if (!sender->is_failing && !sender->is_stopped)
            snprintf(sender->news, sizeof(sender->news), "%.450s; trying again for up to %lld s",
                     text, (long long)(retry_for_ms + 999) / 1000);
        sender->is_failing = true;
        return;
    }
    slot->state = SLOT_REFUSED;
    if (slot->tries == 1)
        snprintf(whole, sizeof(whole), "%s", text);
    else
        snprintf(whole, sizeof(whole), "%.450s; given up after %u tries in %lld s", text,
                 slot->tries, (long long)(now_ms - slot->failing_since_ms + 500) / 1000);
    fail(sender, is_answered ? TY_EXIT_REFUSED : TY_EXIT_UNREACHABLE, whole);
}

static void finish(struct ty_sender *sender, struct slot *slot, CURLcode code, int64_t now_ms)
{
    char text[TY_SENDER_TEXT_BYTES + 100];

    switch (judge(sender, slot, code, text)) {
    case VERDICT_DECIDED:
        slot->state = SLOT_DECIDED;
        if (sender->is_failing)
            snprintf(sender->news, sizeof(sender->news), "%.200s takes events again",
                     ty_client_name(sender->options.client));
        sender->is_failing = false;
        break;
    case VERDICT_AGAIN:
        retry(sender, slot, code == CURLE_OK, text, now_ms);
        break;
    case VERDICT_REFUSED:
        slot->state = SLOT_REFUSED;
        fail(sender, code == CURLE_OK ? TY_EXIT_REFUSED : TY_EXIT_UNREACHABLE, text);
        break;
    }
}

void ty_sender_run(struct ty_sender *sender, int64_t now_ms)
{
    const CURLMsg *message;
    int left;

    start_due(sender, now_ms);
    curl_multi_perform(sender->multi, &left);
    while ((message = curl_multi_info_read(sender->multi, &left)) != NULL) {
        CURL *request = message->easy_handle;
        CURLcode code = message->data.result;
        char *slot = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(request, CURLINFO_PRIVATE, &slot);
        curl_multi_remove_handle(sender->multi, request);
        sender->flying--;
        finish(sender, (struct slot *)(void *)slot, code, now_ms);
    }
    start_due(sender, now_ms);
}

void ty_sender_wait(struct ty_sender *sender, int fd, int64_t now_ms, int wait_ms)
{
    struct curl_waitfd input = {.fd = fd, .events = CURL_WAIT_POLLIN};
    int64_t wait = wait_ms;

    for (size_t i = 0; i < sender->used && may_start(sender); i++) {
        const struct slot *slot = slot_at(sender, i);

        if (slot->state == SLOT_WAITING)
            wait = TY_MIN(wait, TY_MAX(slot->due_ms - now_ms, 0));
    }
    curl_multi_poll(sender->multi, &input, fd >= 0, (int)wait, NULL);
}

struct ty_import_batch *ty_sender_oldest(struct ty_sender *sender, bool *is_decided)
{
    struct slot *slot = slot_at(sender, 0);

    *is_decided = sender->used > 0 && slot->state == SLOT_DECIDED;
    return sender->used > 0 ? &slot->batch : NULL;
}

void ty_sender_release(struct ty_sender *sender)
{
    TY_ASSERT(sender->used > 0 && slot_at(sender, 0)->state != SLOT_FLYING);
    slot_at(sender, 0)->state = SLOT_FREE;
    sender->head = (sender->head + 1) % sender->slot_count;
    sender->used--;
}

void ty_sender_stop(struct ty_sender *sender)
{
    sender->is_stopped = true;
}

size_t ty_sender_pending(const struct ty_sender *sender)
{
    size_t pending = sender->flying;

    if (sender->is_stopped || sender->code != TY_EXIT_OK)
        return pending;
    for (size_t i = 0; i < sender->used; i++)
        pending += slot_at(sender, i)->state == SLOT_WAITING;
    return pending;
}

size_t ty_sender_flying(const struct ty_sender *sender)
{
    return sender->flying;
}

bool ty_sender_is_waiting(const struct ty_sender *sender)
{
    return sender->is_failing;
}

int ty_sender_failure(const struct ty_sender *sender, const char **text)
{
    *text = sender->text;
    return sender->code;
}

const char *ty_sender_news(struct ty_sender *sender)
{
    if (sender->news[0] == '\0')
        return NULL;
    memcpy(sender->told, sender->news, sizeof(sender->told));
    sender->news[0] = '\0';
    return sender->told;
}
