/*
 * fuzz_void.c: any bytes as the body of POST /v1/events/void. What is taken is within the limits
 * and is said again in the same words by a body that is put together from it.
 */
#include "engine/buffer.h"
#include "ingest/void_request.h"
#include "tests/fuzz/json_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const struct ty_void_request *request)
{
    TY_ASSERT(request->count <= TY_VOID_REQUEST_IDS_MAX);
    check_text(request->reason, 1, TY_VOID_REASON_BYTES_MAX);
    for (size_t i = 0; i < request->count; i++) {
        check_text(request->ids[i].id, 1, TALLY_ID_BYTES_MAX);
        check_text(request->ids[i].source, 0, TALLY_SOURCE_BYTES_MAX);
    }
}

static void check_problem(const struct ty_void_problem *problem)
{
    size_t length = strnlen(problem->message, sizeof(problem->message));

    TY_ASSERT(length < sizeof(problem->message));
    check_text((struct ty_text){problem->message, length}, 1, sizeof(problem->message));
}

static void say_again(const struct ty_void_request *request, struct ty_buffer *body)
{
    char customer[TY_UUID_TEXT_LENGTH];

    ty_uuid_format(&request->customer, customer);
    ty_buffer_append_format(body, "{\"customer_id\":\"%.*s\",\"reason\":", TY_UUID_TEXT_LENGTH,
                            customer);
    ty_buffer_append_json(body, request->reason);
    ty_buffer_append_text(body, ",\"ids\":[");
    for (size_t i = 0; i < request->count; i++) {
        ty_buffer_append_text(body, i == 0 ? "{\"source\":" : ",{\"source\":");
        ty_buffer_append_json(body, request->ids[i].source);
        ty_buffer_append_text(body, ",\"id\":");
        ty_buffer_append_json(body, request->ids[i].id);
        ty_buffer_append_char(body, '}');
    }
    ty_buffer_append_text(body, "]}");
}

static bool is_same(struct ty_text a, struct ty_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static void check_again(const struct ty_void_request *request, struct ty_arena *arena)
{
    struct ty_void_request again = {0};
    struct ty_void_problem problem = {0};
    struct ty_buffer body = {0};

    say_again(request, &body);
    TY_ASSERT(ty_buffer_ok(&body));
    TY_ASSERT(ty_void_request_parse(body.data, body.length, arena, &again, &problem) ==
              TY_VOID_PARSED);
    TY_ASSERT(ty_uuid_compare(&again.customer, &request->customer) == 0);
    TY_ASSERT(is_same(again.reason, request->reason) && again.count == request->count);
    for (size_t i = 0; i < again.count; i++)
        TY_ASSERT(is_same(again.ids[i].id, request->ids[i].id) &&
                  is_same(again.ids[i].source, request->ids[i].source));
    ty_buffer_fini(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ty_void_request request = {0};
    struct ty_void_problem problem = {0};
    struct ty_arena arena = {0};

    if (ty_void_request_parse((const char *)data, size, &arena, &request, &problem) ==
        TY_VOID_PARSED) {
        check_request(&request);
        check_again(&request, &arena);
    } else {
        check_problem(&problem);
    }
    ty_arena_fini(&arena);
    return 0;
}
