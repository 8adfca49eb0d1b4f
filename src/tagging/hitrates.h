/* hitrates.h - how often the network's own top-1 label is among the first m labels that the tags predict. */
#ifndef FILTAGS_TAGGING_HITRATES_H
#define FILTAGS_TAGGING_HITRATES_H

#include "filtags.h"

/* A label that is not in a ranking at all. */
#define HIT_ABSENT UINT32_MAX

/* Hits of test pictures, by class, by predictor and by m. A predictor is whatever ranks labels: in step 4 a value of k
 * or of q, over all layers or over the last one alone; the caller decides on their order. */
struct hit_table {
    size_t n_classes;
    size_t n_predictors;
    size_t n_m;
    uint32_t *m;        /* [n_m] each >= 1 */
    uint64_t *n_images; /* [n_classes] */
    uint64_t *hits;     /* [n_classes, n_predictors, n_m] */
};

/* MEMORY. m is copied. The caller frees *table with hit_table_free. */
FILTAGS_MUST_USE filtags_status hit_table_create(size_t n_classes, size_t n_predictors, const uint32_t *m, size_t n_m,
                                                 struct hit_table *table);

/* Add a test picture of a class. positions: [n_predictors], the place from 0 of the network's top-1 label in each
 * predictor's ranking, or HIT_ABSENT. */
void hit_table_add(struct hit_table *table, size_t class_index, const uint32_t *positions);

/* The hit rate of a class: its hits divided by its pictures. False, and *rate as it was, where it has no pictures. */
bool hit_table_rate(const struct hit_table *table, size_t class_index, size_t predictor, size_t m_index, double *rate);

/* The hit rate over all classes, weighted by pictures: all hits divided by all pictures. False where there are none. */
bool hit_table_total_rate(const struct hit_table *table, size_t predictor, size_t m_index, double *rate);

void hit_table_free(struct hit_table *table);

#endif
