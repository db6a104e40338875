#include "ingest/void_request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ingest/json_record.h"

struct parse {
    struct ty_json json;
    struct ty_arena *arena;
    struct ty_void_request *request;
    struct ty_void_problem *problem;
    bool no_memory;
    bool has_customer, has_ids, has_reason;
    size_t capacity; /* of request->ids */
};

__attribute__((format(printf, 3, 4))) static bool wrong(struct parse *parse, const char *member,
                                                        const char *format, ...)
{
    va_list arguments;

    parse->problem->member = member;
    va_start(arguments, format);
    vsnprintf(parse->problem->message, sizeof(parse->problem->message), format, arguments);
    va_end(arguments);
    return false;
}

static bool no_memory(struct parse *parse)
{
    parse->no_memory = true;
    return false;
}

/* Takes a text of 1 (`empty`: 0) to bytes_max bytes without U+0000. */
static bool read_text(struct parse *parse, const char *member, size_t bytes_max, bool empty,
                      struct ty_text *text)
{
    struct ty_json_string string;
    char *room;

    if (ty_json_peek(&parse->json) != TY_JSON_STRING)
        return wrong(parse, member, "a text of at most %zu bytes is allowed", bytes_max);
    if (!ty_json_string(&parse->json, &string))
        return false;
    *text = string.raw;
    if (string.escaped) {
        room = ty_arena_alloc(parse->arena, string.raw.length);
        if (room == NULL)
            return no_memory(parse);
        *text = (struct ty_text){room, ty_json_unescape(&string, room)};
    }
    if (text->length > bytes_max || (text->length == 0 && !empty))
        return wrong(parse, member, "%zu bytes; a text of %d to %zu bytes is allowed", text->length,
                     empty ? 0 : 1, bytes_max);
    if (text->length != 0 && memchr(text->data, '\0', text->length) != NULL)
        return wrong(parse, member, "U+0000 is not allowed");
    return true;
}

static bool is_name(const struct ty_json_string *name, const char *wanted)
{
    char room[TY_JSON_NAME_BYTES_MAX];
    struct ty_text text = ty_json_record_name(name, room);

    return text.length == strlen(wanted) && memcmp(text.data, wanted, text.length) == 0;
}

static bool read_id_member(struct parse *parse, const struct ty_json_string *name,
                           struct ty_void_id *id, bool *has_source)
{
    if (is_name(name, "id")) {
        if (id->id.data != NULL)
            return wrong(parse, "ids", "an object has two members 'id'");
        return read_text(parse, "ids", TALLY_ID_BYTES_MAX, false, &id->id);
    }
    if (!is_name(name, "source"))
        return ty_json_skip(&parse->json);
    if (*has_source)
        return wrong(parse, "ids", "an object has two members 'source'");
    *has_source = true;
    return read_text(parse, "ids", TALLY_SOURCE_BYTES_MAX, true, &id->source);
}

static bool read_id_object(struct parse *parse, struct ty_void_id *id)
{
    struct ty_json_string name;
    enum ty_json_step step;
    bool has_source = false;

    ty_json_enter(&parse->json);
    for (bool first = true;
         (step = ty_json_next_member(&parse->json, first, &name)) == TY_JSON_ITEM; first = false)
        if (!read_id_member(parse, &name, id, &has_source))
            return false;
    if (step == TY_JSON_CLOSED && id->id.data == NULL)
        return wrong(parse, "ids", "an object has no member 'id'");
    return step == TY_JSON_CLOSED;
}

static struct ty_void_id *add_id(struct parse *parse)
{
    struct ty_void_request *request = parse->request;
    size_t capacity = TY_MAX(parse->capacity * 2, (size_t)16);
    struct ty_void_id *ids;

    if (request->count == parse->capacity) {
        ids = ty_arena_alloc(parse->arena, capacity * sizeof(*ids));
        if (ids == NULL)
            return NULL;
        if (request->count != 0)
            memcpy(ids, request->ids, request->count * sizeof(*ids));
        request->ids = ids;
        parse->capacity = capacity;
    }
    request->ids[request->count] = (struct ty_void_id){0};
    return &request->ids[request->count++];
}

