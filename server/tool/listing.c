#include "server/tool/listing.h"

#include <inttypes.h>
#include <stdio.h>

#include "server/tool/answer.h"
#include "server/tool/raw_json.h"

bool ty_listing_is_full(const struct ty_listing *listing)
{
    return listing->limit != 0 && listing->shown >= listing->limit;
}

uint64_t ty_listing_left(const struct ty_listing *listing)
{
    return listing->limit == 0 ? TY_LISTING_PAGE_MAX
                               : TY_MIN(listing->limit - listing->shown, TY_LISTING_PAGE_MAX);
}

void ty_listing_end_json(const struct ty_listing *listing)
{
    if (listing->more)
        printf("],\"next\":%" PRIu64 "}\n", listing->next);
    else
        puts("],\"next\":null}");
}

/* Whether what comes behind `next` is not what came behind `last` again, for ever. */
static bool goes_on(const struct ty_listing *listing, uint64_t last, uint64_t next)
{
    if (listing->kind->ascends)
        return next > last;
    return next != 0 && (last == 0 || next < last);
}

/* A damaged entry is lost, the ones behind it are not: the server says how to go on. */
static int go_on_behind_damage(struct ty_listing *listing, const struct ty_http_answer *answer)
{
    struct ty_text problem = {answer->body, answer->length};
    uint64_t next = answer->body == NULL ? 0 : ty_raw_json_number(problem, "next");

    ty_answer_print_problem(listing->client, answer);
    if (answer->status != 500 || !goes_on(listing, listing->next, next))
        return TY_EXIT_REFUSED;
    listing->damaged = true;
    listing->next = next;
    return TY_EXIT_OK;
}

/* False: it is none, or one after which the list would not go on. */
static bool show_page(struct ty_listing *listing, const struct ty_http_answer *answer)
{
    uint64_t last = listing->next;

    return listing->kind->show_page(listing, answer) &&
           (!listing->more || ty_listing_is_full(listing) || goes_on(listing, last, listing->next));
}

static int ask(struct ty_listing *listing)
{
    struct ty_http_answer answer;
    char path[TY_LISTING_PATH_BYTES];
    int code;

    listing->kind->path(listing, path);
    code = ty_client_get(listing->client, path, &answer);
    if (code != TY_EXIT_OK)
        return code;
    if (answer.status != 200) {
        code = go_on_behind_damage(listing, &answer);
    } else if (!show_page(listing, &answer)) {
        fprintf(stderr, "tally: %s did not answer as a Tally server does: no page of %s\n",
                ty_client_name(listing->client), listing->kind->name);
        code = TY_EXIT_REFUSED;
    }
    ty_http_fini(&answer);
    return code;
}

static int list(struct ty_listing *listing)
{
    int code;

    listing->more = true;
    do {
        code = ask(listing);
    } while (code == TY_EXIT_OK && listing->more && !ty_listing_is_full(listing) &&
             !ferror(stdout));
    if (code != TY_EXIT_OK)
        return code;
    listing->kind->end(listing);
    return listing->damaged ? TY_EXIT_REFUSED : TY_EXIT_OK;
}

int ty_listing_run(struct ty_listing *listing, const struct ty_client_options *client)
{
    int code = ty_client_open(client, &listing->client);

    if (code != TY_EXIT_OK)
        return code;
    code = list(listing);
    ty_client_close(listing->client);
    return code;
}
