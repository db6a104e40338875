/*
 * http_head.h: what RFC 9112 asks of a request's head beyond its framing. For the parser.
 */
#ifndef TY_SERVER_HTTP_HEAD_H
#define TY_SERVER_HTTP_HEAD_H

#include "server/http_parser.h"

/*
 * ty_http_head_finish splits `target` into the path and query of the request, and checks Host,
 * Transfer-Encoding and Expect (is_http10 and the headers must be set). Returns what is wrong, with
 * a constant text in `detail`, or TY_HTTP_FAULT_NONE.
 */
enum ty_http_fault_kind ty_http_head_finish(struct ty_http_request *request, struct ty_text target,
                                            const char **detail);

#endif
