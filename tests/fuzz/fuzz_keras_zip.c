/* Any bytes as a .keras file, as far as libzip and libjansson see it: archive, entries, configuration; the weights are
 * fuzz_model's. What is unpacked is never more than was allowed. */
#include <string.h>

#include "base/archive.h"
#include "fuzz.h"
#include "model/model_internal.h"

static void read_entries(struct archive *archive) {
    enum { LIMIT_BYTES = 1 << 22, MAX_ENTRIES = 64 };
    size_t n = archive_n_entries(archive), found;
    for (size_t i = 0; i < n && i < MAX_ENTRIES; i++) {
        struct buffer contents = {0};
        MUST(archive_find_entry(archive, archive_entry_name(archive, i), &found) && found <= i);
        if (archive_read_entry(archive, i, LIMIT_BYTES, &contents)) {
            MUST(!contents.data && strncmp(filtags_error_message(), "fuzz: ", 6) == 0);
            continue;
        }
        MUST(contents.size_bytes <= LIMIT_BYTES);
        if (strcmp(archive_entry_name(archive, i), "config.json") == 0) {
            struct graph graph = {0};
            if (model_build_graph("fuzz", contents.data, contents.size_bytes, false, 0, 0, &graph) == FILTAGS_OK)
                graph_destroy(&graph);
        }
        buffer_free(&contents);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct archive *archive = NULL;
    if (archive_open_bytes(data, size, "fuzz", &archive)) {
        MUST(!archive && strncmp(filtags_error_message(), "fuzz: ", 6) == 0);
        return 0;
    }
    read_entries(archive);
    archive_close(archive);
    return 0;
}
