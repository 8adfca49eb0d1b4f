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

/* Selections for one layer of one class. */
struct selection {
    double *activations; /* [most filters of a layer] */
    uint32_t *filters;   /* [most filters of a layer] */
};

static filtags_status selection_create(const struct filter_table *table, struct selection *selection) {
    size_t n_most = 0;
    for (size_t i = 0; i < table->n_layers; i++) n_most = table->n_filters[i] > n_most ? table->n_filters[i] : n_most;
    selection->activations = memory_new(n_most, sizeof *selection->activations);
    selection->filters = memory_new(n_most, sizeof *selection->filters);
    return selection->activations && selection->filters ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

static void selection_free(struct selection *selection) {
    free(selection->activations);
    free(selection->filters);
}

static size_t select_floats(struct selection *selection, struct selector selector, const float *activations,
                            size_t n_filters) {
    for (size_t i = 0; i < n_filters; i++) selection->activations[i] = activations[i];
    return filtags_select(selector.rule, selector.value, selection->activations, n_filters, selection->filters);
}

static uint64_t count_above_mean(const float *activations, size_t n_filters) {
    double sum = 0;
    uint64_t n = 0;
    for (size_t i = 0; i < n_filters; i++) sum += activations[i];
    double mean = sum / (double)n_filters; /* as in filtags_select */
    for (size_t i = 0; i < n_filters; i++) n += activations[i] > mean;
    return n;
}

uint64_t tags_count(const struct filter_table *table, const float *const *class_activations, size_t n_classes,
                    struct selector selector) {
    uint64_t n_tags = 0;
    for (size_t class_index = 0; class_index < n_classes; class_index++) {
        for (size_t i = 0; class_activations[class_index] && i < table->n_layers; i++) {
            size_t n = filtags_selection_size(selector.rule, selector.value, table->n_filters[i]);
            if (table->n_filters[i] == 0) continue;
            n_tags += n ? n : count_above_mean(class_activations[class_index] + table->first[i], table->n_filters[i]);
        }
    }
    return n_tags;
}

/* Write the selected filters of every class, one class after the other, and count in offset[f + 1] how often filter f
 * is among them. class_end[c] gets where class c ends. */
static void select_all(const struct filter_table *table, const float *const *class_activations, size_t n_classes,
                       struct selector selector, struct selection *selection, uint32_t *selected, uint64_t *class_end,
                       uint64_t *offset) {
    uint64_t n_selected = 0;
    for (size_t class_index = 0; class_index < n_classes; class_index++) {
        const float *row = class_activations[class_index]; // [n_filters]
        for (size_t i = 0; row && i < table->n_layers; i++) {
            size_t n = select_floats(selection, selector, row + table->first[i], table->n_filters[i]);
            for (size_t j = 0; j < n; j++) {
                size_t filter = table->first[i] + selection->filters[j];
                selected[n_selected++] = (uint32_t)filter;
                offset[filter + 1]++;
            }
        }
        class_end[class_index] = n_selected;
    }
}

/* Turn the lists of filters by class into lists of classes by filter. offset holds counts as select_all leaves them,
 * and becomes what tag_table has. */
static void gather_labels(const uint32_t *selected, const uint64_t *class_end, size_t n_classes,
                          struct tag_table *tags) {
    uint64_t *offset = tags->offset;
    for (size_t f = 0; f < tags->n_filters; f++) offset[f + 1] += offset[f];
    uint64_t i = 0;
    for (size_t class_index = 0; class_index < n_classes; class_index++) {
        for (; i < class_end[class_index]; i++) tags->labels[offset[selected[i]]++] = (uint32_t)class_index;
    }
    /* Each offset has moved on to where the next filter begins: move them back. */
    memmove(offset + 1, offset, tags->n_filters * sizeof *offset);
    offset[0] = 0;
}

filtags_status tags_compute(const struct filter_table *table, const float *const *class_activations, size_t n_classes,
                            struct selector selector, struct tag_table *tags) {
    filtags_status status = FILTAGS_ERROR_MEMORY;
    struct selection selection = {0};
    struct tag_table created = {.n_filters = table->first[table->n_layers]};
    uint64_t n_tags = tags_count(table, class_activations, n_classes, selector);
    uint32_t *selected = memory_new(n_tags, sizeof *selected);
    uint64_t *class_end = memory_new(n_classes, sizeof *class_end);
    created.offset = memory_new(created.n_filters + 1, sizeof *created.offset);
    created.labels = memory_new(n_tags, sizeof *created.labels);
    if (!selected || !class_end || !created.offset || !created.labels) goto done;
    if ((status = selection_create(table, &selection))) goto done;
    select_all(table, class_activations, n_classes, selector, &selection, selected, class_end, created.offset);
    gather_labels(selected, class_end, n_classes, &created);
    *tags = created;
done:
    if (status) tag_table_free(&created);
    selection_free(&selection);
    free(class_end);
    free(selected);
    return status;
}

void tag_table_free(struct tag_table *tags) {
    if (!tags) return;
    free(tags->offset);
    free(tags->labels);
    *tags = (struct tag_table){0};
}
