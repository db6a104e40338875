/*
 * listing.h: a list that the server gives page by page, printed as one.
 *
 * A command says how a page is asked for and shown; the rest is the same for all: page after page
 * until there is no more or enough is shown; past entries that are damaged, which the server names
 * and says how to go on behind; at the end what stands below. Threads: one owner.
 */
#ifndef TY_SERVER_TOOL_LISTING_H
#define TY_SERVER_TOOL_LISTING_H

#include "server/tool/client.h"

#define TY_LISTING_PAGE_MAX   UINT64_C(1000) /* the server's bound */
#define TY_LISTING_PATH_BYTES 160

struct ty_listing;

struct ty_listing_kind {
    const char *name; /* "rejects" */
    bool ascends;     /* each page's `next` is more than that of the one before; else less */
    void (*path)(const struct ty_listing *listing, char path[TY_LISTING_PATH_BYTES]);
    /* Shows a page, and sets more and next; false where it is none. */
    bool (*show_page)(struct ty_listing *listing, const struct ty_http_answer *answer);
    void (*end)(const struct ty_listing *listing);
};

struct ty_listing {
    const struct ty_listing_kind *kind;
    struct ty_client *client;
    const void *options; /* the command's own */
    uint64_t limit;      /* 0: all */
    uint64_t shown;
    uint64_t next; /* what comes behind this comes next */
    bool begun;    /* the command's own: what stands before the first is written */
    bool more;     /* there may be some */
    bool damaged;  /* some could not be read */
};

/* ty_listing_is_full tells whether as many are shown as are wanted. */
bool ty_listing_is_full(const struct ty_listing *listing);

/* ty_listing_left tells how many the next page may have. */
uint64_t ty_listing_left(const struct ty_listing *listing);

/* ty_listing_end_json prints what ends a document that began with the server's list. */
void ty_listing_end_json(const struct ty_listing *listing);

/* ty_listing_run opens the client and prints all pages; an exit code of the tool. */
int ty_listing_run(struct ty_listing *listing, const struct ty_client_options *client);

#endif
