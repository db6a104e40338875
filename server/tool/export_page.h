/*
 * export_page.h: pages of GET /v1/events as NDJSON, over one connection.
 *
 * Threads: the program's main one.
 */
#ifndef TY_SERVER_TOOL_EXPORT_PAGE_H
#define TY_SERVER_TOOL_EXPORT_PAGE_H

#include "engine/buffer.h"
#include "server/tool/client.h"

/* The longest cursor: of 256 shards. */
#define TY_EXPORT_CURSOR_BYTES 5632

struct ty_export_page {
    struct ty_http_answer answer; /* lines, or a problem document */
    char next[TY_EXPORT_CURSOR_BYTES];
    bool end;
    bool trimmed;
};

struct ty_export_pages;

/* ty_export_pages_open gets ready to ask `client` (borrowed). NULL: no memory. */
struct ty_export_pages *ty_export_pages_open(struct ty_client *client);
void ty_export_pages_close(struct ty_export_pages *pages);

/*
 * ty_export_pages_read asks for `path`. Returns TY_EXIT_OK and fills *page, whatever the HTTP
 * status; its answer is freed by the next read, or by ty_http_fini(). Otherwise the reason is in
 * `error`, and it returns TY_EXIT_UNREACHABLE.
 */
int ty_export_pages_read(struct ty_export_pages *pages, const char *path,
                         struct ty_export_page *page, char error[CURL_ERROR_SIZE]);

#endif
