/*
 * fuzz_json.c: any bytes as a body of usage events in JSON.
 */
#include "ingest/json_events.h"
#include "tests/fuzz/json_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ty_decode_error error = {0};
    struct ty_batch batch = {0};
    enum ty_decode_status status = ty_json_events_decode((const char *)data, size, &batch, &error);

    check_decoded(&batch, status, &error, size);
    ty_batch_fini(&batch);
    return 0;
}
