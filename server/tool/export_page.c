#include "server/tool/export_page.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/tool/command.h"

#define POLL_MS 1000

struct ty_export_pages {
    struct ty_client *client;
    CURLM *multi; /* holds the connection from page to page */
    struct curl_slist *headers;
};

struct ty_export_pages *ty_export_pages_open(struct ty_client *client)
{
    struct ty_export_pages *pages = calloc(1, sizeof(*pages));

    if (pages == NULL)
        return NULL;
    pages->client = client;
    pages->multi = curl_multi_init();
    pages->headers = curl_slist_append(NULL, "Accept: application/x-ndjson");
    if (pages->multi != NULL && pages->headers != NULL)
        return pages;
    ty_export_pages_close(pages);
    return NULL;
}

void ty_export_pages_close(struct ty_export_pages *pages)
{
    if (pages == NULL)
        return;
    curl_multi_cleanup(pages->multi);
    curl_slist_free_all(pages->headers);
    free(pages);
}

/* The value of a header line of that name, in `out`; false when it is another, or too long. */
static bool read_header(struct ty_text line, const char *name, char *out, size_t size)
{
    size_t used = strlen(name);

    if (line.length <= used || strncasecmp(line.data, name, used) != 0 || line.data[used] != ':')
        return false;
    for (used++; used < line.length && line.data[used] == ' ';)
        used++;
    while (line.length > used && strchr("\r\n ", line.data[line.length - 1]) != NULL)
        line.length--;
    if (line.length - used >= size)
        return false;
    memcpy(out, line.data + used, line.length - used);
    out[line.length - used] = '\0';
    return true;
}

static size_t take_header(char *data, size_t size, size_t count, void *context)
{
    struct ty_export_page *page = context;
    struct ty_text line = {data, size * count};
    char word[8];

    (void)read_header(line, "Tally-Next", page->next, sizeof(page->next));
    if (read_header(line, "Tally-End", word, sizeof(word)))
        page->end = strcmp(word, "true") == 0;
    if (read_header(line, "Tally-Trimmed", word, sizeof(word)))
        page->trimmed = strcmp(word, "true") == 0;
    return line.length;
}

/* Runs one request to its end on the handle that keeps the connection. */
static CURLcode run(CURLM *multi, CURL *request)
{
    CURLcode result = CURLE_OK;
    int running = 1, left;

    if (curl_multi_add_handle(multi, request) != CURLM_OK)
        return CURLE_OUT_OF_MEMORY;
    while (running > 0)
        if (curl_multi_perform(multi, &running) != CURLM_OK ||
            (running > 0 && curl_multi_poll(multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)) {
            result = CURLE_FAILED_INIT;
            break;
        }
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left)) != NULL;)
        if (message->msg == CURLMSG_DONE)
            result = message->data.result;
    curl_multi_remove_handle(multi, request);
    return result;
}

int ty_export_pages_read(struct ty_export_pages *pages, const char *path,
                         struct ty_export_page *page, char error[CURL_ERROR_SIZE])
{
    CURL *request = ty_client_request(pages->client, path);
    CURLcode code = CURLE_OUT_OF_MEMORY;

    ty_http_fini(&page->answer);
    page->next[0] = '\0';
    page->end = page->trimmed = false;
    error[0] = '\0';
    if (request != NULL) {
        curl_easy_setopt(request, CURLOPT_HTTPHEADER, pages->headers);
        curl_easy_setopt(request, CURLOPT_ERRORBUFFER, error);
        curl_easy_setopt(request, CURLOPT_WRITEFUNCTION, ty_http_collect);
        curl_easy_setopt(request, CURLOPT_WRITEDATA, &page->answer);
        curl_easy_setopt(request, CURLOPT_HEADERFUNCTION, take_header);
        curl_easy_setopt(request, CURLOPT_HEADERDATA, page);
        code = run(pages->multi, request);
        if (code == CURLE_OK)
            curl_easy_getinfo(request, CURLINFO_RESPONSE_CODE, &page->answer.status);
        curl_easy_cleanup(request);
    }
    if (code == CURLE_OK)
        return TY_EXIT_OK;
    ty_http_fini(&page->answer);
    if (error[0] == '\0')
        snprintf(error, CURL_ERROR_SIZE, "%s", curl_easy_strerror(code));
    return TY_EXIT_UNREACHABLE;
}
