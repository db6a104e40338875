#include "engine/base.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void ty_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "level=fatal event=assertion_failed condition=\"%s\" at=%s:%d\n", condition,
            file, line);
    abort();
}
