#include "steps/tag_ranks.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Make room for all labels that are known. */
static filtags_status grow(struct tag_ranks *ranks, const struct tag_file *file) {
    size_t n_filters = filter_table_n_filters(&file->table), capacity = ranks->capacity ? ranks->capacity : 32;
    if (file->n_labels <= ranks->capacity) return FILTAGS_OK;
    while (capacity < file->n_labels) capacity += capacity / 2;
    uint32_t *places = memory_new(n_filters * capacity, sizeof *places);
    if (!places) return FILTAGS_ERROR_MEMORY;
    for (size_t f = 0; f < n_filters; f++) {
        uint32_t *row = places + f * capacity;
        if (ranks->capacity) memcpy(row, ranks->places + f * ranks->capacity, ranks->capacity * sizeof *row);
        for (size_t c = ranks->capacity; c < capacity; c++) row[c] = CLASS_RANKS_NO_PLACE;
    }
    free(ranks->places);
    ranks->places = places;
    ranks->n_filters = n_filters;
    ranks->capacity = capacity;
    return FILTAGS_OK;
}

struct named {
    const char *name;
    uint32_t label;
};

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static filtags_status sort_labels(struct tag_ranks *ranks, const struct tag_file *file) {
    if (ranks->n_labels == file->n_labels) return FILTAGS_OK;
    struct named *named = memory_new(file->n_labels, sizeof *named);
    uint32_t *order = memory_new(file->n_labels, sizeof *order);
    if (!named || !order) {
        free(named);
        free(order);
        return FILTAGS_ERROR_MEMORY;
    }
    for (size_t i = 0; i < file->n_labels; i++) named[i] = (struct named){file->labels[i], (uint32_t)i};
    qsort(named, file->n_labels, sizeof *named, compare_names);
    for (size_t i = 0; i < file->n_labels; i++) order[named[i].label] = (uint32_t)i;
    free(named);
    free(ranks->order);
    ranks->order = order;
    ranks->n_labels = file->n_labels;
    return FILTAGS_OK;
}

/* labels: [n_labels] of a filter's list; row: [capacity] of the filter. False: not in byte order. */
static bool add_list(const struct tag_ranks *ranks, const uint32_t *labels, uint64_t n_labels, size_t n,
                     uint32_t *row) {
    for (uint64_t i = 0; i < n_labels; i++) {
        uint32_t label = labels[i], place = row[label] & CLASS_RANKS_NO_PLACE;
        if (i > 0 && ranks->order[label] <= ranks->order[labels[i - 1]]) return false;
        if (!n) row[label] |= CLASS_RANKS_ABOVE_MEAN;
        else if (n <= place) row[label] = (row[label] & CLASS_RANKS_ABOVE_MEAN) | (uint32_t)(n - 1);
    }
    return true;
}

filtags_status tag_ranks_add(struct tag_ranks *ranks, const struct tag_file *file, struct selector selector,
                             const struct tag_table *tags, bool *is_nested) {
    const struct filter_table *table = &file->table;
    filtags_status status = grow(ranks, file);
    if (!status) status = sort_labels(ranks, file);
    if (status) return status;
    for (size_t layer = 0; layer < table->n_layers; layer++) {
        size_t n = filtags_selection_size(selector.rule, selector.value, table->n_filters[layer]);
        for (size_t f = table->first[layer]; f < table->first[layer + 1]; f++) {
            uint64_t begin = tags->offset[f], end = tags->offset[f + 1];
            if (!add_list(ranks, tags->labels + begin, end - begin, n, ranks->places + f * ranks->capacity))
                *is_nested = false;
        }
    }
    return FILTAGS_OK;
}

/* Every label of a list has a place below the list's n: if there are no more of these than labels in the list, the list
 * is just these. n_below: room for n_filters + 1. */
static bool check_filter(const struct tag_ranks *ranks, const struct tag_file *file, size_t filter, size_t n_filters,
                         uint64_t *n_below) {
    const uint32_t *row = ranks->places + filter * ranks->capacity;
    uint64_t n_above_mean = 0;
    memset(n_below, 0, (n_filters + 1) * sizeof *n_below);
    for (size_t c = 0; c < ranks->n_labels; c++) {
        uint32_t place = row[c] & CLASS_RANKS_NO_PLACE;
        if (place < n_filters) n_below[place + 1]++;
        n_above_mean += row[c] > CLASS_RANKS_NO_PLACE;
    }
    for (size_t n = 1; n <= n_filters; n++) n_below[n] += n_below[n - 1];
    for (size_t s = 0; s < file->n_selectors; s++) {
        size_t n = filtags_selection_size(file->selectors[s].rule, file->selectors[s].value, n_filters);
        uint64_t n_tags = file->tags[s].offset[filter + 1] - file->tags[s].offset[filter];
        if (n_tags != (n ? n_below[n] : n_above_mean)) return false;
    }
    return true;
}

static filtags_status check_lengths(const struct tag_ranks *ranks, const struct tag_file *file, bool *is_nested) {
    const struct filter_table *table = &file->table;
    uint64_t *n_below = memory_new(ranks->n_filters + 1, sizeof *n_below);
    if (!n_below) return FILTAGS_ERROR_MEMORY;
    for (size_t layer = 0; layer < table->n_layers; layer++) {
        for (size_t f = table->first[layer]; f < table->first[layer + 1] && *is_nested; f++)
            *is_nested = check_filter(ranks, file, f, table->n_filters[layer], n_below);
    }
    free(n_below);
    return FILTAGS_OK;
}

filtags_status tag_ranks_finish(const struct tag_ranks *ranks, struct tag_file *file, bool *is_nested) {
    filtags_status status = check_lengths(ranks, file, is_nested);
    if (status || !*is_nested) return status;
    size_t n_labels = ranks->n_labels;
    file->ranks.places = memory_new(ranks->n_filters * n_labels, sizeof *file->ranks.places);
    file->columns = memory_new(n_labels, sizeof *file->columns);
    if (!file->ranks.places || !file->columns) return FILTAGS_ERROR_MEMORY;
    for (size_t label = 0; label < n_labels; label++) file->columns[ranks->order[label]] = (uint32_t)label;
    for (size_t f = 0; f < ranks->n_filters; f++) {
        for (size_t c = 0; c < n_labels; c++)
            file->ranks.places[f * n_labels + c] = ranks->places[f * ranks->capacity + file->columns[c]];
    }
    file->ranks.n_classes = n_labels;
    file->is_ranked = true;
    return FILTAGS_OK;
}

void tag_ranks_free(struct tag_ranks *ranks) {
    free(ranks->places);
    free(ranks->order);
    *ranks = (struct tag_ranks){0};
}
