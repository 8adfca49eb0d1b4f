#include "tagging/hitrates.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"

filtags_status hit_table_create(size_t n_classes, size_t n_predictors, const uint32_t *m, size_t n_m,
                                struct hit_table *table) {
    struct hit_table created = {.n_classes = n_classes, .n_predictors = n_predictors, .n_m = n_m};
    size_t n_hits;
    if (__builtin_mul_overflow(n_predictors, n_m, &n_hits) || __builtin_mul_overflow(n_hits, n_classes, &n_hits)) {
        return error_out_of_memory(SIZE_MAX);
    }
    created.m = memory_new(n_m, sizeof *created.m);
    created.n_images = memory_new(n_classes, sizeof *created.n_images);
    created.hits = memory_new(n_hits, sizeof *created.hits);
    if (!created.m || !created.n_images || !created.hits) {
        hit_table_free(&created);
        return FILTAGS_ERROR_MEMORY;
    }
    for (size_t i = 0; i < n_m; i++) created.m[i] = m[i];
    *table = created;
    return FILTAGS_OK;
}

static uint64_t *hits_of(const struct hit_table *table, size_t class_index, size_t predictor) {
    return table->hits + (class_index * table->n_predictors + predictor) * table->n_m;
}

void hit_table_add(struct hit_table *table, size_t class_index, const uint32_t *positions) {
    table->n_images[class_index]++;
    for (size_t i = 0; i < table->n_predictors; i++) {
        uint64_t *hits = hits_of(table, class_index, i); // [n_m]
        for (size_t j = 0; j < table->n_m; j++) hits[j] += positions[i] != HIT_ABSENT && positions[i] < table->m[j];
    }
}

bool hit_table_rate(const struct hit_table *table, size_t class_index, size_t predictor, size_t m_index, double *rate) {
    if (table->n_images[class_index] == 0) return false;
    *rate = (double)hits_of(table, class_index, predictor)[m_index] / (double)table->n_images[class_index];
    return true;
}

bool hit_table_total_rate(const struct hit_table *table, size_t predictor, size_t m_index, double *rate) {
    uint64_t n_images = 0, n_hits = 0;
    for (size_t i = 0; i < table->n_classes; i++) {
        n_images += table->n_images[i];
        n_hits += hits_of(table, i, predictor)[m_index];
    }
    if (n_images == 0) return false;
    *rate = (double)n_hits / (double)n_images;
    return true;
}

void hit_table_free(struct hit_table *table) {
    if (!table) return;
    free(table->m);
    free(table->n_images);
    free(table->hits);
    *table = (struct hit_table){0};
}
