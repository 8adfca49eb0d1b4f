/* tags.h - from class activations to tags, predictions and hit rates: pure functions on arrays. */
#ifndef FILTAGS_TAGGING_TAGS_H
#define FILTAGS_TAGGING_TAGS_H

#include "filtags.h"

/* The layers that are tagged: sizes, and where each layer's filters start in a row of all filters. */
struct filter_table {
    size_t n_layers;
    size_t *n_filters; /* [n_layers] */
    size_t *first;     /* [n_layers + 1]; first[n_layers] is the number of all filters */
};
FILTAGS_MUST_USE filtags_status filter_table_create(const size_t *n_filters, size_t n_layers,
                                                    struct filter_table *table);
void filter_table_free(struct filter_table *table);
static inline size_t filter_table_n_filters(const struct filter_table *table) { return table->first[table->n_layers]; }

/* One value of k or of q. */
struct selector {
    filtags_rule rule;
    double value;
};

/* The tags of all filters for one selector. Filter f (of all layers) has labels[offset[f]] up to, but without,
 * labels[offset[f + 1]]: numbers of labels from 0. */
struct tag_table {
    size_t n_filters;
    uint64_t *offset;  /* [n_filters + 1] */
    uint32_t *labels;  /* [offset[n_filters]] */
};

/* Turn a sum over n_images pictures of activations in units of 2^-31 into the class activation:
 * (sum / n_images) * 2^-31 in double, rounded once to float. n_images >= 1. */
float class_activation(int64_t sum, uint64_t n_images);

/* Which filters each class tags, for every k and q at once: a filter's place among those of its layer when they are
 * sorted by the class's activation. The class tags its n most active filters: those of the places 0 .. n - 1. */
struct class_ranks {
    size_t n_classes;
    uint32_t *places; /* [n_filters, n_classes] highest bit: the activation is above the layer's mean; the rest: the
                         place, the most active filter being 0, ties by index, and 2^31 - 1 for no place at all */
    uint64_t *n_above_mean; /* [n_layers] pairs of class and filter */
    size_t n_ranked;        /* classes that have train pictures */
};

#define CLASS_RANKS_ABOVE_MEAN (UINT32_C(1) << 31)
#define CLASS_RANKS_NO_PLACE (CLASS_RANKS_ABOVE_MEAN - 1)

/* class_activations: [n_classes] rows of [table->first[n_layers]] finite floats; a NULL row is a class without train
 * pictures, which tags nothing. MEMORY. */
FILTAGS_MUST_USE filtags_status class_ranks_create(const struct filter_table *table,
                                                   const float *const *class_activations, size_t n_classes,
                                                   struct class_ranks *ranks);
void class_ranks_free(struct class_ranks *ranks);

/* Write the classes, ascending, that tag a filter (of all layers) where each tags n filters of the layer, or, where
 * n is 0, those above the layer's mean (filtags_selection_size gives n). classes: room for n_classes. Returns how many
 * they are. */
size_t class_ranks_tags(const struct class_ranks *ranks, size_t filter, size_t n, uint32_t *classes);
/* How many tags one selector gives in all (for the size of the file to come). */
uint64_t class_ranks_count(const struct class_ranks *ranks, const struct filter_table *table,
                           struct selector selector);

void tag_table_free(struct tag_table *tags);

/* One label and how many tags it has among the active filters. */
struct label_count {
    uint32_t label;
    uint32_t count;
};

/* Room for ranking, one a thread. */
struct ranking_scratch;
FILTAGS_MUST_USE filtags_status ranking_scratch_create(const struct filter_table *table, size_t n_labels,
                                                       struct ranking_scratch **scratch);
void ranking_scratch_destroy(struct ranking_scratch *scratch);

/* Predict one picture: select its active filters in each layer (or in the last one alone), count the labels of their
 * tags, and rank by count, descending; ties in the order in which labels are first seen, layer by layer,
 * filter by filter (ascending), tag by tag. Labels that are not seen are not listed.
 * activations: [all filters]. ranking: room for n_labels. Returns the ranking's length. */
size_t rank_labels(struct ranking_scratch *scratch, const struct filter_table *table, const struct tag_table *tags,
                   struct selector selector, bool is_last_layer_only, const filtags_activation *activations,
                   struct label_count *ranking);

/* The same for many selectors at once, from ranks in place of lists of tags: each pair of filter and label is looked at
 * once, and not once a selector. */
struct many_ranks;
/* ranks: a column a label, in the order of the labels in the lists that they stand for; labels: [ranks->n_classes]
 * their numbers. All are the caller's and outlive *many, of which each thread has its own. MEMORY. */
FILTAGS_MUST_USE filtags_status many_ranks_create(const struct filter_table *table, const struct class_ranks *ranks,
                                                  const uint32_t *labels, const struct selector *selectors,
                                                  size_t n_selectors, struct many_ranks **many);
void many_ranks_destroy(struct many_ranks *many);
/* Study a picture; then many_ranks_get gives what rank_labels would. */
void many_ranks_study(struct many_ranks *many, const filtags_activation *activations);
size_t many_ranks_get(struct many_ranks *many, size_t selector, bool is_last_layer_only, struct label_count *ranking);

/* Indices of the n_top largest outputs, descending; ties: lower index first. top: room for n_top <= n_outputs. */
void top_outputs(const float *outputs, size_t n_outputs, size_t n_top, uint32_t *top);

#endif
