#include "server/http_head.h"

#include <string.h>
#include <strings.h>

static enum ty_http_fault_kind fail(const char **detail, enum ty_http_fault_kind kind,
                                    const char *text)
{
    *detail = text;
    return kind;
}

static bool text_is(struct ty_text text, const char *word)
{
    return text.length == strlen(word) && strncasecmp(text.data, word, text.length) == 0;
}

/* RFC 3986, section 3.2: a host, an IP literal in brackets, a port. Empty is allowed. */
static bool host_is_valid(struct ty_text host)
{
    for (size_t i = 0; i < host.length; i++) {
        char c = host.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) &&
            (c == '\0' || strchr("-._~%!$&'()*+,;=:[]", c) == NULL))
            return false;
    }
    return true;
}

static enum ty_http_fault_kind check_headers(struct ty_http_request *request, const char **detail)
{
    unsigned hosts = 0, codings = 0;

    for (size_t i = 0; i < request->header_count; i++) {
        const struct ty_http_header *header = &request->headers[i];

        if (text_is(header->name, "host")) {
            if (!host_is_valid(header->value))
                return fail(detail, TY_HTTP_FAULT_MALFORMED, "the Host header is not a host");
            hosts++;
        } else if (text_is(header->name, "transfer-encoding")) {
            if (request->is_http10 || codings++ > 0)
                return fail(detail, TY_HTTP_FAULT_MALFORMED,
                            "Transfer-Encoding is allowed once, and in HTTP/1.1 only");
            if (!text_is(header->value, "chunked"))
                return fail(detail, TY_HTTP_FAULT_CODING,
                            "the only transfer coding understood is chunked");
        } else if (text_is(header->name, "expect") && !request->is_http10) {
            if (!text_is(header->value, "100-continue"))
                return fail(detail, TY_HTTP_FAULT_EXPECTATION,
                            "the only expectation understood is 100-continue");
            request->expects_continue = true;
        }
    }
    if (hosts > 1 || (hosts == 0 && !request->is_http10))
        return fail(detail, TY_HTTP_FAULT_MALFORMED,
                    "an HTTP/1.1 request must have exactly one Host header");
    return TY_HTTP_FAULT_NONE;
}

/* Cuts "http://host" off an absolute-form target (RFC 9112, section 3.2.2). */
static bool cut_authority(struct ty_text *target)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < TY_COUNT_OF(schemes); i++) {
        size_t length = strlen(schemes[i]);

        if (target->length < length || strncasecmp(target->data, schemes[i], length) != 0)
            continue;
        while (length < target->length && target->data[length] != '/' &&
               target->data[length] != '?')
            length++;
        target->data += length;
        target->length -= length;
        return true;
    }
    return false;
}

static enum ty_http_fault_kind split_target(struct ty_http_request *request, struct ty_text target,
                                            const char **detail)
{
    const char *mark;

    if (target.length == 0)
        return fail(detail, TY_HTTP_FAULT_MALFORMED, "the request target is missing");
    if (memchr(target.data, '#', target.length) != NULL)
        return fail(detail, TY_HTTP_FAULT_MALFORMED,
                    "the request target must not have a fragment ('#')");
    if (target.data[0] != '/' && !text_is(target, "*") && !cut_authority(&target))
        return fail(detail, TY_HTTP_FAULT_MALFORMED,
                    "the request target must be a path or an http URL");
    mark = target.length == 0 ? NULL : memchr(target.data, '?', target.length);
    request->path = target;
    if (mark != NULL) {
        request->path.length = (size_t)(mark - target.data);
        request->query = (struct ty_text){mark + 1, target.length - request->path.length - 1};
    }
    if (request->path.length == 0)
        request->path = (struct ty_text){"/", 1};
    return TY_HTTP_FAULT_NONE;
}

enum ty_http_fault_kind ty_http_head_finish(struct ty_http_request *request, struct ty_text target,
                                            const char **detail)
{
    enum ty_http_fault_kind kind = split_target(request, target, detail);

    return kind != TY_HTTP_FAULT_NONE ? kind : check_headers(request, detail);
}
