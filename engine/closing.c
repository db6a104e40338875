#include "engine/closing.h"

struct ty_closed *ty_closings_change(struct ty_closings *closings,
                                     struct ty_closed_customer *customer)
{
    if (!customer->changed) {
        customer->changed = true;
        customer->next_changed = closings->changed;
        closings->changed = customer;
    }
    return &customer->working;
}

struct ty_closed_customer *ty_closings_take(struct ty_closings *closings, bool keep)
{
    struct ty_closed_customer *customer = closings->changed;

    if (customer == NULL)
        return NULL;
    closings->changed = customer->next_changed;
    customer->changed = false;
    if (keep)
        customer->stored = customer->working;
    else
        customer->working = customer->stored;
    return customer;
}
