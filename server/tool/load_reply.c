#include "server/tool/load_reply.h"

#include "engine/base.h"

#include <stdlib.h>
#include <string.h>

static const char ack_head[] = "\x81\xa3"
                               "ack"
                               "\xb0"; /* a map of one, "ack", 16 bytes of text */

/* The number behind a text within a range that a zero byte need not end; false: it is not there. */
static bool number_behind(const char *data, size_t length, const char *text, uint64_t *number)
{
    size_t text_length = strlen(text);
    const char *found = memmem(data, length, text, text_length), *end = data + length;

    if (found == NULL)
        return false;
    *number = 0;
    for (const char *at = found + text_length; at < end && *at >= '0' && *at <= '9'; at++)
        *number = *number * 10 + (uint64_t)(*at - '0');
    return true;
}

size_t ty_load_reply_http(const char *data, size_t length, struct ty_load_reply *reply)
{
    static const char version[] = "HTTP/1.1 ";
    const char *head_end = memmem(data, length, "\r\n\r\n", 4);
    size_t head;
    uint64_t body = 0;

    if (head_end == NULL)
        return 0;
    head = (size_t)(head_end - data) + 4;
    if (memcmp(data, version, TY_MIN(head, strlen(version))) != 0)
        return TY_LOAD_REPLY_BROKEN;
    reply->status = atoi(data + strlen(version));
    if (!number_behind(data, head, "\r\nContent-Length: ", &body))
        return TY_LOAD_REPLY_BROKEN;
    if (length - head < body)
        return 0;
    reply->accepted = reply->duplicates = 0;
    if (reply->status == 200 &&
        (!number_behind(data + head, body, "{\"accepted\":", &reply->accepted) ||
         !number_behind(data + head, body, ",\"duplicates\":", &reply->duplicates)))
        return TY_LOAD_REPLY_BROKEN;
    return head + body;
}

size_t ty_load_reply_ack(const char *data, size_t length, struct ty_load_reply *reply)
{
    const size_t head = sizeof(ack_head) - 1, whole = head + sizeof(reply->chunk);

    if (memcmp(data, ack_head, TY_MIN(length, head)) != 0)
        return TY_LOAD_REPLY_BROKEN;
    if (length < whole)
        return 0;
    memcpy(reply->chunk, data + head, sizeof(reply->chunk));
    return whole;
}
