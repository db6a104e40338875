#include "query/range.h"

#include <stdio.h>

#include "engine/period.h"

#define SHOWN_MAX 40 /* bytes of a client's text that are repeated to it */

/* Text for a message: shortened, and without bytes that could upset a terminal or a log. */
static void show(struct ty_text text, char shown[SHOWN_MAX + 4])
{
    size_t length = TY_MIN(text.length, (size_t)SHOWN_MAX);

    for (size_t i = 0; i < length; i++)
        shown[i] = text.data[i] >= ' ' && text.data[i] <= '~' ? text.data[i] : '?';
    snprintf(shown + length, 4, "%s", text.length > length ? "..." : "");
}

static bool parse_end(tally_frequency frequency, const char *parameter, struct ty_text text,
                      int64_t *period, struct ty_range_problem *problem)
{
    const char *wrong = ty_period_parse(frequency, text.data, text.length, period);
    char shown[SHOWN_MAX + 4];

    if (wrong == NULL)
        return true;
    show(text, shown);
    problem->parameter = parameter;
    snprintf(problem->message, sizeof(problem->message), "'%s': %s; %s takes %s or more precision",
             shown, wrong, ty_frequency_name(frequency), ty_frequency_form(frequency));
    return false;
}

static void report_order(const struct ty_range *range, bool end_given,
                         struct ty_range_problem *problem)
{
    char first[TY_PERIOD_TEXT_BYTES], last[TY_PERIOD_TEXT_BYTES];

    ty_period_format(range->frequency, range->first, first);
    ty_period_format(range->frequency, range->last, last);
    problem->parameter = end_given ? "end" : "start";
    snprintf(problem->message, sizeof(problem->message),
             end_given ? "the end %s is before the start %s"
                       : "without an end the range ends with the current period %s, "
                         "which is before the start %s",
             last, first);
}

bool ty_range_parse(tally_frequency frequency, struct ty_text start, struct ty_text end,
                    int64_t now_ms, struct ty_range *range, struct ty_range_problem *problem)
{
    struct ty_range parsed = {.frequency = frequency};

    if (!parse_end(frequency, "start", start, &parsed.first, problem))
        return false;
    if (end.data == NULL)
        parsed.last = ty_period_of_ms(frequency, now_ms);
    else if (!parse_end(frequency, "end", end, &parsed.last, problem))
        return false;
    if (parsed.last < parsed.first) {
        report_order(&parsed, end.data != NULL, problem);
        return false;
    }
    *range = parsed;
    return true;
}

int64_t ty_range_count(const struct ty_range *range)
{
    return range->last - range->first + 1;
}
