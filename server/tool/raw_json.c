#include "server/tool/raw_json.h"

#include <stdlib.h>
#include <string.h>

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/* The end of the string whose opening quote is at `at`; NULL if it never closes. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '\\' && at + 1 < end)
            at++;
        else if (*at == '"')
            return at + 1;
    }
    return NULL;
}

/* The end of an array or object: where as many have been closed as opened. */
static const char *skip_nested(const char *at, const char *end)
{
    size_t depth = 0;

    while (at != NULL && at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            continue;
        }
        if (*at == '{' || *at == '[')
            depth++;
        else if (*at == '}' || *at == ']')
            depth--;
        at++;
        if (depth == 0)
            return at;
    }
    return NULL;
}

static const char *skip_value(const char *at, const char *end)
{
    if (at < end && *at == '"')
        return skip_string(at, end);
    if (at < end && (*at == '{' || *at == '['))
        return skip_nested(at, end);
    while (at < end && strchr(",]} \t\r\n", *at) == NULL)
        at++;
    return at;
}

struct ty_raw_json ty_raw_json_open(struct ty_text value)
{
    const char *end = value.data + value.length;
    const char *at = skip_space(value.data, end);

    if (at < end && (*at == '{' || *at == '['))
        return (struct ty_raw_json){at + 1, end};
    return (struct ty_raw_json){end, end};
}

bool ty_raw_json_next(struct ty_raw_json *parts, struct ty_text *name, struct ty_text *value)
{
    const char *end = parts->end, *at = skip_space(parts->at, end), *after;

    parts->at = end;
    *name = (struct ty_text){at, 0};
    if (at < end && *at == ',')
        at = skip_space(at + 1, end);
    after = skip_value(at, end);
    if (after == NULL || after == at)
        return false;
    *value = (struct ty_text){at, (size_t)(after - at)};
    at = skip_space(after, end);
    if (at < end && *at == ':') {
        *name = *value;
        at = skip_space(at + 1, end);
        after = skip_value(at, end);
        if (after == NULL || after == at)
            return false;
        *value = (struct ty_text){at, (size_t)(after - at)};
    }
    parts->at = after;
    return true;
}

bool ty_raw_json_member(struct ty_text object, const char *name, struct ty_text *value)
{
    struct ty_raw_json parts = ty_raw_json_open(object);
    size_t length = strlen(name);
    struct ty_text found;

    while (ty_raw_json_next(&parts, &found, value))
        if (found.length == length + 2 && memcmp(found.data + 1, name, length) == 0)
            return true;
    return false;
}

uint64_t ty_raw_json_number(struct ty_text object, const char *name)
{
    struct ty_text value;

    return ty_raw_json_member(object, name, &value) ? strtoull(value.data, NULL, 10) : 0;
}
