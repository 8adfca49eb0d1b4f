#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tagging/tags.h"

static const uint32_t SIGN_BIT = UINT32_C(1) << 31;

/* Room for one layer of one class. */
struct layer_scratch {
    uint64_t *keys;      /* [most filters of a layer] */
    double *activations; /* [most filters of a layer] */
    uint32_t *selected;  /* [most filters of a layer] */
};

static filtags_status scratch_create(const struct filter_table *table, struct layer_scratch *scratch) {
    size_t n_most = 0;
    for (size_t i = 0; i < table->n_layers; i++) n_most = table->n_filters[i] > n_most ? table->n_filters[i] : n_most;
    scratch->keys = memory_new(n_most, sizeof *scratch->keys);
    scratch->activations = memory_new(n_most, sizeof *scratch->activations);
    scratch->selected = memory_new(n_most, sizeof *scratch->selected);
    return scratch->keys && scratch->activations && scratch->selected ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

static void scratch_free(struct layer_scratch *scratch) {
    free(scratch->keys);
    free(scratch->activations);
    free(scratch->selected);
}

/* Keys that sort by activation, descending, then by index: the bits of floats are in the order of the floats, once
 * those of negative ones are turned round. */
static uint64_t make_key(float activation, size_t index) {
    float value = activation + 0.0f; /* -0 is 0 */
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = bits & SIGN_BIT ? ~bits : bits | SIGN_BIT;
    return (uint64_t)~bits << 32 | (uint32_t)index;
}

static int compare_keys(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* row: [n] activations of one layer; places: of its first filter and the class, n_classes from filter to filter. */
static size_t rank_layer(const float *row, size_t n, struct layer_scratch *scratch, uint32_t *places,
                         size_t n_classes) {
    for (size_t i = 0; i < n; i++) {
        scratch->keys[i] = make_key(row[i], i);
        scratch->activations[i] = row[i];
    }
    qsort(scratch->keys, n, sizeof *scratch->keys, compare_keys);
    for (size_t i = 0; i < n; i++) places[(uint32_t)scratch->keys[i] * n_classes] = (uint32_t)i;
    /* k = 0: above the mean */
    size_t n_above = filtags_select(FILTAGS_RULE_K, 0, scratch->activations, n, scratch->selected);
    for (size_t i = 0; i < n_above; i++) places[scratch->selected[i] * n_classes] |= CLASS_RANKS_ABOVE_MEAN;
    return n_above;
}

filtags_status class_ranks_create(const struct filter_table *table, const float *const *class_activations,
                                  size_t n_classes, struct class_ranks *result) {
    struct layer_scratch scratch = {0};
    struct class_ranks ranks = {.n_classes = n_classes};
    size_t n_places = table->first[table->n_layers] * n_classes;
    filtags_status status = scratch_create(table, &scratch);
    ranks.places = memory_new(n_places, sizeof *ranks.places);
    ranks.n_above_mean = memory_new(table->n_layers, sizeof *ranks.n_above_mean);
    if (!ranks.places || !ranks.n_above_mean) status = FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; !status && i < n_places; i++) ranks.places[i] = CLASS_RANKS_NO_PLACE;
    for (size_t c = 0; !status && c < n_classes; c++) {
        const float *row = class_activations[c]; // [n_filters]
        ranks.n_ranked += row != NULL;
        for (size_t i = 0; row && i < table->n_layers; i++) {
            ranks.n_above_mean[i] += rank_layer(row + table->first[i], table->n_filters[i], &scratch,
                                                ranks.places + table->first[i] * n_classes + c, n_classes);
        }
    }
    scratch_free(&scratch);
    if (status) class_ranks_free(&ranks);
    else *result = ranks;
    return status;
}

void class_ranks_free(struct class_ranks *ranks) {
    if (!ranks) return;
    free(ranks->places);
    free(ranks->n_above_mean);
    *ranks = (struct class_ranks){0};
}

size_t class_ranks_tags(const struct class_ranks *ranks, size_t filter, size_t n, uint32_t *classes) {
    const uint32_t *places = ranks->places + filter * ranks->n_classes; // [n_classes]
    size_t n_tags = 0;
    for (size_t c = 0; c < ranks->n_classes; c++) { /* without a branch, which nobody could predict */
        classes[n_tags] = (uint32_t)c;
        n_tags += n ? (places[c] & CLASS_RANKS_NO_PLACE) < n : places[c] >= CLASS_RANKS_ABOVE_MEAN;
    }
    return n_tags;
}

uint64_t class_ranks_count(const struct class_ranks *ranks, const struct filter_table *table,
                           struct selector selector) {
    uint64_t n_tags = 0;
    for (size_t i = 0; i < table->n_layers; i++) {
        size_t n = filtags_selection_size(selector.rule, selector.value, table->n_filters[i]);
        n_tags += n ? (uint64_t)n * ranks->n_ranked : ranks->n_above_mean[i];
    }
    return n_tags;
}
