#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tagging/rank_internal.h"

filtags_status ranking_scratch_create(const struct filter_table *table, size_t n_labels,
                                      struct ranking_scratch **scratch) {
    size_t n_most = 0;
    for (size_t i = 0; i < table->n_layers; i++) n_most = table->n_filters[i] > n_most ? table->n_filters[i] : n_most;
    struct ranking_scratch *created = memory_new(1, sizeof *created);
    if (!created) return FILTAGS_ERROR_MEMORY;
    created->n_filters = table->first[table->n_layers];
    created->n_labels = n_labels;
    created->picture = memory_new(created->n_filters, sizeof *created->picture);
    created->places = memory_new(created->n_filters, sizeof *created->places);
    created->is_above_mean = memory_new(created->n_filters, sizeof *created->is_above_mean);
    created->keys = memory_new(n_most > n_labels ? n_most : n_labels, sizeof *created->keys);
    created->activations = memory_new(n_most, sizeof *created->activations);
    created->selected = memory_new(n_most, sizeof *created->selected);
    created->counts = memory_new(n_labels, sizeof *created->counts);
    created->seen = memory_new(n_labels, sizeof *created->seen);
    if (!created->picture || !created->places || !created->is_above_mean || !created->keys || !created->activations ||
        !created->selected || !created->counts || !created->seen) {
        ranking_scratch_destroy(created);
        return FILTAGS_ERROR_MEMORY;
    }
    *scratch = created;
    return FILTAGS_OK;
}

void ranking_scratch_destroy(struct ranking_scratch *scratch) {
    if (!scratch) return;
    free(scratch->picture);
    free(scratch->places);
    free(scratch->is_above_mean);
    free(scratch->keys);
    free(scratch->activations);
    free(scratch->selected);
    free(scratch->counts);
    free(scratch->seen);
    free(scratch);
}

static int compare_keys(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Keys that sort by size, descending, then by index. */
static uint64_t make_key(uint32_t size, size_t index) { return (uint64_t)(UINT32_MAX - size) << 32 | (uint32_t)index; }

static void study_layer(struct ranking_scratch *scratch, const filtags_activation *activations, size_t first,
                        size_t n_filters) {
    for (size_t i = 0; i < n_filters; i++) {
        scratch->keys[i] = make_key(activations[first + i], i);
        scratch->activations[i] = activations[first + i];
        scratch->is_above_mean[first + i] = false;
    }
    qsort(scratch->keys, n_filters, sizeof *scratch->keys, compare_keys);
    for (size_t i = 0; i < n_filters; i++) scratch->places[first + (uint32_t)scratch->keys[i]] = (uint32_t)i;
    /* k = 0: above the mean */
    size_t n = filtags_select(FILTAGS_RULE_K, 0, scratch->activations, n_filters, scratch->selected);
    for (size_t i = 0; i < n; i++) scratch->is_above_mean[first + scratch->selected[i]] = true;
}

void ranking_study_picture(struct ranking_scratch *scratch, const struct filter_table *table,
                           const filtags_activation *activations) {
    size_t size_bytes = scratch->n_filters * sizeof *activations;
    if (size_bytes == 0 || (scratch->has_picture && memcmp(scratch->picture, activations, size_bytes) == 0)) return;
    memcpy(scratch->picture, activations, size_bytes);
    scratch->has_picture = true;
    for (size_t i = 0; i < table->n_layers; i++) {
        study_layer(scratch, activations, table->first[i], table->n_filters[i]);
    }
}

/* Count the labels of a filter; returns how many labels have been seen so far. */
static size_t count_labels(struct ranking_scratch *scratch, const uint32_t *labels, uint64_t n, size_t n_seen) {
    uint64_t i = 0;
    for (; i < n && n_seen < scratch->n_labels; i++) {
        if (scratch->counts[labels[i]]++ == 0) scratch->seen[n_seen++] = labels[i];
    }
    /* No new ones any more: most of the time, where there are many tags. */
    for (; i < n; i++) scratch->counts[labels[i]]++;
    return n_seen;
}

size_t rank_labels(struct ranking_scratch *scratch, const struct filter_table *table, const struct tag_table *tags,
                   struct selector selector, bool is_last_layer_only, const filtags_activation *activations,
                   struct label_count *ranking) {
    size_t n_seen = 0;
    ranking_study_picture(scratch, table, activations);
    for (size_t i = is_last_layer_only && table->n_layers ? table->n_layers - 1 : 0; i < table->n_layers; i++) {
        size_t n = filtags_selection_size(selector.rule, selector.value, table->n_filters[i]);
        for (size_t f = table->first[i]; f < table->first[i + 1]; f++) {
            if (n ? scratch->places[f] >= n : !scratch->is_above_mean[f]) continue;
            uint64_t begin = tags->offset[f], end = tags->offset[f + 1];
            n_seen = count_labels(scratch, tags->labels + begin, end - begin, n_seen);
        }
    }
    for (size_t i = 0; i < n_seen; i++) scratch->keys[i] = make_key(scratch->counts[scratch->seen[i]], i);
    qsort(scratch->keys, n_seen, sizeof *scratch->keys, compare_keys);
    for (size_t i = 0; i < n_seen; i++) {
        uint32_t label = scratch->seen[(uint32_t)scratch->keys[i]];
        ranking[i] = (struct label_count){label, scratch->counts[label]};
    }
    for (size_t i = 0; i < n_seen; i++) scratch->counts[scratch->seen[i]] = 0;
    return n_seen;
}

void top_outputs(const float *outputs, size_t n_outputs, size_t n_top, uint32_t *top) {
    size_t n = 0;
    for (size_t i = 0; i < n_outputs; i++) {
        size_t place = n;
        while (place > 0 && outputs[i] > outputs[top[place - 1]]) place--;
        if (place >= n_top) continue;
        if (n < n_top) n++;
        memmove(top + place + 1, top + place, (n - 1 - place) * sizeof *top);
        top[place] = (uint32_t)i;
    }
}
