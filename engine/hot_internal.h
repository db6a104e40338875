/*
 * hot_internal.h: what the files of the hot totals share. Not for others.
 */
#ifndef TY_ENGINE_HOT_INTERNAL_H
#define TY_ENGINE_HOT_INTERNAL_H

#include "engine/hot.h"

/* Takes a month off the list of those that the commit being built stores; NULL: there is none. */
struct ty_month_node *ty_hot_take_writing(struct ty_hot *hot);

#endif
