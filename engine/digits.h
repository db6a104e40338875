/*
 * digits.h: numbers of a fixed width, as dates and times are written.
 *
 * Threads: pure functions.
 */
#ifndef TY_ENGINE_DIGITS_H
#define TY_ENGINE_DIGITS_H

/* ty_put_digits writes the last `count` decimal digits of a number, with leading zeros; it returns
 * where they end. There is no NUL. */
static inline char *ty_put_digits(char *at, unsigned number, unsigned count)
{
    for (unsigned i = count; i-- > 0; number /= 10)
        at[i] = (char)('0' + number % 10);
    return at + count;
}

#endif
