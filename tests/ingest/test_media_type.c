#include "ingest/media_type.h"

#include <criterion/criterion.h>
#include <string.h>

static struct ty_text text(const char *value)
{
    return (struct ty_text){value, value == NULL ? 0 : strlen(value)};
}

/* Clients add parameters and write types in any case; refusing those turns good requests away. */
Test(media_type, case_and_parameters_do_not_matter)
{
    static const struct {
        const char *value;
        bool is;
    } cases[] = {
        {"application/json", true},
        {"Application/JSON", true},
        {"application/json;charset=utf-8", true},
        {"application/json \t; charset=\"a;b\"", true},
        {"application/json;", true},
        {"application/jso", false},
        {"application/jsonl", false},
        {"xapplication/json", false},
        {"application/json x", false},
        {"application/cloudevents+json", false},
        {"", false},
        {";", false},
        {NULL, false},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        cr_assert_eq(ty_media_type_is(text(cases[i].value), "application/json"), cases[i].is, "%s",
                     cases[i].value);
}

/* The data of a CloudEvent is read as JSON exactly when its type says that it is. */
Test(media_type, json_is_a_subtype_or_a_suffix)
{
    static const struct {
        const char *value;
        bool is;
    } cases[] = {
        {"application/json", true},
        {"text/json", true},
        {"application/vnd.usage+json; v=1", true},
        {"APPLICATION/PROBLEM+JSON", true},
        {"json", false},
        {"+json", false},
        {"/json", false},
        {"application/", false},
        {"application/+json", false},
        {"application/xjson", false},
        {"application/json-seq", false},
        {"application/x-ndjson", false},
        {"application/xml; a=/json", false},
        {"", false},
        {NULL, false},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        cr_assert_eq(ty_media_type_is_json(text(cases[i].value)), cases[i].is, "%s",
                     cases[i].value);
}
