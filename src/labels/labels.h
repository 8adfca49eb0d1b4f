/* labels.h - the names of ImageNet's 1,000 classes, which the program carries with it. */
#ifndef FILTAGS_LABELS_LABELS_H
#define FILTAGS_LABELS_LABELS_H

#include <stddef.h>

enum { IMAGENET_N_CLASSES = 1000 };

struct imagenet_class {
    const char *wnid;  /* "n02088364" */
    const char *label; /* "beagle"; two classes are called "crane", two "maillot" */
};

/* Return the classes, in the order of the outputs of networks trained on ImageNet ([IMAGENET_N_CLASSES], static). */
const struct imagenet_class *imagenet_classes(void);

#endif
