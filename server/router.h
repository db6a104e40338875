/*
 * router.h: method and path to a route, and the parameters of both path and query.
 *
 * Threads: pure functions.
 */
#ifndef TY_SERVER_ROUTER_H
#define TY_SERVER_ROUTER_H

#include "server/http_message.h"

#define TY_ROUTE_PARAMETERS_MAX 4
#define TY_ROUTE_PATH_MAX       1024 /* bytes of a path; a longer one matches nothing */

/* A pattern's segments are literal, or "{}" for one that is handed to the route. */
struct ty_route {
    const char *pattern;
    enum ty_http_method method; /* TY_HTTP_GET takes HEAD too */
    int id;                     /* the caller's */
};

struct ty_match {
    const struct ty_route *route; /* NULL: see allow */
    const char *allow;            /* the Allow header's value when only the method was wrong */
    struct ty_text parameters[TY_ROUTE_PARAMETERS_MAX]; /* decoded, in `text` */
    size_t parameter_count;
    char text[TY_ROUTE_PATH_MAX];
};

/* ty_router_match finds the route of a request. No route and no allow: 404. */
void ty_router_match(const struct ty_route *routes, size_t count,
                     const struct ty_http_request *request, struct ty_match *match);

/* A parameter of the query string. */
enum ty_query_result {
    TY_QUERY_ABSENT,
    TY_QUERY_FOUND,
    TY_QUERY_REPEATED, /* it is there more than once */
    TY_QUERY_MALFORMED /* its percent-encoding is */
};

/*
 * ty_query_find looks for a parameter (its name as it is written in the query, percent-encoding
 * allowed) and decodes its value into `buffer`; *value borrows it. '+' is literal. A value longer
 * than the buffer counts as malformed.
 */
enum ty_query_result ty_query_find(struct ty_text query, const char *name, char *buffer,
                                   size_t buffer_size, struct ty_text *value);

#endif
