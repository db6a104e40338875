#include "engine/error.h"

#include <stdarg.h>
#include <stdio.h>

tally_status ty_fail(tally_error *error, tally_status status, const char *format, ...)
{
    va_list arguments;

    if (error != NULL) {
        va_start(arguments, format);
        vsnprintf(error->message, sizeof(error->message), format, arguments);
        va_end(arguments);
    }
    return status;
}
