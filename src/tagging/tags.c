#include "tagging/tags.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

filtags_status filter_table_create(const size_t *n_filters, size_t n_layers, struct filter_table *table) {
    struct filter_table created = {.n_layers = n_layers};
    created.n_filters = memory_new(n_layers, sizeof *created.n_filters);
    created.first = memory_new(n_layers + 1, sizeof *created.first);
    if (!created.n_filters || !created.first) {
        filter_table_free(&created);
        return FILTAGS_ERROR_MEMORY;
    }
    for (size_t i = 0; i < n_layers; i++) {
        created.n_filters[i] = n_filters[i];
        created.first[i + 1] = created.first[i] + n_filters[i];
    }
    *table = created;
    return FILTAGS_OK;
}

void filter_table_free(struct filter_table *table) {
    if (!table) return;
    free(table->n_filters);
    free(table->first);
    *table = (struct filter_table){0};
}

float class_activation(int64_t sum, uint64_t n_images) { return (float)((double)sum / (double)n_images * 0x1p-31); }

void tag_table_free(struct tag_table *tags) {
    if (!tags) return;
    free(tags->offset);
    free(tags->labels);
    *tags = (struct tag_table){0};
}
