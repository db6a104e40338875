#include "ingest/media_type.h"

#include <string.h>
#include <strings.h>

/* The type and subtype alone. */
static struct ty_text without_parameters(struct ty_text value)
{
    const char *end = value.length == 0 ? NULL : memchr(value.data, ';', value.length);

    if (end != NULL)
        value.length = (size_t)(end - value.data);
    while (value.length > 0 &&
           (value.data[value.length - 1] == ' ' || value.data[value.length - 1] == '\t'))
        value.length--;
    return value;
}

static bool ends_in(struct ty_text text, const char *end)
{
    size_t length = strlen(end);

    return text.length >= length && strncasecmp(text.data + text.length - length, end, length) == 0;
}

bool ty_media_type_is(struct ty_text value, const char *type)
{
    value = without_parameters(value);
    return value.length == strlen(type) && ends_in(value, type);
}

bool ty_media_type_is_json(struct ty_text value)
{
    const char *slash;

    value = without_parameters(value);
    slash = value.length == 0 ? NULL : memchr(value.data, '/', value.length);
    if (slash == NULL || slash == value.data)
        return false;
    return ends_in(value, "/json") || (ends_in(value, "+json") && !ends_in(value, "/+json"));
}
