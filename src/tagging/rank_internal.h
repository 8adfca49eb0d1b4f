/* rank_internal.h - what the ranking by one selector and that by many share. */
#ifndef FILTAGS_TAGGING_RANK_INTERNAL_H
#define FILTAGS_TAGGING_RANK_INTERNAL_H

#include "tagging/tags.h"

struct ranking_scratch {
    size_t n_filters; /* of all layers */
    size_t n_labels;
    /* What is known of the last picture: a run asks for the same one with many selectors. Pictures are told apart by
     * their activations themselves, since callers use the same memory for one after the other. */
    bool has_picture;
    filtags_activation *picture; /* [n_filters] */
    uint32_t *places;            /* [n_filters] place in the layer, the most active filter being 0, ties by index */
    bool *is_above_mean;         /* [n_filters] */
    /* for the sorting of one layer */
    uint64_t *keys;              /* [most filters of a layer, or n_labels] */
    double *activations;         /* [most filters of a layer] */
    uint32_t *selected;          /* [most filters of a layer] */
    /* for the counting of labels */
    uint32_t *counts;            /* [n_labels] all 0 between calls */
    uint32_t *seen;              /* [n_labels] labels in the order in which they come up */
};

/* Set places and is_above_mean, unless they are this picture's already. */
void ranking_study_picture(struct ranking_scratch *scratch, const struct filter_table *table,
                           const filtags_activation *activations);

#endif
