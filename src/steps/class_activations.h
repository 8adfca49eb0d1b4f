/* class_activations.h - the contents of step 1's file, or of the published script's (docs/published-files.md). */
#ifndef FILTAGS_STEPS_CLASS_ACTIVATIONS_H
#define FILTAGS_STEPS_CLASS_ACTIVATIONS_H

#include "store/variables.h"
#include "tagging/tags.h"

struct class_activations {
    struct variables variables; /* their names alone */
    const char **labels;        /* [n_classes] */
    size_t first_number; /* of the classes: 1; 0 in the published script's files */
    float **rows;        /* [n_classes] of [all filters]; NULL: a class without train pictures */
    size_t n_classes;
    struct filter_table table;
};

/* Read labels_id and filter_act_1 .. filter_act_n. The published script counts from 0, and where labels_id is missing
 * its names have the labels ("filter_act_0: filter activations of class LABEL"). DATA: a variable is missing, a class
 * has other layers or filters than the first, a value is not in [0, 1]. IO, FORMAT, UNSUPPORTED, MEMORY. */
FILTAGS_MUST_USE filtags_status class_activations_open(const char *path, struct class_activations *activations);
void class_activations_close(struct class_activations *activations);

#endif