static bool read_id(struct parse *parse)
{
    enum ty_json_kind kind = ty_json_peek(&parse->json);
    struct ty_void_id *id;

    if (parse->request->count == TY_VOID_REQUEST_IDS_MAX)
        return wrong(parse, "ids", "more than %zu", TY_VOID_REQUEST_IDS_MAX);
    id = add_id(parse);
    if (id == NULL)
        return no_memory(parse);
    if (kind == TY_JSON_OBJECT)
        return read_id_object(parse, id);
    return read_text(parse, "ids", TALLY_ID_BYTES_MAX, false, &id->id);
}

static bool read_ids(struct parse *parse)
{
    enum ty_json_step step;

    if (ty_json_peek(&parse->json) != TY_JSON_ARRAY)
        return wrong(parse, "ids",
                     "an array of ids is allowed, each a text, or an object with id "
                     "and source");
    ty_json_enter(&parse->json);
    for (bool first = true; (step = ty_json_next_element(&parse->json, first)) == TY_JSON_ITEM;
         first = false)
        if (!read_id(parse))
            return false;
    return step == TY_JSON_CLOSED;
}

static bool read_customer(struct parse *parse)
{
    struct ty_text text;

    if (!read_text(parse, "customer_id", TY_UUID_TEXT_LENGTH, true, &text))
        return false;
    if (ty_uuid_parse(text.data, text.length, &parse->request->customer))
        return true;
    return wrong(parse, "customer_id",
                 "not a UUID (36 characters, like 6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c)");
}

static bool read_once(struct parse *parse, const char *member, bool *has)
{
    if (*has)
        return wrong(parse, member, "given more than once");
    *has = true;
    return true;
}

static bool read_member(struct parse *parse, const struct ty_json_string *name)
{
    if (is_name(name, "customer_id"))
        return read_once(parse, "customer_id", &parse->has_customer) && read_customer(parse);
    if (is_name(name, "ids"))
        return read_once(parse, "ids", &parse->has_ids) && read_ids(parse);
    if (is_name(name, "reason"))
        return read_once(parse, "reason", &parse->has_reason) &&
               read_text(parse, "reason", TY_VOID_REASON_BYTES_MAX, false, &parse->request->reason);
    return ty_json_skip(&parse->json);
}

static bool has_all(struct parse *parse)
{
    if (!parse->has_customer)
        return wrong(parse, "customer_id", "required: whose events they are (a UUID)");
    if (!parse->has_ids)
        return wrong(parse, "ids",
                     "required: an array of ids, each a text, or an object with id "
                     "and source");
    if (!parse->has_reason)
        return wrong(parse, "reason", "required: why they do not count (a text of 1 to %zu bytes)",
                     TY_VOID_REASON_BYTES_MAX);
    return true;
}

static bool read_all(struct parse *parse)
{
    struct ty_json_string name;
    enum ty_json_step step;

    ty_json_skip_mark(&parse->json);
    if (ty_json_peek(&parse->json) != TY_JSON_OBJECT)
        return parse->json.error == NULL && wrong(parse, NULL, "an object is allowed");
    ty_json_enter(&parse->json);
    for (bool first = true;
         (step = ty_json_next_member(&parse->json, first, &name)) == TY_JSON_ITEM; first = false)
        if (!read_member(parse, &name))
            return false;
    return step == TY_JSON_CLOSED && ty_json_end(&parse->json) && has_all(parse);
}

enum ty_void_parse ty_void_request_parse(const char *data, size_t length, struct ty_arena *arena,
                                         struct ty_void_request *request,
                                         struct ty_void_problem *problem)
{
    struct parse parse = {.arena = arena, .request = request, .problem = problem};

    *request = (struct ty_void_request){0};
    *problem = (struct ty_void_problem){0};
    ty_json_init(&parse.json, data, length);
    if (read_all(&parse))
        return TY_VOID_PARSED;
    if (parse.no_memory)
        return TY_VOID_NO_MEMORY;
    if (parse.json.error != NULL)
        (void)wrong(&parse, NULL, "%s (at byte %zu)", parse.json.error, parse.json.error_byte);
    return TY_VOID_WRONG;
}
