/* Any text as a run.json is either refused, by a message that names the file, or gives a record in its ranges. */
#include <string.h>

#include "fuzz.h"
#include "store/run_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct run_record record = {0};
    char vars_path[256];
    bool is_found = false;
    const char *path = fuzz_file("2026-01-01-0000-QFA-net-run.json", data, size);
    size_t n = strlen(path) - strlen("-run.json");
    memcpy(vars_path, path, n);
    strcpy(vars_path + n, "-vars.pkl");
    if (run_file_read_beside(vars_path, &record, &is_found)) {
        MUST(!record.command && !record.layer_names && strncmp(filtags_error_message(), path, strlen(path)) == 0);
        return 0;
    }
    MUST(is_found);
    for (size_t i = 0; i < record.n_layers; i++)
        MUST(record.layer_names[i] && record.layer_sizes[i] > 0 && record.layer_sizes[i] <= 1 << 24);
    for (int i = 0; i < 3; i++) MUST(record.size[i] <= 1 << 24);
    MUST(record.n_outputs <= 1 << 24);
    MUST(!record.has_split || (record.split >= 0 && record.split <= 1));
    run_record_free(&record);
    return 0;
}
