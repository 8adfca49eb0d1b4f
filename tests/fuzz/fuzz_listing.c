/* Any text is either refused or gives tags that are written as a listing, which gives the same tags again. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "steps/listing_file.h"

static filtags_status read_text(const char *text, size_t n_bytes, struct listing_file *listing) {
    static const struct number_list all_values;
    struct step step = {0};
    filtags_status status = listing_memory_open(&step, text, n_bytes, "fuzz", &all_values, listing);
    buffer_free(&step.early_warnings);
    return status;
}

static void check(const struct listing_file *listing) {
    const struct tag_file *tags = &listing->tags;
    size_t n_filters = tags->table.first[tags->table.n_layers];
    if (tags->n_selectors == 0 || tags->n_k > tags->n_selectors) abort();
    for (size_t s = 0; s < tags->n_selectors; s++) {
        if (tags->tags[s].n_filters != n_filters || tags->tags[s].offset[0] != 0) abort();
        if ((tags->selectors[s].rule == FILTAGS_RULE_K) != (s < tags->n_k)) abort();
        for (size_t i = 0; i < tags->tags[s].offset[n_filters]; i++) {
            if (tags->tags[s].labels[i] >= tags->n_labels) abort();
        }
    }
}

static char *write_text(const struct listing_file *listing, size_t *n_bytes) {
    char *text = NULL;
    FILE *stream = open_memstream(&text, n_bytes);
    if (!stream || listing_write(stream, "fuzz", &listing->tags, (const char *const *)listing->tags.labels,
                                 (const char *const *)listing->layer_names))
        abort();
    fclose(stream);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct listing_file listing = {0}, again = {0};
    if (read_text((const char *)data, size, &listing)) {
        if (listing.tags.labels || strncmp(filtags_error_message(), "fuzz: line ", 11)) abort();
        return 0;
    }
    check(&listing);
    size_t n_bytes, n_again;
    char *text = write_text(&listing, &n_bytes);
    if (read_text(text, n_bytes, &again)) abort();
    check(&again);
    char *text_again = write_text(&again, &n_again);
    if (n_bytes != n_again || memcmp(text, text_again, n_bytes)) abort();
    free(text);
    free(text_again);
    listing_file_close(&listing);
    listing_file_close(&again);
    return 0;
}
