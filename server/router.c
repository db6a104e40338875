#include "server/router.h"

#include <string.h>

#include "ingest/percent.h"

#define SEGMENTS_MAX 16 /* more than any pattern has */

/* The next segment of "/a/b/c", without its slash; false at the end. */
static bool next_segment(const char **at, const char *end, struct ty_text *segment)
{
    const char *start;

    if (*at == end || **at != '/')
        return false;
    start = ++*at;
    while (*at != end && **at != '/')
        ++*at;
    *segment = (struct ty_text){.data = start, .length = (size_t)(*at - start)};
    return true;
}

static bool is_parameter(struct ty_text segment)
{
    return segment.length == 2 && memcmp(segment.data, "{}", 2) == 0;
}

static bool is_equal(struct ty_text a, struct ty_text b)
{
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

/* A path, its segments decoded. */
struct path {
    struct ty_text segments[SEGMENTS_MAX];
    size_t count;
};

/* False: no pattern can match it. */
static bool decode(struct ty_text text, char buffer[TY_ROUTE_PATH_MAX], struct path *path)
{
    const char *at = text.data, *end = text.data + text.length;
    struct ty_text segment;
    size_t used = 0, length;

    path->count = 0;
    while (next_segment(&at, end, &segment)) {
        if (path->count == SEGMENTS_MAX || segment.length > TY_ROUTE_PATH_MAX - used ||
            !ty_percent_decode(segment, buffer + used, &length))
            return false;
        path->segments[path->count++] = (struct ty_text){buffer + used, length};
        used += length;
    }
    return at == end;
}

static bool matches(const char *pattern, const struct path *path, struct ty_match *match)
{
    const char *at = pattern, *end = pattern + strlen(pattern);
    struct ty_text wanted;
    size_t i = 0;

    match->parameter_count = 0;
    for (; next_segment(&at, end, &wanted); i++) {
        if (i == path->count)
            return false;
        if (is_parameter(wanted))
            match->parameters[match->parameter_count++] = path->segments[i];
        else if (!is_equal(wanted, path->segments[i]))
            return false;
    }
    return i == path->count;
}

static bool takes(const struct ty_route *route, enum ty_http_method method)
{
    return route->method == method || (route->method == TY_HTTP_GET && method == TY_HTTP_HEAD);
}

/* The Allow header for the methods that the routes of a path take, found one after the other. */
static const char *also_allow(const char *allow, enum ty_http_method method)
{
    const char *one = method == TY_HTTP_GET ? "GET, HEAD" : "POST";

    return allow == NULL || strcmp(allow, one) == 0 ? one : "GET, HEAD, POST";
}

void ty_router_match(const struct ty_route *routes, size_t count,
                     const struct ty_http_request *request, struct ty_match *match)
{
    struct path path;

    match->route = NULL;
    match->allow = NULL;
    if (!decode(request->path, match->text, &path))
        return;
    for (size_t i = 0; i < count; i++) {
        if (!matches(routes[i].pattern, &path, match))
            continue;
        if (takes(&routes[i], request->method)) {
            match->route = &routes[i];
            return;
        }
        match->allow = also_allow(match->allow, routes[i].method);
    }
}

static bool is_name(struct ty_text text, const char *name)
{
    char decoded[64];
    size_t length;

    return text.length <= sizeof(decoded) && ty_percent_decode(text, decoded, &length) &&
           length == strlen(name) && memcmp(decoded, name, length) == 0;
}

enum ty_query_result ty_query_find(struct ty_text query, const char *name, char *buffer,
                                   size_t buffer_size, struct ty_text *value)
{
    const char *at = query.data, *end = at + query.length;
    enum ty_query_result result = TY_QUERY_ABSENT;

    while (at != NULL && at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        const char *pair_end = stop == NULL ? end : stop;
        const char *equals = memchr(at, '=', (size_t)(pair_end - at));
        const char *name_end = equals == NULL ? pair_end : equals;

        if (is_name((struct ty_text){at, (size_t)(name_end - at)}, name)) {
            const char *start = equals == NULL ? pair_end : equals + 1;
            struct ty_text raw = {start, (size_t)(pair_end - start)};

            if (result != TY_QUERY_ABSENT)
                return TY_QUERY_REPEATED;
            if (raw.length > buffer_size || !ty_percent_decode(raw, buffer, &value->length))
                return TY_QUERY_MALFORMED;
            value->data = buffer;
            result = TY_QUERY_FOUND;
        }
        at = stop == NULL ? NULL : stop + 1;
    }
    return result;
}
