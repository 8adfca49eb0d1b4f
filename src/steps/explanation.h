/* explanation.h - one picture explained in tags: what the network predicts, what the tags of its active filters
 * predict, and which filters carry that. */
#ifndef FILTAGS_STEPS_EXPLANATION_H
#define FILTAGS_STEPS_EXPLANATION_H

#include "steps/heat_maps.h"
#include "steps/network.h"
#include "steps/tag_file.h"

enum {
    EXPLANATION_MOST_TOP = 3,      /* of the network's own predictions */
    EXPLANATION_MOST_CHOICES = 8,  /* labels whose filters are looked for */
    EXPLANATION_MOST_CARRIERS = 32 /* filters that are shown of a picture, for one value of k or q */
};

/* An active filter that has one of the choices among its tags. */
struct carrier {
    size_t filter; /* of all filters */
    size_t layer;
    filtags_activation activation;
    size_t n_tags;
    unsigned choices; /* bits: which of the choices it has */
    bool is_shown;
    size_t map; /* index into the picture's shown filters */
};

/* A label whose filters are shown, and how many active filters have it: over all layers, in the last one alone. */
struct label_choice {
    uint32_t label;
    size_t n_carriers[2];
};

/* One picture by one value of k or q. Index 0: all layers; 1: the last layer alone. */
struct explanation {
    struct label_count *rankings[2]; /* as rank_labels gives them */
    size_t n_ranked[2];
    uint64_t n_tags[2]; /* of the active filters */
    size_t n_active[2];
    struct label_choice choices[EXPLANATION_MOST_CHOICES]; /* the tags' first labels, the last layer's first one, the
                                                              network's own if tags have it: each of them once */
    size_t n_choices;
    struct carrier *carriers; /* [n_carriers] that are shown: fewest tags first, then the most active, then by number */
    size_t n_carriers;
    size_t n_all_carriers; /* with those that are left out */
};

/* What the network makes of a picture. */
struct explained_picture {
    const char *file;
    filtags_activation *activations; /* [all filters] */
    size_t n_top;
    uint32_t top[EXPLANATION_MOST_TOP];   /* outputs, the most probable first */
    float probability[EXPLANATION_MOST_TOP];
    struct explanation *explanations; /* [n_selectors] */
    size_t *shown; /* [n_shown] filters with a heat map, ascending */
    size_t n_shown;
    size_t first_map; /* theirs, among all maps */
};

/* Texts for people. A label of the tags is a class folder's name, which is compared with the outputs' wnids. */
struct label_names {
    char **labels;  /* [n_labels] of the tags: what the output of that wnid is called, else the label itself */
    char **outputs; /* [n_outputs] */
    uint32_t *label_of_output; /* [n_outputs]; UINT32_MAX: no tag has it */
    size_t n_labels, n_outputs;
};

/* Name labels and outputs; where several outputs are called the same ("crane"), their wnids follow. MEMORY. */
FILTAGS_MUST_USE filtags_status label_names_create(const struct tag_file *tags, const struct class_index *index,
                                                   struct label_names *names);
void label_names_free(struct label_names *names);

/* Explain a picture of which activations and top are known, for every value of k and q of the tags: the same rankings
 * as step 3's. At most EXPLANATION_MOST_CARRIERS filters are chosen to be shown for each value: the first 12 of the
 * tags' top label, then those of all choices in turn. MEMORY. */
FILTAGS_MUST_USE filtags_status explained_picture_explain(struct explained_picture *picture,
                                                          const struct tag_file *tags,
                                                          const struct label_names *names);
void explained_picture_free(struct explained_picture *picture, size_t n_selectors);

/* Everything that a report is made from. */
struct explained {
    const struct tag_file *tags;
    const struct network *network;
    const struct label_names *names;
    const struct explained_picture *pictures; /* [n_pictures] those that could be used */
    size_t n_pictures;
    const struct heat_maps *maps; /* thumbnails by picture, maps by picture and shown filter */
};

/* Place (from 1) of a label in a ranking; 0: it isn't in it. */
size_t explanation_place(const struct explanation *explanation, int is_last_layer, uint32_t label);

#endif
