/*
 * void_request.h: the body of POST /v1/events/void.
 *
 *     {"customer_id":"...","ids":["job-1",{"id":"job-2","source":"/workflows"}],"reason":"..."}
 *
 * Threads: pure functions; the arena has one owner.
 */
#ifndef TY_INGEST_VOID_REQUEST_H
#define TY_INGEST_VOID_REQUEST_H

#include "engine/arena.h"
#include "engine/void.h"

#define TY_VOID_REQUEST_IDS_MAX ((size_t)10000)

struct ty_void_id {
    struct ty_text id;
    struct ty_text source; /* empty unless it was given */
};

/* Texts are borrowed from the body, or lie in the arena. */
struct ty_void_request {
    struct ty_uuid customer;
    struct ty_void_id *ids;
    size_t count;
    struct ty_text reason;
};

struct ty_void_problem {
    const char *member; /* the one that is wrong; NULL: the body is no JSON object */
    char message[200];
};

enum ty_void_parse { TY_VOID_PARSED, TY_VOID_WRONG, TY_VOID_NO_MEMORY };

/* ty_void_request_parse reads a body; with TY_VOID_WRONG *problem says what is wrong and what is
 * allowed. Members that it does not know are ignored. */
enum ty_void_parse ty_void_request_parse(const char *data, size_t length, struct ty_arena *arena,
                                         struct ty_void_request *request,
                                         struct ty_void_problem *problem);

#endif
