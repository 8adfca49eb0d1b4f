/* Step 2's file of tags: its three readers (whole, compact, one value after the other) refuse the same files and find
 * the same tags in the others. The first byte chooses between our variables' names and the published script's. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "steps/tag_file.h"

static uint64_t hash_text(uint64_t hash, const void *text, size_t n) {
    const uint8_t *bytes = text;
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* What is found of one value of k or q. The sum over all values doesn't depend on their order. */
static uint64_t start_selector(struct selector selector) {
    uint64_t hash = hash_text(UINT64_C(0xcbf29ce484222325), &selector.rule, sizeof selector.rule);
    return hash_text(hash, &selector.value, sizeof selector.value);
}

static uint64_t add_label(uint64_t hash, const struct tag_file *file, size_t filter, size_t label) {
    MUST(label < file->n_labels);
    hash = hash_text(hash, &filter, sizeof filter);
    return hash_text(hash, file->labels[label], strlen(file->labels[label]) + 1);
}

static uint64_t sum_table(const struct tag_file *file, struct selector selector, const struct tag_table *tags) {
    uint64_t hash = start_selector(selector);
    MUST(tags->n_filters == filter_table_n_filters(&file->table) && tags->offset[0] == 0);
    for (size_t f = 0; f < tags->n_filters; f++) {
        MUST(tags->offset[f] <= tags->offset[f + 1]);
        for (uint64_t i = tags->offset[f]; i < tags->offset[f + 1]; i++)
            hash = add_label(hash, file, f, tags->labels[i]);
    }
    return hash;
}

static uint64_t sum_ranks(const struct tag_file *file, struct selector selector) {
    uint64_t hash = start_selector(selector);
    uint32_t *columns = malloc((file->n_labels + 1) * sizeof *columns);
    MUST(columns && file->ranks.n_classes == file->n_labels);
    for (size_t layer = 0; layer < file->table.n_layers; layer++) {
        size_t n = filtags_selection_size(selector.rule, selector.value, file->table.n_filters[layer]);
        for (size_t f = file->table.first[layer]; f < file->table.first[layer + 1]; f++) {
            size_t n_tags = class_ranks_tags(&file->ranks, f, n, columns);
            for (size_t i = 0; i < n_tags; i++) hash = add_label(hash, file, f, file->columns[columns[i]]);
        }
    }
    free(columns);
    return hash;
}

static uint64_t sum_file(const struct tag_file *file) {
    uint64_t sum = 0;
    MUST(file->n_selectors > 0 && file->n_k <= file->n_selectors);
    for (size_t s = 0; s < file->n_selectors; s++) {
        MUST((file->selectors[s].rule == FILTAGS_RULE_K) == (s < file->n_k));
        sum += file->is_ranked ? sum_ranks(file, file->selectors[s])
                               : sum_table(file, file->selectors[s], &file->tags[s]);
    }
    return sum;
}

static filtags_status sum_visited(void *context, const struct tag_file *file, struct selector selector,
                                  const struct tag_table *tags) {
    *(uint64_t *)context += sum_table(file, selector, tags);
    return FILTAGS_OK;
}

static const char *write_files(const uint8_t *data, size_t size) {
    static const char ours[] = "(lp0\nVfilTags_k\naVfilTags_q\na.";
    static const char published[] = "(lp0\nVlabels_filters: of k\naVlabels_filters_per: of q\na.";
    if (data[0] % 2) fuzz_file("x-vars-names.pkl", published, sizeof published - 1);
    else fuzz_file("x-vars-names.pkl", ours, sizeof ours - 1);
    return fuzz_file("x-vars.pkl", data + 1, size - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct number_list all = {0};
    struct step step = {0};
    struct tag_file whole = {0}, compact = {0};
    uint64_t sum_each = 0;
    if (size < 2) return 0;
    const char *path = write_files(data, size);
    filtags_status status = tag_file_open(&step, path, &all, &whole);
    if (status) MUST(!whole.labels && strncmp(filtags_error_message(), path, strlen(path)) == 0);
    filtags_status status_compact = tag_file_open_compact(&step, path, &all, &compact);
    filtags_status status_each = tag_file_each(&step, path, &all, sum_visited, &sum_each);
    MUST(status == status_compact && status == status_each);
    if (!status) {
        uint64_t sum = sum_file(&whole);
        MUST(sum == sum_each && sum == sum_file(&compact));
    }
    tag_file_close(&whole);
    tag_file_close(&compact);
    buffer_free(&step.early_warnings);
    return 0;
}
